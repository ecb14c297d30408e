"""Ids that belong together: union-find, plain and with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "first_by_rank",
    "is_placeholder",
    "joined",
    "limited_unions",
    "most_partners",
    "session_starts",
    "types_of",
    "users_apart",
    "with_several",
]


@kernel
def types_of(
    texts: tuple[NDArray[np.integer[Any]], NDArray[np.uint8]],
    names: tuple[NDArray[np.integer[Any]], NDArray[np.uint8]],
    places: NDArray[np.int8],
    otherwise: int,
) -> NDArray[np.int8]:
    """Per text the place of the name before its first colon; texts and names as ends and bytes."""
    ends, data = texts
    name_ends, letters = names
    n, n_names = len(ends) - 1, len(places)
    longest = 0
    for name in range(n_names):
        longest = max(longest, name_ends[name + 1] - name_ends[name])
    found = np.full(n, otherwise, dtype=np.int8)
    for text in range(n):
        begin = ends[text]
        colon, last = begin, min(ends[text + 1], begin + longest + 1)
        while colon < last and data[colon] != 58:  # noqa: PLR2004 - a colon
            colon += 1
        if colon == last:
            continue
        for name in range(n_names):
            first = name_ends[name]
            if name_ends[name + 1] - first != colon - begin:
                continue
            same = True
            for place in range(colon - begin):
                if data[begin + place] != letters[first + place]:
                    same = False
                    break
            if same:
                found[text] = places[name]
                break
    return found


@kernel
def users_apart(
    one: NDArray[np.int32],
    other: NDArray[np.int32],
    is_user: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    types: NDArray[np.int8],
    n_strong: int,
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Nodes for texts: a text that is a user id in one pair and an alias in another one gets two.

    `one` and `other` are the texts of each pair and become its nodes, in place; `is_user` says where a text
    is meant as a user id, which makes no difference to one whose type is among the `n_strong` first. Returns
    the text and the type of each node; 0 is the type of users.
    """
    n = len(types)
    seen = np.zeros(n, dtype=np.uint8)
    for pair in range(len(one)):
        seen[one[pair]] |= 2 if is_user[0][pair] and types[one[pair]] >= n_strong else 1
        seen[other[pair]] |= 2 if is_user[1][pair] and types[other[pair]] >= n_strong else 1
    n_both = 0
    for text in range(n):
        n_both += seen[text] == 3  # noqa: PLR2004 - both bits
    node_text, node_type = np.empty(n + n_both, dtype=np.int32), np.empty(n + n_both, dtype=np.int8)
    second = np.zeros(n if n_both else 0, dtype=np.int32)
    more = n
    for text in range(n):
        node_text[text] = text
        node_type[text] = types[text] if seen[text] & 1 else 0
        if seen[text] == 3:  # noqa: PLR2004
            second[text] = more
            node_text[more], node_type[more] = text, 0
            more += 1
    if n_both:
        for pair in range(len(one)):
            a, b = one[pair], other[pair]
            if is_user[0][pair] and seen[a] == 3 and types[a] >= n_strong:  # noqa: PLR2004
                one[pair] = second[a]
            if is_user[1][pair] and seen[b] == 3 and types[b] >= n_strong:  # noqa: PLR2004
                other[pair] = second[b]
    return node_text, node_type


@kernel
def _root(parent: NDArray[np.int32], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def joined(
    label: NDArray[np.int32], one: NDArray[np.int32], other: NDArray[np.int32], use: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Per node the smallest node that it is connected with, by its label and by the pairs that are used.

    A label is the smallest node of its own.
    """
    parent = label.copy()
    for pair in range(len(one)):
        if use[pair]:
            a, b = _root(parent, one[pair]), _root(parent, other[pair])
            if a < b:
                parent[b] = a
            elif b < a:
                parent[a] = b
    for node in range(len(parent)):  # what comes before a node is done
        parent[node] = parent[parent[node]]
    return parent


@kernel
def limited_unions(
    one: NDArray[np.int32],
    other: NDArray[np.int32],
    held: NDArray[np.int32],
    limits: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Join edge by edge, in the order given, what stays within the limits.

    `held[node, type]` is how many ids of a type a node stands for; no component may hold more than
    `limits[type]` of any. It is changed in place. Also says which edges were refused.
    """
    n, n_types = held.shape
    parent = np.arange(n).astype(np.int32)
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


@kernel
def most_partners(
    pairs: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]],
    types: NDArray[np.int8],
    n_strong: int,
) -> NDArray[np.int32]:
    """Per node of a later type, in how many pairs with nodes of one of the `n_strong` first types it stands.

    Of several types the one with most pairs. `pairs` are the two ends of each, and which are used.
    """
    one, other, use = pairs
    most, counts = np.zeros(len(types), dtype=np.int32), np.zeros(len(types), dtype=np.int32)
    present = np.zeros(n_strong, dtype=np.bool_)
    for node in range(len(types)):
        if types[node] < n_strong:
            present[types[node]] = True
    for kind in range(n_strong):
        if not present[kind]:
            continue
        counts[:] = 0
        for pair in range(len(one)):
            if use[pair]:
                a, b = types[one[pair]], types[other[pair]]
                if a == kind and b >= n_strong:
                    counts[other[pair]] += 1
                elif b == kind and a >= n_strong:
                    counts[one[pair]] += 1
        for node in range(len(types)):
            most[node] = max(most[node], counts[node])
    return most


@kernel
def with_several(
    pairs: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]],
    asked: NDArray[np.bool_],
    telling: NDArray[np.bool_],
    label: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Which of the nodes that are asked about stand in pairs with telling nodes of several labels.

    `pairs` are the two ends of each, and which are used.
    """
    one, other, use = pairs
    first = np.full(len(label), -1, dtype=np.int32)
    several = np.zeros(len(label), dtype=np.bool_)
    for pair in range(len(one)):
        if not use[pair]:
            continue
        for turned in range(2):
            node, partner = (other[pair], one[pair]) if turned else (one[pair], other[pair])
            if asked[node] and telling[partner]:
                if first[node] < 0:
                    first[node] = label[partner]
                elif first[node] != label[partner]:
                    several[node] = True
    return several


@kernel
def first_by_rank(
    label: NDArray[np.int32], rank: NDArray[np.int8]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Per label one of its nodes of the lowest rank (−1: it is no label), and whether there are others."""
    first = np.full(len(label), -1, dtype=np.int32)
    several = np.zeros(len(label), dtype=np.bool_)
    for node in range(len(label)):
        own = label[node]
        if first[own] < 0 or rank[node] < rank[first[own]]:
            first[own] = node
            several[own] = False
        elif rank[node] == rank[first[own]]:
            several[own] = True
    return first, several


@kernel
def is_placeholder(
    offsets: NDArray[np.integer[Any]],
    data: NDArray[np.uint8],
    word_offsets: NDArray[np.integer[Any]],
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


@kernel
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
