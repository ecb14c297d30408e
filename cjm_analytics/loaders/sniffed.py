"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from cjm_analytics.loaders.files import InputFile

__all__ = ["format_in", "oddity"]

_START: Final = 1 << 16
_FORMATS: Final = {b"PAR1": "parquet", b"Obj\x01": "avro"}
_ODD: Final = (
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "a SQLite database: read it with cjm.loaders.sql"),
    (b"\x1f\x8b", "packed twice: unpack it once"),
    (b"\x28\xb5\x2f\xfd", "packed twice: unpack it once"),
    (b"PK\x03\x04", "a ZIP archive: call it ….zip, or ….xlsx if it is a workbook"),
    (b"\x7fELF", "a program"),
)
_PAGE: Final = re.compile(rb"^\s*<(!doctype html|html)", re.IGNORECASE)
_NO_TEXT: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_RARE: Final = 0.001
_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def _start(file: InputFile) -> bytes:
    with file.open() as stream:
        return bytes(stream.read(_START))


def format_in(file: InputFile) -> str | None:
    """The format that a file is written in, where its first bytes leave no doubt."""
    start = _start(file)
    known = next((said for magic, said in _FORMATS.items() if start.startswith(magic)), None)
    if known is not None or oddity(file) is not None:
        return known
    text = start.removeprefix(_MARKS[0]).lstrip()
    if text[:1] in {b"{", b"["}:
        line = text.partition(b"\n")[0]
        return "json" if text[:1] == b"[" or line.strip() == b"{" or _is_json(line) else None
    if _is_json(text.partition(b"\n")[0]) or text[:1] == b"<":
        return None  # a bare number or text as JSON; XML
    return "csv" if any(sign in text.partition(b"\n")[0] for sign in (b",", b";", b"\t", b"|")) else None


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def oddity(file: InputFile) -> str | None:
    """What a file is that no loader reads; None where that cannot be told."""
    start = _start(file)
    for magic, said in _ODD:
        if start.startswith(magic):
            return said
    if _PAGE.search(start):
        return "a web page, perhaps of a login or an error"
    is_wide = start.startswith(_MARKS[1:]) or start[1:2] == b"\0" or start[:1] == b"\0"
    if not is_wide and len(_NO_TEXT.findall(start)) > len(start) * _RARE:
        return "no text but bytes of an unknown format"
    return None
