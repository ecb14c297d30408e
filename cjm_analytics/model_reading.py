"""From what a model's file says to a checked `JourneyModel`, with all faults at once."""

from __future__ import annotations

import json
import tomllib
import zoneinfo
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cjm_analytics.durations import microseconds
from cjm_analytics.errors import InputError, ModelError, hint
from cjm_analytics.matching import MARKER, NESTED, Match, check_match, covered_by
from cjm_analytics.model import (
    SCHEMA,
    Branch,
    Condition,
    Finding,
    JourneyModel,
    JourneyRules,
    Marker,
    NewCycle,
    Phase,
    Rates,
    ReportRules,
    Survey,
    Touchpoint,
    findings_frame,
    spoken,
)
from cjm_analytics.places import Place, line_of, lines_of, spelled
from cjm_analytics.schema import CANONICAL

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_file", "read_spec", "read_text"]

_TOP = (
    "schema", "name", "timezone", "unmatched", "exclude", "phase", "stage", "marker", "touchpoint",
    "journeys", "survey", "friction", "assumption", "note", "report", "$schema",
)  # fmt: skip

# "$schema" is where JSON files tell editors their schema; it says nothing about the journey.

_SCALES = {"nps": (0.0, 10.0), "csat": (1.0, 5.0), "ces": (1.0, 7.0), "stars": (1.0, 5.0)}
"""Instruments whose scale is known; `csat` is so only together with its `positive` answers."""

_ADDED = ("touchpoint", "phase", "stage", "session", "journey")
"""Columns that exist only after sessionizing: a rule cannot look at them."""

_MAX_MARKERS = 32
"""Markers are the bits of one 32-bit column."""

_FRICTION = {
    "repeat": ("count", "window"),
    "back_and_forth": ("window",),
    "repeat_contact": ("window",),
}

_ASSUMPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "exists": ((), ("stage", "phase", "touchpoint", "min_share")),
    "order": (("first", "then"), ("strict",)),
    "path": (("path",), ()),
    "transition": (("source", "target", "expect"), ()),
    "duration": (("start", "end", "expect"), ()),
    "channel_mix": (("expect",), ("stage", "phase")),
    "score": (("instrument", "expect"), ("stage", "phase", "touchpoint")),
    "drop_off": (("expect",), ("stage", "phase", "within")),
    "before": (("touchpoint", "marker", "expect"), ()),
}
"""What each kind of assumption must say, and may."""


def read_file(path: Path) -> JourneyModel:
    """See `JourneyModel.read`."""
    if path.suffix not in {".toml", ".json"}:
        raise InputError(f"A model is read from .toml or .json, not from {path.name!r}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        near = sorted(one.name for one in path.parent.glob("*") if one.suffix in {".toml", ".json"})
        raise InputError(f"There is no file {str(path)!r}.{hint(path.name, near) if near else ''}") from None
    except IsADirectoryError:
        raise InputError(f"{str(path)!r} is a folder; name the model's file in it.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    return read_text(text, toml=path.suffix == ".toml", name=path.name)


def read_text(text: str, *, toml: bool, name: str) -> JourneyModel:
    """A model from the text of a file; `name` stands in messages."""
    text = text.replace("\r\n", "\n")
    try:
        spec = tomllib.loads(text) if toml else json.loads(text, object_pairs_hook=_unique)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, InputError, RecursionError) as error:
        line = getattr(error, "lineno", None) or _line_in(str(error))
        kind = "TOML" if toml else "JSON"
        fault = f"This is no valid {kind}: {str(error).rstrip('.')}."
        finding = Finding(line, "", "error", fault, _hint_on_syntax(str(error)))
        raise _failed([finding], name) from None
    return _read(spec, lines_of(text, toml=toml), name)


def read_spec(spec: Mapping[str, Any]) -> JourneyModel:
    """See `JourneyModel.from_dict`."""
    return _read(spec, {}, "")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise InputError(f"the key {twice[0]!r} stands twice in one object.")
    return dict(pairs)


def _hint_on_syntax(message: str) -> str:
    """What usually lies behind a message of `tomllib`."""
    if "key part" in message or "inline table" in message:
        return " A table in braces stands on one line, without a comma at its end."
    return " Text stands in quotes, true and false in small letters." if "Invalid value" in message else ""


def _line_in(message: str) -> int | None:
    """The line that `tomllib` names in its message."""
    _, found, after = message.partition("line ")
    digits = after.split(",")[0].rstrip(")")
    return int(digits) if found and digits.isdigit() else None


def _failed(findings: list[Finding], name: str) -> ModelError:
    errors = [one for one in findings if one.severity == "error"]
    count = "1 fault" if len(errors) == 1 else f"{len(errors)} faults"
    said = "".join(f"\n  {one}" for one in errors)
    message = f"The journey model{f' {name}' if name else ''} has {count}:{said}"
    return ModelError(message).with_failures(findings_frame(tuple(findings)))


def _read(spec: object, lines: dict[Place, int], name: str) -> JourneyModel:
    reading = _Reading(lines)
    model = reading.model(spec)
    findings = sorted(reading.findings, key=lambda one: one.line or 0)
    if model is None or any(one.severity == "error" for one in findings):
        raise _failed(findings, name)
    return replace(model, findings=tuple(findings))


@dataclass
class _Table:
    """One table of the file: its values are fetched with their type, and what is wrong is noted."""

    reading: _Reading
    spec: Mapping[str, Any]
    place: Place

    def get(self, key: str) -> object:
        return self.spec.get(key)

    def fail(self, key: str, fault: str, hint_: str = "") -> None:
        self.reading.fail((*self.place, key) if key else self.place, fault, hint_)

    def text(self, key: str, default: str | None = None, *, required: bool = False) -> str | None:
        value = self._typed(key, str, "text", required=required)
        if value == "":
            self.fail(key, f"{key} is empty.")
        return default if value is None else value

    def choice(
        self, key: str, options: tuple[str, ...], default: str | None = None, *, required: bool = False
    ) -> Any:  # noqa: ANN401
        value = self.text(key, default, required=required)
        if value is not None and value not in options:
            self.fail(key, f"{key} = {value!r} is not known.", hint(value, options))
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._typed(key, bool, "true or false")
        return default if value is None else bool(value)

    def number(self, key: str, default: float | None, low: float, high: float) -> Any:  # noqa: ANN401
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            bound = (
                f"a number from {low:g} to {high:g}"
                if high < float("inf")
                else f"a number of at least {low:g}"
            )
            self.fail(key, f"{key} is {bound}, not {value!r}.")
            return default
        return value

    def whole(self, key: str, default: int, low: int) -> int:
        value = self.number(key, default, low, float("inf"))
        if value != int(value):
            self.fail(key, f"{key} is a whole number, not {value!r}.")
        return int(value)

    def duration(self, key: str, *, positive: bool = True) -> int | None:
        value = self.get(key)
        if value is None:
            return None
        try:
            return microseconds(value, name=key, positive=positive)  # type: ignore[arg-type]
        except InputError as error:
            self.fail(key, str(error))
            return None

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        value = self.get(key)
        if value is None and not required:
            return ()
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
            self.fail(
                key,
                f"{key} is a list of names, not {value!r}." if value is not None else f"{key} is missing.",
            )
            return ()
        return tuple(value)

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        if isinstance(self.get(key), list | tuple):
            return self.texts(key, required=True)
        text = self.text(key, required=True)
        return () if text is None else (text,)

    def table(self, key: str, keys: Iterable[str] | None) -> _Table | None:
        if key not in self.spec:
            return None
        return self.reading.table(self.spec[key], (*self.place, key), keys)

    def tables(self, key: str, keys: Iterable[str]) -> list[_Table]:
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.fail(key, f"{key} is a list of tables.", f" Write [[{key}]].")
            return []
        found = [self.reading.table(one, (*self.place, key, at), keys) for at, one in enumerate(value)]
        return [one for one in found if one is not None]

    def match(self, key: str, *, required: bool = False) -> Match | None:
        if key not in self.spec:
            if required:
                self.fail(
                    "",
                    f"{key} is missing.",
                    ' Say which events it is, such as match = { event = "Order *" }.',
                )
            return None
        return self.reading.match(self.spec[key], (*self.place, key))

    def _typed(self, key: str, kind: type, said: str, *, required: bool = False) -> Any:  # noqa: ANN401
        value = self.get(key)
        if value is None:
            if required:
                self.fail("", f"{key} is missing.")
            return None
        if not isinstance(value, kind):
            self.fail(key, f"{key} is {said}, not {value!r}.")
            return None
        return value


@dataclass
class _Reading:
    """The findings of one file, and the names that it defines."""

    lines: dict[Place, int]
    findings: list[Finding] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    phase_ids: list[str] = field(default_factory=list)
    marker_ids: list[str] = field(default_factory=list)
    touchpoint_ids: list[str] = field(default_factory=list)
    used_markers: set[str] = field(default_factory=set)

    def fail(self, place: Place, fault: str, hint_: str = "") -> None:
        self.findings.append(Finding(line_of(place, self.lines), spelled(place), "error", fault, hint_))

    def warn(self, place: Place, fault: str, hint_: str = "") -> None:
        self.findings.append(Finding(line_of(place, self.lines), spelled(place), "warning", fault, hint_))

    def table(self, spec: object, place: Place, keys: Iterable[str] | None) -> _Table | None:
        if not isinstance(spec, Mapping):
            self.fail(place, f"{place[-1] if place else 'a model'} is a table, not {spec!r}.")
            return None
        known = list(keys) if keys is not None else None
        for key in spec:
            if known is not None and key not in known:
                self.fail((*place, key), f"No key {key!r} here.", hint(str(key), known))
        return _Table(self, spec, place)

    def match(self, spec: object, place: Place, *, markers: bool = True) -> Match | None:
        found, faults = check_match(spec)
        for one in faults:
            self.fail((*place, *one.place), one.fault, one.hint)
        if found is None:
            return None
        for column, at in found.mentions():
            self._check_column(column, (*place, *at))
        for name in sorted(found.markers):
            self.name("marker", name, place, self.marker_ids if markers else [])
            self.used_markers.add(name)
        return found

    def _check_column(self, column: str, place: Place) -> None:
        if column in CANONICAL.names or column.partition(".")[0] in NESTED:
            return
        known = [*CANONICAL.names, MARKER, "properties.<name>", "customer.<attribute>"]
        if column in _ADDED:
            self.fail(place, f"{column!r} is what the model gives, so its rules cannot ask for it.")
        elif near := get_close_matches(column.casefold(), known, n=1, cutoff=_TYPO):
            said = f" Did you mean {near[0]!r}? A promoted property of that name is properties.{column}."
            self.fail(place, f"No column named {column!r}.", said)
        else:
            said = f" Else write properties.{column}."
            self.warn(
                place, f"{column!r} is no column of every event: keep={[column]!r} must promote it.", said
            )

    def name(self, kind: str, name: str | None, place: Place, known: Iterable[str]) -> None:
        """A name must be one of those that the model defines."""
        names = list(dict.fromkeys(known))
        if name is not None and name not in names:
            self.fail(place, f"No {kind} named {name!r}.", hint(name, names))

    def unique(self, kind: str, ids: Iterable[tuple[str | None, Place]]) -> None:
        seen: dict[str, Place] = {}
        for name, place in ids:
            if name is not None and name in seen:
                first = line_of(seen[name], self.lines)
                self.fail(place, f"{kind} id {name!r} is taken{f' by line {first}' if first else ''}.")
            elif name is not None:
                seen[name] = place

    # ── the parts of a model ─────────────────────────────────────────────────────────────────────────────

    def model(self, spec: object) -> JourneyModel | None:
        top = self.table(spec, (), _TOP)
        if top is None:
            return None
        if (schema := top.text("schema", SCHEMA)) != SCHEMA:
            top.fail("schema", f"schema {schema!r} is not known.", f" This version reads {SCHEMA!r}.")
        for key in ("phase", "touchpoint"):
            if not top.spec.get(key, []):
                top.fail("", f"a model has one {key} at least.", f" Write [[{key}]].")
        phases = self._phases(top)
        stage_titles = self._stage_titles(top)
        self._collect_names(top)
        markers = self._markers(top)
        touchpoints = self._touchpoints(top)
        journeys = self._journeys(top)
        surveys = self._surveys(top, journeys)
        model = JourneyModel(
            name=top.text("name", "") or "",
            phases=phases,
            touchpoints=touchpoints,
            markers=markers,
            surveys=surveys,
            journeys=journeys,
            timezone=self._timezone(top),
            unmatched=top.choice("unmatched", ("keep", "drop", "error"), "keep"),
            exclude=top.match("exclude"),
            friction=self._friction(top),
            assumptions=self._assumptions(top),
            notes=self._notes(top),
            report=self._report(top),
            stage_titles=stage_titles,
        )
        self._check_rules(model)
        return model

    def _collect_names(self, top: _Table) -> None:
        """Ids first, so that parts may name each other in any order."""
        markers = top.get("marker")
        self.marker_ids = [str(key) for key in markers] if isinstance(markers, Mapping) else []
        touchpoints = top.get("touchpoint")
        if isinstance(touchpoints, list | tuple):
            self.touchpoint_ids = [
                one["id"]
                for one in touchpoints
                if isinstance(one, Mapping) and isinstance(one.get("id"), str)
            ]

    def _phases(self, top: _Table) -> tuple[Phase, ...]:
        phases, ids = [], []
        for one in top.tables("phase", ("id", "title", "stages", "horizon")):
            name = one.text("id", required=True)
            stages = one.texts("stages", required=True)
            if "stages" in one.spec and one.spec["stages"] == []:
                one.fail("stages", "a phase has one stage at least.")
            ids.append((name, (*one.place, "id")))
            ids += [(stage, (*one.place, "stages", at)) for at, stage in enumerate(stages)]
            horizon = one.duration("horizon")
            phases.append(Phase(name or "", one.text("title") or spoken(name or ""), stages, horizon))
        self.unique("phase or stage", ids)
        self.phase_ids = [phase.id for phase in phases]
        self.stages = [stage for phase in phases for stage in phase.stages]
        return tuple(phases)

    def _stage_titles(self, top: _Table) -> dict[str, str]:
        titles = {stage: spoken(stage) for stage in self.stages}
        table = top.table("stage", None)
        for stage in table.spec if table else ():
            inner = table.table(stage, ("title",)) if table else None
            self.name("stage", stage, ("stage", stage), self.stages)
            if inner is not None:
                titles[stage] = inner.text("title", required=True) or titles.get(stage, "")
        return titles

    def _timezone(self, top: _Table) -> str:
        name = top.text("timezone", "UTC") or "UTC"
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            near = get_close_matches(name, sorted(zoneinfo.available_timezones()), n=1)
            said = f" Did you mean {near[0]!r}?" if near else " Write a name such as 'Europe/Berlin'."
            top.fail("timezone", f"No time zone named {name!r}.", said)
        return name

    def _markers(self, top: _Table) -> tuple[Marker, ...]:
        table = top.table("marker", None)
        if table is None:
            return ()
        if len(table.spec) > _MAX_MARKERS:
            self.fail(("marker",), f"{len(table.spec)} markers are too many: {_MAX_MARKERS} is the limit.")
        read = [self._marker(str(name), table) for name in table.spec]
        return tuple(one for one in read if one is not None)

    def _marker(self, name: str, table: _Table) -> Marker | None:
        one = table.table(name, ("role", "of", "match", "dedupe_on", "within", "prefer"))
        if one is None:
            return None
        role = one.choice("role", ("goal", "reversal"))
        of = one.text("of")
        if role == "reversal" and of is None:
            one.fail(
                "",
                "a reversal says what it takes back.",
                f' Write of = "<marker>".{hint("", self.marker_ids)}',
            )
        elif of is not None and role != "reversal":
            one.fail("of", "only a reversal takes back a marker.", ' Add role = "reversal".')
        self.name("marker", of, (*one.place, "of"), [other for other in self.marker_ids if other != name])
        if of is not None or role is not None:
            self.used_markers |= {name, *([of] if of else [])}
        match = one.match("match", required=True)
        if match is not None and match.markers:
            one.fail("match", "a marker is not made of markers.", " Name the events.")
        dedupe_on = one.text("dedupe_on")
        if dedupe_on is not None:
            self._check_column(dedupe_on, (*one.place, "dedupe_on"))
        for key in ("within", "prefer"):
            if key in one.spec and dedupe_on is None:
                self.warn((*one.place, key), f"{key} says nothing without dedupe_on.")
        within, prefer = one.duration("within"), one.texts("prefer")
        return Marker(name, match, role, of, dedupe_on, within, prefer) if match else None

    def _touchpoints(self, top: _Table) -> tuple[Touchpoint, ...]:
        found, ids = [], []
        for one in top.tables("touchpoint", ("id", "title", "stage", "match", "progress")):
            name = one.text("id", required=True)
            ids.append((name, (*one.place, "id")))
            match = one.match("match", required=True)
            branches = self._branches(one)
            progress = one.flag("progress", default=True)
            title = one.text("title") or spoken(name or "")
            if name is not None and match is not None:
                found.append(Touchpoint(name, match, branches, progress, title))
        self.unique("touchpoint", ids)
        return tuple(found)

    def _branches(self, one: _Table) -> tuple[Branch, ...]:
        stage = one.get("stage")
        place = (*one.place, "stage")
        if stage is None:
            one.fail("", "stage is missing.", hint("", self.stages))
            return ()
        if isinstance(stage, str):
            self.name("stage", stage, place, self.stages)
            return (Branch(stage),)
        if not isinstance(stage, list | tuple) or not stage:
            one.fail("stage", f"stage is a name, or a list of branches, not {stage!r}.")
            return ()
        branches = []
        for at, spec in enumerate(stage):
            branch = self.table(spec, (*place, at), ("when", "stage"))
            if branch is None:
                continue
            name = branch.text("stage", required=True)
            self.name("stage", name, (*branch.place, "stage"), self.stages)
            when = self._when(branch)
            last = at == len(stage) - 1
            if last and "when" in branch.spec:
                branch.fail("", "the last branch must have no `when`: it is for all other cases.",
                            ' Add { stage = "…" } after it.')  # fmt: skip
            elif not last and "when" not in branch.spec:
                branch.fail("", "only the last branch has no `when`: those after it are never reached.")
            branches.append(Branch(name or "", when))
        return tuple(branches)

    def _when(self, branch: _Table) -> tuple[Condition, ...]:
        return tuple(self._conditions(branch.table("when", _STATE), negate=False))

    def _conditions(self, when: _Table | None, *, negate: bool) -> list[Condition]:
        if when is None:
            return []
        conditions = self._marker_conditions(when, negate=negate)
        phase = when.text("phase_reached")
        self.name("phase", phase, (*when.place, "phase_reached"), self.phase_ids)
        if phase is not None:
            conditions.append(Condition(phase_reached=phase, negate=negate))
        if not when.spec:
            when.fail("", "an empty table says nothing.", hint("", _STATE))
        if negate and (len(conditions) > 1 or "not" in when.spec):
            when.fail("", "`not` takes one statement: a marker or a phase.")
        elif "not" in when.spec:
            conditions += self._conditions(when.table("not", _STATE), negate=True)
        return conditions

    def _marker_conditions(self, when: _Table, *, negate: bool) -> list[Condition]:
        marker, within, counts = when.text("marker"), when.duration("within"), self._counts(when)
        self.name("marker", marker, (*when.place, "marker"), self.marker_ids)
        if marker is None:
            for key in ("within", "count"):
                if key in when.spec:
                    when.fail(key, f"{key} says something about a marker.", ' Add marker = "<name>".')
            return []
        self.used_markers.add(marker)
        if not counts:
            return [Condition(marker, within, negate=negate)]
        return [Condition(marker, within, count, negate=negate) for count in counts]

    def _counts(self, when: _Table) -> list[tuple[str, int]]:
        if "count" not in when.spec:
            return []
        spec = when.spec["count"]
        if isinstance(spec, int) and not isinstance(spec, bool):
            spec = {"eq": spec}
        count = self.table(spec, (*when.place, "count"), ("eq", "ge", "gt", "le", "lt"))
        if count is None:
            return []
        return [
            (str(op), count.whole(str(op), 0, 0)) for op in count.spec if op in {"eq", "ge", "gt", "le", "lt"}
        ]

    def _journeys(self, top: _Table) -> JourneyRules:
        one = top.table("journeys", ("unit", "inactivity", "new_cycle", "end"))
        if one is None:
            return JourneyRules()
        end = one.match("end")
        if end is not None and end.markers:
            self.used_markers |= end.markers
        return JourneyRules(
            unit=one.choice("unit", ("customer", "account"), "customer"),
            inactivity=one.duration("inactivity"),
            new_cycle=self._new_cycle(one),
            end=end,
        )

    def _new_cycle(self, journeys: _Table) -> NewCycle | None:
        one = journeys.table("new_cycle", ("after", "on_stage", "min_gap"))
        if one is None:
            return None
        after = one.text("after", required=True)
        self.name("marker", after, (*one.place, "after"), self.marker_ids)
        if after is not None:
            self.used_markers.add(after)
        on_stage = one.texts("on_stage", required=True)
        for at, stage in enumerate(on_stage):
            self.name("stage", stage, (*one.place, "on_stage", at), self.stages)
        return NewCycle(after or "", on_stage, one.duration("min_gap", positive=False) or 0)

    def _surveys(self, top: _Table, journeys: JourneyRules) -> tuple[Survey, ...]:
        keys = ("id", "instrument", "kind", "match", "positive", "scale", "direction", "rates")
        found, ids = [], []
        for one in top.tables("survey", keys):
            name = one.text("id", required=True)
            ids.append((name, (*one.place, "id")))
            survey = self._survey(one, name or "", journeys)
            if survey is not None:
                found.append(survey)
        self.unique("survey", ids)
        return tuple(found)

    def _survey(self, one: _Table, name: str, journeys: JourneyRules) -> Survey | None:
        instrument = one.text("instrument", required=True)
        kind = one.choice("kind", ("transactional", "relational"), required=True)
        match = one.match("match", required=True)
        scale = self._scale(one, instrument)
        positive = self._positive(one, instrument, scale)
        rates = self._rates(one, journeys)
        if kind == "relational" and rates is not None:
            one.fail("rates", "a relational survey rates the relation as a whole, not a touchpoint.")
        direction = one.choice("direction", ("high is good", "low is good"), "high is good")
        if instrument is None or match is None:
            return None
        return Survey(name, instrument, kind, match, positive, scale, direction, rates)

    def _scale(self, one: _Table, instrument: str | None) -> tuple[float, float] | None:
        spec = one.get("scale")
        if spec is not None:
            if _pair(spec):
                return float(spec[0]), float(spec[1])  # type: ignore[index]
            one.fail("scale", f"scale is the lowest and the highest answer, such as [1, 5], not {spec!r}.")
        elif instrument is not None and instrument not in _SCALES:
            one.fail(
                "instrument",
                f"a survey with the instrument {instrument!r} needs its scale.",
                f" Write scale = [1, 5], for example; known are {', '.join(_SCALES)}.",
            )
        return _SCALES.get(instrument or "")

    def _positive(
        self, one: _Table, instrument: str | None, scale: tuple[float, float] | None
    ) -> tuple[float, ...]:
        spec = one.get("positive")
        if spec is None:
            if instrument == "csat":
                one.fail(
                    "", "csat says which answers are positive.", " Write positive = [4, 5], for example."
                )
            return ()
        numbers = isinstance(spec, list | tuple) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in spec
        )
        if not numbers or not spec:
            one.fail("positive", f"positive is a list of answers, such as [4, 5], not {spec!r}.")
            return ()
        values = tuple(float(value) for value in spec)  # type: ignore[attr-defined]
        if scale is not None and not all(scale[0] <= value <= scale[1] for value in values):
            one.fail("positive", f"a positive answer is off the scale {scale[0]:g} to {scale[1]:g}.")
        return values

    def _rates(self, survey: _Table, journeys: JourneyRules) -> Rates | None:
        one = survey.table("rates", ("touchpoint", "join_on", "look_back", "pick"))
        if one is None:
            return None
        touchpoints = one.text_or_texts("touchpoint")
        for touchpoint in touchpoints:
            self.name("touchpoint", touchpoint, (*one.place, "touchpoint"), self.touchpoint_ids)
        join_on, look_back = one.text("join_on"), one.duration("look_back")
        if join_on is not None:
            self._check_column(join_on, (*one.place, "join_on"))
        if join_on is None and look_back is None:
            one.fail("", "rates needs join_on, look_back or both.", ' Write look_back = "14d", for example.')
        if look_back is not None and journeys.inactivity is not None and look_back > journeys.inactivity:
            self.warn(
                (*one.place, "look_back"),
                "the look-back is longer than the inactivity that closes a journey.",
                " An answer may rate a touchpoint of a journey that is long over.",
            )
        pick = one.choice("pick", ("last", "first"), "last")
        return Rates(touchpoints, join_on, look_back, pick)

    def _friction(self, top: _Table) -> dict[str, Any]:
        one = top.table("friction", _FRICTION)
        if one is None:
            return {}
        for signal, keys in _FRICTION.items():
            rule = one.table(signal, keys)
            if rule is None:
                continue
            rule.duration("window")
            if "count" in rule.spec:
                rule.whole("count", 2, 2)
        return dict(one.spec)

    def _assumptions(self, top: _Table) -> tuple[Mapping[str, Any], ...]:
        found = top.tables("assumption", ("id", "kind", *_ASSUMED))
        for one in found:
            self._check_assumption(one)
        self.unique("assumption", [(one.text("id", required=True), (*one.place, "id")) for one in found])
        return tuple(dict(one.spec) for one in found)

    def _check_assumption(self, one: _Table) -> None:
        kind = one.choice("kind", tuple(_ASSUMPTIONS), required=True)
        if kind not in _ASSUMPTIONS:
            return
        must, may = _ASSUMPTIONS[kind]
        for key in (key for key in must if key not in one.spec):
            one.fail("", f"an assumption of the kind {kind!r} says {key}.")
        for key in (key for key in one.spec if key in _ASSUMED and key not in {*must, *may}):
            one.fail(key, f"an assumption of the kind {kind!r} has no {key}.", hint(str(key), (*must, *may)))
        self._check_assumed_names(one)
        one.duration("within")
        one.flag("strict", default=False)
        one.number("min_share", None, 0, 1)
        if kind == "duration":
            one.duration("expect")
        elif kind in {"drop_off", "transition", "before"}:
            one.number("expect", None, 0, 1)

    def _check_assumed_names(self, one: _Table) -> None:
        named = {
            "stage": self.stages,
            "phase": self.phase_ids,
            "touchpoint": self.touchpoint_ids,
            "marker": self.marker_ids,
        }
        anywhere = [name for names in named.values() for name in names]
        for key, names in named.items():
            self.name(key, one.text(key), (*one.place, key), names)
        for key in ("first", "then", "source", "target", "start", "end"):
            self.name("stage or touchpoint", one.text(key), (*one.place, key), anywhere)
        for at, name in enumerate(one.texts("path")):
            self.name("stage or touchpoint", name, (*one.place, "path", at), anywhere)

    def _notes(self, top: _Table) -> dict[str, dict[str, str]]:
        table = top.table("note", None)
        notes: dict[str, dict[str, str]] = {}
        for name in table.spec if table else ():
            self.name("stage or phase", name, ("note", name), [*self.stages, *self.phase_ids])
            inner = table.table(name, None) if table else None
            if inner is not None:
                notes[name] = {key: inner.text(key) or "" for key in inner.spec}
        return notes

    def _report(self, top: _Table) -> ReportRules:
        one = top.table("report", ("min_n", "weak_n", "confidence"))
        if one is None:
            return ReportRules()
        rules = ReportRules(
            min_n=one.whole("min_n", 10, 0),
            weak_n=one.whole("weak_n", 30, 0),
            confidence=float(one.number("confidence", 0.95, 0.5, 0.9999)),
        )
        if rules.weak_n < rules.min_n:
            one.fail("weak_n", f"weak_n = {rules.weak_n} is below min_n = {rules.min_n}.")
        return rules

    # ── what can be said only about the whole ────────────────────────────────────────────────────────────

    def _check_rules(self, model: JourneyModel) -> None:
        used = {branch.stage for one in model.touchpoints for branch in one.branches}
        for at, phase in enumerate(model.phases):
            for position, stage in enumerate(phase.stages):
                if stage not in used:
                    place = ("phase", at, "stages", position)
                    self.warn(
                        place, f"no touchpoint belongs to the stage {stage!r}.", " It stays empty on the map."
                    )
        for marker in self.marker_ids:
            if marker not in self.used_markers:
                self.warn(("marker", marker), f"nothing asks for the marker {marker!r}.",
                          ' Give it role = "goal", or name it in a rule.')  # fmt: skip
        self._check_covered(model)

    def _check_covered(self, model: JourneyModel) -> None:
        places = {name: ("touchpoint", at) for at, name in enumerate(self.touchpoint_ids)}
        for at, one in enumerate(model.touchpoints):
            earlier = covered_by(one.match, [other.match for other in model.touchpoints[:at]])
            if earlier:
                names = ", ".join(repr(model.touchpoints[position].id) for position in earlier)
                self.warn(
                    places[one.id],
                    f"the touchpoint {one.id!r} never occurs: {names} before it fits all of its events.",
                    " Put the narrower rule first.",
                )


_TYPO = 0.8
"""From this similarity on, an unknown column is taken for a typing error, not for a promoted property."""

_STATE = ("marker", "within", "count", "phase_reached", "not")
_ASSUMED = sorted({key for must, may in _ASSUMPTIONS.values() for key in (*must, *may)})


def _pair(spec: object) -> bool:
    return (
        isinstance(spec, list | tuple)
        and len(spec) == 2  # noqa: PLR2004 - lowest and highest
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in spec)
        and spec[0] < spec[1]
    )
