"""Journeys: sorted coded columns with offsets, in partitions of whole customers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics._card import Card, Shown
from cjm_analytics.columns import (
    Columns,
    HeldColumns,
    MemoryColumns,
    RecodedColumns,
    as_numpy,
    dotted,
    plain,
    runs,
)
from cjm_analytics.errors import CJMError, InputError, UnknownNameError, check_count, counted
from cjm_analytics.once import cached_property
from cjm_analytics.schema import CANONICAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cjm_analytics.model import JourneyModel
    from cjm_analytics.patterns import Automaton

__all__ = [
    "CLOSED",
    "NEVER",
    "Codebook",
    "Journeys",
    "JourneysReport",
    "Labels",
    "Partition",
    "Units",
    "open_journeys",
]

NEVER = np.iinfo(np.int64).max
"""The time of what did not happen: later than everything."""

_DERIVED = ("touchpoint", "channel", "phase", "stage", "session", "journey", "person")
"""Names of columns that the rows of a store have not got."""

_USUAL = (
    "customer_id", "journey", "position", "timestamp", "event", "touchpoint", "channel", "phase", "stage",
    "session", "event_id", "rated_touchpoint", "rated_stage", "rated_phase",
)  # fmt: skip
"""The columns of `Journeys.to_frame`, before those that depend on the log."""

NONE = "(none)"
"""The label of a missing value."""

UNASSIGNED = "unassigned"
"""The phase and stage of an event that no rule of the model names."""

OFF_SCALE = "answers off their scale"
SUPERSEDED = "superseded answers"
"""Answers that were left out, although their events are in journeys: they do not add to the sum of events."""

NO_INSTRUMENT = "scores without an instrument"
"""Of events in journeys; what they measure is unknown, so that they are no answers."""

INFORMATIONAL = (UNASSIGNED, OFF_SCALE, SUPERSEDED, NO_INSTRUMENT)
"""What `report()` tells of events that are in journeys."""

CLOSED = ("open", "inactive", "new cycle", "left")
"""How a journey ended; the codes of the journey column `closed` are positions in it."""

LINKS = ("unlinked", "key", "look_back", "ambiguous")
"""How an answer found what it rates; the codes of the answer column `link` are positions in it."""

EVENT_COLUMNS = {
    "touchpoint": "int16 or int32: position in codebook.touchpoints",
    "channel": "int16: position in codebook.channels, -1 none",
    "phase": "int8: position in codebook.phases, -1 unassigned",
    "stage": "int16: position in codebook.stages, -1 unassigned",
    "session": "int32: number of the session within the customer, from 0; -1 none",
    "time": "int64: microseconds since 1970, UTC",
    "marker": "uint32: bit i is set where the event is codebook.markers[i]",
}
JOURNEY_COLUMNS = {
    "customer": "int32: position of the customer in the partition; never decreases",
    "cycle": "int32: number of the journey within the customer, from 0",
    "goal": "int64: time of the first goal, NEVER without one",
    "closed": "int8: position in CLOSED",
    "closed_at": "int64: when it closed, NEVER while it is open",
    "reversed": "bool: the only goal was taken back",
    "truncated": "bool: it began before the data did",
    "furthest_phase": "int8: furthest phase by progressing touchpoints, -1 none",
    "furthest_stage": "int16: furthest stage by progressing touchpoints, -1 none",
}
ANSWER_COLUMNS = {
    "event": "int64: row of the answer among the partition's events, -1 for an invite",
    "journey": "int64: the journey that the answer falls into, -1 none",
    "customer": "int32: -1 for an invite of one without a journey",
    "time": "int64: when it was given (or offered)",
    "invite": "bool: offered, not given; has no score",
    "survey": "int16: position in codebook.surveys, -1 where the model has no survey for it",
    "instrument": "int16: position in codebook.instruments",
    "score": "float64",
    "rated_event": "int64: row of the touchpoint that it rates, -1 none",
    "rated_touchpoint": "int32: -1 none",
    "rated_stage": "int16: -1 none",
    "rated_phase": "int8: -1 none",
    "rated_channel": "int16: -1 none",
    "link": "int8: position in LINKS",
    "lag": "int64: microseconds from the rated event to the answer, 0 without one",
}


@dataclass(frozen=True)
class Codebook:
    """The names behind the integer codes, shared by all partitions.

    Attributes
    ----------
    touchpoints, channels, phases, stages, markers, surveys, instruments : tuple of str
        Names in the order of their codes; phases and stages in the order of the road.
    stage_phase : tuple of int
        The phase of each stage.
    progress : tuple of bool
        Per touchpoint: does it count as progress along the road?
    sources : tuple of frozenset of str
        Per touchpoint: the sources in which it occurs.
    """

    touchpoints: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    stage_phase: tuple[int, ...] = ()
    markers: tuple[str, ...] = ()
    surveys: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    progress: tuple[bool, ...] = ()
    sources: tuple[frozenset[str], ...] = ()

    def names(self, of: str) -> tuple[str, ...]:
        """Names of a coded column (`touchpoint`, `channel`, `phase` or `stage`)."""
        return {
            "touchpoint": self.touchpoints,
            "channel": self.channels,
            "phase": self.phases,
            "stage": self.stages,
        }[of]

    def code(self, of: str, name: str) -> int:
        """Code of a name; an unknown one raises `UnknownNameError` with a hint."""
        names = self.names(of)
        if name not in names:
            raise UnknownNameError(of, name, names)
        return names.index(name)


class Labels(NamedTuple):
    """A column as integer codes into names; −1 stands for a missing value."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]


class Units(NamedTuple):
    """What is counted: runs of events that belong together.

    Attributes
    ----------
    offsets : int64, n_units + 1
        Unit i is the rows `order[offsets[i]:offsets[i + 1]]`.
    order : int64 or None
        Rows of the partition, in the order of the units; None: as they are.
    customer : int32, n_units
        The customer of each unit.
    """

    offsets: NDArray[np.int64]
    order: NDArray[np.int64] | None
    customer: NDArray[np.int32]

    def arrange(self, column: NDArray[Any]) -> NDArray[Any]:
        """An event column in the order of the units."""
        return column if self.order is None else column[self.order]


@dataclass(frozen=True, eq=False)
class Partition:
    """Journeys of customers that are in no other partition.

    Attributes
    ----------
    codebook : Codebook
    events : Columns
        The columns of `EVENT_COLUMNS`, one row per event, sorted by customer, then time.
    cases : Columns
        The columns of `JOURNEY_COLUMNS` and `n_events`, one row per journey.
    answers : Columns
        The columns of `ANSWER_COLUMNS`, one row per survey answer or invite.
    rows : Columns
        All other columns of the same events, as the event store has them (`customer_id`, `event`, …).
    customers : Columns
        One column, `customer_id`: the customers' ids, in order.
    """

    codebook: Codebook
    events: Columns
    cases: Columns
    answers: Columns
    rows: Columns
    customers: Columns

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.events.n_rows

    @property
    def n_journeys(self) -> int:
        """Number of journeys."""
        return self.cases.n_rows

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return self.customers.n_rows

    @cached_property
    def customer_ids(self) -> pa.Array:
        """The customers' ids, in order; read when they are first asked for."""
        ids = self.customers.read(["customer_id"]).column(0).combine_chunks()
        return ids if isinstance(ids, pa.Array) else pa.array([], pa.string())

    def event(self, name: str) -> NDArray[Any]:
        """One of `EVENT_COLUMNS`, an array with a value per event."""
        return as_numpy(self.events.read([name]).column(name))

    def journey(self, name: str) -> NDArray[Any]:
        """One of `JOURNEY_COLUMNS`, an array with a value per journey."""
        return as_numpy(self.cases.read([name]).column(name))

    def answer(self, name: str) -> NDArray[Any]:
        """One of `ANSWER_COLUMNS`, an array with a value per answer or invite."""
        return as_numpy(self.answers.read([name]).column(name))

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Journey j is the events `offsets[j]:offsets[j + 1]`."""
        return _offsets(self.journey("n_events"))

    @cached_property
    def customer_offsets(self) -> NDArray[np.int64]:
        """Customer c is the journeys `customer_offsets[c]:customer_offsets[c + 1]`."""
        return _offsets(np.bincount(self.journey("customer"), minlength=self.n_customers))

    def held(self) -> Partition:
        """The same partition, which reads each of its coded columns only once.

        For the time of one pass: what it has read is kept, whatever the memory budget says.
        """
        if isinstance(self.events, MemoryColumns):
            return self
        return replace(
            self,
            events=HeldColumns(self.events),
            cases=HeldColumns(self.cases),
            answers=HeldColumns(self.answers),
        )

    def units(self, unit: str) -> Units:
        """The runs of events that an analysis counts: `journey`, `customer` or `session`.

        Raises
        ------
        UnknownNameError
            There is no such unit.
        """
        if unit == "journey":
            return Units(self.offsets, None, self.journey("customer"))
        by_customer = self.offsets[self.customer_offsets]
        if unit == "customer":
            return Units(by_customer, None, np.arange(self.n_customers, dtype=np.int32))
        if unit == "session":
            from cjm_analytics.kernels.grouping import group_sessions

            order, offsets, customer = group_sessions(by_customer, self.event("session"))
            return Units(offsets, order, customer)
        raise UnknownNameError("unit", unit, ["journey", "customer", "session"])

    def goal_times(self, goal: str | None) -> NDArray[np.int64]:
        """Per journey the time of its first goal: the model's, or a marker or touchpoint by name."""
        if goal is None:
            return self.journey("goal")
        from cjm_analytics.kernels.grouping import first_time

        if goal in self.codebook.markers:
            bit = np.uint32(1 << self.codebook.markers.index(goal))
            fits = (self.event("marker") & bit) != 0
        elif goal in self.codebook.touchpoints:
            fits = self.event("touchpoint") == self.codebook.touchpoints.index(goal)
        else:
            raise UnknownNameError("goal", goal, [*self.codebook.markers, *self.codebook.touchpoints])
        return first_time(self.offsets, self.event("time"), fits, NEVER)

    def table(self, names: Sequence[str]) -> pa.Table:
        """Columns by the names that `by=` and `where=` use, one row per event.

        Canonical columns, promoted properties and `customer.<attribute>` come as the event store has them,
        `touchpoint`, `channel`, `phase` and `stage` as names, `session` and `journey` as numbers within the
        customer, `properties.<dotted>` as text read from JSON. `person` says of the customer whether a strong
        id is known (`known`), none but a device or an address (`anonymous`), or an account only (`account`).

        Raises
        ------
        UnknownNameError
            There is no such column.
        """
        return pa.table({name: self._named(name) for name in dict.fromkeys(names)})

    def _named(self, name: str) -> pa.ChunkedArray | pa.Array:
        if name in {"touchpoint", "channel", "phase", "stage"}:
            return _dictionary(self.event(name).astype(np.int32), self.codebook.names(name))
        if name == "session":
            session = self.event("session")
            return pa.array(session, mask=session < 0)
        if name == "journey":
            return pa.array(np.repeat(self.journey("cycle"), np.diff(self.offsets)))
        if name in self.rows.names:
            return self.rows.read([name]).column(name)
        if name.startswith("properties.") and "properties" in self.rows.names:
            return dotted(
                self.rows.read(["properties"]).column("properties"), name.removeprefix("properties.")
            )
        if name == "person":
            of_event = np.repeat(self.journey("customer"), np.diff(self.offsets))
            from cjm_analytics.events.identity import kinds_of

            return kinds_of(self.customer_ids).take(pa.array(of_event))
        raise UnknownNameError(
            "column",
            name,
            sorted({*self.rows.names, *_DERIVED}),
        )

    def labels(self, name: str) -> Labels:
        """A column of `table` as codes and names.

        The names of `touchpoint`, `channel`, `phase` and `stage` are those of the codebook, in its order; of
        any other column those that occur in this partition, sorted as text.
        """
        if name in {"touchpoint", "channel", "phase", "stage"}:
            return Labels(self.event(name).astype(np.int32), self.codebook.names(name))
        column = self.table([name]).column(name)
        if pa.types.is_null(column.type):
            column = column.cast(pa.string())
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = (
                column.chunk(0) if column.num_chunks else pa.array([], pa.dictionary(pa.int32(), pa.string()))
            )
        names = column.dictionary.cast(pa.string()).to_numpy(zero_copy_only=False)
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)))
        used = used[np.argsort(names[used].astype(str), kind="stable")]
        rank = np.full(len(names) + 1, -1, dtype=np.int32)
        rank[used] = np.arange(len(used), dtype=np.int32)
        return Labels(rank[codes], tuple(str(name) for name in names[used]))

    def take(self, keep: NDArray[np.bool_]) -> Partition:
        """The partition with only the journeys for which `keep` is true.

        Customers without a journey stay in the numbering of customers of this partition no longer.
        """
        lengths = np.diff(self.offsets)
        some = np.flatnonzero(keep & (lengths > 0))
        return self._gather(_rows(self.offsets[some], lengths[some]), keep, lengths)

    def cut(self, keep: NDArray[np.bool_]) -> Partition:
        """The partition with only the events for which `keep` is true, and the journeys that have one."""
        events_before = np.concatenate([[0], np.cumsum(keep)])
        lengths = np.diff(events_before[self.offsets])
        return self._gather(np.flatnonzero(keep), lengths > 0, lengths)

    def _gather(
        self, event_rows: NDArray[np.int64], keep_journey: NDArray[np.bool_], lengths: NDArray[np.int64]
    ) -> Partition:
        journey_rows = np.flatnonzero(keep_journey)
        case_table = self.cases.read(self.cases.names).take(pa.array(journey_rows))
        old_customer = as_numpy(case_table.column("customer"))
        is_new = np.ones(len(old_customer), np.bool_)
        np.not_equal(old_customer[1:], old_customer[:-1], out=is_new[1:])  # customers never decrease
        customers, customer = old_customer[is_new], np.cumsum(is_new) - 1
        case_table = _replaced(case_table, "customer", customer.astype(np.int32))
        case_table = _replaced(case_table, "n_events", lengths[journey_rows])
        return replace(
            self,
            events=self.events.take(event_rows),
            cases=MemoryColumns(case_table),
            answers=self._gather_answers(event_rows, keep_journey, customers),
            rows=self.rows.take(event_rows),
            customers=self.customers.take(customers),
        )

    def _gather_answers(
        self, event_rows: NDArray[np.int64], keep_journey: NDArray[np.bool_], customers: NDArray[np.int32]
    ) -> Columns:
        if not self.answers.n_rows:
            return self.answers.take(np.zeros(0, np.int64))
        table = self.answers.read(self.answers.names)
        keep_event = np.zeros(self.n_events, np.bool_)
        keep_event[event_rows] = True
        event, journey = self.answer("event"), self.answer("journey")
        of_customer = np.isin(self.answer("customer"), customers)
        kept = np.where(
            event >= 0,
            _at(keep_event, event),
            np.where(journey >= 0, _at(keep_journey, journey), of_customer),
        )
        kept &= of_customer
        table = table.filter(pa.array(kept))
        rated = self.answer("rated_event")[kept]
        event_number = np.where(keep_event, np.cumsum(keep_event) - 1, -1)
        journey_number = np.where(keep_journey, np.cumsum(keep_journey) - 1, -1)
        table = _replaced(table, "event", _at(event_number, event[kept], -1))
        table = _replaced(table, "rated_event", _at(event_number, rated, -1))
        table = _replaced(table, "journey", _at(journey_number, journey[kept], -1))
        customer = np.searchsorted(customers, self.answer("customer")[kept]).astype(np.int32)
        return MemoryColumns(_replaced(table, "customer", customer))


def _offsets(lengths: NDArray[Any]) -> NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _rows(begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
    """The rows of runs that rise, one after the other: `lengths[i]` from `begin[i]` on. No run is empty."""
    if not len(begin):
        return np.zeros(0, np.int64)
    few = begin[-1] + lengths[-1] <= np.iinfo(np.int32).max
    steps = np.ones(lengths.sum(), np.int32 if few else np.int64)
    steps[0] = begin[0]
    steps[np.cumsum(lengths[:-1])] = begin[1:] - (begin[:-1] + lengths[:-1]) + 1
    return np.cumsum(steps, dtype=steps.dtype, out=steps)


def _at(values: NDArray[Any], index: NDArray[np.int64], missing: int = 0) -> NDArray[Any]:
    """Values at an index in which −1 means none."""
    if not len(values):
        return np.full(len(index), missing, dtype=values.dtype)
    return np.where(index >= 0, values[index], missing).astype(values.dtype)


def _replaced(table: pa.Table, name: str, values: NDArray[Any]) -> pa.Table:
    position = table.column_names.index(name)
    return table.set_column(position, name, pa.array(values, type=table.schema.field(name).type))


@dataclass(frozen=True, eq=False)
class Journeys:
    """Customer journeys in coded columns, ready to be asked.

    Made by `cjm.sessionize` or `cjm.open_journeys`. `len()` is the number of journeys.

    Attributes
    ----------
    partitions : tuple of Partition
        At least one; no customer is in two.
    codebook : Codebook
    model : JourneyModel or None
        None: one journey per customer, touchpoint = event, no phases.
    observation_start : int
        First timestamp of the log, microseconds UTC.
    observation_ends : mapping of str to int
        Per source the last instant for which its log is complete, microseconds UTC.
    accounting : mapping of str to int
        What became of the events, as `report()` tells it.
    """

    partitions: tuple[Partition, ...]
    codebook: Codebook
    model: JourneyModel | None = None
    observation_start: int = 0
    observation_ends: Mapping[str, int] = field(default_factory=dict)
    accounting: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(partition.n_journeys for partition in self.partitions)

    @property
    def n_events(self) -> int:
        """Number of events in all journeys."""
        return sum(partition.n_events for partition in self.partitions)

    @property
    def n_customers(self) -> int:
        """Number of customers with at least one journey."""
        return sum(partition.n_customers for partition in self.partitions)

    @property
    def timezone(self) -> str:
        """Time zone of calendar notions (day, week, midnight)."""
        return self.model.timezone if self.model else "UTC"

    def observed_until(self, touchpoints: Sequence[int] | None = None) -> int:
        """Observation end, microseconds UTC: the earliest end of the sources in which the touchpoints occur.

        Without touchpoints, of all sources in which a progressing touchpoint occurs: a survey that pauses
        does not close the log of the shop.
        """
        if touchpoints is None:
            touchpoints = [code for code, counts in enumerate(self.codebook.progress) if counts]
        needed = {source for code in touchpoints for source in self.codebook.sources[code]}
        ends = [end for source, end in self.observation_ends.items() if source in needed]
        return min(ends or self.observation_ends.values(), default=0)

    def to_frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per event, sorted by customer, journey and position.

        Parameters
        ----------
        columns : sequence of str, optional
            Any that `by=` and `where=` can name (columns of the event store, properties that were kept,
            `customer.<attribute>`, `properties.<dotted>`, `person`), and those below. Default: `customer_id,
            journey, position, timestamp, event, touchpoint, channel, phase, stage, session`, then `event_id`
            and, for survey answers, what they rate: `rated_touchpoint, rated_stage, rated_phase`, then
            `value` and `currency` where the log has them, and the properties that were kept at ingest.
            `journey` and `session` count from 0 within the customer; `value` is a float.

        Raises
        ------
        UnknownNameError
            There is no such column.

        Examples
        --------
        >>> import cjm_analytics as cjm
        >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
        ...     {"who": ["a", "a"], "when": ["2026-01-01", "2026-01-02"], "what": ["ad", "buy"],
        ...      "price": [None, "9.90"], "page": ["/", "/cart"]}, customer="who", timestamp="when",
        ...     event="what", value="price", tz="UTC")))
        >>> journeys.to_frame(["touchpoint", "value", "properties.page"])
          touchpoint  value properties.page
        0         ad    NaN               /
        1        buy    9.9           /cart
        """
        table = plain(self.to_arrow(columns))
        order = _order_of_cases(self.partitions)
        if order is not None:
            lengths = np.concatenate([np.diff(one.offsets) for one in self.partitions])
            starts = np.cumsum(lengths) - lengths
            table = table.take(pa.array(runs(starts[order], lengths[order])))
        frame: pd.DataFrame = table.to_pandas()
        if "session" in frame:  # a number that may be missing, not one with decimals
            frame["session"] = table.column("session").to_pandas(
                types_mapper={pa.int32(): pd.Int32Dtype()}.get
            )
        return frame

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The columns of `to_frame` as an Arrow table, partition by partition: the names are dictionaries.

        Raises
        ------
        UnknownNameError
            There is no such column.
        """
        names = self._usual_columns() if columns is None else columns
        tables = [_event_table(partition, names) for partition in self.partitions]
        return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()

    def _usual_columns(self) -> list[str]:
        held, filled = set(), set()
        for rows in (partition.rows for partition in self.partitions):
            held |= set(rows.names)
            filled |= set(getattr(rows, "filled", rows.names))
        first = [name for name in _USUAL if name not in {"event", "event_id"} or name in held]
        kept = [name for name in self.partitions[0].rows.names if name not in {*CANONICAL.names, *_DERIVED}]
        told = [name for name in ("value", "currency") if name in filled]
        return [*first, *told, *(name for name in kept if not name.startswith("customer."))]

    def to_xes(self, path: str | Path) -> None:
        """Write a process log in XES (IEEE 1849), which PM4Py, ProM and others read; `.xes` or `.xes.gz`.

        A trace is a journey (`concept:name` is `customer/number`, beside `customer_id`, `journey` and
        `converted`), an event one of its events: `concept:name` is the touchpoint; channel, phase, stage,
        session and what the sources told (order, value, score, … and the properties that were kept) are
        attributes. `cjm.loaders.xes` reads it
        back with `customer="case:customer_id"`.

        Raises
        ------
        InputError
            Another ending, or no such folder.
        """
        from cjm_analytics.process_export import write_xes

        write_xes(self, path)

    def to_ocel(self, path: str | Path) -> None:
        """Write an object-centric log, OCEL 2.0: `.json` (or `.jsonocel`) or `.sqlite`.

        Objects are customers, journeys, orders and tickets; their ids begin with their type
        (`customer:ada`). The type of an event is its touchpoint; its attributes are those of `to_xes`.
        `cjm.loaders.ocel` reads it back with
        `customer_object_type="customer"`.

        Raises
        ------
        InputError
            Another ending, or no such folder.
        """
        from cjm_analytics.process_export import write_ocel

        write_ocel(self, path)

    def cases(self) -> pd.DataFrame:
        """One row per journey, sorted by customer and journey.

        Columns `customer_id, journey, start, end, events, converted, goal_time, closed, goal_reversed,
        furthest_phase, furthest_stage, duration, first_touchpoint, last_touchpoint, closed_at, truncated`.
        `closed` says how it ended (open, inactive, new cycle, left) and `closed_at` when, NaT while it is
        open; `truncated`: it probably began before the data did.
        """
        partitions = [partition.held() for partition in self.partitions]
        frames = [_case_frame(partition) for partition in partitions]
        frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        order = _order_of_cases(partitions)
        return frame if order is None else frame.take(order).reset_index(drop=True)

    def answers(self) -> pd.DataFrame:
        """One row per survey answer or invite, sorted by customer and time.

        Columns `customer_id, journey, timestamp, invite, survey, instrument, score, rated_touchpoint,
        rated_stage, rated_phase, rated_channel, link, lag`. `journey` is the one into which it falls, `link`
        how it found what it rates (unlinked, key, look_back, ambiguous), `lag` the time from that contact. An
        invite has no score.
        """
        frame = pd.concat([_answer_frame(partition) for partition in self.partitions], ignore_index=True)
        return frame.sort_values(["customer_id", "timestamp"], kind="stable", ignore_index=True)

    def report(self) -> JourneysReport:
        """What became of the events: every one is in a journey, excluded, merged or unmatched."""
        return JourneysReport(self)

    def validate(self) -> None:
        """Check the invariants of the store.

        Offsets start at 0, never decrease and end at the number of events; time never decreases inside a
        journey; codes lie in the codebook; answers point at events, journeys and customers that are there; no
        customer is in two partitions.

        Raises
        ------
        CJMError
            With all violations in `.failures`.
        """
        faults = [
            (number, fault)
            for number, partition in enumerate(self.partitions)
            for fault in _faults(partition)
        ]
        ids = pa.chunked_array([partition.customer_ids for partition in self.partitions], pa.string())
        if pc.count_distinct(ids).as_py() != len(ids):
            faults.append((-1, "a customer is in two partitions"))
        if faults:
            frame = pd.DataFrame(faults, columns=["partition", "fault"])
            raise CJMError(
                f"The journeys are damaged: {faults[0][1]} (partition {faults[0][0]})."
            ).with_failures(frame)

    def select(
        self,
        *,
        started: tuple[object, object] | None = None,
        where: Mapping[str, object] | None = None,
        containing: str | Sequence[str] | None = None,
        matching: str | None = None,
        channel: str | Sequence[str] | None = None,
        touchpoint: str | Sequence[str] | None = None,
    ) -> Journeys:
        """Some of the journeys, whole; or, with `channel` and `touchpoint`, some of their events.

        Parameters
        ----------
        started : pair of timestamps, optional
            Journeys whose first event lies in [from, to); either may be None. Local times are read in the
            model's time zone.
        where : mapping, optional
            Journeys in which at least one event fits, in the match grammar of the model.
        containing : str or sequence of str, optional
            Journeys in which each of these touchpoints occurs.
        matching : str, optional
            Journeys that a path pattern over touchpoints fits, such as `"view -> [^buy]* -> (end)"`.
        channel, touchpoint : str or sequence of str, optional
            Cuts the journeys: only events of these channels or touchpoints stay, and journeys that have
            one. Events become neighbours that were none, so that paths and transitions of a cut selection
            speak of these events only; `report()` says how many events were cut.

        Raises
        ------
        UnknownNameError
            No such touchpoint, channel or column.
        PatternError
            `matching` cannot be read, or names an unknown touchpoint.

        Examples
        --------
        >>> import cjm_analytics as cjm
        >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
        ...     {"who": ["a", "a", "b"], "when": ["2026-01-01", "2026-01-02", "2026-01-03"],
        ...      "what": ["ad", "buy", "ad"]}, customer="who", timestamp="when", event="what", tz="UTC")))
        >>> len(journeys), len(journeys.select(containing="buy"))
        (2, 1)
        >>> len(journeys.select(matching="ad -> (end)"))
        1
        """
        from cjm_analytics.matching import compile_match
        from cjm_analytics.patterns import compile_pattern

        match = compile_match(where) if where else None
        automaton = compile_pattern(matching, self.codebook.touchpoints) if matching is not None else None
        contained = [self.codebook.code("touchpoint", name) for name in _as_list(containing)]
        cuts = {
            "channel": [self.codebook.code("channel", name) for name in _as_list(channel)],
            "touchpoint": [self.codebook.code("touchpoint", name) for name in _as_list(touchpoint)],
        }
        window = tuple(_instant(bound, self.timezone) for bound in started or (None, None))
        if len(window) != 2:  # noqa: PLR2004 - a pair
            raise InputError("started= takes a pair of timestamps: (from, to).")

        def selected(stored: Partition) -> Partition:
            partition = stored.held()
            keep = np.ones(partition.n_journeys, dtype=bool)
            starts = partition.event("time")[partition.offsets[:-1]] if started else None
            for bound, after in zip(window, (True, False), strict=True):
                if starts is not None and bound is not None:
                    keep &= (starts >= bound) if after else (starts < bound)
            if match is not None:
                keep &= _any_per_run(match.mask(partition.table(sorted(match.columns))), partition.offsets)
            for code in contained:
                keep &= _any_per_run(partition.event("touchpoint") == code, partition.offsets)
            if automaton is not None:
                keep &= _fits(partition, automaton)
            chosen = stored if keep.all() else partition.take(keep)
            for name, codes in cuts.items():
                if codes:
                    chosen = chosen.cut(np.isin(chosen.event(name), codes))
            return chosen

        return self._of_selected(tuple(selected(partition) for partition in self.partitions))

    def between(
        self, start: str | None = None, end: str | None = None, *, last: int | None = None
    ) -> Journeys:
        """Each journey from one event to another, both included; journeys that have not both are left out.

        Parameters
        ----------
        start : str, optional
            A touchpoint, or a path pattern: the first event of its first match. None: the journey's start.
        end : str, optional
            A touchpoint, or a path pattern: the last event of its first match at or after the start. None:
            the journey's end.
        last : int, optional
            Of these events, so many at most: the last ones.

        Raises
        ------
        UnknownNameError
            No such touchpoint.
        PatternError
            A pattern that cannot be read.
        InputError
            `last` is below 1.

        Notes
        -----
        `flow(end=)` counts positions back from the end. `flow(journeys.between(end="buy", last=5))` counts
        each way from its own beginning, as PostHog does.

        Whether a journey reached its goal stays as it was, also if the goal is cut off. `report()` says how
        many events were left out.

        Examples
        --------
        >>> import cjm_analytics as cjm
        >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
        ...     {"who": list("aaaab"), "what": ["ad", "cart", "help", "buy", "cart"],
        ...      "when": [f"2026-01-0{day}" for day in (1, 2, 3, 4, 1)]},
        ...     customer="who", timestamp="when", event="what", tz="UTC")))
        >>> cjm.paths(journeys.between("cart", "buy")).sequences
        (('cart', 'help', 'buy'),)
        """
        from cjm_analytics.patterns import compile_anchor

        names = self.codebook.touchpoints
        starts, ends = (None if one is None else compile_anchor(one, names) for one in (start, end))
        check_count("last", last)

        def cut(partition: Partition) -> Partition:
            codes, time = _frozen(partition.event("touchpoint")), _frozen(partition.event("time"))
            low, high = partition.offsets[:-1], partition.offsets[1:]
            if starts is not None:
                found = starts.matches(_frozen(low), _frozen(high), codes, time=time, missing=-1)
                low, high = found.begin, high[found.unit]
            if ends is not None:
                found = ends.matches(_frozen(low), _frozen(high), codes, time=time, missing=-1)
                low, high = low[found.unit], found.end + 1
            if last is not None:
                low = np.maximum(low, high - int(last))
            edges = np.zeros(partition.n_events + 1, np.int64)
            np.add.at(edges, low, 1)
            np.add.at(edges, high, -1)
            return partition.cut(np.cumsum(edges[:-1]) > 0)

        return self._of_selected(tuple(cut(partition) for partition in self.partitions))

    def _of_selected(self, partitions: tuple[Partition, ...]) -> Journeys:
        kept = replace(self, partitions=partitions)
        left_out = self.n_events - kept.n_events
        return replace(
            kept,
            accounting={
                **self.accounting,
                "left out by select": left_out + self.accounting.get("left out by select", 0),
            },
        )

    def relabel(
        self,
        *,
        group: Mapping[str, str] | Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        hide: str | Sequence[str] = (),
    ) -> Journeys:
        r"""The same journeys with clearer touchpoints, for every analysis that follows.

        Parameters
        ----------
        group : mapping or sequence of str, optional
            Pattern with `*`, `?` and `[…]` → the name of all touchpoints that fit it: `{"/product/*":
            "product page"}`. Patterns alone are names themselves: `["/product/*"]`.
        rename : mapping, optional
            Regular expression → new name, of touchpoints that fit it as a whole and no `group` took; the name
            may refer to parts: `{r"(\w+)_v\d": r"\1"}`. Of several that fit the first counts.
        hide : str or sequence of str
            Touchpoints, by their new name or a pattern, whose events are left out. Their neighbours become
            neighbours; `report()` says how many events are hidden.

        Raises
        ------
        UnknownNameError
            A pattern or name that fits no touchpoint.
        InputError
            A regular expression that cannot be read.

        Examples
        --------
        >>> import cjm_analytics as cjm
        >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
        ...     {"who": list("aaa"), "what": ["/p/1", "/p/2", "ping"],
        ...      "when": ["2026-01-01", "2026-01-02", "2026-01-03"]},
        ...     customer="who", timestamp="when", event="what", tz="UTC")))
        >>> journeys.relabel(group={"/p/*": "product"}, hide="ping").to_frame()["touchpoint"].tolist()
        ['product', 'product']
        """
        old = self.codebook.touchpoints
        groups = group if isinstance(group, Mapping) else {one: one for one in _as_list(group)}
        named = _new_names(old, groups, rename or {})
        names = tuple(dict.fromkeys(named))
        place = {name: code for code, name in enumerate(names)}
        codes = np.array([place[name] for name in named], dtype=np.int32)
        of_name: list[list[int]] = [[] for _ in names]
        for code, name in enumerate(named):
            of_name[place[name]].append(code)
        codebook = replace(
            self.codebook,
            touchpoints=names,
            progress=tuple(any(self.codebook.progress[code] for code in some) for some in of_name),
            sources=tuple(
                frozenset().union(*(self.codebook.sources[code] for code in some)) for some in of_name
            ),
        )
        partitions = tuple(
            replace(
                one,
                codebook=codebook,
                events=RecodedColumns(one.events, {"touchpoint": codes}),
                answers=RecodedColumns(one.answers, {"rated_touchpoint": codes}),
            )
            for one in self.partitions
        )
        found = replace(self, codebook=codebook, partitions=partitions)
        hidden = {name for pattern in _as_list(hide) for name in _fitting(pattern, names)}
        if not hidden:
            return found
        kept = found.select(touchpoint=[name for name in names if name not in hidden])
        accounting = dict(kept.accounting)
        left_out = accounting.pop("left out by select") - self.accounting.get("left out by select", 0)
        accounting["hidden"] = left_out + accounting.get("hidden", 0)
        if "left out by select" in self.accounting:
            accounting["left out by select"] = self.accounting["left out by select"]
        return replace(kept, accounting=accounting)

    def write(self, path: str | Path) -> None:
        """Write the journeys into a folder for `cjm.open_journeys`, or any reader of Arrow and Parquet files.

        Raises
        ------
        StoreError
            The folder exists and holds something else.
        """
        from cjm_analytics.journey_store import write_journeys

        write_journeys(self, path)

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    def __repr__(self) -> str:
        return (
            f"<Journeys: {counted(len(self), 'journey')} of {counted(self.n_customers, 'customer')}, "
            f"{counted(self.n_events, 'event')}, {counted(len(self.codebook.touchpoints), 'touchpoint')}, "
            f"{counted(len(self.codebook.phases), 'phase')}>"
        )


def open_journeys(path: str | Path) -> Journeys:
    """Journeys that `Journeys.write` put into a folder; columns are read when an analysis asks for them.

    Parameters
    ----------
    path : str or Path
        The folder.

    Raises
    ------
    StoreError
        There is no such folder, it is damaged, or a newer version wrote it.

    Examples
    --------
    >>> import tempfile
    >>> import cjm_analytics as cjm
    >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "b"], "when": ["2026-01-01", "2026-01-02"], "what": ["ad", "buy"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC")))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journeys.write(f"{folder}/journeys")
    ...     cjm.open_journeys(f"{folder}/journeys")
    <Journeys: 2 journeys of 2 customers, 2 events, 2 touchpoints, 0 phases>
    """
    from cjm_analytics.journey_store import read_journeys

    return read_journeys(path)


@dataclass(frozen=True, eq=False, repr=False)
class JourneysReport(Shown):
    """What sessionizing did with each event."""

    journeys: Journeys

    def to_frame(self) -> pd.DataFrame:
        """Columns `what, events, share`: in journeys, then every reason for which an event is in none."""
        counts = {"in journeys": self.journeys.n_events, **self.journeys.accounting}
        total = sum(count for what, count in counts.items() if what not in INFORMATIONAL)
        frame = pd.DataFrame({"what": list(counts), "events": list(counts.values())})
        return frame.assign(share=frame["events"] / max(total, 1))

    def _card(self) -> Card:
        journeys = self.journeys
        facts = {
            "journeys": f"{len(journeys):,}",
            "customers": f"{journeys.n_customers:,}",
            "events": f"{journeys.n_events:,}",
            "touchpoints": f"{len(journeys.codebook.touchpoints):,}",
            "model": journeys.model.name if journeys.model else "none: one journey per customer",
        }
        return Card("Journeys", facts, self.to_frame())


def _new_names(names: Sequence[str], group: Mapping[str, str], rename: Mapping[str, str]) -> list[str]:
    """What each touchpoint is called from now on."""
    for pattern in group:
        _fitting(pattern, names)
    compiled = []
    for expression, name in rename.items():
        try:
            compiled.append((re.compile(expression), name))
        except re.error as fault:
            raise InputError(f"rename={{{expression!r}: …}} is no regular expression: {fault}.") from fault
        if not any(compiled[-1][0].fullmatch(one) for one in names):
            raise UnknownNameError("touchpoint for rename=", expression, names)

    def new(name: str) -> str:
        for pattern, wanted in group.items():
            if fnmatchcase(name, pattern):
                return wanted
        for expression, wanted in compiled:
            if fits := expression.fullmatch(name):
                return fits.expand(wanted)
        return name

    return [new(name) for name in names]


def _fitting(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that fit a pattern; none is an error."""
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise UnknownNameError("touchpoint", pattern, names)
    return found


def _fits(partition: Partition, automaton: Automaton) -> NDArray[np.bool_]:
    """Which journeys of the partition a pattern fits."""
    by_length = automaton.fitting_lengths(np.diff(partition.offsets))
    if by_length is not None:
        return by_length
    columns = (partition.offsets[:-1], partition.offsets[1:], partition.event("touchpoint"))
    time = _frozen(partition.event("time"))
    return automaton.fitting(*map(_frozen, columns), time=time, missing=-1)


def _frozen(column: NDArray[Any]) -> NDArray[Any]:
    """The same values, not writeable: kernels are compiled once, for what is not."""
    view = column.view()
    view.flags.writeable = False
    return view


def _as_list(names: str | Sequence[str] | None) -> list[str]:
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def _instant(bound: object, timezone: str) -> int | None:
    if bound is None:
        return None
    stamp = pd.Timestamp(bound)  # type: ignore[arg-type]
    stamp = stamp.tz_localize(timezone) if stamp.tzinfo is None else stamp
    return stamp.value // 1_000


def _any_per_run(fits: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    before = np.concatenate([[0], np.cumsum(fits)])
    return np.diff(before[offsets]) > 0


def _faults(partition: Partition) -> list[str]:
    offsets, time = partition.offsets, partition.event("time")
    faults = []
    if offsets[0] != 0 or offsets[-1] != partition.n_events or (np.diff(offsets) < 0).any():
        faults.append("offsets do not run from 0 to the number of events")
    falls = np.flatnonzero(np.diff(time) < 0) + 1
    if not np.isin(falls, offsets).all():
        faults.append("time decreases inside a journey")
    customer = partition.journey("customer")
    if (np.diff(customer) < 0).any():
        faults.append("customers are not in order")
    if not _within(customer, 0, partition.n_customers):
        faults.append("a customer of a journey has no id")
    for name in ("touchpoint", "channel", "phase", "stage"):
        lowest = 0 if name == "touchpoint" else -1
        if not _within(partition.event(name), lowest, len(partition.codebook.names(name))):
            faults.append(f"a {name} code is not in the codebook")
    for name, count in (
        ("event", partition.n_events),
        ("rated_event", partition.n_events),
        ("journey", partition.n_journeys),
        ("customer", partition.n_customers),
    ):
        if not _within(partition.answer(name), -1, count):
            faults.append(f"an answer points at a {name} that is not there")
    return faults


def _within(codes: NDArray[Any], lowest: int, beyond: int) -> bool:
    return not len(codes) or bool(codes.min() >= lowest and codes.max() < beyond)


def _event_table(partition: Partition, names: Sequence[str]) -> pa.Table:
    """Columns of `Journeys.to_frame`; every column without any value is one of text."""
    places: Mapping[str, Callable[[], pa.Array | pa.ChunkedArray]] = {
        "position": lambda: pa.array(
            np.arange(partition.n_events) - np.repeat(partition.offsets[:-1], np.diff(partition.offsets))
        ),
        "timestamp": lambda: pa.array(_stamps(partition.event("time"))),
        **{
            f"rated_{of}": partial(_rated, partition, of)
            for of in ("touchpoint", "stage", "phase", "channel")
        },
    }

    known = {*partition.rows.names, *_DERIVED}

    def column(name: str) -> pa.Array | pa.ChunkedArray:
        if name in places:
            return places[name]()
        if name not in known and not name.startswith("properties."):
            raise UnknownNameError("column", name, sorted({*known, *places}))
        found = partition.table([name]).column(0)
        if name == "event" and not pa.types.is_dictionary(found.type):
            found = found.dictionary_encode()
        return found.cast(pa.string()) if pa.types.is_null(found.type) else found

    return pa.table({name: column(name) for name in dict.fromkeys(names)})


def _rated(partition: Partition, of: str) -> pa.DictionaryArray:
    """Per event the name of what it rates; missing where it is no answer."""
    codes = np.full(partition.n_events, -1, np.int32)
    rows = partition.answer("event")
    codes[rows[rows >= 0]] = partition.answer(f"rated_{of}")[rows >= 0]
    return _dictionary(codes, partition.codebook.names(of))


def _dictionary(codes: NDArray[np.int32], names: Sequence[str]) -> pa.DictionaryArray:
    """Names of codes; missing for −1."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(names, pa.string()))


def _stamps(time: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Points in time, NaT for what never happened."""
    nanoseconds = time * 1_000
    ends = [time.min(initial=0), time.max(initial=0)]
    if ends[1] == NEVER:
        never = time == NEVER
        np.copyto(nanoseconds, pd.NaT.value, where=never)
        ends[1] = time.max(initial=0, where=~never)
    if max(-ends[0], ends[1]) > NEVER // 1_000:
        pd.to_datetime(ends, unit="us")  # an error: nanoseconds cannot tell them; NumPy would not say so
    return pd.DatetimeIndex(nanoseconds, dtype=pd.DatetimeTZDtype("ns", "UTC"))


def _customer_names(partition: Partition, customer: NDArray[np.int32]) -> NDArray[np.object_]:
    ids = partition.customer_ids.to_numpy(zero_copy_only=False)
    if np.array_equal(customer, np.arange(len(ids))):
        return ids  # type: ignore[no-any-return]
    named: NDArray[np.object_] = np.concatenate([ids, np.array([None], object)])[customer]
    return named


def _order_of_cases(partitions: Sequence[Partition]) -> NDArray[np.int64] | None:
    """The rows of all journeys by customer and number; None: as they are. Only ids are compared as texts."""
    if len(partitions) == 1 and _rise(partitions[0]):
        return None
    ids = pa.chunked_array([one.customer_ids for one in partitions], pa.string())
    rank = np.empty(len(ids), np.int64)
    rank[pc.sort_indices(ids).to_numpy()] = np.arange(len(ids))
    before = np.cumsum([0, *(one.n_customers for one in partitions)])
    customer = np.concatenate(
        [rank[one.journey("customer") + at] for one, at in zip(partitions, before, strict=False)]
    )
    cycle = np.concatenate([one.journey("cycle") for one in partitions])
    order = np.lexsort((cycle, customer))
    return None if (np.diff(order) == 1).all() else order


def _rise(partition: Partition) -> bool:
    """Whether the journeys lie in the order of their customers' ids, then their numbers, as in a store."""
    ids, customer, cycle = partition.customer_ids, partition.journey("customer"), partition.journey("cycle")
    further, other = np.diff(cycle) > 0, np.diff(customer)
    in_order = bool(((other > 0) | ((other == 0) & further)).all())
    return in_order and pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False


def _answer_frame(partition: Partition) -> pd.DataFrame:
    codebook = partition.codebook
    journey = partition.answer("journey")
    cycle = np.append(partition.journey("cycle"), -1)[journey]
    rated = partition.answer("rated_event")
    return pd.DataFrame(
        {
            "customer_id": _customer_names(partition, partition.answer("customer")),
            "journey": pd.array(cycle, dtype="Int32"),
            "timestamp": _stamps(partition.answer("time")),
            "invite": partition.answer("invite"),
            "survey": _names(partition.answer("survey"), codebook.surveys),
            "instrument": _names(partition.answer("instrument"), codebook.instruments),
            "score": partition.answer("score"),
            **{
                f"rated_{of}": _names(partition.answer(f"rated_{of}"), codebook.names(of))
                for of in ("touchpoint", "stage", "phase", "channel")
            },
            "link": _names(partition.answer("link"), LINKS),
            "lag": pd.to_timedelta(np.where(rated < 0, pd.NaT.value, partition.answer("lag")), unit="us"),
        }
    ).assign(journey=lambda frame: frame["journey"].mask(frame["journey"] < 0))


def _case_frame(partition: Partition) -> pd.DataFrame:
    time, offsets = partition.event("time"), partition.offsets
    touchpoint = partition.event("touchpoint")
    goal = partition.journey("goal")
    first, last = offsets[:-1], offsets[1:] - 1
    begin, end = time[first], time[last]

    def named(codes: NDArray[Any], names: Sequence[str]) -> pd.Series:
        if names and pd.options.future.infer_string:  # pandas keeps texts as Arrow does
            return _taken(pa.array(names, pa.string()), codes)
        # As objects from the start: in a column of None pandas would look at every one.
        return pd.Series(_names(codes, names), dtype=None if names else object)

    def customers() -> pd.Series | NDArray[np.object_]:
        codes = partition.journey("customer")
        if pd.options.future.infer_string:
            return _taken(partition.customer_ids, codes)
        return _customer_names(partition, codes)

    return pd.DataFrame(
        {
            "customer_id": customers(),
            "journey": partition.journey("cycle").copy(),
            "start": _stamps(begin),
            "end": _stamps(end),
            "events": np.diff(offsets),
            "converted": goal != NEVER,
            "goal_time": _stamps(goal),
            "closed": named(partition.journey("closed"), CLOSED),
            "goal_reversed": partition.journey("reversed").astype(bool),
            "furthest_phase": named(partition.journey("furthest_phase"), partition.codebook.phases),
            "furthest_stage": named(partition.journey("furthest_stage"), partition.codebook.stages),
            "duration": ((end - begin) * 1_000).view("m8[ns]"),
            "first_touchpoint": named(touchpoint[first], partition.codebook.touchpoints),
            "last_touchpoint": named(touchpoint[last], partition.codebook.touchpoints),
            "closed_at": _stamps(partition.journey("closed_at")),
            "truncated": partition.journey("truncated").astype(bool),
        },
        copy=False,  # every column is new
    )


def _taken(texts: pa.Array, codes: NDArray[Any]) -> pd.Series:
    """Texts of codes; missing for −1."""
    taken: pd.Series = texts.take(pa.array(codes, mask=codes < 0)).to_pandas()
    return taken


def _names(codes: NDArray[Any], names: Sequence[str]) -> NDArray[np.object_]:
    """Names of codes; None for −1."""
    lookup: NDArray[np.object_] = np.array([*names, None], dtype=object)
    named: NDArray[np.object_] = lookup[codes]
    return named
