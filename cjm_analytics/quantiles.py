"""Lengths of time that add: exact while they are few, in fine logarithmic buckets when they are many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["EXACT_LIMIT", "RELATIVE_ERROR", "Durations", "bucket_ends", "in_rising_order"]

EXACT_LIMIT = 2**22
"""So many different (group, value) pairs are kept as they are; beyond, all go into buckets."""

RELATIVE_ERROR = 0.005
"""A quantile from buckets is off by at most this share of itself."""

# γ = (1 + error) / (1 − error) as an exact fraction, so that every machine has the same buckets.
_UP, _DOWN = 201, 199


@dataclass(frozen=True, eq=False)
class Durations:
    """A bag of lengths of time, perhaps in groups, whose quantiles can be asked; bags add.

    What a bag holds depends only on the values that went in, not on the order or the parts in which they
    did: the exact values while there are at most `limit` different ones, else the bucket of every value.
    Buckets are those of a DDSketch (Masson, Rim and Lee 2019): bucket i holds the values in (γ^(i−1), γ^i],
    γ = 1.005 / 0.995, and stands for 2γ^i / (γ + 1), at most 0.5 % away from each.

    Make one with `Durations.of`.

    Attributes
    ----------
    group, value, count : int64 arrays
        How often each value was seen in each group, sorted by group, then value. Not exact: `value` is 0
        for zero, else 1 + the number of the bucket.
    exact : bool
        Whether the values are as they were given.
    limit : int
        Different values beyond which they are put into buckets.

    Examples
    --------
    >>> both = Durations.of([1, 2, 30]) + Durations.of([4])
    >>> both.n, both.exact, both.quantile(0.5)
    (4, True, 3.0)
    """

    group: NDArray[np.int64]
    value: NDArray[np.int64]
    count: NDArray[np.int64]
    exact: bool = True
    limit: int = EXACT_LIMIT

    @classmethod
    def of(cls, values: ArrayLike, group: ArrayLike | None = None, *, limit: int = EXACT_LIMIT) -> Durations:
        """A bag of whole microseconds, each in a group (by number from 0; default: all in group 0).

        Raises
        ------
        InputError
            A duration is negative.

        Examples
        --------
        >>> bag = Durations.of([5, 7, 100], group=[0, 0, 2])
        >>> bag.quantiles(0.5, n_groups=3)
        array([  6.,  nan, 100.])
        """
        value = np.asarray(values, dtype=np.int64).ravel()
        groups = np.zeros(len(value), np.int64) if group is None else np.asarray(group, np.int64).ravel()
        if len(value) and value.min() < 0:
            raise InputError("A duration is negative.")
        return _bounded(Durations(*_tally(groups, value), limit=limit))

    @classmethod
    def empty(cls, *, limit: int = EXACT_LIMIT) -> Durations:
        """A bag with nothing in it: the zero of `+`."""
        return cls.of([], limit=limit)

    @property
    def n(self) -> int:
        """How many durations are in the bag."""
        return int(self.count.sum())

    def counts(self, n_groups: int) -> NDArray[np.int64]:
        """How many durations are in each group."""
        counts = np.zeros(n_groups, np.int64)
        np.add.at(counts, self.group, self.count)
        return counts

    def __add__(self, other: Durations) -> Durations:
        if self.exact and other.exact:
            return _bounded(Durations(*_merged(self, other), limit=self.limit))
        return Durations(*_merged(_sketched(self), _sketched(other)), exact=False, limit=self.limit)

    def quantile(self, q: float, group: int = 0) -> float:
        """The q-quantile in microseconds, between neighbours in proportion; NaN where there is nothing.

        `quantile(0.5)` is the median: of an even count, the mean of the middle two.

        Examples
        --------
        >>> Durations.of([10, 20, 30, 40]).quantile(0.9)
        37.0
        """
        return float(self.quantiles(q, n_groups=group + 1)[group])

    def quantiles(self, q: float, *, n_groups: int) -> NDArray[np.float64]:
        """The q-quantile of each group, microseconds; NaN where a group is empty.

        Raises
        ------
        InputError
            `q` does not lie between 0 and 1.
        """
        if not 0 <= q <= 1:
            raise InputError(f"q={q} must lie between 0 and 1.")
        found: NDArray[np.float64] = np.full(n_groups, np.nan)
        if not len(self.group):
            return found
        total = np.concatenate([[0], np.cumsum(self.count)])
        bounds = np.searchsorted(self.group, np.arange(n_groups + 1))
        first, n = total[bounds[:-1]], np.diff(total[bounds])
        some = n > 0
        place = q * (n[some] - 1)
        below = np.floor(place).astype(np.int64)
        low = self._at(total, first[some] + below)
        high = self._at(total, first[some] + np.minimum(below + 1, n[some] - 1))
        found[some] = low + (high - low) * (place - below)
        return found

    def means(self, *, n_groups: int) -> NDArray[np.float64]:
        """The mean of each group, microseconds; NaN where a group is empty; as exact as quantiles."""
        total = np.bincount(self.group, self._lengths(self.value) * self.count, n_groups)
        n = np.bincount(self.group, self.count, n_groups)
        found: NDArray[np.float64] = np.divide(total, n, out=np.full(n_groups, np.nan), where=n > 0)
        return found

    def regrouped(self, number: ArrayLike) -> Durations:
        """The same durations, those of group g now in group `number[g]`."""
        numbers = np.asarray(number, dtype=np.int64)
        state = _tally(numbers[self.group], self.value, self.count)
        # Two groups that become one may share values, never the other way round: the limit still holds.
        return Durations(*state, exact=self.exact, limit=self.limit)

    def points(self, group: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The different values of a group in microseconds, ascending, and how often each was seen."""
        mine = slice(*np.searchsorted(self.group, [group, group + 1]))
        return self._lengths(self.value[mine]), self.count[mine]

    def _at(self, total: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.float64]:
        """The durations at ranks (from 0, over all groups)."""
        return self._lengths(self.value[np.searchsorted(total, rank, side="right") - 1])

    def _lengths(self, value: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.exact:
            return value.astype(np.float64)
        gamma = _UP / _DOWN
        return np.where(value == 0, 0.0, 2 / (gamma + 1) * gamma ** (value - 1.0))


_State = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


@cache
def bucket_ends() -> NDArray[np.int64]:
    """The largest whole number in each bucket, ⌊γ^i⌋, in exact arithmetic, up to the largest int64.

    Examples
    --------
    >>> bucket_ends()[:3], len(bucket_ends())
    (array([1, 1, 1]), 4368)
    """
    ends = []
    up = down = 1
    while up // down <= np.iinfo(np.int64).max:
        ends.append(up // down)
        up, down = up * _UP, down * _DOWN
    return np.array([*ends, np.iinfo(np.int64).max], dtype=np.int64)


def _bounded(bag: Durations) -> Durations:
    return bag if len(bag.value) <= bag.limit else _sketched(bag)


def _sketched(bag: Durations) -> Durations:
    if not bag.exact:
        return bag
    bucket = np.where(bag.value == 0, 0, 1 + np.searchsorted(bucket_ends(), bag.value))
    return Durations(*_tally(bag.group, bucket, bag.count), exact=False, limit=bag.limit)


def _tally(
    group: NDArray[np.int64], value: NDArray[np.int64], count: NDArray[np.int64] | None = None
) -> _State:
    """Each different (group, value) once, sorted, with its count (default: one per row)."""
    bits = _value_bits(group, value)
    if count is None and bits is not None:
        from cjm_analytics.kernels.tallies import counted

        packed = group << bits
        packed |= value
        kept, often = counted(in_rising_order(packed))
        return kept >> bits, kept & ((1 << bits) - 1), often
    order = np.lexsort((value, group)) if bits is None else np.argsort((group << bits) | value, kind="stable")
    group, value = group[order], value[order]
    starts = _run_starts((group[1:] != group[:-1]) | (value[1:] != value[:-1]), len(value))
    if count is None:
        tally = np.diff(starts, append=len(value))
    else:
        tally = np.add.reduceat(count[order], starts) if len(starts) else count
    return group[starts], value[starts], tally


_FEW = 2**12
"""Up to so many numbers a sort that compares them is as quick."""


def in_rising_order(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers from 0 on, sorted; what they lay in may be used for it."""
    if len(numbers) <= _FEW:
        numbers.sort()
        return numbers
    from cjm_analytics.kernels.tallies import ranked

    found: NDArray[np.int64] = ranked(numbers, int(numbers.max()).bit_length())
    return found


def _run_starts(changes: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64)[: None if n else 0]


def _merged(one: Durations, other: Durations) -> _State:
    """Two sorted tallies as one."""
    if not len(one.value) or not len(other.value):
        filled = other if not len(one.value) else one
        return filled.group, filled.value, filled.count
    from cjm_analytics.kernels.tallies import merged_by_group

    state: _State = merged_by_group(one.group, one.value, one.count, other.group, other.value, other.count)
    return state


def _value_bits(group: NDArray[np.int64], value: NDArray[np.int64]) -> int | None:
    """How many bits a value needs, if group and value fit into one integer together; else None."""
    bits = int(value.max(initial=0)).bit_length()
    return bits if bits + int(group.max(initial=0)).bit_length() <= 63 else None  # noqa: PLR2004 - an int64
