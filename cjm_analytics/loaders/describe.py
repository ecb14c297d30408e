"""Looks at a file before it is read: which loader knows it, or which of its columns mean what."""

from __future__ import annotations

import inspect
import itertools
import os
import re
import warnings
from dataclasses import dataclass, field, replace
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics._card import Card, shown
from cjm_analytics.errors import CJMError, InputError, UnknownNameError
from cjm_analytics.loaders.files import find_files, is_location, stem
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.rows import CsvFormat
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import texts, trimmed
from cjm_analytics.schema import LOADED, REJECTS, Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["Description", "describe"]

_GENERIC: Final = ("table", "sql", "describe")
_LOOKED_AT: Final = 2_000
_BLOCKS: Final = 32
_UNSAID: Final = "?"
_OWN: Final = frozenset(
    ("source", "source_kind", "src_file", "src_row", "seq", "time_quality", "actor", "properties")
)
"""Columns that say nothing of how well a loader understands a file."""

_TIME: Final = (
    r"^(event_?)?(timestamp|time|datetime|date_?time|zeit|zeitpunkt|datum)$", r"^ts$",
    r"(occurred|happened|answered|submitted)",
    r"timestamp", r"(^|_)at$", r"(^|_)(time|ts)$", r"date", r"(created|completed|recorded|placed|when|day)",
)  # fmt: skip
_CUSTOMER: Final = (
    r"^(customer|user|client|person|member|contact|account_holder|subscriber|buyer|shopper|patient)(_?(id|key|no|number|name))?$",
    r"(customer|user|client|person|member|contact|subscriber|buyer)_?(unique_)?(id|key|no|number)$", r"^who$",
    r"^(kunde|nutzer|kunden_?(nr|nummer|id))$",
)  # fmt: skip
_ANONYMOUS: Final = (r"anonymous", r"(^|_)(device|cookie|visitor|client)_?id$", r"^(visitor|device|cookie)$")
_EVENT: Final = (
    r"^event(_?(name|type))?$", r"^(action|activity|touchpoint|step|interaction|what)(_?(name|type))?$",
    r"(event|action|activity)", r"^(type|status|stage|page|channel_event|name|title)$",
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


@dataclass(frozen=True)
class Description:
    """What `describe` found.

    Attributes
    ----------
    loader : str
        The name in `cjm.loaders`.
    options : mapping
        What it must be told.
    questions : tuple of str
        What cannot be told from the data: each names the option to say it with. Where there is one, `code`
        has a `"?"` in its place.
    others : tuple of str
        Other loaders that would read it, too.
    """

    source: str
    loader: str
    options: Mapping[str, object]
    questions: tuple[str, ...]
    others: tuple[str, ...]
    _found: tuple[tuple[str, str | None, float, str], ...] = field(repr=False)

    @property
    def code(self) -> str:
        """A line of code that reads it."""
        said = [self.source, *(f"{name}={value!r}" for name, value in self.options.items())]
        return f"cjm.loaders.{self.loader}({', '.join(said)})"

    def to_frame(self) -> pd.DataFrame:
        """One row per column: the canonical name, the column of the source, how much of it is filled, a cell.

        For a vendor's export these are the canonical columns that its loader fills (and no column of the
        source); for any other table the columns of the source, and what each becomes.
        """
        import pandas as pd

        frame = pd.DataFrame(list(self._found), columns=["becomes", "column", "filled", "example"])
        return frame.astype({"filled": float})

    def __repr__(self) -> str:
        said = [self.code, *(f"# ? {one}" for one in self.questions)]
        return "\n".join([*said, *([f"# or: {', '.join(self.others)}"] if self.others else [])])

    def _repr_html_(self) -> str:
        facts = {"loader": self.loader, **({"or": ", ".join(self.others)} if self.others else {})}
        frame = self.to_frame().dropna(axis="columns", how="all")  # a vendor's loader names no columns
        frame["filled"] = [shown(share, share=True) for share in frame["filled"]]
        card = Card("What this is", facts, frame).html()
        asked = "".join(f"<li>{escape(one)}</li>" for one in self.questions)
        return f"<pre>{escape(self.code)}</pre>{f'<ul>{asked}</ul>' if asked else ''}{card}"


def describe(source: object, **known: object) -> Description:
    """Look at a file, folder or table, and propose the line of code that reads it.

    **How.** Only the first rows are read. Each vendor's loader is asked whether it knows them; of those that
    do, the one that finds the most in them is proposed: the most rows that can be used, the vendor's own name
    in the path or the rows, the most canonical columns. What no vendor knows is a `table`: columns are told
    by what is in them (times, few different names, numbers of a scale, addresses) and by their names. A
    separator that is no comma is in the line, too, so that one sees how the file was understood.

    **What is not guessed.** A time without a zone, a date that may be read in two ways, a customer that no
    name tells: these are `questions`, and the option that answers each stands as `"?"` in the line of code,
    which the loader refuses. Give the answer to `describe` (`tz="Europe/Berlin"`), and it is in the line.

    Parameters
    ----------
    source : path, glob, folder, list of paths, or table
        What to look at.
    **known
        Options of the loader that you know already: `tz=`, `dayfirst=`, `customer=`, …

    Returns
    -------
    Description
        `code` is the line; `to_frame()` says what was found; in a notebook it shows both.

    Raises
    ------
    InputError
        No such file; a file that is empty; a table in which no column holds times.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"customer_id": ["ada", "bob"], "action": ["visit", "buy"],
    ...         "created_at": ["2025-03-01 10:00", "2025-03-01 11:00"]}
    >>> cjm.loaders.describe(rows)
    cjm.loaders.table(source, customer='customer_id', timestamp='created_at', event='action', tz='?')
    # ? The times in 'created_at' carry no zone (for example '2025-03-01 10:00'): say tz=, such as \
'Europe/Berlin'.
    >>> cjm.loaders.describe(rows, tz="Europe/Berlin").questions
    ()
    """
    if is_location(source):
        find_files(source, "json")  # that there is something at all, whatever it is called
    name = _shown(source)
    if hasattr(source, "head"):  # of a frame, only the first rows go through every loader
        source = source.head(_LOOKED_AT)
    found = sorted(_vendors(source, known), key=lambda one: one.rank, reverse=True)
    try:
        plain = _table(source, name, known)
    except CJMError:
        if not found:
            raise
        plain = None
    best = found[0] if found else None
    if plain is not None and (best is None or _says_more(plain, best)):
        return plain
    assert best is not None  # noqa: S101 - else there is a table
    others = tuple(one.name for one in found[1:] if one.rank[:4] == best.rank[:4])
    return Description(name, best.name, best.options, best.questions, others, _filled(best.batch))


def _shown(source: object) -> str:
    if isinstance(source, os.PathLike):
        return repr(os.fspath(source))
    if isinstance(source, list | tuple | set | frozenset):
        return repr([os.fspath(one) for one in source])
    return repr(source) if isinstance(source, str) else "source"


# Vendors


@dataclass(frozen=True)
class _Reading:
    """What a vendor's loader makes of the first rows."""

    name: str
    options: Mapping[str, object]
    questions: tuple[str, ...]
    batch: Batch
    is_named: bool

    @property
    def rank(self) -> tuple[bool, float, bool, int, str]:
        read = max(self.batch.n_read, 1)
        usable = 1 - self.batch.rejects.num_rows / read
        columns = sum(filled > 0 for _, _, filled, _ in _filled(self.batch))
        # Of equals the last by name: nothing tells them apart, and both are said.
        is_one = bool(self.batch.events.num_rows or self.questions)  # and not only people
        return is_one, round(usable, 3), self.is_named, columns, self.name


def _vendors(source: object, known: Mapping[str, object]) -> Iterator[_Reading]:
    """The loaders that know the source."""
    window = import_module("cjm_analytics.loaders")
    text = _text(source).lower()
    for name in window.__all__:
        if name in _GENERIC:
            continue
        loader: Callable[..., EventStream] = getattr(window, name)
        word = name.partition("_")[0]
        found = _tried(loader, source, known)
        if found is not None:
            yield replace(found, is_named=word in text or word[:6] in text)


def _text(source: object) -> str:
    """Where the source lies, and how it begins."""
    if not is_location(source):
        return ""
    said = []
    for file in find_files(source, "json", mixed=True)[:8]:
        with file.open() as stream:
            start = bytes(stream.read(1 << 14))
        said += [stem(file.shown), start.decode("utf-8", "replace")]
    return "\n".join(said)


def _tried(
    loader: Callable[..., EventStream], source: object, known: Mapping[str, object]
) -> _Reading | None:
    parameters = inspect.signature(loader).parameters
    options = {name: value for name, value in known.items() if name in parameters}
    needed = [
        one.name
        for one in parameters.values()
        if one.kind is one.KEYWORD_ONLY and one.default is one.empty and one.name not in options
    ]
    asked = {**options, **dict.fromkeys(needed, _UNSAID)}
    nothing = _empty()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = loader(source, **asked)
            batch = nothing
            for one in itertools.islice(stream.read(frozenset()), _BLOCKS):
                if not (_is_something(one) or _has_commas(one)):
                    continue
                batch = one if one.events.num_rows or batch is nothing else batch
                if one.events.num_rows:
                    break
    except UnknownNameError as fault:
        missing = next((one for one in needed if f"{one}=" in str(fault)), None)
        there = [one for one in fault.available if any(re.search(name, _bare(one)) for name in _CUSTOMER)]
        if missing and len(there) == 1:
            found = _tried(loader, source, {**known, missing: there[0]})
        else:
            said = f"Say {missing}=. There are: {', '.join(fault.available)}."
            found = _Reading(loader.__name__, asked, (said,), nothing, is_named=False) if missing else None
        return found
    except InputError as fault:
        return _tried_with_more(loader, source, known, str(fault))
    except (CJMError, OSError, ValueError, TypeError, KeyError, pa.ArrowException):
        return None
    if "decimal" in parameters and "decimal" not in options and _has_commas(batch):
        return _tried(loader, source, {**known, "decimal": ","})
    if not _is_something(batch) or batch.rejects.num_rows * 2 > batch.n_read:
        return None
    return _Reading(loader.__name__, asked, (), batch, is_named=False)


def _tried_with_more(
    loader: Callable[..., EventStream], source: object, known: Mapping[str, object], fault: str
) -> _Reading | None:
    """What a loader makes of the rows once somebody has said what it lacks: that becomes a question."""
    zone = f"The times carry no zone: say tz=, such as {'Europe/Berlin'!r}."
    order = fault.partition(", or give timestamp_format=")[0] + "."
    for option, sign, answers, question in (
        ("tz", " zone", ("UTC",), zone),
        ("dayfirst", " dayfirst=", (False, True), order),
    ):
        if sign not in fault or option in known or option not in inspect.signature(loader).parameters:
            continue
        for answer in answers:
            found = _tried(loader, source, {**known, option: answer})
            if found is not None:
                options = {**found.options, option: _UNSAID}
                return replace(found, options=options, questions=(question, *found.questions))
    return None


def _has_commas(batch: Batch) -> bool:
    """Whether most rows are rejects because their decimal sign is the comma."""
    commas = pc.sum(pc.match_substring(batch.rejects["reason"], "say decimal=','")).as_py() or 0
    return bool(commas * 2 > batch.n_read)


def _is_something(batch: Batch) -> bool:
    return bool(batch.events.num_rows or batch.links.num_rows or batch.customers.num_rows or batch.n_nameless)


def _empty() -> Batch:
    return Batch(LOADED.empty_table(), 0, REJECTS.empty_table())


def _filled(batch: Batch) -> tuple[tuple[str, str | None, float, str], ...]:
    """How much of each canonical column is filled, and a cell of it."""
    rows = []
    for name in batch.events.column_names:
        cells = batch.events[name]
        share = 1 - cells.null_count / max(len(cells), 1)
        if name not in _OWN and share and len(cells):
            rows.append((name, None, share, str(cells.drop_null()[0].as_py())[:60]))
    return tuple(rows)


def _says_more(plain: Description, vendor: _Reading) -> bool:
    """Whether a mapping that tells the customer finds as much as a vendor's loader does."""
    mapped = {becomes for becomes, *_ in plain._found} - {"properties", *_OWN}  # noqa: SLF001
    tells_whom = plain.options.get("customer") != _UNSAID and not mapped.isdisjoint({"user_id", "email"})
    return tells_whom and len(mapped) >= vendor.rank[3]


# Any other table


def _table(source: object, place: str, known: Mapping[str, object]) -> Description:
    read_as = {
        name: known[name]
        for name in ("sep", "encoding", "quote", "header_rows", "skip_rows", "sheet")
        if name in known
    }
    written = CsvFormat(**read_as)  # type: ignore[arg-type]
    asked = known.get("format")
    origin = Origin.of(source, str(asked) if asked else None, written)
    rows = origin.glance()
    columns = _columns(rows)
    if not columns:
        raise InputError(f"{place} holds no rows to look at.")
    options, questions = _mapping(columns, known, stem(origin.name))
    sep = getattr(rows, "separator", None)
    told = {"sep": sep} if sep not in {None, ","} and "sep" not in known else {}
    options = {**known, **options, **told}
    order = ("customer", "anonymous_id", "email", "timestamp", "event", "melt", "score", "instrument")
    ordered = {name: options.pop(name) for name in order if name in options} | options
    becomes = {str(value): name for name, value in ordered.items() if isinstance(value, str)}
    becomes |= dict.fromkeys(ordered.get("melt", {}), "timestamp")  # type: ignore[call-overload]
    becomes = {one: one for one in LOADED.names} | becomes
    found = tuple(
        (
            {"customer": "user_id"}.get(becomes.get(name, ""), becomes.get(name, "properties")),
            name,
            1 - cells.null_count / len(cells),
            _cut(next((str(one) for one in cells.to_pylist() if one is not None), "")),
        )
        for name, cells in columns.items()
    )
    return Description(place, "table", ordered, tuple(questions), (), found)


def _cut(text: str) -> str:
    return text[:60]


def _columns(rows: Rows) -> dict[str, pa.Array]:
    """The first cells of each column."""
    found = {name: rows.column(name)[:_LOOKED_AT] for name in rows.names()}
    return {name: cells for name, cells in found.items() if len(cells)}


@dataclass
class _Columns:
    """The columns of a table, those left whose meaning is not known yet."""

    every: Mapping[str, pa.Array]
    left: dict[str, pa.Array]

    def take(self, patterns: Sequence[str], fits: Callable[[pa.Array], bool] = lambda _: True) -> str | None:
        """The first column left that fits and is called so."""
        for pattern in patterns:
            for name, cells in self.left.items():
                if re.search(pattern, _bare(name)) and fits(cells):
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


def _mapping(
    columns: Mapping[str, pa.Array], known: Mapping[str, object], name: str
) -> tuple[dict[str, object], list[str]]:
    """Options of `table`, and what cannot be told."""
    used = {value for value in known.values() if isinstance(value, str)}
    there = _Columns(columns, {one: cells for one, cells in columns.items() if one not in used})
    times = there.times(known)
    options, questions = _customer(there, known)
    scored, asked = _score(there, known)
    options |= scored
    questions += asked
    event = known.get("event") or there.take(_EVENT, _is_name)
    chosen = str(known.get("timestamp") or _first_time(times) or "")
    if not chosen and "melt" not in known:
        raise InputError(f"No column holds times. Columns: {', '.join(columns)}.")
    if event is None and len(times) > 1 and not {"timestamp", "melt"} & known.keys():
        options["melt"] = {one: _milestone(one) for one in times}
        chosen = times[0]
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
        "customer": known.get("user_id") or there.take(_CUSTOMER),
        "anonymous_id": there.take(_ANONYMOUS),
    }
    options = {one: column for one, column in found.items() if column and column != known.get("user_id")}
    if any(found.values()) or {"email", "customer", "anonymous_id", "account_id"} & known.keys():
        return dict(options), []
    said = f"No column's name tells the customer: say customer=. Columns: {', '.join(there.every)}."
    return {"customer": _UNSAID}, [said]


def _score(there: _Columns, known: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """The score, and what it measures: a score without an instrument is no answer."""
    score = None if "score" in known else there.take(_SCORE, _is_score)
    if score is None:
        return {}, []
    if "instrument" in {*there.every, *known}:
        return {"score": score}, []
    if measured := re.search(_INSTRUMENT, _bare(score)):
        return {"score": score, "instrument": f"={measured[0]}"}, []
    said = (
        f"Nothing says what {score!r} measures: say instrument='=nps', '=csat', '=ces', '=stars' or another."
    )
    return {"score": score, "instrument": _UNSAID}, [said]


def _bare(name: str) -> str:
    """`answeredAt` and `Answered At` as `answered_at`."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")


def _milestone(name: str) -> str:
    return re.sub(r"_(at|on|date|time|timestamp|ts)$", "", _bare(name)) or name


def _first_time(times: Sequence[str]) -> str | None:
    """The column of times whose name says most clearly that it is when the event was."""
    for pattern in _TIME:
        for name in times:
            if re.search(pattern, _bare(name)):
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
        return fits and any(re.search(one, _bare(name)) for one in _TIME)
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
            options["dayfirst"] = _UNSAID
        else:
            options["dayfirst"] = order
        asked["dayfirst"] = bool(order)
    try:
        places = np.arange(1, len(cells) + 1, dtype=np.int64)
        Clock(**asked).read(cells, places, column=name, file="the first rows")
    except InputError as fault:
        if "zone" in str(fault):
            options["tz"] = _UNSAID
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
