"""Cells to canonical values: ids, names, numbers, flags and the JSON of everything else.

All of it works on whole Arrow columns; what is rare (a letter outside ASCII, a blank at an end) is looked for
first, in the bytes of the column, and paid for only where it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "NAME",
    "Cells",
    "Money",
    "as_json",
    "bare",
    "bytes_of",
    "constant",
    "flags",
    "hexadecimal",
    "holds_any",
    "ids",
    "is_utf8",
    "json_texts",
    "names",
    "number_text",
    "numbers",
    "one_text",
    "path_of",
    "plain",
    "texts",
    "trimmed",
    "whole_numbers",
]

NAME: Final = pa.dictionary(pa.int32(), pa.string())
"""Arrow type of a column of few names."""

_JSON: Final = pa.large_binary()
_EXACT: Final = 2.0**53
_EMAIL: Final = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_ROUNDED: Final = r"^([a-z]+:)?\d([.,]\d+)?E\+\d\d(:|$)"
_TRUE: Final = ("true", "t", "yes", "y", "1")
_FALSE: Final = ("false", "f", "no", "n", "0")
_GAP: Final = r"[\s\x{a0}\x{202f}]*"
_MARK: Final = r"[A-Za-z]{3}|[A-Z]{0,2}\p{Sc}|zł|Kč|[Kk]r\.?|"
_PRICED: Final = (
    rf"^(?P<sign>[+-]?){_GAP}(?P<before>{_MARK}){_GAP}"
    rf"(?P<number>[+-]?\d(?:[\d.,'’\s\x{{a0}}\x{{202f}}]*\d)?[.,]?){_GAP}(?P<behind>{_MARK})$"
)
"""An amount with what it counts: `€ 12,50`, `-$1,234.50`, `12.50 EUR`."""

_SPREAD: Final = r"^[+-]?\d{1,3}(?:['’\s\x{a0}\x{202f}]\d{3})+(?:[.,]\d*)?$"
_MARKS: Final = {
    "€": "EUR", "£": "GBP", "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD",
    "HK$": "HKD", "S$": "SGD", "R$": "BRL", "MX$": "MXN", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY",
    "₴": "UAH", "₪": "ILS", "₫": "VND", "฿": "THB", "zł": "PLN", "Kč": "CZK",
}  # fmt: skip
"""Signs of one currency; `$`, `¥` and `kr` are those of several."""

_ISO_4217: Final = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP
LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB
PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL
THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
_CODES: Final = frozenset(_ISO_4217.split())
"""Currencies of ISO 4217: three other letters beside a number are a unit (`5 pcs`), and no amount."""

_PLAIN_NUMBER: Final = np.isin(np.arange(256), list(b"0123456789+-.,eE"))

_BLANK: Final = 32
_HIGHEST: Final = 255


@dataclass(frozen=True)
class Cells:
    """A column in its canonical type, and why some of its cells could not be read.

    Attributes
    ----------
    values : pyarrow.Array
        Null where a cell is empty or wrong.
    wrong : dict of int to str
        Row in the block → what is wrong with its cell.
    """

    values: pa.Array
    wrong: Mapping[int, str]


@dataclass(frozen=True)
class Money(Cells):
    """Amounts, and what stands beside them.

    Attributes
    ----------
    marks : pyarrow.Array or None
        The currency of each cell, or a sign that several currencies have; None where no cell has any.
    """

    marks: pa.Array | None = None


def plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One contiguous array: dictionaries decoded, text in the one string type that the rest works on."""
    array = column
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # a column of no chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        is_uuid = array.type.extension_name == "arrow.uuid"
        array = strings([one and str(one) for one in array.to_pylist()]) if is_uuid else array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(array, pa.string())
    if pa.types.is_fixed_size_binary(kind):
        return hexadecimal(array)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return _text_of_bytes(array)
    return array


def hexadecimal(array: pa.Array) -> pa.Array:
    """Bytes as hexadecimal digits."""
    return pa.array([None if one is None else one.hex() for one in array.to_pylist()], pa.string())


def _text_of_bytes(array: pa.Array) -> pa.Array:
    """Bytes as the text that they are; a cell that is none as hexadecimal digits."""
    try:
        return pc.cast(array, pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if one is None else _decoded(one) for one in array.to_pylist()], pa.string())


def _decoded(cell: bytes) -> str:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.hex()


def constant(text: str, size: int) -> pa.Array:
    """A column that says the same name in every row."""
    return pa.DictionaryArray.from_arrays(_zeros(size), pa.array([text], pa.string()))


@lru_cache(maxsize=2)
def _zeros(size: int) -> pa.Array:
    """Blocks are mostly of one size, and arrays never change: one serves all constants."""
    return pa.array(np.zeros(size, np.int32))


def bytes_of(array: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The bytes of a string column, and where each cell begins in them (one more than there are rows)."""
    _, offsets, data = array.buffers()
    if len(array) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(len(array) + 1, np.int32)
    starts = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return held[starts[0] : starts[-1]], starts - starts[0]


def holds_any(array: pa.Array, signs: bytes) -> bool:
    """Whether any of some ASCII signs stands anywhere in a column of text."""
    data, _ = bytes_of(array)
    return any(bool((data == sign).any()) for sign in signs)


def is_utf8(block: bytes) -> bool:
    """Whether bytes are text."""
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def number_text(value: float) -> str:
    """A number as an id is written: `17.0` is `17`."""
    return str(int(value)) if value == int(value) else repr(value)


def one_text(value: object) -> str | None:
    """Any cell as text, as an id would be written; None for an empty one."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value) if np.isfinite(value) else None
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=str).decode()
    return str(value)


def texts(array: pa.Array) -> pa.Array:
    """A column of any type as text; whole floats are written as integers."""
    kind = array.type
    if pa.types.is_string(kind):
        return array
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if pa.types.is_floating(kind):
        finite = pc.is_finite(array)
        array = pc.if_else(finite, array, None)
        whole = pc.equal(pc.floor(array), array)
        small = pc.less(pc.abs(array), _EXACT)
        if pc.all(pc.and_(whole, small)).as_py() is not False:
            return pc.cast(pc.cast(array, pa.int64()), pa.string())
        return pa.array([one_text(value) for value in array.to_pylist()], pa.string())
    if pa.types.is_nested(kind):
        return pa.array([one_text(value) for value in array.to_pylist()], pa.string())
    return pc.cast(array, pa.string())


def trimmed(array: pa.Array) -> pa.Array:
    """Text without blanks at its ends, in Unicode form NFC; null where nothing is left."""
    data, _ = bytes_of(array)
    n_empty, lowest = _ends(array)
    if data.size and data.max() >= 128:  # noqa: PLR2004 - beyond ASCII
        array = pc.utf8_trim_whitespace(pc.utf8_normalize(array, form="NFC"))
        n_empty, _ = _ends(array)
    elif lowest <= _BLANK:
        array = pc.ascii_trim_whitespace(array)
        n_empty, _ = _ends(array)
    if n_empty > array.null_count:
        array = pc.if_else(pc.equal(pc.binary_length(array), 0), pa.scalar(None, pa.string()), array)
    return array


def _ends(array: pa.Array) -> tuple[int, int]:
    """How many texts are empty or null, and the lowest byte at any end of one."""
    data, starts = bytes_of(array)
    if not data.size:
        return len(array), _HIGHEST
    from cjm_analytics.kernels.texts import ends

    return ends(data, starts)


def ids(array: pa.Array, *, column: str) -> Cells:
    """Ids: text, trimmed, NFC; never lower-cased, except an e-mail address."""
    wrong: dict[int, str] = {}
    if pa.types.is_floating(array.type):
        lossy = pc.fill_null(pc.greater_equal(pc.abs(array), _EXACT), False)
        for row in np.flatnonzero(lossy.to_numpy(zero_copy_only=False)):
            wrong[int(row)] = (
                f"{column} {array[int(row)].as_py()!r} is a number too large to be exact; export ids as text"
            )
    values = trimmed(texts(array))
    data, _ = bytes_of(values)
    if data.size and (data == 0).any():
        wrong |= _with_nul(values, column)
    if data.size and (data == ord("+")).any():
        rounded = pc.fill_null(pc.match_substring_regex(values, _ROUNDED), False)
        for row in np.flatnonzero(rounded.to_numpy(zero_copy_only=False)):
            wrong[int(row)] = (
                f"{column} {values[int(row)].as_py()!r} was rounded by a spreadsheet, where several ids look "
                "alike; export again, and do not save it there"
            )
        values = pc.if_else(rounded, None, values)
    if data.size and (data == ord("@")).any():
        address = pc.match_substring_regex(values, _EMAIL)
        values = pc.if_else(address, pc.utf8_lower(values), values)
    return Cells(values, wrong)


def bare(values: pa.Array) -> pa.Array:
    """Ids as they were before a spreadsheet was told that they are text: `="007"` is `007`."""
    data, _ = bytes_of(values)
    if not data.size or not (data == ord("=")).any():
        return values
    return pc.replace_substring_regex(values, r'^="(.*)"$', r"\1")


def names(array: pa.Array, *, column: str) -> Cells:
    """Names of which there are few (events, channels): trimmed, as dictionary codes."""
    array = texts(array) if not pa.types.is_dictionary(array.type) else array
    codes = array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(array)
    words = trimmed(texts(codes.dictionary))
    bare, _ = bytes_of(words)
    if not words.equals(codes.dictionary):
        codes = pc.dictionary_encode(words.take(codes.indices))
    else:
        codes = pc.cast(codes, NAME)
    wrong: Mapping[int, str] = {}
    if bare.size and (bare == 0).any():
        wrong = _with_nul(codes.dictionary_decode(), column)
    return Cells(codes, wrong)


def _with_nul(values: pa.Array, column: str) -> dict[int, str]:
    rows = pc.fill_null(pc.match_substring(values, "\0"), False).to_numpy(zero_copy_only=False)
    return {int(row): f"{column} holds a NUL byte" for row in np.flatnonzero(rows)}


def numbers(array: pa.Array, *, column: str, decimal: str = ".") -> Cells:
    """Numbers as float64; text is read with the given decimal sign, and nothing is guessed.

    Thousands may be set off by the other sign where that can mean nothing else: `1.234,50`, and `1.234` where
    the decimal sign was said to be the comma; `1,234.50`, but not `1,234`.
    """
    if pa.types.is_boolean(array.type):
        array = pc.cast(array, pa.int8())
    if not pa.types.is_string(array.type):
        if pa.types.is_nested(array.type) or pa.types.is_temporal(array.type):
            return numbers(texts(array), column=column, decimal=decimal)
        values = pc.cast(array, pa.float64())
        return _finite(values, array, column)
    words = trimmed(array)
    dotted = _with_point(words, decimal)
    try:
        return _finite(pc.cast(dotted, pa.float64()), words, column)
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(dotted, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        bare = pc.replace_substring_regex(dotted, r"^\+", "")
        values = pc.cast(pc.if_else(fits, bare, None), pa.float64())
        found = _finite(values, words, column)
        refused = pc.fill_null(pc.invert(fits), False).to_numpy(zero_copy_only=False)
        wrong = {
            int(row): f"{column} is no number: {_short(words[int(row)].as_py())!r}"
            + _other_sign(words[int(row)].as_py(), decimal)
            for row in np.flatnonzero(refused)
        }
        return Cells(found.values, {**found.wrong, **wrong})


def _with_point(words: pa.Array, decimal: str) -> pa.Array:
    """Numbers with a point as decimal sign, thousands run together; what is none stays none."""
    other, point = (",", r"\.") if decimal == "." else (r"\.", ",")
    if pc.any(pc.match_substring(words, other[-1])).as_py():
        behind = rf"{point}\d*" if decimal == "." else rf"(?:{point}\d*)?"
        grouped = pc.match_substring_regex(words, rf"^[+-]?\d{{1,3}}(?:{other}\d{{3}})+{behind}$")
        # A sign that is left means that the text is no number: two of them are none in any case.
        odd = pc.replace_substring(words, other[-1], other[-1] * 2)
        words = pc.if_else(grouped, pc.replace_substring(words, other[-1], ""), odd)
    return words if decimal == "." else pc.replace_substring(words, ",", ".")


def _other_sign(text: str, decimal: str) -> str:
    """What to say of a text that is a number with the other decimal sign."""
    other = "," if decimal == "." else "."
    if not re.fullmatch(rf"[+-]?[\d{decimal}]*\d[{other}]\d+", text):
        return ""
    return f" (the decimal sign is {decimal!r}; say decimal={other!r} if it is the other)"


def _finite(values: pa.Array, shown: pa.Array, column: str) -> Cells:
    odd = pc.fill_null(pc.invert(pc.is_finite(values)), False).to_numpy(zero_copy_only=False)
    if not odd.any():
        return Cells(values, {})
    absent = pc.fill_null(pc.is_nan(values), False)  # a frame's way to say that there is none
    if pa.types.is_string(shown.type):
        absent = pa.array(np.zeros(len(values), bool))
    wrong = {
        int(row): f"{column} is not finite: {shown[int(row)].as_py()!r}"
        for row in np.flatnonzero(odd & ~absent.to_numpy(zero_copy_only=False))
    }
    return Cells(pc.if_else(pc.is_finite(values), values, None), wrong)


def whole_numbers(array: pa.Array, *, column: str) -> Cells:
    """Whole numbers as int64."""
    if pa.types.is_integer(array.type):
        return Cells(pc.cast(array, pa.int64()), {})
    if pa.types.is_string(array.type):
        try:
            return Cells(pc.cast(trimmed(array), pa.int64()), {})
        except pa.ArrowInvalid:
            pass
    found = numbers(array, column=column)
    fits = pc.and_(pc.equal(pc.floor(found.values), found.values), pc.less(pc.abs(found.values), _EXACT))
    odd = pc.fill_null(pc.invert(fits), False).to_numpy(zero_copy_only=False)
    wrong = {int(row): f"{column} is no whole number: {array[int(row)]}" for row in np.flatnonzero(odd)}
    return Cells(pc.cast(pc.if_else(fits, found.values, None), pa.int64()), {**found.wrong, **wrong})


def money(array: pa.Array, *, column: str, decimal: str = ".") -> Money:
    """Amounts in major units as decimal(18, 4), rounded half away from zero at the fourth place.

    A sign or code of a currency may stand before or behind a number, and blanks or apostrophes between its
    thousands.
    """
    amount = pa.decimal128(18, 4)
    marks = None
    if pa.types.is_string(array.type):
        try:
            if decimal == ".":
                return Money(pc.cast(trimmed(array), amount), {})
        except pa.ArrowInvalid:
            pass
        array, marks = _priced(trimmed(array))
    found = numbers(array, column=column, decimal=decimal)
    fits = pc.less(pc.abs(found.values), 1e14)
    large = pc.fill_null(pc.invert(fits), False).to_numpy(zero_copy_only=False)
    wrong = {int(row): f"{column} is too large: {array[int(row)]}" for row in np.flatnonzero(large)}
    kept = pc.round(pc.if_else(fits, found.values, None), 4, round_mode="half_towards_infinity")
    return Money(pc.cast(kept, amount), {**found.wrong, **wrong}, marks)


def _priced(words: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Amounts as bare numbers, and the currencies or signs beside them; what is no amount stays as it is."""
    data, _ = bytes_of(words)
    if _PLAIN_NUMBER[data].all():
        return words, None
    sign, before, number, behind = pc.extract_regex(words, _PRICED).flatten()
    spread = pc.match_substring_regex(number, _SPREAD)
    number = pc.if_else(spread, pc.replace_substring_regex(number, r"['’\s\x{a0}\x{202f}]", ""), number)
    marks = pc.dictionary_encode(pc.binary_join_element_wise(before, behind, ""))
    codes = [_currency(one) for one in marks.dictionary.to_pylist()]
    mark = pa.array(codes, pa.string()).take(marks.indices)
    # Two signs of minus, or two currencies, are no amount.
    fits = pc.and_(
        pc.or_(pc.equal(sign, ""), pc.match_substring_regex(number, r"^\d")),
        pc.and_(pc.or_(pc.equal(before, ""), pc.equal(behind, "")), pc.is_valid(mark)),
    )
    bare = pc.if_else(fits, pc.binary_join_element_wise(sign, number, ""), pa.scalar(None, pa.string()))
    known = pc.if_else(pc.and_(fits, pc.not_equal(mark, "")), mark, pa.scalar(None, pa.string()))
    return pc.coalesce(bare, words), None if known.null_count == len(known) else known


def _currency(mark: str) -> str | None:
    """The code of a currency by its sign; None for letters that are no currency's."""
    if re.fullmatch("[A-Za-z]{3}", mark):
        return mark.upper() if mark.upper() in _CODES else None
    return _MARKS.get(mark, mark)


def flags(array: pa.Array, *, column: str) -> Cells:
    """True or false, however it is written: true/false, yes/no, t/f, 1/0."""
    if pa.types.is_boolean(array.type):
        return Cells(array, {})
    words = pc.utf8_lower(trimmed(texts(array)))
    true = pc.is_in(words, value_set=pa.array(_TRUE))
    known = pc.or_(true, pc.is_in(words, value_set=pa.array(_FALSE)))
    odd = pc.and_(pc.invert(known), pc.is_valid(words)).to_numpy(zero_copy_only=False)
    wrong = {
        int(row): f"{column} is neither true nor false: {_short(words[int(row)].as_py())!r}"
        for row in np.flatnonzero(odd)
    }
    return Cells(pc.if_else(known, true, pa.scalar(None, pa.bool_())), wrong)


def path_of(url: pa.Array) -> pa.Array:
    """Path and query of URLs: no host, no fragment."""
    few = pc.dictionary_encode(url)
    path = pc.replace_substring_regex(few.dictionary, r"^([A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*", "")
    path = pc.replace_substring_regex(path, r"#.*$", "")
    rooted = pc.starts_with(path, "/")
    path = pc.if_else(rooted, path, pc.binary_join_element_wise("/", path, ""))
    return path.take(few.indices)


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def json_texts(columns: Mapping[str, pa.Array]) -> pa.Array | None:
    """One JSON object per row from columns; empty cells are left out; None if nothing is left at all.

    A column named `properties` that holds objects (structs, or JSON text of objects) is not nested: its
    members stand beside the other columns.
    """
    nested = columns.get("properties")
    if nested is not None and (pa.types.is_nested(nested.type) or _holds_objects(nested)):
        return _merged(columns, nested)
    return _objects(columns)


def _objects(columns: Mapping[str, pa.Array]) -> pa.Array | None:
    """JSON objects of columns, as they are; None if nothing is in any.

    Members stand in the order of their names: equal rows are equal in whatever order a file has its columns.
    """
    members = [(name, columns[name]) for name in sorted(columns)]
    members = [(name, cells) for name, cells in members if cells.null_count < len(cells)]
    if not members:
        return None
    (name, cells), *others = members
    begun = _member("{", name, cells)
    if len(begun) > 1 or not begun[0].null_count:  # every object has it: nothing need be cut off
        pieces = [*begun, *(piece for one in others for piece in _member(",", *one)), "}"]
        return pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="")
    # Each member brings its comma; the first one is cut off.
    pieces = [piece for one in members for piece in _member(",", *one)]
    inside = pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="")
    filled = pc.greater(pc.binary_length(inside), 0)
    wrapped = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(inside, 1), "}", "")
    return pc.if_else(filled, wrapped, pa.scalar(None, pa.string()))


def _member(sign: str, name: str, values: pa.Array) -> list[Any]:
    """A sign and `"name":value` for each cell, in pieces to be joined; in one if some cells are empty."""
    label = f"{sign}{orjson.dumps(name).decode()}:"
    is_text = pa.types.is_string(values.type)
    few = pc.dictionary_encode(values) if is_text else values
    if pa.types.is_dictionary(few.type) and len(few.dictionary) * 2 < len(values):
        return [_labelled(label, _json(few.dictionary)).take(few.indices)]
    if is_text and not values.null_count and not _is_odd(values):
        return [label + '"', values, '"']
    written = _json(values)
    return [_labelled(label, written)] if written.null_count else [label, written]


def _json(values: pa.Array) -> pa.Array:
    """The JSON of each cell; null where there is none."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_finite(values), values, None)
    return _quoted(values) if pa.types.is_string(values.type) else _unquoted(values)


def _unquoted(values: pa.Array) -> pa.Array:
    """JSON of values that are no text."""
    kind = values.type
    if pa.types.is_decimal(kind):
        values = pc.cast(values, pa.float64())
    if pa.types.is_temporal(kind):
        return _quoted(pc.cast(values, pa.string()))
    if pa.types.is_struct(kind):
        inside = _objects(dict(zip(kind.names, map(plain, values.flatten()), strict=True)))
        return pa.nulls(len(values), pa.string()) if inside is None else inside
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(values)
    if pa.types.is_nested(kind):
        return _each(values, lambda value: orjson.dumps(value, default=str).decode())
    return pc.cast(values, pa.string())


def _lists(values: pa.Array) -> pa.Array:
    """JSON arrays; what is empty inside them is `null`, or `{}` where there is an object."""
    items = plain(values.flatten())
    nothing = pc.if_else(pc.is_valid(items), "{}" if pa.types.is_struct(items.type) else "null", "null")
    written = pc.coalesce(_json(items), nothing)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    inside = pc.binary_join(pa.ListArray.from_arrays(starts, written), ",")
    wrapped = pc.binary_join_element_wise("[", inside, "]", "")
    return pc.if_else(pc.is_valid(values), wrapped, pa.scalar(None, pa.string()))


def as_json(values: Sequence[object]) -> pa.Array:
    """Values of any kind as JSON texts, marked as such for `json_texts` by their Arrow type."""
    dumped = [
        None if one is None else orjson.dumps(one, default=str, option=orjson.OPT_SORT_KEYS) for one in values
    ]
    return pa.array(dumped, _JSON)


def _labelled(label: str, values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(label, values, "")


_ESCAPED: Final = re.compile(rb'[\x00-\x1f"\\]')


def _is_odd(values: pa.Array) -> bool:
    """Whether any text needs escaping."""
    data, _ = bytes_of(values)
    return _ESCAPED.search(data.tobytes()) is not None


def _quoted(values: pa.Array) -> pa.Array:
    """JSON strings of texts."""
    quoted = pc.binary_join_element_wise('"', values, '"', "")
    if not _is_odd(values):
        return quoted
    odd = pc.fill_null(pc.match_substring_regex(values, _ESCAPED.pattern.decode()), False)
    written = [orjson.dumps(text).decode() for text in values.filter(odd).to_pylist()]
    return pc.replace_with_mask(quoted, odd, pa.array(written, pa.string()))


def _each(values: pa.Array, write: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if one is None else write(one) for one in values.to_pylist()], pa.string())


def _holds_objects(values: pa.Array) -> bool:
    if not pa.types.is_string(values.type):
        return False
    filled = values.drop_null()
    return len(filled) > 0 and filled[0].as_py().lstrip().startswith("{")


def _merged(columns: Mapping[str, pa.Array], nested: pa.Array) -> pa.Array:
    """The slow way: objects are taken apart and written again together with the other columns."""
    others = {name: values.to_pylist() for name, values in columns.items() if name != "properties"}
    merged: list[bytes | None] = []
    for row, cell in enumerate(nested.to_pylist()):
        members = {name: values[row] for name, values in others.items() if values[row] is not None}
        merged.append(object_text(_object(cell), members))
    return pc.cast(pa.array(merged, pa.binary()), pa.string())


def _object(cell: object) -> dict[str, object]:
    if isinstance(cell, str):
        try:
            cell = orjson.loads(cell)
        except orjson.JSONDecodeError:
            return {"properties": cell}
    if isinstance(cell, dict):
        return {name: value for name, value in cell.items() if value is not None}
    return {} if cell is None else {"properties": cell}


def object_text(*objects: Mapping[str, object]) -> bytes | None:
    """Several objects as one JSON text, in the order of their members' names; None if all are empty."""
    together: dict[str, object] = {}
    for one in objects:
        together |= one
    if not together:
        return None
    return orjson.dumps(together, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)


def strings(values: Sequence[object]) -> pa.Array:
    """A list of cells of any type as text."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([one_text(value) for value in values], pa.string())
