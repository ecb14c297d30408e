"""The journey model: what each event means, as a small readable file (schema `cjm/1`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cjm_analytics.matching import Match

__all__ = ["JourneyModel"]


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

    `role`: goal, reversal or None. `of`: the marker that a reversal takes back. `dedupe_on`: column whose equal
    values inside `within` (µs) mean one moment; `prefer`: sources, best first.
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

    `marker` was seen earlier in the journey, at most `within` µs ago; `count` (a pair such as `("ge", 2)`) bounds how
    often; `phase_reached`: a progressing touchpoint of this phase or a later one was seen; `negate`: the opposite.
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
    """After the marker `after`, an event on one of `on_stage` at least `min_gap` µs after the last starts a journey."""

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
    """What an answer rates: the touchpoint with the same `join_on`, else one within `look_back` µs before it."""

    touchpoint: str
    join_on: str | None = None
    look_back: int | None = None
    pick: str = "last"


@dataclass(frozen=True)
class Survey:
    """A survey: which answers are its own, on which scale, and what they rate (None: the relation as a whole)."""

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


@dataclass(frozen=True)
class JourneyModel:
    """The meaning of events, validated.

    Read from a file with `JourneyModel.read`, or start from `JourneyModel.standard()`.
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
