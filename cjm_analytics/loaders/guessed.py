"""Which columns of a table mean what: told by their names and by what is in them, or asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.opened import TECHNICAL
from cjm_analytics.loaders.times import OPTIONS, Clock
from cjm_analytics.loaders.values import texts, trimmed
from cjm_analytics.schema import LOADED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["CUSTOMER", "UNSAID", "bare", "is_technical", "mapping"]

UNSAID: Final = "?"
"""Stands for what only the user knows; a loader refuses it."""

_TIME: Final = (
    r"^(event_?)?(timestamp|time|datetime|date_?time|zeit|zeitpunkt|datum)$", r"^ts$",
    r"(occurred|happened|answered|submitted)",
    r"timestamp", r"(^|_)at$", r"(^|_)(time|ts)$", r"date", r"(created|completed|recorded|placed|when|day)",
)  # fmt: skip
CUSTOMER: Final = (
    r"^(customer|user|client|person|member|contact|account_holder|subscriber|buyer|shopper|patient)(_?(id|key|no|number|name))?$",
    r"(customer|user|client|person|member|contact|subscriber|buyer)_?(unique_)?(id|key|no|number)$", r"^who$",
    r"^(kunde|nutzer|kunden_?(nr|nummer|id))$",
)  # fmt: skip
_ANONYMOUS: Final = (r"anonymous", r"(^|_)(device|cookie|visitor|client)_?id$", r"^(visitor|device|cookie)$")
_EVENT: Final = (
    r"^event(_?(name|type))?$", r"^(action|activity|touchpoint|step|interaction|what)(_?(name|type))?$",
    r"(^|_)(event|action|activity)(_|$)", r"^(aktion|ereignis|vorgang)$",
    r"^(type|status|stage|page|channel_event|name|title)$",
)  # fmt: skip
_SCORE: Final = (
    r"^(score|rating|nps|csat|ces|stars)$",
    r"(score|rating|nps|csat|stars)",
    r"^(answer|grade)$",
)
_INSTRUMENT: Final = r"nps|csat|ces|stars"
_EPOCHS: Final = r"^1\d{9}(\d{3}){0,3}(\.\d+)?$"
_DAYS: Final = r"^\d{5}(\.\d+)?$"
_SLASHED: Final = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d\d\b)")
_FEW: Final = 0.5
_LARGEST_SCORE: Final = 100


@dataclass
class _Columns:
    """The columns of a table, those left whose meaning is not known yet."""

    every: Mapping[str, pa.Array]
    left: dict[str, pa.Array]

    def take(self, patterns: Sequence[str], fits: Callable[[pa.Array], bool] = lambda _: True) -> str | None:
        """The first column left that fits and is called so."""
        for pattern in patterns:
            for name, cells in self.left.items():
                if re.search(pattern, bare(name)) and fits(cells):
                    del self.left[name]
                    return name
        return None

    def times(self, known: Mapping[str, object]) -> list[str]:
        """All columns left that hold times."""
        number = _DAYS if known.get("unit") == "excel" else _EPOCHS
        found = [name for name, cells in self.left.items() if _is_time(name, cells, number)]
        for name in found:
            del self.left[name]
        return found


def mapping(
    columns: Mapping[str, pa.Array], known: Mapping[str, object], name: str
) -> tuple[dict[str, object], list[str]]:
    """Options of `table`, and what cannot be told."""
    used = {value for value in known.values() if isinstance(value, str)}
    left = {one: cells for one, cells in columns.items() if one not in used and not is_technical(one)}
    there = _Columns(columns, left)
    times = there.times(known)
    options, questions = _customer(there, known)
    scored, asked = _score(there, known)
    options |= scored
    questions += asked
    event = known.get("event") or there.take(_EVENT, _is_name)
    chosen = str(known.get("timestamp") or _first_time(times) or "")
    if not chosen and "melt" not in known:
        copied = ", but when rows were copied" if any(map(is_technical, columns)) else ""
        raise InputError(f"No column holds times{copied}. Columns: {', '.join(columns)}.")
    milestones = [one for one in times if one != "received_at"]
    if event is None and len(milestones) > 1 and not {"timestamp", "melt"} & known.keys():
        options["melt"] = {one: _milestone(one) for one in milestones}
        chosen = milestones[0]
    elif "melt" not in known:
        options |= {"timestamp": chosen, "event": event or f"={name}"}
    if chosen in columns:
        questions += _asked_of_time(chosen, columns[chosen], known, options)
    # A canonical name is taken without being named.
    plain = {one for one, column in options.items() if one == column and one in LOADED.names}
    plain |= {one for one in ("customer",) if options.get(one) == "user_id"} | known.keys()
    return {one: column for one, column in options.items() if one not in plain}, questions


def _customer(there: _Columns, known: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """Who it is: a known person, a device, an address."""
    found = {
        "email": there.take([""], _is_address),
        "customer": known.get("user_id") or there.take(CUSTOMER),
        "anonymous_id": there.take(_ANONYMOUS),
    }
    options = {one: column for one, column in found.items() if column and column != known.get("user_id")}
    if any(found.values()) or {"email", "customer", "anonymous_id", "account_id"} & known.keys():
        return dict(options), []
    said = f"No column's name tells the customer: say customer=. Columns: {', '.join(there.every)}."
    return {"customer": UNSAID}, [said]


def _score(there: _Columns, known: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The score, and what it measures: a score without an instrument is no answer."""
    score = None if "score" in known else there.take(_SCORE, _is_score)
    if score is None:
        return {}, []
    if "instrument" in {*there.every, *known}:
        return {"score": score}, []
    if measured := re.search(_INSTRUMENT, bare(score)):
        return {"score": score, "instrument": f"={measured[0]}"}, []
    said = (
        f"Nothing says what {score!r} measures: say instrument='=nps', '=csat', '=ces', '=stars' or another."
    )
    return {"score": score, "instrument": UNSAID}, [said]


def is_technical(name: str) -> bool:
    """Whether a copying tool has added a column: it says when a row was copied, not when something was."""
    return name.lower().startswith(TECHNICAL)


def bare(name: str) -> str:
    """`answeredAt` and `Answered At` as `answered_at`."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")


def _milestone(name: str) -> str:
    return re.sub(r"_(at|on|date|time|timestamp|ts)$", "", bare(name)) or name


def _first_time(times: Sequence[str]) -> str | None:
    """The column of times whose name says most clearly that it is when the event was."""
    for pattern in _TIME:
        for name in times:
            if re.search(pattern, bare(name)):
                return name
    return times[0] if times else None


def _is_time(name: str, cells: pa.Array, number: str) -> bool:
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        return True
    if pa.types.is_nested(cells.type) or cells.null_count == len(cells):
        return False
    words = trimmed(texts(cells)).drop_null()
    if not len(words):
        return False
    is_number = bool(pc.all(pc.match_substring_regex(words, r"^\d+(\.\d+)?$")).as_py())
    if is_number:
        fits = bool(pc.all(pc.match_substring_regex(words, number)).as_py())
        return fits and any(re.search(one, bare(name)) for one in _TIME)
    dated = pc.match_substring_regex(words, r"^\d{4}[/.-]\d\d?[/.-]\d\d?|^\d{1,2}[./-]\d{1,2}[./-]\d{2}")
    return bool(pc.mean(pc.cast(dated, pa.int8())).as_py() > 0.9)  # noqa: PLR2004 - a few may be damaged


def _asked_of_time(
    name: str, cells: pa.Array, known: Mapping[str, object], options: dict[str, object]
) -> Iterator[str]:
    """What must be said of a column of times."""
    asked: Any = {one: known.get(one) for one in ("tz", "dayfirst", "unit")}
    formats = known.get("timestamp_format")
    listed = formats if isinstance(formats, list | tuple) else (formats,) if formats else ()
    asked["formats"] = tuple(map(str, listed))
    example = next((str(one) for one in cells.to_pylist() if one is not None), "")
    if asked["dayfirst"] is None and not asked["formats"] and _SLASHED.match(example):
        order = _order_of(texts(cells).drop_null())
        if order is None:
            yield (
                f"The dates in {name!r} may be read in two ways (for example {example!r}): say dayfirst=True "
                "or dayfirst=False."
            )
            options["dayfirst"] = UNSAID
        else:
            options["dayfirst"] = order
        asked["dayfirst"] = bool(order)
    try:
        places = np.arange(1, len(cells) + 1, dtype=np.int64)
        Clock(**asked, options=OPTIONS).read(cells, places, column=name, file="the first rows")
    except InputError as fault:
        if "zone" in str(fault):
            options["tz"] = UNSAID
            yield (
                f"The times in {name!r} carry no zone (for example {example!r}): say tz=, such as "
                f"{'Europe/Berlin'!r}."
            )
        else:
            yield str(fault)


def _order_of(words: pa.Array) -> bool | None:
    """Whether dates begin with the day, where one of them can only be read so."""
    parts = pc.extract_regex(words, r"^(?P<first>\d{1,2})[./-](?P<second>\d{1,2})[./-]\d\d")
    largest = [
        pc.max(pc.cast(pc.struct_field(parts, one), pa.int64())).as_py() or 0 for one in ("first", "second")
    ]
    if largest[0] > 12 >= largest[1]:  # noqa: PLR2004 - months
        return True
    return False if largest[1] > 12 >= largest[0] else None  # noqa: PLR2004


def _is_address(cells: pa.Array) -> bool:
    if not pa.types.is_string(cells.type) or cells.null_count == len(cells):
        return False
    fits = pc.match_substring_regex(cells.drop_null(), r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    return bool(pc.mean(pc.cast(fits, pa.int8())).as_py() > 0.9)  # noqa: PLR2004


def _is_name(cells: pa.Array) -> bool:
    """Whether a column has few different texts."""
    if pa.types.is_nested(cells.type) or pa.types.is_floating(cells.type) or cells.null_count == len(cells):
        return False
    words = texts(cells).drop_null()
    return len(pc.unique(words)) <= max(10, len(words) * _FEW)


def _is_score(cells: pa.Array) -> bool:
    if pa.types.is_nested(cells.type) or cells.null_count == len(cells):
        return False
    words = texts(cells).drop_null()
    numbers = words.filter(pc.match_substring_regex(words, r"^-?\d+(\.\d+)?$"))
    if len(numbers) <= 0.9 * len(words):  # a few may be damaged
        return False
    return bool(pc.max(pc.cast(numbers, pa.float64())).as_py() <= _LARGEST_SCORE)
