"""What the vendors' loaders make of the first rows of a source: which of them knows it, and how well."""

from __future__ import annotations

import inspect
import itertools
import re
import warnings
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import CJMError, InputError, UnknownNameError, counted
from cjm_analytics.loaders.files import find_files, is_location
from cjm_analytics.loaders.guessed import CUSTOMER, UNSAID, bare
from cjm_analytics.loaders.vendor import IncompleteError
from cjm_analytics.schema import LOADED, REJECTS, Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from cjm_analytics.loaders.source import EventStream

__all__ = ["OWN", "Attempt", "attempts", "loaders"]

_GENERIC: Final = ("table", "sql", "describe")
_BLOCKS: Final = 32
OWN: Final = frozenset(
    ("source", "source_kind", "src_file", "src_row", "seq", "time_quality", "actor", "properties")
)
"""Columns that say nothing of how well a loader understands a file."""

_FOLDERS: Final = 2
"""So many folders above a file may tell the vendor by their names."""


@dataclass(frozen=True)
class Attempt:
    """What a vendor's loader makes of the first rows.

    Attributes
    ----------
    name : str
        The loader.
    options : mapping
        What it was told.
    questions : tuple of str
        What it must be told.
    batch : Batch
        What it made.
    is_named : bool
        Whether the path or the rows hold the vendor's name.
    """

    name: str
    options: Mapping[str, object]
    questions: tuple[str, ...]
    batch: Batch
    is_named: bool = False

    @property
    def gives_events(self) -> bool:
        """Whether there are events, and not only people."""
        return bool(self.batch.events.num_rows or self.questions)

    @property
    def n_filled(self) -> int:
        """How many canonical columns hold something."""
        return len(self.filled())

    @property
    def rank(self) -> tuple[bool, float, bool, int, str]:
        """The better the loader knows the rows, the higher."""
        read = max(self.batch.n_read, 1)
        usable = 1 - self.batch.rejects.num_rows / read
        # Of equals the last by name: nothing tells them apart, and both are said.
        return self.gives_events, round(usable, 3), self.is_named, self.n_filled, self.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing in the rows."""
        said = []
        n_events = self.batch.events.num_rows
        if not self.gives_events:
            said.append(
                "These rows give no event by themselves: they say something of others. Give the folder with "
                "the whole export."
            )
        if self.batch.n_nameless and not n_events:
            said.append(
                f"Of the first {counted(self.batch.n_read, 'row')}, {self.batch.n_nameless:,} "
                f"{'names' if self.batch.n_nameless == 1 else 'name'} nobody."
            )
        rejects = self.batch.rejects
        if rejects.num_rows:
            said.append(
                f"Of the first {counted(self.batch.n_read, 'row')}, "
                f"{counted(rejects.num_rows, 'is a reject', 'are rejects')}: {rejects['reason'][0].as_py()}."
            )
        return tuple(said)

    def filled(self) -> tuple[tuple[str, str | None, float, str], ...]:
        """How much of each canonical column is filled, and a cell of it."""
        rows = []
        for name in self.batch.events.column_names:
            cells = self.batch.events[name]
            share = 1 - cells.null_count / max(len(cells), 1)
            if name not in OWN and share and len(cells):
                rows.append((name, None, share, str(cells.drop_null()[0].as_py())[:60]))
        return tuple(rows)


def attempts(
    source: object, known: Mapping[str, object], among: Collection[str] | None = None
) -> tuple[list[Attempt], dict[str, str]]:
    """The loaders that know the source, the best first; and what others lack that know a part of it.

    A loader that finds no events in it counts where the vendor's name stands in the path or in the rows.
    `among` names the loaders that are asked; by default all.
    """
    found: list[Attempt] = []
    lacking: list[tuple[bool, str, str]] = []
    text = _text(source).lower()
    for loader in loaders():
        if among is not None and loader.__name__ not in among:
            continue
        word = loader.__name__.partition("_")[0]
        is_named = word in text or word[:6] in text
        try:
            one = _tried(loader, source, known)
        except IncompleteError as fault:
            lacking.append((not is_named, loader.__name__, str(fault)))
            continue
        if one is not None and (one.gives_events or is_named):
            found.append(replace(one, is_named=is_named))
    return sorted(found, key=lambda one: one.rank, reverse=True), {
        name: said for _, name, said in sorted(lacking)
    }


def loaders() -> Iterator[Callable[..., EventStream]]:
    """Those of vendors, and of process logs."""
    window = import_module("cjm_analytics.loaders")
    return (getattr(window, name) for name in window.__all__ if name not in _GENERIC)


def _text(source: object) -> str:
    """Where the source lies, and how it begins."""
    if not is_location(source):
        return ""
    said = []
    for file in find_files(source, "json", mixed=True)[:8]:
        with file.open() as stream:
            start = bytes(stream.read(1 << 14))
        parts = PurePosixPath(file.shown.replace("\\", "/")).parts
        said += [*parts[-1 - _FOLDERS :], start.decode("utf-8", "replace")]
    return "\n".join(said)


def _tried(loader: Callable[..., EventStream], source: object, known: Mapping[str, object]) -> Attempt | None:
    parameters = inspect.signature(loader).parameters
    options = {name: value for name, value in known.items() if name in parameters}
    needed = [
        one.name
        for one in parameters.values()
        if one.kind is one.KEYWORD_ONLY and one.default is one.empty and one.name not in options
    ]
    asked = {**options, **dict.fromkeys(needed, UNSAID)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = loader(source, **asked)
            batch = _first_batch(stream)
    except UnknownNameError as fault:
        missing = next((one for one in needed if f"{one}=" in str(fault)), None)
        there = [one for one in fault.available if any(re.search(name, bare(one)) for name in CUSTOMER)]
        if missing and len(there) == 1:
            found = _tried(loader, source, {**known, missing: there[0]})
        else:
            said = f"Say {missing}=. There are: {', '.join(fault.available)}."
            found = Attempt(loader.__name__, asked, (said,), _nothing()) if missing else None
        return found
    except IncompleteError:
        raise
    except InputError as fault:
        return _tried_with_more(loader, source, known, str(fault))
    except (CJMError, OSError, ValueError, TypeError, LookupError, AttributeError, pa.ArrowException):
        return None
    if "decimal" in parameters and "decimal" not in options and _has_commas(batch):
        return _tried(loader, source, {**known, "decimal": ","})
    if not _is_something(batch) or batch.rejects.num_rows * 2 > batch.n_read:
        return None
    return Attempt(loader.__name__, asked, (), batch)


def _tried_with_more(
    loader: Callable[..., EventStream], source: object, known: Mapping[str, object], fault: str
) -> Attempt | None:
    """What a loader makes of the rows once somebody has said what it lacks: that becomes a question."""
    zone = f"The times carry no zone: say tz=, such as {'Europe/Berlin'!r}."
    order = fault.partition(", or give timestamp_format=")[0].removesuffix(".") + "."
    for option, sign, answers, question in (
        ("tz", " zone", ("UTC",), zone),
        ("dayfirst", " dayfirst=", (False, True), order),
    ):
        if sign not in fault or option in known or option not in inspect.signature(loader).parameters:
            continue
        for answer in answers:
            found = _tried(loader, source, {**known, option: answer})
            if found is not None:
                options = {**found.options, option: UNSAID}
                return replace(found, options=options, questions=(question, *found.questions))
    return None


def _first_batch(stream: EventStream) -> Batch:
    """The first batch that has events; where there is none, the first that says anything."""
    found: Batch | None = None
    for one in itertools.islice(stream.read(frozenset()), _BLOCKS):
        if not (_is_something(one) or _has_commas(one)):
            continue
        if one.events.num_rows:
            return one
        found = found or one
    return found or _nothing()


def _nothing() -> Batch:
    return Batch(LOADED.empty_table(), 0, REJECTS.empty_table())


def _has_commas(batch: Batch) -> bool:
    """Whether most rows are rejects because their decimal sign is the comma."""
    commas = pc.sum(pc.match_substring(batch.rejects["reason"], "say decimal=','")).as_py() or 0
    return bool(commas * 2 > batch.n_read)


def _is_something(batch: Batch) -> bool:
    return bool(batch.events.num_rows or batch.links.num_rows or batch.customers.num_rows or batch.n_nameless)
