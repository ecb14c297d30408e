"""How wide a text is, and where to break it: labels must fit before anybody sees them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["LINE", "apart", "fitted", "plain", "text_width", "told_apart", "wrapped"]

LINE = 1.3
"""Height of a line of text, in font sizes."""

_FIRM = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_BOLD = 1.09
_WIDE = 1.0
_OTHER = 0.62

# Advance widths of the first face in `theme.FONT` (and of its metric twin), in thousandths of the font size.
_CLASSES = {
    200: "'",
    222: "ijlł",
    278: " \xa0!,./:;I[\\]ft|·",
    333: '()-`r"“”„{}‘’‚•°',
    389: "*",
    500: "Jcksvxyzκгзтсухьчэ",
    556: "#$0123456789?L_abdeghnopqu–€адеёклопря",
    584: "+<=>^~−×±≥≤",
    611: "FTZßøивнйГ",
    667: "&ABEKPSVXYбцъАБВЕЗКРТУХЧ",
    722: "CDHNRUwжмДЛНПСЦЬЭ",
    778: "GOQØИЙОФЯ",
    833: "mMшфыюМ",
    889: "%æ",
    1000: "W—→…ÆœŒ@щЖШЩЪЫЮ",
}
_WIDTHS = {letter: width / 1000 for width, letters in _CLASSES.items() for letter in letters}


@lru_cache(maxsize=4096)
def _letter(letter: str) -> float:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    if unicodedata.east_asian_width(letter) in "WF":
        return _WIDE
    if unicodedata.combining(letter):
        return 0.0
    stem = unicodedata.normalize("NFD", letter)[0]
    return _WIDTHS.get(stem, _OTHER)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Estimated width of one line, in pixels.

    Examples
    --------
    >>> text_width("0000", 10)
    22.24
    >>> text_width("旅程", 10) > text_width("ii", 10)
    True
    """
    width = sum(_letter(letter) for letter in text) * size
    return round(width * (_BOLD if bold else 1.0), 2)


def wrapped(
    text: str, room: float, size: float, *, bold: bool = False, lines: int | None = None
) -> list[str]:
    """A text in lines that fit into `room` pixels.

    Breaks at spaces, after hyphens, slashes and underscores, between Chinese characters, and, with a hyphen,
    inside a word that is too long for a line of its own. What exceeds `lines` ends in "…".

    Examples
    --------
    >>> wrapped("Start of product use", 60, 12)
    ['Start of', 'product', 'use']
    >>> wrapped("Informationsbeschaffung", 90, 12)
    ['Informations-', 'beschaffung']
    """
    found: list[str] = []
    line = ""
    for piece in _pieces(text):
        if text_width((line + piece).rstrip(), size, bold=bold) <= room:
            line += piece
            continue
        if line.strip():
            found.append(line.rstrip())
        line = piece
        while text_width(line.rstrip(), size, bold=bold) > room and len(line.rstrip()) > 1:
            cut = _cut(line, room, size, bold=bold)
            found.append(line[:cut] + ("" if _is_wide(line[cut - 1]) else "-"))
            line = line[cut:]
    if line.strip():
        found.append(line.rstrip())
    if lines is not None and len(found) > lines:
        found = [*found[: lines - 1], fitted(" ".join(found[lines - 1 :]), room, size, bold=bold)]
    return found


def fitted(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """A text on one line; what does not fit ends in "…".

    Examples
    --------
    >>> fitted("Information search", 60, 12)
    'Informati…'
    """
    if text_width(text, size, bold=bold) <= room:
        return text
    kept = text
    while kept and text_width(kept + "…", size, bold=bold) > room:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def told_apart(names: Iterable[object], room: float, size: float, *, bold: bool = False) -> list[str]:
    """Names on one line each, as `fitted`; those that would look alike are cut in the middle, not at the end.

    Examples
    --------
    >>> told_apart(["Checkout, step 1", "Checkout, step 2", "Cart"], 70, 12)
    ['Check…ep 1', 'Check…ep 2', 'Cart']
    """
    texts = [str(name) for name in names]
    short = {text: fitted(text, room, size, bold=bold) for text in dict.fromkeys(texts)}
    alike = Counter(short.values())
    return [
        _without_middle(text, room, size, bold=bold) if alike[short[text]] > 1 else short[text]
        for text in texts
    ]


def _without_middle(text: str, room: float, size: float, *, bold: bool) -> str:
    for kept in range(len(text) - 1, 1, -1):
        cut = f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
        if text_width(cut, size, bold=bold) <= room:
            return cut
    return fitted(text, room, size, bold=bold)


def apart(heights: Sequence[float], gap: float, top: float) -> list[float]:
    """Rising heights of labels moved as little as needed to be at least `gap` apart and not above `top`.

    Examples
    --------
    >>> apart([1.0, 1.5, 8.0], 2.0, 9.0)
    [1.0, 3.0, 8.0]
    """
    moved = list(heights)
    for place in range(1, len(moved)):
        moved[place] = max(moved[place], moved[place - 1] + gap)
    for place in range(len(moved) - 1, -1, -1):
        ceiling = top if place == len(moved) - 1 else moved[place + 1] - gap
        moved[place] = min(moved[place], ceiling)
    return moved


def plain(text: object) -> str:
    """A text from the data as a chart shows it: letter by letter, never as markup.

    Examples
    --------
    >>> plain("<a href='x'>R&D</a>")
    "&lt;a href='x'&gt;R&amp;D&lt;/a&gt;"
    """
    return escape(_printable(str(text)), quote=False)


def _printable(text: str) -> str:
    """Without line ends and control characters; spaces that must not break stay."""
    return "".join(letter if letter.isprintable() or letter in _FIRM else " " for letter in text)


def _pieces(text: str) -> list[str]:
    words = re.findall(r"[^ \-/_]*[ \-/_]+|[^ \-/_]+", _printable(text))
    pieces: list[str] = []
    for word in words:
        pieces += list(word) if any(_is_wide(letter) for letter in word) else [word]
    return pieces


def _cut(word: str, room: float, size: float, *, bold: bool) -> int:
    """How many letters of a word that is too long stand on its first line: even parts, of which each fits."""
    stem = word.rstrip()
    parts = math.ceil(text_width(stem, size, bold=bold) / max(room - text_width("-", size, bold=bold), 1))
    cut = min(math.ceil(len(stem) / parts), len(stem) - 1)
    while cut > 1 and text_width(word[:cut] + "-", size, bold=bold) > room:
        cut -= 1
    return max(cut, 1)


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"
