"""The whole journey map in one pass, against each of its parts run by itself."""

from __future__ import annotations

from ours import forget, opened

TITLE = "journey map"
GOALS = (("cjm, one pass", ("cjm, part by part",), 2),)


def told(stages, phases) -> list[list[str]]:
    """Drop-off by stage and by phase, as text to the last digit."""
    return [[repr(value) for value in frame["drop_off"]] for frame in (stages.to_frame(), phases.to_frame())]


def whole(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        found = cjm.journey_map(opened(place.modelled))
        return told(found.stages, found.phases)

    return ask


def parts(place):
    from cjm_analytics.analysis.journey_map import JourneyMapAnalysis
    from cjm_analytics.engine import run

    def ask():
        found = {}
        for name in JourneyMapAnalysis.plan(opened(place.modelled)).parts:
            forget()
            journeys = opened(place.modelled)
            found[name] = run(JourneyMapAnalysis.plan(journeys).parts[name], journeys, None)
        return told(found["stage"], found["phase"])

    return ask


WAYS = {"cjm, one pass": whole, "cjm, part by part": parts}
