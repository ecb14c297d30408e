"""Process logs in XES: one trace per case, its events inside, attributes typed and possibly nested."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.rows import ObjectRows
from cjm_analytics.loaders.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["xes"]

_BLOCK: Final = 20_000
_CASE: Final = "case:"
_NAME: Final = "concept:name"
_TIME: Final = "time:timestamp"
_STEP: Final = "lifecycle:transition"
_NUMBERS: Final = {"int": int, "float": float}
_INNER: Final = ("list", "container")
_BLANK: Final = b"\xef\xbb\xbf \r\n\t"


def xes(
    source: object,
    *,
    customer: str = _CASE + _NAME,
    keep: Sequence[str] | Mapping[str, type] = (),
    tz: str | None = None,
    name: str = "xes",
    **columns: str | float | None,
) -> EventStream:
    """Read process logs in the XES format (IEEE 1849), plain or `.xes.gz`.

    **From where.** What ProM, PM4Py, Celonis, Disco and the public collections of process logs write. Files
    are streamed, one trace at a time.

    **What becomes what.** Each event of each trace is an event: `concept:name` its name, `time:timestamp` its
    time, and the trace's `concept:name` the customer, unless `customer=` names another attribute. Attributes
    of the trace repeat on each of its events with `case:` in front (`case:amount`); defaults that the log
    declares as global fill what is absent; an attribute inside another is `outer.inner`, a list a list. All
    other attributes are kept in `properties`, and `keep=` promotes them.

    **Lifecycle.** Of events with `lifecycle:transition` those that *complete* are kept. A start before it, of
    the same activity (and `concept:instance`, where there is one) in the same trace and the first that no
    other completion has taken, gives `start_timestamp` and `duration` (in seconds) in `properties`. Other
    transitions (start, schedule, suspend, …) are counted as excluded.

    **Rejects.** Events without name, time or customer. `src_row` counts the events of a file from 1.

    Parameters
    ----------
    source : path, glob, folder or list of paths
        The logs.
    customer : str
        The attribute that tells the customer: `case:…` for one of the trace.
    keep : sequence of str, or mapping of str to type
        Attributes that become columns.
    tz : str, optional
        Zone of times that carry none.
    name : str
        The `source` column.
    **columns : str
        Other canonical columns by attribute: `channel="org:group"`, `order_id="case:order"`; also `kind=`
        (default `log`) and what else `cjm.loaders.table` takes.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        The file is damaged or no XES.
    UnknownNameError
        No event has the attribute that `customer=` names.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import cjm_analytics as cjm
    >>> log = '''<log><trace><string key="concept:name" value="case 1"/>
    ... <event><string key="concept:name" value="register"/>
    ... <date key="time:timestamp" value="2025-03-01T10:00:00+01:00"/></event></trace></log>'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.xes")
    ...     _ = path.write_text(log)
    ...     batch = next(cjm.loaders.xes(path).batches())
    >>> batch.events.select(["user_id", "event"]).to_pylist()
    [{'user_id': 'case 1', 'event': 'register'}]
    """
    mapped: dict[str, Any] = {"timestamp": _TIME, "event": _NAME, "kind": "log", **columns}
    return table(
        Origin.read_by(source, XesReader()), customer=customer, keep=keep, tz=tz, name=name, **mapped
    )


@dataclass(frozen=True)
class XesReader:
    """Reads one XES file in blocks of events."""

    def __call__(self, file: InputFile) -> Iterator[Rows]:
        """Blocks of events; at least one, perhaps empty."""
        events: list[dict[str, Any]] = []
        numbers: list[int] = []
        skipped, seen = 0, 0
        for trace in _traces(file):
            for place, event in enumerate(trace, start=seen + 1):
                if event is None:
                    skipped += 1
                else:
                    events.append(event)
                    numbers.append(place)
            seen += len(trace)
            if len(events) >= _BLOCK:
                yield ObjectRows(file.shown, events, np.array(numbers, np.int64), n_skipped=skipped)
                events, numbers, skipped = [], [], 0
        yield ObjectRows(file.shown, events, np.array(numbers, np.int64), n_skipped=skipped)


def _traces(file: InputFile) -> Iterator[list[dict[str, Any] | None]]:
    """The events of each trace, with the attributes of the trace; None for those that are not kept."""
    defaults: dict[str, dict[str, Any]] = {"event": {}, "trace": {}}
    with file.open() as stream:
        if not bytes(stream.read(64)).strip(_BLANK):
            raise InputError(f"{file.shown!r} is empty: not even a <log>.")
    with file.open() as stream:
        try:
            walk = ET.iterparse(stream, events=("start", "end"))  # noqa: S314 - see the import
            _, log = next(walk)
            if _tag(log) != "log":
                raise InputError(f"{file.shown!r} is no XES log: its root is <{_tag(log)}>, not <log>.")
            for moment, element in walk:
                if moment == "start":
                    continue
                tag = _tag(element)
                if tag == "global":
                    scope = element.get("scope", "event")
                    defaults.setdefault(scope, {}).update(_attributes(element))
                elif tag == "trace":
                    yield _events(element, defaults)
                    log.clear()  # what has been read is forgotten
        except ET.ParseError as fault:
            raise InputError(f"{file.shown!r} is damaged, cut off or no XES: {fault}.") from fault


def _events(trace: ET.Element, defaults: Mapping[str, dict[str, Any]]) -> list[dict[str, Any] | None]:
    of_case = {_CASE + key: value for key, value in (defaults["trace"] | _attributes(trace)).items()}
    found = [defaults["event"] | _attributes(one) for one in trace if _tag(one) == "event"]
    started: dict[tuple[object, object], list[str]] = defaultdict(list)
    kept: list[dict[str, Any] | None] = []
    for event in found:
        step = str(event.pop(_STEP, None) or "complete").lower()
        work = (event.get(_NAME), event.get("concept:instance"))
        if step == "start":
            started[work].append(str(event.get(_TIME)))
        if step != "complete":
            kept.append(None)
            continue
        if started[work]:
            event["start_timestamp"] = started[work].pop(0)
            lasted = _seconds(event["start_timestamp"], event.get(_TIME))
            if lasted is not None:
                event["duration"] = lasted
        kept.append(of_case | event)
    return kept


def _attributes(element: ET.Element) -> dict[str, Any]:
    """The attributes of an element, those inside others as `outer.inner`."""
    found: dict[str, Any] = {}
    for one in element:
        key, tag = one.get("key"), _tag(one)
        if key is None or tag in {"event", "trace"}:
            continue
        if tag in _INNER:
            members = itertools.chain.from_iterable(
                [inner] if _tag(inner) != "values" else inner for inner in one
            )
            found[key] = [_value(inner, _tag(inner)) for inner in members]
            continue
        found[key] = _value(one, tag)
        if len(one):
            found |= {f"{key}.{inner}": value for inner, value in _attributes(one).items()}
    return found


def _value(element: ET.Element, tag: str) -> object:
    text = element.get("value")
    if text is None:
        return None
    if tag == "boolean":
        return text.strip().lower() in {"true", "1"}
    try:
        return _NUMBERS.get(tag, str)(text)
    except ValueError:
        return text


def _seconds(start: str, end: object) -> float | None:
    """From one time to another, where both can be read."""
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def _tag(element: ET.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]
