"""Persons out of ids that were seen together: a graph of ids, cut where a person would have too many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.pairs import EVIDENCE, KINDS, NEVER
from cjm_analytics.events.scatter import sorted_places, text_buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.events.pairs import Pairs, Seen

__all__ = [
    "ANONYMOUS",
    "CONFLICTS",
    "DEVICE",
    "HUBS",
    "ORDER",
    "OWNERS",
    "PERSONS",
    "USER",
    "WEAK",
    "Rules",
    "Stitching",
    "default_names",
    "stitched",
]

ANONYMOUS = "anonymous:"
USER, EMAIL, PHONE, ORDER, DEVICE, WEAK = "user", "email", "phone", "order", "device", "weak"

_TIME = pa.timestamp("us", tz="UTC")
OWNERS = pa.schema([("alias", pa.large_string()), ("since", _TIME), ("customer_id", pa.large_string())])
"""Whose an alias is: from `since` on until the next row of the same alias, always where `since` is null.

All aliases of all persons, and so perhaps more text than other arrays of text can hold.
"""

PERSONS = pa.schema([("user_id", pa.string()), ("customer_id", pa.string())])
"""User ids whose customer has another name."""

CONFLICTS = pa.schema([*EVIDENCE, ("customer_id", pa.string()), ("other_customer_id", pa.string())])
"""Ids that were seen together and not joined, because one person would have had too many ids."""

HUBS = pa.schema([("id", pa.string()), ("partners", pa.int64())])
"""Ids that link nobody: with how many known ids of one system, persons or devices each was seen."""

_MERGE, _ALIAS = KINDS.index("merge").as_py(), KINDS.index("alias").as_py()
_TOP_HUBS = 20
_THREADS = 2
_FEW = 200
"""A person may have so many ids, whatever share of all ids they are."""


@dataclass(frozen=True)
class Rules:
    """What `Identity` says, as the graph needs it.

    Attributes
    ----------
    systems : tuple of str
        Prefixes of ids by which a system knows a person.
    limits : mapping of str to int
        Per type of id how many of it a person may have.
    max_partners : int
    claim_back : int
        Microseconds.
    back_fill : str
        What of a device's events without a login is the person's: `all`, `near`, `session` or `none`.
    orders : int or None
        Microseconds within which sightings of one order number are one order; None: orders tie nobody.
    """

    systems: tuple[str, ...]
    limits: Mapping[str, int]
    max_partners: int
    claim_back: int
    back_fill: str
    orders: int | None

    @property
    def strong(self) -> tuple[str, ...]:
        return (USER, *self.systems)

    @property
    def types(self) -> tuple[str, ...]:
        """From the most telling to the one that tells nothing."""
        return (*self.strong, EMAIL, PHONE, ORDER, DEVICE, WEAK)


class Stitching(NamedTuple):
    """What the rules made of the evidence.

    Attributes
    ----------
    owners : pyarrow.Table
        Schema `OWNERS`: the aliases of persons, sorted by alias and since.
    persons : pyarrow.Table
        Schema `PERSONS`.
    conflicts : pyarrow.Table
        Schema `CONFLICTS`.
    hubs : pyarrow.Table
        Schema `HUBS`, the 20 largest.
    n_hubs, n_shared, n_aliases : int
        Ids that link nobody because too many people have them, devices of several persons, and all aliases
        of persons but orders.
    sizes : int32
        Ids per person (or per group of ids of nobody known), ascending; those that were seen with nothing
        are not among them, and orders do not count.
    largest : pyarrow.Array
        Some ids of the largest of them, if it has many.
    """

    owners: pa.Table = OWNERS.empty_table()
    persons: pa.Table = PERSONS.empty_table()
    conflicts: pa.Table = CONFLICTS.empty_table()
    hubs: pa.Table = HUBS.empty_table()
    n_hubs: int = 0
    n_shared: int = 0
    n_aliases: int = 0
    sizes: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
    largest: pa.Array = pa.array([], pa.string())

    def quantiles(self) -> tuple[int, int, int]:
        """Median, 99th percentile and maximum of the ids per person that has more than one."""
        joined = self.sizes[self.sizes > 1]
        if not len(joined):
            return (0, 0, 0)
        median, high = np.quantile(joined, [0.5, 0.99], method="inverted_cdf")
        return int(median), int(high), int(joined[-1])

    def is_too_large(self, share: float) -> bool:
        """Whether one person has more than a share of all ids, and not just a few."""
        return bool(len(self.sizes) and self.sizes[-1] > max(share * self.sizes.sum(), _FEW))


def default_names(aliases: pa.Array | pa.ChunkedArray, systems: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """The customer of each alias that belongs to nobody else."""
    nobody = pc.binary_join_element_wise(ANONYMOUS, aliases, "")
    if not systems or not pc.any(pc.match_substring(aliases, ":")).as_py():
        return nobody
    is_strong = pc.match_substring_regex(aliases, f"^(?:{'|'.join(systems)}):")
    return pc.if_else(is_strong, aliases, nobody)


def stitched(pairs: Pairs, logins: Callable[[NDArray[np.int32]], Seen], rules: Rules) -> Stitching:
    """Who is who.

    Parameters
    ----------
    pairs : Pairs
    logins : callable
        From aliases, by their numbers in `pairs`, to their evidence in all detail.
    rules : Rules
    """
    if not len(pairs):
        return Stitching()
    graph = _Graph.of(pairs, rules)
    graph.leave_hubs_out()
    graph.join_persons()
    graph.join_orders()
    shared = graph.join_devices()
    names = _Names(graph)
    with ThreadPoolExecutor(_THREADS) as pool:
        owned = pool.submit(names.owners, shared, pool)
        hubs, n_hubs = graph.hubs()
        sizes, largest = graph.sizes()
        spans = _spans(graph, names, shared, logins) if shared.any() else OWNERS.empty_table()
        conflicts = names.conflicts()
        owners, ends, persons = owned.result()
    n_aliases = names.n_aliases + pc.count_distinct(spans.column("alias")).as_py()
    owners = pa.concat_tables([owners, ends, spans])
    return Stitching(owners, persons, conflicts, hubs, n_hubs, int(shared.sum()), n_aliases, sizes, largest)


class _Graph:
    """Ids as nodes, and the pairs of them; a user id and an alias of the same text are two nodes.

    So are two orders of one number.

    Attributes
    ----------
    pairs : Pairs
    text : int32
        The number of each id's text.
    type : int8
        Place in `rules.types` of each id's type.
    one, other : int32
        The ids of each pair.
    label : int32
        The person of each id so far, as the smallest number of it.
    refused : bool
        Pairs that a limit kept apart.
    partners : int64
        Of ids that link nobody: how many each was seen with; else 0.
    """

    def __init__(
        self,
        pairs: Pairs,
        rules: Rules,
        nodes: tuple[NDArray[np.int32], NDArray[np.int8]],
        ends: tuple[NDArray[np.int32], NDArray[np.int32]],
    ) -> None:
        self.rules = rules
        self.pairs = pairs
        self.text, self.type = nodes
        self.one, self.other = ends
        self.rows, self.first = pairs.rows, pairs.first
        self.is_merge = pairs.kind == _MERGE
        self.usable = np.ones(len(self.one), dtype=bool)
        self._without(self.type == self.place_of(WEAK))
        self._tell_orders_apart()
        self.label = np.arange(len(self.text), dtype=np.int32)
        self.refused = np.zeros(len(self.one), dtype=bool)
        self.partners = np.zeros(len(self), dtype=np.int32)
        self._holder: NDArray[np.int32] | None = None  # each id counts for itself
        self._held = self.type

    @classmethod
    def of(cls, pairs: Pairs, rules: Rules) -> _Graph:
        """Number the ids; an alias and a user id of the same text are two, unless it names a system."""
        from cjm_analytics.kernels.stitching import users_apart

        one, other, kind = pairs.alias, pairs.user, pairs.kind
        types = _types(pairs.texts.all, rules)
        nodes = users_apart(one, other, (kind == _MERGE, kind != _ALIAS), types, len(rules.strong))
        return cls(pairs, rules, nodes, (one, other))

    def __len__(self) -> int:
        return len(self.text)

    def ids(self, nodes: NDArray[np.integer[Any]]) -> pa.Array:
        """The texts of some nodes."""
        return self.pairs.texts.of(self.text[nodes])

    def place_of(self, name: str) -> int:
        return self.rules.types.index(name)

    @property
    def is_strong(self) -> NDArray[np.bool_]:
        return self.type < self.place_of(EMAIL)

    @property
    def is_device(self) -> NDArray[np.bool_]:
        return self.type >= self.place_of(DEVICE)

    @property
    def is_order(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.type == self.place_of(ORDER)
        return found

    def _tell_orders_apart(self) -> None:
        """Sightings of one number that lie too far apart are of two orders: each becomes a node."""
        pairs, order, _ = self._sightings()
        if self.rules.orders is None:
            self.usable[pairs] = False
        if self.rules.orders is None or not len(pairs):
            self.is_ambiguous = np.zeros(len(self), dtype=bool)
            return
        by_time = np.lexsort([self.first[pairs], order])
        pairs, order = pairs[by_time], order[by_time]
        time = self.first[pairs]
        is_new = np.ones(len(pairs), dtype=bool)
        is_new[1:] = order[1:] != order[:-1]
        is_later = np.zeros(len(pairs), dtype=bool)
        is_later[1:] = ~is_new[1:] & (time[1:] - self.rules.orders > time[:-1])
        begins = np.flatnonzero(is_new | is_later)
        nodes = order[begins]
        more = np.flatnonzero(is_later[begins])
        nodes[more] = len(self) + np.arange(len(more))
        node = np.repeat(nodes, np.diff(begins, append=len(pairs)))
        stands_first = self.one[pairs] == order
        self.one[pairs[stands_first]] = node[stands_first]
        self.other[pairs[~stands_first]] = node[~stands_first]
        again = order[begins[more]]
        self.text, self.type = np.append(self.text, self.text[again]), np.append(self.type, self.type[again])
        self.is_ambiguous = np.zeros(len(self), dtype=bool)
        self.is_ambiguous[again] = self.is_ambiguous[nodes[more]] = True

    def _sightings(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Pairs with an order that may be used; the orders, and whom or what each was seen with."""
        is_order = self.is_order
        if not is_order.any():
            return (np.zeros(0, dtype=np.int64),) * 3
        first, second = is_order[self.one], is_order[self.other]
        self.usable &= ~(first & second)
        pairs = np.flatnonzero(self.usable & (first | second))
        one, other, first = self.one[pairs], self.other[pairs], first[pairs]
        order, partner = np.where(first, one, other), np.where(first, other, one)
        return pairs, order.astype(np.int64), partner.astype(np.int64)

    def leave_hubs_out(self) -> None:
        """Leave out the pairs of ids that too many people have."""
        from cjm_analytics.kernels.stitching import most_partners

        seen = self.usable & ~self.is_merge
        is_order = self.is_order
        if is_order.any():
            seen &= ~(is_order[self.one] | is_order[self.other])
        kind = self.pairs.kind[seen]
        if len(kind) and (kind != kind[0]).any():  # the same two ids may stand in pairs of several kinds
            places = np.flatnonzero(seen)
            low, high = (of(self.one[seen], self.other[seen]) for of in (np.minimum, np.maximum))
            _, once = np.unique(low.astype(np.int64) * len(self) + high, return_index=True)
            seen[:] = False
            seen[places[once]] = True
        partners = most_partners((self.one, self.other, seen), self.type, len(self.rules.strong))
        partners[partners <= self.rules.max_partners] = 0
        self._leave_out(partners)

    def _leave_out(self, partners: NDArray[np.integer[Any]]) -> None:
        """Ids with partners link nobody."""
        hubs = partners > 0
        self._without(hubs)
        self.partners[hubs] = np.maximum(self.partners[hubs], partners[hubs])

    def _without(self, ids: NDArray[np.bool_]) -> None:
        """Use no pair of some ids."""
        if ids.any():
            self.usable &= ~(ids[self.one] | ids[self.other])

    def hubs(self) -> tuple[pa.Table, int]:
        """The largest ids that link nobody, and how many there are."""
        hubs = np.flatnonzero(self.partners)
        table = pa.table([self.ids(hubs), pa.array(self.partners[hubs])], schema=HUBS).sort_by(
            [("partners", "descending"), ("id", "ascending")]
        )
        return table.slice(0, _TOP_HUBS), len(hubs)

    def join_persons(self) -> None:
        """Join what a vendor merged, whatever the limits say; then known ids and addresses."""
        from cjm_analytics.kernels.stitching import joined

        merged = self.is_merge & self.usable
        if merged.any():  # a merged id is the same id under another name: it counts once
            self.label = joined(self.label, self.one, self.other, merged)
            n_types = len(self.rules.types)
            key = np.unique(self.label.astype(np.int64) * n_types + self.type)
            holder, held = np.divmod(key, n_types)
            self._holder, self._held = holder.astype(np.int32), held.astype(np.int8)
        later = self.type >= self.place_of(ORDER)
        self._join(self.usable & ~(later[self.one] | later[self.other]))

    def join_orders(self) -> None:
        """Join orders with their person; those seen with one id only or with several persons tie nobody."""
        pairs, order, partner = self._sightings()
        if not len(pairs):
            return
        order, partner = self._counted_once(order, partner)
        on_device = self.is_device[partner]
        n_ids = np.bincount(order, minlength=len(self))
        n_devices = np.bincount(order[on_device], minlength=len(self))
        n_types = len(self.rules.types)
        by_type = order[~on_device] * n_types + self.type[partner[~on_device]]
        by_type, _ = self._counted_once(by_type, self.label[partner[~on_device]])
        n_persons = np.bincount(by_type, minlength=len(self) * n_types).reshape(-1, n_types).max(axis=1)
        is_hub = (n_persons > 1) | (n_devices > self.rules.max_partners)
        self._leave_out(np.where(is_hub, np.maximum(n_persons, n_devices), 0))
        self.usable[pairs] &= (n_ids[self.one[pairs]] > 1) | (n_ids[self.other[pairs]] > 1)
        device = self.is_device
        pairs, _, _ = self._sightings()
        use = np.zeros(len(self.one), dtype=bool)
        use[pairs] = ~(device[self.one[pairs]] | device[self.other[pairs]])
        self._join(use)
        self._leave_shops_out()

    def _leave_shops_out(self) -> None:
        """A device that saw orders of too many people links nobody: a kiosk, or somebody who sells."""
        _, order, partner = self._sightings()
        is_person = self.known_labels() | self._buyers()
        seen = self.is_device[partner] & is_person[self.label[order]]
        device, _ = self._counted_once(partner[seen], self.label[order[seen]])
        n_persons = np.bincount(device, minlength=len(self))
        self._leave_out(np.where(n_persons > self.rules.max_partners, n_persons, 0))

    def _counted_once(
        self, one: NDArray[np.integer[Any]], other: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Distinct pairs of a number and a node."""
        return np.divmod(np.unique(one.astype(np.int64) * len(self) + other), len(self))

    def join_devices(self) -> NDArray[np.bool_]:
        """Join devices with their person. Says which devices have several: those are joined with none."""
        from cjm_analytics.kernels.stitching import with_several

        device, pairs = self.is_device, (self.one, self.other, self.usable)
        shared = with_several(pairs, device, self.known_labels()[self.label], self.label)
        if self.is_order.any():
            buyers = self._buyers()[self.label] & self.is_order
            shared |= with_several(pairs, device, buyers, self.label)
        use = self.usable & (device[self.one] | device[self.other])
        if shared.any():
            use &= ~(shared[self.one] | shared[self.other])
        self._join(use)
        return shared

    def _buyers(self) -> NDArray[np.bool_]:
        """Per label whether it holds an address or a number, but no strong id."""
        found = np.zeros(len(self), dtype=bool)
        found[self.label[self.type < self.place_of(ORDER)]] = True
        return found & ~self.known_labels()

    def tell_who(self, nodes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which ids say who uses a shared device: those of known persons, and orders of other buyers."""
        label, kind = self.label[nodes], self.type[nodes]
        buyers = self._buyers()[label] & (kind == self.place_of(ORDER))
        found: NDArray[np.bool_] = (self.known_labels()[label] | buyers) & (kind < self.place_of(DEVICE))
        return found

    def known_labels(self) -> NDArray[np.bool_]:
        """Per label whether it holds a strong id."""
        known = np.zeros(len(self), dtype=bool)
        known[self.label[self.is_strong]] = True
        return known

    def _join(self, use: NDArray[np.bool_]) -> None:
        """Join the ends of some pairs; where a limit is in the way, in the order of what tells more."""
        from cjm_analytics.kernels.stitching import joined

        before = self.label
        label = joined(before, self.one, self.other, use)
        crowded = self._crowded(label)
        if not crowded.any():
            self.label = label
            return
        again = crowded[label]
        contested = np.flatnonzero(use & again[self.one])
        contested = contested[self._order(contested)]
        inside = self._distinct(before[again])
        place = np.full(len(self), -1, dtype=np.int32)
        place[inside] = np.arange(len(inside), dtype=np.int32)
        parent, refused = self._limited(contested, before, len(inside), place)
        self.refused[contested[refused]] = True
        label[again] = inside[parent][place[before[again]]]
        self.label = label

    def _distinct(self, nodes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        found = np.zeros(len(self), dtype=bool)
        found[nodes] = True
        return np.flatnonzero(found)

    def _crowded(self, label: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which labels hold more ids of a type than they may."""
        from cjm_analytics.kernels.numbering import counted

        crowded = np.zeros(len(self), dtype=bool)
        for kind, limit in self._limits():
            holders = self._holders(kind)
            if len(holders) > limit:
                crowded |= counted(label[holders], len(self)) > limit
        return crowded

    def _holders(self, kind: int) -> NDArray[np.integer[Any]]:
        """The labels that hold ids of a type before anything is joined, once per id."""
        holders = np.flatnonzero(self._held == kind)
        return holders if self._holder is None else self._holder[holders]

    def _limits(self) -> list[tuple[int, int]]:
        return [
            (self.place_of(name), limit)
            for name, limit in self.rules.limits.items()
            if name in self.rules.types
        ]

    def _limited(
        self,
        edges: NDArray[np.int64],
        before: NDArray[np.int32],
        n: int,
        place: NDArray[np.int32],
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Union-find with limits among n labels, of which each node's place is given."""
        from cjm_analytics.kernels.stitching import limited_unions

        limits = self._limits()
        held = np.zeros((n, len(limits)), dtype=np.int32)
        for column, (kind, _) in enumerate(limits):
            # What was joined before this step counts together.
            mine = place[before[self._holders(kind)]]
            held[:, column] = np.bincount(mine[mine >= 0], minlength=n)
        return limited_unions(
            place[before[self.one[edges]]],
            place[before[self.other[edges]]],
            held,
            np.array([limit for _, limit in limits], dtype=np.int64),
        )

    def _order(self, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pairs by what tells most: known ids, addresses, orders, devices; then by count and time."""
        low = np.minimum(self.type[self.one[edges]], self.type[self.other[edges]])
        high = np.maximum(self.type[self.one[edges]], self.type[self.other[edges]])
        tiers = [self.place_of(EMAIL), self.place_of(ORDER), self.place_of(DEVICE)]
        tier = (np.digitize(high, tiers) * (len(tiers) + 1) + np.digitize(low, tiers)).astype(np.int8)
        ranks = self._text_ranks(self._distinct(np.concatenate([self.one[edges], self.other[edges]])))
        ends = np.sort(np.stack([ranks[self.one[edges]], ranks[self.other[edges]]]), axis=0)
        both = ends[0] * np.int64(len(self)) + ends[1]
        return np.lexsort([both, self.first[edges], -self.rows[edges], tier])

    def _text_ranks(self, nodes: NDArray[np.int64]) -> NDArray[np.int32]:
        """The place of some ids among each other, by type and text."""
        order = self._sorted(nodes)
        ranks = np.full(len(self), -1, dtype=np.int32)
        ranks[nodes[order]] = np.arange(len(nodes), dtype=np.int32)
        return ranks

    def _sorted(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where some ids stand when they are sorted by type, then text."""
        types = self.type[nodes]
        places = [np.flatnonzero(types == kind) for kind in range(len(self.rules.types))]
        return np.concatenate([some[sorted_places(self.ids(nodes[some]))] for some in places if len(some)])

    def smallest(self) -> NDArray[np.int32]:
        """Per label its first id: the most telling type, then the smallest text; −1 for what is no label."""
        from cjm_analytics.kernels.stitching import first_by_rank

        places = np.arange(len(self.rules.types))
        tier = np.digitize(places, [self.place_of(EMAIL), self.place_of(DEVICE)]).astype(np.int8)
        tier[self.place_of(ORDER)] = 3  # an order is nobody's name
        rank = tier[self.type]
        smallest, several = first_by_rank(self.label, rank)
        if several.any():
            candidates = np.flatnonzero(several[self.label])
            candidates = candidates[rank[candidates] == rank[smallest[self.label[candidates]]]]
            candidates = candidates[self._sorted(candidates)][::-1]
            smallest[self.label[candidates]] = candidates
        return smallest

    def sizes(self) -> tuple[NDArray[np.int32], pa.Array]:
        """Ids per label, ascending, and some of the largest where it is large."""
        from cjm_analytics.kernels.numbering import counted

        is_order = self.is_order
        counts = counted(self.label[~is_order] if is_order.any() else self.label, len(self))
        largest = np.zeros(0, dtype=np.int64)
        if counts.max() > _FEW:
            largest = np.flatnonzero((counts == counts.max())[self.label])
            # Of several the one with the smallest text.
            largest = largest[self.label[largest] == self.label[largest[self._sorted(largest)[0]]]]
        return np.sort(counts[counts > 0]), self.ids(largest).sort().slice(0, _TOP_HUBS)


class _Names:
    """The customers of a graph."""

    def __init__(self, graph: _Graph) -> None:
        self._graph = graph
        self._node = graph.smallest()[graph.label]
        self.n_aliases = 0

    def of(self, nodes: NDArray[np.integer[Any]]) -> pa.Array:
        """The customer of each id."""
        return self.long(nodes).cast(pa.string())

    def long(self, nodes: NDArray[np.integer[Any]]) -> pa.Array:
        """The same, together as long as they may be."""
        graph, named = self._graph, self._node[nodes]
        texts = graph.pairs.texts.long(graph.text[named])
        is_nobody = graph.type[named] >= graph.place_of(EMAIL)
        if not is_nobody.any():
            return texts
        first, nothing = (pa.scalar(one, pa.large_string()) for one in (ANONYMOUS, ""))
        return pc.if_else(pa.array(is_nobody), pc.binary_join_element_wise(first, texts, nothing), texts)

    def owners(
        self, shared: NDArray[np.bool_], pool: ThreadPoolExecutor
    ) -> tuple[pa.Table, pa.Table, pa.Table]:
        """Aliases of others (without shared devices), from when on nobody has them, and user ids."""
        from cjm_analytics.kernels.numbering import order_of_hashes

        graph = self._graph
        elsewhere = self._node != np.arange(len(graph), dtype=np.int32)
        is_user = graph.type == graph.place_of(USER)
        named = np.flatnonzero(elsewhere & graph.is_strong)
        persons = pa.table([graph.ids(named), self.of(named)], schema=PERSONS)
        nodes = np.flatnonzero(elsewhere & ~is_user & ~shared & ~graph.is_ambiguous).astype(np.int32)
        # By a hash of the alias: quicker than by the alias, and it depends on nothing else either.
        nodes = nodes[order_of_hashes(graph.pairs.texts.hashes[graph.text[nodes]])]
        since, until = self._times(nodes)
        ever = since != NEVER
        if not ever.all():
            nodes, since, until = nodes[ever], since[ever], until[ever]
        self.n_aliases = int((~graph.is_order[nodes]).sum())
        always = since < 0
        customers = pool.submit(self.long, nodes)
        owners = pa.table(
            [
                graph.pairs.texts.long(graph.text[nodes]),
                pa.nulls(len(nodes), _TIME) if always.all() else pa.array(since, mask=always).cast(_TIME),
                customers.result(),
            ],
            schema=OWNERS,
        )
        ended = until != NEVER
        return owners, _nobodys(graph.ids(nodes[ended]), until[ended]), persons.sort_by("user_id")

    def _times(self, nodes: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """From when on an alias is its person's (−1: always, or `NEVER`), and from when on no more."""
        graph = self._graph
        if graph.rules.back_fill == "all":
            always, never = (np.broadcast_to(np.int64(time), len(nodes)) for time in (-1, NEVER))
            return always, never
        since, until = np.full(len(nodes), -1, dtype=np.int64), np.full(len(nodes), NEVER, dtype=np.int64)
        first, last = np.full(len(graph), NEVER, dtype=np.int64), np.full(len(graph), -1, dtype=np.int64)
        told = graph.usable & ~graph.refused & (graph.first != NEVER)
        for end in (graph.one, graph.other):
            np.minimum.at(first, end[told], graph.first[told])
            np.maximum.at(last, end[told], graph.pairs.last[told])
        later = (graph.is_device & graph.known_labels()[graph.label])[nodes]
        reach = graph.rules.claim_back if graph.rules.back_fill == "near" else 0
        known = later & (first[nodes] != NEVER)
        since[later] = np.where(known, first[nodes] - reach, NEVER)[later]
        if graph.rules.back_fill == "near":
            until[known] = last[nodes][known] + reach + 1
        return since, until

    def conflicts(self) -> pa.Table:
        """The pairs that were refused."""
        graph = self._graph
        refused = np.flatnonzero(graph.refused)
        apart = graph.label[graph.one[refused]] != graph.label[graph.other[refused]]
        refused = refused[apart]
        table = graph.pairs.table(graph.pairs.of(refused))
        table = table.append_column("customer_id", self.of(graph.one[refused]))
        table = table.append_column("other_customer_id", self.of(graph.other[refused]))
        return table.sort_by([(name, "ascending") for name in ("alias", "user_id", "kind")]).combine_chunks()


def _spans(
    graph: _Graph,
    names: _Names,
    shared: NDArray[np.bool_],
    logins: Callable[[NDArray[np.int32]], Seen],
) -> pa.Table:
    """Whose a shared device is, from when on."""
    nodes = np.flatnonzero(shared)
    device, time, person = _points(graph, names, nodes, logins(graph.text[nodes]))
    rank = _ranks(person)
    order = np.lexsort([rank, time, device])
    device, time, rank = device[order], time[order], rank[order]
    person = person.take(pa.array(order))
    claims = graph.rules.back_fill in {"all", "near"}
    since = time - graph.rules.claim_back if claims else time.copy()
    again = np.zeros(len(device), dtype=bool)
    again[1:] = device[1:] == device[:-1]
    since[1:] = np.where(again[1:], np.maximum(since[1:], time[:-1] + 1), since[1:])
    again[1:] &= rank[1:] == rank[:-1]
    ends = OWNERS.empty_table()
    if graph.rules.back_fill == "near":  # unless the next login is the same person's, or is near as well
        until = time + graph.rules.claim_back + 1
        ended = np.ones(len(device), dtype=bool)
        ended[:-1] = ~again[1:] & ((device[1:] != device[:-1]) | (until[:-1] < since[1:]))
        ends = _nobodys(graph.ids(nodes[device[ended]]), until[ended])
    if graph.rules.back_fill == "session":  # each login may claim a session of its own
        again[:] = False
    kept = np.flatnonzero(~again)
    spans = pa.table(
        [
            graph.ids(nodes[device[kept]]),
            pa.array(since[kept]).cast(_TIME),
            person.take(pa.array(kept)),
        ],
        names=OWNERS.names,
    ).cast(OWNERS)
    return pa.concat_tables([spans, ends]).sort_by([("alias", "ascending"), ("since", "ascending")])


def _nobodys(devices: pa.Array, since: NDArray[np.int64]) -> pa.Table:
    """Devices that are nobody's from then on; schema `OWNERS`."""
    names = pc.binary_join_element_wise(ANONYMOUS, devices, "")
    return pa.table([devices, pa.array(since).cast(_TIME), names], names=OWNERS.names).cast(OWNERS)


def _points(
    graph: _Graph, names: _Names, nodes: NDArray[np.int64], seen: Seen
) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.Array]:
    """Device, time and customer of each login on a shared device, and of each order."""
    rank = np.full(len(graph), -1, dtype=np.int64)
    rank[nodes] = np.arange(len(nodes))
    dated = seen.where(seen.first != NEVER)
    one, other = graph.one[dated.pair], graph.other[dated.pair]
    device, partner = rank[np.append(one, other)], np.append(other, one)
    rows = np.flatnonzero((device >= 0) & graph.tell_who(partner))
    device, partner = np.tile(device[rows], 2), np.tile(partner[rows], 2)
    times = [np.tile(time, 2)[rows] for time in (dated.first, dated.last)]
    return device, np.concatenate(times), names.of(partner)


def _ranks(texts: pa.Array) -> NDArray[np.int64]:
    encoded = texts.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ranks: NDArray[np.int64] = rank[encoded.indices.to_numpy()]
    return ranks


def _types(texts: pa.Array, rules: Rules) -> NDArray[np.int8]:
    """The type of each text as an alias, as a place in `rules.types`."""
    from cjm_analytics.kernels.stitching import types_of

    named = [name for name in rules.types if name not in {USER, DEVICE}]
    places = np.array([rules.types.index(name) for name in named], dtype=np.int8)
    return types_of(text_buffers(texts), text_buffers(pa.array(named)), places, rules.types.index(DEVICE))
