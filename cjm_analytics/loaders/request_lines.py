"""Lines of web servers as columns: what each request was, who asked, what was answered."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.rows import RAW_LENGTH, Broken, ColumnRows
from cjm_analytics.loaders.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from cjm_analytics.loaders.files import InputFile

    _Reader: TypeAlias = Callable[[pa.Array], tuple[pa.Table, NDArray[np.int64]]]

__all__ = ["request_lines"]

_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
_PREFIX: Final = (
    r"^(?:(?:<\d+>)?(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S+) \S+ [^\s:]+: |\S+ +\| )?"
)
"""What syslog and containers put before a line."""

_LINE: Final = (
    _PREFIX + r"(?:(?P<vhost>[^\s,]+) )??(?P<host>[^\s,]+)(?:, ?[^\s,]+)* (?P<ident>\S+) "
    r"(?P<user>-|[^-\s][^\[]*?|-[^\s\[]+) \[(?P<time>[^\]]+)\] "
    + _QUOTED.replace("((?:", "(?P<request>(?:", 1)
    + r' (?P<status>\d{3}) (?P<bytes>\d+|-)(?:(?: [^\s"]+)* '
    + _QUOTED.replace("((?:", "(?P<referer>(?:", 1)
    + " "
    + _QUOTED.replace("((?:", "(?P<agent>(?:", 1)
    + r')?(?: "(?P<forwarded>[^"]*)")?(?P<rest>.*)$'
)
_BALANCER: Final = (
    r"^(?:[a-z0-9]+ )?(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) \S+ (?P<host>\S+):\d+ \S+(?: -?[\d.]+){3} "
    r"(?P<status>\d{3}) \S+ \d+ (?P<bytes>\d+) "
    + _QUOTED.replace("((?:", "(?P<request>(?:", 1)
    + " "
    + _QUOTED.replace("((?:", "(?P<agent>(?:", 1)
)
_REQUEST: Final = r"^(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/\S+)?$"
_COMMON: Final = ("host", "ident", "user", "day", "zone", "request", "status", "bytes")
_COMBINED: Final = (*_COMMON, "referer", "agent")
_FORWARDED: Final = (*_COMBINED, "forwarded")
_NAMES: Final = (
    "vhost", "host", "ident", "user", "time", "request", "status", "bytes", "referer", "agent", "forwarded",
    "rest",
)  # fmt: skip
_NOTHING: Final = pa.table({name: pa.array([], pa.string()) for name in _NAMES})
_SERVERS: Final = "Apache, Nginx, Caddy, Traefik, IIS, CloudFront or a load balancer of AWS"

_MEMBERS: Final[Mapping[str, Sequence[str]]] = {
    "time": ("ts", "StartUTC", "time_iso8601", "time_local", "@timestamp", "timestamp", "time", "msec"),
    "host": (
        "request.client_ip", "request.remote_ip", "request.remote_addr", "ClientHost", "remote_addr",
        "client_ip", "remote_ip", "clientip",
    ),
    "user": ("user_id", "ClientUsername", "remote_user"),
    "vhost": ("request.host", "RequestHost", "http_host", "vhost", "server_name", "host"),
    "request": ("request",),
    "method": ("request.method", "RequestMethod", "request_method", "method"),
    "target": ("request.uri", "RequestPath", "request_uri", "uri", "url", "path"),
    "status": ("status", "DownstreamStatus", "status_code"),
    "bytes": ("size", "DownstreamContentSize", "body_bytes_sent", "bytes_sent", "bytes"),
    "referer": ("request.headers.Referer", "request_Referer", "http_referer", "referer", "referrer"),
    "agent": (
        "request.headers.User-Agent", "request_User-Agent", "http_user_agent", "user_agent", "agent",
    ),
    "forwarded": (
        "request.headers.X-Forwarded-For", "request_X-Forwarded-For", "http_x_forwarded_for",
        "x_forwarded_for", "xff",
    ),
}  # fmt: skip
"""Where lines in JSON have it: Caddy, Traefik, and Nginx by the names of its variables."""

_W3C: Final[Mapping[str, Sequence[str]]] = {
    "host": ("c-ip",),
    "user": ("cs-username",),
    "vhost": ("x-host-header", "cs-host", "cs(Host)"),
    "status": ("sc-status",),
    "bytes": ("sc-bytes",),
    "referer": ("cs(Referer)",),
    "agent": ("cs(User-Agent)",),
    "forwarded": ("x-forwarded-for", "X-Forwarded-For", "cs(X-Forwarded-For)"),
}
_W3C_NEEDED: Final = ("time", "cs-method", "cs-uri-stem", "sc-status")
_W3C_TAKEN: Final = ("date", "time", "cs-method", "cs-uri-stem", "cs-uri-query")

_MONTHS: Final = {
    name: place
    for place, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}
_DAY: Final = len("10/Oct/2025")
_PRIVATE: Final = (
    r"^(?:::ffff:)?(?:10|127|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\."
    r"|^::1$|^(?i:f[cd][0-9a-f]{2}|fe80):"
)
_ADDRESS: Final = r"^\s*(?P<address>[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*)"
_PORT: Final = re.compile(r"^(?:\[(.*)\]|([^:]+)):\d+$")
_HEX: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_LATEST: Final = 1e11
"""Seconds since 1970 beyond which a number counts milliseconds."""

_BLOCK: Final = 1 << 23


def request_lines(file: InputFile) -> Iterator[ColumnRows]:
    """The lines of a log as columns; those that are none of a log are broken rows.

    Columns are `vhost`, `host` (whoever asked), `user`, `time`, `method`, `target`, `status`, `bytes`,
    `referer`, `agent`, all as text, and `_key`, which tells a line from others.

    Raises
    ------
    InputError
        No line of the first block is one of a log.
    """
    fields = _Fields()
    with file.open() as stream:
        number, carried = 1, stream.read(3).removeprefix(b"\xef\xbb\xbf")
        any_good = False
        while True:
            block = stream.read(_BLOCK)
            whole, _, carried = (carried + block).rpartition(b"\n") if block else (carried, b"", b"")
            if whole:
                rows, n_lines = _parsed(file.shown, whole, number, fields)
                any_good = any_good or len(rows) > 0 or not rows.broken
                if not any_good and number == 1:
                    raise InputError(
                        f"{file.shown!r} is no access log: no line of it reads like one of {_SERVERS}. For "
                        f"other tables there is cjm.loaders.table. A line of it: {rows.broken[0].raw[:200]!r}"
                    )
                number += n_lines
                yield rows
            if not block:
                break
    if number == 1:
        yield ColumnRows(file.shown, pa.table({"status": pa.array([], pa.string())}), np.zeros(0, np.int64))


def _parsed(file: str, block: bytes, first: int, fields: _Fields) -> tuple[ColumnRows, int]:
    lines = _split(block)
    readers: list[_Reader] = [_combined, _forwarded, _common, _by_pattern, _of_balancer]
    if block.startswith(b"{") or b"\n{" in block:
        lines = _unwrapped(lines)
        readers.append(_of_json)
    if fields.names or block.startswith(b"#") or b"\n#" in block:
        readers.insert(0, fields.read)
    left = np.arange(len(lines))
    places: list[NDArray[np.int64]] = []
    tables: list[pa.Table] = []
    for read in readers:
        if not left.size:
            break
        table, good = read(lines if left.size == len(lines) else lines.take(pa.array(left)))
        tables.append(table)
        places.append(left[good])
        left = np.delete(left, good)
    broken = [
        Broken(first + row, "no line of an access log", line[:RAW_LENGTH])
        for row, line in zip(left.tolist(), lines.take(pa.array(left)).to_pylist(), strict=True)
        if line.strip() and not line.startswith("#")
    ]
    at = np.concatenate(places)
    order = np.argsort(at, kind="stable")
    at = at[order]
    kept = pa.concat_tables(tables, promote_options="default").take(pa.array(order))
    columns = {name: plain(kept[name]) for name in kept.column_names}
    request = pc.extract_regex(columns.pop("request"), _REQUEST)
    columns |= {part: pc.struct_field(request, part) for part in ("method", "target")}
    columns["time"] = _instants(columns["time"])
    columns["host"] = _visitor(columns["host"], columns.pop("forwarded", None))
    nothing = pa.array(["", "-"])
    columns = {
        name: pc.if_else(pc.is_in(cells, value_set=nothing), pa.scalar(None, pa.string()), cells)
        for name, cells in columns.items()
    }
    numbers = at + first
    columns["_key"] = _keys(lines.take(pa.array(at)), numbers)
    return ColumnRows(file, pa.table(columns), numbers, broken=broken), len(lines)


def _split(block: bytes) -> pa.Array:
    """The lines of a block as texts."""
    text = pa.array([block.decode("utf-8", "replace")])
    lines = pc.split_pattern(text, "\n").flatten()
    return pc.ascii_rtrim(lines, "\r") if b"\r" in block else lines


# Common and combined


def _combined(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    return _by_columns(lines, _COMBINED, 6)


def _forwarded(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    return _by_columns(lines, _FORWARDED, 8)


def _common(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    return _by_columns(lines, _COMMON, 2)


def _by_columns(lines: pa.Array, names: Sequence[str], n_quotes: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Lines without anything odd, as fields between blanks; which of the lines they are."""
    is_even = pc.and_(
        pc.equal(pc.count_substring(lines, '"'), n_quotes),
        pc.invert(pc.match_substring_regex(lines, r"[\\\r]")),
    )
    places = np.flatnonzero(is_even.to_numpy(zero_copy_only=False))
    if not places.size:
        return _NOTHING, places
    even = lines if places.size == len(lines) else lines.take(pa.array(places))
    table, fitting = _fields_of(even, names, delimiter=" ", quote_char='"')
    if not fitting.size:
        return _NOTHING, places[:0]
    good = pc.and_(
        pc.and_(pc.starts_with(table["day"], "["), pc.match_substring_regex(table["zone"], r"^[+-]\d{4}\]$")),
        pc.and_(
            pc.match_substring_regex(table["status"], r"^\d{3}$"),
            pc.match_substring_regex(table["bytes"], r"^(\d+|-)$"),
        ),
    )
    table = table.filter(good)
    time = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(table["day"], 1), pc.utf8_slice_codeunits(table["zone"], 0, 5), " "
    )
    table = table.drop_columns(["day", "zone"]).append_column("time", time)
    return table, places[fitting[good.to_numpy()]]


def _fields_of(
    lines: pa.Array, names: Sequence[str], *, delimiter: str, quote_char: str | bool
) -> tuple[pa.Table, NDArray[np.int64]]:
    """The fields of lines that have as many as there are names; which of the lines they are."""
    refused: list[int] = []

    def refuse(row: csv.InvalidRow) -> str:
        refused.append(row.number - 1)
        return "skip"

    whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    content = pc.binary_join(whole, "\n")[0].as_buffer()
    table = csv.read_csv(
        pa.BufferReader(content),
        read_options=csv.ReadOptions(
            column_names=list(names), use_threads=False, block_size=content.size + 1
        ),
        parse_options=csv.ParseOptions(
            delimiter=delimiter, quote_char=quote_char, double_quote=False, invalid_row_handler=refuse,
            ignore_empty_lines=False,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )  # fmt: skip
    if table.num_rows + len(refused) != len(lines):
        return table.slice(0, 0), np.zeros(0, np.int64)  # a quote that joins lines
    return table, np.delete(np.arange(len(lines)), refused)


def _by_pattern(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    """The same for any line."""
    table, good = _extracted(lines, _LINE)
    # A user may have blanks in the name; what stands before a line is none.
    odd = pc.match_substring_regex(table["user"], r": | -(?: |$)|^- ")
    return table.filter(pc.invert(odd)), good[~odd.to_numpy()]


def _of_balancer(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    return _extracted(lines, _BALANCER)


def _extracted(lines: pa.Array, pattern: str) -> tuple[pa.Table, NDArray[np.int64]]:
    found = pc.extract_regex(lines, pattern)
    good = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    kept = found.take(pa.array(good))
    return pa.table(dict(zip(kept.type.names, kept.flatten(), strict=True))), good


# JSON


def _unwrapped(lines: pa.Array) -> pa.Array:
    """Lines that a container's log holds as texts, as they were written."""
    held = pc.match_substring_regex(lines, r'^\{"log":"')
    if not pc.any(held).as_py():
        return lines
    told = [_object(line) or {} for line in lines.filter(held).to_pylist()]
    return pc.replace_with_mask(
        lines, held, pa.array([str(one.get("log", "")).rstrip("\r\n") for one in told], pa.string())
    )


def _of_json(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    rows, good = [], []
    for place, line in enumerate(lines.to_pylist()):
        row = _request_of(_object(line)) if line.startswith("{") else None
        if row is not None:
            rows.append(row)
            good.append(place)
    names = dict.fromkeys(("request", "time", "host", *(name for row in rows for name in row)))
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})
    return table, np.array(good, np.int64)


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _request_of(told: dict[str, Any] | None) -> dict[str, str] | None:
    """The request that an object tells of, if it does; what else it says stays as it is called."""
    if told is None:
        return None
    flat = {key: one for key, one in told.items() if not isinstance(one, dict | list)}
    request = told.get("request")
    if isinstance(request, dict):
        headers = request.get("headers") or {}
        flat |= {f"request.{key}": one for key, one in request.items() if not isinstance(one, dict | list)}
        flat |= {f"request.headers.{key}": one[0] for key, one in headers.items() if one}
    found: dict[str, Any] = {}
    for name, members in _MEMBERS.items():
        for member in members:
            if name not in found and flat.get(member) not in (None, ""):
                found[name] = flat.pop(member)
    if "method" in found and "target" in found:
        found["request"] = f"{found['method']} {found['target']}"
    if not {"time", "status", "request"} <= found.keys():
        return None
    found["time"] = _written(found["time"])
    found["host"] = _PORT.sub(r"\1\2", str(found.get("host", "-")))
    rest = {key: one for key, one in flat.items() if not key.startswith("request.") and one is not None}
    return {key: str(one) for key, one in (rest | found).items() if key not in {"method", "target"}}


def _written(time: object) -> str:
    """A time as text: seconds or milliseconds since 1970 as an instant."""
    try:
        seconds = float(str(time))
    except ValueError:
        return str(time)
    return datetime.fromtimestamp(seconds / (1_000 if seconds > _LATEST else 1), UTC).isoformat()


# W3C


class _Fields:
    """Lines whose fields are named by a line before them (`#Fields:`), in UTC: IIS and CloudFront."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._date = ""

    def read(self, lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
        tables, places, begin = [], [], 0
        heads = np.flatnonzero(pc.starts_with(lines, "#").to_numpy(zero_copy_only=False))
        for head in [*heads.tolist(), len(lines)]:
            if head > begin and self._is_usable:
                table, good = self._part(lines.slice(begin, head - begin))
                tables.append(table)
                places.append(good + begin)
            if head < len(lines):
                self._heed(lines[head].as_py())
            begin = head + 1
        if not tables:
            return _NOTHING, np.zeros(0, np.int64)
        return pa.concat_tables(tables, promote_options="default"), np.concatenate(places)

    @property
    def _is_usable(self) -> bool:
        return set(_W3C_NEEDED) <= set(self.names) and ("date" in self.names or bool(self._date))

    def _heed(self, line: str) -> None:
        said, _, told = line.partition(":")
        if said == "#Fields":
            self.names = told.split()
        elif said == "#Date":
            self._date = told.split()[0] if told.split() else ""

    def _part(self, lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
        tabs = pc.any(pc.match_substring(lines, "\t")).as_py()
        table, good = _fields_of(lines, self.names, delimiter="\t" if tabs else " ", quote_char=False)
        told = {name: plain(table[name]) for name in table.column_names}
        date = told.get("date", pa.scalar(self._date))
        target = told["cs-uri-stem"]
        if "cs-uri-query" in told:
            query = told["cs-uri-query"]
            bare = pc.is_in(query, value_set=pa.array(["-", ""]))
            target = pc.if_else(bare, target, pc.binary_join_element_wise(target, query, "?"))
        columns = {
            "time": pc.binary_join_element_wise(date, "T", told["time"], "Z", ""),
            "request": pc.binary_join_element_wise(told["cs-method"], target, " "),
        }
        taken = set(_W3C_TAKEN)
        for name, fields in _W3C.items():
            for field in fields:
                if name not in columns and field in told:
                    columns[name] = told[field]
                    taken.add(field)
        if "agent" in columns:
            columns["agent"] = _decoded(columns["agent"])
        columns |= {name: cells for name, cells in told.items() if name not in taken and name not in columns}
        return pa.table(columns), good


def _decoded(cells: pa.Array) -> pa.Array:
    """Names of agents, in which blanks are written as `+` or `%20`; they are few."""
    few = cells.dictionary_encode()
    texts = [_HEX.sub(_character, one.replace("+", " ")) for one in few.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(few.indices)


def _character(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace")


# All


def _visitor(host: pa.Array, forwarded: pa.Array | None) -> pa.Array:
    """Who asked: where a proxy of one's own did, the first address that it names."""
    if forwarded is None:
        return host
    named = pc.struct_field(pc.extract_regex(forwarded, _ADDRESS), "address")
    is_own = pc.fill_null(pc.match_substring_regex(host, _PRIVATE), False)
    return pc.if_else(pc.and_(is_own, named.is_valid()), named, host)


def _instants(times: pa.Array) -> pa.Array:
    """`10/Oct/2025:13:55:36 +0200` as `2025-10-10T13:55:36+0200`; what is no such time stays as it is."""
    days = pc.dictionary_encode(pc.utf8_slice_codeunits(times, 0, _DAY))
    dates = pa.array([_date(one) for one in days.dictionary.to_pylist()], pa.string()).take(days.indices)
    clocks = pc.utf8_slice_codeunits(times, _DAY + 1, _DAY + 9)
    zones = pc.utf8_slice_codeunits(times, _DAY + 10)
    return pc.coalesce(
        pc.binary_join_element_wise(pc.binary_join_element_wise(dates, clocks, "T"), zones, ""), times
    )


def _date(text: str) -> str | None:
    day, _, rest = text.partition("/")
    month, _, year = rest.partition("/")
    return f"{year}-{_MONTHS[month]:02}-{day}" if month in _MONTHS else None


def _keys(lines: pa.Array, numbers: NDArray[np.int64]) -> pa.Array:
    """What tells a request from others: its line and where it stands, so that equal lines stay two."""
    from pandas.util import hash_array

    hashes = pa.array(hash_array(lines.to_numpy(zero_copy_only=False), categorize=False))
    return pc.binary_join_element_wise(
        pc.cast(pa.array(numbers), pa.string()), pc.cast(hashes, pa.string()), ":"
    )
