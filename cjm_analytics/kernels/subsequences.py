"""Sub-sequences with gaps: where the next symbol of each comes first, path by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["earliest", "next_places", "weigh"]


@kernel
def weigh(
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    paths: NDArray[np.int64],
    places: NDArray[np.int64],
    weight: NDArray[np.int64],
    max_gap: int,
    n_symbols: int,
) -> NDArray[np.int64]:
    """Per symbol the weight of the paths in which it comes after a prefix; shape (symbols, weights).

    `paths` hold the prefix; `places` are all the places (in `flat`) at which it may end, several per path
    next to one another, or the first alone where gaps do not matter. With `max_gap` (not −1) at most so many
    symbols lie between.
    """
    found = np.zeros((n_symbols, weight.shape[1]), np.int64)
    seen = np.full(n_symbols, -1, np.int64)
    for number in range(len(paths)):
        path = paths[number]
        end = offsets[path + 1]
        start = places[number] + 1
        if max_gap >= 0:
            end = min(end, start + max_gap + 1)
        for at in range(start, end):
            symbol = flat[at]
            if seen[symbol] != path:
                seen[symbol] = path
                for column in range(weight.shape[1]):
                    found[symbol, column] += weight[path, column]
    return found


@kernel
def earliest(
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    paths: NDArray[np.int64],
    places: NDArray[np.int64],
    symbol: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The paths in which a symbol comes after a prefix, and where first. `places` has one place per path."""
    kept, where = np.empty(len(paths), np.int64), np.empty(len(paths), np.int64)
    n = 0
    for number in range(len(paths)):
        for at in range(places[number] + 1, offsets[paths[number] + 1]):
            if flat[at] == symbol:
                kept[n], where[n] = paths[number], at
                n += 1
                break
    return kept[:n].copy(), where[:n].copy()


@kernel
def next_places(
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    paths: NDArray[np.int64],
    places: NDArray[np.int64],
    symbol: int,
    max_gap: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All places at which a prefix and then a symbol may end, with at most `max_gap` symbols between.

    `places` of one path stand next to one another and rise; so do those returned, each once.
    """
    room = 0
    for number in range(len(paths)):
        room += min(max_gap + 1, offsets[paths[number] + 1] - places[number] - 1)
    kept, where = np.empty(room, np.int64), np.empty(room, np.int64)
    n = 0
    for number in range(len(paths)):
        path = paths[number]
        for at in range(places[number] + 1, min(places[number] + max_gap + 2, offsets[path + 1])):
            if flat[at] == symbol and not (n > 0 and kept[n - 1] == path and where[n - 1] >= at):
                kept[n], where[n] = path, at
                n += 1
    return kept[:n].copy(), where[:n].copy()
