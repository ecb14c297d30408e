"""What a vendor's export consists of, said as data, and the one way in which all of them are read.

A vendor is a few parts (the rows of one kind of file or table); a part is a mapping from its columns to the
canonical ones. What a mapping cannot say is a small function: `unfold` makes several rows of one, `together`
looks at all rows of a part at once.
"""

from __future__ import annotations

import itertools
import re
import warnings
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, counted, hint
from cjm_analytics.loaders.answers import pieces
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.files import InputFile, find_files, is_location, stem
from cjm_analytics.loaders.mapping import Cells, Saying, Side, Where, column, truths
from cjm_analytics.loaders.opened import (
    Lifted,
    as_columns,
    left_over,
    member_names,
    objects_of,
    opened,
    promoted_cells,
)
from cjm_analytics.loaders.prepared import (
    Prepared,
    attributed,
    attributes_of,
    events_of,
    linked,
    links_of,
)
from cjm_analytics.loaders.reading import frame_rows
from cjm_analytics.loaders.rows import ColumnRows, ObjectRows, Rows, in_small_letters, member
from cjm_analytics.loaders.source import EventStream, rejects_of
from cjm_analytics.loaders.table import Promoted, checked_keep, promoted_name
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.unfolded import Unfold, unfolded
from cjm_analytics.loaders.values import ids, texts
from cjm_analytics.schema import CUSTOMERS, LINKS, LOADED, Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.mapping import Sides

__all__ = ["Events", "IncompleteError", "Part", "Reading", "Vendor"]

_IDS: Final = ("email", "user_id", "anonymous_id", "account_id")
_NEEDED: Final = {"user_id", "anonymous_id", "timestamp", "event"}
_MANY: Final = 20
"""From so many rows on, an export of which nothing is left is suspicious."""

_ROOM: Final = 1 << 28
"""Bytes of blocks that are kept between the two readings of an export."""


class IncompleteError(InputError):
    """Files of a vendor's export without those that hold its events."""


@dataclass(frozen=True)
class Events:
    """How the rows of a part become events.

    Attributes
    ----------
    columns : mapping
        Canonical column → where it stands; also `email`, an address that identifies.
    where : Saying, optional
        Which rows are events of this kind; default all.
    also : mapping
        Columns beyond the canonical ones that are always there for breakdowns (`device`).
    spread : tuple of str
        Objects whose members stand in `properties` by themselves.
    aside : tuple of str
        Columns that are not kept in `properties`.
    aside_where : mapping
        Columns that are not kept where a condition holds.
    kind : str, optional
        The `source_kind`, where it is not the vendor's.
    inferred : bool or Saying
        Where the time is not said by the source but follows from something else.
    """

    columns: Mapping[str, Where]
    where: Saying | None = None
    also: Mapping[str, Where] = field(default_factory=dict)
    spread: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    aside_where: Mapping[str, Saying] = field(default_factory=dict)
    kind: str | None = None
    inferred: bool | Saying = False

    @cached_property
    def sayings(self) -> dict[str, Saying]:
        return {name: column(where) for name, where in {**self.columns, **self.also}.items()}

    @cached_property
    def lifted(self) -> frozenset[str]:
        """Columns of the export with a canonical place, or with none at all."""
        return frozenset(self.aside).union(*(one.lifts for one in self.sayings.values()))

    @cached_property
    def reads(self) -> frozenset[str]:
        asked = [
            *self.sayings.values(),
            *(one for one in (self.where, self.inferred) if isinstance(one, Saying)),
            *self.aside_where.values(),
        ]
        return frozenset(self.aside).union(*(one.reads for one in asked))


@dataclass(frozen=True)
class Part:
    """The rows of one kind in an export: a file, a table of a warehouse copy, a member of an answer.

    Attributes
    ----------
    events : tuple of Events
        A row may give an event by each of them; a row that gives none is counted as excluded.
    names : tuple of str
        What files, folders or members of this kind are called (lower case; a number behind, the vendor's
        name before and `_data` behind are seen through).
    told_by : tuple of str
        Columns that tell this part where no name does.
    links : tuple of (alias, user id)
        Ids that a row says to belong to the same customer.
    merges : tuple of (former id, id)
        Ids of which the vendor says that the first was merged into the second.
    aliases : tuple of (alias, alias)
        The same of two aliases, such as a device or an order and an address (`email:…`).
    traits : mapping
        Attribute of the customer → where it stands.
    members : mapping
        Object all of whose members are attributes → what stands before their names, and in which rows.
    wrong : str or Saying, optional
        Why a row is a reject; nothing where it is none.
    customer, time : str or Saying, optional
        Whose traits they are, and when the links and traits were known.
    key : str or Saying, optional
        Makes the part a side table, held in memory: its rows by this column, for `looked_up`.
    holds : tuple of str
        What of a side row is held; default all.
    newest : str, optional
        Of several rows of one key the one with the greatest value here counts; default the last. What only
        the others say is kept.
    missed : str, optional
        Of a side table: what is lost where the export has none.
    unfold : callable, optional
        A row as an object → the rows that it stands for; beside `together`, only those of the side table.
    unfolds : tuple of Unfold
        The same for whole columns: what rows are made of each.
    together : callable, optional
        (all rows as objects, side tables) → (place of the row it comes from, row), for what only follows from
        rows next to one another. The part is then held in memory, unless there is a `run`. A row that has
        `_wrong` is a reject for that reason.
    by_columns : callable, optional
        (a block of columns, side tables) → (rows, row that each comes from), several times: what `together`
        or `unfold` makes of it, only quicker; None where they must look at its rows.
    run : str, optional
        Rows that follow one another with the same value of this column are looked at `together`, and no
        others.
    """

    events: tuple[Events, ...] = ()
    names: tuple[str, ...] = ()
    told_by: tuple[str, ...] = ()
    links: tuple[tuple[Where, Where], ...] = ()
    merges: tuple[tuple[Where, Where], ...] = ()
    aliases: tuple[tuple[Where, Where], ...] = ()
    traits: Mapping[str, Where] = field(default_factory=dict)
    members: Mapping[str, Sequence[tuple[str, Saying]]] = field(default_factory=dict)
    wrong: Where | None = None
    customer: Where | None = None
    time: Where | None = None
    key: Where | None = None
    holds: tuple[str, ...] = ()
    newest: str | None = None
    missed: str | None = None
    unfold: Callable[[dict[str, Any]], Iterable[dict[str, Any]]] | None = None
    unfolds: tuple[Unfold, ...] = ()
    together: Callable[[list[dict[str, Any]], Sides], Iterable[tuple[int, dict[str, Any]]]] | None = None
    by_columns: (
        Callable[[ColumnRows, Mapping[str, Side]], list[tuple[Rows, NDArray[np.int64]]] | None] | None
    ) = None
    run: str | None = None

    @cached_property
    def reads(self) -> frozenset[str]:
        pairs = (*self.links, *self.merges, *self.aliases)
        said = [one for pair in pairs for one in pair] + list(self.traits.values())
        said += [one for one in (self.customer, self.time, self.wrong) if one is not None]
        said += [where for several in self.members.values() for _, where in several]
        own = {name for one in said for name in column(one).reads}
        return frozenset(own).union(*(one.reads for one in self.events))

    @cached_property
    def spread(self) -> frozenset[str]:
        return frozenset(name for events in self.events for name in events.spread)

    @property
    def is_columns(self) -> bool:
        """Whether nothing need look at the rows one by one."""
        return self.by_columns is not None or (self.unfold is None and self.together is None)

    @cached_property
    def held(self) -> tuple[Unfold, ...]:
        """The unfolds with no more columns than a side table holds."""
        keys = column(self.key or "").reads
        wanted = {*self.holds, *keys}
        keyed = [one for one in self.unfolds if not {*one.columns, *one.around}.isdisjoint(keys)]
        return tuple(
            replace(one, columns={name: where for name, where in one.columns.items() if name in wanted})
            if self.holds
            else one
            for one in keyed or self.unfolds
        )

    def fits(self, names: Collection[str]) -> bool:
        """Whether the columns are those of this part."""
        return bool(self.told_by) and all(
            name in names or name.partition(".")[0] in names for name in self.told_by
        )


@dataclass(frozen=True)
class Vendor:
    """An export, said as data.

    Attributes
    ----------
    name : str
        The `source` column.
    title : str
        How the vendor writes its name.
    kind : str
        The `source_kind`.
    parts : mapping
        Name → part; where a name does not tell a file's part, the first part that its columns fit.
    required : tuple of str
        Parts of which at least one must be there; default: any.
    dedupe : tuple of str
        Columns that say that two rows are the same event.
    copies : str
        Which of several copies of an event stays: the `first` or the `latest` by `received_at`.
    clock : Clock
        How times are written.
    written : CsvFormat
        How its CSV files are written.
    decimal : str
        The decimal sign of numbers in text.
    asked : tuple
        What else the user said on how to read it.
    may_be_nameless : bool
        Rows without any id are excluded and counted, not rejected: consent was denied.
    superseded : callable, optional
        Paths → those among them that others replace; they are not read.
    reader : callable, optional
        Reads a file of a format of its own.
    tidied : callable, optional
        A block as the parts want it, where an export writes one name in several ways.
    wrappers : tuple of str
        Members of an answer that hold rows of whatever kind the name of the file, or their columns, tell.
    """

    name: str
    title: str
    kind: str
    parts: Mapping[str, Part]
    required: tuple[str, ...] = ()
    dedupe: tuple[str, ...] = ("event_id",)
    copies: str = "first"
    clock: Clock = field(default_factory=lambda: Clock(tz="UTC"))
    written: CsvFormat = field(default_factory=CsvFormat)
    decimal: str = "."
    asked: tuple[object, ...] = ()
    may_be_nameless: bool = False
    superseded: Callable[[Sequence[str]], Collection[str]] | None = None
    reader: Callable[[InputFile], Iterator[Rows]] | None = None
    tidied: Callable[[Rows], Rows] | None = None
    wrappers: tuple[str, ...] = ()

    def stream(
        self,
        source: object,
        *,
        keep: Sequence[str] | Mapping[str, type] = (),
        name: str | None = None,
        format: str | None = None,  # noqa: A002 - the user's word
    ) -> EventStream:
        """The export as a lazy stream of canonical batches.

        Raises
        ------
        InputError
            No such file; nothing in it is an export of this vendor.
        """
        wanted = {**checked_keep(keep), **dict.fromkeys(self._also)}
        asked = "csv" if self.reader else format  # of a format of its own, whatever it is called
        files = find_files(source, asked, mixed=True) if is_location(source) else []
        if self.superseded is not None:
            dropped = self.superseded([file.shown for file in files])
            files = [file for file in files if file.shown not in dropped]
        told = {file.shown: self.part_named(stem(file.shown)) for file in files}
        if files:
            self._check(files, told)
        elif not is_location(source):
            self._check_columns(source)

        def read(left_out: frozenset[str]) -> Iterator[Batch]:
            promoted = Promoted(wanted)
            reading = Reading(self, promoted, name or self.name, self.clock.afresh())
            kept = [file for file in files if file.shown not in left_out]
            n_read = n_nameless = n_used = 0
            for batch in reading.batches(kept, told, None if files else source):
                n_read += batch.n_read
                n_nameless += batch.n_nameless
                n_used += sum(map(len, (batch.events, batch.rejects, batch.links, batch.customers)))
                yield batch
            if n_read >= _MANY and not n_used:
                _warn_of_nothing(name or self.name, n_read, n_nameless)
            for one in [one for one in promoted.unseen if one not in self._also]:
                said = hint(one, promoted.members)
                warnings.warn(f"keep={one!r} is in no row of {name or self.name}.{said}", stacklevel=2)

        return EventStream(
            name=name or self.name,
            dedupe=self.dedupe,
            copies=self.copies,
            keep=tuple(promoted_name(one) for one in wanted),
            files=tuple(file.shown for file in files),
            read=read,
            separable=tuple(files) if not self._is_joined else (),
            reading=repr((self.name, wanted, self.clock.said, self.written, self.decimal, self.asked)),
        )

    @property
    def _also(self) -> list[str]:
        every = [events for part in self.parts.values() for events in part.events]
        return list(dict.fromkeys(name for events in every for name in events.also))

    @property
    def _is_joined(self) -> bool:
        """Whether a file means something else beside other files."""
        return any(part.key or (part.together and not part.run) for part in self.parts.values())

    def _part_of_folder(self, file: InputFile) -> str | None:
        """The part by the name of the folder or archive that a file lies in."""
        folder = PurePosixPath(file.shown.replace("\\", "/")).parent.name
        return self.part_named(stem(folder)) if folder else None

    def part_named(self, word: str) -> str | None:
        """The part that a file, folder or member of this name holds."""
        bare = re.sub(r"([-_. ]*\d+)+$", "", word.lower().replace("-", "_"))
        bare = bare.removesuffix("_data").strip("_")
        for one in (word.lower(), bare, bare.removeprefix(f"{self.name}_")):
            for name, part in self.parts.items():
                if one == name or one in part.names:
                    return name
        return None

    def part_fitting(self, names: Collection[str]) -> str | None:
        """The first part that has these columns."""
        return next((name for name, part in self.parts.items() if part.fits(names)), None)

    def takes_columns(self, file: InputFile, names: Collection[str]) -> bool:
        """Whether a file of these columns is better read as columns than as objects."""
        return self._is_of_columns(self.part_of(names, self.part_named(stem(file.shown)), file))

    def _is_of_columns(self, name: str | None) -> bool:
        part = self.parts.get(name or "")
        return part is not None and part.is_columns and bool(part.holds or not part.key)

    def by_columns(self, part: str | None, rows: Rows) -> Rows:
        """Objects of an answer or of a list as columns, where these are quicker and nothing is lost by it."""
        is_worth_it = isinstance(rows, ObjectRows) and len(rows) >= _MANY and self._is_of_columns(part)
        return (as_columns(rows) or rows) if is_worth_it else rows  # type: ignore[arg-type]

    def tidy(self, rows: Rows) -> Rows:
        """A block with the names that the parts know; what was read of it is kept for rejects."""
        tidy = self._renamed(rows)
        is_same = tidy is rows or len(tidy) != len(rows)
        return tidy if is_same or not isinstance(tidy, ColumnRows | ObjectRows) else replace(tidy, read=rows)

    def _renamed(self, rows: Rows) -> Rows:
        tidy = rows if self.tidied is None else self.tidied(rows)
        if self.part_fitting(tidy.names()) is not None:
            return tidy
        small = in_small_letters(rows)
        if small is rows:
            return tidy
        small = small if self.tidied is None else self.tidied(small)
        return tidy if self.part_fitting(small.names()) is None else small

    def part_of(self, names: Collection[str], told: str | None, file: InputFile | None = None) -> str | None:
        """The part of rows with these columns: as a name tells, else the columns.

        Folders are called all sorts of things: theirs counts where the columns fit that part, or none.
        """
        folder = self._part_of_folder(file) if file and not told else None
        if folder is not None and self.parts[folder].fits(names):
            return folder
        return told or self.part_fitting(names) or folder

    def _check(self, files: Sequence[InputFile], told: Mapping[str, str | None]) -> None:
        """Refuse a source that holds nothing of this vendor."""
        wanted = self.required or tuple(self.parts)
        if any(part in wanted for part in told.values()):
            return
        if any(self._part_of_folder(file) in wanted for file in files):
            return
        columns: list[str] = []
        for file in (one for one in files if told[one.shown] is None):
            is_blank = True
            for member_name, rows in itertools.islice(pieces(file, self.written, self, glance=True), 8):
                is_blank = is_blank and not len(rows)
                named = self.part_named(member_name) if member_name else None
                tidy = self.tidy(_start(rows))
                if self.part_of(tidy.names(), named) in wanted:
                    return
                columns = columns or rows.names()
            if is_blank and not columns:
                return  # an empty file is an empty export
        if self.required and any(told.values()):
            there = ", ".join(PurePosixPath(file.shown).name for file in files[:12])
            raise IncompleteError(
                f"{files[0].shown!r} and what lies beside it holds no {' or '.join(self.required)} of "
                f"{self.title}: expected a file such as {self.required[0]}.json or {self.required[0]}.csv. "
                f"There are: {there}."
            )
        raise self._stranger(files[0].shown, columns)

    def _check_columns(self, source: object) -> None:
        if isinstance(source, pa.RecordBatchReader):
            rows: Rows = ColumnRows("", source.schema.empty_table(), np.zeros(0, np.int64))
        else:
            rows = _start(next(frame_rows(source, f"<{type(source).__name__}>")))
        if self.part_fitting(self.tidy(rows).names()) is None:
            raise self._stranger(f"<{type(source).__name__}>", rows.names())

    def _stranger(self, shown: str, columns: Sequence[str]) -> InputError:
        expected = "; ".join(
            f"{name}: {', '.join(part.told_by)}" for name, part in self.parts.items() if part.told_by
        )
        there = ", ".join(columns[:12]) or "none"
        return InputError(
            f"{shown} is no export of {self.title}. Expected columns: {expected}. Columns there: {there}. "
            "For other tables there is cjm.loaders.table."
        )


@dataclass
class Reading:
    """One reading of an export."""

    vendor: Vendor
    promoted: Promoted
    source: str
    clock: Clock
    sides: dict[str, Side] = field(default_factory=dict)
    open_runs: dict[str, list[Rows]] = field(default_factory=dict)
    kept: dict[str, list[tuple[str | None, Rows]]] = field(default_factory=dict)
    room: float = field(default_factory=lambda: _ROOM)

    def batches(
        self, files: Sequence[InputFile], told: Mapping[str, str | None], held: object
    ) -> Iterator[Batch]:
        """All batches: side tables are read first, parts that are looked at together last."""
        if any(part.key for part in self.vendor.parts.values()):
            held = held.read_all() if isinstance(held, pa.RecordBatchReader) else held  # to be read twice
            for name, rows in self._blocks(files, told, held, are_sides=True):
                self._remember(name, rows)
            self._miss()
        waiting: dict[str, list[Rows]] = defaultdict(list)
        for name, rows in self._blocks(files, told, held):
            part = self.vendor.parts.get(name) if name else None
            if part is None:
                yield self._strange(rows)
            elif (made := self._by_columns(part, rows)) is not None:
                yield self._mapped(part, made, rows)
            elif part.together is None:
                yield self.block(part, rows)
            elif part.run is not None:
                for closed in self._closed_runs(name or "", part.run, rows):
                    yield from self._together(part, closed)
            else:
                waiting[name or ""].append(rows)
        last = [(name, waiting[name]) for name in self.vendor.parts if name in waiting]
        for name, several in [*self.open_runs.items(), *last]:
            yield from self._together(self.vendor.parts[name], several)

    def _blocks(
        self,
        files: Sequence[InputFile],
        told: Mapping[str, str | None],
        held: object,
        *,
        are_sides: bool = False,
    ) -> Iterator[tuple[str | None, Rows]]:
        """(part, rows) of every block; for side tables only the first of a file that is none."""
        if held is not None:
            for rows in frame_rows(held, f"<{type(held).__name__}>"):
                tidy = self.vendor.tidy(rows)
                yield self.vendor.part_of(tidy.names(), None), tidy
        for file in files:
            if file.shown in self.kept:
                yield from self.kept.pop(file.shown)
            else:
                yield from self._of_file(file, told[file.shown], are_sides=are_sides)

    def _of_file(
        self, file: InputFile, told: str | None, *, are_sides: bool
    ) -> Iterator[tuple[str | None, Rows]]:
        """The blocks of a file; those of side tables are kept for the second reading, if all find room."""
        kept: list[tuple[str | None, Rows]] | None = [] if are_sides else None
        room = self.room
        for member_name, rows in pieces(file, self.vendor.written, self.vendor):
            if not (len(rows) or rows.broken):
                continue
            named = (self.vendor.part_named(member_name) if member_name else None) or told
            tidy = self.vendor.tidy(rows)
            part = self.vendor.part_of(tidy.names(), named, file)
            tidy = self.vendor.by_columns(part, tidy)
            yield part, tidy
            # where a name or fixed columns tell what the file's own rows are, all of them are that
            is_told = len(rows) > 0 and bool(told or not rows.is_sparse)
            if are_sides and member_name is None and is_told and not self._is_side(part):
                return
            room -= _weight(tidy)
            if kept is not None and room >= 0:
                # without the cells that were looked at so far
                kept.append((part, replace(tidy) if isinstance(tidy, ColumnRows) else tidy))
            else:
                kept = None
        if kept is not None:
            self.kept[file.shown], self.room = kept, room

    def _is_side(self, part: str | None) -> bool:
        return part is not None and self.vendor.parts[part].key is not None

    def _remember(self, name: str | None, rows: Rows) -> None:
        """Hold the rows of a side table."""
        part = self.vendor.parts.get(name) if name else None
        if part is None or part.key is None:
            return
        table = self.sides.setdefault(name or "", Side(part.newest))
        if part.unfold is not None:
            told = [one for row in objects_of(rows) for one in part.unfold(row)]
            self._hold(table, part, ObjectRows(rows.file, told, np.arange(len(told), dtype=np.int64)))
        elif part.unfolds:
            for one, _ in unfolded(rows, part.held, self.sides):
                self._hold(table, part, one)
        else:
            self._hold(table, part, rows)

    def _hold(self, table: Side, part: Part, rows: Rows) -> None:
        said = column(part.key or "")
        keys = Cells(opened(rows, said.reads, ()), self.sides).keys(said)
        if part.holds:
            table.add_columns(keys, {one: rows.column(one) for one in part.holds if rows.has(one)})
        else:
            table.add_rows(keys, objects_of(rows))

    def _miss(self) -> None:
        """Warn of side tables that are not there and without which much is lost."""
        for name, part in self.vendor.parts.items():
            if part.missed and not self.sides.get(name):
                warnings.warn(f"{self.source} has no {name}: {part.missed}", stacklevel=2)

    def _strange(self, rows: Rows) -> Batch:
        """Rows of a table that this vendor's loader does not read."""
        rejects = rejects_of(self.source, rows.file, [], rows.broken)
        return Batch(LOADED.empty_table(), len(rows) + len(rows.broken), rejects, n_excluded=len(rows))

    def _by_columns(self, part: Part, rows: Rows) -> list[tuple[Rows, NDArray[np.int64]]] | None:
        """What is made of a block as a whole, where a part can and its rows are columns."""
        can = part.by_columns is not None and isinstance(rows, ColumnRows) and len(rows) > 0
        return part.by_columns(rows, self.sides) if can else None  # type: ignore[misc, arg-type]

    def block(self, part: Part, rows: Rows) -> Batch:
        """One block of one part."""
        if part.unfolds and len(rows):
            return self._mapped(part, list(unfolded(rows, part.unfolds, self.sides)), rows)
        if part.unfold is None:
            return self._mapped(part, [(rows, np.arange(len(rows)))], rows)
        made = [(place, one) for place, row in enumerate(objects_of(rows)) for one in part.unfold(row)]
        return self._unfolded(part, rows, made)

    def _closed_runs(self, name: str, run: str, rows: Rows) -> Iterator[list[Rows]]:
        """The rows up to the last run, which may go on in the next block."""
        objects = objects_of(rows)
        keys = [member(one, run) for one in objects]
        if not keys:
            yield [rows]
            return
        starts = [
            place for place in range(1, len(keys)) if keys[place] is None or keys[place] != keys[place - 1]
        ]
        pieces = [
            ObjectRows(
                rows.file, objects[begin:end], rows.numbers[begin:end], None, [] if begin else rows.broken
            )
            for begin, end in itertools.pairwise([0, *starts[-1:], len(keys)])
        ]
        held = self.open_runs.setdefault(name, [])
        before = held[-1] if held else None
        if before is not None:
            last = member(objects_of(before)[-1], run)
            if before.file != rows.file or last is None or last != keys[0]:
                yield list(held)
                held.clear()
        held.append(pieces[0])
        if len(pieces) > 1:
            yield list(held)
            held[:] = pieces[1:]

    def _together(self, part: Part, several: Sequence[Rows]) -> Iterator[Batch]:
        """All rows of a part that only mean something beside one another."""
        objects = [row for rows in several for row in objects_of(rows)]
        starts = list(itertools.accumulate(map(len, several), initial=0))
        made: list[list[tuple[int, dict[str, Any]]]] = [[] for _ in several]
        for place, row in part.together(objects, self.sides) if part.together else ():
            block = bisect_right(starts, place) - 1
            made[block].append((place - starts[block], row))
        for rows, mine in zip(several, made, strict=True):
            good = [one for one in mine if "_wrong" not in one[1]]
            batch = self._unfolded(part, rows, good)
            yield self._refused(batch, rows, mine, {place for place, _ in good})

    def _refused(
        self,
        batch: Batch,
        rows: Rows,
        made: Sequence[tuple[int, dict[str, Any]]],
        used: Collection[int],
    ) -> Batch:
        """The batch with the rows that are wrong as rejects."""
        wrong: dict[int, str] = {}
        for place, row in made:
            if "_wrong" in row:
                wrong.setdefault(place, row["_wrong"])
        if not wrong:
            return batch
        refused = [(int(rows.numbers[place]), why, rows.raw(place)) for place, why in wrong.items()]
        unused = len(wrong.keys() - set(used))
        return replace(
            batch,
            n_read=batch.n_read + len(wrong) - unused,
            n_excluded=batch.n_excluded - unused,
            rejects=pa.concat_tables([batch.rejects, rejects_of(self.source, rows.file, refused)]),
        )

    def _unfolded(self, part: Part, rows: Rows, made: Sequence[tuple[int, dict[str, Any]]]) -> Batch:
        origin = np.array([place for place, _ in made], np.int64)
        objects = ObjectRows(rows.file, [one for _, one in made], rows.numbers[origin], None, rows.broken)
        if not part.unfolds:
            return self._mapped(part, [(objects, origin)], rows)
        several = unfolded(objects, part.unfolds, self.sides)
        return self._mapped(part, [(one, origin[places]) for one, places in several], rows)

    def _mapped(self, part: Part, made: Sequence[tuple[Rows, NDArray[np.int64]]], raw: Rows) -> Batch:
        """The events, links and traits of a block.

        `made` are rows that were made of it, and the row of the export that each comes from.
        """
        used = np.zeros(len(raw), bool)
        nameless = 0
        batches: list[Batch] = []
        known: list[tuple[pa.Table, pa.Table]] = []
        refused: list[tuple[int, str, str]] = []
        for rows, origin in made:
            cells = Cells(opened(rows, part.reads, part.spread), self.sides)
            wrong = self._wrong(part, cells)
            for row, why in wrong.items():
                used[origin[row]] = True
                refused.append((int(raw.numbers[origin[row]]), why, raw.raw(int(origin[row]))))
            for events in part.events:
                kept, n_nameless = self._kept(events, cells, wrong)
                nameless += n_nameless
                used[origin[kept]] = True
                if not len(kept) and (batches or events is not part.events[-1]):
                    continue
                prepared = self._laid_out(events, cells, kept, raw, origin=origin)
                if batches:
                    prepared = replace(prepared, broken=[])
                kind = events.kind or self.vendor.kind
                batches.append(
                    events_of(
                        prepared,
                        self.promoted,
                        source=self.source,
                        kind=kind,
                        clock=self.clock,
                        decimal=self.vendor.decimal,
                    )
                )
            known.append(self._known(part, cells))
        if not batches:
            rejects = rejects_of(self.source, raw.file, [], raw.broken)
            batches = [Batch(LOADED.empty_table(), len(raw.broken), rejects)]
        unused = int((~used).sum())
        batch = _joined(batches)
        return replace(
            batch,
            rejects=pa.concat_tables([batch.rejects, rejects_of(self.source, raw.file, refused)]),
            links=pa.concat_tables([*(one.links for one in batches), *(links for links, _ in known)]),
            customers=pa.concat_tables([CUSTOMERS.empty_table(), *(traits for _, traits in known)]),
            n_read=sum(one.n_read for one in batches) + unused + len(refused),
            n_excluded=unused,
            n_nameless=min(nameless, unused),
        )

    def _kept(self, events: Events, cells: Cells, wrong: Collection[int]) -> tuple[NDArray[np.int64], int]:
        """The rows that are events of this kind, and how many are none for want of any id."""
        kept = np.arange(len(cells))
        if events.where is not None and len(cells):
            kept = np.flatnonzero(truths(cells.of(events.where)))
        if wrong:
            kept = np.setdiff1d(kept, list(wrong))
        if not self.vendor.may_be_nameless or not len(kept):
            return kept, 0
        named = self._named(events, cells)[kept]
        return kept[named], len(kept) - int(named.sum())

    def _wrong(self, part: Part, cells: Cells) -> dict[int, str]:
        """Rows that are rejects, and why."""
        if part.wrong is None or not len(cells):
            return {}
        reasons = texts(cells.of(column(part.wrong)))
        rows = np.flatnonzero(pc.is_valid(reasons).to_numpy(zero_copy_only=False))
        return {int(row): reasons[int(row)].as_py() for row in rows}

    def _named(self, events: Events, cells: Cells) -> NDArray[np.bool_]:
        """The rows that carry an id of some kind."""
        found = np.zeros(len(cells), bool)
        for name in (name for name in _IDS if name in events.sayings):
            if found.all():
                break
            values = texts(cells.of(events.sayings[name]))
            found |= pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(values), ""), False).to_numpy(
                zero_copy_only=False
            )
        return found

    def _laid_out(
        self,
        events: Events,
        cells: Cells,
        kept: NDArray[np.int64],
        raw: Rows,
        *,
        origin: NDArray[np.int64],
    ) -> Prepared:
        """The rows that are events of one kind under canonical names."""
        rows = cells.rows
        is_all = len(kept) == len(rows)
        picked = pa.array(kept)

        def taken(values: pa.Array) -> pa.Array:
            values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
            return values if is_all else values.take(picked)

        columns = {name: taken(cells.of(one)) for name, one in events.sayings.items()}
        columns = {
            name: values
            for name, values in columns.items()
            if name in _NEEDED or values.null_count < len(values)
        }
        lifted = Lifted(
            events.lifted, {name: pa.array(truths(cells.of(one))) for name, one in events.aside_where.items()}
        )
        left, inside = left_over(rows, lifted, events.spread)
        theirs = [one for one in rows.names() if not (one.startswith("_") and one in events.lifted)]
        self.promoted.notice(dict.fromkeys([*inside, *theirs]))
        for name in self.promoted.keep:
            if name not in events.also:
                values = promoted_cells(rows, name, events.spread)
                if values is not None:
                    columns[promoted_name(name)] = taken(values)
        marked = events.inferred
        inferred_rows = truths(cells.of(marked))[kept] if isinstance(marked, Saying) else None
        if marked is True:
            inferred_rows = np.ones(len(kept), bool)
        numbers = raw.numbers[origin[kept]] if len(kept) else np.zeros(0, np.int64)
        return Prepared(
            raw.file,
            numbers,
            columns,
            None if left is None else taken(left),
            lambda row: raw.raw(int(origin[kept[row]])),
            raw.broken,
            inferred_rows,
        )

    def _known(self, part: Part, cells: Cells) -> tuple[pa.Table, pa.Table]:
        """Links and traits of a block."""
        size = len(cells)
        kinds = {None: part.links, "merge": part.merges, "alias": part.aliases}
        if not size or not (any(kinds.values()) or part.traits or part.members):
            return links_of([]), attributes_of([])

        known: dict[Saying, pa.Array] = {}

        def read(where: Where) -> pa.Array:
            said = column(where)
            if said not in known:
                known[said] = ids(texts(cells.of(said)), column="id").values
            return known[said]

        times = pa.nulls(size, LINKS.field("timestamp").type)
        if part.time is not None:
            found = self.clock.read(
                cells.of(column(part.time)), cells.rows.numbers, column="time", file=cells.rows.file
            )
            times = found.values
        links = [
            linked(read(one), read(other), times, kind=kind)
            for kind, pairs in kinds.items()
            for one, other in pairs
        ]
        seen = []
        if part.customer is not None:
            users = read(part.customer)
            for name, where in part.traits.items():
                seen.append(attributed(users, times, name, texts(cells.of(column(where)))))
            for head, several in part.members.items():
                names = member_names(cells.rows, head)
                for before, condition in several:
                    is_told = pa.array(truths(cells.of(condition)))
                    whose = pc.if_else(is_told, users, pa.scalar(None, users.type))
                    seen += [
                        attributed(whose, times, before + name, texts(cells[f"{head}.{name}"]))
                        for name in names
                        if whose.null_count < size
                    ]
        return pa.concat_tables([LINKS.empty_table(), *links]), pa.concat_tables(
            [CUSTOMERS.empty_table(), *seen]
        )


def _weight(rows: Rows) -> float:
    """The bytes that a block takes; those of objects cannot be told, and are too many."""
    if isinstance(rows, ColumnRows):
        return float(rows.table.nbytes + len(rows.text or b""))
    return np.inf if len(rows) else 0


def _start(rows: Rows) -> Rows:
    """Enough of a block to see its columns."""
    if not isinstance(rows, ColumnRows):
        return rows
    return replace(rows, table=rows.table.slice(0, 1), numbers=rows.numbers[:1])


def _joined(batches: Sequence[Batch]) -> Batch:
    """The events and rejects of several kinds of event from the same rows."""
    if len(batches) == 1:
        return batches[0]
    events = [one.events for one in batches if one.events.num_rows]
    return Batch(
        pa.concat_tables(events, promote_options="permissive").unify_dictionaries()
        if events
        else LOADED.empty_table(),
        0,
        pa.concat_tables([one.rejects for one in batches]),
    )


def _warn_of_nothing(source: str, n_read: int, n_nameless: int) -> None:
    """Say that an export, perhaps another system's, was read and left out as a whole."""
    nameless = f"; {counted(n_nameless, 'names', 'name')} nobody" if n_nameless else ""
    what = "its only row was" if n_read == 1 else f"all {n_read:,} rows were"
    warnings.warn(
        f"{source}: {what} left out{nameless}. If it is another system's export, "
        "cjm.loaders.describe(path) says which loader reads it.",
        stacklevel=3,
    )
