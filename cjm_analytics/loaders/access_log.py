"""Access logs of web servers: what a request means, and who it was."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.files import is_location
from cjm_analytics.loaders.mapping import Saying, bot, device, each, told
from cjm_analytics.loaders.request_lines import request_lines
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Cells
    from cjm_analytics.loaders.source import EventStream

__all__ = ["access_log"]

_EVENTS: Final = {"GET": "page_view", "POST": "form_submit"}
_ASSET: Final = (
    r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|ico|svg|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|ogg|wav"
    r"|txt|xml|json|rss|atom|webmanifest)$"
)
_DATE: Final = len("2025-10-10")
_ESCAPED: Final = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\])')
_ORIGIN: Final = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)


def access_log(
    source: object,
    *,
    statuses: Collection[int] = (200, 302, 304),
    assets: bool = False,
    salt: str = "",
    daily_ids: bool = True,
    tz: str | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "access_log",
) -> EventStream:
    r"""Read access logs of web servers: Apache, Nginx, Caddy, Traefik, IIS, CloudFront, balancers of AWS.

    **Where it comes from.** `access.log` and what logrotate makes of it (`access.log.1`, `….2.gz`). What a
    line is shows in the line itself; several kinds may stand in one file:

    - the common and the combined format, such as `203.0.113.5 - ann [10/Oct/2025:13:55:36 +0200]
      "GET /lamp HTTP/1.1" 200 5120 "referrer" "agent"`; the common one lacks the last two. A virtual host may
      stand before all, and what syslog or Docker put there; other fields behind the bytes or the agent are
      passed over. Quotes inside a field are escaped (`\"`, `\x22`);
    - lines of JSON as Caddy and Traefik write them, as Nginx does with the names of its variables
      (`remote_addr`, `request_uri`, …), and what Docker wraps (`{"log": …}`);
    - the extended format of the W3C, whose fields a line `#Fields:` names (IIS, CloudFront), in UTC;
    - lines of the load balancers of AWS.

    **What becomes what.** A GET is a `page_view`, a POST a `form_submit`; other methods, other statuses than
    `statuses` and static files (images, styles, scripts, fonts, feeds) are excluded. `path` is the target
    without host. The user of an authenticated request is `user_id`. `device` and `is_bot` come from the user
    agent. Method, status, bytes, address and agent stay in `properties`, and other fields that have names.

    **Who it is.** There is no cookie: `anonymous_id` is `weak:` and a hash of address and user agent, for
    requests without a user only, so that it never links one person to another: many people behind one address
    may share it. With `daily_ids` it lives for one day of the log. Give a secret as `salt`, or the addresses
    behind the ids can be guessed. Shares of customers from such logs are rough. Where proxies have put a list
    of addresses, the first is the visitor's; where the address is one of a private network and the proxy's
    field with the visitor's stands behind the agent (`"$http_x_forwarded_for"`) or has a name, that counts.

    **Traps.** Times have whole seconds mostly; the order of lines is kept. Equal lines may be two true
    requests and are both kept; the same file read again is recognised by its lines and their places.

    Parameters
    ----------
    source : path, glob, folder, list of paths, or URL
        The logs.
    statuses : collection of int
        Answers that count as seen.
    assets : bool
        Whether static files are events, too.
    salt : str
        A secret of your own.
    daily_ids : bool
        Whether ids of unknown visitors change every day.
    tz : str, optional
        Zone of times that carry none, as lines of JSON may.
    keep : sequence of str, or mapping of str to type
        Fields that become typed columns: `status`, `host`, `vhost`.
    name : str
        The `source` column.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; no line of it is one of an access log; times without a zone.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cjm_analytics as cjm
    >>> path = pathlib.Path(tempfile.mkdtemp(), "access.log")
    >>> line = '203.0.113.5 - ann [10/Oct/2025:13:55:36 +0200] "GET /lamp?size=1 HTTP/1.1" 200 5120'
    >>> _ = path.write_text(line)
    >>> batch = next(cjm.loaders.access_log(path).batches())
    >>> batch.events.select(["user_id", "event", "path", "timestamp"]).to_pylist()[0]["path"]
    '/lamp?size=1'
    """
    wanted = pa.array([str(one) for one in statuses], pa.string())

    def is_contact(cells: Cells) -> pa.Array:
        found = pc.and_(
            pc.is_in(cells["status"], value_set=wanted),
            pc.is_in(cells["method"], value_set=pa.array(list(_EVENTS))),
        )
        if assets:
            return found
        bare = pc.replace_substring_regex(cells["target"], r"[?#].*$", "")
        return pc.and_(found, pc.invert(pc.fill_null(pc.match_substring_regex(bare, _ASSET), True)))

    def visitor(cells: Cells) -> pa.Array:
        unknown = cells["user"].is_null()
        of_whom = [pc.fill_null(cells[name], "None") for name in ("host", "agent")]
        days = pc.utf8_slice_codeunits(cells["time"], 0, _DATE if daily_ids else 0)
        told_apart = pc.binary_join_element_wise(salt, days, *of_whom, "\n").filter(unknown)
        few = pc.dictionary_encode(told_apart)
        digests = [hashlib.sha256(one.encode()).hexdigest()[:16] for one in few.dictionary.to_pylist()]
        ids = pa.array([f"weak:{one}" for one in digests], pa.string()).take(few.indices)
        return pc.replace_with_mask(pa.nulls(len(cells), pa.string()), unknown, ids)

    events = Events(
        where=Saying(is_contact, ("status", "method", "target")),
        columns={
            "event": told("method", _EVENTS),
            "timestamp": "time",
            "user_id": "user",
            "anonymous_id": Saying(visitor, ("host", "agent", "time", "user")),
            "event_id": "_key",
            "path": each(_target, "target").lifting(),
            "referrer": each(_readable, "referer").lifting(),
            "channel": "=web",
            "is_bot": bot("agent"),
        },
        also={"device": device("agent")},
        aside=("ident", "rest"),
    )
    vendor = Vendor(
        name="access_log",
        title="a web server (an access log)",
        kind="clickstream",
        clock=Clock(tz=tz),
        parts={"lines": Part(told_by=("status", "target"), events=(events,))},
        reader=request_lines,
    )
    if not is_location(source):
        raise InputError(f"An access log is a file, not a {type(source).__name__}.")
    return vendor.stream(source, keep=keep, name=name)


def _readable(text: object) -> str | None:
    """A field without the escapes of the log."""
    if text is None:
        return None
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], str(text))


def _target(text: object) -> str | None:
    """Path and query of a request; to a proxy the whole address is said."""
    return None if text is None else _ORIGIN.sub("", _readable(text) or "") or "/"
