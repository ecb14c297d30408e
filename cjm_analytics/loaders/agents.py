"""What a browser says about itself: a robot's name, or the kind of device."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["device_of", "is_bot"]

_TABLET: Final = re.compile(r"ipad|tablet|kindle|silk/|playbook", re.IGNORECASE)
_MOBILE: Final = re.compile(r"mobi|iphone|ipod|windows phone|opera mini", re.IGNORECASE)
_ANDROID: Final = re.compile(r"android", re.IGNORECASE)


@lru_cache(maxsize=65_536)
def is_bot(user_agent: str) -> bool:
    """Whether a user agent names a robot: crawlers, monitors, previews, scripts.

    By the patterns of the package `crawler-user-agents`. Robots that say they are browsers are not found by
    this.

    Examples
    --------
    >>> is_bot("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    True
    >>> is_bot("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36")
    False
    """
    from crawleruseragents import is_crawler  # its patterns take a moment to load

    return bool(is_crawler(user_agent))


@lru_cache(maxsize=65_536)
def device_of(user_agent: str) -> str | None:
    """`mobile`, `tablet` or `desktop`, as a user agent says; None where it says nothing.

    Examples
    --------
    >>> device_of("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148")
    'mobile'
    """
    if not user_agent.startswith(("Mozilla/", "Opera/")):
        return None
    if _TABLET.search(user_agent):
        return "tablet"
    if _MOBILE.search(user_agent):
        return "mobile"
    return "tablet" if _ANDROID.search(user_agent) else "desktop"
