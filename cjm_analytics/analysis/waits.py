"""How long units waited, and how each wait ended: what adds up, over partitions, to a life table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.durations import DAY, HOUR, MINUTE, SECOND
from cjm_analytics.statistics import LifeTable, life_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KINDS", "Waits", "tallied"]

KINDS = 4
"""A duration and its kind make one number: duration · 4 + kind. Kind 0 is censored."""

_RESOLUTIONS = (1, SECOND, MINUTE, HOUR, DAY)
_MOST_TIMES = 2**20


def tallied(
    times: NDArray[np.int64], counts: NDArray[np.int64] | None, resolution: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Distinct numbers duration · 4 + kind and how often they occur, as fine as the limit allows.

    Without `counts` each of `times` occurs once. Durations are whole microseconds; when there are more than
    2²⁰ distinct numbers, they are rounded down to the first of second, minute, hour and day with which there
    are fewer. As these are multiples of each other, the order in which tallies are added does not matter.
    """
    for step in _RESOLUTIONS[_RESOLUTIONS.index(resolution) :]:
        rounded = times if step == 1 else times // (KINDS * step) * (KINDS * step) + times % KINDS
        # A stable sort merges tallies, which are sorted already, in one sweep.
        order = None if counts is None else np.argsort(rounded, kind="stable")
        ranked = np.sort(rounded) if order is None else rounded[order]
        starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(ranked)])
        if len(starts) <= _MOST_TIMES or step == _RESOLUTIONS[-1]:
            break
    if counts is None or order is None:
        return ranked[starts], np.diff(starts, append=len(ranked)), step
    total = np.add.reduceat(counts[order], starts) if len(starts) else counts
    return ranked[starts], total, step


@dataclass(frozen=True, eq=False)
class Waits:
    """A bag of durations, each with the kind of its end.

    Attributes
    ----------
    times, counts : int64 arrays
        Distinct numbers duration · 4 + kind, rising, and how many units have each.
    resolution : int
        Microseconds to which durations are rounded down.
    """

    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    resolution: int = 1

    @classmethod
    def of(cls, duration: NDArray[np.int64], kind: NDArray[np.int64]) -> Waits:
        """One wait per unit.

        Examples
        --------
        >>> waits = Waits.of(np.array([5, 5, 7]), np.array([1, 1, 0]))
        >>> waits += Waits.of(np.array([7]), np.array([0]))
        >>> waits.n, waits.table(1).at_risk.tolist()
        (4, [4, 2])
        """
        return cls(*tallied(duration * KINDS + kind, None, 1))

    @property
    def n(self) -> int:
        """How many units waited."""
        return int(self.counts.sum())

    def __add__(self, other: Waits) -> Waits:
        return Waits(
            *tallied(
                np.concatenate([self.times, other.times]),
                np.concatenate([self.counts, other.counts]),
                max(self.resolution, other.resolution),
            )
        )

    def table(self, n_causes: int) -> LifeTable:
        """Times in microseconds at which waits ended, by cause, or were last seen."""
        return life_table(self.times // KINDS, self.times % KINDS, self.counts, n_causes=n_causes)
