"""Journeys without a model: the events themselves, whose columns are made when somebody asks for them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cjm_analytics.columns import MemoryColumns, as_numpy, remembered
from cjm_analytics.journeys import (
    ANSWER_COLUMNS,
    CLOSED,
    EVENT_COLUMNS,
    JOURNEY_COLUMNS,
    NEVER,
    NO_INSTRUMENT,
    OFF_SCALE,
    SUPERSEDED,
    Codebook,
    Journeys,
    Partition,
)
from cjm_analytics.meaning import DIGITAL, FLAGS, REASONS
from cjm_analytics.once import cached_property
from cjm_analytics.schema import INVITE
from cjm_analytics.sessions import Rows
from cjm_analytics.surveys import unnamed_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns
    from cjm_analytics.events.partition import EventPartition
    from cjm_analytics.events.store import Events
    from cjm_analytics.sessions import SessionRules

__all__ = ["are_plain", "plain_journeys"]


def are_plain(events: Events) -> bool:
    """Whether every event is a contact in a digital channel, all of one source: then nothing must be read.

    There are no bots, tests, invites or answers, and a touchpoint can only have the source that there is.
    """
    books = events.codebooks
    return (
        not any(name in one.columns.filled for one in events.partitions for name in FLAGS)
        and len(books.get("source", ())) <= 1
        and set(books.get("source_kind", ())) <= set(DIGITAL)
        and not books.get("instrument")
        and INVITE not in books["event"]
    )


def plain_journeys(events: Events, rules: SessionRules) -> Journeys:
    """One journey per customer, touchpoint = event, no phases; nothing is read yet."""
    touchpoints = tuple(events.codebooks["event"])
    codebook = Codebook(
        touchpoints=touchpoints,
        channels=tuple(events.codebooks.get("channel", ())),
        progress=(True,) * len(touchpoints),
        sources=(frozenset(events.codebooks.get("source", ())),) * len(touchpoints),
    )
    return Journeys(
        partitions=tuple(_partition(one, codebook, rules) for one in events.partitions),
        codebook=codebook,
        observation_start=events.observation_start,
        observation_ends=dict(events.observation_ends),
        accounting={
            **dict.fromkeys([*REASONS[1:], OFF_SCALE, SUPERSEDED], 0),
            NO_INSTRUMENT: sum(
                unnamed_scores(one.columns) for one in events.partitions if "score" in one.columns.filled
            ),
        },
    )


def _partition(events: EventPartition, codebook: Codebook, rules: SessionRules) -> Partition:
    nothing = {name: np.zeros(0, dtype=text.split(":")[0]) for name, text in ANSWER_COLUMNS.items()}
    return Partition(
        codebook=codebook,
        events=_Contacts(events, codebook, rules),
        cases=_Cases(events),
        answers=MemoryColumns.of(nothing),
        rows=events.columns,
        customers=_Customers(events),
    )


@dataclass(frozen=True, eq=False)
class _Contacts:
    """The coded columns of the events; what is computed stays within the memory budget."""

    events: EventPartition
    codebook: Codebook
    rules: SessionRules
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def n_rows(self) -> int:
        return self.events.n_rows

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(EVENT_COLUMNS)

    def read(self, names: Sequence[str]) -> pa.Table:
        return pa.table({name: self._column(name) for name in dict.fromkeys(names)})

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return MemoryColumns(self.read(self.names).take(pa.array(rows)))

    def _column(self, name: str) -> pa.ChunkedArray:
        if name == "time":
            return self.events.columns.read(["timestamp"]).column("timestamp").cast(pa.int64())
        return remembered(self.token, name, lambda: self._made(name))

    def _made(self, name: str) -> NDArray[Any]:
        wide = len(self.codebook.touchpoints) > np.iinfo(np.int16).max
        match name:
            case "touchpoint":
                return self._codes("event", self.codebook.touchpoints, np.int32 if wide else np.int16)
            case "channel":
                return self._codes("channel", self.codebook.channels, np.int16)
            case "session":
                time = as_numpy(self._column("time"))
                return self.rules.number(Rows(self.events.columns), self.events.offsets, time)
            case "marker":
                return np.zeros(self.n_rows, np.uint32)
        return np.full(self.n_rows, -1, np.int8 if name == "phase" else np.int16)

    def _codes(self, name: str, names: Sequence[str], kind: type) -> NDArray[Any]:
        """A column of names as positions in all names, −1 for a missing one."""
        column = self.events.columns.read([name]).column(name)
        if column.null_count == len(column):
            return np.full(len(column), -1, kind)
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        place = {text: number for number, text in enumerate(names)}
        codes: NDArray[Any] = np.empty(len(column), kind)
        start = 0
        for chunk in column.chunks:
            # The last entry is that of a missing name.
            lookup: NDArray[Any] = np.array(
                [*(place.get(text, -1) for text in chunk.dictionary.to_pylist()), -1], kind
            )
            indices = chunk.indices.fill_null(-1) if chunk.null_count else chunk.indices
            codes[start : start + len(chunk)] = lookup[indices.to_numpy()]
            start += len(chunk)
        return codes


@dataclass(frozen=True, eq=False)
class _Cases:
    """One journey per customer, from the first event to the last."""

    events: EventPartition

    @property
    def n_rows(self) -> int:
        return len(self.events.offsets) - 1

    @property
    def names(self) -> tuple[str, ...]:
        return (*JOURNEY_COLUMNS, "n_events")

    def read(self, names: Sequence[str]) -> pa.Table:
        return pa.table({name: self._made(name) for name in dict.fromkeys(names)})

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return MemoryColumns(self.read(self.names).take(pa.array(rows)))

    def _made(self, name: str) -> NDArray[Any]:
        n = self.n_rows
        match name:
            case "n_events":
                return np.diff(self.events.offsets)
            case "customer":
                return np.arange(n, dtype=np.int32)
            case "goal" | "closed_at":
                return np.full(n, NEVER, np.int64)
        kind = JOURNEY_COLUMNS[name].split(":")[0]
        starts = {"cycle": 0, "closed": CLOSED.index("open"), "reversed": False, "truncated": False}
        return np.full(n, starts.get(name, -1), kind)


@dataclass(frozen=True, eq=False)
class _Customers:
    """The ids of the customers."""

    events: EventPartition
    rows: NDArray[np.int64] | None = None

    @property
    def n_rows(self) -> int:
        return len(self.events.offsets) - 1 if self.rows is None else len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        return ("customer_id",)

    def read(self, names: Sequence[str]) -> pa.Table:
        table = pa.table({"customer_id": self._ids}).select(list(names))
        return table if self.rows is None else table.take(pa.array(self.rows))

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return _Customers(self.events, rows if self.rows is None else self.rows[rows])

    @cached_property
    def _ids(self) -> pa.Array:
        return self.events.customers()[0]
