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
    return (4, "weak", text) if prefix == "weak" else (3, "device", text)


def tier(one):
    """0 strong, 1 medium, 2 a device."""
    return {0: 0, 1: 0, 2: 1, 3: 2, 4: 2}[one[0]]


def own_name(one):
    return one[2] if tier(one) == 0 else f"anonymous:{one[2]}"


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
        return any(tier(each) == 0 for each in self.group[one])

    def name(self, one):
        smallest = min(self.group[one], key=lambda each: (tier(each), each))
        return own_name(smallest)


def pairs_of(rows, links):
    """Per pair and kind: the two ids, and the times of all rows that say so."""
    seen = defaultdict(list)
    for row in rows:
        if row.get("anonymous_id") and row.get("user_id"):
            ids = (id_of(row["anonymous_id"]), id_of(row["user_id"], is_user=True))
            seen[frozenset(ids), None].append(row["timestamp"])
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


def hubs(pairs, max_partners):
    found = set()
    partners = defaultdict(set)
    for pair in pairs:
        for one, other in (pair["ids"], pair["ids"][::-1]):
            if pair["kind"] != "merge" and tier(one) > 0 and tier(other) == 0:
                partners[one, other[1]].add(other)
    for (one, _), strong in partners.items():
        if len(strong) > max_partners:
            found.add(one)
    return found


def stitched(rows, links, identity):
    """The customer of each row, and the pairs that were kept apart."""
    limits = {"user": 1, **dict.fromkeys(SYSTEMS, 1), "email": 5, "phone": 5, **identity.limits}
    pairs = pairs_of(rows, links)
    persons = Persons({one for pair in pairs for one in pair["ids"]}, limits)
    silent = hubs(pairs, identity.max_partners) | {one for one in persons.group if one[1] == "weak"}
    pairs = sorted((one for one in pairs if not silent & set(one["ids"])), key=order)
    for pair in pairs:
        if pair["kind"] == "merge":
            persons.merge(*pair["ids"])
    has_device = [pair for pair in pairs if any(tier(one) == 2 for one in pair["ids"])]
    for pair in pairs:
        if pair not in has_device:
            persons.join(pair)
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
    owners = defaultdict(set)
    for pair in pairs:
        for one, other in (pair["ids"], pair["ids"][::-1]):
            if tier(one) == 2 and persons.is_known(other):
                owners[one].add(persons.name(other))
    return {one for one, known in owners.items() if len(known) > 1}


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
    if one in shared:
        logins = []
        for pair in pairs:
            if one in pair["ids"]:
                (partner,) = [each for each in pair["ids"] if each != one]
                if persons.is_known(partner) and tier(partner) < 2:
                    by_hour = defaultdict(list)
                    for time in pair["times"]:
                        if time is not None:
                            by_hour[time.floor("h")].append(time)
                    for times in by_hour.values():
                        logins += [(min(times), persons.name(partner)), (max(times), persons.name(partner))]
        return sorted(logins)
    if tier(one) < 2 or identity.back_fill == "all" or not persons.is_known(one):
        return [(None, persons.name(one))]
    joined = [pair for pair in pairs if one in pair["ids"] and pair not in persons.conflicts]
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
    return behind[-1][1] if behind else own_name(one)


def claims(time, login, events, identity):
    """Whether who logs in has a claim on an event before it."""
    if identity.back_fill == "all":
        return login - time <= pd.Timedelta(identity.claim_back)
    if identity.back_fill == "none":
        return login == time
    chain = sorted({time, login, *(one for one in events if time < one < login)})
    return all(later - earlier <= SILENCE for earlier, later in pairwise(chain))
