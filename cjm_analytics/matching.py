"""The match grammar: which events a rule or a `where=` means."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.columns import dotted
from cjm_analytics.errors import InputError, UnknownNameError, hint
from cjm_analytics.places import Place, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["Fault", "Held", "Match", "compile_match", "with_codes"]

COMBINATORS = ("any", "all", "not")
OPERATORS = ("re", "exists", "eq", "ne", "gt", "ge", "lt", "le", "between", "nocase")
MARKER = "marker"
NESTED = ("properties", "customer")
"""Keys below which other names stand: `properties.price`, `customer.plan`."""

_TYPED = (bool, int, float, str, dt.datetime, dt.date, Decimal)


class Fault(NamedTuple):
    """Something wrong in a specification: where, what, and what to write instead."""

    place: Place
    fault: str
    hint: str = ""


class Held(NamedTuple):
    """One condition of a match, the value that it met, and whether it held."""

    condition: str
    value: object
    held: bool


@dataclass(frozen=True)
class Match:
    """A compiled match.

    Attributes
    ----------
    spec : mapping
        As written.
    columns : frozenset of str
        The event columns that it reads.
    markers : frozenset of str
        The markers that it names (`marker = "purchase"`); only rules of a model may.
    """

    spec: Mapping[str, Any]
    columns: frozenset[str]
    markers: frozenset[str]
    _root: _Node = field(repr=False, compare=False)

    def mask(
        self, table: pa.Table, markers: Mapping[str, NDArray[np.bool_]] | None = None
    ) -> NDArray[np.bool_]:
        """Which rows of the table fit; `markers` says per marker name which rows are it.

        The work is done on the distinct values of each column. Several matches over one table share the
        search for them if the table went through `with_codes` before.

        Raises
        ------
        UnknownNameError
            The table lacks a column.
        InputError
            A column's type cannot be compared as asked, or a marker is named where there are none.

        Examples
        --------
        >>> events = pa.table({"event": ["Page", "Buy", "Buy"], "value": [None, 5.0, 20.0]})
        >>> compile_match({"event": "B*", "value": {"ge": 10}}).mask(events)
        array([False, False,  True])
        """
        return self._root.mask(_Rows(table, markers or {}))

    def trace(
        self, table: pa.Table, markers: Mapping[str, NDArray[np.bool_]] | None = None
    ) -> Iterator[Held]:
        """Every condition, and whether it holds on the first row of the table."""
        return self._root.trace(_Rows(table, markers or {}))

    def mentions(self) -> Iterator[tuple[str, Place]]:
        """Every column that the match names, and where in the specification."""
        return self._root.mentions()

    @property
    def text(self) -> str:
        """The match in one line.

        Examples
        --------
        >>> compile_match({"event": ["a", "b*"], "value": {"ge": 10}}).text
        "event = ['a', 'b*'], value >= 10"
        """
        return self._root.text


def compile_match(spec: Mapping[str, Any], *, where: str = "where") -> Match:
    """Check a match and make it ready to run; `where` names the place in messages.

    All keys of a match must hold. A key is a column of an event (or `properties.<dotted>`,
    `customer.<attribute>`), or `any`, `all` (lists of matches) or `not` (a match). A value is

    - text: a glob over the whole value, with `*`, `?` and `[…]`, upper and lower case told apart;
    - a number, a truth value or a time: equality;
    - a list: any of these;
    - a mapping of conditions that must all hold: `re` (a regular expression found anywhere), `exists`, `eq`,
      `ne`, `gt`, `ge`, `lt`, `le` (no wildcards), `between` (both ends included), `nocase` (a glob, or a list
      of globs, case ignored).

    A missing value makes only `exists = false`, `ne` and a surrounding `not` true. Text in a column is
    compared with a number or a time as what it spells; text that spells none counts as missing. A time
    without a zone is UTC.

    Raises
    ------
    InputError
        The match means nothing; the message has all faults.

    Examples
    --------
    >>> match = compile_match({"any": [{"event": "ticket_*"}, {"score": {"lt": 3}}]})
    >>> sorted(match.columns)
    ['event', 'score']
    >>> compile_match({"event": {"like": "a"}})
    Traceback (most recent call last):
    cjm_analytics.errors.InputError: where.event: 'like' is no condition. Did you mean 'le'? There are: re, \
exists, eq, ne, gt, ge, lt, le, between, nocase.
    """
    match, faults = check_match(spec)
    if match is None:
        lines = [f"{spelled((where, *one.place))}: {one.fault}{one.hint}" for one in faults]
        raise InputError("\n".join(lines))
    return match


def check_match(spec: object) -> tuple[Match | None, list[Fault]]:
    """The match, or None and everything that is wrong with it."""
    faults: list[Fault] = []
    root = _node(spec, (), faults)
    if faults or root is None:
        return None, faults
    assert isinstance(spec, Mapping)  # noqa: S101 - anything else is a fault
    return Match(
        spec, frozenset(column for column, _ in root.mentions()), frozenset(root.markers()), root
    ), []


def with_codes(table: pa.Table) -> pa.Table:
    """The table with text as codes into distinct values, so that several matches share that work.

    Examples
    --------
    >>> with_codes(pa.table({"path": ["/a", "/a"], "score": [1, 2]})).schema.types
    [DictionaryType(dictionary<values=string, indices=int32, ordered=0>), DataType(int64)]
    """
    coded = {name: _encoded(column) if _is_text(column.type) else column for name, column in _named(table)}
    return pa.table(coded)


# ── reading a specification ──────────────────────────────────────────────────────────────────────────────


def _node(spec: object, place: Place, faults: list[Fault]) -> _Node | None:
    if not isinstance(spec, Mapping):
        faults.append(Fault(place, f"a match is a table of conditions, not {_kind(spec)}.", _EXAMPLE))
        return None
    parts = [_part(str(key), value, (*place, str(key)), faults) for key, value in spec.items()]
    flat = [one for part in parts for one in part]
    return flat[0] if len(flat) == 1 else _All(tuple(flat))


_EXAMPLE = ' Write, for example, { event = "Order *" }.'


def _part(key: str, value: object, place: Place, faults: list[Fault]) -> list[_Node]:
    if key in {"any", "all"}:
        return _combined(key, value, place, faults)
    if key == "not":
        inner = _node(value, place, faults)
        return [_Not(inner)] if inner else []
    if key == MARKER:
        return _markers(value, place, faults)
    if key in NESTED:
        return _below(key, value, place, faults)
    if key in OPERATORS or not key or key.endswith("."):
        shown = f" Write, for example, {{ event = {{ {key} = … }} }}." if key in OPERATORS else ""
        faults.append(Fault(place, f"{key!r} is no column of an event.", shown))
        return []
    return _tested(key, value, place, faults)


def _markers(value: object, place: Place, faults: list[Fault]) -> list[_Node]:
    names = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not names or not all(isinstance(one, str) and one for one in names):
        faults.append(Fault(place, "a marker is named by text, or a list of names."))
        return []
    return [_Marker(names)]


def _below(name: str, value: object, place: Place, faults: list[Fault]) -> list[_Node]:
    """`properties` or `customer` and what stands under it: names as in `properties.price`, or conditions."""
    if isinstance(value, Mapping) and (name == "customer" or not any(key in OPERATORS for key in value)):
        return [
            node
            for inner, deeper in value.items()
            for node in _below(f"{name}.{inner}", deeper, (*place, str(inner)), faults)
        ]
    if name == "customer":
        faults.append(Fault(place, "name an attribute.", ' Write, for example, { customer.plan = "pro" }.'))
        return []
    return _tested(name, value, place, faults)


def _combined(key: str, value: object, place: Place, faults: list[Fault]) -> list[_Node]:
    if not isinstance(value, list | tuple) or not value:
        faults.append(Fault(place, f"{key} takes a list of matches, with one at least.", _COMBINED))
        return []
    nodes = [_node(one, (*place, position), faults) for position, one in enumerate(value)]
    found = tuple(node for node in nodes if node is not None)
    return [_Any(found) if key == "any" else _All(found)]


_COMBINED = ' Write, for example, any = [{ event = "a" }, { channel = "chat" }].'


def _tested(column: str, value: object, place: Place, faults: list[Fault]) -> list[_Node]:
    if isinstance(value, list | tuple):
        if not value:
            faults.append(Fault(place, "an empty list fits nothing.", " Name one value at least."))
            return []
        alternatives = [
            _conditions(one, (*place, position), faults, in_list=True) for position, one in enumerate(value)
        ]
    else:
        alternatives = [_conditions(value, place, faults)]
    return [_Field(column, _joined(alternatives), place)]


def _joined(alternatives: Iterable[tuple[_Test, ...]]) -> tuple[tuple[_Test, ...], ...]:
    """Alternatives with all plain globs as one, so that they run as one."""
    globs: list[str] = []
    others: list[tuple[_Test, ...]] = []
    for tests in alternatives:
        if len(tests) == 1 and tests[0].operator == "glob":
            globs += tests[0].operand
        else:
            others.append(tests)
    return ((_Test("glob", tuple(globs)),), *others) if globs else tuple(others)


def _conditions(
    value: object, place: Place, faults: list[Fault], *, in_list: bool = False
) -> tuple[_Test, ...]:
    if isinstance(value, str):
        return (_Test("glob", (_checked_glob(value, place, faults),)),)
    if isinstance(value, Mapping):
        if not value:
            faults.append(
                Fault(place, "an empty table says nothing.", f" There are: {', '.join(OPERATORS)}.")
            )
        return tuple(_condition(str(key), one, (*place, str(key)), faults) for key, one in value.items())
    if isinstance(value, _TYPED):
        return (_Test("eq", value),)
    what = "a value in a list" if in_list else "a value"
    faults.append(
        Fault(place, f"{what} is text, a number, true or false, a time or a table, not {_kind(value)}.")
    )
    return ()


def _condition(operator: str, operand: Any, place: Place, faults: list[Fault]) -> _Test:  # noqa: ANN401 - as read
    if operator not in OPERATORS:
        faults.append(Fault(place[:-1], f"{operator!r} is no condition.", hint(operator, OPERATORS)))
        return _Test(operator, operand)
    if operator == "nocase" and isinstance(operand, str):
        operand = [operand]
    fault = _operand_fault(operator, operand)
    if fault:
        faults.append(Fault(place, fault))
    elif operator == "nocase":
        return _Test(operator, tuple(_checked_glob(one, place, faults) for one in operand))
    return _Test(operator, tuple(operand) if isinstance(operand, list) else operand)


def _operand_fault(operator: str, operand: object) -> str | None:
    fault = None
    if operator == "re":
        fault = _regex_fault(operand)
    elif operator == "between":
        fault = _pair_fault(operand)
    elif operator == "exists":
        if not isinstance(operand, bool):
            fault = f"exists is true or false, not {operand!r}."
    elif operator == "nocase":
        if not (
            isinstance(operand, list | tuple) and operand and all(isinstance(one, str) for one in operand)
        ):
            fault = f"nocase takes text, or a list of texts, not {_kind(operand)}."
    elif not _is_scalar(operand):
        fault = f"{operator} takes one text, number, truth value or time, not {_kind(operand)}."
    elif isinstance(operand, bool) and operator not in {"eq", "ne"}:
        fault = f"{operator} compares sizes; true and false have none."
    return fault


def _pair_fault(pair: object) -> str | None:
    if not isinstance(pair, list | tuple) or len(pair) != 2:  # noqa: PLR2004 - a pair
        return "between takes a pair, such as [1, 5]."
    low, high = pair
    if not (_is_scalar(low) and _is_scalar(high)) or isinstance(low, bool) or isinstance(high, bool):
        return "between takes two numbers, texts or times."
    try:
        backwards = low > high
    except TypeError:
        return f"between takes two values of one type, not {low!r} and {high!r}."
    return f"between runs from small to large, not from {low!r} to {high!r}." if backwards else None


def _is_scalar(value: object) -> bool:
    return isinstance(value, _TYPED) and value == value  # noqa: PLR0124 - NaN is no value


def _regex_fault(pattern: object) -> str | None:
    if not isinstance(pattern, str):
        return f"re takes a regular expression as text, not {_kind(pattern)}."
    try:
        _regex(pattern)
    except re.error as error:
        return f"{pattern!r} is no regular expression: {error}."
    return None


def _checked_glob(glob: str, place: Place, faults: list[Fault]) -> str:
    try:
        _glob_regex(glob)
    except InputError as error:
        faults.append(Fault(place, str(error)))
    return glob


def _kind(value: object) -> str:
    names = {
        str: "text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        list: "a list",
        tuple: "a list",
    }
    if isinstance(value, Mapping):
        return "a table"
    return "nothing" if value is None else f"{names.get(type(value), type(value).__name__)} ({value!r})"


# ── the tree of a match ──────────────────────────────────────────────────────────────────────────────────


class _Node(Protocol):
    @property
    def text(self) -> str: ...
    def mask(self, rows: _Rows) -> NDArray[np.bool_]: ...
    def trace(self, rows: _Rows) -> Iterator[Held]: ...
    def mentions(self) -> Iterator[tuple[str, Place]]: ...
    def markers(self) -> set[str]: ...


@dataclass(frozen=True)
class _All:
    parts: tuple[_Node, ...]

    @property
    def text(self) -> str:
        return ", ".join(part.text for part in self.parts) or "every event"

    def mask(self, rows: _Rows) -> NDArray[np.bool_]:
        fits = np.ones(rows.n, dtype=bool)
        for part in self.parts:
            if not fits.any():
                break
            fits &= part.mask(rows)
        return fits

    def trace(self, rows: _Rows) -> Iterator[Held]:
        for part in self.parts:
            yield from part.trace(rows)

    def mentions(self) -> Iterator[tuple[str, Place]]:
        for part in self.parts:
            yield from part.mentions()

    def markers(self) -> set[str]:
        return {name for part in self.parts for name in part.markers()}


@dataclass(frozen=True)
class _Any(_All):
    @property
    def text(self) -> str:
        return " or ".join(f"({part.text})" for part in self.parts)

    def mask(self, rows: _Rows) -> NDArray[np.bool_]:
        fits = np.zeros(rows.n, dtype=bool)
        for part in self.parts:
            fits |= part.mask(rows)
        return fits


@dataclass(frozen=True)
class _Not:
    part: _Node

    @property
    def text(self) -> str:
        return f"not ({self.part.text})"

    def mask(self, rows: _Rows) -> NDArray[np.bool_]:
        return ~self.part.mask(rows)

    def trace(self, rows: _Rows) -> Iterator[Held]:
        for condition, value, held in self.part.trace(rows):
            yield Held(f"not ({condition})", value, not held)

    def mentions(self) -> Iterator[tuple[str, Place]]:
        return self.part.mentions()

    def markers(self) -> set[str]:
        return self.part.markers()


@dataclass(frozen=True)
class _Marker:
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"marker = {_shown(self.names)}"

    def mask(self, rows: _Rows) -> NDArray[np.bool_]:
        fits = np.zeros(rows.n, dtype=bool)
        for name in self.names:
            if name not in rows.markers:
                raise UnknownNameError("marker", name, rows.markers)
            fits |= rows.markers[name]
        return fits

    def trace(self, rows: _Rows) -> Iterator[Held]:
        seen = [name for name, fits in rows.markers.items() if fits[:1].any()]
        yield Held(self.text, ", ".join(seen) or None, bool(self.mask(rows)[0]))

    def mentions(self) -> Iterator[tuple[str, Place]]:
        return iter(())

    def markers(self) -> set[str]:
        return set(self.names)


class _Test(NamedTuple):
    """One condition on a value; `glob` and `nocase` hold several globs of which one must fit."""

    operator: str
    operand: Any

    @property
    def on_missing(self) -> bool:
        """Whether it holds where there is no value."""
        return self.operator == "ne" or (self.operator == "exists" and not self.operand)

    @property
    def text(self) -> str:
        sign = _SIGNS.get(self.operator, f"{self.operator} ")
        shown = self.operand if self.operator != "between" else list(self.operand)
        return f"{sign}{_shown(shown)}"


_SIGNS = {"glob": "= ", "eq": "= ", "ne": "≠ ", "gt": "> ", "ge": ">= ", "lt": "< ", "le": "<= ", "re": "~ "}


def _shown(value: object) -> str:
    if isinstance(value, tuple | list):
        inside = ", ".join(_shown(one) for one in value)
        return inside if isinstance(value, tuple) and len(value) == 1 else f"[{inside}]"
    if isinstance(value, str):
        return f"'{value}'"
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class _Field:
    """Conditions on one column: one of the alternatives must hold, with all of its tests."""

    column: str
    alternatives: tuple[tuple[_Test, ...], ...]
    place: Place = field(compare=False)

    @property
    def text(self) -> str:
        said = [" and ".join(test.text for test in tests) for tests in self.alternatives]
        return f"{self.column} {' or '.join(said)}"

    def mask(self, rows: _Rows) -> NDArray[np.bool_]:
        tests = [test for one in self.alternatives for test in one]
        domain = rows.domain(
            self.column, as_text=any(test.operator in {"glob", "nocase", "re"} for test in tests)
        )
        fits = np.zeros(len(domain.distinct), dtype=bool)
        for alternative in self.alternatives:
            fits |= np.logical_and.reduce([self._held(test, domain) for test in alternative])
        missing = any(all(test.on_missing for test in alternative) for alternative in self.alternatives)
        return domain.spread(fits, missing=missing)

    def _held(self, test: _Test, domain: _Domain) -> NDArray[np.bool_]:
        try:
            return _held(test, domain)
        except InputError as error:
            raise InputError(f"{self.column} {test.text}: {error}") from None

    def trace(self, rows: _Rows) -> Iterator[Held]:
        yield Held(self.text, rows.value(self.column), bool(self.mask(rows)[0]))

    def mentions(self) -> Iterator[tuple[str, Place]]:
        yield self.column, self.place

    def markers(self) -> set[str]:
        return set()


# ── one match inside another ─────────────────────────────────────────────────────────────────────────────


def covered_by(match: Match, earlier: Sequence[Match]) -> list[int]:
    """Positions of earlier matches that together fit every event that the match fits; empty if they do not.

    Decided from what is written: equal conditions, a list inside a list, text inside a glob. Positions are
    always right; that there are none may be mistaken.

    Examples
    --------
    >>> pages = compile_match({"path": "/product/*"})
    >>> covered_by(compile_match({"path": "/product/new/*", "channel": "web"}), [pages])
    [0]
    >>> covered_by(compile_match({"path": "/p*"}), [pages])
    []
    """
    cases = _cases(match._root)  # noqa: SLF001 - the tree of a match is this module's own
    used = []
    for case in cases:
        first = next((at for at, one in enumerate(earlier) if _implies(case, one._root)), None)  # noqa: SLF001
        if first is None:
            return []
        used.append(first)
    return sorted(set(used))


_MAX_CASES = 256


def _cases(node: _Node) -> list[tuple[_Node, ...]]:
    """The match as alternatives, each a run of conditions that all hold; none if there are too many."""
    if isinstance(node, _Any):
        return [case for part in node.parts for case in _cases(part)]
    if isinstance(node, _All):
        cases: list[tuple[_Node, ...]] = [()]
        for part in node.parts:
            cases = [(*one, *more) for one in cases for more in _cases(part)]
            if len(cases) > _MAX_CASES:
                return []
        return cases
    if isinstance(node, _Marker):
        return [(_Marker((name,)),) for name in node.names]
    if isinstance(node, _Field):
        single = [
            (_Test("glob", (glob,)),) if tests[0].operator == "glob" else tests
            for tests in node.alternatives
            for glob in (tests[0].operand if tests[0].operator == "glob" else [None])
        ]
        return [(_Field(node.column, (tests,), node.place),) for tests in single]
    return [(node,)]


def _implies(case: tuple[_Node, ...], node: _Node) -> bool:
    """Whether everything that fulfils the conditions of a case fits the node."""
    if isinstance(node, _Any):
        return any(_implies(case, part) for part in node.parts)
    if isinstance(node, _All):
        return all(_implies(case, part) for part in node.parts)
    if isinstance(node, _Marker):
        return any(isinstance(one, _Marker) and set(one.names) <= set(node.names) for one in case)
    if isinstance(node, _Field):
        mine = [one for one in case if isinstance(one, _Field) and one.column == node.column]
        return any(_narrower(one.alternatives[0], wide) for one in mine for wide in node.alternatives)
    return node in case


def _narrower(tests: tuple[_Test, ...], wide: tuple[_Test, ...]) -> bool:
    return all(any(_test_implies(one, other) for one in tests) for other in wide)


def _test_implies(test: _Test, wide: _Test) -> bool:
    if test == wide:
        return True
    if wide.operator == "exists":
        return bool(wide.operand) and not test.on_missing
    if test.operator not in {"glob", "nocase"}:
        return False
    return all(_glob_implies(glob, test.operator, wide) for glob in test.operand)


def _glob_implies(glob: str, operator: str, wide: _Test) -> bool:
    """Whether what fits the glob fulfils the wide condition.

    A glob without wildcards is a text, to be tried. One with them, read as text, must fit a glob of `*` and
    plain letters: then whatever fits the one fits the other.
    """
    plain = operator == "glob" and not _MAGIC.search(glob)
    if wide.operator == "re":
        return plain and _regex(wide.operand).search(glob) is not None
    if wide.operator == "eq":
        return plain and glob == wide.operand
    if wide.operator not in {"glob", "nocase"} or (operator == "nocase" and wide.operator == "glob"):
        return False
    usable = tuple(one for one in wide.operand if plain or one == glob or not _SUBTLE.search(one))
    nocase = wide.operator == "nocase"
    return glob in usable or bool(_fits_globs(pa.array([glob]), usable, nocase=nocase)[0])


_SUBTLE = re.compile(r"[?\[]")


# ── columns, as their distinct values ────────────────────────────────────────────────────────────────────


class _Domain(NamedTuple):
    """The values that a column takes, and the place of each row among them.

    `distinct` are different values where `codes` say which row has which (−1: none); without codes each row
    has its own.
    """

    distinct: pa.Array
    codes: NDArray[np.int64] | None

    def spread(self, fits: NDArray[np.bool_], *, missing: bool) -> NDArray[np.bool_]:
        """From values to rows."""
        absent = _absent(self.distinct)
        if absent is not None:
            fits = np.where(absent, missing, fits)
        return fits if self.codes is None else np.append(fits, missing)[self.codes]


def _absent(values: pa.Array) -> NDArray[np.bool_] | None:
    floating = pa.types.is_floating(values.type)
    if not values.null_count and not floating:
        return None
    return _numpy(pc.is_null(values, nan_is_null=floating))


class _Rows:
    """The rows of a table, and the domains of its columns found so far."""

    def __init__(self, table: pa.Table, markers: Mapping[str, NDArray[np.bool_]]) -> None:
        self.table = table
        self.markers = markers
        self.n = table.num_rows
        self._domains: dict[tuple[str, bool], _Domain] = {}

    def domain(self, name: str, *, as_text: bool) -> _Domain:
        key = (name, as_text)
        if key not in self._domains:
            self._domains[key] = _domain(self._column(name), as_text=as_text)
        return self._domains[key]

    def value(self, name: str) -> object:
        return self._column(name)[0].as_py()

    def _column(self, name: str) -> pa.ChunkedArray:
        if name in self.table.column_names:
            return self.table.column(name)
        if name.startswith("properties.") and "properties" in self.table.column_names:
            found = dotted(self.table.column("properties"), name.removeprefix("properties."))
            return pa.chunked_array([found])
        raise UnknownNameError("column", name, self.table.column_names)


def _domain(column: pa.ChunkedArray, *, as_text: bool) -> _Domain:
    if pa.types.is_null(column.type):
        return _Domain(pa.array([], pa.string()), np.full(len(column), -1, dtype=np.int64))
    if not (as_text or _is_text(column.type)):
        return _Domain(_one_array(column), None)
    coded = _one_array(_encoded(column))
    codes = coded.indices.fill_null(-1) if coded.indices.null_count else coded.indices
    return _Domain(coded.dictionary, codes.to_numpy(zero_copy_only=False))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return coded.unify_dictionaries()


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    joined = column.combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)


def _named(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    return zip(table.column_names, table.columns, strict=True)


# ── one condition on many values ─────────────────────────────────────────────────────────────────────────


def _held(test: _Test, domain: _Domain) -> NDArray[np.bool_]:
    values = domain.distinct
    if test.operator == "exists":
        return np.full(len(values), bool(test.operand))
    if test.operator in {"glob", "nocase"}:
        return _fits_globs(_text(values), test.operand, nocase=test.operator == "nocase")
    if test.operator == "re":
        return _found(_text(values), test.operand)
    if test.operator == "between":
        low, high = test.operand
        return _compared(values, "ge", low) & _compared(values, "le", high)
    if test.operator == "ne":
        return ~_compared(values, "eq", test.operand)
    return _compared(values, test.operator, test.operand)


_COMPARE = {
    "eq": pc.equal,
    "gt": pc.greater,
    "ge": pc.greater_equal,
    "lt": pc.less,
    "le": pc.less_equal,
}


def _compared(values: pa.Array, operator: str, operand: object) -> NDArray[np.bool_]:
    typed, scalar = _comparable(values, operand)
    return _numpy(_COMPARE[operator](typed, scalar).fill_null(False))


def _comparable(values: pa.Array, operand: Any) -> tuple[pa.Array, pa.Scalar]:  # noqa: ANN401 - any value of a file
    """Values and operand in one type; an `InputError` where they have none in common."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _spelt(values, operand)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = "UTC" if getattr(kind, "tz", None) is None else kind.tz
        return values.cast(pa.timestamp("us", tz=zone)), pa.scalar(
            _instant(operand), pa.timestamp("us", tz=zone)
        )
    if pa.types.is_boolean(kind):
        if operand not in (True, False, "true", "false"):
            raise InputError("the column holds true and false.")
        return values, pa.scalar(operand in (True, "true"))
    number = _number(operand)
    if pa.types.is_decimal(kind):
        return values, pa.scalar(Decimal(str(number)))
    return values, pa.scalar(number)


def _spelt(values: pa.Array, operand: Any) -> tuple[pa.Array, pa.Scalar]:  # noqa: ANN401 - any value of a file
    """Text compared as what the operand is: text, a number, a truth value or a time."""
    if isinstance(operand, str):
        return values, pa.scalar(operand, values.type)
    if isinstance(operand, bool):
        return pc.utf8_lower(values), pa.scalar(str(operand).lower(), values.type)
    if isinstance(operand, dt.date):
        stamps = pd.to_datetime(values.to_pandas(), errors="coerce", utc=True, format="ISO8601")
        kind = pa.timestamp("us", tz="UTC")
        return pa.array(stamps).cast(kind, safe=False), pa.scalar(_instant(operand), kind)
    numbers = pd.to_numeric(values.to_pandas(), errors="coerce").to_numpy(np.float64)
    return pa.array(numbers, from_pandas=True), pa.scalar(float(operand))


def _instant(operand: object) -> pd.Timestamp:
    if isinstance(operand, str | dt.date):
        stamp = pd.to_datetime(operand, errors="coerce")
        if isinstance(stamp, pd.Timestamp):
            return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
    raise InputError("the column holds times. Write one such as 2026-01-31 or 2026-01-31T12:00:00Z.")


def _number(operand: object) -> int | float | Decimal:
    if isinstance(operand, str):
        try:
            return float(operand)
        except ValueError:
            pass
    if isinstance(operand, int | float | Decimal) and not isinstance(operand, bool):
        return operand
    raise InputError("the column holds numbers.")


def _text(values: pa.Array) -> pa.Array:
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _fits_globs(values: pa.Array, globs: tuple[str, ...], *, nocase: bool) -> NDArray[np.bool_]:
    plain = [] if nocase else [glob for glob in globs if not _MAGIC.search(glob)]
    wild = globs if nocase else [glob for glob in globs if _MAGIC.search(glob)]
    fits = np.zeros(len(values), dtype=bool)
    if plain:
        fits |= _numpy(pc.is_in(values, pa.array(plain, pa.string())))
    if wild:
        pattern = "|".join(_glob_regex(glob) for glob in wild)
        anchored = rf"(?s{'i' if nocase else ''})\A(?:{pattern})\z"
        fits |= _numpy(pc.match_substring_regex(values, anchored).fill_null(False))
    return fits


_MAGIC = re.compile(r"[*?\[]")


@lru_cache(maxsize=4096)
def _glob_regex(glob: str) -> str:
    r"""A glob as a regular expression that runs in time proportional to the text.

    Examples
    --------
    >>> _glob_regex("/a*[!0-9]")
    '\\x{2f}a.*[^0-9]'
    """
    out, at = [], 0
    while at < len(glob):
        letter = glob[at]
        at += 1
        if letter == "*":
            out.append(".*")
        elif letter == "?":
            out.append(".")
        elif letter == "[" and (end := glob.find("]", at + 1 + (glob[at : at + 1] == "!"))) > 0:
            out.append(_letters(glob[at:end], glob))
            at = end + 1
        else:
            out.append(_letter(letter))
    return "".join(out)


def _letters(inside: str, glob: str) -> str:
    """The letters between brackets, as a class of letters."""
    negated = inside.startswith("!")
    left = inside[negated:]
    out = []
    while left:
        if len(left) > 2 and left[1] == "-":  # noqa: PLR2004 - a range such as a-z
            if left[0] > left[2]:
                raise InputError(f"{glob!r}: the range {left[:3]} runs backwards.")
            out.append(f"{_letter(left[0])}-{_letter(left[2])}")
            left = left[3:]
        else:
            out.append(_letter(left[0]))
            left = left[1:]
    return f"[{'^' if negated else ''}{''.join(out)}]"


def _letter(letter: str) -> str:
    return letter if letter.isascii() and letter.isalnum() else f"\\x{{{ord(letter):x}}}"


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(pattern)


def _found(values: pa.Array, pattern: str) -> NDArray[np.bool_]:
    """`re.search` on every value.

    Where both mean the same, Arrow's engine gives the answer, in linear time whatever the pattern; all else
    (look-around, back references, classes of letters beyond ASCII) goes to Python's.
    """
    fits = np.zeros(len(values), dtype=bool)
    left = np.ones(len(values), dtype=bool)
    if not any(foreign in pattern for foreign in _READ_DIFFERENTLY):
        try:
            quick = pc.match_substring_regex(values, pattern)
        except pa.ArrowInvalid:
            pass
        else:
            differing = r"[^\x20-\x7e]" if _KNOWS_LETTERS.search(pattern) else r"[\x00-\x1f\x7f]"
            left = _numpy(pc.match_substring_regex(values, differing).fill_null(False))
            fits = _numpy(quick.fill_null(False)) & ~left
    compiled = _regex(pattern)
    rest = values.filter(pa.array(left)).to_pylist()
    fits[left] = [value is not None and compiled.search(value) is not None for value in rest]
    return fits


_READ_DIFFERENTLY = ("[[:", "{,")
"""What Python and Arrow's engine both accept, with different meanings."""

_KNOWS_LETTERS = re.compile(r"\\[a-zA-Z]|\(\?[a-z]*i")
"""Patterns that tell letters from others, or large from small: Arrow's engine does so in ASCII only."""


def _numpy(flags: pa.Array) -> NDArray[np.bool_]:
    return flags.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
