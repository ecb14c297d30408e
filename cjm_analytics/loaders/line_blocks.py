"""Text files as blocks of whole lines in UTF-8, the next ones worked on in threads while one is used."""

from __future__ import annotations

import codecs
import itertools
import re
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.beginnings import PutBack, lines_end
from cjm_analytics.loaders.files import Recoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import BinaryIO


__all__ = [
    "Body",
    "LineBlocks",
    "after_lines",
    "ahead",
    "as_utf8",
    "bodies_of",
]

_PARSERS: Final = 2
_LONGEST_ROW: Final = 1 << 28
_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT: Final = 1 << 16
_FEW: Final = 8
_LINE_FEED: Final = ord("\n")
_NO_BREAK: Final = re.compile(rb"[^\r\n]")
_T = TypeVar("_T")
_R = TypeVar("_R")


class Body(NamedTuple):
    """Lines of a file, how many they are, and the number of the first."""

    lines: bytes
    n_lines: int
    first: int


def bodies_of(blocks: Iterable[bytes], header_lines: int = 0) -> Iterator[Body]:
    """Blocks of lines without those of the header, and without what holds nothing but line ends."""
    first = 1
    for block in blocks:
        body = after_lines(block, header_lines) if header_lines else block
        first += header_lines
        header_lines = 0
        n_breaks = _n_breaks(body)
        if _NO_BREAK.search(body):
            yield Body(body, n_breaks + (not body.endswith(b"\n")), first)
        first += n_breaks


def _n_breaks(block: bytes) -> int:
    """How many line feeds there are; `bytes.count` is slow where there are many."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _LINE_FEED))


def ahead(work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[tuple[_T, _R]]:
    """Each item with what `work` makes of it; while one is used the next ones are worked on, in threads.

    The first is not waited for by others: whoever wants to look at the columns asks for no more.
    """
    every = iter(items)
    for first in itertools.islice(every, 1):
        yield first, work(first)
    waiting: deque[tuple[_T, Future[_R]]] = deque()
    with ThreadPoolExecutor(_PARSERS) as pool:
        for one in every:
            waiting.append((one, pool.submit(work, one)))
            if len(waiting) > _PARSERS:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()


def as_utf8(stream: BinaryIO, encoding: str, file: str) -> BinaryIO:
    """The stream in UTF-8, without a byte-order mark.

    Raises
    ------
    InputError
        It looks like UTF-16, and nothing says so.
    """
    head = bytes(stream.read(_LOOKED_AT))
    whole: Any = PutBack(head, stream)
    if head.startswith(_UTF16):
        return Recoded(whole, "utf-16")  # type: ignore[return-value]
    if head.startswith(_BOM):
        return PutBack(head[len(_BOM) :], stream)  # type: ignore[return-value]
    said = encoding.lower().replace("_", "-")
    if not said.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        _refuse_utf16(head, encoding, file)
        _warn_of_utf8(head, said, file)
    if b"\r" in head and b"\n" not in head:
        whole = _Returns(whole)
    if said in {"utf-8", "utf8", "utf-8-sig", "ascii"}:
        return whole  # type: ignore[no-any-return]
    return Recoded(whole, encoding)  # type: ignore[return-value]


def _refuse_utf16(head: bytes, encoding: str, file: str) -> None:
    """Stop where every other byte is zero, as in western text in UTF-16."""
    zeros = {one: head[place::2].count(0) for place, one in enumerate(("utf-16-be", "utf-16-le"))}
    likely = max(zeros, key=lambda one: zeros[one])
    if len(head) > _FEW and zeros[likely] > len(head) / 4:
        raise InputError(
            f"{file!r} is not in the encoding {encoding!r}: it looks like UTF-16 without a byte-order mark. "
            f"Say encoding={likely!r}."
        )


def _warn_of_utf8(head: bytes, said: str, file: str) -> None:
    """Tell where text that is said to be in an encoding of one byte per letter is UTF-8 beyond doubt."""
    if said in {"utf-8", "utf8", "utf-8-sig", "ascii"} or head.isascii():
        return
    if not codecs.lookup(said).name.startswith(("cp125", "iso8859", "mac")):
        return
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return
    warnings.warn(
        f"{file} is said to be in {said}, but reads as UTF-8 without a fault: names with accents may come "
        "out wrong. Leave out encoding= if they do.",
        stacklevel=2,
    )


class _Returns:
    """A stream of lines that end in carriage returns, as old spreadsheets write them, with line feeds."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return bytes(self._stream.read(size)).replace(b"\r", b"\n")


class LineBlocks:
    """Blocks of whole lines; with a quote, a line break between quotes is no end of a line."""

    def __init__(self, stream: BinaryIO, size: int, quote: bytes = b"") -> None:
        self._stream = stream
        self._size = size
        self._quote = quote
        self._start: bytes | None = None

    def peek(self) -> bytes:
        """The first block, as far as it is needed to look at it."""
        if self._start is None:
            self._start = self._more()
        return self._start

    def _more(self) -> bytes:
        return bytes(self._stream.read(self._size))

    def __iter__(self) -> Iterator[bytes]:
        carried: list[bytes] = []
        held = 0
        block = self.peek()
        self._start = b""
        while block:
            carried.append(block)
            held += len(block)
            if b"\n" in block or held > _LONGEST_ROW:
                lines, rest = self._parted(carried)
                if held > _LONGEST_ROW and not lines:
                    raise InputError(
                        f"A row is longer than {_LONGEST_ROW >> 20} MB: are there line ends at all?"
                    )
                if lines:
                    yield lines
                carried = [rest] if rest else []
                held = len(rest)
            block = self._more()
        if held:
            yield b"".join(carried)

    def _parted(self, blocks: Sequence[bytes]) -> tuple[bytes, bytes]:
        """Whole lines, and what must wait for more."""
        *before, block = blocks
        end = block.rfind(b"\n") + 1
        if end and not (self._quote and any(self._quote in one for one in blocks)):
            return b"".join([*before, memoryview(block)[:end]]), block[end:]
        joined = b"".join(blocks)
        end = self._end(joined)
        return joined[:end], joined[end:]

    def _end(self, block: bytes) -> int:
        """Behind the last line break that stands outside quotes; 0 if more must be read first."""
        if len(block) > 4 * self._size:
            return block.rfind(b"\n") + 1  # a quote that is never closed must not swallow the file
        return lines_end(block, self._quote)


def after_lines(block: bytes, count: int) -> bytes:
    """What stands behind so many lines."""
    at = 0
    for _ in range(count):
        found = block.find(b"\n", at)
        if found < 0:
            return b""
        at = found + 1
    return block[at:]
