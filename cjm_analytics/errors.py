"""What can go wrong, and what to do next."""

from __future__ import annotations

import difflib
from numbers import Integral
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = [
    "CJMError", "InputError", "ModelError", "ModelWarning", "StoreError", "UnknownNameError",
    "check_count", "check_several", "counted", "hint",
]  # fmt: skip

_SHOWN = 12
"""At most so many of the available names stand in a message."""


class CJMError(ValueError):
    """Something that the user can put right.

    Attributes
    ----------
    failures : pandas.DataFrame or None
        All faults of one input, one per row, where several were found at once.
    """

    failures: pd.DataFrame | None = None

    def with_failures(self, failures: pd.DataFrame) -> Self:
        """Return the error with the table of all faults attached."""
        self.failures = failures
        return self


class InputError(CJMError):
    """Raw data that cannot be used as asked."""


class ModelError(CJMError):
    """A journey model that does not mean anything."""


class ModelWarning(UserWarning):
    """A journey model that means something, though perhaps not what its writer meant."""


class StoreError(CJMError):
    """An event or journey store that is damaged, foreign or in use."""


class UnknownNameError(CJMError):
    """A name that is not there; the message names the nearest one that is.

    Attributes
    ----------
    available : tuple of str
        The names that there are.

    Examples
    --------
    >>> raise UnknownNameError("touchpoint", "chekout", ["cart", "checkout"])
    Traceback (most recent call last):
    cjm_analytics.errors.UnknownNameError: No touchpoint named 'chekout'. Did you mean 'checkout'? \
There are: cart, checkout.
    """

    def __init__(self, kind: str, name: object, available: Iterable[str]) -> None:
        self.available = tuple(map(str, available))
        super().__init__(f"No {kind} named {str(name)!r}.{hint(str(name), self.available)}")


def check_count(name: str, value: int | None, *, least: int = 1, none: str | None = "for all") -> None:
    """Refuse what is no count, or too small a one; `none` says what None is for, where it is allowed."""
    if value is None and none:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        other = f", or None {none}" if none else ""
        raise InputError(f"{name}={value!r} must be a whole number of at least {least}{other}.")


def check_several(groups: Iterable[object]) -> None:
    """Refuse to compare one group with nothing; of no groups at all, as where nothing is, all pairs are none.

    Examples
    --------
    >>> check_several(["web"])
    Traceback (most recent call last):
    cjm_analytics.errors.InputError: There is one group only, 'web', and no other to compare it with.
    """
    names = [", ".join(one) if isinstance(one, tuple) else str(one) for one in groups]
    if len(names) == 1:
        raise InputError(f"There is one group only, {names[0]!r}, and no other to compare it with.")


def counted(number: int, name: str, plural: str | None = None) -> str:
    """A number of things as a text says it, with their name in the right form.

    Examples
    --------
    >>> counted(1, "row"), counted(1_200, "row"), counted(0, "success", "successes")
    ('1 row', '1,200 rows', '0 successes')
    """
    return f"{number:,} {name if number == 1 else plural or name + 's'}"


def hint(name: str, available: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest known ones, and what there is."""
    names = list(available)
    if not names:
        return " There are none here."
    folded = {one.casefold(): one for one in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6) if name else []
    meant = f" Did you mean {folded[near[0]]!r}?" if near else ""
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{meant} There are: {shown}{more}."
