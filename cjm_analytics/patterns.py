"""Path patterns: text to an automaton over codes, and the journeys that it fits.

Docs: the language has a page of its own, `docs/patterns.md`. A pattern is compiled to a position automaton
(Glushkov 1961): one position for each place of the pattern that takes an event, and links between them. It
runs over each journey once, so that no pattern is slow on any journey. Where only asked whether it fits, the
states that it can be in are written out first, if they are few: then each event is one look into a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from cjm_analytics.durations import microseconds
from cjm_analytics.errors import InputError, UnknownNameError, hint
from cjm_analytics.once import cached_property

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Automaton", "Found", "PatternError", "compile_anchor", "compile_pattern", "is_pattern"]

UNLIMITED: Final = 2**62
MOST_POSITIONS: Final = 1_000
MOST_LINKS: Final = 20_000
"""Each event of a journey looks at every link, so that their number is what a pattern costs."""

MOST_STATES: Final = 1_000
"""Beyond so many the states of a pattern are not written out, but followed as they come."""

MATCHED: Final = -1
"""The last of the states: behind a match."""

_MOST_REPEATS: Final = 500


class PatternError(InputError):
    """A pattern that does not mean anything.

    Attributes
    ----------
    position : int
        Where in the text, from 0.
    """

    def __init__(self, said: str, text: str, position: int) -> None:
        self.position = position
        shown = text.replace("\n", " ").replace("\t", " ")
        super().__init__(f"{said}\n    {shown}\n    {' ' * position}^")


# ── text to tree ─────────────────────────────────────────────────────────────────────────────────────────


class Link(NamedTuple):
    """How the next event follows: at once or later, and after how many microseconds at most."""

    later: bool
    limit: int = UNLIMITED

    def then(self, other: Link) -> Link:
        """Both links in a row, with nothing taken between them."""
        return Link(self.later or other.later, min(self.limit, other.limit))


_DIRECTLY: Final = Link(later=False)


@dataclass(frozen=True)
class Atom:
    """One event: of one of the codes."""

    codes: frozenset[int]


@dataclass(frozen=True)
class Chain:
    """Items one after the other; `links[i]` leads from item i to the next."""

    items: tuple[Node, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Choice:
    """Any of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """An item several times, directly one after the other; `most` None: any number."""

    item: Node
    least: int
    most: int | None


Node = Atom | Chain | Choice | Repeat

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<edge>\(\s*(?:start|end)\s*\))
    |(?P<link>->|\.\.)
    |(?P<limit>\{\s*(?P<within><=?)\s*(?P<length>[^{}]*)\})
    |(?P<count>\{\s*(?P<least>\d+)\s*(?P<comma>,)?\s*(?P<most>\d+)?\s*\})
    |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<sign>[\[\]()^|*+?.])
    |(?P<name>(?:(?!->)[^\s\[\](){}^|*+?."'])(?:\s*(?:(?!->)[^\s\[\](){}^|*+?."']))*)
    """,
    re.VERBOSE,
)


_KINDS: Final = ("space", "edge", "link", "limit", "count", "quoted", "sign", "name")


class _Token(NamedTuple):
    kind: str
    text: str
    position: int
    match: re.Match[str] | None = None


@dataclass
class _Parser:
    """Recursive descent over the tokens of one pattern."""

    text: str
    names: Sequence[str]
    of: str
    tokens: list[_Token] = field(default_factory=list)
    at: int = 0

    def parse(self) -> Node:
        self.tokens = list(self._tokens())
        if self.next.kind == "end":
            raise PatternError("The pattern is empty.", self.text, 0)
        found = self._choice()
        if self.next.kind != "end":
            self._fail(f"{self.next.text!r} is not expected here", "use '->' or '..' between events")
        return found

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def _tokens(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None or found.end() == at:
                said = "A quote that is not closed." if self.text[at] in "\"'" else "This cannot be read."
                if self.text[at] == "{":
                    said = "In braces stands a count, {2} or {1,3}, or behind a link a time limit, {<1h}."
                raise PatternError(said, self.text, at)
            kind = next(name for name in _KINDS if found.group(name) is not None)
            if kind != "space":
                yield _Token(kind, found.group(), at, found)
            at = found.end()
        yield _Token("end", "the end", len(self.text))

    def _fail(self, said: str, advice: str) -> None:
        raise PatternError(f"{said}: {advice}.", self.text, self.next.position)

    def _take(self, text: str) -> bool:
        if self.next.kind == "sign" and self.next.text == text:
            self.at += 1
            return True
        return False

    def _choice(self) -> Node:
        options: list[Node] = [self._chain()]
        while self._take("|"):
            options.append(self._chain())
        # Single events are one set: of many there would be a link from each to each.
        single = [one for one in options if isinstance(one, Atom)]
        others: list[Node] = [one for one in options if not isinstance(one, Atom)]
        if single:
            others = [Atom(frozenset().union(*(one.codes for one in single))), *others]
        return others[0] if len(others) == 1 else Choice(tuple(others))

    def _chain(self) -> Node:
        items, links = [self._item()], []
        while self.next.kind == "link":
            later = self.next.text == ".."
            self.at += 1
            links.append(Link(later, self._limit()))
            items.append(self._item())
        return items[0] if len(items) == 1 else Chain(tuple(items), tuple(links))

    def _limit(self) -> int:
        token = self.next
        if token.kind != "limit" or token.match is None:
            return UNLIMITED
        self.at += 1
        try:
            length = microseconds(token.match["length"].strip(), name="time limit")
        except InputError as fault:
            raise PatternError(str(fault), self.text, token.position) from fault
        return length - 1 if token.match["within"] == "<" else length

    def _item(self) -> Node:
        item = self._atom()
        while True:
            token = self.next
            if token.kind == "sign" and token.text in "*+?":
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[token.text]
            elif token.kind == "count" and token.match is not None:
                least, most = self._counts(token)
            else:
                return item
            self.at += 1
            item = Repeat(item, least, most)

    def _counts(self, token: _Token) -> tuple[int, int | None]:
        assert token.match is not None  # noqa: S101 - a count token carries its match
        least = int(token.match["least"])
        most = int(token.match["most"]) if token.match["most"] else None if token.match["comma"] else least
        if most is not None and most < max(least, 1):
            raise PatternError(f"{token.text} allows nothing.", self.text, token.position)
        if max(least, most or 0) > _MOST_REPEATS:
            raise PatternError(f"At most {_MOST_REPEATS} repeats can be counted.", self.text, token.position)
        return least, most

    def _atom(self) -> Node:
        token = self.next
        if token.kind == "edge":
            self.at += 1
            return Atom(frozenset({len(self.names) + ("end" in token.text)}))
        if token.kind in {"name", "quoted"}:
            self.at += 1
            return Atom(frozenset({self._code(token)}))
        if self._take("."):
            return Atom(frozenset(range(len(self.names))))
        if self._take("["):
            return self._set()
        if self._take("("):
            inside = self._choice()
            if not self._take(")"):
                self._fail("A group is not closed", "expected ')'")
            return inside
        self._fail(
            f"An event is expected, not {token.text!r}" if token.kind != "end" else "An event is missing",
            "write a name, '.', [a|b], [^a], a group in parentheses, (start) or (end)",
        )
        raise AssertionError  # _fail does not return

    def _set(self) -> Node:
        negated = self._take("^")
        codes = {self._member()}
        while self._take("|"):
            codes.add(self._member())
        if not self._take("]"):
            self._fail("A set is not closed", "expected '|' and another name, or ']'")
        if negated:
            codes = set(range(len(self.names))) - codes
        return Atom(frozenset(codes))

    def _member(self) -> int:
        token = self.next
        if token.kind == "edge":
            self.at += 1
            return len(self.names) + ("end" in token.text)
        if token.kind not in {"name", "quoted"}:
            self._fail("A name is missing", "a set holds names, [a|b] or [^a|b]")
        self.at += 1
        return self._code(token)

    def _code(self, token: _Token) -> int:
        name = token.text
        if token.kind == "quoted":
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        if name not in self.names:
            said = f"No {self.of} named {name!r}.{self._advice(name, token) or hint(name, self.names)}"
            raise PatternError(said, self.text, token.position)
        return list(self.names).index(name)

    def _advice(self, name: str, token: _Token) -> str:
        """What to write instead, where it can be known."""
        if name.lower().removeprefix("path_").removeprefix("journey_") in {"start", "end"}:
            edge = "start" if name.lower().endswith("start") else "end"
            return f" The {edge} of a journey is written ({edge})."
        rest = self.text[token.position :]
        signed = [one for one in self.names if rest.startswith(one)]
        if token.kind == "name" and signed:
            return f" A name with signs in it stands in quotes: {max(signed, key=len)!r}."
        return ""


# ── tree to automaton ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Automaton:
    """A pattern as arrays, for the kernel.

    Attributes
    ----------
    text : str
        The pattern.
    fits : bool, n_positions × (n_symbols + 2)
        Which codes each position takes; the last two are `(start)` and `(end)`.
    first, last : bool, n_positions
        Where a match may begin and end.
    source, target : int32, n_links
    later : bool, n_links
        Other events may lie between.
    limit : int64, n_links
        The longest time between the two events, microseconds.
    """

    text: str
    fits: NDArray[np.bool_]
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    later: NDArray[np.bool_]
    limit: NDArray[np.int64]

    def matches(
        self,
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        codes: NDArray[Any],
        *,
        time: NDArray[np.int64],
        missing: int,
        every: bool = False,
    ) -> Found:
        """The matches in units of rows `low[i]:high[i]`; `missing` is the symbol of the code −1."""
        from cjm_analytics.kernels.patterns import matches

        return Found(
            *matches(
                low, high, codes, time, missing, self.fits, self.first, self.last,
                self.source, self.target, self.later, self.limit, every,
            )
        )  # fmt: skip

    def fitting(
        self,
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        codes: NDArray[Any],
        *,
        time: NDArray[np.int64],
        missing: int,
    ) -> NDArray[np.bool_]:
        """Which units of rows `low[i]:high[i]` have a match."""
        from cjm_analytics.kernels.patterns import fitting

        if self.states is None:
            return self.matches(low, high, codes, time=time, missing=missing).n_matches > 0
        found: NDArray[np.bool_] = fitting(low, high, codes, missing, *self.states)
        return found

    def fitting_lengths(self, lengths: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which units of so many events have a match, where their number alone decides; else None.

        It does for a pattern that takes every event alike, such as `(start) -> .{5,10} -> (end)`.
        """
        if self.states is None or len(set(self.states.kind[:-2].tolist())) != 1:
            return None
        kind, table, _ = self.states
        after = [int(table[0, kind[-2]])]  # the state after so many events; sooner or later they come round
        while (state := int(table[after[-1], kind[0]])) not in after:
            after.append(state)
        again = after.index(state)
        length = np.arange(int(lengths.max(initial=0)) + 1)
        place = np.where(length < len(after), length, again + (length - again) % (len(after) - again))
        fits: NDArray[np.bool_] = (table[after, kind[-1]] == MATCHED)[place] & (length > 0)
        return fits[lengths]

    @cached_property
    def states(self) -> States | None:
        """What can be known of a unit's events so far, where no link has a limit; None: or too much."""
        if (self.limit < UNLIMITED).any():
            return None
        columns, kind = np.unique(self.fits, axis=1, return_inverse=True)
        return _states(self, [_as_bits(column) for column in columns.T], kind.astype(np.int32).ravel())


class States(NamedTuple):
    """A pattern as a table: one step per event, wherever the match may be.

    Attributes
    ----------
    kind : int32, n_symbols + 2
        Symbols of one kind fit the same places.
    table : int32, n_states × n_kinds
        The next state. State 0 is before the first event, the last one, −1, behind a match.
    settled : bool, n_states
        Whatever comes, it stays.
    """

    kind: NDArray[np.int32]
    table: NDArray[np.int32]
    settled: NDArray[np.bool_]


def _states(automaton: Automaton, fits: Sequence[int], kind: NDArray[np.int32]) -> States | None:
    """All states that events can lead to; None if there are too many.

    A state is the set of positions that took the last event, and those that took any before a link to later
    ones; sets are whole numbers, bit by bit.
    """
    first, last = _as_bits(automaton.first), _as_bits(automaton.last)
    follow = {later: [0] * len(automaton.first) for later in (False, True)}
    for one, other, later in zip(automaton.source, automaton.target, automaton.later, strict=True):
        follow[bool(later)][one] |= 1 << int(other)
    waits = _as_bits(np.array([bool(others) for others in follow[True]]))
    known = [(0, 0)]
    number = {known[0]: 0}
    rows: list[list[int]] = []
    for active, seen in known:  # grows on the way
        reached = first
        for places, others in ((active, follow[False]), (seen, follow[True])):
            for place in _places(places):
                reached |= others[place]
        row = []
        for fitting in fits:
            taken = reached & fitting
            following = (taken, seen | (taken & waits))
            if taken & last:
                row.append(MATCHED)
                continue
            if following not in number:
                number[following] = len(known)
                known.append(following)
            row.append(number[following])
        rows.append(row)
        if len(known) > MOST_STATES:
            return None
    table = np.array([*rows, [MATCHED] * len(fits)], np.int32)
    behind_start = table[:, np.unique(np.delete(kind, -2))]
    settled = (behind_start == np.array([*range(len(known)), MATCHED])[:, None]).all(axis=1)
    return States(kind, table, settled)


def _as_bits(flags: NDArray[np.bool_]) -> int:
    return sum(1 << place for place in np.flatnonzero(flags).tolist())


def _places(bits: int) -> Iterator[int]:
    while bits:
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1


class Found(NamedTuple):
    """Matches that do not overlap.

    Attributes
    ----------
    n_matches : int64, n_units
    unit, begin, end : int64
        Of the first match of each unit that has one (or of every match): the unit, and the rows of its first
        and last event.
    """

    n_matches: NDArray[np.int64]
    unit: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]


_Way = tuple[int, Link]
"""A position, and the link to or from it that was crossed without taking an event."""


@dataclass
class _Builder:
    """Positions and links under way."""

    text: str
    codes: list[frozenset[int]] = field(default_factory=list)
    links: dict[tuple[int, int, Link], None] = field(default_factory=dict)

    def connect(self, ends: Sequence[_Way], starts: Sequence[_Way]) -> None:
        if len(self.links) + len(ends) * len(starts) > MOST_LINKS:
            raise PatternError(
                f"The pattern is too large: more than {MOST_LINKS:,} links between its events. Say '..' for "
                "any events between, [a|b] for either of two, and leave out repeats of what may be missing.",
                self.text,
                0,
            )
        for one, out in ends:
            for other, into in starts:
                self.links[one, other, out.then(into)] = None

    def build(self, node: Node) -> _Piece:
        if isinstance(node, Atom):
            if len(self.codes) == MOST_POSITIONS:
                raise PatternError(f"A pattern has at most {MOST_POSITIONS:,} places.", self.text, 0)
            self.codes.append(node.codes)
            way = (len(self.codes) - 1, _DIRECTLY)
            return _Piece(empty=False, first=[way], last=[way])
        if isinstance(node, Choice):
            pieces = [self.build(one) for one in node.options]
            return _Piece(
                any(one.empty for one in pieces),
                [way for one in pieces for way in one.first],
                [way for one in pieces for way in one.last],
            )
        if isinstance(node, Repeat):
            return self._repeated(node)
        return self._chained(node)

    def _repeated(self, node: Repeat) -> _Piece:
        """Copies in a row that may end behind any from the `least`-th on; without `most`, the last loops.

        Who takes fewer takes the first ones: links lead to the next copy only, so that x{0,500} has as many
        links as x{500}. An item that may take nothing may as well be left out.
        """
        least = 0 if _may_be_empty(node.item) else node.least
        pieces = [self.build(node.item)]
        for _ in range((max(least, 1) if node.most is None else node.most) - 1):
            pieces.append(self.build(node.item))
            self.connect(pieces[-2].last, pieces[-1].first)
        if node.most is None:
            self.connect(pieces[-1].last, pieces[-1].first)
        last = [way for piece in pieces[max(least - 1, 0) :] for way in piece.last]
        return _Piece(empty=least == 0, first=pieces[0].first, last=last)

    def _chained(self, node: Chain) -> _Piece:
        first: list[_Way] = []
        waiting: list[_Way] = []
        ahead: Link | None = _DIRECTLY
        for number, item in enumerate(node.items):
            piece = self.build(item)
            if number:
                link = node.links[number - 1]
                waiting = [(at, before.then(link)) for at, before in waiting]
                ahead = ahead.then(link) if ahead is not None else None
                self.connect(waiting, piece.first)
            if ahead is not None:  # nothing was taken so far
                first += [(at, ahead.then(into)) for at, into in piece.first]
            waiting = [*(waiting if piece.empty else []), *piece.last]
            ahead = ahead if piece.empty else None
        return _Piece(ahead is not None, first, waiting)


def _may_be_empty(node: Node) -> bool:
    """Whether it may take no event at all."""
    if isinstance(node, Repeat):
        return node.least == 0 or _may_be_empty(node.item)
    if isinstance(node, Choice):
        return any(map(_may_be_empty, node.options))
    return isinstance(node, Chain) and all(map(_may_be_empty, node.items))


class _Piece(NamedTuple):
    """A part of the automaton: whether it may take nothing, and where it begins and ends."""

    empty: bool
    first: list[_Way]
    last: list[_Way]


def compile_pattern(text: str, names: Sequence[str], *, of: str = "touchpoint") -> Automaton:
    """Compile a pattern over some names.

    Parameters
    ----------
    text : str
        The pattern.
    names : sequence of str
        The names of the symbols, in the order of their codes.
    of : str
        What the names are, for messages.

    Raises
    ------
    PatternError
        With a mark under the place: the text cannot be read, a name is unknown, or the pattern could take no
        event at all, or is too large.

    Examples
    --------
    >>> automaton = compile_pattern("view -> [^buy]* -> (end)", ["view", "buy"])
    >>> automaton.fits.astype(int)
    array([[1, 0, 0, 0],
           [1, 0, 0, 0],
           [0, 0, 0, 1]])
    >>> compile_pattern("view -> -> buy", ["view", "buy"])
    Traceback (most recent call last):
    cjm_analytics.patterns.PatternError: An event is expected, not '->': write a name, '.', [a|b], [^a], \
a group in parentheses, (start) or (end).
        view -> -> buy
                ^
    """
    if not isinstance(text, str):
        raise InputError(f"A pattern is text, for example 'ad -> .* -> buy', not {type(text).__name__}.")
    builder = _Builder(text)
    try:
        piece = builder.build(_Parser(text, names, of).parse())
    except RecursionError as fault:
        raise PatternError("The pattern is nested too deeply.", text, 0) from fault
    n = len(builder.codes)
    if piece.empty:
        raise PatternError(
            "The pattern fits nothing at all, and so every journey: ask for some event.", text, 0
        )
    fits = np.zeros((n, len(names) + 2), np.bool_)
    for position, codes in enumerate(builder.codes):
        fits[position, list(codes)] = True
    links = list(builder.links)
    return Automaton(
        text,
        fits,
        _flags(n, piece.first),
        _flags(n, piece.last),
        np.array([source for source, _, _ in links], np.int32),
        np.array([target for _, target, _ in links], np.int32),
        np.array([link.later for _, _, link in links], np.bool_),
        np.array([link.limit for _, _, link in links], np.int64),
    )


def compile_anchor(text: str, names: Sequence[str], *, of: str = "touchpoint") -> Automaton:
    """A name, as it stands, or else a pattern.

    Raises
    ------
    UnknownNameError
        Neither a name nor a pattern.
    PatternError
        A pattern that cannot be read.
    """
    if isinstance(text, str) and text not in names and is_pattern(text):
        return compile_pattern(text, names, of=of)
    if text not in names:
        raise UnknownNameError(of, text, names)
    quoted = re.sub(r'(["\\\\])', r"\\\1", text)
    return compile_pattern(f'"{quoted}"', names, of=of)


def is_pattern(text: str) -> bool:
    """Whether a text looks like a pattern, also of one name in quotes, and not like the name of one event."""
    return bool(re.search(r'->|\.\.|[\[\](){}|*+?^]|^\s*".*"\s*$', text))


def _flags(n: int, ways: Sequence[_Way]) -> NDArray[np.bool_]:
    flags = np.zeros(n, np.bool_)
    flags[[position for position, _ in ways]] = True
    return flags
