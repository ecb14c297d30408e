"""Small and random logs as journeys, built without loaders, ingest or sessionizer."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import numpy as np
import pandas as pd
import pyarrow as pa

from cjm_analytics.columns import MemoryColumns
from cjm_analytics.journeys import NEVER, Codebook, Journeys, Partition

MINUTE = 60_000_000


def journeys_of(
    rows,
    *,
    stages=None,
    goal=None,
    unit=MINUTE,
    observed_until=None,
    answers=None,
    invites=None,
    n_partitions=1,
):
    """Journeys from (customer, time, touchpoint[, extra columns]) rows or a frame with those columns.

    Columns of a frame: customer, time (a number of `unit`s), touchpoint; optional: journey (number within
    the customer, default 0), channel, session, closed (of the journey: a position in CLOSED), and any
    others, which become columns for `by=` and `where=`. `stages` maps touchpoint -> (stage, phase), in the
    order of the road. `goal` names the goal touchpoint. `answers`: dicts with keys of ANSWER_COLUMNS (names
    for codes are allowed: rated_stage='x'), `customer` as name. Rows keep their order inside a customer.
    """
    frame = (
        rows
        if isinstance(rows, pd.DataFrame)
        else pd.DataFrame(rows, columns=["customer", "time", "touchpoint"])
    )
    frame = frame.assign(customer=frame["customer"].astype(str))
    for name, default in (("journey", 0), ("channel", "web"), ("session", 0), ("closed", 0)):
        if name not in frame:
            frame = frame.assign(**{name: default})
    frame = frame.sort_values(["customer", "journey", "time"], kind="stable", ignore_index=True)
    stages = stages or {}
    road = list(stages.values())
    stage_names = list(dict.fromkeys(stage for stage, _ in road))
    phase_names = list(dict.fromkeys(phase for _, phase in road))
    stage_phase = tuple(phase_names.index(dict(road)[stage]) for stage in stage_names)
    touchpoints = tuple(dict.fromkeys([*sorted(set(frame["touchpoint"])), *stages]))
    channels = tuple(sorted(set(frame["channel"].dropna())))
    instruments = tuple(dict.fromkeys(one["instrument"] for one in [*(answers or []), *(invites or [])]))
    codebook = Codebook(
        touchpoints=touchpoints,
        channels=channels,
        phases=tuple(phase_names),
        stages=tuple(stage_names),
        stage_phase=stage_phase,
        markers=("goal",) if goal else (),
        surveys=instruments,
        instruments=instruments,
        progress=(True,) * len(touchpoints),
        sources=(frozenset({"log"}),) * len(touchpoints),
    )
    times = (frame["time"].to_numpy() * unit).astype(np.int64)
    end = int(observed_until * unit) if observed_until is not None else int(times.max(initial=0))
    names = np.array(sorted(frame["customer"].unique()), dtype=object)
    parts = np.array_split(names, n_partitions) if n_partitions > 1 else [names]
    partitions = tuple(
        _partition(
            frame[frame["customer"].isin(part)].reset_index(drop=True),
            times[frame["customer"].isin(part).to_numpy()],
            codebook, stages, goal, answers or [], invites or [], list(part), unit,
        )
        for part in parts
    )  # fmt: skip
    return Journeys(
        partitions=partitions,
        codebook=codebook,
        observation_start=int(times.min() if len(times) else 0),
        observation_ends={"log": end},
    )


def _partition(frame, time, codebook, stages, goal, answers, invites, customers, unit):
    codes = {name: code for code, name in enumerate(codebook.touchpoints)}
    stage_codes = {name: codebook.stages.index(stage) for name, (stage, _) in stages.items()}
    channel_codes = {name: code for code, name in enumerate(codebook.channels)}
    touchpoint = np.array([codes[name] for name in frame["touchpoint"]], dtype=np.int16)
    stage = np.array([stage_codes.get(name, -1) for name in frame["touchpoint"]], dtype=np.int16)
    phase = np.array([codebook.stage_phase[one] if one >= 0 else -1 for one in stage], dtype=np.int8)
    events = MemoryColumns.of(
        {
            "touchpoint": touchpoint,
            "channel": np.array([channel_codes.get(one, -1) for one in frame["channel"]], dtype=np.int16),
            "phase": phase,
            "stage": stage,
            "session": frame["session"].to_numpy(np.int32),
            "time": time,
            "marker": (frame["touchpoint"] == goal).to_numpy(np.uint32),
        }
    )
    place = {name: number for number, name in enumerate(customers)}
    cases = {
        name: []
        for name in (
            "customer",
            "cycle",
            "goal",
            "closed",
            "closed_at",
            "furthest_phase",
            "furthest_stage",
            "n_events",
        )
    }
    closed_codes = frame["closed"].to_numpy()
    is_goal = (frame["touchpoint"] == goal).to_numpy()
    keys = zip(frame["customer"], frame["journey"], strict=True)
    for (customer, journey), run in groupby(enumerate(keys), key=itemgetter(1)):
        mine = [row for row, _ in run]
        goals = [time[row] for row in mine if is_goal[row]]
        closed = int(closed_codes[mine[0]])
        cases["customer"].append(place[customer])
        cases["cycle"].append(journey)
        cases["goal"].append(goals[0] if goals else NEVER)
        cases["closed"].append(closed)
        cases["closed_at"].append(time[mine[-1]] if closed else NEVER)
        cases["furthest_phase"].append(phase[mine].max())
        cases["furthest_stage"].append(stage[mine].max())
        cases["n_events"].append(len(mine))
    types = {
        "customer": np.int32,
        "cycle": np.int32,
        "closed": np.int8,
        "furthest_phase": np.int8,
        "furthest_stage": np.int16,
    }
    arrays = {name: np.array(values, dtype=types.get(name, np.int64)) for name, values in cases.items()}
    arrays["reversed"] = np.zeros(len(cases["goal"]), dtype=bool)
    arrays["truncated"] = np.zeros(len(cases["goal"]), dtype=bool)
    extra = frame.drop(columns=["time", "touchpoint", "journey", "session", "closed", "channel"])
    rows = extra.rename(columns={"customer": "customer_id"}).assign(event=frame["touchpoint"])
    return Partition(
        codebook=codebook,
        events=events,
        cases=MemoryColumns.of(arrays),
        answers=MemoryColumns.of(_answers(answers, invites, codebook, place, unit)),
        rows=MemoryColumns(pa.Table.from_pandas(rows, preserve_index=False)),
        customers=MemoryColumns(pa.table({"customer_id": pa.array(customers, pa.string())})),
    )


def _answers(answers, invites, codebook, place, unit):
    both = [(one, False) for one in answers if one["customer"] in place]
    both += [(one, True) for one in invites if one["customer"] in place]

    def code(one, key, names):
        value = one.get(key, -1)
        return names.index(value) if isinstance(value, str) else value

    columns = {
        "event": (np.int64, lambda one, _: one.get("event", -1)),
        "journey": (np.int64, lambda one, _: one.get("journey", -1)),
        "customer": (np.int32, lambda one, _: place[one["customer"]]),
        "time": (np.int64, lambda one, _: int(one.get("time", 0) * unit)),
        "invite": (np.bool_, lambda _, invite: invite),
        "survey": (np.int16, lambda one, _: codebook.surveys.index(one["instrument"])),
        "instrument": (np.int16, lambda one, _: codebook.instruments.index(one["instrument"])),
        "score": (np.float64, lambda one, _: one.get("score", np.nan)),
        "rated_event": (np.int64, lambda one, _: one.get("rated_event", -1)),
        "rated_touchpoint": (np.int32, lambda one, _: code(one, "rated_touchpoint", codebook.touchpoints)),
        "rated_stage": (np.int16, lambda one, _: code(one, "rated_stage", codebook.stages)),
        "rated_phase": (np.int8, lambda one, _: code(one, "rated_phase", codebook.phases)),
        "rated_channel": (np.int16, lambda one, _: code(one, "rated_channel", codebook.channels)),
        "link": (np.int8, lambda one, _: one.get("link", 1)),
        "lag": (np.int64, lambda one, _: one.get("lag", 0)),
    }
    return {
        name: np.array([read(one, invite) for one, invite in both], dtype=dtype)
        for name, (dtype, read) in columns.items()
    }


def random_rows(rng, *, n_customers=6, n_events=40, alphabet="ABCDE", span=200, journeys=2):
    """A random log with ties, repeats and several journeys per customer, sorted in time by customer."""
    rows = pd.DataFrame(
        {
            "customer": rng.choice([f"c{number}" for number in range(n_customers)], n_events),
            "time": rng.integers(0, span, n_events),
            "touchpoint": rng.choice(list(alphabet), n_events),
            "channel": rng.choice(["web", "app", "email"], n_events),
        }
    ).sort_values(["customer", "time"], kind="stable", ignore_index=True)
    cut = {customer: rng.integers(0, span) for customer in rows["customer"].unique()}
    after = rows["time"].to_numpy() > rows["customer"].map(cut).to_numpy() if len(rows) else np.zeros(0, bool)
    journey = after.astype(int) if journeys > 1 else np.zeros(len(rows), int)
    first = pd.Series(journey).groupby(rows["customer"]).transform("min") if len(rows) else 0
    rows["journey"] = journey - first
    gap = rows.groupby("customer")["time"].diff().fillna(0) > 30
    rows["session"] = gap.groupby(rows["customer"]).cumsum().astype(int)
    return rows


def events_of(rows, *, n_partitions=1, ends=None, extra=()):
    """Events from dicts with canonical columns, built without loaders and ingest.

    `timestamp` is text or a number of minutes; `event` defaults to "x", `customer_id` to "a", `source` to
    "log". Rows of one customer keep their order at equal timestamps (`seq` is their place). `extra`:
    promoted columns.
    """
    from cjm_analytics.events.partition import EventPartition
    from cjm_analytics.events.store import Events
    from cjm_analytics.schema import CANONICAL

    schema = pa.schema([*CANONICAL, *extra])
    full = [
        {
            "customer_id": "a", "event": "x", "source": "log", "seq": place, "event_id": f"e{place:06d}",
            **row, "timestamp": _utc(row["timestamp"]),
        }
        for place, row in enumerate(rows)
    ]  # fmt: skip
    full.sort(key=lambda row: (row["customer_id"], row["timestamp"], row["seq"]))
    customers = sorted({row["customer_id"] for row in full})
    place = {name: number * n_partitions // len(customers) for number, name in enumerate(customers)}
    partitions = tuple(
        EventPartition.of(
            pa.Table.from_pylist([row for row in full if place[row["customer_id"]] == number], schema), schema
        )
        for number in range(n_partitions)
    )
    times = [int(row["timestamp"].value // 1_000) for row in full]
    last = {}
    for row, time in zip(full, times, strict=True):
        last[row["source"]] = max(time, last.get(row["source"], time))
    return Events(
        partitions,
        schema,
        {},
        observation_start=min(times, default=0),
        observation_ends={**last, **(ends or {})},
    )


def _utc(time):
    if isinstance(time, str):
        return pd.Timestamp(time, tz="UTC")
    return pd.Timestamp(round(time * MINUTE), unit="us", tz="UTC")
