"""A look at the bytes of many texts, and cutting lines of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ESCAPED", "FRACTION", "TEXT", "WHOLE", "WORD", "cut_objects", "ends", "joined"]

TEXT, WHOLE, FRACTION, WORD, ESCAPED = 1, 2, 4, 8, 16
"""What stands in a column of JSON, as bits: texts, whole numbers, other numbers, `true` or `false`, and texts
with a backslash in them."""

_QUOTE, _BACKSLASH, _COLON, _COMMA, _OPEN, _CLOSE = 34, 92, 58, 44, 123, 125
_BLANK, _RETURN, _FEED, _ZERO, _NINE = 32, 13, 10, 48, 57
_MINUS, _PLUS, _POINT, _LARGE_E, _SMALL_E = 45, 43, 46, 69, 101
_WORDS = np.array([[*b"true", 0], [*b"false"], [*b"null", 0]], dtype=np.uint8)
_LENGTHS = (4, 5, 4)
_WORD_KINDS = (WORD, WORD, 0)
_ONE = np.uint64(1)
"""Places are counted without a sign: a negative one would mean one from the end, which costs a question."""


@kernel
def ends(data: NDArray[np.uint8], starts: NDArray[np.int32]) -> tuple[int, int]:
    """How many of the texts `data[starts[i]:starts[i + 1]]` are empty, and the lowest byte at any end of one.

    Without a text that is not empty the lowest byte is 255.
    """
    n_empty, lowest = 0, 255
    for text in range(len(starts) - 1):
        first, behind = starts[text], starts[text + 1]
        if first == behind:
            n_empty += 1
        else:
            lowest = min(lowest, data[first], data[behind - 1])
    return n_empty, lowest


@kernel
def cut_objects(
    data: NDArray[np.uint8], names: NDArray[np.uint8], bounds: NDArray[np.uint64], n_lines: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]] | None:
    """Where the values of flat JSON objects stand, one object per line.

    `names[bounds[i]:bounds[i + 1]]` is the name of column i as it is written, with its quotes. Per column and
    line the first byte of the value and the one behind it, of a text without its quotes, both −1 where there
    is none; and per column what stands in it. None if a line is anything else: no object, an object with
    another name, the same name twice or a value that is an object or a list itself, or no JSON.
    """
    n_names = len(bounds) - 1
    first = np.full((n_names, n_lines), -1, dtype=np.int32)
    behind = np.full((n_names, n_lines), -1, dtype=np.int32)
    kinds = np.zeros(n_names, dtype=np.uint8)
    last_line = np.full(n_names, -1, dtype=np.int64)
    at, n = np.uint64(0), np.uint64(len(data))
    for line in range(n_lines):
        if at >= n or data[at] != _OPEN:
            return None
        name = -1
        while True:
            at = _past_blanks(data, at + _ONE)
            name = _name_at(data, at, names, bounds, name + 1)
            if name < 0 or last_line[name] == line:
                return None
            last_line[name] = line
            at = _past_blanks(data, at + (bounds[name + 1] - bounds[name]))
            if at >= n or data[at] != _COLON:
                return None
            at = _past_blanks(data, at + _ONE)
            if at < n and data[at] == _QUOTE:
                kind, end = _text_at(data, at)
                first[name, line], behind[name, line] = at + _ONE, end - _ONE
            else:
                kind, end = _plain_at(data, at)
                if kind:
                    first[name, line], behind[name, line] = at, end
            if end == 0:
                return None
            kinds[name] |= kind
            at = _past_blanks(data, end)
            if at >= n or data[at] != _COMMA:
                break
        if at >= n or data[at] != _CLOSE:
            return None
        at = _past_blanks(data, at + _ONE)
        if at < n and data[at] == _RETURN:
            at += _ONE
        if at < n and data[at] != _FEED:
            return None
        at += _ONE
    return (first, behind, kinds) if at >= n else None


@kernel
def joined(
    data: NDArray[np.uint8], first: NDArray[np.int32], behind: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The pieces `data[first[i]:behind[i]]` one behind the other, and where each begins."""
    starts = np.zeros(len(first) + 1, dtype=np.int32)
    for one in range(len(first)):
        starts[one + 1] = starts[one] + behind[one] - first[one]
    whole = np.empty(starts[-1], dtype=np.uint8)
    to = np.uint64(0)
    for one in range(len(first)):
        at, end = np.uint64(first[one]), np.uint64(behind[one])
        while at < end:
            whole[to] = data[at]
            to += _ONE
            at += _ONE
    return starts, whole


@kernel
def _past_blanks(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    while at < np.uint64(len(data)) and data[at] == _BLANK:
        at += _ONE
    return at


@kernel
def _name_at(
    data: NDArray[np.uint8], at: np.uint64, names: NDArray[np.uint8], bounds: NDArray[np.uint64], likely: int
) -> int:
    """The number of the name that stands here, −1 if it is none of them; a likely one is tried first."""
    n_names = len(bounds) - 1
    one = likely
    for _ in range(n_names):
        if one == n_names:
            one = 0
        place, end, there = bounds[one], bounds[one + 1], at
        if at + (end - place) <= np.uint64(len(data)):
            while place < end and data[there] == names[place]:
                place += _ONE
                there += _ONE
            if place == end:
                return one
        one += 1
    return -1


@kernel
def _text_at(data: NDArray[np.uint8], at: np.uint64) -> tuple[int, np.uint64]:
    """What kind of text begins with the quote here, and where it ends; 0 where it does not."""
    n, kind = np.uint64(len(data)), TEXT
    at += _ONE
    while at < n and data[at] != _QUOTE:
        if data[at] < _BLANK:
            return 0, np.uint64(0)
        if data[at] == _BACKSLASH:
            kind = TEXT | ESCAPED
            at += _ONE
        at += _ONE
    return (kind, at + _ONE) if at < n else (0, np.uint64(0))


@kernel
def _plain_at(data: NDArray[np.uint8], at: np.uint64) -> tuple[int, np.uint64]:
    """What stands here without quotes, and where it ends; 0 where that is no value. `null` is of no kind."""
    for word in range(len(_WORDS)):
        length = np.uint64(_LENGTHS[word])
        if at + length <= np.uint64(len(data)):
            same = True
            for place in range(_LENGTHS[word]):
                same &= data[at + np.uint64(place)] == _WORDS[word][place]
            if same:
                return _WORD_KINDS[word], at + length
    return _number_at(data, at)


@kernel
def _number_at(data: NDArray[np.uint8], at: np.uint64) -> tuple[int, np.uint64]:
    """A number by the rules of JSON: no zero in front, digits on both sides of the point."""
    n, none = np.uint64(len(data)), np.uint64(0)
    if at < n and data[at] == _MINUS:
        at += _ONE
    start = at
    at = _past_digits(data, at)
    if at == start or (data[start] == _ZERO and at > start + _ONE):
        return 0, none
    kind = WHOLE
    if at < n and data[at] == _POINT:
        kind, start = FRACTION, at + _ONE
        at = _past_digits(data, start)
        if at == start:
            return 0, none
    if at < n and (data[at] == _SMALL_E or data[at] == _LARGE_E):
        at += _ONE
        if at < n and (data[at] == _MINUS or data[at] == _PLUS):
            at += _ONE
        kind, start = FRACTION, at
        at = _past_digits(data, at)
        if at == start:
            return 0, none
    return kind, at


@kernel
def _past_digits(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    while at < np.uint64(len(data)) and _ZERO <= data[at] <= _NINE:
        at += _ONE
    return at
