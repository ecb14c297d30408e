"""Access logs of web servers: Apache and Nginx, in the common and the combined format."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.files import is_location
from cjm_analytics.loaders.mapping import Saying, bot, device, each, told
from cjm_analytics.loaders.rows import Broken, ColumnRows
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.mapping import Cells
    from cjm_analytics.loaders.source import EventStream

__all__ = ["access_log"]

_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
_LINE: Final = (
    r"^(?:(?P<vhost>\S+) )?(?P<host>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "
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
_TIME: Final = "%d/%b/%Y:%H:%M:%S %z"
_ESCAPED: Final = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\])')
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
    are escaped (`\"`, `\x22`). For logs in JSON there is `loaders.table`.

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

    def visitor(host: object, agent: object, time: object, user: object) -> str | None:
        if user is not None:
            return None
        day = str(time).partition(":")[0] if daily_ids else ""
        told_apart = "\n".join((salt, day, str(host), str(agent)))
        return "weak:" + hashlib.sha256(told_apart.encode()).hexdigest()[:16]

    events = Events(
        where=Saying(is_contact, ("status", "method", "target")),
        columns={
            "event": told("method", _EVENTS),
            "timestamp": "time",
            "user_id": "user",
            "anonymous_id": each(visitor, "host", "agent", "time", "user"),
            "event_id": "_key",
            "path": each(_readable, "target").lifting(),
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
        clock=Clock(formats=(_TIME,)),
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
                    raise InputError(f"{file.shown!r} is no access log: no line of it reads like one.")
                number += n_lines
                yield rows
            if not block:
                break
    if number == 1:
        yield ColumnRows(file.shown, pa.table({"status": pa.array([], pa.string())}), np.zeros(0, np.int64))


def _parsed(file: str, block: bytes, first: int) -> tuple[ColumnRows, int]:
    lines = [line.rstrip("\r") for line in block.decode("utf-8", "replace").split("\n")]
    texts = pa.array(lines, pa.string())
    numbers = np.arange(first, first + len(lines), dtype=np.int64)
    found = pc.extract_regex(texts, _LINE)
    good = found.is_valid().to_numpy(zero_copy_only=False)
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "").to_numpy(zero_copy_only=False)
    broken = [
        Broken(int(numbers[row]), "no line of an access log", lines[row][:_RAW])
        for row in np.flatnonzero(~good & ~blank).tolist()
    ]
    kept = found.filter(pa.array(good))
    columns = {field.name: kept.field(place) for place, field in enumerate(kept.type)}
    request = pc.extract_regex(columns.pop("request"), _REQUEST)
    columns |= {part: pc.struct_field(request, part) for part in ("method", "target")}
    nothing = pa.array(["", "-"])
    columns = {
        name: pc.if_else(pc.is_in(cells, value_set=nothing), pa.scalar(None, pa.string()), cells)
        for name, cells in columns.items()
    }
    columns["_key"] = pa.array(
        [_key(lines[row], int(numbers[row])) for row in np.flatnonzero(good).tolist()], pa.string()
    )
    return ColumnRows(file, pa.table(columns), numbers[good], broken=broken), len(lines)


def _key(line: str, number: int) -> str:
    """What tells a request from others: its line and where it stands, so that equal lines stay two."""
    return hashlib.blake2b(f"{number} {line}".encode(), digest_size=12).hexdigest()
