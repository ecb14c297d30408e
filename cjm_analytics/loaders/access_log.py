"""Access logs of web servers: Apache and Nginx, in the common and the combined format."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.files import is_location
from cjm_analytics.loaders.mapping import Saying, bot, device, each, told
from cjm_analytics.loaders.rows import Broken, ColumnRows
from cjm_analytics.loaders.values import plain
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.mapping import Cells
    from cjm_analytics.loaders.source import EventStream

__all__ = ["access_log"]

_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
_LINE: Final = (
    r"^(?:(?P<vhost>[^\s,]+) )??(?P<host>[^\s,]+)(?:, ?[^\s,]+)* (?P<ident>\S+) "
    r"(?P<user>-|[^-\s][^\[]*?|-[^\s\[]+) \[(?P<time>[^\]]+)\] "
    + _QUOTED.replace("((?:", "(?P<request>(?:", 1)
    + r" (?P<status>\d{3}) (?P<bytes>\d+|-)(?: "
    + _QUOTED.replace("((?:", "(?P<referer>(?:", 1)
    + " "
    + _QUOTED.replace("((?:", "(?P<agent>(?:", 1)
    + r")?(?P<rest>.*)$"
)
_REQUEST: Final = r"^(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/\S+)?$"
_EVENTS: Final = {"GET": "page_view", "POST": "form_submit"}
_ASSET: Final = (
    r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|ico|svg|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|ogg|wav"
    r"|txt|xml|json|rss|atom|webmanifest)$"
)
_COMMON: Final = ("host", "ident", "user", "day", "zone", "request", "status", "bytes")
_COMBINED: Final = (*_COMMON, "referer", "agent")
_NAMES: Final = (
    "vhost",
    "host",
    "ident",
    "user",
    "time",
    "request",
    "status",
    "bytes",
    "referer",
    "agent",
    "rest",
)
_NOTHING: Final = pa.table({name: pa.array([], pa.string()) for name in _NAMES})
_MONTHS: Final = {
    name: place
    for place, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}
_DAY: Final = len("10/Oct/2025")
_DATE: Final = len("2025-10-10")
_ESCAPED: Final = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\])')
_ORIGIN: Final = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)
_BLOCK: Final = 1 << 23
_RAW: Final = 1_000


def access_log(
    source: object,
    *,
    statuses: Collection[int] = (200, 302, 304),
    assets: bool = False,
    salt: str = "",
    daily_ids: bool = True,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "access_log",
) -> EventStream:
    r"""Read access logs of Apache or Nginx, common or combined, plain or packed.

    **Where it comes from.** `access.log` and what logrotate makes of it (`access.log.1`, `….2.gz`): lines
    such as `203.0.113.5 - ann [10/Oct/2025:13:55:36 +0200] "GET /lamp HTTP/1.1" 200 5120 "referrer"
    "agent"`. The common format lacks the last two; a virtual host may stand before all. Quotes inside a field
    are escaped (`\"`, `\x22`). Where proxies have put a list of addresses, the first is the visitor's; what
    stands behind the agent is not read. For logs in JSON there is `loaders.table`.

    **What becomes what.** A GET is a `page_view`, a POST a `form_submit`; other methods, other statuses than
    `statuses` and static files (images, styles, scripts, fonts, feeds) are excluded. `path` is the target
    without host. The user of an authenticated request is `user_id`. `device` and `is_bot` come from the user
    agent. Method, status, bytes, address and agent stay in `properties`.

    **Who it is.** There is no cookie: `anonymous_id` is `weak:` and a hash of address and user agent, for
    requests without a user only, so that it never links one person to another: many people behind one address
    may share it. With `daily_ids` it lives for one day of the log. Give a secret as `salt`, or the addresses
    behind the ids can be guessed. Shares of customers from such logs are rough.

    **Traps.** Times have whole seconds; the order of lines is kept. Equal lines may be two true requests and
    are both kept; the same file read again is recognised by its lines and their places.

    Parameters
    ----------
    source : path, glob, folder, list of paths, or URL
        The logs.
    statuses : collection of int
        Answers that count as seen.
    assets : bool
        Whether static files are events, too.
    salt : str
        A secret of your own.
    daily_ids : bool
        Whether ids of unknown visitors change every day.
    keep : sequence of str, or mapping of str to type
        Fields that become typed columns: `status`, `host`, `vhost`.
    name : str
        The `source` column.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; no line of it is one of an access log.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cjm_analytics as cjm
    >>> path = pathlib.Path(tempfile.mkdtemp(), "access.log")
    >>> line = '203.0.113.5 - ann [10/Oct/2025:13:55:36 +0200] "GET /lamp?size=1 HTTP/1.1" 200 5120'
    >>> _ = path.write_text(line)
    >>> batch = next(cjm.loaders.access_log(path).batches())
    >>> batch.events.select(["user_id", "event", "path", "timestamp"]).to_pylist()[0]["path"]
    '/lamp?size=1'
    """
    wanted = pa.array([str(one) for one in statuses], pa.string())

    def is_contact(cells: Cells) -> pa.Array:
        found = pc.and_(
            pc.is_in(cells["status"], value_set=wanted),
            pc.is_in(cells["method"], value_set=pa.array(list(_EVENTS))),
        )
        if assets:
            return found
        bare = pc.replace_substring_regex(cells["target"], r"[?#].*$", "")
        return pc.and_(found, pc.invert(pc.fill_null(pc.match_substring_regex(bare, _ASSET), True)))

    def visitor(cells: Cells) -> pa.Array:
        unknown = cells["user"].is_null()
        of_whom = [pc.fill_null(cells[name], "None") for name in ("host", "agent")]
        days = pc.utf8_slice_codeunits(cells["time"], 0, _DATE if daily_ids else 0)
        told_apart = pc.binary_join_element_wise(salt, days, *of_whom, "\n").filter(unknown)
        few = pc.dictionary_encode(told_apart)
        digests = [hashlib.sha256(one.encode()).hexdigest()[:16] for one in few.dictionary.to_pylist()]
        ids = pa.array([f"weak:{one}" for one in digests], pa.string()).take(few.indices)
        return pc.replace_with_mask(pa.nulls(len(cells), pa.string()), unknown, ids)

    events = Events(
        where=Saying(is_contact, ("status", "method", "target")),
        columns={
            "event": told("method", _EVENTS),
            "timestamp": "time",
            "user_id": "user",
            "anonymous_id": Saying(visitor, ("host", "agent", "time", "user")),
            "event_id": "_key",
            "path": each(_target, "target").lifting(),
            "referrer": each(_readable, "referer").lifting(),
            "channel": "=web",
            "is_bot": bot("agent"),
        },
        also={"device": device("agent")},
        aside=("ident", "rest"),
    )
    vendor = Vendor(
        name="access_log",
        title="a web server (an access log)",
        kind="clickstream",
        parts={"lines": Part(told_by=("status", "target"), events=(events,))},
        reader=_lines,
    )
    if not is_location(source):
        raise InputError(f"An access log is a file, not a {type(source).__name__}.")
    return vendor.stream(source, keep=keep, name=name)


def _readable(text: object) -> str | None:
    """A field without the escapes of the log."""
    if text is None:
        return None
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], str(text))


def _target(text: object) -> str | None:
    """Path and query of a request; to a proxy the whole address is said."""
    return None if text is None else _ORIGIN.sub("", _readable(text) or "") or "/"


def _lines(file: InputFile) -> Iterator[ColumnRows]:
    """The lines of a log as columns; those that are none of a log are broken rows."""
    with file.open() as stream:
        number, carried = 1, stream.read(3).removeprefix(b"\xef\xbb\xbf")
        any_good = False
        while True:
            block = stream.read(_BLOCK)
            whole, _, carried = (carried + block).rpartition(b"\n") if block else (carried, b"", b"")
            if whole:
                rows, n_lines = _parsed(file.shown, whole, number)
                any_good = any_good or len(rows) > 0
                if not any_good and number == 1:
                    raise InputError(
                        f"{file.shown!r} is no access log: no line of it reads like one, common or "
                        "combined. For logs in JSON and other tables there is cjm.loaders.table."
                    )
                number += n_lines
                yield rows
            if not block:
                break
    if number == 1:
        yield ColumnRows(file.shown, pa.table({"status": pa.array([], pa.string())}), np.zeros(0, np.int64))


def _parsed(file: str, block: bytes, first: int) -> tuple[ColumnRows, int]:
    lines = _split(block)
    left = np.arange(len(lines))
    places: list[NDArray[np.int64]] = []
    tables: list[pa.Table] = []
    for read in (_combined, _common, _by_pattern):
        if not left.size:
            break
        table, good = read(lines if left.size == len(lines) else lines.take(pa.array(left)))
        tables.append(table)
        places.append(left[good])
        left = np.delete(left, good)
    broken = [
        Broken(first + row, "no line of an access log", line[:_RAW])
        for row, line in zip(left.tolist(), lines.take(pa.array(left)).to_pylist(), strict=True)
        if line.strip()
    ]
    at = np.concatenate(places)
    order = np.argsort(at, kind="stable")
    at = at[order]
    kept = pa.concat_tables(tables, promote_options="default").take(pa.array(order))
    columns = {name: plain(kept[name]) for name in kept.column_names}
    request = pc.extract_regex(columns.pop("request"), _REQUEST)
    columns |= {part: pc.struct_field(request, part) for part in ("method", "target")}
    columns["time"] = _instants(columns["time"])
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


def _combined(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    return _by_columns(lines, _COMBINED, 6)


def _common(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    return _by_columns(lines, _COMMON, 2)


def _by_columns(lines: pa.Array, names: Sequence[str], n_quotes: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Lines without anything odd, as fields between blanks; which of the lines they are."""
    is_even = pc.and_(
        pc.equal(pc.count_substring(lines, '"'), n_quotes),
        pc.invert(pc.match_substring_regex(lines, r"[\\\r]")),
    )
    places = np.flatnonzero(is_even.to_numpy(zero_copy_only=False))
    refused: list[int] = []

    def refuse(row: csv.InvalidRow) -> str:
        refused.append(row.number - 1)
        return "skip"

    if not places.size:
        return _NOTHING, places
    even = lines if places.size == len(lines) else lines.take(pa.array(places))
    whole = pa.ListArray.from_arrays(pa.array([0, len(even)], pa.int32()), even)
    content = pc.binary_join(whole, "\n")[0].as_buffer()
    table = csv.read_csv(
        pa.BufferReader(content),
        read_options=csv.ReadOptions(
            column_names=list(names), use_threads=False, block_size=content.size + 1
        ),
        parse_options=csv.ParseOptions(
            delimiter=" ", quote_char='"', double_quote=False, invalid_row_handler=refuse,
            ignore_empty_lines=False,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )  # fmt: skip
    if table.num_rows + len(refused) != len(even):
        return _NOTHING, places[:0]  # a quote that joins lines
    places = np.delete(places, refused)
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
    return table, places[good.to_numpy()]


def _by_pattern(lines: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
    """The same for any line."""
    found = pc.extract_regex(lines, _LINE)
    good = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    kept = found.take(pa.array(good))
    columns = dict(zip(kept.type.names, kept.flatten(), strict=True))
    return pa.table(columns), good


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
