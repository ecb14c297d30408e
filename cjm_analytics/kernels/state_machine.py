"""The state machine of a journey: one pass over each customer's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COMPARISONS", "NO_ANSWER", "Kinds", "Machine", "Run", "run_journeys", "surplus"]

NO_ANSWER = -1
"""In `Kinds.attach`: the event is no survey answer."""

COMPARISONS = ("seen", "eq", "ne", "gt", "ge", "lt", "le")
"""What `Machine.compare` says: position in this tuple. `seen`: the marker was seen, however often."""

SEEN, EQ, NE, GT, GE, LT, LE = range(7)

OPEN, INACTIVE, NEW_CYCLE, LEFT = 0, 1, 2, 3

LATEST, NOTHING = -1, -2
"""What a reversal takes back, where it is no goal in a row that is known."""


class Kinds(NamedTuple):
    """What the model says of each kind of event.

    Attributes
    ----------
    rule : int32
        The touchpoint, −1 where no rule fits.
    marker : uint32
        Bit i is set where the event is marker i.
    end : bool
        The event ends the journey.
    attach : int64
        `NO_ANSWER`, or how long after a closed journey's last event a survey answer still belongs to it.
    """

    rule: NDArray[np.int32]
    marker: NDArray[np.uint32]
    end: NDArray[np.bool_]
    attach: NDArray[np.int64]


class Machine(NamedTuple):
    """A journey model as arrays.

    Touchpoint r has the stage `always[r]`; where that is −1 the stage depends on the state: r has the
    branches `branches[r]:branches[r + 1]`, branch b the conditions `conditions[b]:conditions[b + 1]`. A
    condition that names no marker or phase has −1 there, and −1 for no `within`.
    """

    always: NDArray[np.int16]
    branches: NDArray[np.int32]
    branch_stage: NDArray[np.int16]
    conditions: NDArray[np.int32]
    marker: NDArray[np.int32]
    within: NDArray[np.int64]
    compare: NDArray[np.int8]
    bound: NDArray[np.int64]
    phase: NDArray[np.int32]
    negate: NDArray[np.bool_]
    progress: NDArray[np.bool_]
    stage_phase: NDArray[np.int8]
    on_stage: NDArray[np.bool_]
    n_markers: int
    goals: int
    reversals: int
    cycle_after: int
    min_gap: int
    inactivity: int
    never: int


class State(NamedTuple):
    """What a journey remembers of its markers; per condition the rows `low:high`, and how many fit."""

    seen: NDArray[np.int64]
    last_seen: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    inside: NDArray[np.int64]


class Run(NamedTuple):
    """What became of the events: a stage per event, and one value per journey of everything else.

    `quiet_since` is the journey's last event that was no survey answer attached after its close;
    `first_phase` the phase of its first progressing event.
    """

    stage: NDArray[np.int16]
    start: NDArray[np.int64]
    customer: NDArray[np.int32]
    cycle: NDArray[np.int32]
    goal: NDArray[np.int64]
    closed: NDArray[np.int8]
    closed_at: NDArray[np.int64]
    reversed: NDArray[np.bool_]
    furthest_phase: NDArray[np.int8]
    furthest_stage: NDArray[np.int16]
    quiet_since: NDArray[np.int64]
    first_phase: NDArray[np.int8]


_JOURNEY = np.dtype(
    [
        ("start", np.int64),
        ("goal", np.int64),
        ("closed_at", np.int64),
        ("quiet_since", np.int64),
        ("n_goals", np.int64),
        ("customer", np.int32),
        ("cycle", np.int32),
        ("furthest_stage", np.int16),
        ("furthest_phase", np.int8),
        ("first_phase", np.int8),
        ("closed", np.int8),
        ("reversed", np.bool_),
    ]
)
"""A journey on its way: what `Run` says of it, and how many of its goals were not taken back."""


def run_journeys(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    kinds: Kinds,
    machine: Machine,
    takes: NDArray[np.int64],
) -> Run:
    """Journeys of customers; customer c is the rows `offsets[c]:offsets[c + 1]`, in order.

    For each event, in this order: silence longer than `inactivity` closes the journey; after `cycle_after`,
    an event on a stage of `on_stage` after a gap of `min_gap` starts a new one; the stage follows from the
    state before the event; then its markers change the state; progressing touchpoints move the furthest phase
    and stage; an end closes. A survey answer starts no new cycle, and belongs to a journey that is closed
    already if that is not too long ago. `takes` has an entry for each event with a marker of
    `machine.reversals`, in order: the row of the goal that it takes back, `LATEST` or `NOTHING`.
    """
    stage = np.empty(len(time), np.int16)
    journeys = np.empty(len(time), _JOURNEY)
    state = State(*np.zeros((2, machine.n_markers), np.int64), *np.zeros((3, len(machine.marker)), np.int64))
    stack = np.empty(len(time), np.int64)
    n = _run_journeys(offsets, time, kind, kinds, machine, takes, state, stage, journeys, stack)
    return Run(stage, *(np.ascontiguousarray(journeys[name][:n]) for name in Run._fields[1:]))


@kernel
def _run_journeys(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    kinds: Kinds,
    machine: Machine,
    takes: NDArray[np.int64],
    state: State,
    stage: NDArray[np.int16],
    journeys: NDArray[np.void],
    stack: NDArray[np.int64],
) -> int:
    """Write what `run_journeys` finds into `stage` and `journeys`; returns the number of journeys.

    `stack` has room for the journeys whose goals were not all taken back.
    """
    # Out of their tuples once: in the loop each access would count references.
    seen = state.seen
    rules, markers, ends, attaches = kinds.rule, kinds.marker, kinds.end, kinds.attach
    always, progress, stage_phase, on_stage = (
        machine.always, machine.progress, machine.stage_phase, machine.on_stage,
    )  # fmt: skip
    inactivity, cycle_after, min_gap = machine.inactivity, machine.cycle_after, machine.min_gap
    goals, reversals = np.uint32(machine.goals), np.uint32(machine.reversals)

    j = -1
    n_taken = 0
    for customer in range(len(offsets) - 1):
        is_open = False
        number = 0
        height = 0
        for row in range(offsets[customer], offsets[customer + 1]):
            now = time[row]
            what = kind[row]
            rule = rules[what]
            attach = attaches[what]
            if is_open and inactivity >= 0 and now - journeys[j].quiet_since > inactivity:
                journeys[j].closed = INACTIVE
                journeys[j].closed_at = journeys[j].quiet_since + inactivity
                is_open = False
            attached = not is_open and number > 0 and attach >= 0 and now - journeys[j].quiet_since <= attach
            new = not is_open and not attached
            if (
                is_open
                and cycle_after >= 0
                and attach == NO_ANSWER
                and seen[cycle_after] > 0
                and now - journeys[j].quiet_since >= min_gap
            ):
                at = always[rule] if rule >= 0 else -1
                if at < 0 <= rule:
                    at = _stage(rule, row, journeys[j].furthest_phase, state, time, kind, kinds, machine)
                if at >= 0 and on_stage[at]:
                    journeys[j].closed = NEW_CYCLE
                    journeys[j].closed_at = now
                    new = True
            if new:
                j += 1
                _begin(journeys, j, row, customer, number, machine.never, state)
                number += 1
                is_open = True

            at = always[rule] if rule >= 0 else -1
            if at < 0 <= rule:
                at = _stage(rule, row, journeys[j].furthest_phase, state, time, kind, kinds, machine)
            stage[row] = at

            bits = markers[what]
            if bits:
                height = _mark(bits, goals, now, j, state, journeys, stack, height)
                if bits & reversals:
                    height = _take_back(takes[n_taken], j, journeys, stack, height)
                    n_taken += 1

            if rule >= 0 and progress[rule] and at >= 0:
                phase = stage_phase[at]
                if journeys[j].first_phase < 0:
                    journeys[j].first_phase = phase
                journeys[j].furthest_phase = max(journeys[j].furthest_phase, phase)
                journeys[j].furthest_stage = max(journeys[j].furthest_stage, at)
            if not attached:
                journeys[j].quiet_since = now
            if is_open and ends[what]:
                journeys[j].closed = LEFT
                journeys[j].closed_at = now
                is_open = False
    return j + 1


@kernel
def _begin(
    journeys: NDArray[np.void], j: int, row: int, customer: int, cycle: int, never: int, state: State
) -> None:
    """Begin a journey at a row, with nothing seen."""
    journeys[j].start = row
    journeys[j].customer = customer
    journeys[j].cycle = cycle
    journeys[j].goal = never
    journeys[j].closed = OPEN
    journeys[j].closed_at = never
    journeys[j].reversed = False
    journeys[j].furthest_phase = -1
    journeys[j].furthest_stage = -1
    journeys[j].first_phase = -1
    journeys[j].n_goals = 0
    for one in range(len(state.seen)):
        state.seen[one] = 0
    for one in range(len(state.low)):
        state.low[one], state.high[one], state.inside[one] = row, row, 0


@kernel
def _mark(
    bits: np.uint32,
    goals: np.uint32,
    now: np.int64,
    j: int,
    state: State,
    journeys: NDArray[np.void],
    stack: NDArray[np.int64],
    height: int,
) -> int:
    """Change the state by the markers of an event; returns how many journeys are on the stack then."""
    for marker in range(len(state.seen)):
        if bits >> np.uint32(marker) & np.uint32(1):
            state.seen[marker] += 1
            state.last_seen[marker] = now
    if bits & goals:
        journeys[j].goal = min(journeys[j].goal, now)
        if journeys[j].n_goals == 0:
            stack[height] = j
            height += 1
        journeys[j].n_goals += 1
        journeys[j].reversed = False
    return height


@kernel
def _take_back(
    goal: np.int64, j: int, journeys: NDArray[np.void], stack: NDArray[np.int64], height: int
) -> int:
    """Take back a goal: that in a row, or one of the latest journey that has any left."""
    at = height - 1
    if goal >= 0:
        while at >= 0 and journeys[stack[at]].start > goal:
            at -= 1
        if at >= 0 and stack[at] < j and journeys[stack[at] + 1].start <= goal:
            at = -1  # the journey of that goal has none left
    if at < 0 or goal == NOTHING:
        return height
    of = stack[at]
    journeys[of].n_goals -= 1
    if journeys[of].n_goals == 0:
        journeys[of].reversed = True
        height -= 1
        for place in range(at, height):
            stack[place] = stack[place + 1]
    return height


@kernel
def _stage(
    rule: int,
    row: int,
    furthest_phase: int,
    state: State,
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    kinds: Kinds,
    machine: Machine,
) -> int:
    """The stage of a touchpoint by the state: of its first branch whose conditions all hold, −1 for none."""
    for branch in range(machine.branches[rule], machine.branches[rule + 1]):
        fits = True
        for one in range(machine.conditions[branch], machine.conditions[branch + 1]):
            if not _holds(one, row, furthest_phase, state, time, kind, kinds, machine):
                fits = False
                break
        if fits:
            stage: int = machine.branch_stage[branch]
            return stage
    return -1


@kernel
def _holds(
    one: int,
    row: int,
    furthest_phase: int,
    state: State,
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    kinds: Kinds,
    machine: Machine,
) -> bool:
    """Whether a condition holds in the state before the event in `row`."""
    holds = True
    marker, within = machine.marker[one], machine.within[one]
    if marker >= 0:
        count = state.seen[marker]
        if within >= 0 and machine.compare[one] == 0:
            count = 1 if count > 0 and time[row] - state.last_seen[marker] <= within else 0
        elif within >= 0:
            count = _count_within(one, row, state, time, kind, kinds, machine)
        holds = _compares(machine.compare[one], count, machine.bound[one])
    if machine.phase[one] >= 0:
        holds = holds and furthest_phase >= machine.phase[one]
    negate: bool = machine.negate[one]
    return holds != negate


@kernel
def _count_within(
    one: int,
    row: int,
    state: State,
    time: NDArray[np.int64],
    kind: NDArray[np.int32],
    kinds: Kinds,
    machine: Machine,
) -> int:
    """How often the condition's marker came in the time before `row`; the window only ever moves on."""
    bit = np.uint32(1) << np.uint32(machine.marker[one])
    while state.high[one] < row:
        state.inside[one] += np.int64((kinds.marker[kind[state.high[one]]] & bit) != 0)
        state.high[one] += 1
    while state.low[one] < row and time[row] - time[state.low[one]] > machine.within[one]:
        state.inside[one] -= np.int64((kinds.marker[kind[state.low[one]]] & bit) != 0)
        state.low[one] += 1
    count: int = state.inside[one]
    return count


@kernel
def _compares(compare: int, count: int, bound: int) -> bool:
    if compare == SEEN:
        return count > 0
    if compare == EQ:
        return count == bound
    if compare == NE:
        return count != bound
    if compare == GT:
        return count > bound
    if compare == GE:
        return count >= bound
    if compare == LT:
        return count < bound
    return count <= bound


@kernel
def surplus(
    group: NDArray[np.int64], time: NDArray[np.int64], rank: NDArray[np.int32], within: int
) -> NDArray[np.bool_]:
    """Which rows repeat a moment that another row tells better.

    Rows come sorted by group, then in their order. A moment is a group's first row and those at most `within`
    after it (−1: all of the group); of these the row with the lowest rank stays, the earliest of equals.
    """
    drop = np.zeros(len(group), dtype=np.bool_)
    first = 0
    best = 0
    for row in range(1, len(group)):
        same = group[row] == group[first] and (within < 0 or time[row] - time[first] <= within)
        if not same:
            first = row
            best = row
        elif rank[row] < rank[best]:
            drop[best] = True
            best = row
        else:
            drop[row] = True
    return drop


@kernel
def taken_back(group: NDArray[np.int64], is_goal: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which row each reversal takes back: the latest goal of its group that was not, yet.

    Rows come sorted by group, then in their order. `LATEST` where the group has no goal before, `NOTHING`
    where all are taken back; goals have `LATEST`, too.
    """
    takes = np.full(len(group), LATEST, np.int64)
    left = np.empty(len(group), np.int64)
    height = 0
    any_goal = False
    for row in range(len(group)):
        if row == 0 or group[row] != group[row - 1]:
            height = 0
            any_goal = False
        if is_goal[row]:
            left[height] = row
            height += 1
            any_goal = True
        elif height > 0:
            height -= 1
            takes[row] = left[height]
        elif any_goal:
            takes[row] = NOTHING
    return takes
