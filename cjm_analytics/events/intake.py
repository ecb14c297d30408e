"""The door of the store: batches become checked rows; what cannot be used is turned away with a reason."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.events.marks import ADDRESS, NO_RULES, Rules
from cjm_analytics.schema import CANONICAL, LOADED, REJECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cjm_analytics.events.identity import Identity
    from cjm_analytics.schema import Batch

__all__ = ["CODED_COLUMNS", "IDS", "Intake", "Limits", "Names"]

IDS = ("user_id", "anonymous_id", "account_id")
CODED_COLUMNS = tuple(one.name for one in CANONICAL if pa.types.is_dictionary(one.type))
"""Columns of few distinct texts: inside ingest they are integer codes, −1 for a missing value."""

_LONGEST_NAME = 10_000
_RAW = 500
"""A reject shows at most so many characters of its row."""

_DAY = 86_400_000_000


@dataclass(frozen=True)
class Limits:
    """Times that an event may have, microseconds UTC.

    Attributes
    ----------
    earliest : int
    now : int
        An event may lie up to a day after it was received, or after now where that is unknown.
    earliest_text : str
        The first, as the user gave it.
    """

    earliest: int
    now: int
    earliest_text: str


class Names:
    """The distinct texts of each coded column, numbered as they appear."""

    def __init__(self) -> None:
        self._codes: dict[str, dict[str, int]] = {name: {} for name in CODED_COLUMNS}
        self._bad: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}

    def encode(self, name: str, texts: pa.Array) -> NDArray[np.int32]:
        """Codes of distinct texts; a null or an empty text is −1."""
        known = self._codes[name]
        return np.array(
            [known.setdefault(text, len(known)) if text else -1 for text in texts.to_pylist()], dtype=np.int32
        )

    def code(self, name: str, text: str) -> int:
        """The code of one text."""
        return self._codes[name].setdefault(text, len(self._codes[name]))

    def count(self, name: str) -> int:
        """How many texts there are."""
        return len(self._codes[name])

    def width(self, name: str) -> np.dtype[np.signedinteger[Any]]:
        """The smallest integers that hold the codes so far: most columns have fewer than 128 texts."""
        return np.min_scalar_type(-1 - self.count(name))

    def texts(self, name: str) -> pa.Array:
        """The texts in the order of their codes."""
        return pa.array(list(self._codes[name]), pa.string())

    def bad(self, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Per code whether the text is too long, and whether it holds a NUL byte."""
        none = np.zeros(0, dtype=bool)
        too_long, nul = self._bad.get(name, (none, none))
        fresh = pa.array(list(itertools.islice(self._codes[name], len(nul), None)), pa.string())
        if len(fresh):
            more = _bad_texts(fresh)
            self._bad[name] = (np.append(too_long, more[0]), np.append(nul, more[1]))
        return self._bad.get(name, (none, none))

    def ranked(self, name: str) -> tuple[pa.Array, NDArray[np.int32]]:
        """The texts in sorted order, and the place of each code in it; one more place, −1, is for −1."""
        texts = list(self._codes[name])
        order = sorted(range(len(texts)), key=texts.__getitem__)
        rank = np.empty(len(texts) + 1, dtype=np.int32)
        rank[order] = np.arange(len(texts), dtype=np.int32)
        rank[-1] = -1
        return pa.array([texts[one] for one in order], pa.string()), rank


@dataclass
class Intake:
    """Checks the batches of one source.

    Attributes
    ----------
    source : str
    keep : frozenset of str
        Promoted properties that the source declares.
    limits : Limits
    names : Names
        Shared by all sources.
    identity : Identity
        Says what is an id.
    read, rejected, excluded, nameless : int
        Rows so far.
    zero : bool
        Whether the user id `0` is a customer's number.
    rules : Rules
        Which IP addresses are the company's own, and which flags are never unknown.
    seen : int
        Rows that were looked at, now and by former ingests: the `seq` of the next row without one.
    """

    source: str
    keep: frozenset[str]
    limits: Limits
    names: Names
    identity: Identity
    read: int = 0
    rejected: int = 0
    excluded: int = 0
    nameless: int = 0
    seen: int = 0
    zero: bool = False
    rules: Rules = NO_RULES

    def accept(self, batch: Batch) -> tuple[pa.Table, pa.Table]:
        """The rows that can be used, coded and without columns that are all null; and the rejects.

        Raises
        ------
        InputError
            The batch breaks the contract between loaders and ingest, for example by a column of another type.
        """
        accounted = batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
        if batch.n_read != accounted:
            raise InputError(
                f"Source {self.source!r} says that it read {batch.n_read:,} rows, but accounts for "
                f"{accounted:,}: its loader loses rows or makes them up. Please report it."
            )
        self.read += batch.n_read
        self.excluded += batch.n_excluded
        self.nameless += batch.n_nameless
        rejects = _filled_up(batch.rejects, self.source)
        events = batch.events
        if events.num_rows:
            n_before = self.seen
            self.seen += events.num_rows
            columns = self._columns(events, n_before)
            if self.rules:
                self._mark(columns)
            reasons = self._faults(columns, events.num_rows)
            events = pa.table(
                {name: column for name, column in columns.items() if column.null_count < len(column)}
            )
            bad = np.flatnonzero(reasons)
            if len(bad):
                rejects = pa.concat_tables(
                    [
                        rejects,
                        self._turned_away(
                            events.take(pa.array(bad)), reasons[bad], batch.events.take(pa.array(bad))
                        ),
                    ]
                )
                events = events.filter(pa.array(reasons == 0))
        self.rejected += rejects.num_rows
        return events, rejects

    def _columns(self, events: pa.Table, n_before: int) -> dict[str, pa.Array]:
        unknown = [name for name in events.column_names if name not in _TYPES and name not in self.keep]
        if unknown:
            raise InputError(
                f"Source {self.source!r} yields columns that are neither canonical nor promoted: "
                f"{', '.join(map(repr, unknown))}. Name them in keep=[…]."
            )
        columns = {
            name: self._column(name, _one(events.column(name)))
            for name in events.column_names
            if name != "source" and not pa.types.is_null(events.schema.field(name).type)
        }
        n = events.num_rows
        place = np.arange(n_before, n_before + n, dtype=np.int64)
        seq = columns.get("seq")
        if seq is None or seq.null_count:
            columns["seq"] = pa.array(place) if seq is None else pc.coalesce(seq, pa.array(place))
        source = self.names.code("source", self.source)
        columns["source"] = pa.array(np.full(n, source, self.names.width("source")))
        return {name: columns[name] for name in [*_TYPES, *sorted(self.keep)] if name in columns}

    def _mark(self, columns: dict[str, pa.Array]) -> None:
        """Mark the rows that come from one of the company's addresses; flags that are decided on are told."""
        n = len(columns["source"])
        for name in self.rules.decide:
            columns[name] = columns.get(name, pa.nulls(n, pa.bool_())).fill_null(False)
        if self.rules.internal is None or not self.rules.internal.ips:
            return
        addresses = {name: columns[name] for name in ("ip", "properties") if name in columns}
        own = self.rules.internal.own_rows(pa.table(addresses), n)
        own &= ~columns["is_test"].to_numpy(zero_copy_only=False)
        if own.any():
            columns["is_test"] = pc.or_(columns["is_test"], pa.array(own))
            code = np.full(n, self.names.code("marked_by", ADDRESS), dtype=np.int32)
            columns["marked_by"] = pa.array(code, mask=~own)

    def _column(self, name: str, column: pa.Array) -> pa.Array:
        if name in CODED_COLUMNS:
            return self._coded(name, column)
        wanted = _TYPES.get(name)
        if wanted is None:
            return _promoted(name, column, self.source)
        if pa.types.is_timestamp(wanted) and getattr(column.type, "tz", None) is None:
            raise InputError(
                f"Source {self.source!r} yields {name!r} as {column.type}: it needs a time zone. "
                "Say which one the times are in (tz=)."
            )
        try:
            column = (
                column
                if column.type == wanted
                else column.cast(wanted, safe=not pa.types.is_timestamp(wanted))
            )
        except pa.ArrowInvalid as error:
            raise InputError(f"Source {self.source!r} yields {name!r} as {column.type}: {error}") from error
        return self._ids(name, column) if name in IDS else column

    def _ids(self, name: str, column: pa.Array) -> pa.Array:
        if name == "user_id":
            return self.identity.users(column, self.source, zero=self.zero)
        return self.identity.aliases(column) if name == "anonymous_id" else _without_empty(column)

    def _coded(self, name: str, column: pa.Array) -> pa.Array:
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        local = self.names.encode(name, column.dictionary)
        codes = pa.array(local.astype(self.names.width(name)), mask=local < 0)
        if len(codes) == 1 and not column.indices.null_count:
            return pa.repeat(codes[0], len(column))
        return pc.take(codes, column.indices, boundscheck=False)

    def _faults(self, columns: Mapping[str, pa.Array], n: int) -> NDArray[np.int8]:
        """Per row 0, or 1 + the position in `_REASONS` of the first thing that is wrong with it."""
        faults = np.zeros(n, dtype=np.int8)

        def mark(reason: str, rows: NDArray[np.bool_]) -> None:
            if rows.any():
                faults[rows & (faults == 0)] = 1 + _REASONS.index(reason)

        mark(_NO_EVENT, _missing(columns.get("event"), n))
        mark(_NO_TIME, _missing(columns.get("timestamp"), n))
        nobody = np.ones(n, dtype=bool)
        for name in IDS:
            nobody &= _missing(columns.get(name), n)
        mark(_NOBODY, nobody)
        if "timestamp" in columns:
            time = microseconds_of(columns["timestamp"], 0)
            present = ~_missing(columns["timestamp"], n)
            if time.min() < self.limits.earliest:
                mark(_TOO_EARLY, present & (time < self.limits.earliest))
            received = columns.get("received_at")
            latest = self.limits.now if received is None else microseconds_of(received, self.limits.now)
            mark(_TOO_LATE, present & (time > latest + _DAY))
        for name in ("event", *IDS):
            if name in columns:
                too_long, nul = self._bad_names(name, columns[name])
                mark(_TOO_LONG, too_long)
                mark(_NUL, nul)
        return faults

    def _bad_names(self, name: str, column: pa.Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        if name not in CODED_COLUMNS:
            return _bad_texts(column)
        too_long, nul = self.names.bad(name)
        if not (too_long.any() or nul.any()):
            return np.zeros(len(column), dtype=bool), np.zeros(len(column), dtype=bool)
        codes = column.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.append(too_long, False)[codes], np.append(nul, False)[codes]

    def _turned_away(self, events: pa.Table, faults: NDArray[np.int8], given: pa.Table) -> pa.Table:
        texts = [
            _REASONS[fault - 1].format(earliest=self.limits.earliest_text, longest=f"{_LONGEST_NAME:,}")
            for fault in faults
        ]
        n = events.num_rows
        shown = [(events, name) for name in ("event", "timestamp") if name in events.column_names]
        shown += [(given, name) for name in IDS if name in given.column_names]
        told = [pc.binary_join_element_wise(f"{name}=", self._text(table, name), "") for table, name in shown]
        raw = pc.binary_join_element_wise(*told, ", ") if told else pa.array([""] * n, pa.string())
        files = (
            self._text(events, "src_file") if "src_file" in events.column_names else pa.nulls(n, pa.string())
        )
        rows = events.column("src_row") if "src_row" in events.column_names else pa.nulls(n, pa.int64())
        return pa.table(
            [pa.array([self.source] * n, pa.string()), files, rows, pa.array(texts, pa.string()), raw],
            schema=REJECTS,
        )

    def _text(self, events: pa.Table, name: str) -> pa.Array:
        column = _one(events.column(name))
        if name in CODED_COLUMNS:
            column = self.names.texts(name).take(column)
        elif not pa.types.is_string(column.type):
            column = pc.cast(column, pa.string())
        if name == "src_file":
            return column
        return pc.utf8_slice_codeunits(column.fill_null(""), 0, _RAW)


_TYPES = {one.name: one.type for one in LOADED}

_NO_EVENT = "no event name"
_NO_TIME = "no timestamp"
_NOBODY = "no customer id"
_TOO_EARLY = "timestamp before {earliest}"
_TOO_LATE = "timestamp more than a day in the future"
_TOO_LONG = "a name or id longer than {longest} bytes"
_NUL = "a NUL byte in a name or id"
_REASONS = (_NO_EVENT, _NO_TIME, _NOBODY, _TOO_EARLY, _TOO_LATE, _TOO_LONG, _NUL)


def microseconds_of(times: pa.Array, missing: int) -> NDArray[np.int64]:
    """Timestamps as integers, with a number for the nulls."""
    return times.view(pa.int64()).fill_null(missing).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # several, of a dictionary type, or none
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


def _promoted(name: str, column: pa.Array, source: str) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if pa.types.is_nested(column.type):
        raise InputError(
            f"Source {source!r} promotes {name!r}, which is {column.type}: a promoted property must be "
            "a plain value. Name one inside it, or leave it in properties."
        )
    return column


def _without_empty(ids: pa.Array) -> pa.Array:
    lengths = pc.binary_length(ids)
    if not len(ids) or pc.min(lengths).as_py() != 0:
        return ids
    return pc.if_else(pc.equal(lengths, 0), pa.scalar(None, ids.type), ids)


def _missing(column: pa.Array | None, n: int) -> NDArray[np.bool_]:
    if column is None:
        return np.ones(n, dtype=bool)
    if not column.null_count:
        return np.zeros(n, dtype=bool)
    return column.is_null().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _bad_texts(texts: pa.Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which texts are too long, and which hold a NUL byte."""
    none = np.zeros(len(texts), dtype=bool)
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    too_long = none
    if longest > _LONGEST_NAME:
        lengths = pc.fill_null(pc.binary_length(texts), 0)
        too_long = lengths.to_numpy(zero_copy_only=False) > _LONGEST_NAME
    nul = none
    if _holds_nul(texts):
        nul = pc.fill_null(pc.match_substring(texts, "\0"), False).to_numpy(zero_copy_only=False)
    return too_long, nul


def _holds_nul(texts: pa.Array) -> bool:
    """Whether a NUL byte is anywhere in the buffer of the texts (also in rows that a slice leaves out)."""
    data = texts.buffers()[2]
    held = np.frombuffer(data if data is not None else b"", dtype=np.uint8)
    return bool(held.size) and held.min() == 0


def _filled_up(rejects: pa.Table, source: str) -> pa.Table:
    if not rejects.num_rows:
        return REJECTS.empty_table()
    rejects = rejects.select(REJECTS.names).cast(REJECTS)
    return rejects.set_column(0, "source", rejects.column("source").fill_null(source))
