"""The first half of an ingest: every row is read, checked and put where its customer will be found."""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, UnknownNameError, counted
from cjm_analytics.events.arrange import ByBin, customer_of
from cjm_analytics.events.attributes import PREFIX, Attributes
from cjm_analytics.events.duplicates import integers
from cjm_analytics.events.evidence import Evidence
from cjm_analytics.events.identity import ACCOUNT, Identity
from cjm_analytics.events.intake import CODED_COLUMNS, Intake, Limits, Names
from cjm_analytics.events.marks import NO_RULES, Rules, unmarked
from cjm_analytics.events.owners import Owners
from cjm_analytics.events.rejects import Rejects
from cjm_analytics.events.report import IdentityFacts, IngestReport
from cjm_analytics.events.scatter import BINS, Room, Scatter, bin_of, gathered, one_array
from cjm_analytics.events.stitching import Stitching
from cjm_analytics.schema import (
    CANONICAL,
    FIRST,
    EventSource,
    FileSource,
    NumberedSource,
    RevisedSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cjm_analytics.events.folder import File, Folder, Manifest
    from cjm_analytics.events.growth import Window
    from cjm_analytics.schema import Batch

__all__ = ["Gathering", "wider"]

_IN_MEMORY = 512 * 2**20
"""With a folder to spill to, so many bytes of rows and of what they tell of ids stay in memory before the
others go to disk."""

_BINS_AT_ONCE = 16
_BATCHES_AHEAD = 2
"""So many batches are checked and put into bins while the next one is read."""

_MOST_FILES = 32
"""Evidence in so many files is written anew as one."""

_SHOWN = 3


class Gathering:
    """All rows of one ingest, in bins by customer.

    Parameters
    ----------
    limits : Limits
    identity : Identity
    spill : Path or None
        Where rows go that do not fit into memory. Without one nothing outlives this ingest, and files are not
        compared with those that were read before.
    write_rejects : callable or None
        Writes rejects under a running number.
    rules : Rules
        What marks rows as a robot's or the company's own.

    Attributes
    ----------
    names : Names
        The texts behind the codes of the rows.
    types : dict of str to DataType
        The columns in which any row has a value.
    sources : dict of str to dict
        As in `Manifest.sources`.
    intakes : dict of str to Intake
        What was read of each source.
    evidence : Evidence
    attributes : Attributes
    rejects : Rejects
    notes : list of str
    resolved : Scatter
        Rows whose customer is known.
    waiting : Scatter
        Rows with an anonymous id only, until `settle` moves them.
    before : IngestReport
        What former ingests into the same store did.
    described : pyarrow.Table
        The attributes that former ingests knew, long, per customer.
    dropped : Counter of str
        Per source the rows of the store that were left out because they are being replaced.
    seen_before : tuple of File
        Evidence of former ingests that stays as it is.
    stitching : Stitching
        After `decide`: what the rules made of the evidence.
    found : IdentityFacts
        After `decide`: the numbers of it.
    customers : pyarrow.Table
        After `decide`: the attributes, one row per customer.
    """

    def __init__(
        self,
        limits: Limits,
        identity: Identity,
        spill: Path | None = None,
        write_rejects: Callable[[int, pa.Table], File] | None = None,
        *,
        rules: Rules = NO_RULES,
    ) -> None:
        self.names = Names()
        self.types: dict[str, pa.DataType] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.intakes: dict[str, Intake] = {}
        self.identity = identity
        room = Room(_IN_MEMORY)
        self.evidence = Evidence(spill and spill / "evidence", room)
        self.seen_before: tuple[File, ...] = ()
        self.attributes = Attributes(limits.now)
        self.rejects = Rejects(write_rejects)
        self.notes: list[str] = []
        self.resolved = Scatter(_bin_of_customer, spill and spill / "resolved", room)
        self.waiting = Scatter(_bin_of_alias, spill and spill / "waiting", room)
        self._moved = Scatter(_bin_of_customer, spill and spill / "moved", room)
        self._persons: ByBin | None = None
        self.before = IngestReport()
        self.stitching = Stitching()
        self.found = IdentityFacts()
        self.customers = self.attributes.wide(self.stitching.persons)
        self.described = self.attributes.long()
        self.dropped: Counter[str] = Counter()
        self.rules = rules
        self._limits = limits
        self._windows: Mapping[str, Window] = {}
        self._now_read: set[tuple[str, str]] = set()
        self._remember = spill is not None

    def expect(self, sources: Sequence[EventSource]) -> None:
        """Make sure, before anything is read, that the sources make sense together.

        Raises
        ------
        InputError
            Two sources of one name tell their events apart differently or keep another copy of an event, or
            a promoted name is taken.
        UnknownNameError
            A dedupe column does not exist.
        """
        for source in sources:
            _check_names(source)
            key = list(source.dedupe)
            known = self.sources.setdefault(source.name, {"dedupe": key, "fingerprints": {}, "rows": 0})
            if known["dedupe"] != key:
                raise InputError(
                    f"Two sources named {source.name!r} tell their events apart by different columns: "
                    f"{known['dedupe']} and {key}. Give one of them another name."
                )
            copies = source.copies if isinstance(source, RevisedSource) else FIRST
            if known.setdefault("copies", copies) != copies:
                raise InputError(
                    f"Of several copies of an event, one source named {source.name!r} keeps the "
                    f"{known['copies']}, another the {copies}. Give one of them another name."
                )
            keep, zero = frozenset(source.keep), isinstance(source, NumberedSource) and source.zero
            if source.name in self.intakes:
                keep |= self.intakes[source.name].keep
                zero |= self.intakes[source.name].zero
            self.intakes[source.name] = Intake(
                source.name,
                keep,
                self._limits,
                self.names,
                self.identity,
                seen=known["rows"],
                zero=zero,
                rules=self.rules,
            )

    def replace(self, windows: Mapping[str, Window]) -> None:
        """Leave out the rows of the store that a source has in a window, and read all of its files."""
        self._windows = windows

    def remember(self, folder: Folder, old: Manifest, *, anew: bool) -> None:
        """Take in what a store knows beside its rows: names, ids, attributes and accounts.

        `anew`: what it knows of ids is written again, as one file.
        """
        self.sources = {name: {**known} for name, known in old.sources.items()}
        self.before = IngestReport.from_json(old.report)
        self.rules = self.rules.or_those_of(old.rules)
        self._keep_evidence(folder, old, anew=anew or len(old.identity) >= _MOST_FILES)
        for file in old.customers:
            self.attributes.add(folder.read(file))
        persons = pa.concat_tables([self.stitching.persons, *(folder.read(file) for file in old.persons)])
        self.described = self.attributes.of_customers(persons)
        for name, texts in old.codebooks.items():
            self.names.encode(name, pa.array(texts, pa.string()))

    def _keep_evidence(self, folder: Folder, old: Manifest, *, anew: bool) -> None:
        def tables() -> Iterator[pa.Table]:
            for file in old.identity:
                yield from folder.row_groups(file)

        if anew:
            self.evidence.take_over(tables())
        else:
            self.evidence.remember(tables)
            self.seen_before = old.identity

    def read_again(self, groups: Iterable[pa.Table]) -> None:
        """Take in rows of the store, to find out anew whose they are."""
        for group in groups:
            self._put(self._without_replaced(self.coded(unmarked(group))))

    def take_over(self, groups: Iterable[pa.Table]) -> None:
        """Take in rows of the store with the customers that they have."""
        for group in groups:
            self._resolve(self._with_customers(group))

    def read(self, source: EventSource, advance: Callable[[EventSource, int], object]) -> None:
        """Take in a source; `advance` is told now and then how many rows came of what is left of it."""
        intake = self.intakes[source.name]
        # The source is read here, in the caller's thread; of the others one checks batches, one puts them
        # into bins, and one tells the files, unless some might have been read before.
        checking, putting, telling = (ThreadPoolExecutor(1) for _ in range(3))
        with checking, putting, telling:
            busy: deque[Future[None]] = deque()
            fresh, marks = source, None
            if self._remember and isinstance(source, FileSource):
                marks = telling.submit(source.fingerprints)
                if self._knows_files_of(source.name):
                    fresh = self._without_known_files(source, marks.result())
            for batch in fresh.batches():
                if len(busy) == _BATCHES_AHEAD:
                    busy.popleft().result()
                checked = checking.submit(intake.accept, batch)
                busy.append(putting.submit(self._take_in, intake, batch, checked))
                advance(fresh, batch.n_read)
            for one in busy:
                one.result()
            if marks:
                self._note_files(source.name, marks.result())
        self.sources[source.name]["rows"] = intake.seen

    def refuse_too_many_rejects(self, allowed: float) -> None:
        """Stop where a source has more rejects than allowed.

        Raises
        ------
        InputError
            With the rejects in `.failures`.
        """
        for source, intake in self.intakes.items():
            if intake.read and intake.rejected / intake.read > allowed:
                raise self.rejects.error(source, intake, allowed)

    def decide(self) -> None:
        """All that is new is read: find out who is who."""
        self.evidence.close()
        found = self.stitching = self.identity.resolve(self.evidence.pairs, self.evidence.of)
        self.found = IdentityFacts(
            anonymous_ids=found.n_aliases,
            shared_devices=found.n_shared,
            conflicts=found.conflicts.num_rows,
            hubs=found.n_hubs,
            top_hubs=tuple((one["id"], one["partners"]) for one in found.hubs.to_pylist()),
            ids_per_person=found.quantiles(),
        )
        self.customers = self.attributes.wide(found.persons)

    def claimed_by_session(self) -> pa.Array:
        """Aliases of new rows, where the rows around a login say whose it is."""
        none = pa.array([], pa.string())
        if self.identity.back_fill != "session":
            return none
        self.waiting.close()
        every = range(0, BINS if self.waiting.n_rows else 0, _BINS_AT_ONCE)
        found = [
            _alias(piece).unique()
            for first in every
            for piece in self.waiting.tables(range(first, first + _BINS_AT_ONCE))
        ]
        return pa.concat_arrays([none, *found]).unique()

    def own_people(self) -> pa.Array:
        """After `decide`: the customers of whom an address is known that is the company's own."""
        none = pa.array([], pa.string())
        if self.rules.internal is None or not self.rules.internal.domains:
            return none
        found = []
        for table, address, customer in (
            (self.stitching.owners, "alias", "customer_id"),
            (self.customers, PREFIX + "email", "customer_id"),
        ):
            if address in table.column_names:
                texts = table.column(address)
                texts = texts.cast(texts.type.value_type) if pa.types.is_dictionary(texts.type) else texts
                own = self.rules.internal.own_texts(texts)
                found += table.column(customer).filter(own).cast(pa.string()).chunks
        return pa.concat_arrays([none, *found]).unique()

    def settle(self) -> None:
        """All rows are here: give every waiting one its customer, and every user's the customer's name."""
        self.waiting.close()
        owners = Owners(self.stitching.owners, self.identity)
        for first in range(0, BINS if self.waiting.n_rows else 0, _BINS_AT_ONCE):
            bins = range(first, first + _BINS_AT_ONCE)
            pieces = self.waiting.tables(bins)
            if not pieces:
                continue
            ids = gathered([piece.select(["anonymous_id", "timestamp"]) for piece in pieces])
            customers = owners.of(_alias(ids), integers(ids, "timestamp", 0), bins)
            at = 0
            for piece in pieces:
                self._resolve(piece.append_column("customer_id", customers.slice(at, piece.num_rows)))
                at += piece.num_rows
        self.waiting.clear()
        self.resolved.close()
        if self.stitching.persons.num_rows:
            self._move()

    def tables(self, bins: range) -> list[pa.Table]:
        """The rows of consecutive bins, once all are settled."""
        pieces = self.resolved.tables(bins)
        if self._persons is None:
            return pieces
        stay = (piece.filter(self._names(piece, bins).is_null()) for piece in pieces)
        return [piece for piece in (*stay, *self._moved.tables(bins)) if piece.num_rows]

    def clear(self) -> None:
        """Forget all rows."""
        self.resolved.clear()
        self._moved.clear()

    def _move(self) -> None:
        """Copy the rows of users whose customer has another name to where they belong."""
        self._persons = ByBin(self.stitching.persons, "user_id")
        places = np.unique(bin_of(self.stitching.persons.column("user_id").combine_chunks()))
        for first in np.unique(places // _BINS_AT_ONCE * _BINS_AT_ONCE).tolist():
            bins = range(first, first + _BINS_AT_ONCE)
            for piece in self.resolved.tables(bins):
                names = self._names(piece, bins)
                moved = piece.filter(names.is_valid())
                if not moved.num_rows:
                    continue
                if "customer_id" in moved.column_names:
                    moved = moved.drop_columns(["customer_id"])
                moved = moved.append_column("customer_id", names.drop_null())
                self._note_types(moved)
                self._moved.add(moved)
        self._moved.close()

    def _names(self, piece: pa.Table, bins: range) -> pa.Array:
        """The customer of each row that stands under the user's id and should not; null for the others."""
        assert self._persons is not None  # noqa: S101 - asked for only where somebody has another name
        if "user_id" not in piece.column_names:
            return pa.nulls(piece.num_rows, pa.string())
        names = self._persons.look_up(one_array(piece.column("user_id")), bins, "customer_id")
        if "customer_id" not in piece.column_names:
            return names
        return pc.if_else(
            one_array(piece.column("customer_id")).is_null(), names, pa.scalar(None, pa.string())
        )

    def _take_in(self, intake: Intake, batch: Batch, checked: Future[tuple[pa.Table, pa.Table]]) -> None:
        events, rejects = checked.result()
        self.rejects.add(rejects)
        self.evidence.links(batch.links, self.identity, intake.source, zero=intake.zero)
        self.attributes.add(batch.customers)
        if events.num_rows:
            self.evidence.rows(events, self.identity, intake.source)
            self._put(events)

    def _put(self, events: pa.Table) -> None:
        """Rows of users go to their bin at once; those with an anonymous id only wait."""
        if "user_id" in events.column_names:
            known = events.column("user_id").is_valid()
            if not events.column("user_id").null_count:
                self._resolve(events)
                return
            self._resolve(events.filter(known))
            events = events.filter(pc.invert(known)).drop_columns(["user_id"])
        self._note_types(events)
        if "anonymous_id" in events.column_names:
            known = events.column("anonymous_id").is_valid()
            self.waiting.add(events.filter(known))
            events = events.filter(pc.invert(known)).drop_columns(["anonymous_id"])
        if events.num_rows:
            accounts = pc.binary_join_element_wise(ACCOUNT, events.column("account_id"), "")
            self._resolve(events.append_column("customer_id", accounts))

    def _resolve(self, events: pa.Table) -> None:
        self._note_types(events)
        self.resolved.add(events)

    def note_types(self, names: Iterable[str], schema: pa.Schema) -> None:
        """Rows of a store that are not read have values in these columns too."""
        for name in names:
            kind = pa.int32() if name in CODED_COLUMNS else schema.field(name).type
            self.types[name] = wider(self.types.get(name, kind), kind)

    def note(self, said: str | None) -> None:
        """Tell the reader of the report something, if there is something to tell."""
        self.notes += [said] if said else []

    def note_dropped(self) -> None:
        """Say which rows were replaced."""
        for name, n_rows in sorted(self.dropped.items()):
            start, end = (pd.Timestamp(one, unit="us") for one in self._windows[name])
            self.notes.append(f"Replaced {counted(n_rows, 'row')} of {name!r} from {start} to {end} (UTC).")

    def _note_types(self, events: pa.Table) -> None:
        for one in events.schema:
            known = self.types.get(one.name)
            self.types[one.name] = one.type if known is None else wider(known, one.type)

    def _without_replaced(self, events: pa.Table) -> pa.Table:
        source, time = integers(events, "source", -1), integers(events, "timestamp", 0)
        stays = np.ones(len(source), dtype=bool)
        for name, (start, end) in self._windows.items():
            gone = (source == self.names.code("source", name)) & (start <= time) & (time < end)
            self.dropped[name] += int(gone.sum())
            stays &= ~gone
        return events if stays.all() else events.filter(pa.array(stays))

    def with_customers(self, stored: pa.Table) -> pa.Table:
        """Rows of a store as they are put into bins: whose they are is known, and nobody is judged yet."""
        return self._with_customers(unmarked(stored))

    def _with_customers(self, stored: pa.Table) -> pa.Table:
        events = self.coded(stored)
        owner = stored.column("customer_id").cast(pa.string())
        if "user_id" not in events.column_names:
            return events.append_column("customer_id", owner)
        own = pc.fill_null(pc.equal(events.column("user_id"), owner), False)
        if pc.all(own).as_py():
            return events
        return events.append_column("customer_id", pc.if_else(own, pa.scalar(None, pa.string()), owner))

    def coded(self, stored: pa.Table) -> pa.Table:
        """Rows of a store as `Intake.accept` would give them."""
        columns = {}
        for name in stored.column_names:
            if name == "customer_id" or name.startswith(PREFIX):
                continue
            column = stored.column(name).unify_dictionaries().combine_chunks()
            if column.null_count == len(column):
                continue
            if name in CODED_COLUMNS:
                codes = pa.array(self.names.encode(name, column.dictionary))
                columns[name] = codes.take(column.indices)
            elif pa.types.is_dictionary(column.type):
                columns[name] = column.cast(pa.string())
            else:
                columns[name] = column
        return pa.table(columns)

    def _knows_files_of(self, source: str) -> bool:
        return bool(self.sources[source]["fingerprints"]) or any(name == source for name, _ in self._now_read)

    def _note_files(self, source: str, marks: Mapping[str, str]) -> None:
        """Remember what has been read; `marks` has the fingerprint of each file."""
        self._now_read |= {(source, mark) for mark in marks.values()}
        known = self.sources[source]["fingerprints"]
        self.sources[source]["fingerprints"] = {**known, **{mark: file for file, mark in marks.items()}}

    def _without_known_files(self, source: FileSource, marks: Mapping[str, str]) -> EventSource:
        known = self.sources[source.name]["fingerprints"]
        again = sorted(
            file
            for file, mark in marks.items()
            if (mark in known and source.name not in self._windows) or (source.name, mark) in self._now_read
        )
        if not again:
            return source
        shown = ", ".join(again[:_SHOWN])
        more = f" and {len(again) - _SHOWN:,} more" if len(again) > _SHOWN else ""
        self.notes.append(
            f"Skipped {counted(len(again), 'file')} of {source.name!r} that had been read "
            f"before: {shown}{more}."
        )
        return source.without(again)


def _check_names(source: EventSource) -> None:
    available = [*CANONICAL.names[1:], *source.keep]
    for name in source.dedupe:
        if name not in available:
            raise UnknownNameError(f"dedupe column of source {source.name!r}", name, available)
    for name in source.keep:
        if name in CANONICAL.names or name.startswith((PREFIX, "properties.")):
            raise InputError(
                f"Source {source.name!r} promotes {name!r}, which means something else already. Give the "
                "property another name."
            )


def _alias(events: pa.Table) -> pa.Array:
    return one_array(events.column("anonymous_id"))


def _bin_of_customer(events: pa.Table) -> NDArray[np.uint16]:
    return bin_of(customer_of(events))


def _bin_of_alias(events: pa.Table) -> NDArray[np.uint16]:
    return bin_of(_alias(events))


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """A type that holds the values of both: a number, else text."""
    if one == other:
        return one
    try:
        return (
            pa.unify_schemas(
                [pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive"
            )
            .field("x")
            .type
        )
    except pa.ArrowTypeError:
        return pa.string()
