"""Looks at a file before it is read: which loader knows it, or which of its columns mean what."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cjm_analytics._card import Card, shown
from cjm_analytics.errors import CJMError, InputError
from cjm_analytics.loaders.attempts import OWN, Attempt, attempts, loaders
from cjm_analytics.loaders.beginnings import only_beginnings
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.files import InputFile, find_files, is_location, stem
from cjm_analytics.loaders.guessed import UNSAID, is_technical, mapping
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.sniffed import format_in, oddity
from cjm_analytics.schema import LOADED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from cjm_analytics.loaders.rows import Rows

__all__ = ["Description", "describe"]

_LOOKED_AT: Final = 2_000
_BEGINNING: Final = 1 << 19
"""Bytes of each file of lines that are looked at."""
_MOST: Final = 60
"""So many kinds of files of a folder are looked at."""

_NAMED: Final = 8
_NOTHING: Final[Mapping[str, str]] = {}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_ENDINGS: Final = (".log", ".xes", ".xml", ".jsonocel", ".xmlocel")
"""Of files that only some vendors' loaders read."""

_NUMBERS: Final = re.compile(r"[\d#]+(?:[-_.:T]*[\d#]+)*")
"""What tells files of one kind apart: days, hours, numbers of parts."""


@dataclass(frozen=True)
class Description:
    """What `describe` found.

    Attributes
    ----------
    loader : str
        The name in `cjm.loaders`; of several, with commas between.
    options : mapping
        What it must be told.
    questions : tuple of str
        What cannot be told from the data: each names the option to say it with. Where there is one, `code`
        has a `"?"` in its place.
    others : tuple of str
        Other loaders that would read it, too.
    notes : tuple of str
        What else is good to know: files that are left out, rows that give no event.
    parts : tuple of Description
        Of a folder that holds several sources, what each of them is.
    """

    source: str
    loader: str
    options: Mapping[str, object]
    questions: tuple[str, ...]
    others: tuple[str, ...]
    _found: tuple[tuple[str, str | None, float, str], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    parts: tuple[Description, ...] = ()

    @property
    def code(self) -> str:
        """A line of code that reads it; of several sources a list of them."""
        if self.parts:
            return "[\n" + "".join(f"    {one.code},\n" for one in self.parts) + "]"
        said = [self.source, *(f"{name}={value!r}" for name, value in self.options.items())]
        return f"cjm.loaders.{self.loader}({', '.join(said)})"

    def to_frame(self) -> pd.DataFrame:
        """One row per column: the canonical name, the column of the source, how much of it is filled, a cell.

        For a vendor's export these are the canonical columns that its loader fills (and no column of the
        source); for any other table the columns of the source, and what each becomes. Of several sources the
        first column names the source.
        """
        import pandas as pd

        if self.parts:
            return pd.concat(
                [one.to_frame().assign(source=one.source) for one in self.parts], ignore_index=True
            )[["source", *_COLUMNS]]
        return pd.DataFrame(list(self._found), columns=_COLUMNS).astype({"filled": float})

    def __repr__(self) -> str:
        said = [self.code, *(f"# ? {one}" for one in self.questions), *(f"# ! {one}" for one in self.notes)]
        return "\n".join([*said, *([f"# or: {', '.join(self.others)}"] if self.others else [])])

    def _repr_html_(self) -> str:
        facts = {"loader": self.loader, **({"or": ", ".join(self.others)} if self.others else {})}
        frame = self.to_frame().dropna(axis="columns", how="all")  # a vendor's loader names no columns
        frame["filled"] = [shown(share, share=True) for share in frame["filled"]]
        card = Card("What this is", facts, frame).html()
        asked = "".join(f"<li>{escape(one)}</li>" for one in (*self.questions, *self.notes))
        return f"<pre>{escape(self.code)}</pre>{f'<ul>{asked}</ul>' if asked else ''}{card}"


_COLUMNS: Final = ["becomes", "column", "filled", "example"]


def describe(source: object, **known: object) -> Description:
    """Look at a file, folder or table, and propose the line of code that reads it.

    **How.** Only the first rows are read. Each vendor's loader is asked whether it knows them; of those that
    do, the one that finds the most in them is proposed: the most rows that can be used, the vendor's own name
    in the path or the rows, the most canonical columns. What no vendor knows is a `table`: columns are told
    by what is in them (times, few different names, numbers of a scale, addresses) and by their names. A
    separator that is no comma is in the line, too, so that one sees how the file was understood.

    **What is not guessed.** A time without a zone, a date that may be read in two ways, a customer that no
    name tells: these are `questions`, and the option that answers each stands as `"?"` in the line of code,
    which the loader refuses. Give the answer to `describe` (`tz="Europe/Berlin"`), and it is in the line.

    **Folders.** Where one loader knows what lies in a folder, it gets the folder; files that it does not read
    are told in `notes`. Else each of several loaders gets its folder or files, and the code is a list, which
    `cjm.ingest` takes. What a file is, is told by its content where its name says something else.

    Parameters
    ----------
    source : path, glob, folder, list of paths, or table
        What to look at.
    **known
        Options of the loader that you know already: `tz=`, `dayfirst=`, `customer=`, …

    Returns
    -------
    Description
        `code` is the line; `to_frame()` says what was found; in a notebook it shows both.

    Raises
    ------
    InputError
        No such file; a file that is empty, damaged or no log at all, with what it is; a table in which no
        column holds times.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"customer_id": ["ada", "bob"], "action": ["visit", "buy"],
    ...         "created_at": ["2025-03-01 10:00", "2025-03-01 11:00"]}
    >>> cjm.loaders.describe(rows)
    cjm.loaders.table(source, customer='customer_id', timestamp='created_at', event='action', tz='?')
    # ? The times in 'created_at' carry no zone (for example '2025-03-01 10:00'): say tz=, such as \
'Europe/Berlin'.
    >>> cjm.loaders.describe(rows, tz="Europe/Berlin").questions
    ()
    """
    if not is_location(source):  # of a frame, only the first rows go through every loader
        return _one(source.head(_LOOKED_AT) if hasattr(source, "head") else source, known)
    find_files(source, "json")  # that there is something at all, whatever it is called
    kinds = _kinds(source)
    with only_beginnings(_BEGINNING):
        return _one(source, known) if len(kinds) < 2 else _several(source, kinds, known)  # noqa: PLR2004


def _shown(source: object) -> str:
    if isinstance(source, os.PathLike):
        return repr(os.fspath(source))
    if isinstance(source, list | tuple | set | frozenset):
        return repr([os.fspath(one) for one in source])
    return repr(source) if isinstance(source, str) else "source"


# One source


def _one(source: object, known: Mapping[str, object]) -> Description:
    """What a file is, or all that lies in a folder if it is one thing."""
    found, lacking = attempts(source, known)
    if not any(one.gives_events for one in found) and (written := _written(source, known)):
        known = {**known, "format": written}
        again, lacking_then = attempts(source, known)
        found, lacking = again or found, lacking or lacking_then
    best = found[0] if found else None
    if best is not None and not best.gives_events:
        return _of_vendor(source, found)
    try:
        plain = _table(source, _shown(source), known, lacking)
    except CJMError as fault:
        if best is None:
            raise InputError(_why(source, fault, lacking)) from fault
        return _of_vendor(source, found)
    return plain if best is None or _says_more(plain, best) else _of_vendor(source, found)


def _of_vendor(source: object, found: Sequence[Attempt], notes: Iterable[str] = ()) -> Description:
    best = found[0]
    others = tuple(one.name for one in found[1:] if one.rank[:4] == best.rank[:4])
    return Description(
        _shown(source), best.name, best.options, best.questions, others, best.filled(), (*best.notes, *notes)
    )


def _single(source: object) -> InputFile | None:
    """The file that a source is, if it is one."""
    files = find_files(source, "json") if is_location(source) else []
    return files[0] if len(files) == 1 and not files[0].member else None


def _written(source: object, known: Mapping[str, object]) -> str | None:
    """The format that a file's content tells, where its name tells another one or none."""
    file = _single(source)
    if file is None or "format" in known:
        return None
    told = format_in(file)
    try:
        (named,) = find_files(file.shown)
    except InputError:
        return told
    return told if told != named.format else None


def _why(source: object, fault: CJMError, lacking: Mapping[str, str]) -> str:
    """Why nothing can be proposed."""
    file = _single(source)
    odd = oddity(file) if file is not None else None
    said = f"{_shown(source)} is {odd}." if odd and "cjm.loaders.sql" not in str(fault) else str(fault)
    return " ".join([said, *_part_of(lacking)])


def _part_of(lacking: Mapping[str, str]) -> list[str]:
    """What the vendor says that knows the file best as a part of an export."""
    return [f"It may be a part of an export: {said}" for said in list(lacking.values())[:1]]


def _says_more(plain: Description, vendor: Attempt) -> bool:
    """Whether a mapping that tells the customer finds as much as a vendor's loader does."""
    mapped = {becomes for becomes, *_ in plain._found} - {"properties", *OWN}  # noqa: SLF001
    tells_whom = plain.options.get("customer") != UNSAID and not mapped.isdisjoint({"user_id", "email"})
    return tells_whom and len(mapped) >= vendor.n_filled


# Several sources in one folder


def _kinds(source: object) -> list[list[InputFile]]:
    """The files of a source, those together whose names differ in days and numbers only."""
    try:
        files = find_files(source, mixed=True)  # type: ignore[arg-type]
    except InputError:
        files = []
    if isinstance(source, str | os.PathLike) and Path(source).is_dir():
        there = {file.shown for file in files}
        own = (str(one) for one in sorted(Path(source).rglob("*")) if _is_own(one) and str(one) not in there)
        files += [file for one in own for file in find_files(one, "json")]
    kinds: dict[tuple[str, str, str], list[InputFile]] = defaultdict(list)
    for file in files:
        place = _place(file)
        folder = os.path.dirname(place)  # noqa: PTH120
        kinds[_NUMBERS.sub("", folder), _NUMBERS.sub("", stem(place)), file.format].append(file)
    return list(kinds.values())


def _is_own(path: Path) -> bool:
    return path.is_file() and any(one.lower() in _ENDINGS for one in path.suffixes)


def _place(file: InputFile) -> str:
    """Where a file lies; of one in an archive the archive."""
    return file.shown.removesuffix(f"/{file.member}") if file.member else file.shown


def _several(source: object, kinds: Sequence[list[InputFile]], known: Mapping[str, object]) -> Description:
    """One loader for all, if one knows all of it; else what lies in each folder, and each kind of file."""
    seen = [_Kind.of(files, known) for files in kinds[:_MOST]]
    is_told = any(one.gives_events for kind in seen for one in kind.found)  # else files may tell together
    names = {name for kind in seen for name in kind.names} if is_told else {one.__name__ for one in loaders()}
    among = [name for name in names if not any(kind.is_beyond(name) for kind in seen)]
    able = [one for one in attempts(source, known, among)[0] if one.gives_events]
    if able:
        left = [kind.name for kind in seen if able[0].name not in kind.names]
        listed = f"{', '.join(left[:_NAMED])}{' and others' if len(left) > _NAMED else ''}"
        return _of_vendor(source, able, [f"{able[0].name} does not read {listed}."] if left else [])
    if seen[0].table and all(kind.table == seen[0].table for kind in seen):
        return _one(source, known)
    parts: list[Description] = []
    notes = [f"Only the first {_MOST} kinds of files were looked at."] if len(kinds) > _MOST else []
    for some in _divided(source, seen):
        try:
            found = describe(some, **known) if isinstance(some, Path) else _one(some, known)
        except CJMError as fault:
            notes.append(f"{_shown(some)} is left out: {fault}")
        else:
            parts += found.parts or [found]
            notes += found.notes if found.parts else [f"{found.source}: {one}" for one in found.notes]
    if not parts:
        raise InputError(" ".join(notes))
    if len(parts) == 1:
        return replace(parts[0], notes=tuple(notes))
    asked = tuple(f"{one.source}: {said}" for one in parts for said in one.questions)
    every = ", ".join(dict.fromkeys(one.loader for one in parts))
    return Description(_shown(source), every, {}, asked, (), (), tuple(notes), tuple(parts))


@dataclass(frozen=True)
class _Kind:
    """Files of one kind: the loaders that know them, or the columns that a mapping finds in them."""

    files: Sequence[InputFile]
    found: Sequence[Attempt]
    lacking: Mapping[str, str]
    table: tuple[str, ...]

    @classmethod
    def of(cls, files: Sequence[InputFile], known: Mapping[str, object]) -> _Kind:
        place = _place(files[0])
        found, lacking = attempts(place, known)
        try:
            plain = _table(place, "", known)
        except CJMError:
            return cls(files, found, lacking, ())
        if found and found[0].gives_events and not _says_more(plain, found[0]):
            return cls(files, found, lacking, ())
        columns = tuple(plain.to_frame()["column"])
        is_told = plain.options.get("customer") != UNSAID and not any(map(is_technical, columns))
        return cls(files, [] if is_told else found, lacking, columns if is_told else ())

    @property
    def name(self) -> str:
        return os.path.basename(_place(self.files[0]))  # noqa: PTH119

    @property
    def names(self) -> list[str]:
        return [*(one.name for one in self.found), *self.lacking]

    def is_beyond(self, loader: str) -> bool:
        """Whether others find events here, and a loader knows nothing of them."""
        others = bool(self.table) or any(one.gives_events for one in self.found)
        return others and loader not in self.names


def _divided(source: object, seen: Sequence[_Kind]) -> Iterator[Path | str | list[str]]:
    """The folders in a folder, and its own files, those together that are one thing."""
    root = Path(source) if isinstance(source, str | os.PathLike) and Path(source).is_dir() else None
    folders: dict[Path, None] = {}
    groups: dict[object, list[str]] = defaultdict(list)
    for kind in seen:
        for place in dict.fromkeys(map(_place, kind.files)):
            inside = Path(place).relative_to(root) if root is not None else Path(place)
            if root is not None and len(inside.parts) > 1:
                folders.setdefault(root / inside.parts[0])
            else:
                best = kind.found[0].name if kind.found else kind.table
                groups[best or place].append(place)
    yield from folders
    for places in groups.values():
        yield places[0] if len(places) == 1 else places


# Any other table


def _table(
    source: object, place: str, known: Mapping[str, object], lacking: Mapping[str, str] = _NOTHING
) -> Description:
    names = ("sep", "encoding", "quote", "header_rows", "skip_rows", "sheet")
    read_as: dict[str, Any] = {name: known[name] for name in names if name in known}
    asked = known.get("format")
    origin = Origin.of(source, str(asked) if asked else None, CsvFormat(**read_as))
    rows = origin.glance()
    columns = _columns(rows)
    if not columns:
        broken = "".join(f" Row {one.number:,}: {one.reason}." for one in rows.broken[:1])
        raise InputError(f"{place} holds no rows to look at.{broken}")
    values = next(filter(_DATE.match, columns), None)
    if values is not None:
        raise InputError(
            f"The first row of {place} holds values, no names ({values!r}). Give a frame that has them: "
            f"pandas.read_csv({place}, header=None, names=[…])."
        )
    options, questions = mapping(columns, known, stem(origin.name))
    sep = getattr(rows, "separator", None)
    told = {"sep": sep} if sep not in {None, ","} and "sep" not in known else {}
    options = {**known, **options, **told}
    order = ("customer", "anonymous_id", "email", "timestamp", "event", "melt", "score", "instrument")
    ordered = {name: options.pop(name) for name in order if name in options} | options
    becomes = {str(value): name for name, value in ordered.items() if isinstance(value, str)}
    becomes |= dict.fromkeys(ordered.get("melt", {}), "timestamp")  # type: ignore[call-overload]
    becomes = {one: one for one in LOADED.names} | becomes
    found = tuple(
        (
            {"customer": "user_id"}.get(becomes.get(name, ""), becomes.get(name, "properties")),
            name,
            1 - cells.null_count / len(cells),
            _cut(next((str(one) for one in cells.to_pylist() if one is not None), "")),
        )
        for name, cells in columns.items()
    )
    return Description(place, "table", ordered, tuple(questions), (), found, tuple(_part_of(lacking)))


def _cut(text: str) -> str:
    return text[:60]


def _columns(rows: Rows) -> dict[str, pa.Array]:
    """The first cells of each column."""
    found = {name: rows.column(name)[:_LOOKED_AT] for name in rows.names()}
    return {name: cells for name, cells in found.items() if len(cells)}
