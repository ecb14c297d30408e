"""The journey map that the data draw: phases and stages across, findings down."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.contacts import Contacts, ContactsAnalysis
from cjm_analytics.analysis.dropoff import Cell, DropOff, DropOffAnalysis
from cjm_analytics.charts.theme import NBSP, percent
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, counted
from cjm_analytics.journeys import NEVER
from cjm_analytics.model import ReportRules, spoken
from cjm_analytics.once import cached_property

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    import plotly.graph_objects as go

    from cjm_analytics.engine import Analysis, Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition
    from cjm_analytics.kernels.road import Reached
    from cjm_analytics.model import JourneyModel

__all__ = ["JourneyMap", "JourneyMapAnalysis", "journey_map"]

_TOP = 3
_UNCOVERED = 0.05
"""From this share of unassigned events on, the map says that it does not cover reality."""


def journey_map(
    journeys: Journeys,
    *,
    created: str | dt.datetime | None = None,
    engine: Engine | None = None,
) -> JourneyMap:
    """The customer journey map, drawn from data: who comes to each stage, who leaves, how they feel.

    One pass over the data answers all of its lanes:

    - **Journeys** with a contact in the stage, their share of all journeys, and their customers.
    - **Road**: journeys that came to the stage or past it, by progressing contacts; what became of them
      (continued, dropped, open) and the **drop-off** with its interval, as `cjm.drop_off` defines them.
    - **Touchpoints**: the contacts with most events in the stage, and their channels.
    - **Time** from the first progressing contact in a stage to the next one in a later stage: the times by
      which half and nine in ten of those who go on within the horizon have done so. Open journeys are
      censored, explicit ends compete (Aalen–Johansen). A journey that was in a later stage before is not
      asked. Times are whole microseconds; where a stage has more than 2²⁰ different ones, they are rounded
      down to seconds (if need be minutes, hours or days), as in `cjm.drop_off`.
    - **Experience**: the answers that rate the stage, as `cjm.satisfaction` gives them; for the curve the
      score is put from its instrument's range (NPS −1…+1, CSAT share 0…1, other scales from worst to best)
      to −1…+1. Relational answers rate no stage: they stand beside the curve.
    - **Notes** from the model, in the analyst's words.

    A stage without any contact stays visible. What rests on fewer than the model's `min_n` customers (or
    answers) is hidden.

    Parameters
    ----------
    journeys : Journeys
        With phases: sessionized by a model.
    created : str or datetime, optional
        When the map was made; printed below it. Default: not said, so that equal data give an equal map.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    JourneyMap

    Raises
    ------
    InputError
        The journeys have no phases, or `created` is no date.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> events = cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "b"], "what": ["product_view", "purchase", "product_view"],
    ...      "when": ["2026-01-01", "2026-01-02", "2026-01-01"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC"))
    >>> found = cjm.journey_map(cjm.sessionize(events, cjm.JourneyModel.standard()))
    >>> found.to_frame(suppress=False).loc[[2, 5], ["stage", "journeys", "share"]].values.tolist()
    [['consideration', 2, 1.0], ['finalising', 1, 0.5]]
    """
    return run(JourneyMapAnalysis.plan(journeys, created=created), journeys, engine)


@dataclass(frozen=True)
class JourneyMapAnalysis:
    """The analyses behind the lanes, and what the journeys say about themselves.

    Attributes
    ----------
    stages : DropOffAnalysis
    parts : mapping of str to Analysis
        `stage` and `phase` (drop-off), `contacts`, `onward` (when journeys go on from the goal's stage) where
        the road goes on there, and `scores` where there are answers.
    codebook : Codebook
    goals : tuple of str
        The markers that are a goal.
    model : JourneyModel or None
    facts : mapping of str to str
        Sources, time zone, and when the map was made.
    bots : float or None
        Share of the events that were left out as a robot's or a test's, if known.
    """

    stages: DropOffAnalysis
    parts: Mapping[str, Analysis[Any, Any]]
    codebook: Codebook
    goals: tuple[str, ...]
    model: JourneyModel | None
    facts: Mapping[str, str]
    bots: float | None = None

    @classmethod
    def plan(cls, journeys: Journeys, *, created: str | dt.datetime | None = None) -> JourneyMapAnalysis:
        """Check the arguments of `journey_map`, and plan its lanes."""
        codebook = journeys.codebook
        if not codebook.phases or not codebook.stages:
            raise InputError(
                "These journeys have no phases and stages, so there is no map to draw. Give cjm.sessionize "
                "a model: cjm.JourneyModel.standard() to start with, or your own: cjm.JourneyModel.read(…)."
            )
        stages = DropOffAnalysis.plan(journeys, of="stage")
        contacts = ContactsAnalysis.plan(journeys)
        parts: dict[str, Analysis[Any, Any]] = {
            "stage": stages,
            "phase": DropOffAnalysis.plan(journeys, of="phase"),
            "contacts": contacts,
        }
        if 0 <= stages.goal < len(stages.places) - 1:
            # From the goal's stage journeys go on, too: the drop-off does not ask when, but the map does.
            parts["onward"] = replace(stages, goal=-1, asked=(stages.goal,))
        if codebook.instruments:
            from cjm_analytics.analysis.satisfaction import SatisfactionAnalysis

            parts["scores"] = SatisfactionAnalysis.plan(journeys, by="stage")
        sources = sorted(
            {name for names in codebook.sources for name in names} | set(journeys.observation_ends)
        )
        facts = {
            "time zone": journeys.timezone,
            "sources": ", ".join(sources),
            "created": _moment(created, journeys.timezone),
        }
        return cls(stages, parts, codebook, contacts.goals, journeys.model, facts, _bots(journeys))

    def map(self, partition: Partition) -> JourneyMapPartial:
        """Ask one partition all questions; when each stage was reached is worked out once."""
        road = self._road
        reached = self.stages.reached(partition)
        known = {"stage": reached, "onward": reached, "phase": _by_phase(reached, self.codebook)}
        return JourneyMapPartial(
            tuple(
                road[name].count(partition, known[name]) if name in road else part.map(partition)
                for name, part in self.parts.items()
            )
        )

    @property
    def _road(self) -> dict[str, DropOffAnalysis]:
        """The parts that follow journeys along the road."""
        return {name: part for name, part in self.parts.items() if isinstance(part, DropOffAnalysis)}

    def finalize(self, partial: JourneyMapPartial) -> JourneyMap:
        """Answer all questions."""
        answers = {
            name: part.finalize(one)
            for (name, part), one in zip(self.parts.items(), partial.parts, strict=True)
        }
        cells = {
            place: cell
            for name, one in zip(self.parts, partial.parts, strict=True)
            if name in self._road and name != "phase"
            for (_, place), cell in one.cells.items()
        }
        return JourneyMap(self, answers, cells)


@dataclass(frozen=True, eq=False)
class JourneyMapPartial:
    """What each part of the map knows of some of the customers."""

    parts: tuple[Any, ...]

    def __add__(self, other: JourneyMapPartial) -> JourneyMapPartial:
        return JourneyMapPartial(tuple(one + two for one, two in zip(self.parts, other.parts, strict=True)))


def _by_phase(reached: Reached, codebook: Codebook) -> Reached:
    """When each journey came to each phase: to its first stage, or past that."""
    n_phases, first = len(codebook.phases), np.searchsorted(codebook.stage_phase, range(len(codebook.phases)))
    some = first < len(codebook.stages)
    row = np.full((n_phases, reached.row.shape[1]), -1)
    time = np.full_like(row, NEVER)
    row[some], time[some] = reached.row[first[some]], reached.time[first[some]]
    return type(reached)(row, time)


def _moment(created: str | dt.datetime | None, timezone: str) -> str:
    if created is None:
        return ""
    try:
        stamp = pd.Timestamp(created)
    except ValueError as fault:
        raise InputError(f"created={created!r} is no date. Write it like '2026-07-01 09:30'.") from fault
    local = stamp if stamp.tzinfo is None else stamp.tz_convert(timezone)
    return f"{local:%Y-%m-%d %H:%M}"


def _bots(journeys: Journeys) -> float | None:
    """Share of the events that were left out as a robot's or a test's."""
    frame = journeys.report().to_frame()
    found = frame.loc[frame["what"].isin(["bots", "tests"]), "share"]
    return float(found.sum()) if len(found) else None


_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905 - reads better


@dataclass(frozen=True, eq=False, repr=False)
class JourneyMap(Shown):
    """The journey map: made by `cjm.journey_map`.

    Attributes
    ----------
    customers, journeys, events, converted : int
        `converted`: journeys that reached the goal so far.
    conversion : float
        Share of the journeys that reached the goal so far; NaN without journeys.
    unassigned_share : float
        Share of the events in journeys that no rule of the model gives a stage.
    phases, stages : DropOff
        The drop-off behind the map, as `cjm.drop_off` gives it.
    period : str
        From the first to the last event, in the model's time zone.
    """

    _analysis: JourneyMapAnalysis
    _parts: Mapping[str, Any]
    _on_road: Mapping[int, Cell]
    """Per stage who came to it or past it, and how long until the next one."""

    @property
    def customers(self) -> int:
        return int(self._contacts.customers)

    @property
    def journeys(self) -> int:
        return int(self._contacts.journeys)

    @property
    def events(self) -> int:
        return int(self._contacts.events)

    @property
    def converted(self) -> int:
        return int(self._contacts.converted)

    @property
    def phases(self) -> DropOff:
        found: DropOff = self._parts["phase"]
        return found

    @property
    def stages(self) -> DropOff:
        found: DropOff = self._parts["stage"]
        return found

    @property
    def conversion(self) -> float:
        return self._contacts.converted / self.journeys if self.journeys else math.nan

    @property
    def unassigned_share(self) -> float:
        return float(self._contacts.unassigned()["share"].sum())

    def unassigned(self) -> pd.DataFrame:
        """Rows `event, events, share` (of all events): what no rule gives a stage, most frequent first."""
        return self._contacts.unassigned()

    def to_frame(self, *, suppress: bool = True) -> pd.DataFrame:
        """One row per stage, with all that the picture shows.

        Columns: `phase, stage, title, journeys, customers, share` (of all journeys), `on_road` (journeys with
        a progressing contact in the stage), `entered, continued, dropped, open, drop_off, low, high, horizon`
        (of `cjm.drop_off`; there is none from the last stage), `median_time, p90_time, touchpoints`, per
        instrument `<instrument>_n, <instrument>, <instrument>_low, <instrument>_high, <instrument>_level`
        (−1…+1), `notes`, then `reliability` of the counts (`none`: no contact seen; `hidden` under `min_n`
        customers, `weak` under `weak_n`, `ok`) and `drop_off_reliability` (besides: `early`, where too few
        could be followed for the whole horizon; `none` too where all who enter go on in the same instant).

        Parameters
        ----------
        suppress : bool
            Leave out what is hidden, as the picture does; False shows all, for the analyst's own eyes.
        """
        frame = self._stages(suppress=suppress)
        touchpoints = self._touchpoints(suppress=suppress)
        named_columns = [touchpoints[name].tolist() for name in ("title", "events", "channels")]
        named = touchpoints.assign(
            text=[
                f"{title} {events:,}" + (f" ({', '.join(channels)})" if channels else "")
                for title, events, channels in zip(*named_columns, strict=True)
            ]
        )
        lists = named.groupby("stage", sort=False)["text"].agg("; ".join)
        frame["touchpoints"] = frame["stage"].map(lists).astype(object).where(lambda text: text.notna(), "")
        scores = self._scores(suppress=suppress).dropna(subset="stage")
        for instrument in dict.fromkeys(scores["instrument"]):
            mine = scores[scores["instrument"] == instrument].set_index("stage")
            for column, name in _SCORE_COLUMNS.items():
                frame[f"{instrument}{column}"] = frame["stage"].map(mine[name])
        notes = self._notes()
        frame["notes"] = [
            "; ".join(f"{heading}: {text}" for heading, text in notes.get(stage, ()))
            for stage in frame["stage"]
        ]
        last = ["reliability", "drop_off_reliability"]
        return frame[[*(name for name in frame if name not in last), *last]]

    def plot(self, *, width: int = 1200) -> go.Figure:
        """The picture, `width` pixels wide (more where the stages need more)."""
        from cjm_analytics.charts.journey_map import journey_map as chart

        return chart(
            self._stages(suppress=True),
            self._phases(suppress=True),
            self._touchpoints(suppress=True),
            self._scores(suppress=True),
            header=self._header(),
            notes=self._notes(),
            footer=self._footer(),
            warnings=self._warnings(),
            width=width,
        )

    def to_json(self) -> str:
        """The map as text for machines, schema `cjm-result/1`: what is hidden in the picture is null here.

        Durations are in seconds, shares in 0…1, times in UTC. Equal data give equal bytes.
        """
        import orjson

        contacts, facts = self._contacts, self._analysis.facts
        document = {
            "schema": "cjm-result/1",
            "kind": "journey_map",
            "name": self._header()["name"],
            "created": facts["created"] or None,
            "model": self._analysis.model.hash if self._analysis.model else None,
            "time_zone": facts["time zone"],
            "sources": facts["sources"].split(", "),
            "first_event": contacts.first,
            "last_event": contacts.last,
            "customers": contacts.customers,
            "known_customers": contacts.known,
            "journeys": contacts.journeys,
            "events": contacts.events,
            "converted": contacts.converted,
            "bot_share": self._analysis.bots,
            "unassigned_share": self.unassigned_share,
            "phases": _records(self._phases(suppress=True)),
            "stages": _records(self.to_frame()),
            "touchpoints": _records(self._touchpoints(suppress=True)),
            "scores": _records(self._scores(suppress=True)),
            "warnings": self._warnings(),
            "rules": self._footer(),
        }
        return orjson.dumps(_plain(document), option=orjson.OPT_INDENT_2).decode()

    def _card(self) -> Card:
        header = self._header()
        facts = {label: value for value, label in header["figures"]}
        columns = ["phase", "stage", "journeys", "customers", "share", "entered", "drop_off", "low", "high"]
        note = " ".join(self._warnings())
        return Card(
            f"Journey map: {header['name']}", facts, self.to_frame()[[*columns, "touchpoints"]], note=note
        )

    # What the lanes show, as frames.

    @property
    def _contacts(self) -> Contacts:
        found: Contacts = self._parts["contacts"]
        return found

    @property
    def _codebook(self) -> Codebook:
        return self._analysis.codebook

    @property
    def _rules(self) -> ReportRules:
        return self._analysis.model.report if self._analysis.model else ReportRules()

    def _stages(self, *, suppress: bool) -> pd.DataFrame:
        contacts, rules = self._contacts.stages(), self._rules
        titles = self._analysis.model.stage_titles if self._analysis.model else {}
        contacts[["median_time", "p90_time"]] = self._times
        frame = _with_drop_off(contacts, self._parts["stage"], "stage", rules)
        frame.insert(2, "title", [titles.get(stage) or spoken(stage) for stage in frame["stage"]])
        frame["reliability"] = [_grade(customers, rules) for customers in frame["customers"]]
        if suppress:
            hidden = (frame["reliability"] == "hidden").to_numpy()
            for name in ("journeys", "customers", "share", "on_road", "median_time", "p90_time"):
                frame[name] = _blank(frame[name], hidden)
            _suppress_drop_off(frame)
        return frame[[name for name in _STAGE_COLUMNS if name in frame]]

    @cached_property
    def _times(self) -> pd.DataFrame:
        """Within which time half and nine in ten of those who go on from a stage have done so."""
        asked = self._analysis.stages
        times = [
            asked.going_on(place, self._on_road.get(place, Cell())) for place in range(len(asked.places))
        ]
        names = ("median_time", "p90_time")
        return pd.DataFrame(
            {name: pd.to_timedelta([time[at] for time in times], unit="us") for at, name in enumerate(names)}
        )

    def _phases(self, *, suppress: bool) -> pd.DataFrame:
        stages = self._contacts.stages()
        reached = stages.groupby("phase", sort=False)["reached"].max()
        frame = pd.DataFrame({"phase": self._codebook.phases})
        frame["reached"] = frame["phase"].map(reached).fillna(0).astype(np.int64)
        model = self._analysis.model
        titles = {phase.id: phase.title for phase in model.phases} if model else {}
        frame["title"] = [titles.get(phase) or spoken(phase) for phase in frame["phase"]]
        frame = _with_drop_off(frame, self._parts["phase"], "phase", self._rules)
        if suppress:
            _suppress_drop_off(frame)
        return frame[["phase", "title", *_DROP_OFF, "horizon", "drop_off_reliability"]]

    def _touchpoints(self, *, suppress: bool) -> pd.DataFrame:
        frame = self._contacts.touchpoints()
        model = self._analysis.model
        titles = {one.id: one.title for one in model.touchpoints} if model else {}
        frame["title"] = [titles.get(name) or spoken(name) for name in frame["touchpoint"]]
        if suppress:
            frame = frame[frame["customers"] >= self._rules.min_n]
        return frame.groupby("stage", sort=False).head(_TOP).reset_index(drop=True)

    def _scores(self, *, suppress: bool) -> pd.DataFrame:
        """One row per stage and instrument that rates it; a missing stage is the relation as a whole."""
        if "scores" not in self._parts:
            return pd.DataFrame(columns=_SCORES)
        from cjm_analytics.analysis.satisfaction import RELATION

        found = self._parts["scores"].to_frame(suppress=suppress)
        found = found[found["stage"].isin([*self._codebook.stages, RELATION]) & (found["n"] > 0)]
        several = found.groupby("instrument")["survey"].transform("nunique") > 1
        frame = found.assign(
            stage=found["stage"].where(found["stage"] != RELATION, None),
            instrument=found["survey"].where(several, found["instrument"]),
            level=found["normalised"],
            level_low=found["normalised_low"].fillna(found["normalised"]),
            level_high=found["normalised_high"].fillna(found["normalised"]),
            reading=[_reading(*row) for row in found[["score", "measure", "scale"]].itertuples(index=False)],
            interval=[_range(*row) for row in found[["low", "high", "measure"]].itertuples(index=False)],
        )
        scores: pd.DataFrame = frame[_SCORES].reset_index(drop=True)
        return scores

    def _notes(self) -> dict[str, list[tuple[str, str]]]:
        model = self._analysis.model
        if not model:
            return {}
        return {
            place: [(spoken(key), text) for key, text in words.items() if text.strip()]
            for place, words in model.notes.items()
        }

    # What stands around the lanes.

    def _header(self) -> dict[str, Any]:
        contacts, facts, rules = self._contacts, self._analysis.facts, self._rules
        model = self._analysis.model
        figures = [
            (f"{contacts.customers:,}", "customers"),
            (f"{contacts.journeys:,}", "journeys"),
            (f"{contacts.events:,}", "events"),
        ]
        if contacts.customers:
            figures.append((percent(contacts.known / contacts.customers), "known customers"))
        if self._analysis.bots is not None:
            figures.append((percent(self._analysis.bots), "bots and tests, left out"))
        whole = []
        goals = self._analysis.goals
        if goals and contacts.converted >= rules.min_n:
            name = spoken(goals[0]).lower() if len(goals) == 1 else "the goal"
            counts = f"{contacts.converted:,} of {contacts.journeys:,}"
            whole.append((percent(self.conversion), f"with {name}: {counts}"))
        line = [self.period, facts["time zone"], f"sources: {facts['sources']}"]
        return {
            "name": spoken(model.name) if model else "Customer journey",
            "line": " · ".join(part for part in line if part),
            "figures": figures,
            "min_n": rules.min_n,
            "whole": whole,
        }

    @property
    def period(self) -> str:
        contacts, zone = self._contacts, self._analysis.facts["time zone"]
        if contacts.first is None or contacts.last is None:
            return "no events"
        days = [stamp.tz_convert(zone) for stamp in (contacts.first, contacts.last)]
        first, last = (f"{day.day} {_MONTHS[day.month - 1]} {day.year}" for day in days)
        return first if first == last else f"{first} – {last}"

    def _footer(self) -> list[str]:
        rules, stages = self._rules, self._stages(suppress=False)
        confidence = f"{100 * rules.confidence:g}{NBSP}%"
        road = (
            "Road and drop-off: journeys by their progressing contacts; drop-off is the share that does not "
            f"go on within the horizon, open ones accounted for (Aalen–Johansen), with {confidence} interval"
        )
        lines = [road]
        if stages["median_time"].notna().any():
            lines.append("Time: of those who go on within the horizon, half and 90 % have done so")
        if ((stages["on_road"] == 0) & (stages["journeys"] > 0)).any():
            lines.append("A stage without a bar has contacts, but none that is progress along the road")
        if self._contacts.truncated:
            lines.append(
                f"{counted(self._contacts.truncated, 'journey')} that began before the data did "
                f"{'is' if self._contacts.truncated == 1 else 'are'} not on the road"
            )
        if "scores" in self._parts and self._parts["scores"].unlinked:
            unlinked = counted(self._parts["scores"].unlinked, "answer")
            lines.append(f"{unlinked} could not be linked to what was rated")
        cells = self._hidden_cells()
        if cells:
            lines.append(f"Hidden because fewer than {rules.min_n} are behind it: {cells} of the values")
        if self._analysis.model:
            lines.append(f"Model {self._analysis.model.name}, version {self._analysis.model.hash}")
        if self._analysis.facts["created"]:
            lines.append(f"Made {self._analysis.facts['created']}")
        return lines

    def _hidden_cells(self) -> int:
        """How many counts, drop-offs and scores the picture hides."""
        stages, phases, scores = (
            self._stages(suppress=False), self._phases(suppress=False), self._scores(suppress=False)
        )  # fmt: skip
        grades = [
            stages["reliability"],
            stages["drop_off_reliability"],
            phases["drop_off_reliability"],
            scores["reliability"],
        ]
        return int(sum((grade == "hidden").sum() for grade in grades))

    def _warnings(self) -> list[str]:
        share = self.unassigned_share
        if share < _UNCOVERED:
            return []
        found = self._contacts.unassigned()
        names = ", ".join(found["event"].head(3))
        warning = (
            f"{percent(share)} of the events fit no rule of the model: the map does not cover them "
            f"(most frequent: {names}). model.coverage(events) suggests rules."
        )
        return [warning]


_SCORES = [
    "stage", "instrument", "n", "score", "low", "high", "level", "level_low", "level_high", "reading",
    "interval", "reliability",
]  # fmt: skip
_SCORE_COLUMNS = {"_n": "n", "": "score", "_low": "low", "_high": "high", "_level": "level"}
_DROP_OFF = ["entered", "continued", "dropped", "open", "drop_off", "low", "high"]
_STAGE_COLUMNS = [
    "phase", "stage", "title", "journeys", "customers", "share", "on_road", *_DROP_OFF, "horizon",
    "median_time", "p90_time", "reliability", "drop_off_reliability",
]  # fmt: skip


def _with_drop_off(frame: pd.DataFrame, drop_off: DropOff, of: str, rules: ReportRules) -> pd.DataFrame:
    """A frame and what the drop-off says about its rows; where it says nothing, `entered` is who came."""
    found = drop_off.to_frame().set_index(of)
    # Who enters a place only by leaving it, as by reaching the goal, cannot drop off there.
    leaves_at_once = (found["continued"] == found["entered"]) & (found["median_dwell"] == pd.Timedelta(0))
    grade = found["reliability"].mask(leaves_at_once)
    found = found[[*_DROP_OFF, "horizon"]].assign(drop_off_reliability=grade)
    frame = frame.join(found, on=of)
    frame["drop_off_reliability"] = [
        "none" if pd.isna(grade) or not entered else _grade(entered, rules) if grade != "hidden"
        else "hidden" if entered < rules.min_n else "early"
        for grade, entered in zip(frame["drop_off_reliability"], frame["entered"], strict=True)
    ]  # fmt: skip
    frame["entered"] = frame["entered"].fillna(frame["reached"])
    for name in ("entered", "continued", "dropped", "open"):
        frame[name] = frame[name].astype("Int64")
    return frame


def _suppress_drop_off(frame: pd.DataFrame) -> None:
    grade = frame["drop_off_reliability"]
    for name in _DROP_OFF:
        hidden = grade == "hidden" if name in _DROP_OFF[:4] else grade.isin(["hidden", "early"])
        frame[name] = _blank(frame[name], hidden.to_numpy())


def _blank(values: pd.Series[Any], hidden: np.ndarray[Any, Any]) -> pd.Series[Any]:
    wide = values.astype("Int64") if pd.api.types.is_integer_dtype(values) else values
    return wide.mask(hidden)


def _grade(n: float, rules: ReportRules) -> str:
    return rules.reliability(n) if n else "none"


def _reading(score: float, measure: str, scale: str | None = None) -> str:
    """A score as people say it.

    Examples
    --------
    >>> _reading(0.32, "promoters − detractors"), _reading(5.94, "mean", "1–7")
    ('+32', '5.9/7')
    """
    if pd.isna(score):
        return ""
    if measure.startswith("promoters"):
        return f"{round(100 * score):+d}".replace("-", "−")
    if measure.startswith("share"):
        return percent(score)
    return f"{score:.1f}" + (f"/{scale.rpartition('–')[2]}" if isinstance(scale, str) else "")


def _range(low: float, high: float, measure: str) -> str:
    """An interval as people say it.

    Examples
    --------
    >>> _range(-0.05, 0.32, "promoters − detractors"), _range(5.7, 6.1, "mean")
    ('−5 to +32', '5.7–6.1')
    """
    if pd.isna(low) or pd.isna(high):
        return "no interval"
    first, last = _reading(low, measure), _reading(high, measure)
    if measure.startswith("promoters"):
        return f"{first} to {last}"
    return f"{first.removesuffix(NBSP + '%')}–{last}"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - any value of a document, kind by kind
    """A value as JSON knows it: seconds for durations, null for what is missing."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timedelta):
        return value.total_seconds()
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and math.isnan(value) else value
