"""How wide a text is, and where to break it: labels must fit before anybody sees them."""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
    if lines is not None and not _fits(text, room, size, bold=bold, lines=lines):
        text = _cut_to_fit(text, _at_end, room, size, bold=bold, lines=lines)
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
    return found


def fitted(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """A text on one line; what does not fit ends in "…".

    Examples
    --------
    >>> fitted("Information search", 60, 12)
    'Informati…'
    """
    return _cut_to_fit(text, _at_end, room, size, bold=bold)


def told_apart(
    names: Iterable[object], room: float, size: float, *, bold: bool = False, lines: int = 1
) -> list[str]:
    """Names cut so that each fits on so many lines, and no two different names look alike.

    A name is cut at its end, as by `fitted`. Where two would then look alike, both are cut in the middle; if
    they still do, at the beginning that they share; at last they are numbered.

    Examples
    --------
    >>> told_apart(["Checkout, step 1", "Checkout, step 2", "Cart"], 70, 12)
    ['Check…ep 1', 'Check…ep 2', 'Cart']
    >>> told_apart(["https://shop.example/shoes/view", "https://shop.example/hats/view"], 70, 12)
    ['…shoes/vi…', '…hats/view']
    """
    texts = [str(name) for name in names]
    short = {
        text: _cut_to_fit(text, _at_end, room, size, bold=bold, lines=lines) for text in dict.fromkeys(texts)
    }
    for alike in _looking_alike(short):
        for text in alike:
            short[text] = _cut_to_fit(text, _in_middle, room, size, bold=bold, lines=lines)
    for alike in _looking_alike(short):
        shared = _shared(min(alike), max(alike))
        for text in alike:
            end = "…" + text[_start_of_word(text, shared) :]
            short[text] = _cut_to_fit(end, _at_end, room, size, bold=bold, lines=lines)
    for alike in _looking_alike(short):
        for number, text in enumerate(alike, start=1):
            mark = f" ({number})"
            less = room - text_width(mark, size, bold=bold)
            short[text] = _cut_to_fit(text, _at_end, less, size, bold=bold, lines=lines) + mark
    return [short[text] for text in texts]


def _looking_alike(short: dict[str, str]) -> list[list[str]]:
    """The names that are shown by one and the same text."""
    shown: dict[str, list[str]] = {}
    for text, label in short.items():
        shown.setdefault(label, []).append(text)
    return [texts for texts in shown.values() if len(texts) > 1]


def _shared(one: str, other: str) -> int:
    """How many letters two texts begin with in common."""
    differs = (place for place, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1)
    return next(differs, min(len(one), len(other)))


def _start_of_word(text: str, place: int) -> int:
    """Where the word begins that stands at a place."""
    return max(text.rfind(mark, 0, place) for mark in " /-_.") + 1


def _cut_to_fit(
    text: str, cut: Callable[[str, int], str], room: float, size: float, *, bold: bool, lines: int = 1
) -> str:
    """The text if it fits, else the cut that loses the fewest letters."""
    if _fits(text, room, size, bold=bold, lines=lines):
        return text
    fewest, most = 0, len(text)
    while most - fewest > 1:
        kept = (fewest + most) // 2
        if _fits(cut(text, kept), room, size, bold=bold, lines=lines):
            fewest = kept
        else:
            most = kept
    return cut(text, fewest)


def _at_end(text: str, kept: int) -> str:
    return text[:kept].rstrip() + "…"


def _in_middle(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"


def _fits(text: str, room: float, size: float, *, bold: bool, lines: int) -> bool:
    # The sum comes first: to break a text of many thousand letters into lines takes long.
    width = text_width(text, size, bold=bold)
    return width <= room or (width <= lines * room and len(wrapped(text, room, size, bold=bold)) <= lines)


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
