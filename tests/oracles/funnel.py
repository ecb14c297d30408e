"""Funnels of one unit, straight from the definition: slow, and meant to be believed at sight.

Events are (time, set of step numbers from 0, set of exclusion numbers), in the order of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise, permutations


@dataclass
class Expected:
    """What became of a unit: steps done, start, last event, times between steps, can it go on, void up to.

    `rows`: the events that served the steps (by instants: their times).
    """

    depth: int
    first: int
    last: int
    lags: list
    started: int
    going: bool
    void: int = 0
    rows: tuple = ()


def furthest_chain(events, n_steps, within, *, ties=False):
    """The largest k such that different events in order fit steps 1…k, the last within the window."""

    def extend(chain):
        best = len(chain)
        for number, (time, fits, _) in enumerate(events):
            if len(chain) == n_steps or len(chain) not in fits or number in chain:
                continue
            if chain:
                before = events[chain[-1]][0]
                follows = time >= before if ties else number > chain[-1]
                if not follows or time - events[chain[0]][0] > within:
                    continue
            best = max(best, extend([*chain, number]))
        return best

    return extend([])


def furthest_stepwise(events, n_steps, windows, *, ties=False):
    """As `furthest_chain`, each window counted from the step before."""

    def extend(chain):
        best = len(chain)
        for number, (time, fits, _) in enumerate(events):
            if len(chain) == n_steps or len(chain) not in fits or number in chain:
                continue
            if chain:
                before = events[chain[-1]][0]
                follows = time >= before if ties else number > chain[-1]
                if not follows or time - before > windows[len(chain)]:
                    continue
            best = max(best, extend([*chain, number]))
        return best

    return extend([])


@dataclass
class Run:
    """One visit to the first step and what followed; void: the step from which it was kept."""

    rows: list
    void: int = 0
    void_at: int = 10**9


def simulate(events, start, n_steps, within, exclusions=()):
    """A run takes the earliest event for each step; an exclusion between step i and step j makes it void."""
    run = Run([start])
    for row in range(start + 1, len(events)):
        time, fits, excluded = events[row]
        if time - events[start][0] > within:
            break
        for number in excluded:
            low, high = exclusions[number]
            if low <= len(run.rows) < high:
                run.void, run.void_at = max(run.void, high), row
        if run.void:
            break
        if len(run.rows) < n_steps and len(run.rows) in fits:
            run.rows.append(row)
    return run


def ordered(events, n_steps, within, end, *, exclusions=(), first_only=False):
    """Of all runs, the furthest; of these the one that got there first; of these the latest start."""
    starts = [row for row, (_, fits, _) in enumerate(events) if 0 in fits]
    if not starts:
        return None
    runs = [simulate(events, start, n_steps, within, exclusions) for start in starts]
    if first_only:
        runs = runs[:1]
    depth = max(len(run.rows) for run in runs)
    if not exclusions and not first_only:
        assert depth == furthest_chain(events, n_steps, within)
    best = min((run for run in runs if len(run.rows) == depth), key=lambda run: (run.rows[-1], -run.rows[0]))
    going = any(
        not run.void and len(run.rows) < n_steps and end - events[run.rows[0]][0] < within for run in runs
    )
    return Expected(
        depth, best.rows[0], best.rows[-1], lags_of(events, best.rows), events[starts[0]][0], going,
        max(run.void for run in runs), tuple(best.rows),
    )  # fmt: skip


def attempts(events, n_steps, within, end, *, exclusions=()):
    """Runs that no later run overtook: came to the same step while it stood there and could still go on."""
    starts = [row for row, (_, fits, _) in enumerate(events) if 0 in fits]
    runs = [simulate(events, start, n_steps, within, exclusions) for start in starts]

    def overtaken(run):
        for later in runs:
            if later.rows[0] <= run.rows[0]:
                continue
            for step in range(min(len(run.rows), len(later.rows), n_steps - 1)):
                arrival = later.rows[step]
                stands = run.rows[step] < arrival and (
                    step + 1 == len(run.rows) or run.rows[step + 1] > arrival
                )
                in_time = events[arrival][0] - events[run.rows[0]][0] <= within
                if stands and in_time and run.void_at > arrival:
                    return True
        return False

    return [
        Expected(
            len(run.rows), run.rows[0], run.rows[-1], lags_of(events, run.rows), events[run.rows[0]][0],
            not run.void and len(run.rows) < n_steps and end - events[run.rows[0]][0] < within, run.void,
            tuple(run.rows),
        )
        for run in runs
        if not overtaken(run)
    ]  # fmt: skip


def ordered_instants(events, n_steps, within, end, *, exclusions=(), first_only=False):
    """As `ordered`, where events of one instant count in whichever order takes a run furthest."""
    times = sorted({time for time, _, _ in events})
    at = {time: [event for event in events if event[0] == time] for time in times}

    def advanced(level, time):
        """The furthest level if steps level+1… take different events of the instant."""
        fits = [one for _, one, _ in at[time]]
        best = level
        for size in range(1, min(len(fits), n_steps - level) + 1):
            if any(
                all(level + place in one for place, one in enumerate(order))
                for order in permutations(fits, size)
            ):
                best = level + size
        return best

    runs = []
    starts = [time for time in times if any(0 in fits for _, fits, _ in at[time])]
    for start in starts[:1] if first_only else starts:
        level, reached, void, levels = 0, [], 0, {}
        for time in times:
            if time < start or time - start > within:
                continue
            after = advanced(level, time)
            reached += [time] * (after - level)
            for number in {one for _, _, excluded in at[time] for one in excluded}:
                low, high = exclusions[number]
                if low <= level < high and low <= after < high:
                    void = max(void, high)
            level = levels[time] = after
            if void:
                break
        runs.append((reached, void, levels))
    if not runs:
        return None
    depth = max(len(reached) for reached, _, _ in runs)
    if not exclusions and not first_only:
        assert depth == furthest_chain(events, n_steps, within, ties=True)
    best = min(
        (reached for reached, _, _ in runs if len(reached) == depth), key=lambda one: (one[-1], -one[0])
    )
    going = any(not void and len(one) < n_steps and end - one[0] < within for one, void, _ in runs)

    def overtaken(run):
        """A later run came to the step at which it stood in the very instant that made it void."""
        time = max(run[2])
        return any(other[0][0] > run[0][0] and other[2].get(time, -1) >= run[2][time] for other in runs)

    void = max((run[1] for run in runs if run[1] and not overtaken(run)), default=0)
    lags = [None, *(b - a for a, b in pairwise(best))]
    return Expected(depth, best[0], best[-1], lags, starts[0], going, void, tuple(best))


def stepwise(events, n_steps, windows, end):
    """A step takes its latest event: the chain that has just done step i, for each i."""
    chains = {}
    best = []
    for row, (time, fits, _) in enumerate(events):
        for step in range(n_steps - 1, -1, -1):
            if step not in fits:
                continue
            before = chains.get(step - 1)
            if step == 0:
                chains[0] = [row]
            elif before and time - events[before[-1]][0] <= windows[step]:
                chains[step] = [*before, row]
            if step in chains and len(chains[step]) > len(best):
                best = chains[step]
    if not best:
        return None
    assert len(best) == furthest_stepwise(events, n_steps, windows)
    going = any(
        end - events[chain[-1]][0] < windows[step + 1] for step, chain in chains.items() if step + 1 < n_steps
    )
    started = next(time for time, fits, _ in events if 0 in fits)
    return Expected(len(best), best[0], best[-1], lags_of(events, best), started, going, 0, tuple(best))


def strict(events, n_steps, windows, end, *, stepwise=False, first_only=False):
    """Neighbouring events fit the steps one after the other."""
    starts = [row for row, (_, fits, _) in enumerate(events) if 0 in fits]
    if not starts:
        return None
    runs = []
    for start in starts[:1] if first_only else starts:
        rows = [start]
        for row in range(start + 1, len(events)):
            step = len(rows)
            since = rows[-1] if stepwise else start
            if step == n_steps or step not in events[row][1]:
                break
            if events[row][0] - events[since][0] > windows[step]:
                break
            rows.append(row)
        runs.append(rows)
    depth = max(map(len, runs))
    best = min((rows for rows in runs if len(rows) == depth), key=lambda rows: rows[-1])
    going = any(
        len(rows) < n_steps
        and rows[-1] == len(events) - 1
        and end - events[rows[-1] if stepwise else rows[0]][0] < windows[len(rows)]
        for rows in runs
    )
    lags = lags_of(events, best)
    return Expected(depth, best[0], best[-1], lags, events[starts[0]][0], going, 0, tuple(best))


def any_order(events, n_steps, within, end, *, first_only=False, excludes=False):
    """The most steps that different events of one window can serve; of equal choices the latest events."""
    collected, best, started, void, stopped = [], [], None, 0, False
    for row, (time, fits, excluded) in enumerate(events):
        if len(best) == n_steps or stopped:
            break
        collected = [one for one in collected if time - events[one][0] <= within]
        if first_only and started is not None and time - started > within:
            break
        if excludes and excluded:
            void = n_steps if collected else void
            collected = []
            stopped = first_only and started is not None
            if stopped:
                break
        if not fits:
            continue
        started = time if started is None else started
        collected.append(row)
        for size in range(min(len(collected), n_steps), len(best), -1):
            choices = [
                rows
                for rows in combinations(collected, size)
                if any(
                    all(step in events[one][1] for step, one in zip(order, rows, strict=True))
                    for order in permutations(range(n_steps), size)
                )
            ]
            if choices:
                best = list(max(choices, key=lambda rows: rows[::-1]))
                break
    if started is None:
        return None
    since = started if first_only else events[collected[-1]][0] if collected else None
    going = bool(collected) and end - since < within
    return Expected(len(best), best[0], best[-1], lags_of(events, best), started, going, void, tuple(best))


def share_through(waits, time):
    """Share that got through by then, of (how long, got through); those last seen before weigh no more."""
    share_left = 1.0
    for moment in sorted({length for length, through in waits if through and length <= time}):
        at_risk = sum(length >= moment for length, _ in waits)
        share_left *= 1 - sum(length == moment and through for length, through in waits) / at_risk
    return 1 - share_left


def lags_of(events, rows):
    return [None, *(events[b][0] - events[a][0] for a, b in pairwise(rows))]


def with_optional(log, steps, within):
    """Which steps some run did. Steps are names, or have `.of` and `.optional`; log: (time, name)."""
    wanted = [{one} if isinstance(one, str) else set(one.of) for one in steps]
    optional = [not isinstance(one, str) and one.optional for one in steps]
    did = [False] * len(steps)
    starts = [row for row, (_, name) in enumerate(log) if name in wanted[0]]
    arrivals = {}
    for start in starts:
        at, done = 0, {0: start}
        for row in range(start + 1, len(log)):
            time, name = log[row]
            if time - log[start][0] > within:
                break
            required = next((step for step in range(at + 1, len(steps)) if not optional[step]), len(steps))
            if required < len(steps) and name in wanted[required]:
                at = required
                done[at] = row
                continue
            latest = max(step for step in done if step >= at)
            for step in range(latest + 1, required):
                if name in wanted[step]:
                    done[step] = row
                    break
        arrivals[start] = done
    for done in arrivals.values():
        for step in done:
            did[step] = True
    return did
