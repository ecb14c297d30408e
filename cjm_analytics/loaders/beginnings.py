"""The beginning of a file in place of the whole, for whoever wants to look at the first rows only."""

from __future__ import annotations

import io
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PutBack", "beginning", "lines_end", "only_beginnings"]

_BOM: Final = b"\xef\xbb\xbf"
_QUOTE: Final = b'"'

_size: ContextVar[int | None] = ContextVar("size", default=None)


@contextmanager
def only_beginnings(size: int) -> Iterator[None]:
    """Within it, files of lines end where a line does, before so many unpacked bytes; others are whole."""
    token = _size.set(size)
    try:
        yield
    finally:
        _size.reset(token)


def beginning(stream: BinaryIO) -> BinaryIO:
    """The stream, or the first lines of it."""
    size = _size.get()
    if size is None:
        return stream
    head = _read(stream, size)
    end = _end(head) if len(head) == size else 0
    if end:
        stream.close()
        return io.BytesIO(head[:end])
    return PutBack(head, stream)  # type: ignore[return-value]


def _read(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, unless there are fewer."""
    parts: list[bytes] = []
    while size > 0 and (part := bytes(stream.read(size))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _end(head: bytes) -> int:
    """Behind the last line that is whole; 0 where lines are no rows: one JSON array, XML, what is no text."""
    start = head.removeprefix(_BOM).lstrip()
    if not start or start[:1] in b"[<" or b"\0" in head:
        return 0
    if start[:1] == b"{" and not _is_object(start.partition(b"\n")[0]):
        return 0
    return lines_end(head, b"" if start[:1] == b"{" else _QUOTE)


def lines_end(block: bytes, quote: bytes) -> int:
    """Behind the last line break that stands outside quotes; 0 where there is none."""
    end = block.rfind(b"\n") + 1
    odd = block.count(quote, 0, end) % 2 if quote else 0
    while odd and end:
        before = block.rfind(b"\n", 0, end - 1) + 1
        odd ^= block.count(quote, before, end) % 2
        end = before
    return end


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


class PutBack:
    """A stream with its first bytes put back."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.close()

    @property
    def closed(self) -> bool:
        """Whether the stream has been closed."""
        return bool(self._rest.closed)

    def read(self, size: int = -1) -> bytes:
        """So many bytes at the most; without a number, all."""
        if 0 <= size < len(self._head):
            head, self._head = self._head[:size], self._head[size:]
            return head
        head, self._head = self._head, b""
        return head + bytes(self._rest.read(size - len(head) if size >= 0 else size))
