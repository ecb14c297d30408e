"""Who is who, as the definition reads: sets of ids, joined pair by pair."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pandas as pd

HOUR = pd.Timedelta(hours=1)
SILENCE = pd.Timedelta(minutes=30)
SYSTEMS = ("crm", "zendesk")


def id_of(text, *, is_user=False):
    """An id with its type: (rank of the type, type, text)."""
    prefix = text.split(":")[0] if ":" in text else None
    if prefix in SYSTEMS:
        return (1, prefix, text)
    if is_user:
        return (0, "user", text)
    if prefix in {"email", "phone"}:
        return (2, prefix, text)
    if prefix == "order":
        return (3, "order", text)
    return (5, "weak", text) if prefix == "weak" else (4, "device", text)


STRONG, MEDIUM, ORDER, DEVICE = range(4)


def tier(one):
    return {0: STRONG, 1: STRONG, 2: MEDIUM, 3: ORDER, 4: DEVICE, 5: DEVICE}[one[0]]


def own_name(one):
    return one[2] if tier(one) == STRONG else f"anonymous:{one[2]}"


class Persons:
    """Groups of ids, joined while no limit is in the way."""

    def __init__(self, ids, limits):
        self.group = {one: {one} for one in ids}
        self.counts_as = {one: one for one in ids}
        self.limits = limits
        self.conflicts = []

    def merge(self, one, other):
        """Join whatever the limits say: from now on it is one id."""
        together = self.group[one] | self.group[other]
        for each in together:
            self.group[each] = together
            self.counts_as[each] = min(together)

    def join(self, pair):
        one, other = pair["ids"]
        together = self.group[one] | self.group[other]
        for kind, limit in self.limits.items():
            if len({self.counts_as[each] for each in together if each[1] == kind}) > limit:
                self.conflicts.append(pair)
                return
        for each in together:
            self.group[each] = together

    def is_known(self, one):
        return any(tier(each) == STRONG for each in self.group[one])

    def name(self, one):
        smallest = min(self.group[one], key=lambda each: (tier(each) == ORDER, tier(each), each))
        return own_name(smallest)


def pairs_of(rows, links):
    """Per pair and kind: the two ids, and the times of all rows that say so."""
    seen = defaultdict(list)
    for row in rows:
        alias = id_of(row["anonymous_id"]) if row.get("anonymous_id") else None
        user = id_of(row["user_id"], is_user=True) if row.get("user_id") else None
        if alias and user:
            seen[frozenset([alias, user]), None].append(row["timestamp"])
        if row.get("order_id") and (alias or user):
            order = id_of(f"order:{row['order_id']}")
            seen[frozenset([order, user or alias]), None if user else "alias"].append(row["timestamp"])
    for link in links:
        kind = link.get("kind")
        ids = (
            id_of(link["alias"], is_user=kind == "merge"),
            id_of(link["user_id"], is_user=kind != "alias"),
        )
        if ids[0] != ids[1]:
            seen[frozenset(ids), kind].append(link["timestamp"])
    return [{"ids": sorted(ids), "kind": kind, "times": times} for (ids, kind), times in seen.items()]


def first_time(pair):
    known = [time for time in pair["times"] if time is not None]
    return min(known) if known else pd.Timestamp.max


def order(pair):
    one, other = pair["ids"]
    low, high = sorted([tier(one), tier(other)])
    return (high, low, -len(pair["times"]), first_time(pair), one, other)


def with_orders_apart(pairs, within):
    """A number that comes again after more than `within` is another order."""
    named = [pair for pair in pairs if not any(one[1] == "weak" for one in pair["ids"])]
    with_order = sorted((pair for pair in named if has(pair, ORDER)), key=first_time)
    last, place = {}, defaultdict(int)
    for pair in with_order:
        partner, order = sorted(pair["ids"], key=lambda one: tier(one) == ORDER)
        if order in last and first_time(pair) > last[order] + within:
            place[order] += 1
        last[order] = first_time(pair)
        pair["ids"] = sorted([partner, (*order, place[order])])


def has(pair, what):
    return any(tier(one) == what for one in pair["ids"])


def seen_with(pairs, what):
    """Per order or device, whatever it was seen with."""
    partners = defaultdict(set)
    for pair in pairs:
        for one, other in (pair["ids"], pair["ids"][::-1]):
            if tier(one) == what:
                partners[one].add(other)
    return partners


def silent_orders(pairs, persons, max_partners):
    """Orders that were seen with one id only, or with several persons, or on too many devices."""
    found = set()
    for order, partners in seen_with(pairs, ORDER).items():
        whose = defaultdict(set)
        for one in partners:
            if tier(one) < ORDER:
                whose[one[1]].add(frozenset(persons.group[one]))
        devices = [one for one in partners if tier(one) == DEVICE]
        several = any(len(different) > 1 for different in whose.values())
        if len(partners) == 1 or several or len(devices) > max_partners:
            found.add(order)
    return found


def sellers(pairs, persons, max_partners):
    """Devices on which too many persons placed orders."""
    return {
        device
        for device, partners in seen_with(pairs, DEVICE).items()
        if len(
            {
                frozenset(persons.group[one])
                for one in partners
                if tier(one) == ORDER and any(tier(each) < ORDER for each in persons.group[one])
            }
        )
        > max_partners
    }


def hubs(pairs, max_partners):
    found = set()
    partners = defaultdict(set)
    for pair in pairs:
        for one, other in (pair["ids"], pair["ids"][::-1]):
            if pair["kind"] != "merge" and tier(one) in {MEDIUM, DEVICE} and tier(other) == STRONG:
                partners[one, other[1]].add(other)
    for (one, _), strong in partners.items():
        if len(strong) > max_partners:
            found.add(one)
    return found


def stitched(rows, links, identity):
    """The customer of each row, and the pairs that were kept apart."""
    limits = {"user": 1, **dict.fromkeys(SYSTEMS, 1), "email": 5, "phone": 5, **identity.limits}
    pairs = pairs_of(rows, links)
    if identity.orders is None:
        pairs = [pair for pair in pairs if not has(pair, ORDER)]
    else:
        with_orders_apart(pairs, pd.Timedelta(identity.orders))
    persons = Persons({one for pair in pairs for one in pair["ids"]}, limits)
    silent = hubs(pairs, identity.max_partners) | {one for one in persons.group if one[1] == "weak"}
    pairs = sorted((one for one in pairs if not silent & set(one["ids"])), key=order)
    for pair in pairs:
        if pair["kind"] == "merge":
            persons.merge(*pair["ids"])
    for pair in pairs:
        if not has(pair, ORDER) and not has(pair, DEVICE):
            persons.join(pair)
    silent = silent_orders(pairs, persons, identity.max_partners)
    pairs = [one for one in pairs if not silent & set(one["ids"])]
    for pair in pairs:
        if has(pair, ORDER) and not has(pair, DEVICE):
            persons.join(pair)
    silent = sellers(pairs, persons, identity.max_partners)
    pairs = [one for one in pairs if not silent & set(one["ids"])]
    has_device = [pair for pair in pairs if has(pair, DEVICE)]
    shared = shared_devices(has_device, persons)
    for pair in has_device:
        if not shared & set(pair["ids"]):
            persons.join(pair)
    conflicts = [
        pair for pair in persons.conflicts if persons.group[pair["ids"][0]] != persons.group[pair["ids"][1]]
    ]
    own = own_times(rows)
    customers = []
    for row in rows:
        if row.get("user_id"):
            one = id_of(row["user_id"], is_user=True)
            customers.append(persons.name(one) if one in persons.group else own_name(one))
        elif row.get("anonymous_id"):
            one = id_of(row["anonymous_id"])
            logins = logins_of(one, pairs, persons, shared, identity)
            customers.append(owner(one, row["timestamp"], logins, own[one], identity))
        else:
            customers.append(f"account:{row['account_id']}")
    return customers, conflicts


def shared_devices(pairs, persons):
    """Devices of several known persons, or on which several placed orders of whom no strong id is known."""
    owners, buyers = defaultdict(set), defaultdict(set)
    for device, partners in seen_with(pairs, DEVICE).items():
        for one in partners:
            if persons.is_known(one):
                owners[device].add(persons.name(one))
            elif is_buyer(one, persons):
                buyers[device].add(persons.name(one))
    return {one for known in (owners, buyers) for one, several in known.items() if len(several) > 1}


def is_buyer(one, persons):
    """Whether it is an order of whom no strong id is known, but an address or a number."""
    least = min(map(tier, persons.group[one]))
    return tier(one) == ORDER and least == MEDIUM


def own_times(rows):
    """Per alias the times of its events without a user id."""
    times = defaultdict(list)
    for row in rows:
        if row.get("anonymous_id") and not row.get("user_id"):
            times[id_of(row["anonymous_id"])].append(row["timestamp"])
    return times


def logins_of(one, pairs, persons, shared, identity):
    """(time, person) of each login on a device; (None, person) where all of it is one person's."""
    if one not in persons.group:
        return [(None, own_name(one))]
    joined = [pair for pair in pairs if one in pair["ids"] and pair not in persons.conflicts]
    if one in shared:
        logins = []
        for pair in pairs:
            if one in pair["ids"]:
                (partner,) = [each for each in pair["ids"] if each != one]
                known = persons.is_known(partner) and tier(partner) < DEVICE
                if known or is_buyer(partner, persons):
                    by_hour = defaultdict(list)
                    for time in pair["times"]:
                        if time is not None:
                            by_hour[time.floor("h")].append(time)
                    for times in by_hour.values():
                        logins += [(min(times), persons.name(partner)), (max(times), persons.name(partner))]
        return sorted(logins)
    if tier(one) < DEVICE or identity.back_fill == "all" or not persons.is_known(one):
        return [(None, persons.name(one))]
    if identity.back_fill == "near":
        times = [time for pair in joined for time in pair["times"] if time is not None]
        return sorted((time, persons.name(one)) for time in times)
    first = min(first_time(pair) for pair in joined)
    return [(first, persons.name(one))] if first != pd.Timestamp.max else []


def owner(one, time, logins, events, identity):
    """Whose an event of a device is."""
    if logins and logins[0][0] is None:
        return logins[0][1]
    ahead = [login for login in logins if login[0] >= time]
    behind = [login for login in logins if login[0] < time]
    if ahead and claims(time, ahead[0][0], events, identity):
        return ahead[0][1]
    if behind and identity.back_fill == "near" and time - behind[-1][0] > pd.Timedelta(identity.claim_back):
        agree = ahead and ahead[0][1] == behind[-1][1]
        return behind[-1][1] if agree else own_name(one)
    return behind[-1][1] if behind else own_name(one)


def claims(time, login, events, identity):
    """Whether who logs in has a claim on an event before it."""
    if identity.back_fill in {"all", "near"}:
        return login - time <= pd.Timedelta(identity.claim_back)
    if identity.back_fill == "none":
        return login == time
    chain = sorted({time, login, *(one for one in events if time < one < login)})
    return all(later - earlier <= SILENCE for earlier, later in pairwise(chain))
