"""Object-centric process logs: what becomes of an event that belongs to several objects."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cjm_analytics.errors import UnknownNameError, counted
from cjm_analytics.loaders.ocel_layouts import logged_events
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.rows import ObjectRows
from cjm_analytics.loaders.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.ocel_layouts import LoggedEvent
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["ocel"]

_BLOCK: Final = 20_000
_KEYS: Final = {
    "order": "order_id", "orders": "order_id",
    "ticket": "ticket_id", "tickets": "ticket_id", "case": "ticket_id", "conversation": "ticket_id",
}  # fmt: skip
"""Types of objects that have a canonical column."""


def ocel(
    source: object,
    *,
    customer_object_type: str,
    keep: Sequence[str] | Mapping[str, type] = (),
    tz: str | None = None,
    name: str = "ocel",
    **columns: str | float | None,
) -> EventStream:
    """Read object-centric process logs: OCEL 1.0 and 2.0 in JSON, XML, SQLite and CSV.

    **From where.** What PM4Py, OCPM and process-mining suites export (`.jsonocel`, `.xmlocel`, `.sqlite`,
    `.csv`); the content of a file tells its kind. The JSON kinds are read into memory, the others streamed.

    **What becomes what.** An event belongs to several objects. Those of the type `customer_object_type` are
    the customers; the objects of type order, ticket, case and conversation become `order_id` and `ticket_id`
    where an event has just one of them; all others are listed in `properties` as `objects.<type>`. An id that
    begins with its type (`customer:ada`) is written without it. Attributes of an event that have the name of
    a canonical column (`channel`, `value`, …) are taken for it; the others are kept in `properties`.
    Attributes of objects are not read.

    **Multiplication.** An event of three customers is three events, one for each (the `event_id` gets the
    customer's id behind it): a warning tells how many there are. Events without a customer are counted as
    excluded, and told, too. `src_row` counts the events of a file from 1.

    Parameters
    ----------
    source : path, glob, folder or list of paths
        The logs.
    customer_object_type : str
        Which objects are the customers.
    keep : sequence of str, or mapping of str to type
        Attributes that become columns.
    tz : str, optional
        Zone of times that carry none.
    name : str
        The `source` column.
    **columns : str
        Other canonical columns by attribute, and what else `cjm.loaders.table` takes.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        The file is damaged or no OCEL.
    UnknownNameError
        The log has no objects of that type.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> import cjm_analytics as cjm
    >>> log = {
    ...     "objects": [{"id": "c1", "type": "customer"}, {"id": "o1", "type": "order"}],
    ...     "events": [{"id": "e1", "type": "pay", "time": "2025-03-01T10:00:00Z", "relationships": [
    ...         {"objectId": "c1", "qualifier": "payer"}, {"objectId": "o1", "qualifier": "what"}]}],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.json")
    ...     _ = path.write_text(json.dumps(log))
    ...     batch = next(cjm.loaders.ocel(path, customer_object_type="customer").batches())
    >>> batch.events.select(["user_id", "event", "order_id"]).to_pylist()
    [{'user_id': 'c1', 'event': 'pay', 'order_id': 'o1'}]
    """
    mapped: dict[str, Any] = {
        "timestamp": "ocel:time", "event": "ocel:type", "event_id": "ocel:id", "kind": "log", **columns,
    }  # fmt: skip
    origin = Origin.read_by(source, OcelReader(customer_object_type))
    return table(origin, customer="ocel:customer", keep=keep, tz=tz, name=name, **mapped)


@dataclass(frozen=True)
class OcelReader:
    """Reads one object-centric log in blocks of events, each of one customer."""

    customer: str

    def __call__(self, file: InputFile) -> Iterator[Rows]:
        """Blocks of events; at least one, perhaps empty."""
        types: dict[str, str] = {}
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        told: Counter[str] = Counter()
        skipped = 0
        for number, event in enumerate(logged_events(file, types), start=1):
            mine = list(self._rows(event, types))
            skipped += not mine
            told["without"] += not mine
            told["shared"] += len(mine) > 1
            told["made"] += len(mine) if len(mine) > 1 else 0
            rows += mine
            numbers += [number] * len(mine)
            if len(rows) >= _BLOCK:
                yield ObjectRows(file.shown, rows, np.array(numbers, np.int64), n_skipped=skipped)
                rows, numbers, skipped = [], [], 0
        if self.customer not in types.values() and types:
            raise UnknownNameError(
                f"object type in {file.shown} for customer_object_type=",
                self.customer,
                sorted(set(types.values())),
            )
        yield ObjectRows(file.shown, rows, np.array(numbers, np.int64), n_skipped=skipped)
        self._warn(file, told)  # behind the last block: who only glances at the first is not warned

    def _rows(self, event: LoggedEvent, types: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The event once for each of its customers."""
        by_type: dict[str, list[str]] = defaultdict(list)
        for one in dict.fromkeys(event.objects):
            kind = types.get(one, "(unknown)")
            by_type[kind].append(one.removeprefix(f"{kind}:"))
        customers = by_type.pop(self.customer, [])
        shared: dict[str, Any] = dict(event.attributes)
        left = {}
        for kind, ids in by_type.items():
            key = _KEYS.get(kind.lower())
            if key and len(ids) == 1 and key not in shared:
                shared[key] = ids[0]
            else:
                left[kind] = ids
        shared |= {"ocel:type": event.type, "ocel:time": event.time}
        shared |= {"objects": left} if left else {}
        for one in customers:
            own = event.id if len(customers) == 1 else f"{event.id}:{one}"
            yield {**shared, "ocel:customer": one, "ocel:id": own}

    def _warn(self, file: InputFile, told: Counter[str]) -> None:
        if told["shared"]:
            warnings.warn(
                f"{file.shown}: {counted(told['shared'], 'event has', 'events have')} several objects of "
                f"type {self.customer!r}; each stands once per object, {told['made']:,} times in all.",
                stacklevel=2,
            )
        if told["without"]:
            warnings.warn(
                f"{file.shown}: {counted(told['without'], 'event has', 'events have')} no object of type "
                f"{self.customer!r} and {'is' if told['without'] == 1 else 'are'} left out.",
                stacklevel=2,
            )
