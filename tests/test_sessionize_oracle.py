"""The state machine against a plain loop over one customer, on thousands of random logs and random models."""

from __future__ import annotations

import operator

import numpy as np
import pandas as pd

from cjm_analytics.journeys import NEVER
from cjm_analytics.matching import compile_match
from cjm_analytics.model import (
    Branch,
    Condition,
    JourneyModel,
    JourneyRules,
    Marker,
    NewCycle,
    Phase,
    Rates,
    Survey,
    Touchpoint,
)
from cjm_analytics.sessionizer import sessionize
from logs import MINUTE, events_of

COMPARE = {one: getattr(operator, one) for one in ("eq", "ne", "gt", "ge", "lt", "le")}


def fits(match, event, model):
    """Whether a match of names of events or markers fits an event."""
    if "marker" in match.spec:
        marker = next(one for one in model.markers if one.id == match.spec["marker"])
        return fits(marker.match, event, model)
    return event["event"] in match.spec["event"]


def markers_of(event, model):
    return [marker for marker in model.markers if fits(marker.match, event, model)]


def told_again(events, model):
    """Positions of rows that repeat a moment which another row tells better."""
    dropped = set()
    for marker in model.markers:
        if marker.dedupe_on is None:
            continue
        moments = {}
        for place, event in enumerate(events):
            key = event.get(marker.dedupe_on)
            if place in dropped or key is None or not fits(marker.match, event, model):
                continue
            groups = moments.setdefault(key, [])
            if groups and event["time"] - events[groups[-1][0]]["time"] <= marker.within:
                groups[-1].append(place)
            else:
                groups.append([place])

        def rank(place, marker=marker):
            for name in (events[place]["source"], events[place]["source_kind"]):
                if name in marker.prefer:
                    return marker.prefer.index(name)
            return len(marker.prefer)

        for groups in moments.values():
            for group in groups:
                best = min(group, key=lambda place: (rank(place), place))
                dropped |= set(group) - {best}
    return dropped


def holds(condition, journey, event, model):
    """Whether a condition holds in the state before the event."""
    true = True
    if condition.marker is not None:
        seen = journey["seen"].get(condition.marker, [])
        if condition.within is not None:
            seen = [time for time in seen if event["time"] - time <= condition.within]
        if condition.count is None:
            true = len(seen) > 0
        else:
            compare, bound = condition.count
            true = COMPARE[compare](len(seen), bound)
    if condition.phase_reached is not None:
        phases = [phase.id for phase in model.phases]
        true = true and journey["furthest_phase"] >= phases.index(condition.phase_reached)
    return true != condition.negate


def stage_of(event, journey, model):
    for touchpoint in model.touchpoints:
        if fits(touchpoint.match, event, model):
            for branch in touchpoint.branches:
                if all(holds(one, journey, event, model) for one in branch.when):
                    return touchpoint, branch.stage
            return touchpoint, None
    return None, None


def slow_journeys(rows, model, observed_until):
    """The journeys of one customer, as the definition says; `rows` in order."""
    rules = model.journeys
    phase_of = {stage: number for number, phase in enumerate(model.phases) for stage in phase.stages}
    dropped = told_again(rows, model)
    journeys = []
    current = None
    reached = []  # goals of the customer: key, journey, whether a reversal of that key took it back
    for place, event in enumerate(rows):
        now = event["time"]
        if place in dropped or (model.exclude is not None and fits(model.exclude, event, model)):
            continue
        if model.unmatched == "drop" and not named(event, model):
            continue
        answer = event.get("instrument") is not None
        if current and rules.inactivity is not None and now - current["quiet_since"] > rules.inactivity:
            current.update(closed="inactive", closed_at=current["quiet_since"] + rules.inactivity)
            current = None
        journey = current
        if answer and current is None and journeys:
            look_back = look_back_of(event, model)
            if look_back is None or now - journeys[-1]["quiet_since"] <= look_back:
                journey = journeys[-1]
        if current and rules.new_cycle and not answer and current["seen"].get(rules.new_cycle.after):
            _, stage = stage_of(event, current, model)
            if stage in rules.new_cycle.on_stage and now - current["quiet_since"] >= rules.new_cycle.min_gap:
                current.update(closed="new cycle", closed_at=now)
                journey = None
        attached = journey is not None and journey is not current
        if journey is None:
            journey = current = {
                "events": [], "seen": {}, "goals": 0, "goal": None, "closed": "open", "closed_at": None,
                "furthest_phase": -1, "furthest_stage": None, "reversed": False,
            }  # fmt: skip
            journeys.append(journey)
        touchpoint, stage = stage_of(event, journey, model)
        journey["events"].append((event["id"], touchpoint.id if touchpoint else event["event"], stage))
        for marker in markers_of(event, model):
            journey["seen"].setdefault(marker.id, []).append(now)
        roles = [marker.role for marker in markers_of(event, model)]
        if "goal" in roles:
            journey["goals"] += 1
            journey["reversed"] = False
            journey["goal"] = journey["goal"] if journey["goal"] is not None else now
            reached.append([key_of(event, model), journey, False])
        if "reversal" in roles:
            key = key_of(event, model)
            same = [one for one in reached if key is not None and one[0] == key]
            mine = [one for one in same if not one[2]]
            if mine:
                mine[-1][2] = True
                of = [mine[-1][1]]
            else:
                of = [] if same else journeys
            with_goals = [one for one in of if one["goals"]]
            if with_goals:
                with_goals[-1]["goals"] -= 1
                with_goals[-1]["reversed"] = with_goals[-1]["goals"] == 0
        if touchpoint and touchpoint.progress and stage is not None:
            order = list(phase_of)
            journey["furthest_phase"] = max(journey["furthest_phase"], phase_of[stage])
            before = journey["furthest_stage"]
            journey["furthest_stage"] = stage if before is None else max(before, stage, key=order.index)
        if not attached:
            journey["quiet_since"] = now
        if current is not None and rules.end is not None and fits(rules.end, event, model):
            current.update(closed="left", closed_at=now)
            current = None
    if (
        current
        and rules.inactivity is not None
        and observed_until - current["quiet_since"] > rules.inactivity
    ):
        current.update(closed="inactive", closed_at=current["quiet_since"] + rules.inactivity)
    return journeys


def key_of(event, model):
    """The order of a goal or of a reversal, where the model has a key for one of the two."""
    return event.get("order_id") if any(one.dedupe_on for one in model.markers) else None


def named(event, model):
    matches = [
        *(one.match for one in model.touchpoints),
        *(one.match for one in model.markers),
        *([model.journeys.end] if model.journeys.end else []),
    ]
    survey = event.get("instrument") is not None and any(
        fits(one.match, event, model) for one in model.surveys
    )
    return survey or any(fits(match, event, model) for match in matches)


def look_back_of(event, model):
    for survey in model.surveys:
        if fits(survey.match, event, model):
            return survey.rates.look_back if survey.rates else None
    return None


ROAD = {"before": ("look", "compare"), "during": ("cart", "pay"), "after": ("help", "use")}
STAGES = [stage for stages in ROAD.values() for stage in stages]


def random_model(rng):
    def some(names, low=1, high=3):
        n = min(len(names), int(rng.integers(low, high + 1)))
        return rng.choice(names, n, replace=False).tolist()

    def length(high):
        return None if rng.random() < 0.3 else int(rng.integers(0, high)) * MINUTE

    def condition():
        marker = rng.choice(["buy", "undo", "note", None], p=[0.5, 0.15, 0.2, 0.15])
        count = (str(rng.choice(list(COMPARE))), int(rng.integers(0, 3))) if rng.random() < 0.5 else None
        return Condition(
            marker=marker,
            within=length(30) if marker else None,
            count=count if marker else None,
            phase_reached=str(rng.choice(list(ROAD))) if marker is None or rng.random() < 0.2 else None,
            negate=bool(rng.random() < 0.3),
        )

    def branches():
        conditional = [
            Branch(str(rng.choice(STAGES)), tuple(condition() for _ in range(rng.integers(1, 3))))
            for _ in range(rng.integers(0, 3))
        ]
        return (*conditional, Branch(str(rng.choice(STAGES))))

    markers = (
        Marker("buy", compile_match({"event": some(list("gh"))}), role="goal",
               dedupe_on="order_id" if rng.random() < 0.7 else None, within=int(rng.integers(0, 15)) * MINUTE,
               prefer=tuple(some(["shop", "pay", "log", "order", "clickstream"], 0, 4))),
        Marker("undo", compile_match({"event": ["u"]}), role="reversal", of="buy",
               dedupe_on="order_id" if rng.random() < 0.5 else None,
               within=int(rng.integers(0, 15)) * MINUTE),
        Marker("note", compile_match({"event": some(list("abg"))})),
    )  # fmt: skip
    touchpoints = tuple(
        Touchpoint(
            f"t{number}",
            compile_match({"marker": "buy"} if rng.random() < 0.2 else {"event": some(list("abcdghus"))}),
            branches(),
            progress=bool(rng.random() < 0.7),
        )
        for number in range(rng.integers(1, 6))
    )  # fmt: skip
    cycle = NewCycle("buy", tuple(some(STAGES, 1, 4)), int(rng.integers(0, 20)) * MINUTE)
    return JourneyModel(
        name="random",
        phases=tuple(Phase(name, name, stages) for name, stages in ROAD.items()),
        touchpoints=touchpoints,
        markers=markers,
        surveys=(
            Survey("s", "nps", "transactional", compile_match({"event": ["s"]}),
                   rates=Rates((touchpoints[0].id,), look_back=int(rng.integers(0, 40)) * MINUTE)),
        ) if rng.random() < 0.7 else (),
        journeys=JourneyRules(
            inactivity=length(40),
            new_cycle=cycle if rng.random() < 0.7 else None,
            end=compile_match({"event": ["q"]}) if rng.random() < 0.6 else None,
        ),
        unmatched=str(rng.choice(["keep", "drop"])),
        exclude=compile_match({"event": ["z"]}) if rng.random() < 0.5 else None,
    )  # fmt: skip


def random_rows(rng, n_customers):
    rows = []
    for customer in range(n_customers):
        time = 0
        for _ in range(rng.integers(1, 25)):
            time += int(rng.choice([0, 1, 3, 10, 25, 60]))
            event = str(rng.choice(list("abcdefghuszq")))
            rows.append({
                "customer_id": f"c{customer}", "timestamp": time, "event": event,
                "source": (source := str(rng.choice(["shop", "pay", "log"]))),
                "source_kind": "clickstream" if source == "log" else "order",
                "order_id": str(rng.choice(["1", "2"])) if event in "ghu" and rng.random() < 0.8 else None,
                "instrument": "nps" if event == "s" else None, "score": 5.0 if event == "s" else None,
            })  # fmt: skip
    return rows


def assert_equal_to_the_loop(rows, model, *, n_partitions):
    events = events_of(rows, n_partitions=n_partitions)
    journeys = sessionize(events, model)
    journeys.validate()
    frame, cases = journeys.to_frame(), journeys.cases()
    found_events = [
        (who, int(journey), event_id, touchpoint, stage if isinstance(stage, str) else None)
        for who, journey, event_id, touchpoint, stage in zip(
            frame["customer_id"], frame["journey"], frame["event_id"], frame["touchpoint"], frame["stage"],
            strict=True,
        )
    ]  # fmt: skip
    closed_at = [
        int(one)
        for partition in journeys.partitions
        for one in partition.journey("closed_at")
    ]  # fmt: skip
    found_cases = [
        (
            one.customer_id,
            one.journey,
            int(one.goal_time.value // 1000) if one.converted else None,
            one.closed,
            at if at != NEVER else None,
            one.goal_reversed,
            one.furthest_phase or None,
            one.furthest_stage or None,
        )
        for one, at in zip(cases.itertuples(), closed_at, strict=True)
    ]
    end = journeys.observed_until()
    expected_events, expected_cases = [], []
    by_customer = {}
    for place, row in enumerate(rows):
        time = row["timestamp"] * MINUTE
        by_customer.setdefault(row["customer_id"], []).append({**row, "time": time, "id": f"e{place:06d}"})
    for who in sorted(by_customer):
        for number, journey in enumerate(slow_journeys(by_customer[who], model, end)):
            expected_events += [(who, number, *event) for event in journey["events"]]
            phase = list(ROAD)[journey["furthest_phase"]] if journey["furthest_phase"] >= 0 else None
            expected_cases.append((
                who, number, journey["goal"], journey["closed"], journey["closed_at"], journey["reversed"],
                phase, journey["furthest_stage"],
            ))  # fmt: skip
    assert found_events == expected_events
    assert found_cases == expected_cases


def test_the_kernel_equals_the_plain_loop_on_random_logs_and_models():
    rng = np.random.default_rng(7)
    for _ in range(50):
        assert_equal_to_the_loop(
            random_rows(rng, 50), random_model(rng), n_partitions=int(rng.integers(1, 4))
        )


def test_every_event_is_in_a_journey_or_has_one_reason():
    rng = np.random.default_rng(8)
    for _ in range(20):
        rows = random_rows(rng, 10)
        for row in rows:
            row["is_bot"] = bool(rng.random() < 0.1)
            row["event"] = "survey_invite" if rng.random() < 0.05 else row["event"]
        journeys = sessionize(events_of(rows, n_partitions=2), random_model(rng))
        report = journeys.report().to_frame().set_index("what")["events"]
        informational = ["unassigned", "answers off their scale", "superseded answers"]
        informational += ["scores without an instrument"]
        assert report.drop(informational).sum() == len(rows)
        assert report["in journeys"] == len(journeys.to_frame())


def test_partitions_and_threads_change_nothing():
    rng = np.random.default_rng(9)
    for _ in range(8):
        rows, model = random_rows(rng, 12), random_model(rng)
        one = sessionize(events_of(rows), model, threads=1)
        for n_partitions, threads in ((2, 1), (5, 2)):
            other = sessionize(events_of(rows, n_partitions=n_partitions), model, threads=threads)
            pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
            pd.testing.assert_frame_equal(one.cases(), other.cases())
            assert one.codebook == other.codebook
            assert one.accounting == other.accounting
