"""How far each unit gets through the steps of a funnel: one pass over its events.

An event's mask has bit i set where the event fits step i, and bit n_steps + x where exclusion x names
it; masks come per event, or as a table of masks by code. A run is one attempt at the steps: it starts with
an event that fits the first step. Times are microseconds. Each loop writes what it finds into the room that
it is given and returns how many outcomes there are; `offsets` may be a stretch of those of a longer log.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - as in all kernels

from cjm_analytics.kernels.native import kernel

__all__ = [
    "Outcomes",
    "Sequence",
    "any_order_runs",
    "count_outcomes",
    "ordered_instants",
    "ordered_runs",
    "plain_runs",
    "room",
    "strict_runs",
]


class Sequence(NamedTuple):
    """The steps of a funnel in which some may be skipped.

    Attributes
    ----------
    before, after : int64, n_steps
        The nearest required step before and after each step; −1 and n_steps where there is none.
    visiting : int64, n_steps
        The order in which an event looks for a step that it can serve.
    optional : bool, n_steps
    final : int
        The last required step.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    visiting: NDArray[np.int64]
    optional: NDArray[np.bool_]
    final: int


class Outcomes(NamedTuple):
    """What became of each unit that did the first step (or of each attempt).

    Attributes
    ----------
    unit : int64
    depth : int8
        Number, from 1, of the furthest required step that it reached.
    optional : int64
        Bits of the optional steps that it did.
    first, last : int64
        Rows that served the first and the furthest step, in the run that got that far first.
    started : int64
        Time of the first visit to the first step.
    going : bool
        Could a run still go on when observation ended?
    void : int8
        Number of the step that an exclusion kept a run from, the furthest; 0: none.
    served : int64
        Row that served the step `noted` (from 0) in the same run; −1: it did not get there, or none is noted.
    lag : int64, shape (n, n_steps)
        Time from the required step before to each step that was reached; else, and at 0, without meaning.
    """

    unit: NDArray[np.int64]
    depth: NDArray[np.int8]
    optional: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    started: NDArray[np.int64]
    going: NDArray[np.bool_]
    void: NDArray[np.int8]
    served: NDArray[np.int64]
    lag: NDArray[np.int64]


def room(n: int, n_steps: int) -> Outcomes:
    """Room for n outcomes, for a kernel to write into, again and again."""
    return Outcomes(
        np.empty(n, np.int64),
        np.empty(n, np.int8),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.bool_),
        np.empty(n, np.int8),
        np.empty(n, np.int64),
        np.empty((n, n_steps), np.int64),
    )


# With types of their own: for a bare 0 or False `_note` would be compiled once more.
_NO = np.bool_(False)
_UNVOIDED = np.int64(0)


@kernel
def _note(
    found: Outcomes, n: int, unit: int, started: np.int64, furthest: int, first: int | np.int64,
    last: int | np.int64, going: bool | np.bool_, void: int | np.int64,
) -> int:  # fmt: skip
    """Write down what became of a unit as outcome n, lags and `served` apart; returns n + 1."""
    found.unit[n] = unit
    found.depth[n] = furthest + 1
    found.optional[n] = 0
    found.first[n] = first
    found.last[n] = last
    found.started[n] = started
    found.going[n] = going
    found.void[n] = void
    found.served[n] = -1
    return n + 1


@kernel
def _note_rows(
    found: Outcomes, n: int, rows: NDArray[np.int64], furthest: int, time: NDArray[np.int64], noted: int
) -> None:
    """The lags and `served` of outcome n, a run in which `rows[i]` served step i."""
    for step in range(1, furthest + 1):
        found.lag[n, step] = time[rows[step]] - time[rows[step - 1]]
    if 0 <= noted <= furthest:
        found.served[n] = rows[noted]


@kernel
def _walk(
    found: Outcomes, n: int, code: NDArray[Any], table: NDArray[np.int64], time: NDArray[np.int64],
    after: NDArray[np.int64], noted: int,
) -> None:  # fmt: skip
    """The lags and `served` of outcome n, a run between two rows: each step takes its earliest event."""
    before = found.first[n]
    step = after[0]
    for row in range(before + 1, found.last[n] + 1):
        mask = table[code[row]] if len(table) else np.int64(code[row])
        if (mask >> step) & 1:
            found.lag[n, step] = time[row] - time[before]
            before = np.int64(row)
            if step == noted:
                found.served[n] = row
            step = after[step]
            if step == len(after):
                break


@kernel
def _n_bits(mask: np.int64) -> int:
    n = 0
    while mask != 0:
        mask = np.int64(mask & (mask - 1))
        n += 1
    return n


@kernel
def ordered_runs(
    found: Outcomes, offsets: NDArray[np.int64], code: NDArray[Any], table: NDArray[np.int64],
    time: NDArray[np.int64],
    within: int, steps: Sequence, void_from: NDArray[np.int64], void_to: NDArray[np.int64],
    first_only: bool, attempts: bool, end: int, noted: int,
) -> int:  # fmt: skip
    """Steps in order within one window from the first; other events may lie between.

    `run[i]` is the row at which the latest run to have done step i started (−1: none), `done[i]` the row at
    which it did. A newer run takes an older one's place step by step: it started later, so it has more time
    left, and one run per step is all there is to remember. An event that exclusion x names makes void every
    run that has done step `void_from[x]` and not yet step `void_to[x]` (steps from 1). With `attempts`, the
    outcomes are the runs that were not overtaken while they could go on.
    """
    before, after, visiting, may_skip, final = steps
    n_steps = len(before)
    lookup = len(table) > 0
    skipping = False
    for step in range(n_steps):
        skipping |= may_skip[step]
    n = 0
    run = np.empty(n_steps, np.int64)
    done = np.empty(n_steps, np.int64)
    optional_lag = np.empty(n_steps, np.int64)
    for unit in range(len(offsets) - 1):
        furthest = -1
        first = last = started = np.int64(0)
        optional = np.int64(0)
        void = np.int64(0)
        n_before = n
        for row in range(offsets[unit], offsets[unit + 1]):
            mask = table[code[row]] if lookup else np.int64(code[row])
            if mask == 0 or (furthest < 0 and mask & 1 == 0):
                continue
            now = time[row]
            if furthest < 0:
                for step in range(n_steps):
                    run[step] = -1
                started = now
            for exclusion in range(len(void_from)):
                if (mask >> (n_steps + exclusion)) & 1 == 0:
                    continue
                for step in range(void_from[exclusion] - 1, void_to[exclusion] - 1):
                    one = run[step]
                    if may_skip[step] or one < 0 or now - time[one] > within:
                        continue
                    if run[after[step]] == one:
                        continue  # it is further on
                    void = max(void, void_to[exclusion])
                    if attempts:
                        n = _note(found, n, unit, time[one], step, one, done[step], _NO, void_to[exclusion])
                    for other in range(n_steps):
                        if run[other] == one:
                            run[other] = -1
            for step in visiting:
                if (mask >> step) & 1 == 0:
                    continue
                one = np.int64(row)
                if step > 0:
                    one = run[before[step]]
                    if one < 0 or run[step] == one or now - time[one] > within:
                        continue
                elif first_only and furthest >= 0:
                    continue
                if skipping and may_skip[step]:
                    ahead = after[step]
                    taken = ahead < n_steps and run[ahead] == one
                    for other in range(before[step] + 1, ahead):
                        # Not after a later one; and one event serves one step of a run.
                        taken |= run[other] == one and (other > step or done[other] == row)
                    if taken:
                        continue
                    if (optional >> step) & 1 == 0:
                        optional |= np.int64(1) << step
                        optional_lag[step] = now - time[done[before[step]]]
                elif step > furthest:
                    furthest = step
                    first = one
                    last = np.int64(row)
                if attempts and step < final:
                    old = run[step]
                    if old >= 0 and run[after[step]] != old and now - time[old] > within:
                        n = _note(found, n, unit, time[old], step, old, done[step], _NO, _UNVOIDED)
                run[step] = one
                done[step] = row
                if attempts and step == final:
                    n = _note(found, n, unit, time[one], step, one, np.int64(row), _NO, _UNVOIDED)
        if furthest < 0:
            continue
        going = False
        if attempts or furthest < final:
            for step in range(final):
                one = run[step]
                if may_skip[step] or one < 0:
                    continue
                alive = end - time[one] < within
                going |= alive
                if attempts and run[after[step]] != one:
                    n = _note(found, n, unit, time[one], step, one, done[step], alive, _UNVOIDED)
        if not attempts:
            n = _note(found, n, unit, started, furthest, first, last, going, void)
        for outcome in range(n_before, n):
            if found.depth[outcome] > 1:
                _walk(found, outcome, code, table, time, after, noted)
        if optional and not attempts:
            found.optional[n - 1] = optional
            for step in range(n_steps):
                if (optional >> step) & 1:
                    found.lag[n - 1, step] = optional_lag[step]
    return n


_ONE = np.uint64(1)
_PICKED_AT_ONCE = 2**11
"""Events from which those that fit are picked at once: what is picked stays in the nearest cache."""


@kernel
def plain_runs(
    found: Outcomes, offsets: NDArray[np.int64], code: NDArray[Any], step_of: NDArray[np.int8],
    time: NDArray[np.int64], within: int, n_steps: int, first_only: bool, end: int, noted: int,
) -> int:  # fmt: skip
    """What `ordered_runs` finds where every step is required, nothing excluded, and an event fits one step.

    `step_of[c]` is the step that code c fits, −1 for none. The events that fit a step are picked out first,
    many units at once and without a branch; most do not, and nobody could foresee which, nor where a unit
    ends. Of the runs the latest start is the last that can still go on.
    """
    n_units = len(offsets) - 1
    most = _PICKED_AT_ONCE
    for unit in range(n_units):
        most = max(most, offsets[unit + 1] - offsets[unit])
    rows = np.empty(most + 1, np.uint64)
    steps = np.empty(most + 1, np.int64)
    run = np.empty(n_steps, np.uint64)
    n = beyond = 0
    at = np.uint64(0)
    for unit in range(n_units):
        if unit == beyond:
            beyond += 1
            while beyond < n_units and offsets[beyond + 1] - offsets[unit] <= most:
                beyond += 1
            n_fit = at = np.uint64(0)
            for row in range(np.uint64(offsets[unit]), np.uint64(offsets[beyond])):
                step = step_of[np.uint64(code[row])]
                rows[n_fit] = row
                steps[n_fit] = step
                n_fit += np.uint64(step >= 0)
            rows[n_fit] = offsets[-1]  # behind all units
        stop = np.uint64(offsets[unit + 1])
        while rows[at] < stop and steps[at] != 0:
            at += _ONE
        if rows[at] >= stop:
            continue
        furthest = 0
        start = first = last = run[0] = at
        at += _ONE
        while rows[at] < stop:
            step = steps[at]
            if step == 0:
                if not first_only:
                    run[0] = at
            elif step <= furthest + 1:
                one = run[step - 1]
                if time[rows[at]] - time[rows[one]] <= within:
                    run[step] = one
                    if step > furthest:
                        furthest = step
                        first = one
                        last = at
            at += _ONE
        going = furthest < n_steps - 1 and end - time[rows[run[0]]] < within
        n = _note(found, n, unit, time[rows[start]], furthest, rows[first], rows[last], going, _UNVOIDED)
        before = time[rows[first]]
        step = 1
        for fit in range(first + _ONE, last + _ONE):
            if steps[fit] == step:
                found.lag[n - 1, step] = time[rows[fit]] - before
                before = time[rows[fit]]
                if step == noted:
                    found.served[n - 1] = rows[fit]
                step += 1
    return n


@kernel
def count_outcomes(
    found: Outcomes, n: int, can_go_on: NDArray[np.bool_], within: int, end: int, counts: NDArray[np.int64],
    lags: NDArray[np.int64], steps: NDArray[np.int64],
) -> int:  # fmt: skip
    """Count the first n outcomes of a funnel without optional steps, and list their times; says how many.

    By depth, `counts` takes those that reached it, are open there, and are settled; `can_go_on` is by unit.
    """
    n_lags = 0
    final = counts.shape[1] - 1
    for one in range(n):
        depth = found.depth[one]
        counts[0, depth] += 1
        counts[1, depth] += found.going[one] and depth < final and can_go_on[found.unit[one]]
        counts[2, depth] += end - found.started[one] >= within
        for step in range(1, depth):
            lags[n_lags], steps[n_lags] = found.lag[one, step], step
            n_lags += 1
    return n_lags


_NONE = -2
"""No run to continue; −1: a new one."""


@kernel
def _serve(
    step: int, masks: NDArray[np.int64], n: int, holds: NDArray[np.int64], tried: NDArray[np.bool_]
) -> bool:
    """Find an event of its own for a step, moving other steps to other events where that helps."""
    for event in range(n):
        if (masks[event] >> step) & 1 and not tried[event]:
            tried[event] = True
            if holds[event] < 0 or _serve(holds[event], masks, n, holds, tried):
                holds[event] = step
                return True
    return False


@kernel
def _served_down_to(
    step: int, lowest: int, masks: NDArray[np.int64], n: int, holds: NDArray[np.int64],
    tried: NDArray[np.bool_],
) -> int:  # fmt: skip
    """The lowest step such that it and all up to `step` have events of their own; `holds` says which."""
    for event in range(n):
        holds[event] = -1
    for one in range(step, lowest - 1, -1):
        for event in range(n):
            tried[event] = False
        if not _serve(one, masks, n, holds, tried):
            return one + 1
    return lowest


@kernel
def ordered_instants(
    found: Outcomes, offsets: NDArray[np.int64], code: NDArray[Any], table: NDArray[np.int64],
    time: NDArray[np.int64],
    window: NDArray[np.int64], stepwise: bool, together: bool,
    void_from: NDArray[np.int64], void_to: NDArray[np.int64], first_only: bool, end: int, noted: int,
) -> int:  # fmt: skip
    """Steps in order, instant by instant: with `together`, simultaneous events count in either order.

    As `ordered_runs`, but all events of an instant are looked at as a set, in which each step of a run needs
    an event of its own (a matching). `window[i]` bounds the time to step i: from the first step, or, if
    `stepwise`, from the step before; then a run's step moves to its latest event, which leaves most time.
    A run is void only if no order of the instant's events would have spared it.
    """
    n_steps = len(window)
    lookup = len(table) > 0
    n = 0
    run = np.empty(n_steps, np.int64)
    earlier = np.empty(n_steps, np.int64)
    rows = np.empty((n_steps, n_steps), np.int64)
    best = np.empty(n_steps, np.int64)
    longest = 0
    for unit in range(len(offsets) - 1):
        longest = max(longest, offsets[unit + 1] - offsets[unit])
    masks = np.empty(longest, np.int64)
    served_by = np.empty(longest, np.int64)
    holds = np.empty(longest, np.int64)
    tried = np.empty(longest, np.bool_)
    for unit in range(len(offsets) - 1):
        for step in range(n_steps):
            run[step] = -1
        furthest = -1
        started = np.int64(0)
        void = np.int64(0)
        row = offsets[unit]
        stop = offsets[unit + 1]
        while row < stop:
            instant = row
            union = table[code[row]] if lookup else np.int64(code[row])
            row += 1
            if union == 0:
                continue
            now = time[instant]
            masks[0] = union
            served_by[0] = instant
            n_masks = 1
            while together and row < stop and time[row] == now:
                mask = table[code[row]] if lookup else np.int64(code[row])
                alike = 0
                for event in range(n_masks):
                    alike += masks[event] == mask
                if alike < _n_bits(mask):  # an event serves one step: more of a kind are of no use
                    masks[n_masks] = mask
                    served_by[n_masks] = row
                    n_masks += 1
                    union |= mask
                row += 1
            if furthest < 0 and union & 1 == 0:
                continue
            if furthest < 0:
                started = now
            may_start = furthest < 0 or not first_only
            for step in range(n_steps if len(void_from) else 0):
                earlier[step] = run[step]
            for step in range(n_steps - 1, -1, -1):
                if (union >> step) & 1 == 0:
                    continue
                low = step if n_masks == 1 else _served_down_to(step, 0, masks, n_masks, holds, tried)
                source = _NONE
                for one in range(low, step + 1):
                    if one == 0:
                        if may_start:
                            source = -1
                    elif run[one - 1] >= 0:
                        since = rows[one - 1, one - 1] if stepwise else run[one - 1]
                        if now - time[since] <= window[one]:
                            source = one - 1
                    if source != _NONE:
                        break
                if source == _NONE:
                    continue
                if source >= 0 and not stepwise:
                    while source + 1 < step and run[source + 1] == run[source]:
                        source += 1
                    if run[step] == run[source]:
                        continue  # within a run each step takes its earliest event
                for other in range(source + 1):
                    rows[step, other] = rows[source, other]
                if n_masks == 1:
                    rows[step, step] = served_by[0]
                else:
                    _served_down_to(step, source + 1, masks, n_masks, holds, tried)
                    for event in range(n_masks):
                        if holds[event] >= 0:
                            rows[step, holds[event]] = served_by[event]
                run[step] = run[source] if source >= 0 else instant
                if step > furthest:
                    furthest = step
                    for other in range(step + 1):
                        best[other] = rows[step, other]
            for exclusion in range(len(void_from)):
                if (union >> (n_steps + exclusion)) & 1 == 0:
                    continue
                nearest, beyond = void_from[exclusion] - 1, void_to[exclusion] - 1
                for step in range(nearest, beyond):
                    one = run[step]
                    if one < 0 or run[step + 1] == one or now - time[one] > window[step]:
                        continue
                    stood = n_steps - 1
                    while stood >= 0 and earlier[stood] != one:
                        stood -= 1
                    if nearest <= stood < beyond:
                        void = max(void, void_to[exclusion])
                        for other in range(step + 1):
                            if run[other] == one:
                                run[other] = -1
        if furthest < 0:
            continue
        going = False
        for step in range(n_steps - 1):
            if run[step] >= 0:
                since = rows[step, step] if stepwise else run[step]
                going |= end - time[since] < window[step + 1]
        n = _note(found, n, unit, started, furthest, best[0], best[furthest], going, void)
        _note_rows(found, n - 1, best, furthest, time, noted)
    return n


@kernel
def strict_runs(
    found: Outcomes, offsets: NDArray[np.int64], code: NDArray[Any], table: NDArray[np.int64],
    time: NDArray[np.int64],
    window: NDArray[np.int64], stepwise: bool, first_only: bool, end: int, noted: int,
) -> int:  # fmt: skip
    """Steps in order with no event of the unit between: a run is a stretch of neighbouring rows.

    Bit i of `alive` says that the rows up to this one are a run that has just done step i: it began i rows
    ago.
    """
    n_steps = len(window)
    lookup = len(table) > 0
    n = 0
    best = np.empty(n_steps, np.int64)
    for unit in range(len(offsets) - 1):
        furthest = -1
        started = np.int64(0)
        alive = np.int64(0)
        for row in range(offsets[unit], offsets[unit + 1]):
            mask = table[code[row]] if lookup else np.int64(code[row])
            alive = (alive << 1) & mask
            if mask & 1 and (furthest < 0 or not first_only):
                alive |= 1
                if furthest < 0:
                    started = time[row]
            if alive == 0:
                continue
            for step in range(n_steps - 1, -1, -1):
                if (alive >> step) & 1 == 0:
                    continue
                since = row - 1 if stepwise else row - step
                if step > 0 and time[row] - time[since] > window[step]:
                    alive ^= np.int64(1) << step
                elif step > furthest:
                    furthest = step
                    for other in range(step + 1):
                        best[other] = row - step + other
        if furthest < 0:
            continue
        going = False
        last = offsets[unit + 1] - 1
        for step in range(n_steps - 1):
            if (alive >> step) & 1:
                since = last if stepwise else last - step
                going |= end - time[since] < window[step + 1]
        n = _note(found, n, unit, started, furthest, best[0], best[furthest], going, _UNVOIDED)
        _note_rows(found, n - 1, best, furthest, time, noted)
    return n


@kernel
def any_order_runs(
    found: Outcomes, offsets: NDArray[np.int64], code: NDArray[Any], table: NDArray[np.int64],
    time: NDArray[np.int64],
    n_steps: int, within: int, first_only: bool, end: int, noted: int,
) -> int:  # fmt: skip
    """The most different steps done inside one window, whichever; each with an event of its own.

    `recent` holds the events of the window that ends now, as far as they can matter: of events that fit the
    same steps the latest, as many as these steps. Going back from now, an event is taken if a step can be
    found for it; that way the steps take the latest events. Bit n_steps marks an excluded event: what was
    done before it is forgotten.
    """
    lookup = len(table) > 0
    longest = 0
    for unit in range(len(offsets) - 1):
        longest = max(longest, offsets[unit + 1] - offsets[unit])
    n = 0
    recent = np.empty(longest, np.int64)
    masks = np.empty(longest, np.int64)
    served_by = np.empty(n_steps, np.int64)
    tried = np.empty(n_steps, np.bool_)
    best = np.empty(n_steps, np.int64)
    all_steps = (np.int64(1) << n_steps) - 1
    for unit in range(len(offsets) - 1):
        furthest = -1
        started = np.int64(0)
        void = 0
        n_recent = 0
        for row in range(offsets[unit], offsets[unit + 1]):
            mask = table[code[row]] if lookup else np.int64(code[row])
            if mask == 0 or furthest == n_steps - 1:
                continue
            now = time[row]
            if first_only and furthest >= 0 and now - started > within:
                break
            fits = mask & all_steps
            kept = 0
            alike = 0
            for event in range(n_recent):
                if now - time[recent[event]] <= within:
                    recent[kept] = recent[event]
                    masks[kept] = masks[event]
                    alike += masks[event] == fits
                    kept += 1
            if fits and alike >= _n_bits(fits):  # the oldest of its kind can no longer matter
                oldest = 0
                while masks[oldest] != fits:
                    oldest += 1
                kept -= 1
                for event in range(oldest, kept):
                    recent[event] = recent[event + 1]
                    masks[event] = masks[event + 1]
            n_recent = kept
            if mask >> n_steps:
                if n_recent:
                    void = n_steps
                n_recent = 0
                if first_only and furthest >= 0:
                    break
                if fits == 0:
                    continue
            recent[n_recent] = row
            masks[n_recent] = fits
            n_recent += 1
            if furthest < 0:
                started = now
            if n_recent <= furthest + 1:
                continue
            for step in range(n_steps):
                served_by[step] = -1
            done = 0
            for event in range(n_recent - 1, -1, -1):
                for step in range(n_steps):
                    tried[step] = False
                done += _place(event, masks, served_by, tried)
            if done - 1 > furthest:
                furthest = done - 1
                placed = 0
                for event in range(n_recent):
                    for step in range(n_steps):
                        if served_by[step] == event:
                            best[placed] = recent[event]
                            placed += 1
        if furthest < 0:
            continue
        since = started if first_only or n_recent == 0 else time[recent[n_recent - 1]]
        going = n_recent > 0 and bool(end - since < within)
        n = _note(found, n, unit, started, furthest, best[0], best[furthest], going, void)
        _note_rows(found, n - 1, best, furthest, time, noted)
    return n


@kernel
def _place(
    event: int, masks: NDArray[np.int64], served_by: NDArray[np.int64], tried: NDArray[np.bool_]
) -> bool:
    """Find a step for an event, moving other events to other steps where that helps."""
    for step in range(len(served_by)):
        if (masks[event] >> step) & 1 and not tried[step]:
            tried[step] = True
            if served_by[step] < 0 or _place(served_by[step], masks, served_by, tried):
                served_by[step] = event
                return True
    return False
