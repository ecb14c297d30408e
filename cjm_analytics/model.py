"""The journey model: what each event means, as a small readable file (schema `cjm/1`)."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown, table
from cjm_analytics.errors import InputError, ModelWarning, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cjm_analytics.coverage import Coverage
    from cjm_analytics.events.store import Events
    from cjm_analytics.explanation import Explanation
    from cjm_analytics.matching import Match

__all__ = ["SCHEMA", "JourneyModel"]

SCHEMA = "cjm/1"


@dataclass(frozen=True)
class Phase:
    """An ordered stretch of the journey; `horizon` (µs) bounds its drop-off, None: none given."""

    id: str
    title: str
    stages: tuple[str, ...]
    horizon: int | None = None


@dataclass(frozen=True)
class Marker:
    """A named moment; state comes only from markers.

    `role`: goal, reversal or None. `of`: the marker that a reversal takes back. `dedupe_on`: column whose
    equal values inside `within` (µs) mean one moment; `prefer`: sources or kinds of source, best first.
    """

    id: str
    match: Match
    role: str | None = None
    of: str | None = None
    dedupe_on: str | None = None
    within: int | None = None
    prefer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """A statement about the state before an event; all parts that are given must hold.

    `marker` was seen earlier in the journey, at most `within` µs ago; `count` (a pair such as `("ge", 2)`)
    bounds how often; `phase_reached`: a progressing touchpoint of this phase or a later one was seen;
    `negate`: the opposite.
    """

    marker: str | None = None
    within: int | None = None
    count: tuple[str, int] | None = None
    phase_reached: str | None = None
    negate: bool = False


@dataclass(frozen=True)
class Branch:
    """A stage, and the conditions under which a touchpoint belongs to it (none: always)."""

    stage: str
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Touchpoint:
    """A kind of contact: the events that are it, and its stage by the state before the event."""

    id: str
    match: Match
    branches: tuple[Branch, ...]
    progress: bool = True
    title: str = ""


@dataclass(frozen=True)
class NewCycle:
    """After the marker `after`, an event on one of `on_stage` starts a journey, `min_gap` µs on."""

    after: str
    on_stage: tuple[str, ...]
    min_gap: int


@dataclass(frozen=True)
class JourneyRules:
    """Where journeys begin and end. `inactivity` in µs, None: silence closes no journey."""

    unit: str = "customer"
    inactivity: int | None = None
    new_cycle: NewCycle | None = None
    end: Match | None = None


@dataclass(frozen=True)
class Rates:
    """What an answer rates: the touchpoint with the same `join_on`, else one `look_back` µs before it."""

    touchpoints: tuple[str, ...]
    join_on: str | None = None
    look_back: int | None = None
    pick: str = "last"


@dataclass(frozen=True)
class Survey:
    """A survey: which answers are its own, on which scale, and what they rate (None: all of it)."""

    id: str
    instrument: str
    kind: str
    match: Match
    positive: tuple[float, ...] = ()
    scale: tuple[float, float] | None = None
    direction: str = "high is good"
    rates: Rates | None = None


@dataclass(frozen=True)
class ReportRules:
    """Below `min_n` a value is hidden, below `weak_n` it is marked weak."""

    min_n: int = 10
    weak_n: int = 30
    confidence: float = 0.95

    def reliability(self, n: float) -> str:
        """`hidden`, `weak` or `ok`: how far a value of so many can be relied on."""
        return "hidden" if n < self.min_n else "weak" if n < self.weak_n else "ok"

    def reliabilities(self, n: NDArray[Any] | pd.Series[Any]) -> NDArray[Any]:
        """The same of many."""
        return np.where(n < self.min_n, "hidden", np.where(n < self.weak_n, "weak", "ok"))


@dataclass(frozen=True)
class Finding:
    """Something that a reader of the model should know: where, what, and what to write instead."""

    line: int | None
    path: str
    severity: str
    fault: str
    hint: str = ""

    def __str__(self) -> str:
        at = f"line {self.line}" if self.line else ""
        where = ", ".join(part for part in (at, self.path) if part)
        return f"{where}: {self.fault}{self.hint}" if where else f"{self.fault}{self.hint}"


@dataclass(frozen=True, repr=False)
class JourneyModel(Shown):
    """The meaning of events, validated.

    Read from a file with `JourneyModel.read`, or start from `JourneyModel.standard()`. Two models are equal
    if they say the same, whatever file they came from.

    Examples
    --------
    >>> model = JourneyModel.standard()
    >>> [phase.title for phase in model.phases]
    ['Before purchase', 'During purchase', 'After purchase']
    """

    name: str
    phases: tuple[Phase, ...]
    touchpoints: tuple[Touchpoint, ...]
    markers: tuple[Marker, ...] = ()
    surveys: tuple[Survey, ...] = ()
    journeys: JourneyRules = field(default_factory=JourneyRules)
    timezone: str = "UTC"
    unmatched: str = "keep"
    exclude: Match | None = None
    friction: Mapping[str, Any] = field(default_factory=dict)
    assumptions: tuple[Mapping[str, Any], ...] = ()
    notes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    report: ReportRules = field(default_factory=ReportRules)
    stage_titles: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def read(cls, path: str | Path) -> JourneyModel:
        """Read a model from a TOML or JSON file.

        Everything is checked at once. Faults are raised together, each with its line; what may be meant, yet
        looks odd, is a `ModelWarning` and stays in `model.warnings`.

        A name in a match that is no column of every event is a fault where it looks like a misspelt column,
        else a warning: properties that `keep=` promotes at ingest have names of their own. A stage is called
        by its id (`after_sales`: "After sales") unless the file has a `title` in `[stage.after_sales]`.

        Parameters
        ----------
        path : str or Path
            Ends in `.toml` or `.json`.

        Raises
        ------
        ModelError
            The file says something that means nothing; `error.failures` is the table of all faults.
        InputError
            There is no such file, or its name ends otherwise.
        """
        from cjm_analytics.model_reading import read_file

        return _warned(read_file(Path(path)), Path(path).name)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> JourneyModel:
        """A model from what its file would say, as Python values.

        Raises
        ------
        ModelError
            As `read`, without lines.

        Examples
        --------
        >>> model = JourneyModel.from_dict({
        ...     "name": "shop",
        ...     "phase": [{"id": "before", "stages": ["looking"]}],
        ...     "touchpoint": [{"id": "page", "stage": "looking", "match": {"event": "page_*"}}],
        ... })
        >>> model.phases[0].title, model.stage_titles
        ('Before', {'looking': 'Looking'})
        """
        from cjm_analytics.model_reading import read_spec

        return _warned(read_spec(spec), "journey model")

    @classmethod
    def standard(cls) -> JourneyModel:
        """The template: three phases, nine stages, and rules for common event names.

        Rules know the e-commerce names of Segment and GA4, Shopify and Stripe, CRM and support systems,
        e-mail, ads and surveys, in snake case and in Title Case. Write it into a file to start from.

        Examples
        --------
        >>> JourneyModel.standard().explain({"event": "Product Viewed"}).touchpoint
        'product_view'
        """
        from cjm_analytics.model_reading import read_text

        text = files("cjm_analytics").joinpath("standard.toml").read_text(encoding="utf-8")
        return read_text(text, toml=True, name="standard.toml")

    def write(self, path: str | Path) -> None:
        """Write the model as TOML or JSON, by the ending of the name; read back, it is equal.

        Comments of the file that the model came from are not kept.

        Raises
        ------
        InputError
            The name ends otherwise.
        """
        target = Path(path)
        if target.suffix == ".json":
            target.write_text(
                json.dumps(self.to_dict(), indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
            )
        elif target.suffix == ".toml":
            import tomli_w

            target.write_text(tomli_w.dumps(self.to_dict()), encoding="utf-8")
        else:
            raise InputError(f"A model is written as .toml or .json, not as {target.name!r}.")

    def to_dict(self) -> dict[str, Any]:
        """What the model's file would say, as Python values; `from_dict` of it is an equal model."""
        from cjm_analytics.model_writing import spec_of

        return spec_of(self)

    @property
    def hash(self) -> str:
        """Twelve letters that change when the model does.

        Examples
        --------
        >>> len(JourneyModel.standard().hash)
        12
        """
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def __hash__(self) -> int:
        return int(self.hash, 16)

    @property
    def warnings(self) -> pd.DataFrame:
        """What looked odd when the model was read: columns `line, path, fault, hint, severity`."""
        return findings_frame(self.findings)

    @property
    def stages(self) -> tuple[str, ...]:
        """All stages in the order of the road."""
        return tuple(stage for phase in self.phases for stage in phase.stages)

    def coverage(self, events: Events) -> Coverage:
        """How many events the rules name, per source, and rules for the most frequent that they do not.

        Excluded events and survey invites are left out.

        Examples
        --------
        >>> import cjm_analytics as cjm
        >>> events = cjm.ingest(cjm.loaders.table(
        ...     {"who": ["a"] * 2, "when": ["2026-01-01", "2026-01-02"], "what": ["add_to_cart", "sign_up"]},
        ...     customer="who", timestamp="when", event="what", tz="UTC"))
        >>> JourneyModel.standard().coverage(events).share
        1.0
        """
        from cjm_analytics.coverage import coverage

        return coverage(self, events)

    def explain(self, event: Mapping[str, Any]) -> Explanation:
        """Which rules were tried on one event, in order, and which conditions held.

        Parameters
        ----------
        event : mapping
            Columns of the event (a dict, or a row of `events.to_frame()`); what is not there is missing.

        Examples
        --------
        >>> print(JourneyModel.standard().explain({"event": "Product Added"}).touchpoint)
        add_to_cart
        """
        from cjm_analytics.explanation import explain

        return explain(self, event)

    def to_frame(self) -> pd.DataFrame:
        """The rules as a table, in the order in which they are tried.

        Columns `touchpoint, phase, stage, when, rule, progress`; one row per branch of a touchpoint.
        """
        from cjm_analytics.explanation import condition_text

        phase_of = {stage: phase.id for phase in self.phases for stage in phase.stages}
        rows = [
            (
                one.id,
                phase_of[branch.stage],
                branch.stage,
                " and ".join(condition_text(condition) for condition in branch.when) or None,
                one.match.text,
                one.progress,
            )
            for one in self.touchpoints
            for branch in one.branches
        ]
        return pd.DataFrame(rows, columns=["touchpoint", "phase", "stage", "when", "rule", "progress"])

    def _card(self) -> Card:
        rules = self.to_frame()
        by_stage = rules.groupby("stage", sort=False)["touchpoint"].agg(", ".join)
        road = pd.DataFrame(
            [
                (phase.title, self.stage_titles.get(stage, stage), by_stage.get(stage, "–"))
                for phase in self.phases
                for stage in phase.stages
            ],
            columns=["phase", "stage", "touchpoints"],
        )
        road["phase"] = road["phase"].mask(road["phase"].duplicated(), "")
        facts = {
            "touchpoints": str(len(self.touchpoints)),
            "markers": ", ".join(one.id for one in self.markers) or "none",
            "surveys": ", ".join(one.id for one in self.surveys) or "none",
            "version": self.hash,
        }
        odd = f"{counted(len(self.findings), 'warning')}: see model.warnings" if self.findings else ""
        return Card(self.name or "Journey model", facts, road, note=odd)

    def _repr_html_(self) -> str:
        rules = self.to_frame()
        rest = table(rules.assign(when=rules["when"].fillna("always")), rows=len(rules))
        style = "font:13px/1.4 system-ui,sans-serif"
        below = f"<details style='{style}'><summary>Rules, in the order tried</summary>{rest}</details>"
        return self._card().html() + below


def _warned(model: JourneyModel, name: str) -> JourneyModel:
    """The model, after its findings were told to whoever asked for it."""
    for finding in model.findings:
        warnings.warn(f"{name}, {finding}", ModelWarning, stacklevel=3)
    return model


def findings_frame(findings: tuple[Finding, ...]) -> pd.DataFrame:
    """Findings as a table, in the order of the file."""
    columns = ["line", "path", "fault", "hint", "severity"]
    rows = [(one.line, one.path, one.fault, one.hint.strip(), one.severity) for one in findings]
    return pd.DataFrame(rows, columns=columns).astype({"line": "Int64"})


def spoken(name: str) -> str:
    """A name as people write it, where the model has no title for it.

    Examples
    --------
    >>> spoken("information_search"), spoken("Order Completed"), spoken("https://shop.example/a_b")
    ('Information search', 'Order Completed', 'https://shop.example/a_b')
    """
    if "://" in name:
        return name
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
