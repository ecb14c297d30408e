"""Adobe Analytics: the raw hits of a data feed, with the lookup files beside them."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from pyarrow import fs

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.files import InputFile, find_files, is_location
from cjm_analytics.loaders.mapping import bot, device, each, first, joined, path, told
from cjm_analytics.loaders.rows import CsvFormat
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Where
    from cjm_analytics.loaders.source import EventStream

__all__ = ["adobe_analytics"]

_LOOKUPS: Final = frozenset(
    ("column_headers", "event", "browser", "browser_type", "color_depth", "connection_type", "country",
     "javascript_version", "languages", "operating_systems", "plugins", "referrer_type", "resolution",
     "search_engines")
)  # fmt: skip
_ENCODING: Final = "iso-8859-1"
_DEEPEST: Final = ("1", "11", "12", "13", "14", "10", "2")
"""Standard events, the farthest on the way to a purchase first."""

_STANDARD: Final = {
    "1": "Purchase", "2": "Product View", "10": "Cart Open", "11": "Checkout", "12": "Cart Addition",
    "13": "Cart Removal", "14": "Cart View",
}  # fmt: skip
_LINK_KINDS: Final = {"100": "custom_link", "101": "download", "102": "exit_link", "80": "survey"}
_CAME_BY: Final = {"2": "referral", "3": "search", "7": "email", "9": "social", "10": "ai"}
_NO_CONTACT: Final = {"5", "7", "8", "9"}
_LISTED: Final = re.compile(r"(?<!\^),")
_MANIFEST: Final = re.compile(r"^Data-File: *(\S+)\s+MD5-Digest: *(\w+)", re.MULTILINE | re.IGNORECASE)


def adobe_analytics(
    source: object,
    *,
    user_id: str | None = "post_cust_visid",
    names: Mapping[str, str] | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "adobe_analytics",
) -> EventStream:
    r"""Read an Adobe Analytics data feed.

    **Where it comes from.** *Admin → Data feeds*: a folder with hit files (`01-suite_2025-03-10.tsv.gz`, or
    unpacked), the lookup files (`suite_2025-03-10-lookup_data.tar.gz`, or unpacked: `column_headers.tsv`,
    `event.tsv`, …) and the manifest (`suite_2025-03-10.txt`), which Adobe delivers last. The hit files have
    no header: the names of the columns come from `column_headers.tsv`. Files that the manifest lists are
    checked against its digests. Feeds in a zip must be unpacked first.

    **What becomes what.** A link is an event under its name (`post_page_event_var2`), or `custom_link`,
    `download`, `exit_link`. A page is the standard event in `post_event_list` that is farthest on the way to
    a purchase (`Purchase`, `Checkout`, `Cart Addition`, …, as `event.tsv` names them), and `page_view` if
    there is none; the column `events` has all of the hit, by name. `anonymous_id` is
    `post_visid_high:post_visid_low`, `user_id` the column that you name (often an eVar). The time is
    `post_cust_hit_time_gmt` if it is set, else `hit_time_gmt`, in seconds. `session_id` is visitor, visit
    number and start of the visit. `order_id` is `post_purchaseid`, `value` the sum of the prices in
    `post_product_list`; `utm_campaign` is `post_campaign`, `utm_medium` how the visit was referred. Empty
    columns are left out of `properties`, all others are in it. `device` and `is_bot` come from the user
    agent; Adobe applied the suite's own rules for robots before.

    **Traps.** Hits that Adobe does not count (`exclude_hit` above 0, `hit_source` 5, 7, 8, 9,
    `customer_perspective` 1) are excluded. An order with `duplicate_purchase` 1 is a `page_view` without
    order. All columns are text, in ISO-8859-1, and a backslash protects tabs and line breaks inside them.
    Late hits come in later files.

    Parameters
    ----------
    source : path, glob, folder, list of paths, or URL
        The feed; several days may lie in one folder.
    user_id : str, optional
        The column that identifies a person, by Adobe's name; None if there is none.
    names : mapping of str to str, optional
        What the suite's variables mean: `{"post_evar5": "plan", "post_prop2": "page_type"}`.
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
    files = find_files(source, "csv")
    tables = [file for file in files if ".tsv" in PurePosixPath(file.path).name]
    hits = [file for file in tables if _bare(file.path) not in _LOOKUPS]
    lookups = _Lookups(files, source)
    _check_manifests(files, hits)
    columns = lookups.lines("column_headers")
    if not columns:
        raise InputError(
            f"{source!s} has no column_headers.tsv, and no …-lookup_data.tar.gz that holds one: hit files do "
            "not name their columns themselves."
        )
    if not hits:
        raise InputError(
            f"{source!s} is no export of Adobe Analytics: it has no hit files (….tsv, ….tsv.gz)."
        )
    called = [(names or {}).get(one, one) for one in columns[0]]
    events = _STANDARD | {row[0]: row[1] for row in lookups.lines("event") if len(row) > 1}
    person = (names or {}).get(user_id, user_id) if user_id else None
    vendor = Vendor(
        name="adobe_analytics",
        title="Adobe Analytics",
        kind="clickstream",
        parts={"hits": Part(told_by=("hit_time_gmt",), events=(_hits(events, person),))},
        written=CsvFormat(sep="\t", encoding=_ENCODING, quote="", names=tuple(called), escaped=True),
        may_be_nameless=True,
    )
    return vendor.stream([file.shown for file in hits], keep=keep, name=name, format="csv")


def _hits(names: Mapping[str, str], person: str | None) -> Events:
    """Hits as events, given what the numbers of events mean."""

    def event(kind: object, link: object, listed: object, is_repeated: object) -> str:
        code = str(kind or "0")
        if code != "0":
            return str(link or _LINK_KINDS.get(code, f"page_event_{code}"))
        there = {one for one, _ in _events_of(listed)}
        if str(is_repeated) == "1":
            there.discard("1")
        deepest = next((one for one in _DEEPEST if one in there), None)
        return names.get(deepest, deepest) if deepest else "page_view"

    def all_of(listed: object) -> str | None:
        return ", ".join(names.get(one, f"event {one}") for one, _ in _events_of(listed)) or None

    visitor: Where = joined("post_visid_high", "post_visid_low")
    once = each(lambda order, is_repeated: None if str(is_repeated) == "1" else order, "post_purchaseid",
                "duplicate_purchase")  # fmt: skip
    return Events(
        where=each(
            lambda excluded, source, view: str(excluded or "0") == "0"
            and str(source) not in _NO_CONTACT
            and str(view or "0") != "1",
            "exclude_hit",
            "hit_source",
            "customer_perspective",
        ),
        columns={
            "event": each(
                event, "post_page_event", "post_page_event_var2", "post_event_list", "duplicate_purchase"
            ).lifting("post_page_event_var2"),
            "timestamp": first(
                each(lambda one: None if str(one) == "0" else one, "post_cust_hit_time_gmt"), "hit_time_gmt"
            ),
            "received_at": "hit_time_gmt",
            "anonymous_id": visitor,
            **({"user_id": person} if person else {}),
            "seq": "visit_page_num",
            "event_id": joined("hitid_high", "hitid_low", visitor, "hit_time_gmt"),
            "session_id": joined(visitor, "visit_num", "visit_start_time_gmt"),
            "url": "post_page_url",
            "path": path("post_page_url"),
            "referrer": first("post_referrer", "referrer"),
            "utm_campaign": "post_campaign",
            "utm_medium": told("ref_type", _CAME_BY),
            "order_id": once.lifting("post_purchaseid"),
            "value": each(
                lambda order, products: _revenue(products) if order else None, once, "post_product_list"
            ),
            "currency": first("post_currency", "currency", "curr_code"),
            "channel": "=web",
            "is_bot": bot("user_agent"),
        },
        also={"device": device("user_agent"), "events": each(all_of, "post_event_list")},
        aside=(
            "hitid_high", "hitid_low", "post_visid_high", "post_visid_low", "visit_start_time_gmt",
            "date_time", "post_cust_hit_time_gmt", "exclude_hit", "hit_source", "customer_perspective",
            "post_event_list", "duplicate_purchase", "post_page_event",
        ),
    )  # fmt: skip


def _events_of(listed: object) -> Iterator[tuple[str, str]]:
    """(number, value) of each event of a hit: `1,200=12.5`."""
    for one in str(listed or "").split(","):
        number, _, value = one.partition("=")
        if number:
            yield number, value


def _revenue(products: object) -> str | None:
    """What `category;product;quantity;price;…`, with commas between products, adds up to."""
    prices: list[float] = []
    for product in _LISTED.split(str(products or "")):
        cells = product.split(";")
        try:
            prices.append(float(cells[3]))
        except (IndexError, ValueError):
            continue
    return f"{sum(prices):.4f}" if prices else None


class _Lookups:
    """The lookup files of a feed: beside the hits, or in the archive that Adobe delivers."""

    def __init__(self, files: Sequence[InputFile], source: Any) -> None:  # noqa: ANN401 - as the user gave it
        self.files = files
        self.source = source

    def lines(self, wanted: str) -> list[list[str]]:
        """The rows of a lookup file; none if there is no such file."""
        for file in self.files:
            if _bare(file.path) == wanted:
                with file.open() as stream:
                    return _cells(stream.read())
        for system, archive in self._archives():
            with (
                system.open_input_stream(archive, compression=None) as stream,
                tarfile.open(fileobj=stream, mode="r|*") as members,
            ):
                for member in members:
                    found = members.extractfile(member)
                    if found is not None and _bare(member.name) == wanted:
                        return _cells(found.read())
        return []

    def _archives(self) -> list[tuple[fs.FileSystem, str]]:
        folders = {file.path.rpartition("/")[0]: file.system for file in self.files}
        found = []
        for folder, system in folders.items():
            there = system.get_file_info(fs.FileSelector(folder or "."))
            found += [(system, one.path) for one in there if one.path.endswith("lookup_data.tar.gz")]
        return sorted(found, key=lambda one: one[1])


def _bare(location: str) -> str:
    return PurePosixPath(location).name.partition(".")[0]


def _cells(content: bytes) -> list[list[str]]:
    return [line.split("\t") for line in content.decode(_ENCODING).splitlines() if line]


def _check_manifests(files: Sequence[InputFile], hits: Sequence[InputFile]) -> None:
    """Refuse files that are not what the manifest says."""
    for manifest in (file for file in files if file.path.endswith(".txt")):
        with manifest.open() as stream:
            listed = dict(_MANIFEST.findall(stream.read().decode(_ENCODING)))
        for file in hits:
            digest = listed.get(PurePosixPath(file.path).name)
            if digest is not None and _digest(file) != digest.lower():
                raise InputError(
                    f"{file.shown} is not what the manifest {manifest.shown} lists: fetch it again."
                )


def _digest(file: InputFile) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.system.open_input_stream(file.path, compression=None) as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
