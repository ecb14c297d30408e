"""The words in which a vendor's loader says where a canonical column comes from.

A mapping gives each canonical column the name of a column of the export (`"user_id"`; dotted for a member of
an object: `"context.page.url"`), a constant (`"=web"`), or one of the sayings below. A saying reads whole
columns of a block; the columns that it takes over completely leave `properties`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.agents import device_of, is_bot
from cjm_analytics.loaders.rows import JSON, holds_json, inferred, member
from cjm_analytics.loaders.values import one_text, path_of, strings, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.rows import Rows

__all__ = [
    "Cells",
    "Saying",
    "Side",
    "Sides",
    "Where",
    "address",
    "bot",
    "chosen",
    "column",
    "device",
    "different",
    "each",
    "every",
    "filled",
    "first",
    "followed",
    "is_uuid",
    "joined",
    "key_text",
    "looked_up",
    "number",
    "path",
    "plainly",
    "scaled",
    "told",
    "truths",
    "unless",
    "utm",
    "whenever",
    "without",
    "without_pattern",
]

Sides: TypeAlias = "Mapping[str, Mapping[str, Mapping[str, Any]]]"
"""Side tables, read whole: name → key → row."""


class Side(Mapping[str, Mapping[str, Any]]):
    """A side table, read whole: key → row. It is held as rows, or as a few columns that were asked for.

    Of several rows of one key the newest counts, by a column that tells (else the last); what only the others
    say is kept. Where the column says nothing that can be read, the row is older than those where it does.
    """

    def __init__(self, newest: str | None = None) -> None:
        self._newest = newest
        self._n_rows = 0
        self._rows: dict[str, dict[str, Any]] = {}
        self._blocks: list[tuple[pa.Array, dict[str, pa.Array]]] = []
        self._columns: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        return self._told[key]

    def add_rows(self, keys: pa.Array, rows: Iterable[dict[str, Any]]) -> None:
        """More rows; those without a key are of no use."""
        for key, row in zip(keys.to_pylist(), rows, strict=True):
            if key is None:
                continue
            self._n_rows += 1
            older = self._rows.get(key)
            if older is None:
                self._rows[key] = row
                continue
            named = self._newest
            is_late = not named or _newness(older.get(named)) <= _newness(row.get(named))
            self._rows[key] = older | row if is_late else row | older

    def add_columns(self, keys: pa.Array, columns: Mapping[str, pa.Array]) -> None:
        """More rows, of which these columns are held."""
        there = pc.is_valid(keys)
        self._n_rows += len(keys) - keys.null_count
        self._blocks.append((keys.filter(there), {name: one.filter(there) for name, one in columns.items()}))

    @property
    def is_of_single_rows(self) -> bool:
        """Whether no key came twice."""
        return len(self) == self._n_rows

    @cached_property
    def places(self) -> dict[str, int]:
        """Key → place of its row."""
        keys = list(self._rows) or self._held[0].to_pylist()
        return {key: place for place, key in enumerate(keys)}

    @cached_property
    def _held(self) -> tuple[pa.Array, dict[str, pa.Array]]:
        """The keys, each once, and the columns that were held."""
        blocks, self._blocks = self._blocks, []
        codes = pc.dictionary_encode(
            pa.concat_arrays([pa.array([], pa.string()), *(keys for keys, _ in blocks)])
        )
        order = np.arange(len(codes))
        is_single = len(codes.dictionary) == len(codes)
        if not is_single and any(self._newest in columns for _, columns in blocks):
            told = pc.dictionary_encode(pc.fill_null(texts(_stacked(blocks, self._newest or "")), ""))
            said = told.dictionary.to_pylist()
            rank = np.empty(len(said), np.int64)
            rank[sorted(range(len(said)), key=lambda one: _newness(said[one]))] = np.arange(len(said))
            order = np.argsort(rank[told.indices.to_numpy()], kind="stable")
        keys, held = codes.dictionary, {}
        for name in dict.fromkeys(name for _, columns in blocks for name in columns):
            cells = _stacked(blocks, name)
            for _, columns in blocks:
                columns.pop(name, None)  # so that there is one column twice at a time, and not all of them
            if not is_single:
                filled = order[cells.is_valid().to_numpy(zero_copy_only=False)[order]]
                at = np.full(len(keys), -1, np.int64)
                at[codes.indices.to_numpy()[filled]] = filled  # the last one counts
                cells = cells.take(pa.array(at, mask=at < 0))
            held[name] = cells
        return keys, held

    @cached_property
    def _told(self) -> Mapping[str, Mapping[str, Any]]:
        if self._rows:
            return self._rows
        keys, held = self._held
        cells = zip(*(one.to_pylist() for one in held.values()), strict=True)
        rows = (
            {name: value for name, value in zip(held, row, strict=True) if value is not None} for row in cells
        )
        return (
            dict(zip(keys.to_pylist(), rows, strict=False)) if held else {key: {} for key in keys.to_pylist()}
        )

    def column(self, name: str) -> pa.Array:
        """A member of every row."""
        if name not in self._columns:
            if not self._rows and name.partition(".")[0] not in self._held[1]:
                self._columns[name] = pa.nulls(len(self), pa.string())  # no row says anything of it
            elif self._rows or name not in self._held[1]:
                self._columns[name] = inferred([member(row, name) for row in self._told.values()])
            else:
                self._columns[name] = self._held[1][name]
        return self._columns[name]

    def ends(self, name: str) -> pa.Array:
        """The end of the chain of references that begins at each row."""
        told = f"end of {name}"
        if told not in self._columns:
            self._columns[told] = pa.array([_end(self, key, name) for key in self], pa.string())
        return self._columns[told]


def _newness(cell: object) -> tuple[float, str]:
    """By what of two rows the newer is told: a time, a number, a truth, all else before these."""
    text = (one_text(cell) or "").strip()
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()], text
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text), text
    try:
        time = datetime.fromisoformat(text.removesuffix("UTC").strip())
    except ValueError:
        return -np.inf, text
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp(), text


def _stacked(blocks: Sequence[tuple[pa.Array, Mapping[str, pa.Array]]], name: str) -> pa.Array:
    """A column of several blocks, as text where they do not agree in its type."""
    found = [one[name] if name in one else pa.nulls(len(keys), pa.string()) for keys, one in blocks]
    if len({one.type for one in found}) > 1:
        found = [texts(one) for one in found]
    return pa.concat_arrays(found)


_NOTHING: Mapping[str, Any] = {}
_ODD_KEY = r"^\s*$|^\s|\s$|\.0$"
_UUID = re.compile(r"[0-9a-f]+(?:-[0-9a-f]+){4}", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_TRUTHS = {"false": 0.0, "true": 1.0}
_MOST = 1e13
"""Smaller amounts fit their column."""

_TRUE = pa.array(["true", "t", "1", "yes", "y"])


@dataclass(frozen=True)
class Cells:
    """The columns of one block, as sayings see them.

    Attributes
    ----------
    rows : Rows
        The block.
    sides : mapping
        The side tables of the export.
    """

    rows: Rows
    sides: Mapping[str, Side] = field(default_factory=dict)
    _known: dict[Callable[[Cells], pa.Array], pa.Array] = field(default_factory=dict, repr=False)
    _rows_of: dict[tuple[str, Callable[[Cells], pa.Array]], pa.Array] = field(
        default_factory=dict, repr=False
    )

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, one: Saying) -> pa.Array:
        """What a saying says; one that is part of several is asked once."""
        if one.read not in self._known:
            self._known[one.read] = one.read(self)
        return self._known[one.read]

    def keys(self, one: Saying) -> pa.Array:
        """The same as keys of a side table."""
        said = self.of(one)
        if pa.types.is_integer(said.type):
            return texts(said)
        if pa.types.is_string(said.type) and not pc.any(pc.match_substring_regex(said, _ODD_KEY)).as_py():
            return said
        return pa.array([key_text(key) for key in said.to_pylist()], pa.string())

    def places(self, side: str, one: Saying) -> pa.Array:
        """Which row of a side table a column refers to; several members of it are looked up by one key."""
        if (side, one.read) not in self._rows_of:
            place = self.sides[side].places.get
            found = [place(key) for key in self.keys(one).to_pylist()]
            self._rows_of[side, one.read] = pa.array(found, pa.int64())
        return self._rows_of[side, one.read]

    def __getitem__(self, name: str) -> pa.Array:
        """A column in its own type; nulls where the block has none of that name; `=text` is a constant."""
        if name.startswith("="):
            return pa.repeat(pa.scalar(name[1:], pa.string()), len(self.rows))
        if not len(self.rows) or not self.rows.has(name):
            return pa.nulls(len(self.rows), pa.string())
        return self.rows.column(name)


@dataclass(frozen=True)
class Saying:
    """Where a canonical column comes from.

    Attributes
    ----------
    read : callable
        Cells of a block → the column.
    reads : tuple of str
        Columns of the export that it looks at.
    lifts : tuple of str
        Those among them that need not be kept in `properties` any more.
    """

    read: Callable[[Cells], pa.Array]
    reads: tuple[str, ...] = ()
    lifts: tuple[str, ...] = ()

    def lifting(self, *names: str) -> Saying:
        """The same, with these columns (default: all that it reads) taken out of `properties`."""
        return replace(self, lifts=names or self.reads)

    def keeping(self) -> Saying:
        """The same, with everything that it reads kept in `properties`, too."""
        return replace(self, lifts=())


Where: TypeAlias = "str | Saying"
"""A column of the export, `=constant`, or a saying."""


def column(where: Where) -> Saying:
    """A name or a constant as a saying."""
    return where if isinstance(where, Saying) else _named(where)


@cache
def _named(where: str) -> Saying:
    """A column of the export: one saying for each name, so that a block is asked once."""
    names = () if where.startswith("=") else (where,)
    return Saying(lambda cells: cells[where], names, names)


def _several(wheres: Sequence[Where]) -> tuple[list[Saying], tuple[str, ...]]:
    sayings = [column(one) for one in wheres]
    return sayings, tuple(dict.fromkeys(name for one in sayings for name in one.reads))


def _filled(values: pa.Array) -> pa.Array:
    """Text, with nulls for empty cells."""
    found = texts(values)
    empty = pc.equal(pc.binary_length(found), 0)
    return pc.if_else(empty, pa.scalar(None, pa.string()), found) if pc.any(empty).as_py() else found


def first(*wheres: Where) -> Saying:
    """The first of several that is not empty, as text."""
    sayings, reads = _several(wheres)
    lifts = tuple(name for one in sayings for name in one.lifts)

    def read(cells: Cells) -> pa.Array:
        found = _filled(cells.of(sayings[0]))
        for one in sayings[1:]:
            if not found.null_count:
                break  # nobody need be asked any more
            found = pc.coalesce(found, _filled(cells.of(one)))
        return found

    return Saying(read, reads, lifts)


def plainly(where: Where) -> Saying:
    """A column where it holds no object and no list."""
    one = column(where)

    def read(cells: Cells) -> pa.Array:
        found = cells.of(one)
        if pa.types.is_nested(found.type):
            return pa.nulls(len(found), pa.string())
        if not holds_json(found):
            return found
        return pc.if_else(pc.match_substring_regex(found, JSON), pa.scalar(None, pa.string()), found)

    return Saying(read, one.reads, one.lifts)


def joined(*wheres: Where, sep: str = ":") -> Saying:
    """Several as one text, in their order; empty where one of them is. They stay in `properties`."""
    sayings, reads = _several(wheres)
    return Saying(
        lambda cells: pc.binary_join_element_wise(*(_filled(cells.of(one)) for one in sayings), sep), reads
    )


def each(function: Callable[..., object], *wheres: Where) -> Saying:
    """What a function makes of the cells of a row; it is asked once for cells that are the same.

    It gets one argument per `where`: text, numbers, objects and lists as the export holds them, None for what
    is empty. What is read stays in `properties` (see `Saying.lifting`).
    """
    sayings, reads = _several(wheres)

    def read(cells: Cells) -> pa.Array:
        found = [cells.of(one) for one in sayings]
        if any(pa.types.is_nested(one.type) for one in found):
            return inferred([function(*row) for row in zip(*(one.to_pylist() for one in found), strict=True)])
        few, places = different(found)
        return inferred([function(*row) for row in few]).take(places)

    return Saying(read, reads)


def different(columns: Sequence[pa.Array]) -> tuple[list[tuple[object, ...]], pa.Array]:
    """The different rows of some columns, and which of them each row is."""
    encoded = [pc.dictionary_encode(one, null_encoding="encode") for one in columns]
    if len(encoded) == 1:
        return [(one,) for one in encoded[0].dictionary.to_pylist()], encoded[0].indices
    rows = np.zeros(len(columns[0]), np.int64)
    n_rows = 1
    for one in encoded:
        codes = pc.dictionary_encode(pa.array(rows * len(one.dictionary) + one.indices.to_numpy()))
        rows, n_rows = codes.indices.to_numpy().astype(np.int64), len(codes.dictionary)
    firsts = np.full(n_rows, -1)
    firsts[rows[::-1]] = np.arange(len(rows))[::-1]
    cells = [one.dictionary.take(one.indices.take(pa.array(firsts))).to_pylist() for one in encoded]
    return list(zip(*cells, strict=True)), pa.array(rows)


def chosen(by: Where, wheres: Mapping[str, Where], other: Where | None = None) -> Saying:
    """One of several, as a column says; `other` for what is not listed.

    `chosen("type", {"track": "event", "page": "=page_view"})` is the event of a track call, and the same name
    for every page. What tells which stays in `properties`.
    """
    teller, left = column(by), column("=" if other is None else other)
    sayings = {name: column(where) for name, where in wheres.items()}
    every = [*sayings.values(), left]
    reads = tuple(dict.fromkeys(name for one in [teller, *every] for name in one.reads))

    def read(cells: Cells) -> pa.Array:
        tells, found = _filled(cells.of(teller)), _filled(cells.of(left))
        for name, one in sayings.items():
            found = pc.if_else(pc.fill_null(pc.equal(tells, name), False), texts(cells.of(one)), found)
        return found

    return Saying(read, reads, tuple(name for one in every for name in one.lifts))


def number(where: Where) -> Saying:
    """A number as text, where there is one that an amount can be; what is no number is nothing."""
    one = column(where)
    return replace(each(_number, one), lifts=one.lifts)


def _number(value: object) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    try:
        return text if abs(float(text)) < _MOST else None
    except ValueError:
        return None


def told(where: Where, names: Mapping[str, str | None], other: str | None = None) -> Saying:
    """A name by another one, capitals aside; `other` for what is not listed. What is read stays in place."""
    lower = {name.lower(): value for name, value in names.items()}
    return each(lambda one: None if one is None else lower.get(str(one).lower(), other), where)


def without(where: Where, nothing: Collection[str]) -> Saying:
    """A column in which some texts, such as `(not set)`, mean that there is nothing."""
    one = column(where)
    lower = pa.array(sorted({text.lower() for text in nothing}), pa.string())

    def read(cells: Cells) -> pa.Array:
        found = cells.of(one)
        bare = pc.ascii_lower(pc.ascii_trim_whitespace(texts(found)))
        return pc.if_else(pc.is_in(bare, value_set=lower), pa.scalar(None, found.type), found)

    return Saying(read, one.reads, one.lifts)


def utm(before: str = "", names: Mapping[str, str] | None = None) -> dict[str, Where]:
    """The five marks of a campaign, each under its own name or that in `names`, with a text before."""
    marks = ("source", "medium", "campaign", "term", "content")
    return {f"utm_{one}": before + (names or {}).get(one, f"utm_{one}") for one in marks}


def is_uuid(text: object) -> bool:
    """Whether an id was drawn by a machine: five groups of hexadecimal digits, as libraries name devices."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def without_pattern(where: Where, pattern: str) -> Saying:
    """A column as text, without all that a regular expression matches."""
    one = column(where)
    return Saying(
        lambda cells: pc.replace_substring_regex(_filled(cells.of(one)), pattern, ""), one.reads, one.lifts
    )


def address(where: Where) -> Saying:
    """An e-mail address as an id: `email:ada@example.com`."""
    one = column(where)

    def read(cells: Cells) -> pa.Array:
        bare = pc.utf8_lower(pc.utf8_trim_whitespace(_filled(cells.of(one))))
        return pc.binary_join_element_wise("email:", bare, "")

    return Saying(read, one.reads)


def path(where: Where) -> Saying:
    """Path and query of a URL, without host and fragment."""
    one = column(where)
    return Saying(lambda cells: path_of(_filled(cells.of(one))), one.reads)


def scaled(where: Where, factor: float) -> Saying:
    """A number times a factor: `scaled("amount", 0.01)` for cents."""
    one = column(where)
    return Saying(
        lambda cells: strings([_times(value, factor) for value in cells.of(one).to_pylist()]),
        one.reads,
        one.lifts,
    )


def _times(value: object, factor: float) -> object:
    try:
        return None if value is None else f"{float(str(value)) * factor:.4f}"
    except ValueError:
        return value  # no number: its row says so when it is read as one


def whenever(condition: Where, where: Where) -> Saying:
    """A column where a condition holds, nothing elsewhere."""
    one, when = column(where), column(condition)

    def read(cells: Cells) -> pa.Array:
        values = cells.of(one)
        return pc.if_else(pa.array(truths(cells.of(when))), values, pa.scalar(None, values.type))

    return Saying(read, (*one.reads, *when.reads), one.lifts)


def unless(condition: Where) -> Saying:
    """Where a condition does not hold."""
    when = column(condition)
    return Saying(lambda cells: pa.array(~truths(cells.of(when))), when.reads)


def filled(where: Where) -> Saying:
    """Where something stands."""
    one = column(where)
    return Saying(lambda cells: pc.is_valid(_filled(cells.of(one))), one.reads)


def every(*conditions: Where) -> Saying:
    """Where all of several conditions hold."""
    sayings, reads = _several(conditions)
    return Saying(lambda cells: pa.array(np.all([truths(cells.of(one)) for one in sayings], 0)), reads)


def truths(values: pa.Array) -> NDArray[np.bool_]:
    """A condition as booleans (true, t, yes, y, 1); what is empty does not hold."""
    if not pa.types.is_boolean(values.type):
        values = pc.is_in(pc.utf8_lower(texts(values)), value_set=_TRUE)
    found: NDArray[np.bool_] = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(bool)
    return found


def looked_up(side: str, where: Where, name: str) -> Saying:
    """A member of the row of a side table that a column refers to.

    `looked_up("users", "requester_id", "external_id")` is the external id of the user whose key stands in
    `requester_id`.
    """
    one = column(where)

    def read(cells: Cells) -> pa.Array:
        table = cells.sides.get(side)
        if not table:
            return pa.nulls(len(cells), pa.string())
        told = table.column(name)
        if told.null_count == len(told):
            return pa.nulls(len(cells), told.type)
        return told.take(cells.places(side, one))

    return Saying(read, one.reads)


def followed(side: str, where: Where, name: str) -> Saying:
    """The end of a chain of references, such as the record that others were merged into.

    `followed("contact", "contact_id", "master_record_id")` is the contact that is left of the one named in
    `contact_id`; a key that no row refers further is its own end.
    """
    one = column(where)

    def read(cells: Cells) -> pa.Array:
        keys = cells.keys(one)
        table = cells.sides.get(side)
        if not table:
            return keys
        return pc.coalesce(table.ends(name).take(cells.places(side, one)), keys)

    return Saying(read, one.reads)


def _end(table: Mapping[str, Mapping[str, Any]], key: str | None, name: str) -> str | None:
    seen = set()
    while key is not None and key not in seen:  # a ring of references has no end: where it closes will do
        seen.add(key)
        key, last = key_text(member(table.get(key, _NOTHING), name)), key
    return key or (last if seen else None)


def bot(where: Where) -> Saying:
    """Whether a user agent names a robot."""
    return each(lambda one: None if one is None else is_bot(str(one)), where)


def device(where: Where) -> Saying:
    """The kind of device that a user agent names: mobile, tablet or desktop."""
    return each(lambda one: None if one is None else device_of(str(one)), where)


def key_text(value: object) -> str | None:
    """A key as text; `17.0`, as frames write it, is `17`."""
    text = one_text(value)
    return (text.strip().removesuffix(".0") or None) if text else None
