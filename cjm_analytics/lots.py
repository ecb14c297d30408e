"""Lots: what a bootstrap draws; single customers or, where there are many, some by a hash of their ids."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Lots"]

_BITS: Final = 64
_MOST: Final = 512
"""So many lots at most: the spread of as many draws is itself known to 1 / sqrt(2 · 512) = 3 %."""


@dataclass(frozen=True, eq=False)
class Lots:
    """The lots of some customers: those whose hashes begin with the same bits are one.

    As many bits count as leave at most 512 lots: all of them, and each customer is a lot, up to 512
    customers. How many that are depends on the customers alone, so it is the same however they were added.

    Attributes
    ----------
    keys : uint64, n_lots
        The bits that count, as a number; rising.
    bits : int
    """

    keys: NDArray[np.uint64]
    bits: int

    @classmethod
    def of(cls, ids: pa.Array) -> tuple[Lots, NDArray[np.int64]]:
        """The lots of customers, and the number of each customer's lot.

        Examples
        --------
        >>> import pyarrow as pa
        >>> lots, number = Lots.of(pa.array(["ann", "bob", "ann"]))
        >>> len(lots), bool(number[0] == number[2]), bool(number[0] == number[1])
        (2, True, False)
        """
        hashes = pd.util.hash_array(ids.to_numpy(zero_copy_only=False).astype(object), categorize=False)
        keys, number = np.unique(hashes, return_inverse=True)
        lots, place = _fewer(keys, _BITS)
        return lots, place[number.ravel()]

    def __len__(self) -> int:
        return len(self.keys)

    def together(self, other: Lots) -> tuple[Lots, NDArray[np.int64], NDArray[np.int64]]:
        """The lots of both, and the number of each lot of either among them."""
        bits = min(self.bits, other.bits)
        here, there = (one.keys >> np.uint64(one.bits - bits) for one in (self, other))
        keys = np.union1d(here, there)
        lots, place = _fewer(keys, bits)
        return lots, place[np.searchsorted(keys, here)], place[np.searchsorted(keys, there)]

    def weights(self, draws: int, seed: int) -> NDArray[np.float64]:
        """How often each lot counts: once in the first row, then as often as it was drawn."""
        n = len(self)
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(n, np.full(n, 1 / max(n, 1)), size=draws) if n else np.zeros((draws, 0))
        weights: NDArray[np.float64] = np.vstack([np.ones((1, n)), drawn])
        return weights


def _fewer(keys: NDArray[np.uint64], bits: int) -> tuple[Lots, NDArray[np.int64]]:
    """Lots of as many of the bits as leave few enough of them, and the number of each key's lot."""

    def too_many(kept: int) -> bool:
        some = keys >> np.uint64(bits - kept)
        return int(np.count_nonzero(some[1:] != some[:-1])) >= _MOST

    kept = bisect_left(range(1, bits + 1), True, key=too_many)
    lots, place = np.unique(keys >> np.uint64(bits - kept), return_inverse=True)
    return Lots(lots, kept), place.ravel()
