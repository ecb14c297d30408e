"""Households with phones, laptops and a tablet for all: events with the person behind each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from eventlogs import Rows

JUNK = ("email:null", "email:none@none.de", "email:test", "email:noreply@shop.de")
START = pd.Timestamp("2025-11-01")


class Simulated(NamedTuple):
    """Sources, and per `event_id` the person who acted."""

    sources: list[Rows]
    truth: dict[str, str]


def simulated(seed: int, *, logged_in: float = 0.9, households: int = 400) -> Simulated:
    """Half a year of visits, a share of which is `logged_in` after some clicks, and letters to the help desk.

    A third of the households share a tablet, for one visit in seven. A cookie is deleted after 50 visits on
    average. Nine of ten users told their address, and nine of thirty wrote to the help desk; one address in
    twenty is junk, and one in fifty that the help desk has is another family member's.
    """
    rng = np.random.default_rng(seed)
    web, desk, links, truth = [], [], [], {}

    def note(rows, person, when, **row):
        truth[f"e{len(truth)}"] = person
        rows.append({"event_id": f"e{len(truth) - 1}", "event": "view", "timestamp": when, **row})

    number = 0
    for home in range(households):
        family = range(int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])))
        people = [f"p{number + one}" for one in family]
        number += len(people)
        tablet = f"tablet-{home}" if len(people) > 1 and rng.random() < 0.66 else None
        for place, person in enumerate(people):
            user = f"user-{number - place:05d}-{person}"
            address = f"email:{person}@mail.de"
            cookies = 0
            for visit in range(int(rng.integers(6, 25))):
                when = START + pd.Timedelta(minutes=int(rng.integers(0, 180 * 24 * 60)))
                cookies += rng.random() < 0.02
                device = f"{person}-{'phone' if visit % 2 else 'laptop'}-{cookies}"
                if tablet and rng.random() < 0.15:
                    device = tablet
                login = int(rng.integers(1, 4)) if rng.random() < logged_in else 99
                for step in range(int(rng.integers(2, 8))):
                    when += pd.Timedelta(minutes=int(rng.integers(1, 4)))
                    who = user if step >= login else None
                    note(web, person, when, anonymous_id=device, user_id=who)
            if rng.random() < 0.9:
                told = str(rng.choice(JUNK)) if rng.random() < 0.05 else address
                links.append({"alias": told, "user_id": user, "timestamp": START, "kind": None})
            if rng.random() < 0.3:
                contact = f"zendesk:{number * 10 + place}"
                given = address.upper().replace("EMAIL:", "email: ")
                chance = rng.random()
                if chance < 0.05:
                    given = str(rng.choice(JUNK))
                elif chance < 0.07:
                    given = f"email:{people[0]}@mail.de"
                links.append({"alias": contact, "user_id": given, "timestamp": START, "kind": "alias"})
                for _ in range(int(rng.integers(1, 4))):
                    when = START + pd.Timedelta(minutes=int(rng.integers(0, 180 * 24 * 60)))
                    note(desk, person, when, anonymous_id=contact)
    web = [web[one] for one in rng.permutation(len(web))]
    sources = [
        Rows(web, dedupe=("event_id",), size=10_000),
        Rows(desk, name="desk", dedupe=("event_id",), links=links),
    ]
    return Simulated(sources, truth)


def pairwise(found: dict[str, str], truth: dict[str, str]) -> tuple[float, float]:
    """Of all pairs of events of one customer, how many are one person's; and the other way round."""
    frame = pd.DataFrame({"found": pd.Series(found), "person": pd.Series(truth)})

    def pairs(names):
        sizes = frame.groupby(names).size()
        return float((sizes * (sizes - 1) / 2).sum())

    both = pairs(["found", "person"])
    return both / pairs(["found"]), both / pairs(["person"])
