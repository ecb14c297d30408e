"""Ids that belong together: union-find, plain and with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from cjm_analytics.kernels.inner import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "components",
    "first_partners",
    "is_placeholder",
    "limited_unions",
    "session_starts",
]


@inner
def _root(parent: NDArray[np.int64], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(nogil=True, cache=True)
def components(n: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per node the smallest node that it is connected with."""
    parent = np.arange(n)
    for edge in range(len(one)):
        a, b = _root(parent, one[edge]), _root(parent, other[edge])
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b
    for node in range(n):
        parent[node] = parent[parent[node]] if parent[node] != node else node
    return parent


@njit(nogil=True, cache=True)
def limited_unions(
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    held: NDArray[np.int32],
    limits: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Join edge by edge, in the order given, what stays within the limits.

    `held[node, type]` is how many ids of a type a node stands for; no component may hold more than
    `limits[type]` of any. It is changed in place. Also says which edges were refused.
    """
    n, n_types = held.shape
    parent = np.arange(n)
    refused = np.zeros(len(one), dtype=np.bool_)
    for edge in range(len(one)):
        a, b = _root(parent, one[edge]), _root(parent, other[edge])
        if a == b:
            continue
        for kind in range(n_types):
            if held[a, kind] + held[b, kind] > limits[kind]:
                refused[edge] = True
                break
        if refused[edge]:
            continue
        low, high = (a, b) if a < b else (b, a)
        parent[high] = low
        for kind in range(n_types):
            held[low, kind] += held[high, kind]
    for node in range(n):
        parent[node] = _root(parent, node)
    return parent, refused


@njit(nogil=True, cache=True)
def first_partners(
    n: int, node: NDArray[np.int64], partner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Per node one of its partners (−1: none), and whether it has another one besides."""
    first = np.full(n, -1, dtype=np.int64)
    several = np.zeros(n, dtype=np.bool_)
    for pair in range(len(node)):
        if first[node[pair]] < 0:
            first[node[pair]] = partner[pair]
        elif first[node[pair]] != partner[pair]:
            several[node[pair]] = True
    return first, several


@njit(nogil=True, cache=True)
def is_placeholder(
    offsets: NDArray[np.int32],
    data: NDArray[np.uint8],
    word_offsets: NDArray[np.int32],
    words: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    """Which texts consist of zeros and dashes only, or are one of the words in any case of letters.

    The words are in lower case.
    """
    n = len(offsets) - 1
    found = np.zeros(n, dtype=np.bool_)
    longest = 0
    for word in range(len(word_offsets) - 1):
        longest = max(longest, word_offsets[word + 1] - word_offsets[word])
    for text in range(n):
        start, end = offsets[text], offsets[text + 1]
        if start == end:
            continue
        at = start
        while at < end and (data[at] == 48 or data[at] == 45):  # noqa: PLR2004 - "0" and "-"
            at += 1
        if at == end:
            found[text] = True
            continue
        if end - start > longest:
            continue
        for word in range(len(word_offsets) - 1):
            first = word_offsets[word]
            if word_offsets[word + 1] - first != end - start:
                continue
            same = True
            for place in range(end - start):
                letter = data[start + place]
                if 65 <= letter <= 90:  # noqa: PLR2004 - "A" to "Z"
                    letter += 32
                if letter != words[first + place]:
                    same = False
                    break
            if same:
                found[text] = True
                break
    return found


@njit(nogil=True, cache=True)
def session_starts(
    group: NDArray[np.int64],
    since: NDArray[np.int64],
    of: NDArray[np.int64],
    at: NDArray[np.int64],
    silence: int,
) -> NDArray[np.int64]:
    """Per login (`group`, `since`) when the session began that it falls into.

    Logins and events (`of`, `at`) are sorted by group, then time. A session reaches back over events without
    a longer silence between them, up to the login before.
    """
    starts = since.copy()
    event = len(of) - 1
    for login in range(len(group) - 1, -1, -1):
        while event >= 0 and (
            of[event] > group[login] or (of[event] == group[login] and at[event] >= since[login])
        ):
            event -= 1
        back = event
        while (
            back >= 0
            and of[back] == group[login]
            and starts[login] - at[back] <= silence
            and not (login > 0 and group[login - 1] == group[login] and at[back] <= since[login - 1])
        ):
            starts[login] = at[back]
            back -= 1
    return starts
