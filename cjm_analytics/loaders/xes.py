"""Process logs in XES: one trace per case, its events inside, attributes typed and possibly nested."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

import numpy as np

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.rows import ObjectRows
from cjm_analytics.loaders.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeAlias

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

    _Inside: TypeAlias = dict[str, Any] | str | list[object] | None
    """An open element: a holder of attributes, an attribute by its name, a list, or of no interest."""

__all__ = ["xes"]

_BLOCK: Final = 20_000
_FIRST_BLOCK: Final = 4_000
_BYTES: Final = 1 << 18
_CASE: Final = "case:"
_NAME: Final = "concept:name"
_TIME: Final = "time:timestamp"
_STEP: Final = "lifecycle:transition"
_ON_THE_WAY: Final = frozenset({
    "schedule", "assign", "reassign", "withdraw", "start", "suspend", "resume", "pi_abort", "ate_abort",
    "autoskip", "manualskip",
})  # fmt: skip
"""What the standard's lifecycle has besides completing; logs with one of their own write other words."""

_NUMBERS: Final = {"int": int, "float": float}
_HOLDERS: Final = ("event", "trace", "global")
_READ: Final = ("boolean", *_NUMBERS)
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
    other completion has taken, gives `start_timestamp` and `duration` (in seconds) in `properties`. Where a
    trace has nothing but starts of an activity, they are all that is known of it, and kept. Other transitions
    of the standard (start, schedule, suspend, …) are counted as excluded. Words that it has not got
    (`In Progress`) are a lifecycle of the log's own. In `properties` of a kept event that is no completion
    the word stands.

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
        """Blocks of events; at least one, perhaps empty. The first is short: it tells the columns."""
        events: list[dict[str, Any]] = []
        numbers: list[int] = []
        skipped, seen, enough = 0, 0, _FIRST_BLOCK
        for trace in _traces(file):
            for place, event in enumerate(trace, start=seen + 1):
                if event is None:
                    skipped += 1
                else:
                    events.append(event)
                    numbers.append(place)
            seen += len(trace)
            if len(events) >= enough:
                yield ObjectRows(file.shown, events, np.array(numbers, np.int64), n_skipped=skipped)
                events, numbers, skipped, enough = [], [], 0, _BLOCK
        yield ObjectRows(file.shown, events, np.array(numbers, np.int64), n_skipped=skipped)


def _traces(file: InputFile) -> Iterator[list[dict[str, Any] | None]]:
    """The events of each trace, with the attributes of the trace; None for those that are not kept."""
    with file.open() as stream:
        if not bytes(stream.read(64)).strip(_BLANK):
            raise InputError(f"{file.shown!r} is empty: not even a <log>.")
    log = _Log(file.shown)
    with file.open() as stream:
        try:
            while block := bytes(stream.read(_BYTES)):
                log.parser.Parse(block)
                yield from (_events(*one, log.defaults) for one in log.traces)
                log.traces.clear()
            log.parser.Parse(b"", True)
        except expat.ExpatError as fault:
            raise InputError(f"{file.shown!r} is damaged, cut off or no XES: {fault}.") from fault


class _Log:
    """What Expat tells of a log, element by element; traces that are complete wait to be taken.

    Attributes
    ----------
    traces : list of (dict, list of dict)
        The attributes of each trace, and those of its events.
    defaults : dict of str to dict
        What the log declares as global, by scope.
    """

    def __init__(self, file: str) -> None:
        self.traces: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        self.defaults: dict[str, dict[str, Any]] = {"event": {}, "trace": {}}
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._begin_log
        self.parser.EndElementHandler = self._end
        self._file = file
        self._open: list[_Inside] = []
        self._found: dict[str, Any] = {}
        self._trace: dict[str, Any] | None = None
        self._events: list[dict[str, Any]] = []
        self._keys: dict[str, str] = {}

    def _begin_log(self, name: str, _: dict[str, str]) -> None:
        if _tag(name) != "log":
            raise InputError(f"{self._file!r} is no XES log: its root is <{_tag(name)}>, not <log>.")
        self._open.append(None)
        self.parser.StartElementHandler = self._begin

    def _begin(self, name: str, told: dict[str, str]) -> None:
        tag = _tag(name) if ":" in name else name
        within = self._open[-1]
        if tag in _HOLDERS:
            self._open.append(self._holder(within, tag, told))
        elif type(within) is dict:
            self._open.append(self._attribute(tag, told.get("key"), told))
        elif type(within) is str and "key" in told:
            self._open.append(self._attribute(tag, f"{within}.{told['key']}", told))
        elif type(within) is list:
            if tag != "values":
                within.append(_value(told, tag))
            self._open.append(within if tag == "values" else None)
        else:
            self._open.append(None)

    def _holder(self, within: _Inside, tag: str, told: dict[str, str]) -> _Inside:
        """Begin with an element that has attributes."""
        if tag == "event":
            if within is not self._trace or within is None:
                return None
            self._found = {}
            self._events.append(self._found)
        elif tag == "trace":
            self._trace, self._events = {}, []
            self._found = self._trace
        else:
            self._found = self.defaults.setdefault(told.get("scope", "event"), {})
        return self._found

    def _attribute(self, tag: str, key: str | None, told: dict[str, str]) -> _Inside:
        """Note an attribute of the holder."""
        if key is None:
            return None
        key = self._keys.setdefault(key, key)  # one text for all that are alike
        if tag in _INNER:
            members: list[object] = []
            self._found[key] = members
            return members
        self._found[key] = told.get("value") if tag not in _READ else _value(told, tag)
        return key

    def _end(self, _: str) -> None:
        gone = self._open.pop()
        if type(gone) is not dict:
            return
        if gone is self._trace:
            self.traces.append((gone, self._events))
            self._trace = None
        elif self._trace is not None:
            self._found = self._trace


def _events(
    trace: dict[str, Any], events: Sequence[dict[str, Any]], defaults: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any] | None]:
    of_case = {_CASE + key: value for key, value in (defaults["trace"] | trace).items()}
    started: dict[tuple[object, object], list[str]] = defaultdict(list)
    starts: list[tuple[int, dict[str, Any]]] = []
    kept: list[dict[str, Any] | None] = []
    for place, one in enumerate(events):
        event = of_case | defaults["event"] | one
        told = event.pop(_STEP, None)
        step = str(told or "complete").lower()
        work = (event.get(_NAME), event.get("concept:instance"))
        if step == "start":
            started[work].append(str(event.get(_TIME)))
            starts.append((place, event | {_STEP: told}))
        if step in _ON_THE_WAY:
            kept.append(None)
            continue
        if step != "complete":
            event[_STEP] = told
            kept.append(event)
            continue
        if started[work]:
            event["start_timestamp"] = started[work].pop(0)
            lasted = _seconds(event["start_timestamp"], event.get(_TIME))
            if lasted is not None:
                event["duration"] = lasted
        kept.append(event)
    known = {event.get(_NAME) for event in kept if event is not None} if starts else set()
    for place, event in starts:
        if event.get(_NAME) not in known:
            kept[place] = event
    return kept


def _value(told: Mapping[str, str], tag: str) -> object:
    text = told.get("value")
    if text is None or tag not in _READ:
        return text
    if tag == "boolean":
        return text.strip().lower() in {"true", "1"}
    try:
        return _NUMBERS[tag](text)
    except ValueError:
        return text


def _seconds(start: str, end: object) -> float | None:
    """From one time to another, where both can be read."""
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def _tag(name: str) -> str:
    """The name of an element without its namespace."""
    return name.rpartition(":")[2]
