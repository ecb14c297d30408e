"""Which line of a TOML or JSON text says what: for messages that point at a line.

Both walkers may assume that the text is valid: they run after the standard library has parsed it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Place", "line_of", "lines_of", "spelled"]

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands in a document: keys, and positions in lists."""

_BLANK = re.compile(r"(?:[\s,]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str, *, toml: bool) -> dict[Place, int]:
    r"""The line, from 1, of every key and every element of a list.

    Examples
    --------
    >>> lines_of('a = 1\n[[b]]\nc = [\n  2,\n]', toml=True)
    {('a',): 1, ('b',): 2, ('b', 0): 2, ('b', 0, 'c'): 3, ('b', 0, 'c', 0): 4}
    """
    walk = _Walk(text)
    if toml:
        walk.document()
    else:
        walk.value((), walk.json_member)
    return walk.lines


def line_of(place: Place, lines: dict[Place, int]) -> int | None:
    """The line of a place, else of the nearest thing around it; None for the document as a whole.

    Examples
    --------
    >>> line_of(("b", 0, "missing"), {("b", 0): 2})
    2
    """
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)


def spelled(place: Place) -> str:
    """A place in one word.

    Examples
    --------
    >>> spelled(("touchpoint", 3, "match", "any", 0, "event"))
    'touchpoint[3].match.any[0].event'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


@dataclass
class _Walk:
    text: str
    at: int = 0
    lines: dict[Place, int] = field(default_factory=dict)
    _tables: dict[Place, int] = field(default_factory=dict)
    """How many tables each `[[…]]` has so far."""

    def document(self) -> None:
        """TOML: headers, and keys with their values."""
        table: Place = ()
        while self._skip():
            if self.text.startswith("[[", self.at):
                table = self._header(2)
            elif self.text.startswith("[", self.at):
                table = self._header(1)
            else:
                self.member(table)

    def value(self, place: Place, member: Callable[[Place], None]) -> None:
        """A value; what stands inside it is noted."""
        self._skip()
        opening = self.text[self.at]
        if opening == "[":
            self.at += 1
            position = 0
            while self._skip() and self.text[self.at] != "]":
                self._note((*place, position))
                self.value((*place, position), member)
                position += 1
            self.at += 1
        elif opening == "{":
            self.at += 1
            while self._skip() and self.text[self.at] != "}":
                member(place)
            self.at += 1
        else:
            found = _TEXT.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            self.at = found.end() if found else self.at + 1

    def member(self, table: Place) -> None:
        """TOML: a dotted key, `=` and its value."""
        line = self._line()
        place = table
        for key in self._dotted():
            place = (*place, key)
            self.lines.setdefault(place, line)
        self.at += 1
        self.value(place, self.member)

    def json_member(self, table: Place) -> None:
        """JSON: a quoted key, `:` and its value."""
        place = (*table, self._key())
        self._note(place)
        self._skip()
        self.at += 1
        self.value(place, self.json_member)

    def _header(self, brackets: int) -> Place:
        line = self._line()
        self.at += brackets
        keys = self._dotted()
        self.at += brackets
        place: Place = ()
        for depth, key in enumerate(keys, 1):
            place = (*place, key)
            self.lines.setdefault(place, line)
            if brackets == 2 and depth == len(keys):  # noqa: PLR2004 - [[ opens a further table of a list
                self._tables[place] = self._tables.get(place, 0) + 1
            if place in self._tables:
                place = (*place, self._tables[place] - 1)
                self.lines.setdefault(place, line)
        return place

    def _dotted(self) -> list[str]:
        keys = [self._key()]
        while self._skip() and self.text[self.at] == ".":
            self.at += 1
            self._skip()
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        found = _BARE.match(self.text, self.at) or _TEXT.match(self.text, self.at)
        if not found:  # cannot be in a valid text; go on rather than loop
            self.at += 1
            return ""
        self.at = found.end()
        return found[0].strip("\"'")

    def _note(self, place: Place) -> None:
        self.lines.setdefault(place, self._line())

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def _skip(self) -> bool:
        """Go to the next thing that says something; false at the end."""
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at < len(self.text)
