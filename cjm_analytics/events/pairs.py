"""Pairs of ids as numbers: each text is kept once, and each pair is counted where it was counted before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from cjm_analytics.events.scatter import bins_of_hashes, text_buffers, text_hashes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["EVIDENCE", "KINDS", "NEVER", "Keys", "Pairs", "Seen", "Texts", "by_hour"]

_Kind = TypeVar("_Kind", bound=np.generic)

_TIME = pa.timestamp("us", tz="UTC")
EVIDENCE = pa.schema(
    [
        ("alias", pa.string()),
        ("user_id", pa.string()),
        ("kind", pa.string()),
        ("rows", pa.int64()),
        ("first", _TIME),
        ("last", _TIME),
    ]
)
"""Two ids seen together: how often, when first and last. In full detail a row is about one hour (UTC).

`kind` is null where the events say so, or as in `schema.LINKS`; times are null where none is known.
"""

KINDS = pa.array([None, "merge", "alias"], pa.string())
NEVER = np.iinfo(np.int64).max
"""The first and the last time of what has none."""

_LONG_AGO = np.iinfo(np.int64).min
_HOUR = 3_600_000_000
_AT_ONCE = 16_384
_NO_SLOTS = np.zeros(1, dtype=np.uint64)
"""Too few for anything, so that they are never written to."""

_HALF, _KIND_BITS, _ID_BITS = np.uint64(32), np.uint64(2), np.uint64(33)
_KIND, _ID = np.uint64(3), np.uint64(2**31 - 1)


class Seen(NamedTuple):
    """Pairs as numbers, how often each was seen, when first and last (`NEVER`: no time is known)."""

    pair: NDArray[np.int32]
    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Seen:
        return Seen(self.pair[chosen], self.rows[chosen], self.first[chosen], self.last[chosen])

    @staticmethod
    def together(parts: list[Seen]) -> Seen:
        return Seen(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Texts:
    """Distinct texts, numbered in the order of their appearance."""

    def __init__(self) -> None:
        self._slots = _NO_SLOTS
        self._hashes = np.empty(0, dtype=np.uint64)
        self._ends = np.zeros(1, dtype=np.int64)
        self._bytes = np.empty(0, dtype=np.uint8)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """`text_hashes` of all."""
        return self._hashes[: self._n]

    @property
    def all(self) -> pa.Array:
        """The texts; together they may be longer than other arrays of texts can hold."""
        return _large_texts(self._ends[: self._n + 1], self._bytes)

    def of(self, numbers: NDArray[np.integer[Any]]) -> pa.Array:
        """The texts of some numbers."""
        return self.long(numbers).cast(pa.string())

    def long(self, numbers: NDArray[np.integer[Any]]) -> pa.Array:
        """The same, together as long as they may be."""
        from cjm_analytics.kernels.numbering import texts_at

        return _large_texts(*texts_at(numbers, self._ends, self._bytes))

    def number(self, texts: pa.Array) -> NDArray[np.int32]:
        """The number of each text; there must be no nulls."""
        return self.number_hashed(text_hashes(texts), *text_buffers(texts))

    def number_hashed(
        self, hashes: NDArray[np.uint64], offsets: NDArray[np.integer[Any]], data: NDArray[np.uint8]
    ) -> NDArray[np.int32]:
        """The same of texts whose hashes are known."""
        from cjm_analytics.kernels.numbering import number_texts

        numbers = np.empty(len(hashes), dtype=np.int32)
        for start in range(0, len(hashes), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(hashes)))
            ends = offsets[part.start : part.stop + 1]
            self._make_room(len(ends) - 1, int(ends[-1]) - int(ends[0]))
            known = (self._hashes, self._ends, self._bytes)
            numbers[part], self._n = number_texts(hashes[part], ends, data, self._slots, known, self._n)
        return numbers

    def rest(self) -> None:
        """Give back the room for finding texts; it is made anew when more of them come."""
        self._slots = _NO_SLOTS

    def _make_room(self, n: int, n_bytes: int) -> None:
        self._hashes = _with_room(self._hashes, self._n, n)
        self._ends = _with_room(self._ends, self._n + 1, n)
        self._bytes = _with_room(self._bytes, int(self._ends[self._n]), n_bytes)
        self._slots = _slots_for(self._slots, self._n + n, lambda: self.hashes)


class Keys:
    """Distinct 64-bit keys, numbered in the order of their appearance."""

    def __init__(self) -> None:
        self._slots = _NO_SLOTS
        self._keys = np.empty(0, dtype=np.uint64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def all(self) -> NDArray[np.uint64]:
        """The keys in the order of their numbers."""
        return self._keys[: self._n]

    def number(self, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The number of each key."""
        from cjm_analytics.kernels.numbering import number_keys, spread

        numbers = np.empty(len(keys), dtype=np.int32)
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            self._keys = _with_room(self._keys, self._n, len(part))
            self._slots = _slots_for(self._slots, self._n + len(part), lambda: spread(self.all))
            numbers[start : start + _AT_ONCE], self._n = number_keys(part, self._slots, self._keys, self._n)
        return numbers

    def rest(self) -> None:
        """Give back the room for finding keys; it is made anew when more of them come."""
        self._slots = _NO_SLOTS


class Pairs:
    """Distinct pairs of ids, by kind: how often each was seen, when first and last.

    Attributes
    ----------
    texts : Texts
        The ids.
    """

    def __init__(self) -> None:
        self.texts = Texts()
        self._keys = Keys()
        self._rows, self._first, self._last = (np.empty(0, dtype=np.int64) for _ in range(3))

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def alias(self) -> NDArray[np.int32]:
        """Per pair the number of its first id."""
        return (self._keys.all >> _ID_BITS).astype(np.int32)

    @property
    def user(self) -> NDArray[np.int32]:
        """Per pair the number of its second id."""
        return ((self._keys.all >> _KIND_BITS) & _ID).astype(np.int32)

    @property
    def kind(self) -> NDArray[np.int8]:
        """Per pair its place in `KINDS`."""
        return (self._keys.all & _KIND).astype(np.int8)

    @property
    def rows(self) -> NDArray[np.int64]:
        return self._rows[: len(self)]

    @property
    def first(self) -> NDArray[np.int64]:
        return self._first[: len(self)]

    @property
    def last(self) -> NDArray[np.int64]:
        return np.where(self.first == NEVER, NEVER, self._last[: len(self)])

    def number(self, alias: pa.Array, user: pa.Array, kind: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """The number of each pair; there must be no nulls."""
        keys = self.texts.number(alias).astype(np.uint64)
        keys <<= _ID_BITS
        keys |= self.texts.number(user).astype(np.uint64) << _KIND_BITS
        keys |= kind.astype(np.uint64)
        before = len(self)
        numbers = self._keys.number(keys)
        new = len(self) - before
        for name, value in (("_rows", 0), ("_first", NEVER), ("_last", _LONG_AGO)):
            column = _with_room(getattr(self, name), before, new)
            column[before : before + new] = value
            setattr(self, name, column)
        return numbers

    def add(self, seen: Seen) -> None:
        """Count pairs that have numbers."""
        from cjm_analytics.kernels.numbering import add_up

        last = np.where(seen.first == NEVER, _LONG_AGO, seen.last)
        add_up(seen.pair, (seen.rows, seen.first, last), (self._rows, self._first, self._last))

    def rest(self) -> None:
        """Give back the room for finding pairs; it is made anew when more of them come."""
        self.texts.rest()
        self._keys.rest()

    def table(self, seen: Seen) -> pa.Table:
        """Pairs with their texts, schema `EVIDENCE`."""
        keys = self._keys.all[seen.pair]
        never = seen.first == NEVER
        return pa.table(
            [
                self.texts.of((keys >> _ID_BITS).astype(np.int64)),
                self.texts.of(((keys >> _KIND_BITS) & _ID).astype(np.int64)),
                KINDS.take(pa.array((keys & _KIND).astype(np.int8))),
                pa.array(seen.rows),
                *(pa.array(times, mask=never).cast(_TIME) for times in (seen.first, seen.last)),
            ],
            schema=EVIDENCE,
        )

    def of(self, pairs: NDArray[np.integer[Any]]) -> Seen:
        """All that was seen of some pairs."""
        first = self.first[pairs]
        last = np.where(first == NEVER, NEVER, self._last[pairs])
        return Seen(pairs.astype(np.int32), self.rows[pairs], first, last)

    def all(self) -> Seen:
        """Every pair, in the order of the numbers."""
        return self.of(np.arange(len(self), dtype=np.int32))

    def bins(self, pairs: NDArray[np.int32]) -> NDArray[np.uint16]:
        """The bin of each pair's first id."""
        return bins_of_hashes(self.texts.hashes[(self._keys.all[pairs] >> _ID_BITS).astype(np.int64)])

    def in_order(self, seen: Seen) -> Seen:
        """Sorted by hashes of the ids, kind and time, which depends on nothing else."""
        pairs, place = np.unique(seen.pair, return_inverse=True)
        keys = self._keys.all[pairs]
        hashes = self.texts.hashes
        by_alias = hashes[(keys >> _ID_BITS).astype(np.int64)]
        order = np.argsort(by_alias)
        agrees = np.zeros(len(order) + 1, dtype=bool)
        agrees[1:-1] = np.diff(by_alias[order]) == 0
        undecided = np.flatnonzero(agrees[1:] | agrees[:-1])
        if len(undecided):
            several = order[undecided]
            user = ((keys[several] >> _KIND_BITS) & _ID).astype(np.int64)
            order[undecided] = several[np.lexsort([keys[several] & _KIND, hashes[user], by_alias[several]])]
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return seen.where(np.lexsort([seen.first, rank[place]]))


def by_hour(seen: Seen) -> Seen:
    """One row per pair and hour (UTC)."""
    from cjm_analytics.kernels.numbering import add_up

    hour = (seen.first // _HOUR).astype(np.uint64) & np.uint64(2**32 - 1)
    keys = Keys()
    numbers = keys.number((seen.pair.astype(np.uint64) << _HALF) | hour)
    n = len(keys)
    pair = np.empty(n, dtype=np.int32)
    pair[numbers] = seen.pair
    rows, first, last = (np.full(n, value, dtype=np.int64) for value in (0, NEVER, _LONG_AGO))
    add_up(numbers, (seen.rows, seen.first, seen.last), (rows, first, last))
    return Seen(pair, rows, first, last)


def _large_texts(ends: NDArray[np.int64], data: NDArray[np.uint8]) -> pa.Array:
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)


def _with_room(array: NDArray[_Kind], n: int, more: int) -> NDArray[_Kind]:
    """The array, or a longer one that begins with its first `n`."""
    if n + more <= len(array):
        return array
    longer = np.empty(max(n + more, 2 * n), dtype=array.dtype)
    longer[:n] = array[:n]
    return longer


def _slots_for(
    slots: NDArray[np.uint64], n: int, hashes: Callable[[], NDArray[np.uint64]]
) -> NDArray[np.uint64]:
    """The slots, or more of them, filled anew, so that at most three of four are taken by `n`."""
    from cjm_analytics.kernels.numbering import fill_slots

    size = len(slots)
    while size * 3 < n * 4:
        size *= 2
    if size > len(slots):
        # Memory of NumPy lies in large pages, of which random places are found several times faster.
        slots = np.zeros(size, dtype=np.uint64)
        fill_slots(hashes(), slots)
    return slots
