"""Who is who: the rules by which ids that were seen together become customers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.durations import Duration, microseconds
from cjm_analytics.errors import InputError, UnknownNameError, check_count
from cjm_analytics.events.scatter import text_buffers
from cjm_analytics.events.stitching import ANONYMOUS, ORDER, WEAK, Rules, Stitching, default_names, stitched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.events.pairs import Pairs, Seen

__all__ = ["ACCOUNT", "ANONYMOUS", "Identity", "kinds_of"]

ACCOUNT = "account:"

SYSTEMS = (
    "helpscout",
    "hubspot",
    "intercom",
    "pipedrive",
    "salesforce",
    "shopify",
    "stripe",
    "zendesk",
)
"""Systems that know a person by an id of their own: their ids are `<system>:<id>`."""

PLACEHOLDERS = (
    "-1",
    "(none)",
    "(not set)",
    "anonymous",
    "guest",
    "n/a",
    "nan",
    "nil",
    "none",
    "null",
    "undefined",
    "unknown",
    "void",
)
"""What stands where an id is missing, besides zeros and dashes."""

_NOBODYS = r"^email:(?:no-?reply|no-?e?-?mail|none|null|n/a|unknown|undefined|void)@"
_ADDRESS = r"^email:[^@\s]+@[^@\s]+$"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BACK_FILLS = ("all", "near", "session", "none")
_SPACE, _ASCII = 32, 127


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The rules by which ids that were seen together become customers.

    **Ids** are of three kinds. *Strong*: user ids, and the ids by which a system knows a person
    (`zendesk:17`). *Medium*: `email:<address>`, `phone:<number>`. *Weak*: every other anonymous id, a device
    or a cookie. Ids that begin with `weak:` (a hash of an address in an access log) link nobody. Ids are
    compared in Unicode form NFC, trimmed; addresses in lower case; phone numbers by their digits, without
    `+` or `00` before them and without `(0)`. Placeholders (`null`, `-1`, `anonymous`, zeros and dashes, an
    address without `@` or of `noreply@…`, …) are no ids: the event has what other ids it has, and is a reject
    where it has none. Only `customer=` of a table takes `0` for a customer's number.

    **Pairs.** Two ids belong together that stand in one event, or that a source links without one. A weak
    or medium id seen with more than `max_partners` strong ids of one system is a *hub* and links nobody.

    **Orders.** The events of one order (`order_id`) are one person's: who placed it on a device is who paid
    for it by an address. An order is seen with the user id of an event, else with its anonymous id.
    Sightings of one number are of one order if there is no gap of more than `orders` between them, sorted by
    when each id was first seen with it; a number that comes again later is another order. An order that was
    seen with two user ids, addresses, … of different persons, or on more than `max_partners` devices, is a
    hub, for then the number means several things; so is a device on which more than `max_partners` persons
    placed orders. An order is nobody's name. `order:<number>` as an anonymous id means the order.

    **Persons.** What a vendor says it merged is joined first and counts as one id from then on. All other
    pairs are joined in this order: between strong ids, with medium ids, with orders, with devices; the more
    frequent, the earlier, the smaller text first. A pair that would give one person more ids of a type than
    `limits` allow is a conflict: the ids stay apart, and `events.conflicts()` lists the pair.

    **Shared devices.** A device that was seen with several persons is split by time: an event without any
    other id is the person's who logs in next, if that is within `claim_back`, else the person's who logged
    in last, else nobody's (`anonymous:<device>`). Of one id's logins in one hour (UTC), the first and the
    last count. To place an order is to log in; persons are those with a strong id and, where several
    of them placed orders on the device, those with an address or a phone number only.

    **The customer's name** is the smallest strong id: a user id, else that of a system, in the order of text.
    It stays when devices and addresses join, and changes when a smaller strong id does: then
    `events.person_history()` says so. Without a strong id it is `anonymous:` and the smallest address, else
    the smallest device. An event with nothing but an account id is the customer `account:<id>`.

    The result depends on what was seen, never on its order.

    Parameters
    ----------
    stitch : bool
        False: nothing is joined.
    namespaces : mapping of str to str
        Source → system, for sources whose user ids and order numbers mean nothing elsewhere:
        `{"web": "shop"}` makes `17` of the source `web` the id `shop:17`. Default: the same user id is the
        same person in all sources, and the same order number the same order. A source that is neither given
        nor in the store is an error of `cjm.ingest`.
    systems : sequence of str
        More systems whose ids, `<system>:<id>`, are strong.
    placeholders : bool
        False: ids such as `null` are taken at their word.
    blocked : sequence of str
        Regular expressions of more values that are no ids; each is compared with the whole id.
    limits : mapping of str to int
        Type → how many ids of it a person may have. By default 1 `user`, 1 of each system, 5 `email` and
        5 `phone`; a `device` has no limit unless it is named here.
    max_partners : int
    orders : duration, optional
        How far apart the systems may see one order, each for the first time. None: orders tie nobody.
    claim_back : duration
    back_fill : {"all", "near", "session", "none"}
        What of a device's events before a login is the person's. `all`: everything, of a shared device within
        `claim_back`. `near`: what lies within `claim_back` of it, before or after, and what lies between two
        logins of the same person. `session`: what lies before it without a silence of more than 30 minutes.
        `none`: nothing.
    largest : float, optional
        Ingest stops if one person has more than this share of all ids, and more than 200: something that many
        people have is an id of theirs, as a rule. None: it goes on.

    Raises
    ------
    InputError
        A parameter without meaning.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = cjm.loaders.table(
    ...     {"when": ["2026-03-01 09:00", "2026-03-01 09:05", "2026-03-02 20:00", "2026-03-02 20:01"],
    ...      "what": ["search", "login", "search", "login"], "cookie": ["tablet"] * 4,
    ...      "who": [None, "ann", None, "bob"]},
    ...     customer="who", anonymous_id="cookie", timestamp="when", event="what", tz="UTC")
    >>> cjm.ingest(log).to_frame(["customer_id", "event"]).to_numpy().tolist()
    [['ann', 'search'], ['ann', 'login'], ['bob', 'search'], ['bob', 'login']]
    >>> careful = cjm.Identity(back_fill="none")
    >>> cjm.ingest(log, identity=careful).to_frame(["customer_id", "event"]).to_numpy().tolist()
    [['ann', 'login'], ['ann', 'search'], ['anonymous:tablet', 'search'], ['bob', 'login']]
    """

    stitch: bool = True
    namespaces: Mapping[str, str] = field(default_factory=dict)
    systems: Sequence[str] = ()
    placeholders: bool = True
    blocked: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    max_partners: int = 5
    orders: Duration | None = "1 day"
    claim_back: Duration = "30 days"
    back_fill: Literal["all", "near", "session", "none"] = "all"
    largest: float | None = 0.01

    def __post_init__(self) -> None:
        for name in ("systems", "blocked"):
            if isinstance(getattr(self, name), str):
                one = getattr(self, name)
                raise InputError(f"{name}={one!r} must be a list, for example {name}=[{one!r}].")
        for name, example in (("namespaces", "{'shop': 'pos'}"), ("limits", "{'email': 3}")):
            if not isinstance(getattr(self, name), Mapping):
                raise InputError(f"{name}={getattr(self, name)!r} must be a mapping, for example {example}.")
        self._check_names()
        microseconds(self.claim_back, name="claim_back", positive=False)
        if self.orders is not None:
            microseconds(self.orders, name="orders", positive=False)
        check_count("max_partners", self.max_partners, none=None)
        if self.back_fill not in _BACK_FILLS:
            raise UnknownNameError("way in back_fill=", self.back_fill, _BACK_FILLS)
        if self.largest is not None and not 0 < self.largest <= 1:
            raise InputError(f"largest={self.largest!r} must be a share above 0 and up to 1, or None.")
        for pattern in self.blocked:
            try:
                pc.match_substring_regex(pa.array([""]), pattern)
            except (pa.ArrowInvalid, TypeError) as fault:
                said = str(fault).removeprefix("Invalid regular expression: ")
                raise InputError(
                    f"blocked={pattern!r} is no regular expression of RE2 (which has no look-around): {said}."
                ) from fault

    def _check_names(self) -> None:
        for name in (*self.systems, *self.namespaces.values()):
            if not _NAME.fullmatch(name) or name in {"user", "email", "phone", "order", "device", "weak"}:
                raise InputError(
                    f"{name!r} is no name for a system of ids. Write one in small letters, such as 'shop'; "
                    "user, email, phone, order, device and weak mean something else."
                )
        types = [one for one in self.rules.types if one not in {ORDER, WEAK}]
        for name, limit in self.limits.items():
            if name not in types:
                raise UnknownNameError("type of id in limits=", name, types)
            check_count(f"limits[{name!r}]", limit, none=None)

    @cached_property
    def rules(self) -> Rules:
        """The rules of the graph."""
        systems = tuple(sorted({*SYSTEMS, *self.systems, *self.namespaces.values()}))
        return Rules(
            systems=systems,
            limits={"user": 1, **dict.fromkeys(systems, 1), "email": 5, "phone": 5, **self.limits},
            max_partners=self.max_partners,
            claim_back=microseconds(self.claim_back, name="claim_back", positive=False),
            back_fill=self.back_fill,
            orders=None if self.orders is None else microseconds(self.orders, name="orders", positive=False),
        )

    def resolve(self, pairs: Pairs, logins: Callable[[NDArray[np.int32]], Seen]) -> Stitching:
        """Whose the ids are that were seen together.

        `logins` gives the evidence of some aliases, by their numbers in `pairs`, in all detail.

        Raises
        ------
        InputError
            One person has too many of all ids.
        """
        if not self.stitch:
            return Stitching()
        found = stitched(pairs, logins, self.rules)
        if self.largest is not None and found.is_too_large(self.largest):
            raise InputError(
                f"One person would have {found.sizes[-1]:,} of {found.sizes.sum():,} ids, more than "
                f"{self.largest:.0%}: something that many people have was taken for an id of one of them, "
                f"perhaps one of {', '.join(map(repr, found.largest.to_pylist()[:5]))}. Block such values: "
                "identity=cjm.Identity(blocked=[…]); or say that it is right: cjm.Identity(largest=None)."
            ).with_failures(pd.DataFrame({"id": found.largest.to_pylist()}))
        return found

    def anonymous(self, aliases: pa.Array) -> pa.Array:
        """The customer of each alias that belongs to nobody else."""
        return default_names(aliases, self.rules.systems)

    def users(self, ids: pa.Array, source: str, *, zero: bool = False) -> pa.Array:
        """User ids of a source as they are compared; null where one is none, as `0` unless it is a number."""
        ids = self._without_blocked(_tidy(ids), zero=zero)
        system = self.namespaces.get(source)
        return ids if system is None else pc.binary_join_element_wise(system, ids, ":")

    def orders_of(self, numbers: pa.Array, source: str) -> pa.Array:
        """Order numbers of a source as ids; null where one is none."""
        numbers = self._without_blocked(_tidy(numbers))
        system = self.namespaces.get(source)
        return pc.binary_join_element_wise(*([ORDER] if system is None else [ORDER, system]), numbers, ":")

    def aliases(self, ids: pa.Array) -> pa.Array:
        """Anonymous ids as they are compared; null where one is none."""
        ids = _tidy(ids)
        typed = pc.fill_null(pc.match_substring(ids, ":"), False)
        if pc.any(typed).as_py():
            encoded = ids.filter(typed).dictionary_encode()
            texts = self._typed(encoded.dictionary).take(encoded.indices)
            ids = pc.replace_with_mask(ids, typed, texts)
        return self._without_blocked(ids)

    def to_json(self) -> dict[str, Any]:
        """The parameters as plain values, for a manifest."""
        orders = None if self.orders is None else f"{self.rules.orders} us"
        return {**asdict(self), "claim_back": f"{self.rules.claim_back} us", "orders": orders}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Identity:
        """What `to_json` gave."""
        return cls(**values)

    def _typed(self, ids: pa.Array) -> pa.Array:
        """Distinct ids with a colon in them, those with a type before it in its form."""
        email = pc.starts_with(ids, "email:")
        address = pc.utf8_lower(pc.replace_substring_regex(ids, r"^email:\s*(?:mailto:)?<?|>?$", ""))
        address = pc.binary_join_element_wise("email", address, ":")
        phone = pc.starts_with(ids, "phone:")
        digits = pc.replace_substring_regex(ids, r"\(0\)|[^0-9]", "")
        digits = pc.replace_substring_regex(digits, "^00", "")
        ids = pc.if_else(email, address, ids)
        ids = pc.if_else(phone, pc.binary_join_element_wise("phone", digits, ":"), ids)
        if not self.placeholders:
            return ids
        value = pc.replace_substring_regex(ids, f"^(?:phone|{'|'.join(self.rules.systems)}):", "")
        wrong = pc.or_(
            pc.and_(pc.not_equal(value, ids), pc.or_(_placeholders(value), pc.equal(value, ""))),
            pc.and_(
                email,
                pc.or_(
                    pc.invert(pc.match_substring_regex(ids, _ADDRESS)),
                    pc.match_substring_regex(ids, _NOBODYS),
                ),
            ),
        )
        return _without(ids, wrong)

    def _without_blocked(self, ids: pa.Array, *, zero: bool = False) -> pa.Array:
        if self.placeholders and len(ids):
            gone = _placeholders(ids)
            ids = _without(ids, pc.and_(gone, pc.not_equal(ids, "0")) if zero else gone)
        if self.blocked:
            pattern = f"^(?:[a-z0-9_]+:)?(?:{'|'.join(self.blocked)})$"
            ids = _without(ids, pc.match_substring_regex(ids, pattern))
        return ids


def kinds_of(customers: pa.Array) -> pa.Array:
    """What is known of each customer: `known`, `anonymous` or `account`."""
    is_account, is_anonymous = (pc.starts_with(customers, one) for one in (ACCOUNT, ANONYMOUS))
    return pc.if_else(is_account, "account", pc.if_else(is_anonymous, "anonymous", "known"))


def _tidy(ids: pa.Array) -> pa.Array:
    """Trimmed, in form NFC, and null where nothing is left; most columns need no work."""
    if not len(ids) or ids.buffers()[2] is None:
        return ids
    data = np.frombuffer(ids.buffers()[2], dtype=np.uint8)
    if len(data) and data.max() > _ASCII:
        ids = pc.utf8_normalize(ids, "NFC")
    if len(data) and (data.max() > _ASCII or data.min() <= _SPACE):
        ids = pc.utf8_trim_whitespace(ids)
    lengths = pc.binary_length(ids)
    return ids if pc.min(lengths).as_py() != 0 else _without(ids, pc.equal(lengths, 0))


def _without(ids: pa.Array, gone: pa.Array) -> pa.Array:
    if not pc.any(gone).as_py():
        return ids
    return pc.if_else(pc.fill_null(gone, False), pa.scalar(None, pa.string()), ids)


def _placeholders(ids: pa.Array) -> pa.Array:
    from cjm_analytics.kernels.stitching import is_placeholder

    offsets, data = text_buffers(ids)
    word_offsets, words = text_buffers(pa.array(PLACEHOLDERS))
    return pa.array(is_placeholder(offsets, data, word_offsets, words))
