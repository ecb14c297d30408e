"""People who share devices, lose cookies and mistype addresses: how far customers are the true persons."""

from __future__ import annotations

import pandas as pd
import pytest

import cjm_analytics as cjm
from households import events_of, generator, lived, pairwise, told

POPULATIONS = list(generator().POPULATIONS)
PEOPLE = 1_500


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The exports of a population and seed, made once."""
    made = {}

    def folder(population="usual", seed=1):
        if (population, seed) not in made:
            place = tmp_path_factory.mktemp("lived")
            made[population, seed] = lived(place, population, seed=seed, people=PEOPLE)
        return made[population, seed]

    return folder


@pytest.fixture(scope="module")
def found(folder_of):
    """The events of a population and seed by the rules as they are."""
    known = {}

    def events(population="usual", seed=1):
        if (population, seed) not in known:
            known[population, seed] = events_of(folder_of(population, seed))
        return known[population, seed]

    return events


@pytest.mark.parametrize(("population", "seed"), [*((one, 1) for one in POPULATIONS), ("usual", 2)])
def test_customers_are_persons_where_the_logs_hold_enough_to_tell(found, population, seed):
    events = told(found(population, seed))
    assert len(events) > 0.5 * len(found(population, seed))
    precision, recall = pairwise(events)
    assert precision >= 0.98
    assert recall >= 0.95


@pytest.mark.parametrize("population", POPULATIONS)
def test_whatever_could_be_tied_to_a_person_is(found, population):
    """Somebody who saw who sits at each device would join no more: the rest is on cookies without a login."""
    events = found(population)
    precision, reach = pairwise(events, "thread")
    assert precision == 1
    assert pairwise(events).recall >= reach - 0.01


def test_nearly_all_of_a_person_is_one_customer_where_cookies_are_kept(found):
    assert pairwise(found("cookies kept")).recall >= 0.95


def test_nobody_is_mistaken_for_another_where_nobody_shares(found):
    assert pairwise(found("living alone")).precision >= 0.999


def test_of_all_pairs_of_events_few_are_of_two_persons(found):
    assert pairwise(found("usual")).precision >= 0.95
    assert 0.8 <= pairwise(found("families")).precision < pairwise(found("usual")).precision


@pytest.mark.parametrize("population", ["usual", "families", "cookies kept"])
def test_each_rule_costs_what_it_says(folder_of, found, population):
    near, session, none, apart = (
        pairwise(events_of(folder_of(population), identity))
        for identity in (
            cjm.Identity(back_fill="near"),
            cjm.Identity(back_fill="session"),
            cjm.Identity(back_fill="none"),
            cjm.Identity(stitch=False),
        )
    )
    usual = pairwise(found(population))
    assert near.precision > usual.precision
    assert usual.recall > near.recall > session.recall > none.recall > apart.recall


def test_the_true_drop_off_lies_between_that_of_known_people_and_that_of_all(folder_of, root):
    folder = folder_of("usual")
    orders = cjm.loaders.table(
        folder / "orders.csv", customer="customer_id", kind="order", melt={"ordered_at": "order_placed"}
    )
    sources = [
        cjm.loaders.segment(folder / "clickstream.jsonl.gz"),
        cjm.loaders.zendesk(folder / "crm"),
        orders,
    ]
    journeys = cjm.sessionize(
        cjm.ingest(sources), cjm.JourneyModel.read(root / "data" / "samples" / "journey.toml")
    )
    known = journeys.select(where={"person": "known"})
    table = pd.concat(
        {"all": cjm.drop_off(journeys).to_frame(), "known": cjm.drop_off(known).to_frame()}, names=["people"]
    )
    drop_off = table.reset_index().set_index(["people", "phase"])["drop_off"]
    truth = pd.read_csv(folder / "truth" / "drop_off.csv").set_index(["of", "name"])["drop_off"]["phase"]
    assert len(truth) == 2
    for phase, true in truth.items():
        assert drop_off["known", phase] < true < drop_off["all", phase]


def test_without_any_protection_strangers_become_one(folder_of):
    everybody = dict.fromkeys(["user", "email", "zendesk"], 10_000)
    blind = cjm.Identity(limits=everybody, max_partners=10_000, placeholders=False, largest=None)
    merged = told(events_of(folder_of("junk addresses"), blind))
    assert pairwise(merged).precision < 0.9


def test_the_same_seed_gives_the_same_people(folder_of, tmp_path):
    again = lived(tmp_path, people=PEOPLE)
    for path in folder_of().rglob("*.*"):
        assert (again / path.relative_to(folder_of())).read_bytes() == path.read_bytes(), path.name
