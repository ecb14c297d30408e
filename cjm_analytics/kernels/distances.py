"""How different paths are: the fewest symbols to insert, leave out or change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["assigned", "edit_distances", "medoids"]


@kernel
def edit_distances(
    flat: NDArray[Any], offsets: NDArray[np.int64], chosen: NDArray[np.int64], longest: int
) -> NDArray[np.float64]:
    """Distances between all pairs of the paths `chosen`, each by the length of the longer one: 0…1.

    Only the first `longest` symbols of a path are looked at.
    """
    n = len(chosen)
    found = np.zeros((n, n))
    before, row = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    for one in range(n):
        start = offsets[chosen[one]]
        length = min(offsets[chosen[one] + 1] - start, longest)
        for other in range(one):
            other_start = offsets[chosen[other]]
            other_length = min(offsets[chosen[other] + 1] - other_start, longest)
            for at in range(other_length + 1):
                before[at] = at
            for here in range(1, length + 1):
                row[0] = here
                for there in range(1, other_length + 1):
                    same = flat[start + here - 1] == flat[other_start + there - 1]
                    best = before[there - 1] + (0 if same else 1)
                    best = min(best, before[there] + 1, row[there - 1] + 1)
                    row[there] = best
                for at in range(other_length + 1):
                    before[at] = row[at]
            distance = before[other_length] / max(length, other_length, 1)
            found[one, other] = distance
            found[other, one] = distance
    return found


@kernel
def assigned(distances: NDArray[np.float64], centres: NDArray[np.int64]) -> NDArray[np.int64]:
    """The nearest centre of each path, by its place in `centres`; of equals the first."""
    nearest = np.zeros(len(distances), np.int64)
    for path in range(len(distances)):
        for place in range(1, len(centres)):
            if distances[path, centres[place]] < distances[path, centres[nearest[path]]]:
                nearest[path] = place
    return nearest


@kernel
def medoids(distances: NDArray[np.float64], weight: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """K paths such that the weighted distance of all to the nearest is small: greedy, then improved.

    The first is the best by itself, each further one the best beside those before; then, in turns until
    nothing changes, every path goes to its nearest centre, and every group takes its own best path as centre.
    """
    n = len(distances)
    centres = np.empty(k, np.int64)
    near = np.full(n, np.inf)
    for place in range(k):
        best, least = -1, np.inf
        for path in range(n):
            total = 0.0
            for other in range(n):
                total += weight[other] * min(near[other], distances[path, other])
            if total < least:
                best, least = path, total
        centres[place] = best
        for other in range(n):
            near[other] = min(near[other], distances[best, other])
    for _ in range(100):
        group = assigned(distances, centres)
        changed = False
        for place in range(k):
            best, least = centres[place], np.inf
            for path in range(n):
                if group[path] != place:
                    continue
                total = 0.0
                for other in range(n):
                    if group[other] == place:
                        total += weight[other] * distances[path, other]
                if total < least:
                    best, least = path, total
            if best != centres[place]:
                centres[place] = best
                changed = True
        if not changed:
            break
    return centres
