"""Times as they are written in logs, to UTC microseconds; nothing about a zone or an order is guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.values import bytes_of, trimmed
from cjm_analytics.schema import TIME_QUALITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["OPTIONS", "UNITS", "Clock", "Times", "in_iso", "quality_column"]

OPTIONS: Final = ("dayfirst", "timestamp_format", "unit")
"""What a loader may be told of times beside their zone, which no loader leaves untold."""

UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0}
"""Microseconds in one unit of an epoch; a nanosecond is less than one."""

_DAYS: Final = "excel"
"""The unit of a spreadsheet: days since 30 December 1899, by the clock of a place."""

_DAY: Final = 86_400_000
_BEFORE_1970: Final = 25_569
_LIKELY_DAYS: Final = (20_000, 80_000)
_EXACT, _SECOND, _MINUTE, _DATE, _INFERRED = range(len(TIME_QUALITIES))
_UTC: Final = pa.timestamp("us", tz="UTC")
_LOCAL: Final = pa.timestamp("us")
_NOON: Final = 12 * 3_600 * 1_000_000
_SMALLEST: Final = 10.0**8
_CLASSES: Final = (("s", 10.0**11), ("ms", 10.0**14), ("us", 10.0**17), ("ns", np.inf))
"""An epoch without a unit: seconds below 1e11 (year 5138), and so on; below 1e8 (1973) nothing is told."""

_NUMBER: Final = r"^[+-]?\d+(\.\d+)?$"
_ZONED: Final = r"^\d{4}-\d\d-\d\d[T ]\d\d(:?\d\d)?(:?\d\d)?([.,]\d+)?\s?(Z|UTC|[+-]\d\d(:?\d\d)?)$"
_NAMED: Final = r"^(?P<time>\d[^\[]*)\[(?P<zone>[^\]]+)\]$"
"""A time with the name of its zone behind it: `2025-03-01 10:00:00[Europe/Berlin]`."""

_OFFSET: Final = re.compile(r"[+-]\d\d:?\d\d")
_ISO: Final = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?$"
_SHORT_HOUR: Final = r"^(\d{4}-\d\d-\d\d[T ])(\d:)"
_DIGITS: Final = re.compile(r"[+-]?\d+")
_HAS_ZONE: Final = re.compile(r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
_YEAR_FIRST: Final = r"^(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})($|[ T])"
_SLASHED: Final = r"^\d{1,2}([./-]\d{1,2}[./-]\d{4}|[./]\d{1,2}[./]\d\d)($|[ T,])"
_DAYS_WITH_COMMA: Final = r"^(\d{5}),(\d+)$"
"""A spreadsheet's day with a decimal comma; of five digits are those since 1927."""

_OTHERWISE: Final = (
    "Write them with the year in front (2025-02-01), or read the file with cjm.loaders.table, which has "
    "dayfirst= and timestamp_format="
)
_HALVED: Final = (
    r"^(?P<date>\d[\d./-]*[ T,]+)(?P<hour>0?[1-9]|1[0-2])(?P<rest>:\d\d(?::\d\d(?:\.\d+)?)?)"
    r" ?(?P<half>[AaPp])\.?[Mm]\.?(?P<zone> ?(?:Z|UTC|[+-]\d\d:?\d\d)?(?:\[[^\]]*\])?)$"
)
"""A time of a clock with twelve hours: `3/10/2025 2:30 PM`."""


@dataclass(frozen=True)
class Times:
    """A column of times.

    Attributes
    ----------
    values : pyarrow.Array
        `timestamp[us, UTC]`, null where there is none or it is wrong.
    quality : numpy.ndarray
        Positions in `TIME_QUALITIES`.
    wrong : dict of int to str
        Row in the block → why its time cannot be used.
    """

    values: pa.Array
    quality: NDArray[np.int8]
    wrong: dict[int, str]


def in_iso(words: pa.Array, *, dayfirst: bool) -> pa.Array:
    """Dates such as `1/2/2025 9:30` with the year in front; all other texts mean what they did.

    Examples
    --------
    >>> in_iso(pa.array(["1/2/2025 9:30", "2025-02-01 09:30"]), dayfirst=True).to_pylist()
    ['2025-02-01 09:30', '2025-02-01 09:30']
    """
    order = r"\3-\2-\1" if dayfirst else r"\3-\1-\2"
    iso = pc.replace_substring_regex(words, r"^(\d+[./]\d+[./])(\d\d)($|[ T,])", r"\120\2\3")
    iso = pc.replace_substring_regex(iso, r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4})", order)
    iso = pc.replace_substring_regex(iso, r"^(\d{4})-(\d)-", r"\1-0\2-")
    iso = pc.replace_substring_regex(iso, r"^(\d{4}-\d\d)-(\d)($|[ T,])", r"\1-0\2\3")
    iso = pc.replace_substring_regex(iso, r"^(.{10})[ ,T]+(\d:)", r"\1 0\2")
    return pc.replace_substring_regex(iso, r"^(\d{4}-\d\d-\d\d)[ ,T]+", r"\1 ")


@dataclass
class Clock:
    """How the times of one source are written.

    Parameters
    ----------
    tz : str, optional
        Zone of times that carry none.
    unit : str, optional
        `s`, `ms`, `us` or `ns`: the unit of epoch numbers, by default told by their size; or `excel`, where
        numbers are a spreadsheet's days.
    formats : sequence of str
        `strptime` formats, tried in turn.
    dayfirst : bool, optional
        How `01/02/2025` is meant.
    options : sequence of str
        Which of `OPTIONS` the loader has: hints name no other.
    """

    tz: str | None = None
    unit: str | None = None
    formats: tuple[str, ...] = ()
    dayfirst: bool | None = None
    options: tuple[str, ...] = ()
    _seen: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tz is not None and self.tz not in _zones():
            raise UnknownNameError("time zone", self.tz, sorted(_zones()))
        if self.dayfirst not in (None, True, False):
            raise InputError(
                f"dayfirst={self.dayfirst!r} is no answer: say True (1/2 is in February) or False."
            )
        if self.unit is not None and self.unit not in (*UNITS, _DAYS):
            raise UnknownNameError("unit of time", self.unit, (*UNITS, _DAYS))
        for one in self.formats:
            _check_format(one)

    def afresh(self) -> Clock:
        """The same clock before it has seen a file: what it remembers belongs to one reading."""
        return replace(self, _seen={})

    @property
    def said(self) -> tuple[str | None, str | None, tuple[str, ...], bool | None]:
        """How times are written, without what was seen."""
        return self.tz, self.unit, self.formats, self.dayfirst

    def read(self, array: pa.Array, rows: NDArray[np.int64], *, column: str, file: str) -> Times:
        """Read one column of a block.

        Parameters
        ----------
        array : pyarrow.Array
            Times of any type.
        rows : numpy.ndarray
            Row numbers in the file, for messages.
        column, file : str
            Names for messages.

        Raises
        ------
        InputError
            Times without a zone and no `tz`; epochs of several units in one file; a date that may be read in
            two ways; a column that holds no times at all.
        """
        where = _Where(column, file, rows, self.options)
        kind = array.type
        if pa.types.is_null(kind):
            return Times(pa.nulls(len(array), _UTC), np.zeros(len(array), np.int8), {})
        if pa.types.is_timestamp(kind):
            return self._instants(array, where)
        if pa.types.is_date(kind):
            local = pc.cast(array, _LOCAL)
            return self._placed(local, np.full(len(array), _DATE, np.int8), where)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return self._epochs(array, where)
        if pa.types.is_string(kind):
            return self._texts(trimmed(array), where)
        raise InputError(f"The column {column!r} of {file} holds {kind}, which is no time.")

    def _instants(self, array: pa.Array, where: _Where) -> Times:
        quality = np.full(len(array), _SECOND if array.type.unit == "s" else _EXACT, np.int8)
        if array.type.tz is not None:
            return Times(pc.cast(array, _UTC, safe=False), quality, {})
        return self._placed(pc.cast(array, _LOCAL, safe=False), quality, where)

    def _placed(self, local: pa.Array, quality: NDArray[np.int8], where: _Where) -> Times:
        """Local times into the zone; a date stands for its noon."""
        if local.null_count == len(local):
            return Times(pc.cast(local, _UTC), quality, {})
        if self.tz is None:
            example = local.drop_null()[0].as_py()
            raise InputError(
                f"The times in {where.column!r} of {where.file} carry no time zone (for example {example}). "
                "Say which they are in, for example tz='Europe/Berlin', or tz='UTC'."
            )
        is_date = quality == _DATE
        if is_date.any():
            moved = np.where(is_date, _NOON, 0).astype("timedelta64[us]")
            local = pc.add(local, pa.array(moved))
        if self.tz == "UTC":
            return Times(pc.cast(local, _UTC), quality, {})
        early = pc.assume_timezone(local, self.tz, ambiguous="earliest", nonexistent="earliest")
        late = pc.assume_timezone(local, self.tz, ambiguous="latest", nonexistent="latest")
        odd = pc.fill_null(pc.not_equal(early, late), False).to_numpy(zero_copy_only=False)
        values = pc.cast(early, _UTC)
        if not odd.any():
            return Times(values, quality, {})
        there = pc.fill_null(pc.equal(pc.local_timestamp(early), local), True).to_numpy(zero_copy_only=False)
        quality = np.where(odd & there, _INFERRED, quality).astype(np.int8)
        missing = np.flatnonzero(odd & ~there)
        wrong = {
            int(row): f"{where.column} {local[int(row)].as_py()} does not exist in {self.tz}: "
            "the clocks went forward over it"
            for row in missing
        }
        return Times(_without(values, missing), quality, wrong)

    def _days(self, array: pa.Array, where: _Where) -> Times:
        """A spreadsheet's days, to the millisecond; a whole number is a date."""
        days = pc.subtract(pc.cast(array, pa.float64(), safe=False), float(_BEFORE_1970))
        days = pc.if_else(pc.less(pc.abs(days), 1e6), days, None)
        local = pc.multiply(pc.cast(pc.round(pc.multiply(days, float(_DAY))), pa.int64()), 1_000)
        is_date = pc.fill_null(pc.equal(pc.floor(days), days), False).to_numpy(zero_copy_only=False)
        lost = pc.and_(pc.is_valid(array), pc.is_null(days)).to_numpy(zero_copy_only=False)
        wrong = {
            int(row): f"{where.column} {array[int(row)]} is no day of a spreadsheet"
            for row in np.flatnonzero(lost)
        }
        found = self._placed(pc.cast(local, _LOCAL), np.where(is_date, _DATE, _SECOND).astype(np.int8), where)
        return Times(found.values, found.quality, {**found.wrong, **wrong})

    def _epochs(self, array: pa.Array, where: _Where) -> Times:
        if self.unit == _DAYS:
            return self._days(array, where)
        is_whole = pa.types.is_integer(array.type)
        numbers = pc.cast(array, pa.int64() if is_whole else pa.float64(), safe=False)
        if not is_whole:
            numbers = pc.if_else(pc.is_finite(numbers), numbers, None)
        known = pc.fill_null(pc.cast(numbers, pa.float64(), safe=False), np.nan)
        size = np.array(known)
        wrong: dict[int, str] = {}
        unit = self.unit
        if unit is None:
            unknown = np.flatnonzero(size < _SMALLEST)
            for row in unknown:
                said = "is too small to tell whether it counts s, ms, µs or ns"
                said += where.hint("unit", "; say unit=")
                if _LIKELY_DAYS[0] < size[row] < _LIKELY_DAYS[1]:
                    said = "is no time since 1970; if a spreadsheet wrote its days so, "
                    said += where.hint("unit", "say unit='excel'", "write them as dates")
                wrong[int(row)] = f"{where.column} {array[int(row)]} {said}"
            size[unknown] = np.nan
            unit = self._one_class(size, where)
        if unit is None:
            return Times(pa.nulls(len(array), _UTC), np.zeros(len(array), np.int8), wrong)
        quality = np.full(len(array), _SECOND if unit == "s" and is_whole else _EXACT, np.int8)
        fits = np.abs(size) * (UNITS[unit] or 1e-3) < 2.0**63
        for row in np.flatnonzero(~fits & ~np.isnan(size)):
            wrong[int(row)] = f"{where.column} {array[int(row)]} is no time in {unit}"
        kept = pc.if_else(pa.array(fits), numbers, None)
        return Times(pc.cast(_scaled(kept, unit, whole=is_whole), _UTC), quality, wrong)

    def _one_class(self, size: NDArray[np.float64], where: _Where) -> str | None:
        """The unit that the size of the numbers tells; more than one in a file is an error."""
        lower = 0.0
        for unit, upper in _CLASSES:
            inside = np.flatnonzero((size >= lower) & (size < upper))
            lower = upper
            if not inside.size:
                continue
            row = int(where.rows[inside[0]])
            known, first = self._seen.setdefault((where.file, where.column), (unit, row))
            if known != unit:
                raise InputError(
                    f"The times in {where.column!r} of {where.file} mix units: row {first:,} looks like "
                    f"{known}, row {row:,} like {unit} since 1970. Split the file"
                    + where.hint("unit", ", or say unit= if all are the same")
                    + "."
                )
        seen = self._seen.get((where.file, where.column))
        return seen[0] if seen else None

    def _texts(self, words: pa.Array, where: _Where) -> Times:
        if self.formats:
            return self._by_format(words, where)
        if words.null_count == len(words):
            return Times(pc.cast(words, _UTC), np.zeros(len(words), np.int8), {})
        if self.unit == _DAYS:
            words = pc.replace_substring_regex(words, _DAYS_WITH_COMMA, r"\1.\2")
        example = words[pc.index(pc.is_valid(words), True).as_py()].as_py()
        # A cast that fails is slow to say so: the first time tells which one is likely.
        kind = pa.int64() if _DIGITS.fullmatch(example) else _UTC if _HAS_ZONE.search(example) else _LOCAL
        try:
            cast = pc.cast(words, kind)
        except pa.ArrowInvalid:
            return self._mixed(words, where)
        if kind == _UTC:
            return Times(cast, _shape(words), {})
        return self._placed(cast, _shape(words), where) if kind == _LOCAL else self._epochs(cast, where)

    def _mixed(self, words: pa.Array, where: _Where) -> Times:
        """Each kind of text by its own rule; what is left is no time."""
        joined = Times(pa.nulls(len(words), _UTC), np.zeros(len(words), np.int8), {})
        left = pc.is_valid(words)
        words = pc.replace_substring_regex(words, _YEAR_FIRST, r"\1-0\2-0\3\4")
        words = pc.replace_substring_regex(words, r"^(\d{4})-0?(\d\d)-0?(\d\d)", r"\1-\2-\3")
        words = pc.replace_substring_regex(_of_24_hours(words), _SHORT_HOUR, r"\10\2")
        for pattern, read in (
            (_NUMBER, self._numbers_in_text),
            (_ZONED, self._zoned_text),
            (_NAMED, self._named_text),
            (_ISO, self._local_text),
            (_SLASHED, self._slashed_text),
        ):
            fits = pc.and_(left, pc.fill_null(pc.match_substring_regex(words, pattern), False))
            rows = np.flatnonzero(fits.to_numpy(zero_copy_only=False))
            if rows.size:
                left = pc.and_(left, pc.invert(fits))
                part = read(words.take(pa.array(rows)), where.of(rows))
                joined = _put(joined, part, rows)
        for row in np.flatnonzero(left.to_numpy(zero_copy_only=False)):
            joined.wrong[int(row)] = where.no_time(words[int(row)].as_py())
        return joined

    def _numbers_in_text(self, words: pa.Array, where: _Where) -> Times:
        words = pc.replace_substring_regex(words, r"^\+", "")
        try:
            return self._epochs(pc.cast(words, pa.int64()), where)
        except pa.ArrowInvalid:
            return self._epochs(pc.cast(words, pa.float64()), where)

    def _zoned_text(self, words: pa.Array, where: _Where) -> Times:
        tidy = pc.replace_substring_regex(words, r"\s?UTC$", "Z")
        tidy = pc.replace_substring_regex(tidy, r"\s([+-])", r"\1") if _spaced_offset(tidy) else tidy
        return _parsed(_six_places(tidy), _UTC, words, where)

    def _named_text(self, words: pa.Array, where: _Where) -> Times:
        """Each text by the clock of the zone that it names."""
        found = pc.extract_regex(words, _NAMED)
        times, zones = pc.struct_field(found, "time"), pc.dictionary_encode(pc.struct_field(found, "zone"))
        codes = zones.indices.to_numpy()
        joined = Times(pa.nulls(len(words), _UTC), np.zeros(len(words), np.int8), {})
        for code, zone in enumerate(zones.dictionary.to_pylist()):
            rows = np.flatnonzero(codes == code)
            mine = trimmed(times.take(pa.array(rows)))
            is_offset = _OFFSET.fullmatch(zone) is not None
            if is_offset:
                with_it = pc.binary_join_element_wise(mine, zone, "")
                mine = pc.if_else(pc.match_substring_regex(mine, _ZONED), mine, with_it)
            clock = replace(self, tz="UTC" if zone == "Z" or is_offset else zone, formats=(), _seen={})
            part = clock._texts(mine, where.of(rows))  # noqa: SLF001 - one of its own
            joined = _put(joined, part, rows)
        return joined

    def _local_text(self, words: pa.Array, where: _Where) -> Times:
        found = _parsed(_six_places(words), _LOCAL, words, where)
        placed = self._placed(found.values, found.quality, where)
        return Times(placed.values, placed.quality, {**found.wrong, **placed.wrong})

    def _slashed_text(self, words: pa.Array, where: _Where) -> Times:
        if self.dayfirst is None:
            raise InputError(
                f"The dates in {where.column!r} of {where.file} can be read in two ways (row "
                f"{int(where.rows[0]):,}: {words[0].as_py()!r}). "
                + where.hint("dayfirst", "Say dayfirst=True or dayfirst=False", _OTHERWISE)
                + where.hint("timestamp_format", ", or give timestamp_format=, for example '%d.%m.%Y %H:%M'")
                + "."
            )
        iso = in_iso(words, dayfirst=self.dayfirst)
        found = _parsed(_six_places(iso), _LOCAL, words, where)
        placed = self._placed(found.values, found.quality, where)
        return Times(placed.values, placed.quality, {**found.wrong, **placed.wrong})

    def _by_format(self, words: pa.Array, where: _Where) -> Times:
        import pandas as pd

        series = pd.Series(words.to_numpy(zero_copy_only=False), dtype=object)
        joined = Times(pa.nulls(len(words), _UTC), np.zeros(len(words), np.int8), {})
        left = series.notna().to_numpy()
        for one in self.formats:
            rows = np.flatnonzero(left)
            if not rows.size:
                break
            has_zone = "%z" in one or "%Z" in one
            read = pd.to_datetime(series.iloc[rows], format=one, errors="coerce", utc=has_zone)
            done = read.notna().to_numpy()
            left[rows[done]] = False
            quality = np.full(int(done.sum()), _format_quality(one), np.int8)
            values = pa.Array.from_pandas(read[done])
            if has_zone:
                part = Times(pc.cast(values, _UTC, safe=False), quality, {})
            else:
                part = self._placed(pc.cast(values, _LOCAL, safe=False), quality, where.of(rows[done]))
            joined = _put(joined, part, rows[done])
        for row in np.flatnonzero(left):
            text = _short(words[int(row)].as_py())
            joined.wrong[int(row)] = f"{where.column} {text!r} fits no timestamp_format"
        return joined


@cache
def _zones() -> frozenset[str]:
    """All zones: to ask the system takes 12 ms."""
    return frozenset(available_timezones())


@dataclass(frozen=True)
class _Where:
    """Where a column stands and what its loader can be told, for messages."""

    column: str
    file: str
    rows: NDArray[np.int64]
    options: tuple[str, ...]

    def of(self, rows: NDArray[np.intp]) -> _Where:
        return replace(self, rows=self.rows[rows])

    def hint(self, option: str, said: str, otherwise: str = "") -> str:
        """What to say where the loader has an option, and where it has not."""
        return said if option in self.options else otherwise

    def no_time(self, text: str) -> str:
        without = self.hint("timestamp_format", " without timestamp_format=")
        return f"{self.column} is no time that can be read{without}: {_short(text)!r}"


def quality_column(quality: NDArray[np.int8], is_inferred: NDArray[np.bool_] | None = None) -> pa.Array:
    """Codes of qualities as the canonical dictionary column."""
    if is_inferred is not None:
        quality = np.where(is_inferred, np.int8(_INFERRED), quality)
    return pa.DictionaryArray.from_arrays(pa.array(quality.astype(np.int32)), pa.array(TIME_QUALITIES))


def _check_format(one: str) -> None:
    import pandas as pd

    if "%" not in one:
        raise InputError(
            f"timestamp_format={one!r} holds no directive such as %Y. Example: '%d.%m.%Y %H:%M'."
        )
    try:
        pd.to_datetime(pd.Series(["x"]), format=one, errors="coerce")
    except ValueError as fault:
        raise InputError(f"timestamp_format={one!r} is no strptime format: {fault}") from fault


def _format_quality(one: str) -> int:
    if "%f" in one:
        return _EXACT
    if any(directive in one for directive in ("%S", "%T", "%c", "%X", "%r")):
        return _SECOND
    return _MINUTE if any(directive in one for directive in ("%M", "%R", "%H", "%I")) else _DATE


def _shape(words: pa.Array) -> NDArray[np.int8]:
    """How precise ISO texts are, told from where their signs stand: `2025-03-01T10:00:00.5`."""
    data, starts = bytes_of(words)
    length = np.diff(starts)
    if len(length) and length[0] and (length == length[0]).all():  # as most clocks write
        return _shape_of_alike(data.reshape(len(words), length[0]))
    quality = np.full(len(words), _MINUTE, np.int8)
    quality[length <= len("2025-03-01")] = _DATE
    quality[_sign_at(data, starts, 16, b":")] = _SECOND
    quality[_sign_at(data, starts, 19, b".,")] = _EXACT
    return quality


def _shape_of_alike(texts: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The same of texts of one length, one per row."""
    n, length = texts.shape
    quality = np.full(n, _MINUTE if length > len("2025-03-01") else _DATE, np.int8)
    if length > len("2025-03-01T10:00"):
        quality[texts[:, 16] == ord(":")] = _SECOND
    if length > len("2025-03-01T10:00:00"):
        quality[(texts[:, 19] == ord(".")) | (texts[:, 19] == ord(","))] = _EXACT
    return quality


def _sign_at(
    data: NDArray[np.uint8], starts: NDArray[np.int32], position: int, signs: bytes
) -> NDArray[np.bool_]:
    """Whether a cell has one of some signs at a position."""
    long_enough = np.diff(starts) > position
    if not data.size:
        return long_enough
    sign = data[np.where(long_enough, starts[:-1] + position, 0)]
    fits: NDArray[np.bool_] = np.isin(sign, list(signs)) & long_enough
    return fits


def _of_24_hours(words: pa.Array) -> pa.Array:
    """Times with AM or PM as a clock of 24 hours shows them."""
    found = pc.extract_regex(words, _HALVED)
    if found.null_count == len(found):
        return words
    date, hour, rest, half, zone = found.flatten()
    shown = pc.cast(hour, pa.int32())
    shown = pc.add(
        pc.if_else(pc.equal(shown, 12), 0, shown), pc.if_else(pc.match_substring_regex(half, "^[Pp]"), 12, 0)
    )
    clock = pc.utf8_lpad(pc.cast(shown, pa.string()), 2, "0")
    return pc.coalesce(pc.binary_join_element_wise(date, clock, rest, zone, ""), words)


def _six_places(words: pa.Array) -> pa.Array:
    """Fractions with a point and at most microseconds; the rest is cut off, as a clock would."""
    words = pc.replace_substring(words, ",", ".")
    return pc.replace_substring_regex(words, r"(\.\d{6})\d+", r"\1")


def _spaced_offset(words: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(words, r"\s[+-]\d\d(:?\d\d)?$")).as_py())


def _parsed(words: pa.Array, kind: pa.DataType, shown: pa.Array, where: _Where) -> Times:
    """Cast text to times; where one cell refuses, halve until it is alone."""
    pieces = list(_pieces(words, kind))
    values = pa.concat_arrays(pieces) if pieces else pa.nulls(0, kind)
    refused = pc.and_(pc.is_null(values), pc.is_valid(words)).to_numpy(zero_copy_only=False)
    wrong = {int(row): where.no_time(shown[int(row)].as_py()) for row in np.flatnonzero(refused)}
    return Times(values, _shape(words), wrong)


def _pieces(words: pa.Array, kind: pa.DataType) -> Iterator[pa.Array]:
    try:
        yield pc.cast(words, kind)
    except pa.ArrowInvalid:
        if len(words) == 1:
            yield pa.nulls(1, kind)
        else:
            middle = len(words) // 2
            yield from _pieces(words[:middle], kind)
            yield from _pieces(words[middle:], kind)


def _scaled(numbers: pa.Array, unit: str, *, whole: bool) -> pa.Array:
    if unit == "ns":
        return pc.cast(pc.floor(pc.divide(numbers, 1_000)), pa.int64(), safe=False)
    if whole:
        return pc.multiply(numbers, UNITS[unit])
    return pc.cast(pc.round(pc.multiply(numbers, float(UNITS[unit]))), pa.int64())


def _put(joined: Times, part: Times, rows: NDArray[np.intp]) -> Times:
    """Write the times of some rows into the whole."""
    mask = np.zeros(len(joined.values), bool)
    mask[rows] = True
    values = pc.replace_with_mask(joined.values, pa.array(mask), part.values)
    joined.quality[rows] = part.quality
    joined.wrong.update({int(rows[row]): reason for row, reason in part.wrong.items()})
    return Times(values, joined.quality, joined.wrong)


def _without(values: pa.Array, rows: Sequence[int] | NDArray[np.intp]) -> pa.Array:
    mask = np.zeros(len(values), bool)
    mask[rows] = True
    return pc.if_else(pa.array(mask), pa.scalar(None, values.type), values)


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
