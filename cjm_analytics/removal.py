"""Absorbing chains: the probability to reach the goal, and what is lost without a name, solved exactly."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Chain"]

_DENSE = 4_000
"""Chains of more states are not solved as full matrices: 0.13 GB each, and several at once."""

_OFF, _OFF_DRAWN = 1e-12, 1e-6
"""How far a probability found by sweeps may be off: as counted, and in a draw."""

_SWEEPS = 20_000
_WIDTH = 16
"""So many names are removed at once, each in a column of its own."""

_CELLS = 2**25
"""So many probabilities, states times names, are kept to begin the draws from: 0.25 GB."""


@dataclass(frozen=True, eq=False)
class Chain:
    """A chain over states that are the last symbols of a way, with counts by lot.

    Attributes
    ----------
    states : int32, n_states × order
        The last symbols, −1 for none; followers first wherever no way leads back, the start last.
    source, target : int64, n_steps
        States, by source; the target is `n_states` for the goal, `n_states` + 1 for nothing.
    begin, end : int64, n_steps
        Where the counts of each step are: one for each lot in which it was taken.
    counts, lot : int64
    """

    states: NDArray[np.int32]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    counts: NDArray[np.int64]
    lot: NDArray[np.int64]

    @classmethod
    def of(cls, steps: NDArray[np.int32], counts: NDArray[np.int64], *, n_symbols: int, order: int) -> Chain:
        """A chain from steps: last symbols, next symbol (`n_symbols`: goal, + 1: nothing), lot; sorted."""
        from cjm_analytics.kernels import chains

        another = np.ones(len(steps), np.bool_)
        another[1:] = (steps[1:, :-1] != steps[:-1, :-1]).any(axis=1)
        begin = np.flatnonzero(another)
        before, following = steps[begin, :order], steps[begin, order].astype(np.int64)
        after = np.column_stack([before[:, 1:], following.astype(np.int32)])
        goes_on = following < n_symbols
        start = np.full((1, order), -1, np.int32)
        states, number = _different(np.concatenate([start, before, after[goes_on]]))
        n = len(states)
        source = number[1 : 1 + len(begin)]
        target = np.where(following == n_symbols, n, n + 1)
        target[goes_on] = number[1 + len(begin) :]
        by_source = np.argsort(source, kind="stable")
        first = np.searchsorted(source[by_source], np.arange(n + 1)).astype(np.int64)
        rank = chains.from_the_ends(first, target[by_source])
        turn = np.concatenate([rank, [n, n + 1]])
        source, target = rank[source], turn[target]
        by_source = np.argsort(source, kind="stable")
        end = np.append(begin[1:], len(counts))[by_source]
        return cls(
            states[np.argsort(rank)],
            source[by_source],
            target[by_source],
            begin[by_source],
            end,
            counts,
            steps[:, -1].astype(np.int64),
        )

    @property
    def _is_straight(self) -> NDArray[np.bool_]:
        """From the start to the goal: ways without a touch."""
        n = len(self.states)
        straight: NDArray[np.bool_] = (self.source == n - 1) & (self.target == n)
        return straight

    def straight(self, weights: NDArray[np.float64]) -> float:
        """How many ways lead to the goal without a touch; `weights` says how often each lot counts."""
        from cjm_analytics.kernels import chains

        some = self._is_straight
        taken = chains.weighed(self.begin[some], self.end[some], self.counts, self.lot, weights)
        return float(taken.sum())

    def removal_effects(
        self,
        symbols: NDArray[np.int64],
        weights: NDArray[np.float64],
        *,
        paid: tuple[NDArray[np.int32], NDArray[np.int64]] | None = None,
    ) -> NDArray[np.float64]:
        """The part of the probability to reach the goal that is lost without each symbol, per row of weights.

        A row says how often each lot counts: the first is the counts themselves, the others are draws. Ways
        without a touch are left aside. With `paid`, last symbols and the value of the conversions behind
        them, it is the part of the value that is lost; then there is one row of weights.
        """
        counted = self._steps(weights[0])
        if paid is not None:
            counted = counted.worth(self._states_of(paid[0]), paid[1])
        if not len(symbols):
            return np.zeros((len(weights), 0))
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            if counted.are_few(len(symbols)):
                blocked = [np.flatnonzero((self.states == symbol).any(axis=1)) for symbol in symbols]
                drawn = pool.map(lambda row: self._steps(row).lost_in_full(blocked), weights[1:])
                return np.vstack([counted.lost_in_full(blocked), *drawn])
            at_once = max(_CELLS // (len(self.states) * _WIDTH), 1) * _WIDTH
            parts = [symbols[at : at + at_once] for at in range(0, len(symbols), at_once)]
            return np.hstack([self._lost_by_sweeps(counted, part, weights, pool) for part in parts])

    def _lost_by_sweeps(
        self,
        counted: _Steps,
        symbols: NDArray[np.int64],
        weights: NDArray[np.float64],
        pool: ThreadPoolExecutor,
    ) -> NDArray[np.float64]:
        """The same for some symbols, in blocks; the draws begin where the counts themselves end."""
        blocks = [self._columns(symbols[at : at + _WIDTH]) for at in range(0, len(symbols), _WIDTH)]
        left = list(pool.map(lambda block: counted.left_by_sweeps(block, None, _OFF), blocks))

        own = counted.lost(np.concatenate([one[-1] for one in left]))
        if len(weights) == 1:
            return own[None]
        short = _Shortened.of(self, symbols)

        def drawn(row: NDArray[np.float64]) -> NDArray[np.float64]:
            found = short.lost(self._taken(row), left, _OFF_DRAWN)
            if found is None:
                steps = self._steps(row)
                found = steps.lost(
                    np.concatenate(
                        [
                            steps.left_by_sweeps(block, begin, _OFF_DRAWN)[-1]
                            for block, begin in zip(blocks, left, strict=True)
                        ]
                    )
                )
            return found

        return np.vstack([own, *pool.map(drawn, weights[1:])])

    def _columns(self, symbols: NDArray[np.int64]) -> NDArray[np.int32]:
        """Per state which of the symbols it holds (−1: another)."""
        columns: NDArray[np.int32] = _places(symbols, int(self.states.max(initial=0)))[self.states]
        return columns

    def _states_of(self, ends: NDArray[np.int32]) -> NDArray[np.int64]:
        """The states with these last symbols."""
        number = _different(np.concatenate([self.states, ends]))[1]
        place: NDArray[np.int64] = number[len(self.states) :]  # the states are all different, and come first
        return place

    def _taken(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """How often each step is taken by ways with a touch."""
        from cjm_analytics.kernels import chains

        taken = chains.weighed(self.begin, self.end, self.counts, self.lot, weights)
        taken[self._is_straight] = 0.0
        return taken

    def _steps(self, weights: NDArray[np.float64]) -> _Steps:
        n = len(self.states)
        taken = self._taken(weights)
        leaving = np.bincount(self.source, taken, n).astype(np.float64)
        ends = self.target == n
        to_goal = np.bincount(self.source[ends], taken[ends], n).astype(np.float64)
        inside = (self.target < n) & (taken > 0)
        source = self.source[inside]
        begin = np.searchsorted(source, np.arange(n + 1)).astype(np.int64)
        return _Steps(begin, source, self.target[inside], taken[inside], to_goal, leaving)


class _Steps(NamedTuple):
    """How often steps between states were taken, by source; and per state those to the goal, and all.

    A way enters each state as often as it leaves it: so the chain visits a state as often as was counted, and
    reaches the goal as often.
    """

    begin: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    taken: NDArray[np.float64]
    to_goal: NDArray[np.float64]
    leaving: NDArray[np.float64]

    @property
    def ways(self) -> float:
        """All ways that have a touch."""
        return float(self.leaving[-1])

    def worth(self, states: NDArray[np.int64], paid: NDArray[np.int64]) -> _Steps:
        """The same steps, those to the goal each as often as they are worth: in all as often as before."""
        value = np.zeros(len(self.leaving))
        value[states] = paid
        return self._replace(to_goal=value * (self.to_goal.sum() / value.sum()))

    def are_few(self, n_symbols: int) -> bool:
        """Whether a full matrix is quicker: sweeps go over all steps per symbol, more often on long ways."""
        n = len(self.leaving)
        visits = self.leaving.sum() / max(self.ways, 1.0)
        return n <= _DENSE and n**3 < 30 * visits * len(self.source) * n_symbols

    def lost(self, left: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part of the probability to reach the goal that is lost if so much is left."""
        return _lost(left, self.ways, float(self.to_goal.sum()))

    def lost_in_full(self, blocked: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """What is lost with some states blocked.

        With Q the steps among states, r those to the goal and N = (I − Q)⁻¹, h = N r is the probability to
        reach it; blocking the states S leaves from the start h₀ − N₀ₛ Nₛₛ⁻¹ hₛ.
        """
        visited = np.maximum(self.leaving, np.finfo(float).tiny)
        matrix = np.eye(len(self.leaving))
        matrix[self.source, self.target] -= self.taken / visited[self.source]
        visits = np.linalg.inv(matrix)
        reach = visits @ (self.to_goal / visited)
        left = [
            reach[-1] - visits[-1, some] @ np.linalg.solve(visits[np.ix_(some, some)], reach[some])
            for some in blocked
        ]
        return self.lost(np.array(left))

    def left_by_sweeps(
        self, columns: NDArray[np.int32], begin: NDArray[np.float64] | None, off: float
    ) -> NDArray[np.float64]:
        """The probability to reach the goal, per state and per column with the states of this column blocked.

        After a sweep the equation of state i is off by at most the changes of its followers times the
        probabilities of the steps to them, which puts the start off by as much times the visits to i. Summed
        over i that is at most the change of each state times the visits to it, and with states blocked there
        are fewer visits than counted. Chains in which sweeps get nowhere are solved as sparse equations.
        """
        from cjm_analytics.kernels import chains

        n, width = len(self.leaving), int(columns.max()) + 1
        left = np.zeros((n, width)) if begin is None else begin.copy()
        nothing_over = np.zeros(len(self.target) + 1, np.int64)
        done = chains.swept(
            self.begin, self.target, nothing_over, np.zeros(0, np.int32), self.taken, self.to_goal,
            self.leaving, columns, left, _enough(off, self.leaving), _SWEEPS,
        )  # fmt: skip
        if not done:
            for column in range(width):
                kept = (columns != column).all(axis=1) & (self.leaving > 0)
                left[-1, column] = self._solved(kept)
        return left

    def _solved(self, kept: NDArray[np.bool_]) -> float:
        """The probability from the start over the states `kept`, as a system of sparse equations."""
        from scipy import sparse
        from scipy.sparse.linalg import spsolve

        if not kept[-1]:
            return 0.0
        n = len(self.leaving)
        moves = sparse.coo_array((self.taken, (self.source, self.target)), shape=(n, n))
        matrix = sparse.csr_array(sparse.diags_array(self.leaving) - moves)[kept][:, kept]
        return float(np.atleast_1d(spsolve(matrix.tocsc(), self.to_goal[kept]))[-1])


class _Shortened(NamedTuple):
    """A chain without the states that one step only leaves, for its draws: most states of a high order.

    Attributes
    ----------
    kept : int64
        The states that stay, the start last.
    step, source : int64
        All steps that leave them: which of the chain, and from which state.
    at_once, reaching : int64
        Of these, those that lead to the goal and pass no state; and all steps of the chain to the goal.
    begin, target, onward : int64
        The other steps by source: from where on, to which state (the number of states: the goal), and which
        step of the chain.
    over_begin : int64
    blocks : list of two int32 arrays
        For so many symbols at once: the columns of the symbols that each state holds, and of those that each
        onward step passes.
    """

    kept: NDArray[np.int64]
    step: NDArray[np.int64]
    source: NDArray[np.int64]
    at_once: NDArray[np.int64]
    reaching: NDArray[np.int64]
    begin: NDArray[np.int64]
    target: NDArray[np.int64]
    onward: NDArray[np.int64]
    over_begin: NDArray[np.int64]
    blocks: list[tuple[NDArray[np.int32], NDArray[np.int32]]]

    @classmethod
    def of(cls, chain: Chain, symbols: NDArray[np.int64]) -> _Shortened:
        """What stays of a chain, to remove these symbols."""
        from cjm_analytics.kernels import chains

        n = len(chain.states)
        begin = np.searchsorted(chain.source, np.arange(n + 1)).astype(np.int64)
        last = np.ascontiguousarray(chain.states[:, -1])
        kept, step, ends, over_begin, over = chains.shortened(
            begin, chain.target, last, chain.states.shape[1]
        )
        number = np.full(n + 1, -1, np.int64)
        number[kept] = np.arange(len(kept))
        number[n] = len(kept)
        source = number[chain.source[step]]
        at_once = (ends == n) & (over_begin[1:] == over_begin[:-1])
        onward = (ends <= n) & ~at_once
        most = int(max(chain.states.max(initial=0), over.max(initial=0)))
        places = [_places(symbols[at : at + _WIDTH], most) for at in range(0, len(symbols), _WIDTH)]
        return cls(
            kept,
            step,
            source,
            np.flatnonzero(at_once),
            np.flatnonzero(chain.target == n),
            np.searchsorted(source[onward], np.arange(len(kept) + 1)).astype(np.int64),
            number[ends[onward]],
            step[onward],
            # The steps that are left out pass nothing, so that the others pass what they passed.
            np.append(over_begin[:-1][onward], over_begin[-1]),
            [(place[chain.states[kept]], place[over]) for place in places],
        )

    def lost(
        self, every: NDArray[np.float64], begin: Sequence[NDArray[np.float64]], off: float
    ) -> NDArray[np.float64] | None:
        """What is lost without each symbol if every step is taken so often; None if sweeps get nowhere."""
        from cjm_analytics.kernels import chains

        n = len(self.kept)
        taken = every[self.step]
        leaving = np.bincount(self.source, taken, n).astype(np.float64)
        to_goal = np.bincount(self.source[self.at_once], taken[self.at_once], n).astype(np.float64)
        found = []
        for (columns, over), first in zip(self.blocks, begin, strict=True):
            left = np.vstack([first[self.kept], np.ones((1, first.shape[1]))])
            if not chains.swept(
                self.begin, self.target, self.over_begin, over, every[self.onward], to_goal, leaving,
                columns, left, _enough(off, leaving), _SWEEPS,
            ):  # fmt: skip
                return None
            found.append(left[n - 1])
        return _lost(np.concatenate(found), float(leaving[-1]), float(every[self.reaching].sum()))


def _enough(off: float, leaving: NDArray[np.float64]) -> float:
    """How little a sweep may change; no sum of so many numbers is more exact than the least of this."""
    return max(off * float(leaving[-1]), 4 * float(np.finfo(np.float64).eps) * float(leaving.sum()))


def _lost(left: NDArray[np.float64], ways: float, reached: float) -> NDArray[np.float64]:
    """The part of the probability to reach the goal that is lost if so much is left."""
    if reached <= 0:
        return np.zeros(len(left))
    lost: NDArray[np.float64] = np.clip(1 - left * ways / reached, 0.0, 1.0)
    return lost


def _places(symbols: NDArray[np.int64], most: int) -> NDArray[np.int32]:
    """Where each number up to `most` stands among the symbols (−1: nowhere, also for −1 itself)."""
    place = np.full(max(most, int(symbols.max())) + 2, -1, np.int32)
    place[symbols] = np.arange(len(symbols), dtype=np.int32)
    return place


def _different(rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The different rows, in the order of the first of each, and which of them each row is."""
    number, width = np.zeros(len(rows), np.int64), int(rows.max()) + 2
    for column in rows.T:
        number = pd.factorize(number * width + (column + 1))[0].astype(np.int64)
    first = np.empty(int(number.max()) + 1, np.int64)
    first[number[::-1]] = np.arange(len(rows) - 1, -1, -1)
    return rows[first], number
