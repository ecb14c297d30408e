"""The canonical event: one Arrow schema that every loader writes and every later floor reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = [
    "ACTORS",
    "CANONICAL",
    "CHANNELS",
    "COPIES",
    "CUSTOMERS",
    "INVITE",
    "LINKS",
    "LINK_KINDS",
    "LOADED",
    "MARKS",
    "REJECTS",
    "SOURCE_KINDS",
    "TIME_QUALITIES",
    "Batch",
    "EventSource",
    "FileSource",
    "MeasuredSource",
    "NumberedSource",
    "RevisedSource",
    "empty_batch",
]

_NAME = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("us", tz="UTC")

CANONICAL = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        ("anonymous_id", pa.string()),
        ("user_id", pa.string()),
        ("account_id", pa.string()),
        pa.field("timestamp", _TIME, nullable=False),
        ("received_at", _TIME),
        ("time_quality", _NAME),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("event", _NAME, nullable=False),
        ("event_id", pa.string()),
        ("source", _NAME),
        ("source_kind", _NAME),
        ("actor", _NAME),
        ("channel", _NAME),
        ("session_id", pa.string()),
        ("url", pa.string()),
        ("path", pa.string()),
        ("referrer", pa.string()),
        ("utm_source", pa.string()),
        ("utm_medium", pa.string()),
        ("utm_campaign", pa.string()),
        ("utm_term", pa.string()),
        ("utm_content", pa.string()),
        ("order_id", pa.string()),
        ("ticket_id", pa.string()),
        ("campaign_id", pa.string()),
        ("value", pa.decimal128(18, 4)),
        ("currency", pa.string()),
        ("instrument", _NAME),
        ("survey_id", pa.string()),
        ("score", pa.float64()),
        ("score_min", pa.float64()),
        ("score_max", pa.float64()),
        ("comment", pa.string()),
        ("is_edited", pa.bool_()),
        ("is_bot", pa.bool_()),
        ("is_test", pa.bool_()),
        ("marked_by", _NAME),
        ("properties", pa.string()),
        ("src_file", _NAME),
        ("src_row", pa.int64()),
    ]
)
"""All canonical columns. Names that were promoted with `keep=` follow them, with their own types."""

LOADED = pa.schema([one for one in CANONICAL if one.name not in {"customer_id", "marked_by", "is_edited"}])
"""What a loader yields: everything but what ingest fills: `customer_id` by identity stitching, `marked_by`,
which names the rule of its own that set `is_bot` or `is_test`, and `is_edited`, which says of an answer that
a copy of it said something else.

A loader may leave out every column that it has nothing for; ingest adds it as nulls.
"""

MARKS = ("is_bot", "is_test", "marked_by")
"""Who acted was no customer: a robot, somebody who tries things out; and which rule of ingest says so."""

REJECTS = pa.schema(
    [
        ("source", pa.string()),
        ("src_file", pa.string()),
        ("src_row", pa.int64()),
        ("reason", pa.string()),
        ("raw", pa.string()),
    ]
)
"""An input row that could not be used, where it stood, and why."""

LINKS = pa.schema(
    [("alias", pa.string()), ("user_id", pa.string()), ("timestamp", _TIME), ("kind", pa.string())]
)
"""Two ids of one person, where no event row says so itself.

`kind` is null where an alias (`anonymous_id`, `email:<address>`, `phone:<number>`, `<system>:<id>`) was
seen together with a user id; `merge` where the vendor says that `alias` is a former user id of who is
now `user_id`; `alias` where `user_id` holds another alias, as when a form tells whose address a device has.
"""

LINK_KINDS = (None, "merge", "alias")

CUSTOMERS = pa.schema(
    [("user_id", pa.string()), ("timestamp", _TIME), ("attribute", pa.string()), ("value", pa.string())]
)
"""Attributes of customers, long: one row per attribute seen; the latest known value wins."""

INVITE = "survey_invite"
"""The event of a survey that was offered. An invite is no contact of the journey: it is the denominator
of a response rate. It carries `instrument` and the keys (`ticket_id`, …) of the answer that it asks for,
a null `score` and the actor `company`."""

SOURCE_KINDS = ("clickstream", "crm", "support", "order", "survey", "log")
ACTORS = ("customer", "company", "system")
CHANNELS = ("web", "app", "email", "chat", "phone", "store", "social", "api")
COPIES = FIRST, LATEST, PER_ORDER = ("first", "latest", "per_order")
"""Which of several copies of an event stays: by `received_at`, or of each `order_id` the latest."""

TIME_QUALITIES = ("exact", "second", "minute", "date", "inferred")


@dataclass(frozen=True)
class Batch:
    """A piece of a source: canonical events, and what else came with them.

    Attributes
    ----------
    events : pyarrow.Table
        Columns of `LOADED`, a subset in any order, then promoted properties.
    rejects : pyarrow.Table
        Schema `REJECTS`.
    links, customers : pyarrow.Table
        Schemas `LINKS` and `CUSTOMERS`.
    n_read : int
        Input rows that this batch accounts for: events + rejects + excluded.
    n_excluded : int
        Rows that are no events by the format's own rules (a heartbeat, a private note).
    n_nameless : int
        Those of the excluded that carry no id at all, as when consent was denied.
    """

    events: pa.Table
    n_read: int
    rejects: pa.Table = field(default_factory=REJECTS.empty_table)
    links: pa.Table = field(default_factory=LINKS.empty_table)
    customers: pa.Table = field(default_factory=CUSTOMERS.empty_table)
    n_excluded: int = 0
    n_nameless: int = 0


@runtime_checkable
class EventSource(Protocol):
    """A lazy stream of canonical batches: what every loader returns and `ingest` reads.

    Attributes
    ----------
    name : str
        The value of the `source` column, for example `zendesk`.
    dedupe : tuple of str
        Columns that say that two rows are the same event; empty: a row is a duplicate of another only if it
        equals it in all that identifies an occurrence (see `cjm.ingest`).
    keep : tuple of str
        Promoted properties: columns beyond the canonical ones.
    """

    @property
    def name(self) -> str: ...
    @property
    def dedupe(self) -> tuple[str, ...]: ...
    @property
    def keep(self) -> tuple[str, ...]: ...
    def batches(self) -> Iterator[Batch]: ...


@runtime_checkable
class FileSource(EventSource, Protocol):
    """A source that knows its files: `ingest` skips those that a store has seen already.

    A source need not be one; its rows are then read again and recognised as duplicates.
    """

    def fingerprints(self) -> Mapping[str, str]:
        """Per file, named as in `src_file`, a text that changes with its content or with how it is read."""
        ...

    def without(self, files: Collection[str]) -> Self:
        """The same source without these files."""
        ...


@runtime_checkable
class MeasuredSource(EventSource, Protocol):
    """A source that knows how much of it has been read, so that the time left can be told."""

    def bytes_read(self) -> tuple[int, int]:
        """How many bytes have been read, and how many there are; (0, 0) where nobody knows."""
        ...


@runtime_checkable
class NumberedSource(EventSource, Protocol):
    """A source that says whether its user ids may be numbers from 0; of others `0` stands for nobody."""

    @property
    def zero(self) -> bool:
        """Whether the user id `0` is a customer's."""
        ...


@runtime_checkable
class RevisedSource(EventSource, Protocol):
    """A source that says which of several copies of an event stays; of others the first does."""

    @property
    def copies(self) -> str:
        """One of `COPIES`."""
        ...


def empty_batch() -> Batch:
    """A batch of nothing, with the columns in place."""
    return Batch(events=LOADED.empty_table(), n_read=0)
