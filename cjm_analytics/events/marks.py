"""Rows that are no customer's: robots, as they behave, and the company's own people.

The rules look at all that a customer did, so they are applied when the whole store is known; they add, move
and remove no row. What they say stands in `is_bot`, `is_test` and `marked_by`, and is taken back where it
does not hold any more.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.durations import DAY, HOUR, microseconds
from cjm_analytics.errors import InputError
from cjm_analytics.events.duplicates import integers
from cjm_analytics.events.scatter import one_array
from cjm_analytics.schema import MARKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.durations import Duration
    from cjm_analytics.events.partition import EventColumns, EventPartition

__all__ = [
    "ADDRESS",
    "NO_RULES",
    "BotRules",
    "Internal",
    "Rules",
    "Seen",
    "judged",
    "marked_rows",
    "remarked",
    "seen_in",
    "unmarked",
]

BURST, PER_DAY, RUSH, AROUND_THE_CLOCK = "burst", "per day", "rush", "around the clock"
ONE_PATTERN = "one pattern"
BEHAVIOUR = (BURST, PER_DAY, RUSH, AROUND_THE_CLOCK, ONE_PATTERN)
"""The rules that set `is_bot`, the first that applies is named."""

DOMAIN, ADDRESS = "own domain", "own address"
"""The rules that set `is_test`: by the customer's e-mail address; by the row's IP address."""

_OF_A_CUSTOMER: Final = (*BEHAVIOUR, DOMAIN)
_DOMAIN: Final = _OF_A_CUSTOMER.index(DOMAIN)
_DIGITAL: Final = ("clickstream", "log")
_VAGUE: Final = ("minute", "date", "inferred")
_NAME = pa.dictionary(pa.int32(), pa.string())
_IP: Final = (
    r'"(?:(?:[^"]*[_ .$-])?(?i:ip|ip[_ ]?addr(?:ess)?)|[a-z]+I[pP]|(?i:remote_?addr)|host)"'
    r'\s*:\s*"(?P<ip>[0-9A-Fa-f:.]{2,45})"'
)


@dataclass(frozen=True, kw_only=True)
class BotRules:
    """Robots that say they are browsers, told by what no person does.

    The rules look at a customer's own acts on the web and in apps (source kind clickstream or log, or none;
    actor customer, or none) whose time is known to the second. A customer of whom any rule holds is a robot:
    its web and app events get `is_bot = True`, and `marked_by` names the rule (the first in this order).
    Where nothing says that a row is a robot's, `is_bot` is False.

    - `burst`: more than `burst` events, the last at most `burst_window` after the first.
    - `per day`: on one day (UTC) more events than the limit, which is `per_day` or, if that is more, the
      `percentile` (nearest rank) of the events per customer and active day in the whole store.
    - `rush`: more than `rush` events one after another without time to think: each at most `rush_gap` after
      the one before. Events whose time is known to the second only are passed over.
    - `around the clock`: at least `hours` successive hours of the clock with an event in each.
    - `one pattern`: more than `addresses` different addresses (`path`), all of one pattern, such as
      `/product/*`. The pattern of an address is the address without its query, with `*` for each part between
      slashes that holds a digit.

    Nothing is removed. Orders, tickets and answers of such a customer are never marked, nor are rows that are
    marked by their source. `events.report().marks()` says how many customers and events each rule marked,
    `events.to_frame()` shows them, and `cjm.sessionize(events, include_bots=True)` keeps them.

    The rules are as good as the log: heartbeats, scroll events and the images of a page count as events here.
    Leave them out, or raise the limits, before you believe that a customer is none.

    Parameters
    ----------
    burst, per_day, rush, hours, addresses : int or None
        None: without this rule.
    burst_window, rush_gap : str or Timedelta
    percentile : float or None
        Between 0 and 100; None: `per_day` is the limit whatever the others do.

    Raises
    ------
    InputError
        A limit below 1, a percentile outside 0…100, or a duration without a unit.

    Examples
    --------
    >>> import pandas as pd
    >>> import cjm_analytics as cjm
    >>> times = pd.date_range("2026-03-01", periods=150, freq="500ms", tz="UTC")
    >>> log = pd.DataFrame({"who": "quick", "when": times, "what": "view"})
    >>> log.loc[150] = ["ann", times[0], "view"]
    >>> source = cjm.loaders.table(log, customer="who", timestamp="when", event="what")
    >>> events = cjm.ingest(source, bots=cjm.BotRules())
    >>> events.report().marks()
      source marked_by  customers  events
    0  table     burst          1     150
    >>> cjm.sessionize(events).n_events
    1
    """

    burst: int | None = 100
    burst_window: Duration = "100 seconds"
    per_day: int | None = 1_000
    percentile: float | None = 99.99
    rush: int | None = 50
    rush_gap: Duration = "100 milliseconds"
    hours: int | None = 24
    addresses: int | None = 50

    def __post_init__(self) -> None:
        for name in ("burst", "per_day", "rush", "hours", "addresses"):
            limit = getattr(self, name)
            if limit is not None and (type(limit) is not int or limit < 1):
                raise InputError(f"{name}={limit!r} must be a whole number from 1, or None for no such rule.")
        if self.percentile is not None and not 0 < self.percentile <= 100:  # noqa: PLR2004 - per cent
            raise InputError(f"percentile={self.percentile!r} must lie between 0 and 100, or be None.")
        for name in ("burst_window", "rush_gap"):
            length = microseconds(getattr(self, name), name=name, positive=False)
            object.__setattr__(self, name, f"{length} us")

    @property
    def lengths(self) -> tuple[int, int]:
        """`burst_window` and `rush_gap` in microseconds."""
        return microseconds(self.burst_window, positive=False), microseconds(self.rush_gap, positive=False)


@dataclass(frozen=True, kw_only=True)
class Internal:
    """The company's own people: by where they are, and by their e-mail address.

    - A row with an IP address inside one of `ips` gets `is_test = True`, `marked_by = "own address"`. The
      address is a promoted column `ip`, or the first in `properties` whose name says so, at any depth: `ip`,
      `$ip`, `context_ip`, `visitIp`, `IP Address`, `user_ipaddress`, `remote_addr`, `host`. Rows are looked
      at when they are read: another list of addresses speaks of the rows that come after it.
    - All rows of a customer with an address at one of `domains` (a subdomain counts as one) get
      `is_test = True`, `marked_by = "own domain"`: an address that a loader found (`email=`), an attribute
      `email`, or a user id that is an address.

    Nothing is removed: `events.report().marks()` counts what was marked, `cjm.sessionize` leaves it out
    unless `include_bots=True`.

    Parameters
    ----------
    ips : iterable of str
        Addresses and networks, such as `"203.0.113.7"`, `"10.0.0.0/8"`, `"2001:db8::/32"`.
    domains : iterable of str
        Such as `"example.com"`, capitals aside.

    Raises
    ------
    InputError
        Something is no address, or no domain.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = cjm.loaders.table(
    ...     {"mail": ["jo@shop.example", "ann@mail.example", "bob@mail.example"],
    ...      "when": ["2026-03-01"] * 3, "what": ["view"] * 3,
    ...      "ip": ["203.0.113.9", "198.51.100.2", "10.1.2.3"]},
    ...     email="mail", timestamp="when", event="what", tz="UTC")
    >>> own = cjm.Internal(ips=["10.0.0.0/8"], domains=["shop.example"])
    >>> cjm.ingest(log, internal=own).to_frame(["customer_id", "is_test", "marked_by"])
                            customer_id  is_test    marked_by
    0  anonymous:email:ann@mail.example    False         None
    1  anonymous:email:bob@mail.example     True  own address
    2   anonymous:email:jo@shop.example     True   own domain
    """

    ips: Iterable[str] = ()
    domains: Iterable[str] = ()

    def __post_init__(self) -> None:
        ips, domains = _listed("ips", self.ips), _listed("domains", self.domains)
        for one in ips:
            try:
                ipaddress.ip_network(one.strip(), strict=False)
            except ValueError as fault:
                raise InputError(
                    f"ips={one!r} is no IP address and no network ({fault}). Write one such as "
                    "'203.0.113.7' or '10.0.0.0/8'."
                ) from fault
        plain = tuple(one.strip().lower().removeprefix("@") for one in domains)
        for one, bare in zip(domains, plain, strict=True):
            if "@" in bare or "." not in bare.strip("."):
                raise InputError(f"domains={one!r} is no domain. Write one such as 'example.com'.")
        object.__setattr__(self, "ips", tuple(one.strip() for one in ips))
        object.__setattr__(self, "domains", plain)

    @cached_property
    def _networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(one, strict=False) for one in self.ips)

    def is_own(self, address: str | None) -> bool:
        """Whether an IP address is the company's; a text that is no address is not."""
        try:
            found = ipaddress.ip_address((address or "").strip())
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in one for one in self._networks)

    def own_texts(self, texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Which texts end in an address at one of the domains."""
        ends = "|".join(one.replace(".", r"\.") for one in self.domains)
        return pc.fill_null(
            pc.match_substring_regex(texts, rf"@(?:[^@\s]+\.)?(?:{ends})$", ignore_case=True), False
        )

    def own_rows(self, events: pa.Table, n: int) -> NDArray[np.bool_]:
        """Which of n rows come from one of the addresses."""
        own = np.zeros(n, dtype=bool)
        for name, pattern in (("ip", None), ("properties", _IP)):
            if name not in events.column_names or not pa.types.is_string(events.schema.field(name).type):
                continue
            texts = events.column(name)
            if pattern is not None:
                texts = pc.struct_field(pc.extract_regex(texts, pattern), "ip")
            few = texts.combine_chunks().dictionary_encode()
            few = few if isinstance(few, pa.Array) else few.combine_chunks()
            is_own = np.array([*(self.is_own(one) for one in few.dictionary.to_pylist()), False])
            own |= is_own[few.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        return own


def _listed(name: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"{name}={given!r} must be a list of texts, such as {name}=[{str(given)!r}].")
    return tuple(str(one) for one in given)


@dataclass(frozen=True)
class Rules:
    """The rules of one store; None: none of that kind."""

    bots: BotRules | None = None
    internal: Internal | None = None

    def or_those_of(self, before: Mapping[str, Any]) -> Self:
        """These, and where none are given, those that a store was made with."""
        bots, internal = before.get("bots"), before.get("internal")
        return type(self)(
            self.bots or (BotRules(**bots) if bots else None),
            self.internal or (Internal(**internal) if internal else None),
        )

    def to_json(self) -> dict[str, Any]:
        """The rules as plain values, for a manifest."""
        return {name: value for name, value in asdict(self).items() if value}

    def __bool__(self) -> bool:
        return bool(self.bots or self.internal)

    @property
    def decide(self) -> tuple[str, ...]:
        """The flags that the rules set: they are true or false, never unknown."""
        return (*(["is_bot"] if self.bots else []), *(["is_test"] if self.internal else []))


NO_RULES = Rules()


class Seen(NamedTuple):
    """What the rules have to know of the customers of one bucket.

    Attributes
    ----------
    ids : pyarrow.Array
        Customers who may be no customers.
    rule : int8
        The rule of behaviour that each breaks whatever others do, −1 none.
    busiest : int32
        Events on the customer's busiest day.
    own : bool
        The company's own people.
    days : mapping of int to int
        How many days of customers have so many events.
    """

    ids: pa.Array
    rule: NDArray[np.int8]
    busiest: NDArray[np.int32]
    own: NDArray[np.bool_]
    days: Mapping[int, int]


def seen_in(partition: EventPartition, rules: Rules, own_people: pa.Array) -> Seen:
    """Look at whole customers; `own_people` are customers who are known to be the company's."""
    ids, offsets = partition.customers()
    own = np.zeros(len(ids), dtype=bool)
    if rules.internal is not None and rules.internal.domains:
        known = pc.is_in(ids, value_set=own_people)
        own = pc.or_(known, rules.internal.own_texts(ids)).to_numpy(zero_copy_only=False)
    rule = np.full(len(ids), -1, dtype=np.int8)
    busiest = np.zeros(len(ids), dtype=np.int32)
    days: Mapping[int, int] = {}
    if rules.bots is not None and len(ids):
        rule, busiest, days = _behaviour(partition, offsets, rules.bots)
    least = rules.bots.per_day if rules.bots is not None else None
    suspect = own | (rule >= 0)
    if least is not None:
        suspect |= busiest > least
    picked = np.flatnonzero(suspect)
    return Seen(ids.take(pa.array(picked)), rule[picked], busiest[picked], own[picked], days)


def _behaviour(
    partition: EventPartition, offsets: NDArray[np.int64], rules: BotRules
) -> tuple[NDArray[np.int8], NDArray[np.int32], Mapping[int, int]]:
    from cjm_analytics.kernels.behaviour import pace

    table = partition.columns.read(["timestamp", "source_kind", "time_quality", "actor"])
    quality = _places(table.column("time_quality"), ("exact", "second", *_VAGUE))
    counted = _is_digital(table.column("source_kind"))
    counted &= _places(table.column("actor"), ("customer",), null=0) == 0
    counted &= quality < 2  # noqa: PLR2004 - the first two are no vague ones
    rows = np.flatnonzero(counted)
    window, gap = rules.lengths
    of_customers = np.searchsorted(rows, offsets).astype(np.int64)
    burst, busiest, rush, awake, per_day = pace(
        of_customers,
        integers(table, "timestamp", 0)[rows],
        quality[rows] <= 0,
        window,
        gap,
        HOUR,
        DAY,
    )
    rule = np.full(len(burst), -1, dtype=np.int8)
    alike = np.zeros(len(burst), dtype=np.int64)
    if rules.addresses is not None and np.diff(of_customers).max(initial=0) > rules.addresses:
        paths = partition.columns.read(["path"]).column("path").take(pa.array(rows))
        alike = _alike(paths, of_customers, rules.addresses)
    for name, found, limit in (  # the first rule has the last word
        (ONE_PATTERN, alike, rules.addresses),
        (AROUND_THE_CLOCK, awake, None if rules.hours is None else rules.hours - 1),
        (RUSH, rush, rules.rush),
        (BURST, burst, rules.burst),
    ):
        if limit is not None:
            rule[found > limit] = BEHAVIOUR.index(name)
    events, days = np.unique(per_day, return_counts=True)
    return rule, busiest, dict(zip(events.tolist(), days.tolist(), strict=True))


def _alike(paths: pa.Array | pa.ChunkedArray, offsets: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """How many different addresses each customer saw; 0 where they are of several patterns, or few."""
    counts = np.diff(offsets)
    coded = one_array(paths)
    coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
    bare = pc.replace_substring_regex(coded.dictionary.cast(pa.string()), r"\?.*$", "")
    patterns = pc.replace_substring_regex(bare, r"[^/]*[0-9][^/]*", "*").dictionary_encode().indices
    address = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    customer = np.repeat(np.arange(len(counts)), counts)
    told = (address >= 0) & (counts[customer] > limit)
    customer, address = customer[told], address[told]
    pairs = np.unique(customer * np.int64(len(patterns) + 1) + address)
    who, seen = pairs // (len(patterns) + 1), pairs % (len(patterns) + 1)
    pattern = patterns.to_numpy()[seen]
    is_first = np.diff(who, prepend=-1) != 0
    same = pattern == pattern[np.maximum.accumulate(np.where(is_first, np.arange(len(who)), 0))]
    n_addresses = np.bincount(who, minlength=len(counts))
    n_same = np.bincount(who[same], minlength=len(counts))
    return np.where(n_same == n_addresses, n_addresses, 0)


def judged(seen: Sequence[Seen], rules: Rules) -> tuple[pa.Table, str | None]:
    """The customers that are none (`customer_id`, `rule` as a place), and the limit per day in words."""
    limit, said = _limit(seen, rules.bots)
    tables = []
    for one in seen:
        rule = one.rule.copy()
        if limit is not None:
            busy = (one.busiest > limit) & (rule != BEHAVIOUR.index(BURST))
            rule[busy] = BEHAVIOUR.index(PER_DAY)
        rule[one.own] = _DOMAIN
        found = pa.table({"customer_id": one.ids, "rule": pa.array(rule)})
        tables.append(found.filter(pa.array(rule >= 0)))
    return pa.concat_tables(tables).combine_chunks(), said


def _limit(seen: Sequence[Seen], rules: BotRules | None) -> tuple[int | None, str | None]:
    if rules is None or rules.per_day is None:
        return None, None
    counts: Counter[int] = Counter()
    for one in seen:
        counts.update(one.days)
    if rules.percentile is None or not counts:
        return rules.per_day, None
    wanted = int(np.ceil(round(rules.percentile / 100 * counts.total(), 6)))
    events = sorted(counts)
    up_to = np.cumsum([counts[one] for one in events])
    usual = events[int(np.searchsorted(up_to, wanted))]
    limit = max(rules.per_day, usual)
    return limit, (
        f"Robots: more than {limit:,} events on one day ({rules.percentile:g} % of the days of customers "
        f"have at most {usual:,})."
    )


def remarked(run: EventColumns, verdicts: pa.Table, rules: Rules) -> pa.Table | None:
    """The columns `MARKS` of sorted rows as the verdicts want them; None where they are so already."""
    if not run.n_rows:
        return None
    verdict = _verdict_of_rows(run.stored(["customer_id"]).column("customer_id"), verdicts)
    table = run.read(["source_kind", *MARKS])
    now = _places(table.column("marked_by"), _OF_A_CUSTOMER, other=-1)
    flags = {name: pc.fill_null(table.column(name), False).to_numpy() for name in ("is_bot", "is_test")}
    is_test = flags["is_test"] & (now != _DOMAIN)
    is_bot = flags["is_bot"] & ~_of_behaviour(now)
    wanted = np.full(len(verdict), -1, dtype=np.int8)
    robot = _of_behaviour(verdict) & _is_digital(table.column("source_kind")) & ~is_bot & ~is_test
    wanted[robot] = verdict[robot]
    wanted[(verdict == _DOMAIN) & ~is_test] = _DOMAIN
    if (wanted == now).all() and not any(table.column(name).null_count for name in rules.decide):
        return None
    return _with_marks(table, now, wanted, rules)


def _with_marks(table: pa.Table, now: NDArray[np.int8], wanted: NDArray[np.int8], rules: Rules) -> pa.Table:
    """The columns with other marks."""
    columns = {}
    for name, before, after in (
        ("is_bot", _of_behaviour(now), _of_behaviour(wanted)),
        ("is_test", now == _DOMAIN, wanted == _DOMAIN),
    ):
        kept = pc.if_else(pa.array(before), pa.scalar(False), one_array(table.column(name)))
        kept = kept.fill_null(False) if name in rules.decide else kept
        columns[name] = pc.if_else(pa.array(after), pa.scalar(True), kept)
    names = pa.array(_OF_A_CUSTOMER).take(pa.array(wanted, mask=wanted < 0))
    before = one_array(table.column("marked_by")).cast(pa.string())
    kept = pc.if_else(pa.array(now >= 0), pa.scalar(None, pa.string()), before)
    columns["marked_by"] = pc.coalesce(names, kept).dictionary_encode()
    return pa.table(columns)


def _of_behaviour(places: NDArray[np.int8]) -> NDArray[np.bool_]:
    return (places >= 0) & (places < _DOMAIN)


def _verdict_of_rows(customers: pa.ChunkedArray, verdicts: pa.Table) -> NDArray[np.int8]:
    """The verdict on the customer of each row, −1 for none."""
    if not pa.types.is_dictionary(customers.type):
        customers = customers.dictionary_encode()
    ids = one_array(verdicts.column("customer_id"))
    rule = np.append(integers(verdicts, "rule", -1), -1).astype(np.int8)
    found = [np.zeros(0, dtype=np.int8)]
    for chunk in customers.chunks:
        places = pc.index_in(chunk.dictionary.cast(pa.string()), value_set=ids).fill_null(-1).to_numpy()
        found.append(rule[places][chunk.indices.to_numpy()])
    return np.concatenate(found)


def _is_digital(source_kind: pa.ChunkedArray) -> NDArray[np.bool_]:
    return _places(source_kind, _DIGITAL, null=0) >= 0


def _places(
    names: pa.ChunkedArray, among: Sequence[str], *, null: int = -1, other: int = -1
) -> NDArray[np.int8]:
    """The place of each name among some."""
    if not pa.types.is_dictionary(names.type):
        names = names.dictionary_encode()
    found = [np.zeros(0, dtype=np.int8)]
    for chunk in names.chunks:
        known = pc.index_in(chunk.dictionary, value_set=pa.array(among, pa.string())).fill_null(other)
        codes = np.append(known.to_numpy().astype(np.int8), np.int8(null))
        found.append(codes[chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False)])
    return np.concatenate(found)


def marked_rows(run: pa.Table) -> pa.Table:
    """Customer, source and mark of the rows of a run that carry a mark, as text."""
    names = ["customer_id", "source", "marked_by"]
    if "marked_by" not in run.column_names:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    rows = run.select(names).filter(run.column("marked_by").is_valid())
    return pa.table({name: rows.column(name).cast(pa.string()) for name in names})


def unmarked(stored: pa.Table) -> pa.Table:
    """Rows of a store without what rules about customers made of them."""
    if "marked_by" not in stored.column_names:
        return stored
    mark = _places(stored.column("marked_by"), _OF_A_CUSTOMER)
    if (mark < 0).all():
        return stored
    for name, ours, before in (
        ("is_bot", _of_behaviour(mark), False),
        ("is_test", mark == _DOMAIN, False),
        ("marked_by", mark >= 0, None),
    ):
        column = stored.column(name).combine_chunks()
        plain = pc.if_else(pa.array(ours), pa.scalar(before, column.type), column)
        stored = stored.set_column(stored.column_names.index(name), name, plain)
    return stored
