"""The generic loader: any table with a customer, a time and an event becomes canonical events."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, UnknownNameError, hint
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.rows import Broken, ObjectRows, Rows, words
from cjm_analytics.loaders.source import Draft, EventStream, checked_kind
from cjm_analytics.loaders.times import OPTIONS, Clock, quality_column
from cjm_analytics.loaders.values import (
    Cells,
    Money,
    bare,
    constant,
    flags,
    ids,
    money,
    names,
    numbers,
    path_of,
    texts,
    trimmed,
    whole_numbers,
)
from cjm_analytics.schema import (
    ACTORS,
    CANONICAL,
    COPIES,
    FIRST,
    INVITE,
    LATEST,
    LINKS,
    LOADED,
    PER_ORDER,
    Batch,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["Layout", "Promoted", "canonical", "checked_keep", "promoted_name", "table"]

_IDS: Final = ("user_id", "anonymous_id", "account_id")
_OWN: Final = ("source", "source_kind", "src_file", "src_row", "time_quality", "properties")
"""Columns that the loader writes itself: one of such a name in the source is no canonical one."""

_MAPPABLE: Final = tuple(name for name in LOADED.names if name not in _OWN)
_TIMES: Final = ("timestamp", "received_at")
_FLAGS: Final = ("is_bot", "is_test")
_NUMBERS: Final = ("score", "score_min", "score_max")
_NAMES: Final = ("event", "actor", "channel", "instrument")
_DIFFERENT: Final = ("timestamp", "received_at", "event_id", "seq")
"""What no two rows need share: a constant makes no sense."""

_READERS: Final = {
    **dict.fromkeys(_NAMES, names),
    **dict.fromkeys(_FLAGS, flags),
    "seq": whole_numbers,
}
_KEEP_TYPES: Final = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}


@dataclass(frozen=True)
class Layout:
    """Which column of a source is which canonical one, and how its cells are written.

    Attributes
    ----------
    columns : mapping
        Canonical name → column of the source, or `=constant`; an empty text: not this one.
    email : str or None
        Column of e-mail addresses.
    melt : mapping
        Column of a milestone → event name; empty for long tables.
    keep : mapping
        Column to promote → its type, or None for its own.
    clock : Clock
        How times are written.
    decimal : str
        The decimal sign of numbers in text.
    ignored : frozenset
        Columns of the source that stand for nothing and are not kept in `properties`.
    later : frozenset
        Columns that the first file lacks and another has.
    """

    columns: Mapping[str, str]
    email: str | None = None
    melt: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, type | None] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    decimal: str = "."
    ignored: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()

    def resolved(self, rows: Rows, *, is_first: bool = False) -> Layout:
        """The layout of a block: columns with canonical names are taken, those that were named must be there.

        JSON objects leave out what they have not got: there, a member may be absent from a whole block, and
        only the first block must show a customer, a time and an event. Of several files each must have these,
        and what else was named must be in one of them.
        """
        if rows.is_sparse and not len(rows):
            return self
        there = rows.names()
        if is_first or not rows.is_sparse:
            self._check_named(rows, there, is_first=is_first)
        used = {*self.columns.values(), *self.melt, self.email}
        taken = {
            name: name
            for name in _MAPPABLE
            if name in there and name not in self.columns and name not in used and not self._melted(name)
        }
        found = replace(self, columns={**taken, **self.columns})
        found.check(rows)
        return found

    def _check_named(self, rows: Rows, there: Sequence[str], *, is_first: bool) -> None:
        ids = [(name, self.columns[name]) for name in _IDS if self.columns.get(name)]
        ids += [("email", self.email)] if self.email else []
        others = [(name, column) for name, column in self.columns.items() if column and name not in _IDS]
        others += [("melt", column) for column in self.melt]
        if is_first and not rows.is_sparse:
            others += [("keep", column) for column in self.keep]
            others = [(name, column) for name, column in others if column not in self.later]
        else:
            always = {"timestamp", "event"} if rows.is_sparse else {"timestamp", "event", "melt"}
            others = [(name, column) for name, column in others if name in always]
        if rows.is_sparse:
            ids = [] if any(_is_there(rows, column) for _, column in ids) else ids
        for name, column in [*ids, *others]:
            if not _is_there(rows, column):
                _refuse_doubled(column, there, rows.file)
                option = "customer" if name == "user_id" else name
                raise UnknownNameError(f"column in {rows.file} for {option}=", column, there)

    @property
    def optional(self) -> set[str]:
        """Columns that were named and that not every file need have."""
        named = {column for name, column in self.columns.items() if name not in {*_IDS, "timestamp", "event"}}
        return {column for column in (*named, *self.keep) if column and not column.startswith("=")}

    def _melted(self, name: str) -> bool:
        return bool(self.melt) and name in {"timestamp", "event", "seq"}

    def check(self, rows: Rows) -> None:
        """What every table needs: a customer, a time, an event."""
        there = ", ".join(rows.names()[:20]) or "none"
        if not self.email and not any(self.columns.get(name) for name in _IDS):
            raise InputError(
                f"Which column of {rows.file} tells the customer? Say customer=, or anonymous_id= for a "
                f"cookie or device. Columns: {there}."
            )
        for name, example in (("timestamp", "timestamp='created_at'"), ("event", "event='action'")):
            if not self.columns.get(name) and not self.melt:
                extra = " (or event='=order_placed' for a constant)" if name == "event" else ""
                raise InputError(
                    f"Which column of {rows.file} is the {name}? Say {name}=, for example {example}{extra}. "
                    f"Columns: {there}."
                )

    def source_columns(self) -> set[str]:
        """Columns of the source that have a canonical place and need no second one in `properties`."""
        mapped = {column for column in self.columns.values() if not column.startswith("=")}
        email = {self.email} if self.email else set()
        return mapped | set(self.melt) | email | set(self.keep) | set(self.ignored)


def table(  # noqa: PLR0913 - one parameter per thing that a table may say
    source: object,
    *,
    customer: str | None = None,
    timestamp: str | None = None,
    event: str | None = None,
    email: str | None = None,
    melt: Mapping[str, str] | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str | None = None,
    kind: str | None = None,
    dedupe: Sequence[str] | None = None,
    copies: str = "first",
    format: str | None = None,  # noqa: A002 - the user's word
    tz: str | None = None,
    unit: str | None = None,
    timestamp_format: str | Sequence[str] | None = None,
    dayfirst: bool | None = None,
    sep: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
    quote: str = '"',
    null_values: Sequence[str] = (),
    header_rows: int = 1,
    skip_rows: int = 0,
    sheet: str | None = None,
    **columns: str | float | None,
) -> EventStream:
    r"""Read any table of events: name the columns that tell who, when and what.

    **From where.** A path, a glob (`"logs/2025-*.csv.gz"`), a folder, a list of them, or a URL that pyarrow's
    file systems open (`s3://…`); CSV, JSON lines, a JSON array of objects, or Parquet, each plain, `.gz` or
    `.zst`; Excel workbooks (`.xlsx` and its kin, `.ods`), which are held in memory and need the extra
    `excel`. Or what is in memory: a pandas, Polars or pyarrow table, a record batch reader (read once), a
    DuckDB relation, anything with `__arrow_c_stream__`, a dict of lists.

    **What becomes what.** `customer=`, `timestamp=`, `event=` and every other canonical column given by its
    name (`anonymous_id=`, `channel=`, `score=`, `order_id=`, `ticket_id=`, `value=`, `session_id=`, …) say
    which column of the source it is; a dotted name reaches into JSON. A value that begins with `=` is a
    constant: `event="=order placed"`. Columns of the source that have a canonical name already are taken
    without being named, unless they are used otherwise; `channel=""` leaves such a one alone. All other
    columns become JSON in `properties`, empty cells left out; a column `properties` of objects is merged into
    it. One row is one event, except with `melt`.

    **Rules.** Ids are text (zeros in front stay, `17.0` from a frame is `17`), trimmed, in Unicode form NFC,
    and never lower-cased, except e-mail addresses. Event names are trimmed, never rewritten. `seq` is the row
    number unless mapped; `path` comes from `url` where it is empty or not mapped; `actor` is `customer` (of
    invites, `company`). An amount may stand beside its currency (`€ 12,50`, `12.50 EUR`), which is taken
    where no column says another; the sign of several (`$`) is none. Times become UTC: a time without a zone
    needs `tz`, in the hour that the clocks repeat the first is meant (`time_quality` *inferred*), a time that
    the clocks skip is a reject; a date stands at noon (*date*); epoch numbers are told by their size. A row
    number (`src_row`) counts the lines of a text file from 1, the header among them, and the rows of Parquet,
    of a frame and of a JSON array from 1.

    **Rejects**, each with its row and reason: no customer, no event name, no time or one that cannot be read,
    a number that is none, an amount in two currencies, a score off its scale (where `score_min`, `score_max`
    are known), an actor that is none, a row with too many or too few fields, bytes that are no text, a line
    that is no JSON. Every row read is an event, a reject or excluded; a row in which nothing is, is none.

    Parameters
    ----------
    source : path, list of paths, or table
        Files of one call share one layout; a file that lacks a named column is an error.
    customer : str, optional
        Column of the known customer: the canonical `user_id`, but that customers who are numbered from 0 have
        a customer `0`. Where 0 stands for guests, name the column with `user_id=`.
    timestamp, event : str, optional
        Columns of time and event name.
    email : str, optional
        Column of e-mail addresses: where there is no `user_id`, `email:<address>` is the `anonymous_id`;
        where there is one, a link between both, so that other sources that know the address meet the same
        customer. Beside an `anonymous_id` alone, the address is linked with that.
    melt : mapping, optional
        For wide tables with one column per milestone: column → event name. Each filled cell is an event at
        its time; the other columns repeat. Equal times follow the order of the mapping (`seq`); a mapped
        `event_id` gets the event's name appended. A row counts as read once per filled cell; one without any
        is excluded.
    keep : sequence of str, or mapping of str to type
        Columns (or members of JSON `properties`, also dotted) that become typed columns behind the canonical
        ones, for `by=` and `where=`. CSV text stays text unless a type is given: `keep={"price": float}`.
    name : str, optional
        The `source` column; by default the file's name without endings, the folder's name for several files,
        or `table`.
    kind : str, optional
        clickstream, crm, support, order, survey or log; by default `survey` if there is a score, else
        `clickstream`.
    dedupe : sequence of str, optional
        Canonical columns that say that two rows are the same event; by default `event_id` if there is one.
    copies : str
        Which of the rows that are the same event stays, by `received_at`: `first`, or `latest`, as where a
        table has a row again whenever it changed: `dedupe=["order_id"], copies="latest",
        received_at="updated_at"`. With `per_order`, rows of different `order_id` are different events, of
        each the latest stays, and a row without one (an open cart) only if no other of its key has a later
        time: `dedupe=["session_id"], copies="per_order"`.
    format : str, optional
        csv, json, parquet or excel, where the ending does not tell.
    tz : str, optional
        Zone of times that carry none, such as `Europe/Berlin`. Never guessed.
    unit : str, optional
        s, ms, us or ns: of epoch numbers. By default their size tells, and a file of several sizes is an
        error. `excel`: numbers are a spreadsheet's days (45717.5, or 45717,5, is noon of 1 March 2025), in
        the zone `tz`.
    timestamp_format : str or sequence of str, optional
        `strptime` formats, tried in turn; needed for anything but ISO 8601 (2025/2/1, too), epochs and (with
        `dayfirst`) 01/02/2025 or 1.2.25, each also with AM or PM.
    dayfirst : bool, optional
        Whether 01/02/2025 is 1 February. Without it such dates are an error.
    sep, decimal, encoding, quote : str
        Of CSV (`encoding` also of JSON). The separator is told by the first lines if they can only mean one.
        `quote=""`: quotes are ordinary signs.
    null_values : sequence of str
        CSV texts that mean "empty", for example `["NULL", r"\N"]`.
    header_rows : int
        Of CSV and Excel: rows that together name the columns, ` / ` between their texts; an empty cell above
        the last belongs to the one on its left, as in merged cells.
    skip_rows : int
        Of CSV and Excel: lines (or rows of the sheet) above the header, such as a title.
    sheet : str, optional
        Of a workbook; needed where several have something in them.
    **columns : str or float
        Other canonical columns. `score_min=0, score_max=10` may be numbers.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; no customer, time or event named; times without a zone; mixed units; ambiguous dates.
    UnknownNameError
        A column, zone, format or canonical name that is not there, with the nearest that is.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> orders = {"who": [7, 8], "at": ["2025-03-01 10:00", "2025-03-02"], "sum": [9, 5], "shop": list("xy")}
    >>> source = cjm.loaders.table(
    ...     orders, customer="who", timestamp="at", event="=order placed", value="sum", tz="Europe/Berlin"
    ... )
    >>> batch = next(source.batches())
    >>> batch.events.select(["user_id", "time_quality", "value", "properties"]).to_pylist()[1]
    {'user_id': '8', 'time_quality': 'date', 'value': Decimal('5.0000'), 'properties': '{"shop":"y"}'}
    >>> print(batch.events["timestamp"][1])
    2025-03-02 11:00:00+00:00
    """
    mapping = _mapping({"user_id": customer, "timestamp": timestamp, "event": event}, columns)
    formats = (timestamp_format,) if isinstance(timestamp_format, str) else tuple(timestamp_format or ())
    clock = Clock(None if tz is None else str(tz), unit, formats, dayfirst, OPTIONS)
    _check_decimal(decimal, sep)
    layout = Layout(
        mapping,
        email,
        _checked_melt(melt, mapping),
        checked_keep(keep),
        clock,
        decimal,
    )
    written = CsvFormat(
        sep, encoding, quote, tuple(null_values), header_rows=header_rows, skip_rows=skip_rows, sheet=sheet
    )
    origin = replace(Origin.of(source, format, written), columns=True)
    layout = replace(layout, later=origin.only_later(layout.optional))
    first = layout.resolved(origin.glance(), is_first=True)
    has_score = bool(first.columns.get("score"))
    label = name or origin.name
    told_apart = _checked_dedupe(dedupe, first)
    of_kind = checked_kind(kind or ("survey" if has_score else "clickstream"))

    def read(left_out: frozenset[str]) -> Iterator[Batch]:
        yield from _batches(origin.without(left_out), layout, label, of_kind)

    return EventStream(
        name=label,
        dedupe=told_apart,
        copies=_checked_copies(copies, told_apart, first),
        keep=tuple(promoted_name(one) for one in layout.keep),
        files=origin.shown,
        read=read,
        separable=tuple(origin.files),
        zero=customer is not None,
        reading=repr((layout, written, label, of_kind, customer is not None, origin.reader or None)),
    )


def _batches(origin: Origin, layout: Layout, name: str, kind: str) -> Iterator[Batch]:
    layout = replace(layout, clock=layout.clock.afresh())
    promoted = Promoted(layout.keep)
    unseen = {column for column in layout.columns.values() if column and not column.startswith("=")}
    file, resolved, has_rows = None, layout, False
    for rows in origin.blocks():
        has_rows |= len(rows) > 0
        if rows.file != file or rows.is_sparse:
            file, resolved = rows.file, layout.resolved(rows, is_first=file is None)
            unseen = {column for column in unseen if not rows.has(column)}
        batch = canonical(rows, resolved, promoted, source=name, kind=kind)
        skipped = rows.n_skipped if isinstance(rows, ObjectRows) else 0
        yield replace(batch, n_read=batch.n_read + skipped, n_excluded=batch.n_excluded + skipped)
    if has_rows:
        _warn_of_unseen(name, [*sorted(unseen), *promoted.unseen], promoted.members)


def _warn_of_unseen(source: str, unseen: Sequence[str], members: Sequence[str]) -> None:
    """Warn of members of JSON that were named and are in no object of the source: misspelt, most likely."""
    for column in unseen:
        warnings.warn(f"No row of {source} holds {column!r}.{hint(column, members)}", stacklevel=2)


def canonical(
    rows: Rows,
    layout: Layout,
    promoted: Promoted,
    *,
    source: str,
    kind: str,
    is_inferred: NDArray[np.bool_] | None = None,
) -> Batch:
    """One block of raw rows as canonical events, links and rejects."""
    draft = Draft(rows, source=source, kind=kind)
    if not len(rows):
        return replace(draft.batch(), events=LOADED.empty_table())
    columns = layout.columns
    for name, column in columns.items():
        if column and name not in {"timestamp", "event", "seq"}:
            _fill(draft, rows, name, layout)
    _identify(draft, rows, layout)
    _finish(draft, rows, layout, promoted)
    if layout.melt:
        return _melted(draft, rows, layout)
    times = layout.clock.read(
        rows.column(columns["timestamp"]), rows.numbers, column=columns["timestamp"], file=rows.file
    )
    draft.refuse(times.wrong)
    draft.columns["timestamp"] = times.values
    draft.columns["time_quality"] = quality_column(times.quality, is_inferred)
    _fill(draft, rows, "event", layout)
    if columns.get("seq"):
        _fill(draft, rows, "seq", layout)
        draft.require(draft.columns["seq"], f"no place in the order: {columns['seq']} is empty")
    else:
        draft.columns["seq"] = pa.array(rows.numbers)
    draft.require(times.values, f"no time: {columns['timestamp']} is empty")
    draft.require(draft.columns["event"], f"no event name: {columns['event']} is empty")
    _name_actors(draft)
    return _with_links(draft.batch())


@dataclass(frozen=True)
class _Repeated:
    """Rows of a wide table, each as often as it has milestones."""

    rows: Rows
    of: NDArray[np.int64]

    @property
    def file(self) -> str:
        return self.rows.file

    @property
    def numbers(self) -> NDArray[np.int64]:
        return self.rows.numbers[self.of]

    @property
    def broken(self) -> list[Broken]:
        return self.rows.broken

    def __len__(self) -> int:
        return len(self.of)

    def raw(self, row: int) -> str:
        return self.rows.raw(int(self.of[row]))


def _melted(shared: Draft, rows: Rows, layout: Layout) -> Batch:
    """Each filled milestone of each row as an event, in the order of rows, then of milestones."""
    read = [
        layout.clock.read(rows.column(column), rows.numbers, column=column, file=rows.file)
        for column in layout.melt
    ]
    filled = np.array(
        [
            one.values.is_valid().to_numpy(zero_copy_only=False)
            | np.isin(np.arange(len(rows)), list(one.wrong))
            for one in read
        ]
    )
    of, milestone = np.nonzero(filled.T)
    draft = Draft(_Repeated(rows, of), source=shared.source, kind=shared.kind)
    draft.refuse({at: shared.refused[row] for at, row in enumerate(of.tolist()) if row in shared.refused})
    draft.refuse(
        {
            at: read[place].wrong[row]
            for at, (row, place) in enumerate(zip(of.tolist(), milestone.tolist(), strict=True))
            if row in read[place].wrong
        }
    ) if any(one.wrong for one in read) else None
    picked = pa.array(of)
    draft.columns |= {name: values.take(picked) for name, values in shared.columns.items()}
    flat = pa.array(milestone * len(rows) + of)
    draft.columns["timestamp"] = pa.concat_arrays([one.values for one in read]).take(flat)
    draft.columns["time_quality"] = quality_column(np.concatenate([one.quality for one in read])[flat])
    draft.columns["seq"] = pa.array(rows.numbers[of] * len(layout.melt) + milestone)
    events = pa.array(list(layout.melt.values()), pa.string())
    draft.columns["event"] = pa.DictionaryArray.from_arrays(pa.array(milestone.astype(np.int32)), events)
    if "event_id" in draft.columns:
        draft.columns["event_id"] = pc.binary_join_element_wise(
            draft.columns["event_id"], pc.cast(draft.columns["event"], pa.string()), ":"
        )
    _name_actors(draft)
    batch = _with_links(draft.batch())
    without = len(rows) - len(np.unique(of))
    return replace(batch, n_read=batch.n_read + without, n_excluded=without)


def _fill(draft: Draft, rows: Rows, name: str, layout: Layout) -> None:
    """One canonical column from its column of the source, or from a constant."""
    column = layout.columns[name]
    if column.startswith("="):
        raw = pa.array([column[1:]], pa.string())
        cells = _typed(raw, name, column, layout)
        if cells.wrong:
            raise InputError(f"{name}={column!r}: {next(iter(cells.wrong.values()))}.")
        zeros = pa.array(np.zeros(draft.size, np.int32))
        draft.columns[name] = (
            constant(cells.values[0].as_py(), draft.size) if name in _NAMES else cells.values.take(zeros)
        )
        if isinstance(cells, Money) and cells.marks is not None:
            draft.columns[_MARK] = cells.marks.take(zeros)
        return
    raw = words(rows, column) if name in _NAMES else rows.column(column)
    if name in _TIMES:
        times = layout.clock.read(raw, rows.numbers, column=column, file=rows.file)
        draft.refuse(times.wrong)
        draft.columns[name] = times.values
        return
    cells = _typed(raw, name, column, layout)
    draft.refuse(cells.wrong)
    draft.columns[name] = cells.values
    if isinstance(cells, Money) and cells.marks is not None:
        draft.columns[_MARK] = cells.marks


def _typed(raw: pa.Array, name: str, column: str, layout: Layout) -> Cells:
    """Cells in the type of their canonical column."""
    label = column if not column.startswith("=") else name
    if name in _NUMBERS or name == "value":
        return (money if name == "value" else numbers)(raw, column=label, decimal=layout.decimal)
    if name == "comment":
        return Cells(trimmed(texts(raw)), {})
    reader: Callable[..., Cells] = _READERS.get(name, ids)
    cells = reader(raw, column=label)
    return replace(cells, values=bare(cells.values)) if name.endswith("_id") else cells


_MARK: Final = "<mark>"
"""A column of what stands beside amounts; it lives until their currencies are made of it."""


def _name_currencies(draft: Draft, layout: Layout) -> None:
    """The currency of an amount is that of its column, else the one beside it; two of them are a reject."""
    marks = draft.columns.pop(_MARK, None)
    if marks is None:
        return
    codes = pc.if_else(pc.match_substring_regex(marks, "^[A-Z]{3}$"), marks, pa.scalar(None, pa.string()))
    told, amount = draft.columns.get("currency"), layout.columns["value"]
    if told is None:
        draft.columns["currency"] = codes
        for sign in pc.unique(marks.filter(pc.is_null(codes))).drop_null().to_pylist():
            warnings.warn(
                f"The amounts in {amount!r} of {draft.rows.file} stand beside {sign!r}, which is the sign of "
                "several currencies: none is taken. cjm.loaders.table can be told which: currency='=USD'.",
                stacklevel=2,
            )
        return
    differ = pc.not_equal(pc.utf8_upper(told), codes)
    for row in np.flatnonzero(pc.fill_null(differ, False).to_numpy(zero_copy_only=False)):
        draft.refuse(
            {int(row): f"{amount} is in {codes[int(row)].as_py()}, the currency of its row {told[int(row)]}"}
        )
    draft.columns["currency"] = pc.coalesce(told, codes)


_ALIAS: Final = "<alias>"
"""A column that lives until links are made of it."""


def _identify(draft: Draft, rows: Rows, layout: Layout) -> None:
    """See to it that every row has an id; an e-mail address is one, or the alias of one."""
    filled = draft.columns
    columns = [layout.columns[name] for name in _IDS if layout.columns.get(name)]
    if layout.email:
        columns.append(layout.email)
        cells = ids(rows.column(layout.email), column=layout.email)
        draft.refuse(cells.wrong)
        aliases = pc.binary_join_element_wise("email:", pc.utf8_lower(cells.values), "")
        if "user_id" in filled or "anonymous_id" in filled:
            filled[_ALIAS] = aliases
        if "user_id" in filled:
            aliases = pc.if_else(pc.is_null(filled["user_id"]), aliases, pa.scalar(None, pa.string()))
        given = filled.get("anonymous_id")
        filled["anonymous_id"] = aliases if given is None else pc.coalesce(given, aliases)
    present = [filled[name] for name in _IDS if name in filled]
    anyone = present[0] if len(present) == 1 else pc.coalesce(*present)
    said = f"{columns[0]} is empty" if len(columns) == 1 else f"all of {', '.join(columns)} are empty"
    draft.require(anyone, f"no customer: {said}")


def _with_links(batch: Batch) -> Batch:
    """Aliases that were noted become links to the user ids of their rows."""
    events = batch.events
    if _ALIAS not in events.column_names:
        return batch
    links = pa.concat_tables(
        [
            _seen_together(events, _ALIAS, "user_id", None),
            # Where there is no user id, the address is the device's.
            _seen_together(_without_user(events), "anonymous_id", _ALIAS, "alias"),
        ]
    )
    return replace(batch, events=events.drop_columns([_ALIAS]), links=links)


def _without_user(events: pa.Table) -> pa.Table:
    if "user_id" not in events.column_names:
        return events
    return events.filter(events.column("user_id").is_null())


def _seen_together(events: pa.Table, alias: str, user: str, kind: str | None) -> pa.Table:
    """Pairs of two columns that differ, each with its first time."""
    if not {alias, user} <= set(events.column_names):
        return LINKS.empty_table()
    both = events.select([alias, user, "timestamp"]).rename_columns(["alias", "user_id", "timestamp"])
    both = both.filter(pc.fill_null(pc.not_equal(both["alias"], both["user_id"]), False))
    links = both.group_by(["alias", "user_id"]).aggregate([("timestamp", "min")])
    links = links.rename_columns(["alias", "user_id", "timestamp"])
    return links.append_column("kind", pa.array([kind] * links.num_rows, pa.string())).cast(LINKS)


def _finish(draft: Draft, rows: Rows, layout: Layout, promoted: Promoted) -> None:
    """What follows from other columns, and what is left over."""
    filled = draft.columns
    _name_currencies(draft, layout)
    if "url" in filled:
        path = filled.get("path")
        if path is None or path.null_count:
            from_url = path_of(filled["url"])
            filled["path"] = from_url if path is None else pc.coalesce(path, from_url)
    if "score" in filled and ("score_min" in filled or "score_max" in filled):
        _check_scale(draft)
    left_over = rows.properties(layout.source_columns())
    if left_over is not None:
        filled["properties"] = left_over
    promoted.fill(draft, rows, layout)


def _check_scale(draft: Draft) -> None:
    score = draft.columns["score"]
    low, high = draft.columns.get("score_min"), draft.columns.get("score_max")
    off = np.zeros(draft.size, bool)
    for bound, beyond in ((low, pc.less), (high, pc.greater)):
        if bound is not None:
            off |= pc.fill_null(beyond(score, bound), False).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(off):
        ends = [("" if one is None else f"{one[int(row)].as_py():g}") for one in (low, high)]
        draft.refuse({int(row): f"score {score[int(row)].as_py():g} is off its scale {ends[0]}…{ends[1]}"})


def _name_actors(draft: Draft) -> None:
    """An event is the customer's act unless the source says otherwise; an invite is the company's."""
    actor = draft.columns.get("actor")
    if actor is not None:
        words = actor.dictionary.to_pylist()
        if not set(words) <= set(ACTORS):
            bad = pc.and_(pc.is_valid(actor), pc.invert(pc.is_in(actor, value_set=pa.array(ACTORS))))
            for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)):
                shown = actor[int(row)].as_py()
                draft.refuse({int(row): f"actor {shown!r} is none of {', '.join(ACTORS)}"})
    else:
        event = draft.columns["event"]
        is_invite = pc.equal(event.dictionary, INVITE)
        if pc.any(is_invite).as_py():
            codes = pc.cast(is_invite, pa.int32()).take(event.indices)
            actor = pa.DictionaryArray.from_arrays(codes, pa.array(["customer", "company"]))
        else:
            actor = constant("customer", draft.size)
        draft.columns["actor"] = actor


class Promoted:
    """Columns that `keep` promotes, each of one type through the whole source.

    The type is the one that was asked for, else that of the first cells that are not empty; a later cell that
    does not fit makes its row a reject.
    """

    def __init__(self, keep: Mapping[str, type | None]) -> None:
        self._kinds: dict[str, pa.DataType] = {
            name: _KEEP_TYPES[kind] for name, kind in keep.items() if kind is not None
        }
        self.keep = dict(keep)
        self._seen: set[str] = set()
        self.members: tuple[str, ...] = ()

    @property
    def unseen(self) -> list[str]:
        """Names that no row held so far."""
        return [name for name in self.keep if name not in self._seen]

    def notice(self, members: Iterable[str]) -> None:
        """Remember what there is, for the message about a name that is not."""
        if self.keep and not self.members:
            self.members = tuple(members)

    def fill(self, draft: Draft, rows: Rows, layout: Layout) -> None:
        """Write the promoted columns of one block."""
        self.notice(rows.names())
        for name in self.keep:
            self.put(draft, name, _found(rows, name), decimal=layout.decimal)

    def put(self, draft: Draft, name: str, values: pa.Array | None, *, decimal: str = ".") -> None:
        """Write one column; None or all empty: leave it out."""
        if values is None:
            return
        self._seen.add(name)
        if values.null_count == len(values):
            return
        kind = self._kinds.setdefault(name, _kept_type(values.type))
        cells = _conformed(values, kind, name, decimal)
        other = f"(all of {name} is {kind} here; both are kept as text: keep={{{name!r}: str}})"
        draft.refuse({row: f"{reason} {other}" for row, reason in cells.wrong.items()})
        draft.columns[promoted_name(name)] = cells.values


def promoted_name(name: str) -> str:
    """The column of a promoted property: `properties.device` is `device`."""
    return name.removeprefix("properties.")


def _found(rows: Rows, name: str) -> pa.Array | None:
    for one in (name, f"properties.{name}"):
        if rows.has(one):
            return rows.column(one)
    return None


def _kept_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return kind
    return pa.string()


def _conformed(values: pa.Array, kind: pa.DataType, name: str, decimal: str) -> Cells:
    if pa.types.is_string(kind):
        return names(values, column=name)
    if pa.types.is_floating(kind):
        return numbers(values, column=name, decimal=decimal)
    if pa.types.is_integer(kind):
        return whole_numbers(values, column=name)
    if pa.types.is_boolean(kind):
        return flags(values, column=name)
    try:
        return Cells(pc.cast(values, kind), {})
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as fault:
        raise InputError(
            f"The column {name!r} changes its type from {kind} to {values.type}; say keep={{{name!r}: str}}."
        ) from fault


def _refuse_doubled(column: str, there: Sequence[str], file: str) -> None:
    """Stop where a header has the name several times: each then has its place behind it."""
    doubled = [one for one in there if re.fullmatch(rf"{re.escape(column)} \(\d+\)", one)]
    if len(doubled) > 1:
        raise InputError(
            f"The header of {file!r} names the column {column!r} {len(doubled)} times. Say which you mean: "
            f"{', '.join(map(repr, doubled))}. If several rows name the columns, say header_rows=."
        )


def _is_there(rows: Rows, column: str) -> bool:
    return not column or column.startswith("=") or rows.has(column)


def _mapping(friendly: Mapping[str, str | None], columns: Mapping[str, str | float | None]) -> dict[str, str]:
    """Canonical name → column or constant; unknown names are refused with the nearest known one."""
    mapping = {name: column for name, column in friendly.items() if column is not None}
    _check_names(columns)
    for name, column in columns.items():
        if column is None:
            continue
        if name in mapping:
            raise InputError("customer= and user_id= are the same; give one of them.")
        if isinstance(column, int | float) and not isinstance(column, bool) and name in _NUMBERS:
            mapping[name] = f"={column:g}"
        elif isinstance(column, str):
            mapping[name] = column
        else:
            raise InputError(f"{name}={column!r} must be the name of a column, or '=' and a constant.")
    for name, column in mapping.items():
        _check_mapped(name, column)
    return mapping


def _check_names(columns: Mapping[str, object]) -> None:
    for name in columns:
        if name in CANONICAL.names and name not in _MAPPABLE:
            raise InputError(f"{name}= cannot be mapped: it is written by the loader or at ingest.")
        if name not in _MAPPABLE:
            raise UnknownNameError("canonical column or option", name, ["customer", *_MAPPABLE])


def _check_mapped(name: str, column: object) -> None:
    if not isinstance(column, str):
        raise InputError(f"{name}={column!r} must be the name of a column, or '=' and a constant.")
    if column == "=":
        raise InputError(f"{name}='=' is an empty constant.")
    if column.startswith("=") and name in _DIFFERENT:
        raise InputError(f"{name}={column!r} would be the same for all rows; name a column.")
    if column.startswith("=") and name == "actor" and column[1:] not in ACTORS:
        raise UnknownNameError("actor", column[1:], ACTORS)


def _checked_melt(melt: Mapping[str, str] | None, mapping: Mapping[str, str]) -> dict[str, str]:
    if melt is None:
        return {}
    if (
        not isinstance(melt, Mapping)
        or not melt
        or not all(isinstance(one, str) and one for one in melt.values())
    ):
        raise InputError(
            "melt= maps the column of each milestone to its event, for example {'paid_at': 'paid'}."
        )
    for name in ("timestamp", "event", "seq"):
        if name in mapping:
            raise InputError(f"With melt=, {name}= comes from the milestones; leave it out.")
    return dict(melt)


def checked_keep(keep: Sequence[str] | Mapping[str, type]) -> dict[str, type | None]:
    """Promoted names with the types that were asked for; None: its own."""
    wanted: dict[str, type | None]
    if isinstance(keep, str):
        raise InputError(f"keep={keep!r} must be a list of names: keep=[{keep!r}].")
    wanted = dict(keep) if isinstance(keep, Mapping) else dict.fromkeys(keep)
    for name, kind in wanted.items():
        if kind is not None and kind not in _KEEP_TYPES:
            raise InputError(f"keep={{{name!r}: {kind!r}}}: the type must be one of str, float, int, bool.")
        if promoted_name(name) in CANONICAL.names:
            raise InputError(
                f"keep={name!r} would hide the canonical column {promoted_name(name)!r}. Map it instead "
                f"({promoted_name(name)}=…), or rename it."
            )
    return wanted


def _checked_dedupe(dedupe: Sequence[str] | None, layout: Layout) -> tuple[str, ...]:
    if dedupe is None:
        return ("event_id",) if layout.columns.get("event_id") else ()
    if isinstance(dedupe, str):
        raise InputError(f"dedupe={dedupe!r} must be a list of columns: dedupe=[{dedupe!r}].")
    for name in dedupe:
        if name not in LOADED.names:
            raise UnknownNameError("canonical column", name, LOADED.names)
    return tuple(dedupe)


def _checked_copies(copies: str, dedupe: Sequence[str], layout: Layout) -> str:
    if copies not in COPIES:
        raise UnknownNameError("choice of copies", str(copies), COPIES)
    if copies == FIRST:
        return copies
    if not dedupe:
        raise InputError(
            f"copies={copies!r} needs to know which rows are the same event: name the columns that say so, "
            'for example dedupe=["order_id"].'
        )
    if copies == PER_ORDER and not layout.columns.get("order_id"):
        raise InputError(
            f"copies={copies!r} needs to know which row is of which order: name the column that says it, for "
            'example order_id="order". Rows without one are open carts.'
        )
    if copies == LATEST and not layout.columns.get("received_at"):
        raise InputError(
            f"copies={copies!r} needs to know which row is later: name the column that says when a row was "
            'written, for example received_at="updated_at".'
        )
    return copies


def _check_decimal(decimal: str, sep: str | None) -> None:
    if decimal not in {".", ","}:
        raise InputError(f"decimal={decimal!r} must be '.' or ','.")
    if decimal == "," and sep == ",":
        raise InputError("The comma cannot stand between fields (sep=',') and in numbers (decimal=',').")
