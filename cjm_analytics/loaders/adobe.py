"""Adobe Analytics: the raw hits of a data feed, with the lookup files beside them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from cjm_analytics.errors import InputError, UnknownNameError, counted
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.files import InputFile, find_files, is_location, members
from cjm_analytics.loaders.mapping import bot, device, each, first, joined, path, told
from cjm_analytics.loaders.reading import read_rows
from cjm_analytics.loaders.rows import ColumnRows
from cjm_analytics.loaders.vendor import Events, IncompleteError, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.files import Location
    from cjm_analytics.loaders.mapping import Saying
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["adobe_analytics"]

_DECODED: Final = {
    "browser": "browser", "connection_type": "connection_type", "country": "country", "language": "languages",
    "os": "operating_systems", "post_search_engine": "search_engines", "search_engine": "search_engines",
}  # fmt: skip
"""Columns that hold the number of a name, and the lookup file that says it."""

_LOOKUPS: Final = frozenset(
    ("column_headers", "event", "browser_type", "color_depth", "javascript_version", "plugins",
     "referrer_type", "resolution", *_DECODED.values())
)  # fmt: skip
_DEEPEST: Final = ("1", "11", "12", "13", "14", "10", "2")
"""Standard events, the farthest on the way to a purchase first."""

_STANDARD: Final = {
    "1": "Purchase", "2": "Product View", "10": "Cart Open", "11": "Checkout", "12": "Cart Addition",
    "13": "Cart Removal", "14": "Cart View",
}  # fmt: skip
_PURCHASE: Final = "1"
_LINK_KINDS: Final = {"100": "custom_link", "101": "download", "102": "exit_link", "80": "survey"}
_CAME_BY: Final = {"2": "referral", "3": "search", "7": "email", "9": "social", "10": "ai"}
_NO_CONTACT: Final = {"5", "7", "8", "9"}
_KNOWN_BY: Final = "post_cust_visid"
_HELD: Final = {",": "\ue02c", ";": "\ue03b", "=": "\ue03d", "^": "\ue05e"}
"""Signs for private use, for signs of a list that a `^` makes part of a text."""

_DAY: Final = re.compile(
    r"(?:\d\d-)?(?P<suite>[^/]*?)_?(?P<day>\d{4}-\d\d-\d\d|\d{8}-\d{6})(?=[-.][^/]*(?:/|$)|$)"
)


def adobe_analytics(
    source: object,
    *,
    user_id: str | None = _KNOWN_BY,
    names: Mapping[str, str] | None = None,
    encoding: str = "iso-8859-1",
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "adobe_analytics",
) -> EventStream:
    r"""Read an Adobe Analytics data feed.

    **Where it comes from.** *Admin → Data feeds*: a folder with hit files (`01-suite_2025-03-10.tsv.gz`, or
    unpacked), the lookup files (`suite_2025-03-10-lookup_data.tar.gz`, or unpacked: `column_headers.tsv`,
    `event.tsv`, …) and the manifest (`suite_2025-03-10.txt`), which Adobe delivers last; or one archive a
    day that holds `hit_data.tsv` and the lookup files (`.zip`, `.tar.gz`). The hit files have no header: the
    names of the columns come from the `column_headers.tsv` of their own day, else of their own folder, so
    that a feed may get further columns. Files that a manifest lists must be there, as its digests say, and
    unpacked ones with as many rows.

    **What becomes what.** A link is an event under its name (`post_page_event_var2`), or `custom_link`,
    `download`, `exit_link`. A page is the standard event in `post_event_list` that is farthest on the way to
    a purchase (`Purchase`, `Checkout`, `Cart Addition`, …, as `event.tsv` names them), and `page_view` if
    there is none; the columns `events` and `products` have all of the hit, by name. `anonymous_id` is
    `post_visid_high:post_visid_low`, or `mcvisid` where these are missing (a hit that has both links
    them: they are one device's), `user_id` the column that you name (often an eVar). The time is
    `post_cust_hit_time_gmt` if it is set, else `hit_time_gmt`, in seconds. `session_id` is visitor, visit
    number and start of the visit. `order_id` is `post_purchaseid`, and the `value` of a purchase is the sum
    of the prices in `post_product_list`; `utm_campaign` is `post_campaign`, `utm_medium` how the visit was
    referred. Empty columns are left out of `properties`, all others are in it; numbers of browsers,
    countries, languages, systems and search engines are replaced by their names where there is a lookup file.
    `device` and `is_bot` come from the user agent; Adobe applied the suite's own rules for robots before.
    Where a feed has no `post_` column, the one without `post_` is read.

    **Traps.** Hits that Adobe does not count (`exclude_hit` above 0, `hit_source` 5, 7, 8, 9,
    `customer_perspective` 1) are excluded. An order with `duplicate_purchase` 1 is a `page_view` without
    order. All columns are text, in ISO-8859-1, and a backslash protects tabs and line breaks inside them.
    Late hits come in later files. Of the lookup files that name events the last day's counts.

    Parameters
    ----------
    source : path, glob, folder, list of paths, or URL
        The feed; several days may lie in one folder.
    user_id : str, optional
        The column that identifies a person, by Adobe's name; None if there is none.
    names : mapping of str to str, optional
        What the suite's variables mean: `{"post_evar5": "plan", "post_prop2": "page_type"}`.
    encoding : str
        Of the texts.
    keep : sequence of str, or mapping of str to type
        Columns that become typed columns, under their new names.
    name : str
        The `source` column.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; no `column_headers.tsv`; a file that does not agree with the manifest.
    UnknownNameError
        `user_id` or `names` tells of a column that the feed does not have.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cjm_analytics as cjm
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> columns = ["hitid_high", "hitid_low", "post_visid_high", "post_visid_low", "hit_time_gmt",
    ...            "post_page_event", "post_page_url", "post_evar5"]
    >>> _ = (folder / "column_headers.tsv").write_text("\t".join(columns))
    >>> hit = ["7", "1", "27", "99", "1740823200", "0", "https://shop.example/lamp", "gold"]
    >>> _ = (folder / "01-suite_2025-03-01.tsv").write_text("\t".join(hit))
    >>> batch = next(cjm.loaders.adobe_analytics(folder, names={"post_evar5": "plan"}).batches())
    >>> batch.events.select(["anonymous_id", "event", "path"]).to_pylist()
    [{'anonymous_id': '27:99', 'event': 'page_view', 'path': '/lamp'}]
    """
    if not is_location(source):
        raise InputError(f"A data feed is a folder or a list of files, not a {type(source).__name__}.")
    feed = _Feed(source, encoding)
    feed.check_manifests()
    if not feed.hits:
        lookups = all(_bare(one) in _LOOKUPS for one in find_files(source, "csv"))
        raise (IncompleteError if lookups else InputError)(
            f"{source!s} is no export of Adobe Analytics: it has no hit files (….tsv, ….tsv.gz)."
        )
    headers = {file.shown: feed.header(file) for file in feed.hits}
    there = list(dict.fromkeys(column for header in headers.values() for column in header))
    asked = [*(names or {}), *([user_id] if user_id not in {None, _KNOWN_BY} else [])]
    for one in asked:
        if one not in there:
            raise UnknownNameError("column in the feed", one, there)
    called = {one: (names or {}).get(one, one) for one in there}
    written = CsvFormat(sep="\t", encoding=encoding, quote="", escaped=True)
    codes = {called[one]: feed.codes(file) for one, file in _DECODED.items() if one in called}

    def read(file: InputFile) -> Iterator[Rows]:
        header = tuple(called[one] for one in headers[file.shown])
        for rows in read_rows(file, replace(written, names=header)):
            yield _decoded(rows, codes)

    events = _STANDARD | feed.codes("event")
    person = called.get(user_id) if user_id else None
    told = hashlib.sha256(repr((headers, events, codes)).encode()).hexdigest()
    of = _Names(called)
    vendor = Vendor(
        name="adobe_analytics",
        title="Adobe Analytics",
        kind="clickstream",
        parts={
            "hits": Part(
                told_by=("hit_time_gmt",),
                events=(_hits(of, events, person),),
                aliases=((_visitor(of), of["mcvisid"]),),
                time=of["hit_time_gmt"],
            )
        },
        written=written,
        asked=(called, person, told),
        reader=read,
        may_be_nameless=True,
    )
    return vendor.stream(feed.hits, keep=keep, name=name)


class _Names:
    """Adobe's names of columns as the user's; where a feed has no `post_` column the one without it."""

    def __init__(self, called: Mapping[str, str]) -> None:
        self._called = called

    def __getitem__(self, name: str) -> str:
        bare = name.removeprefix("post_")
        own = name if name in self._called or bare not in self._called else bare
        return self._called.get(own, own)


def _visitor(of: _Names) -> Saying:
    """The visitor by Adobe's older id, in two halves."""
    return each(
        lambda high, low: f"{high}:{low}" if {high or "0", low or "0"} != {"0"} else None,
        of["post_visid_high"],
        of["post_visid_low"],
    )


def _hits(of: _Names, names: Mapping[str, str], person: str | None) -> Events:
    """Hits as events, given what columns are called and what the numbers of events mean."""

    def event(code: object, link: object, listed: object, is_repeated: object) -> str:
        code = str(code or "0")
        if code != "0":
            return str(link or _LINK_KINDS.get(code, f"page_event_{code}"))
        there = _numbers(listed)
        if str(is_repeated) == "1":
            there.discard(_PURCHASE)
        deepest = next((one for one in _DEEPEST if one in there), None)
        return names.get(deepest, deepest) if deepest else "page_view"

    def all_of(listed: object) -> str | None:
        return ", ".join(names.get(one, f"event {one}") for one, _ in _events_of(listed)) or None

    def revenue(listed: object, products: object, is_repeated: object) -> str | None:
        is_bought = _PURCHASE in _numbers(listed) and str(is_repeated) != "1"
        return _revenue(products) if is_bought else None

    visitor = first(_visitor(of), of["mcvisid"])
    page_event, link, listed = of["post_page_event"], of["post_page_event_var2"], of["post_event_list"]
    products, repeated, url = of["post_product_list"], of["duplicate_purchase"], of["post_page_url"]
    return Events(
        where=each(
            lambda excluded, source, view: str(excluded or "0") == "0"
            and str(source) not in _NO_CONTACT
            and str(view or "0") != "1",
            of["exclude_hit"],
            of["hit_source"],
            of["customer_perspective"],
        ),
        columns={
            "event": each(event, page_event, link, listed, repeated).lifting(link),
            "timestamp": first(
                each(lambda one: None if str(one) == "0" else one, of["post_cust_hit_time_gmt"]),
                of["hit_time_gmt"],
            ),
            "received_at": of["hit_time_gmt"],
            "anonymous_id": visitor,
            **({"user_id": person} if person else {}),
            "seq": of["visit_page_num"],
            "event_id": joined(of["hitid_high"], of["hitid_low"], visitor, of["hit_time_gmt"]),
            "session_id": joined(visitor, of["visit_num"], of["visit_start_time_gmt"]),
            "url": url,
            "path": path(url),
            "referrer": first(of["post_referrer"], of["referrer"]),
            "utm_campaign": of["post_campaign"],
            "utm_medium": told(of["ref_type"], _CAME_BY),
            "order_id": each(
                lambda order, is_repeated: None if str(is_repeated) == "1" else order,
                of["post_purchaseid"],
                repeated,
            ).lifting(of["post_purchaseid"]),
            "value": each(revenue, listed, products, repeated),
            "currency": first(of["post_currency"], of["currency"], of["curr_code"]),
            "channel": "=web",
            "is_bot": bot(of["user_agent"]),
        },
        also={
            "device": device(of["user_agent"]),
            "events": each(all_of, listed),
            "products": each(
                lambda one: ", ".join(cells[1] for cells in _products_of(one) if len(cells) > 1) or None,
                products,
            ),
        },
        aside=tuple(
            of[one]
            for one in (
                "hitid_high", "hitid_low", "post_visid_high", "post_visid_low", "visit_start_time_gmt",
                "date_time", "post_cust_hit_time_gmt", "exclude_hit", "hit_source", "customer_perspective",
                "duplicate_purchase", "post_page_event",
            )
        ),
    )  # fmt: skip


def _split(text: object, sign: str) -> list[str]:
    """A list of texts; a `^` makes the sign behind it part of a text."""
    held = re.sub(r"\^([,;=^])", lambda found: _HELD[found[1]], str(text or ""))
    return held.split(sign)


def _plain(text: str) -> str:
    return text.translate({ord(held): sign for sign, held in _HELD.items()})


def _events_of(listed: object) -> Iterator[tuple[str, str]]:
    """(number, value) of each event of a hit: `1,200=12.5`."""
    for one in _split(listed, ","):
        number, _, value = one.partition("=")
        if number.strip():
            yield number.strip(), _plain(value)


def _numbers(listed: object) -> set[str]:
    return {number for number, _ in _events_of(listed)}


def _products_of(listed: object) -> list[list[str]]:
    """The cells of `category;product;quantity;price;events;evars`, with commas between products."""
    return [[_plain(cell).strip() for cell in one.split(";")] for one in _split(listed, ",") if one.strip()]


def _revenue(products: object) -> str | None:
    """What the prices of all products, each for the whole quantity, add up to."""
    prices: list[float] = []
    for cells in _products_of(products):
        try:
            prices.append(float(cells[3]))
        except (IndexError, ValueError):
            continue
    return f"{sum(prices):.4f}" if prices else None


def _decoded(rows: Rows, codes: Mapping[str, Mapping[str, str]]) -> Rows:
    """The rows with names for numbers of browsers, countries and the like; what has no name stays."""
    if not isinstance(rows, ColumnRows):
        return rows
    table = rows.table
    for column, said in codes.items():
        if said and column in table.column_names:
            cells = table[column]
            at = pc.index_in(cells, value_set=pa.array(list(said), pa.string()))
            found = pc.coalesce(pa.array(list(said.values()), pa.string()).take(at), cells)
            table = table.set_column(table.column_names.index(column), column, found)
    return replace(rows, table=table)


class _Feed:
    """The files of a feed: hits, lookup files beside them or in archives, manifests.

    Attributes
    ----------
    hits : list of InputFile
    """

    def __init__(self, source: Location, encoding: str) -> None:
        self._source = source
        self._encoding = encoding
        given = find_files(source, "csv")
        every = {(one.path, one.member): one for one in [*given, *_beside(given)]}
        self._files = list(every.values())
        self.hits = [one for one in given if ".tsv" in _name(one) and _bare(one) not in _LOOKUPS]

    @cached_property
    def _lookups(self) -> dict[str, list[InputFile]]:
        """Of each lookup file the days', the last day first."""
        found: dict[str, list[InputFile]] = {}
        for file in sorted(self._files, key=lambda one: _day(one) or ("", ""), reverse=True):
            found.setdefault(_bare(file), []).append(file)
        return {name: files for name, files in found.items() if name in _LOOKUPS}

    def header(self, hits: InputFile) -> list[str]:
        """The names of the columns of a hit file: those of its day, else of its folder, else the last."""
        known = self._lookups.get("column_headers", [])
        near = (
            [one for one in known if _day(one) is not None and _day(one) == _day(hits)]
            or [one for one in known if _folder(one) == _folder(hits)]
            or known
        )
        lines = self._lines(near[0]) if near else []
        if not lines:
            raise InputError(
                f"{self._source!s} has no column_headers.tsv, and no …-lookup_data.tar.gz that holds one: "
                "hit files do not name their columns themselves."
            )
        return lines[0]

    def codes(self, lookup: str) -> dict[str, str]:
        """What the numbers of a lookup file stand for."""
        files = self._lookups.get(lookup, [])
        return {row[0]: row[1] for row in self._lines(files[0]) if len(row) > 1} if files else {}

    def _lines(self, file: InputFile) -> list[list[str]]:
        text = file.content().decode(self._encoding, "replace")
        return [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]

    def check_manifests(self) -> None:
        """Refuse files that are not what a manifest says."""
        there = {_name(one): one for one in self._files if not one.member}
        there |= {PurePosixPath(one.path).name: one for one in self._files if one.member}
        for manifest in (one for one in self._files if one.shown.endswith(".txt")):
            text = manifest.content().decode(self._encoding, "replace")
            for said in _sections(text):
                name = said.get("data-file") or said.get("lookup-file")
                if name:
                    self._check(name, said, there, manifest.shown)

    def _check(
        self, name: str, said: Mapping[str, str], there: Mapping[str, InputFile], manifest: str
    ) -> None:
        file = there.get(name)
        if file is not None:
            if _digest(file) != said.get("md5-digest", _digest(file)).lower():
                raise InputError(f"{file.shown} is not what the manifest {manifest} lists: fetch it again.")
            return
        if "data-file" not in said:
            return  # lookup files may have been unpacked
        file = there.get(name.removesuffix(".gz"))
        if file is None:
            raise InputError(
                f"The manifest {manifest} lists {name}, which is not there. There are: "
                f"{', '.join(sorted(there))}."
            )
        wanted, there_are = int(said.get("record-count", -1)), _n_rows(file)
        if wanted not in {-1, there_are}:
            raise InputError(
                f"{file.shown} has {counted(there_are, 'row')}, and the manifest {manifest} lists "
                f"{wanted:,}: fetch it again."
            )


def _beside(files: Collection[InputFile]) -> Iterator[InputFile]:
    """The lookup files that lie where the files do."""
    folders = {one.path.rpartition("/")[0]: one for one in files}
    for folder, file in folders.items():
        before = file.shown[: len(file.shown) - len(file.path)] if file.shown.endswith(file.path) else ""
        for info in file.system.get_file_info(fs.FileSelector(folder or ".")):
            found = InputFile(before + info.path, info.path, file.system, "csv")
            if info.path.endswith("lookup_data.tar.gz"):
                yield from (replace(one, format="csv") for one in members(found))
            elif info.type == fs.FileType.File and _bare(found) in _LOOKUPS:
                yield found


def _name(file: InputFile) -> str:
    return PurePosixPath(file.member or file.path).name


def _bare(file: InputFile) -> str:
    return _name(file).partition(".")[0]


def _folder(file: InputFile) -> str:
    """The folder or archive that a file lies in."""
    return file.shown.replace("\\", "/").rpartition("/")[0]


def _day(file: InputFile) -> tuple[str, str] | None:
    """Suite and day of a file, as its name or that of its archive says."""
    found = list(_DAY.finditer(file.shown.replace("\\", "/")))
    return (found[-1]["suite"], found[-1]["day"]) if found else None


def _sections(text: str) -> Iterator[dict[str, str]]:
    """The sections of a manifest: lines of `Name: value`, each section about one file."""
    for section in re.split(r"\r?\n\s*\r?\n", text):
        lines = [line.partition(":") for line in section.splitlines()]
        yield {name.strip().lower(): value.strip() for name, _, value in lines}


def _digest(file: InputFile) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.system.open_input_stream(file.path, compression=None) as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _n_rows(file: InputFile) -> int:
    """The rows of a hit file: line breaks behind a backslash end none."""
    text = file.content()
    return len(re.findall(rb"(?<!\\)(?:\\\\)*\n", text)) + (not text.endswith(b"\n") and bool(text))
