"""One self-contained HTML page: the map, the drop-off, the funnel, the paths, the flow and the voices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cjm_analytics._page import WIDTH, Exhibit, Section, page, write
from cjm_analytics.charts.theme import NBSP, count, counted, duration, percent
from cjm_analytics.charts.transitions import END, OTHER, START
from cjm_analytics.errors import CJMError, InputError
from cjm_analytics.journeys import NO_INSTRUMENT, UNASSIGNED
from cjm_analytics.model import ReportRules, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cjm_analytics.analysis.contacts import Contacts
    from cjm_analytics.analysis.flow import Flow
    from cjm_analytics.analysis.funnel import Funnel
    from cjm_analytics.analysis.journey_map import JourneyMap
    from cjm_analytics.analysis.paths import Paths
    from cjm_analytics.analysis.satisfaction import Satisfaction
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Journeys

__all__ = ["report"]

_POSITIONS = 5
_TOP = 10


def report(
    journeys: Journeys,
    *,
    to: str | Path,
    title: str | None = None,
    engine: Engine | None = None,
) -> Path:
    """Write what the journeys tell into one HTML file that needs nothing else: no network, no other file.

    The page holds the journey map, the drop-off per phase and per stage, a funnel, the most frequent paths,
    the flow through the first contacts, the satisfaction per phase, and what became of the raw events. Each
    chart has a sentence that says what it shows, with numbers from the same result, and the table behind it.

    The funnel's steps are chosen from the data: in each stage up to the goal's, the progressing touchpoint
    that most journeys have; at the end the goal. One light count chooses them; all else is computed in one
    shared pass. Figures of fewer than the model's `min_n` are left out. What cannot be computed (no model, no
    goal, no answers) is said in a sentence.

    Parameters
    ----------
    journeys : Journeys
    to : str or Path
        The file; one that exists is replaced, in one step, when the page is complete.
    title : str, optional
        Default: the name of the model.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    InputError
        The folder does not exist, or the file cannot be written.

    Notes
    -----
    Equal journeys and an equal title give equal bytes.

    Examples
    --------
    >>> import tempfile, cjm_analytics as cjm
    >>> events = cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "b"], "what": ["product_view", "purchase", "product_view"],
    ...      "when": ["2026-01-01", "2026-01-02", "2026-01-01"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC"))
    >>> journeys = cjm.sessionize(events, cjm.JourneyModel.standard())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cjm.report(journeys, to=f"{folder}/report.html").name
    'report.html'
    """
    path = Path(to)
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {str(path.parent)!r} to write the report to. Create it first.")
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder. Name a file, for example '{path / 'report.html'}'.")
    name = title if title is not None else _title(journeys)
    sections, found = _sections(journeys, engine)
    write(path, page(name, _line(journeys, found), _facts(journeys, found), sections))
    return path


def _title(journeys: Journeys) -> str:
    name = journeys.model.name if journeys.model else ""
    return f"Customer journeys: {name}" if name else "Customer journeys"


def _facts(journeys: Journeys, found: JourneyMap | None) -> list[tuple[str, str]]:
    facts = [
        (count(journeys.n_customers), "customers"),
        (count(len(journeys)), "journeys"),
        (count(journeys.n_events), "events"),
        (count(len(journeys.codebook.touchpoints)), "kinds of touchpoint"),
    ]
    if found is not None and found.converted:
        facts.append((percent(found.conversion), "of the journeys reached the goal so far"))
    return facts


def _line(journeys: Journeys, found: JourneyMap | None) -> str:
    sources = ", ".join(sorted(journeys.observation_ends))
    parts = [found.period if found else "", journeys.timezone, f"sources: {sources}" if sources else ""]
    return " · ".join(part for part in parts if part)


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Questions:
    """The analyses of one pass, by name; and why some cannot be asked."""

    analyses: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def ask(self, name: str, plan: Callable[[], Any], *, unless: str = "") -> None:
        """Plan an analysis, unless there is a reason not to."""
        if unless:
            self.reasons[name] = unless
            return
        try:
            self.analyses[name] = plan()
        except CJMError as fault:
            self.reasons[name] = str(fault)


_NO_MODEL = (
    "These journeys were made without a model, so that they have no phases and stages. "
    "Give cjm.sessionize a model, for example JourneyModel.standard()."
)
_NO_GOAL = (
    "The model names no goal (a marker with role = “goal”), so there is nothing for a funnel to lead to."
)
_NO_STEPS = (
    "Fewer than two different progressing touchpoints lead to the goal, so there is no funnel to draw."
)
_NO_ANSWERS = "There are no survey answers in these data."


def _sections(journeys: Journeys, engine: Engine | None) -> tuple[list[Section], JourneyMap | None]:
    from cjm_analytics.analysis.flow import FlowAnalysis
    from cjm_analytics.analysis.funnel import FunnelAnalysis
    from cjm_analytics.analysis.journey_map import JourneyMapAnalysis
    from cjm_analytics.analysis.paths import PathsAnalysis
    from cjm_analytics.analysis.satisfaction import SatisfactionAnalysis, without_instrument

    if engine is None:
        from cjm_analytics.engine.local import LocalEngine

        engine = LocalEngine()
    staged = bool(journeys.codebook.stages)
    steps, without_funnel = _steps(journeys, engine) if staged else ([], _NO_MODEL)
    asked = _Questions()
    asked.ask("map", lambda: JourneyMapAnalysis.plan(journeys), unless="" if staged else _NO_MODEL)
    asked.ask("funnel", lambda: FunnelAnalysis.plan(journeys, steps), unless=without_funnel)
    asked.ask("paths", lambda: PathsAnalysis.plan(journeys, top=_TOP, customers=True))
    asked.ask("flow", lambda: FlowAnalysis.plan(journeys, positions=_POSITIONS, top=6, customers=True))
    by = "phase" if staged else None
    silence = _NO_ANSWERS + without_instrument(journeys.accounting.get(NO_INSTRUMENT, 0))
    silent = "" if journeys.codebook.instruments else silence
    asked.ask("satisfaction", lambda: SatisfactionAnalysis.plan(journeys, by=by), unless=silent)
    answers = engine.run_all(list(asked.analyses.values()), journeys)
    found = dict(zip(asked.analyses, answers, strict=True))
    reasons, names = asked.reasons, _Names.of(journeys)
    few = (journeys.model.report if journeys.model else ReportRules()).min_n
    sections = [
        _map_section(found.get("map"), reasons.get("map", "")),
        _drop_off_section(found.get("map"), reasons.get("map", ""), names),
        _funnel_section(found.get("funnel"), reasons.get("funnel", ""), names),
        _paths_section(found.get("paths"), reasons.get("paths", ""), few),
        _flow_section(found.get("flow"), reasons.get("flow", ""), names, few),
        _satisfaction_section(found.get("satisfaction"), reasons.get("satisfaction", silence), names),
        _quality_section(journeys, found.get("map"), few),
    ]
    return sections, found.get("map")


def _steps(journeys: Journeys, engine: Engine) -> tuple[list[str], str]:
    """The funnel's steps, chosen from the data; or why there are none."""
    from cjm_analytics.analysis.contacts import ContactsAnalysis
    from cjm_analytics.engine import run

    contacts: Contacts = run(ContactsAnalysis.plan(journeys), journeys, engine)
    found = contacts.touchpoints()
    goals = found[found["goal"] > 0]
    if not len(goals):
        return [], _NO_GOAL
    goal = goals.sort_values(["goal", "touchpoint"], ascending=[False, True]).iloc[0]
    road = list(journeys.codebook.stages)
    before = road[: road.index(goal["stage"]) + 1]
    steps: list[str] = []
    for stage in before:
        mine = found[
            (found["stage"] == stage) & found["progress"] & (found["touchpoint"] != goal["touchpoint"])
        ]
        mine = mine[~mine["touchpoint"].isin(steps)]
        if len(mine):
            first = mine.sort_values(["journeys", "touchpoint"], ascending=[False, True]).iloc[0]
            steps.append(str(first["touchpoint"]))
    steps.append(str(goal["touchpoint"]))
    return (steps, "") if len(steps) > 1 else ([], _NO_STEPS)


# ── what the results say ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Names:
    """Phases, stages and touchpoints as people call them."""

    titles: Mapping[str, str]

    @classmethod
    def of(cls, journeys: Journeys) -> _Names:
        model = journeys.model
        if model is None:
            return cls({})
        titles = {one.id: one.title for one in model.touchpoints}
        titles |= {one.id: one.title for one in model.phases} | dict(model.stage_titles)
        return cls({name: title for name, title in titles.items() if title})

    def __call__(self, name: object) -> str:
        known = str(name)
        return known if known in {START, END, OTHER} else self.titles.get(known) or spoken(known)

    def spoken(self, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """The frame with names as people say them; as it is if two would be called alike."""
        found = pd.unique(frame[list(columns)].to_numpy(dtype=object).ravel())
        words = {name: self(name) for name in found}
        if len(set(words.values())) < len(words):
            return frame
        return frame.assign(**{column: frame[column].map(words) for column in columns})


def _interval(low: float, high: float) -> str:
    return f"{percent(low).removesuffix(NBSP + '%')}–{percent(high)}"


def _map_section(found: JourneyMap | None, reason: str) -> Section:
    title, intro = (
        "The journey map",
        "Who comes to each stage, who leaves, how long it takes and how it feels.",
    )
    if found is None:
        return Section("map", title, intro, missing=reason)
    frame = found.to_frame()
    seen = frame[frame["journeys"].notna()].sort_values("journeys", ascending=False, kind="stable")
    busiest = seen.iloc[0] if len(seen) else None
    unseen = [str(row.title) for row in frame.itertuples() if row.reliability == "none"]
    reading = f"{counted(found.journeys, 'journey')} of {counted(found.customers, 'customer')}"
    if busiest is not None and busiest["journeys"]:
        share, journeys = percent(busiest["share"]), count(busiest["journeys"])
        reading += f"; most of them ({journeys}, {share}) touch the stage “{busiest['title']}”"
    if found.converted:
        reading += f"; {percent(found.conversion)} have reached the goal so far"
    reading += f". No contact was seen in: {', '.join(unseen)}." if unseen else "."
    exhibit = Exhibit("map", reading, found.plot(width=WIDTH), [("One row per stage", frame)], fixed=True)
    return Section("map", title, intro, [exhibit])


def _drop_off_section(found: JourneyMap | None, reason: str, names: _Names) -> Section:
    title = "Where customers drop off"
    intro = (
        "Drop-off is the share of journeys that do not go on to a later part of the road within its horizon. "
        "Open journeys, which may still go on, are accounted for and never counted as lost."
    )
    if found is None:
        return Section("drop-off", title, intro, missing=reason)
    exhibits = [
        Exhibit(
            f"drop-off-{of}",
            _drop_off_reading(result.to_frame(), of, names),
            replace(result, _frame=names.spoken(result.to_frame(), of)).plot(),
            [(f"By {of}", result.to_frame())],
        )
        for of, result in (("phase", found.phases), ("stage", found.stages))
    ]
    return Section("drop-off", title, intro, exhibits)


def _drop_off_reading(frame: pd.DataFrame, of: str, names: _Names) -> str:
    known = frame[(frame["reliability"] != "hidden") & frame["drop_off"].notna()]
    if not len(known):
        return "No figure rests on enough journeys that were followed for the whole horizon."
    worst = known.sort_values("drop_off", ascending=False, kind="stable").iloc[0]
    name, share = names(worst[of]), percent(worst["drop_off"])
    interval, entered = _interval(worst["low"], worst["high"]), count(worst["entered"])
    last = worst["last_touchpoint"]
    seen = f" They were most often last seen at “{names(last)}”." if isinstance(last, str) else ""
    return (
        f"The largest loss is in “{name}”: {share} ({interval}) of the {entered} journeys that enter it do "
        f"not go on within {duration(worst['horizon'])}.{seen}"
    )


def _funnel_section(found: Funnel | None, reason: str, names: _Names) -> Section:
    title = "The way to the goal"
    intro = (
        "The steps were chosen from the data: in each stage the progressing touchpoint that most journeys "
        "have, up to the goal. Each step must follow the one before, all within 30 days of the first."
    )
    if found is None:
        return Section("funnel", title, "", missing=reason)
    frame = found.to_frame()
    first, last = frame.iloc[0], frame.iloc[-1]
    reading = f"Of {count(first['reached'])} journeys that reach “{names(first['step'])}”"
    if first["reached"]:
        reading += f", {count(last['reached'])} ({percent(last['conversion'])}) reach “{names(last['step'])}”"
        later = frame.iloc[1:]
        if later["step_conversion"].notna().any():
            worst = later.sort_values("step_conversion", kind="stable").iloc[0]
            share = percent(1 - worst["step_conversion"])
            reading += f"; most are lost on the way to “{names(worst['step'])}”, where {share} do not arrive"
    if pd.notna(last["settled_conversion"]):
        settled, interval = percent(last["settled_conversion"]), _interval(last["low"], last["high"])
        reading += f". Among journeys that had the full time, it is {settled} ({interval})"
    labels = names.spoken(frame, "step")["step"]
    steps = tuple(
        replace(step, label=label) for step, label in zip(found.analysis.steps, labels, strict=True)
    )
    figure = replace(found, analysis=replace(found.analysis, steps=steps)).plot()
    exhibit = Exhibit("funnel", reading + ".", figure, [("One row per step", frame)])
    return Section("funnel", title, intro, [exhibit])


def _paths_section(found: Paths | None, reason: str, few: int) -> Section:
    title = "The paths they take"
    intro = "Journeys with the same touchpoints in the same order; direct repeats count once."
    if found is None:
        return Section("paths", title, intro, missing=reason)
    frame = found.to_frame()
    if not len(frame):
        return Section("paths", title, intro, missing="There are no journeys.")
    enough = frame["customers"] >= few
    shown = int(enough.sum())
    if not shown:
        return Section("paths", title, intro, missing=f"No path is that of {few} customers or more.")
    frame = frame[enough].reset_index(drop=True)
    sequences = tuple(one for one, kept in zip(found.sequences, enough, strict=True) if kept)
    found = replace(found, _frame=frame, sequences=sequences)
    first = frame.iloc[0]
    reading = (
        f"The most frequent path, “{first['path']}”, is that of {count(first['journeys'])} journeys "
        f"({percent(first['share'])}); the {shown} shown cover {percent(found.coverage)} of all."
    )
    exhibit = Exhibit("paths", reading, found.plot(), [("One row per path", frame)])
    return Section("paths", title, intro, [exhibit])


def _flow_section(found: Flow | None, reason: str, names: _Names, few: int) -> Section:
    title = "How journeys unfold"
    intro = (
        f"From contact to contact, over the first {_POSITIONS} positions of each journey. Links of fewer "
        f"than {few} customers are not shown."
    )
    if found is None:
        return Section("flow", title, "", missing=reason)
    frame = found.to_frame()
    if not len(frame):
        return Section("flow", title, "", missing="There are no journeys.")
    start = frame[frame["position"] == frame["position"].min()]
    by_source = start.groupby("source", sort=True)["journeys"].sum()
    name, journeys, total = by_source.idxmax(), int(by_source.max()), int(by_source.sum())
    frame = frame[frame["customers"] >= few].reset_index(drop=True)
    if not len(frame):
        return Section("flow", title, "", missing=f"No link is that of {few} customers or more.")
    share = f"{count(journeys)} of {count(total)} ({percent(journeys / total)})"
    reading = f"Most journeys begin with “{names(name)}”: {share}."
    figure = replace(found, _frame=names.spoken(frame, "source", "target")).plot()
    return Section("flow", title, intro, [Exhibit("flow", reading, figure, [("One row per link", frame)])])


def _satisfaction_section(found: Satisfaction | None, reason: str, names: _Names) -> Section:
    title = "How they feel"
    intro = (
        "Answers count in the phase that they rate. Scales are never mixed. Customers who left before a "
        "phase cannot rate it: each figure speaks of those who came so far and answered."
    )
    if found is None:
        return Section("satisfaction", title, intro, missing=reason)
    frame = found.to_frame()
    if frame.empty:
        return Section("satisfaction", title, intro, missing=reason)
    shown_columns = [
        "instrument",
        *(name for name in ("phase",) if name in frame),
        "n",
        "score",
        "low",
        "high",
    ]
    shown_columns += ["response_rate", "reliability", "measure"]
    exhibit = Exhibit(
        "satisfaction", _satisfaction_reading(frame, names), found.plot(),
        [("One row per instrument and phase", frame[[name for name in shown_columns if name in frame]])],
    )  # fmt: skip
    return Section("satisfaction", title, intro, [exhibit])


def _satisfaction_reading(frame: pd.DataFrame, names: _Names) -> str:
    known = frame[frame["score"].notna() & (frame["reliability"] != "hidden")]
    if not len(known):
        return "Too few answers to show any score."
    parts = []
    for instrument, mine in known.groupby("instrument", sort=False):
        placed = mine if "phase" in mine else mine.assign(phase="")
        said = [
            f"{_score(row)} {_about(str(row.phase), names)}(n{NBSP}={NBSP}{row.n:,})"
            for row in placed.itertuples()
        ]
        parts.append(f"{str(instrument).upper()}: {', '.join(said)}")
    return ". ".join(parts) + "."


def _about(phase: str, names: _Names) -> str:
    """What answers rate, in words, with a space behind."""
    from cjm_analytics.analysis.satisfaction import RELATION, UNLINKED

    said = {
        "": "",
        RELATION: "about the relation as a whole ",
        UNLINKED: "in answers not linked to a contact ",
        UNASSIGNED: "about contacts in no stage ",
    }
    return said[phase] if phase in said else f"in {names(phase)} "


def _score(row: Any) -> str:  # noqa: ANN401 - a row
    measure = str(getattr(row, "measure", ""))
    if measure.startswith("promoters"):
        return f"{round(100 * row.score):+d}".replace("-", "−")
    return percent(row.score) if measure.startswith("share") else f"{row.score:.1f}"


def _quality_section(journeys: Journeys, found: JourneyMap | None, few: int) -> Section:
    title = "What the numbers rest on"
    intro = "Every raw event is in a journey, or left out for a reason that is counted here."
    frame = journeys.report().to_frame()
    inside = frame.iloc[0]
    reading = (
        f"{count(inside['events'])} events ({percent(inside['share'])} of those read) are in the journeys."
    )
    tables = [("What became of the events", frame)]
    if found is not None:
        outside = found.unassigned()
        reading += (
            f" {percent(found.unassigned_share)} of them fit no rule of the model and stand in no stage."
            if len(outside)
            else " All of them stand in a stage of the model."
        )
        if len(outside):
            outside = outside[outside["events"] >= few].head(20)
            tables.append((f"Most frequent events in no stage ({few} or more)", outside))
    facts = pd.DataFrame(_method(journeys), columns=["what", "value"])
    tables.append(("How it was made", facts))
    return Section("quality", title, intro, [Exhibit("quality", reading, None, tables)])


def _method(journeys: Journeys) -> list[tuple[str, str]]:
    from cjm_analytics import __version__

    model = journeys.model
    ends = [
        (f"log of {name} complete until", f"{pd.Timestamp(end, unit='us'):%Y-%m-%d %H:%M} UTC")
        for name, end in sorted(journeys.observation_ends.items())
    ]
    rules = model.report if model else None
    return [
        ("model", f"{model.name}, version {model.hash}" if model else "none"),
        ("time zone", journeys.timezone),
        *ends,
        ("intervals", f"{100 * rules.confidence:g} %" if rules else "95 %"),
        ("hidden under, weak under", f"{rules.min_n}, {rules.weak_n}" if rules else "10, 30"),
        ("made with", f"cjm_analytics {__version__}"),
    ]
