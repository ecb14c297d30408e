"""From raw touchpoint logs to the customer journey map that they really describe."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cjm_analytics import loaders
    from cjm_analytics.analysis.attribution import Attribution, attribution
    from cjm_analytics.analysis.conversion_times import ConversionTimes
    from cjm_analytics.analysis.drivers import Drivers, drivers
    from cjm_analytics.analysis.dropoff import DropOff, drop_off
    from cjm_analytics.analysis.flow import Flow, flow
    from cjm_analytics.analysis.funnel import Funnel, funnel, step
    from cjm_analytics.analysis.journey_map import JourneyMap, journey_map
    from cjm_analytics.analysis.lifecycle import Lifecycle, lifecycle
    from cjm_analytics.analysis.markov import Markov, markov
    from cjm_analytics.analysis.matches import Matches, matches
    from cjm_analytics.analysis.ngrams import NGrams, ngrams
    from cjm_analytics.analysis.paths import Paths, paths
    from cjm_analytics.analysis.retention import Retention, retention
    from cjm_analytics.analysis.rework import Rework, rework
    from cjm_analytics.analysis.satisfaction import Satisfaction, satisfaction
    from cjm_analytics.analysis.stickiness import Stickiness, stickiness
    from cjm_analytics.analysis.subsequences import Subsequences, subsequences
    from cjm_analytics.analysis.time_to import TimeTo, time_to
    from cjm_analytics.analysis.transitions import Transitions, transitions
    from cjm_analytics.columns import set_memory_budget
    from cjm_analytics.engine.local import LocalEngine
    from cjm_analytics.errors import (
        CJMError,
        InputError,
        ModelError,
        ModelWarning,
        StoreError,
        UnknownNameError,
    )
    from cjm_analytics.events.identity import Identity
    from cjm_analytics.events.ingest import ingest
    from cjm_analytics.events.marks import BotRules, Internal
    from cjm_analytics.events.store import Events, open_events
    from cjm_analytics.journeys import Journeys, open_journeys
    from cjm_analytics.model import JourneyModel
    from cjm_analytics.patterns import PatternError
    from cjm_analytics.report import report
    from cjm_analytics.sessionizer import sessionize

__version__ = "0.1.0"

_HOME = {
    "Attribution": "analysis.attribution",
    "BotRules": "events.marks",
    "CJMError": "errors",
    "ConversionTimes": "analysis.conversion_times",
    "Drivers": "analysis.drivers",
    "DropOff": "analysis.dropoff",
    "Events": "events.store",
    "Flow": "analysis.flow",
    "Funnel": "analysis.funnel",
    "InputError": "errors",
    "Identity": "events.identity",
    "Internal": "events.marks",
    "JourneyMap": "analysis.journey_map",
    "JourneyModel": "model",
    "Journeys": "journeys",
    "Lifecycle": "analysis.lifecycle",
    "LocalEngine": "engine.local",
    "Markov": "analysis.markov",
    "Matches": "analysis.matches",
    "ModelError": "errors",
    "ModelWarning": "errors",
    "NGrams": "analysis.ngrams",
    "Paths": "analysis.paths",
    "PatternError": "patterns",
    "Retention": "analysis.retention",
    "Rework": "analysis.rework",
    "Satisfaction": "analysis.satisfaction",
    "Stickiness": "analysis.stickiness",
    "StoreError": "errors",
    "Subsequences": "analysis.subsequences",
    "TimeTo": "analysis.time_to",
    "Transitions": "analysis.transitions",
    "UnknownNameError": "errors",
    "attribution": "analysis.attribution",
    "drivers": "analysis.drivers",
    "drop_off": "analysis.dropoff",
    "flow": "analysis.flow",
    "funnel": "analysis.funnel",
    "ingest": "events.ingest",
    "journey_map": "analysis.journey_map",
    "lifecycle": "analysis.lifecycle",
    "markov": "analysis.markov",
    "matches": "analysis.matches",
    "ngrams": "analysis.ngrams",
    "open_events": "events.store",
    "open_journeys": "journeys",
    "paths": "analysis.paths",
    "report": "report",
    "retention": "analysis.retention",
    "rework": "analysis.rework",
    "satisfaction": "analysis.satisfaction",
    "sessionize": "sessionizer",
    "set_memory_budget": "columns",
    "step": "analysis.funnel",
    "stickiness": "analysis.stickiness",
    "subsequences": "analysis.subsequences",
    "time_to": "analysis.time_to",
    "transitions": "analysis.transitions",
}
"""Where each public name lives: it is imported when first used, so that `import cjm_analytics` is quick."""

__all__ = [
    "Attribution",
    "BotRules",
    "CJMError",
    "ConversionTimes",
    "Drivers",
    "DropOff",
    "Events",
    "Flow",
    "Funnel",
    "Identity",
    "InputError",
    "Internal",
    "JourneyMap",
    "JourneyModel",
    "Journeys",
    "Lifecycle",
    "LocalEngine",
    "Markov",
    "Matches",
    "ModelError",
    "ModelWarning",
    "NGrams",
    "Paths",
    "PatternError",
    "Retention",
    "Rework",
    "Satisfaction",
    "Stickiness",
    "StoreError",
    "Subsequences",
    "TimeTo",
    "Transitions",
    "UnknownNameError",
    "attribution",
    "drivers",
    "drop_off",
    "flow",
    "funnel",
    "ingest",
    "journey_map",
    "lifecycle",
    "loaders",
    "markov",
    "matches",
    "ngrams",
    "open_events",
    "open_journeys",
    "paths",
    "report",
    "retention",
    "rework",
    "satisfaction",
    "sessionize",
    "set_memory_budget",
    "step",
    "stickiness",
    "subsequences",
    "time_to",
    "transitions",
]


def __getattr__(name: str) -> object:
    if name == "loaders":
        return import_module("cjm_analytics.loaders")
    if name in _HOME:
        value = getattr(import_module(f"cjm_analytics.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    from cjm_analytics.errors import hint

    raise AttributeError(f"cjm_analytics has no {name!r}.{hint(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Window(ModuleType):
    """The shop window: a public name stays what it is when a module of the same name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        # Importing cjm_analytics.report binds the module here; `cjm.report` must stay the function.
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Window
