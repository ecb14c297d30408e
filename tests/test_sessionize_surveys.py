"""What survey answers and invites rate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.satisfaction import satisfaction
from cjm_analytics.journeys import LINKS
from cjm_analytics.model import JourneyModel
from cjm_analytics.sessionizer import sessionize
from logs import MINUTE, events_of

DAY = 24 * 60
HOUR = 60

PHASES = [
    {"id": "before", "stages": ["looking"]},
    {"id": "during", "stages": ["asking"]},
    {"id": "after", "stages": ["after_sales", "survey"]},
]
TOUCHPOINTS = [
    {"id": "answer", "stage": "survey", "progress": False, "match": {"instrument": {"exists": True}}},
    {"id": "support", "progress": False, "match": {"event": "ticket"}, "stage": [
        {"when": {"marker": "purchase"}, "stage": "after_sales"}, {"stage": "asking"}]},
    {"id": "page", "stage": "looking", "match": {"event": "page"}},
]  # fmt: skip


def model_with(**rates):
    """A model with a CSAT survey of support contacts, and a relational NPS."""
    survey = {"id": "csat", "instrument": "csat", "kind": "transactional", "match": {"instrument": "csat"},
              "scale": [1, 5], "positive": [4, 5], "rates": {"touchpoint": "support", **rates}}  # fmt: skip
    nps = {"id": "nps", "instrument": "nps", "kind": "relational", "match": {"instrument": "nps"}}
    return JourneyModel.from_dict({
        "phase": PHASES, "touchpoint": TOUCHPOINTS, "survey": [survey, nps],
        "marker": {"purchase": {"role": "goal", "match": {"event": "purchase"}}},
    })  # fmt: skip


BOTH = {"join_on": "ticket_id", "look_back": "14d"}


def ticket(minute, ticket_id=None, **more):
    return {"timestamp": minute, "event": "ticket", "ticket_id": ticket_id} | more


def csat(minute, ticket_id=None, score=5.0, **more):
    return {
        "timestamp": minute,
        "event": "rating",
        "instrument": "csat",
        "score": score,
        "ticket_id": ticket_id,
        "source_kind": "survey",
        **more,
    }


def invite(minute, ticket_id=None, instrument="csat", **more):
    return {
        "timestamp": minute,
        "event": "survey_invite",
        "instrument": instrument,
        "ticket_id": ticket_id,
        **more,
    }


def answers(rows, model, **options):
    return sessionize(events_of(rows, **options), model).answers()


def links(rows, model):
    """(link, minute of the rated contact, invite) per answer or invite."""
    return [
        (
            one.link,
            None if pd.isna(one.lag) else round((one.timestamp - one.lag).timestamp() / 60),
            one.invite,
        )
        for one in answers(rows, model).itertuples()
    ]


def test_an_answer_rates_the_contact_with_its_key():
    rows = [ticket(0, "1"), ticket(5, "2"), csat(10, "1")]
    assert links(rows, model_with(**BOTH)) == [("key", 0, False)]


def test_of_several_contacts_with_the_key_the_first_because_a_ticket_is_rated_as_it_was_opened():
    rows = [ticket(0, "1"), ticket(5, "1"), csat(10, "1"), ticket(11, "1")]
    assert links(rows, model_with(**BOTH)) == [("key", 0, False)]


def test_of_several_touchpoints_the_one_met_last_before_the_answer():
    road = ["bought", "sent", "arrived"]
    rating = {
        "id": "csat",
        "instrument": "csat",
        "kind": "transactional",
        "scale": [1, 5],
        "positive": [4, 5],
    }
    rates = {"touchpoint": road, "join_on": "ticket_id"}
    model = JourneyModel.from_dict({
        "schema": "cjm/1",
        "name": "parcels",
        "phase": [{"id": "road", "title": "Road", "stages": [f"{name}_stage" for name in road]}],
        "touchpoint": [{"id": name, "stage": f"{name}_stage", "match": {"event": name}} for name in road],
        "survey": [rating | {"match": {"instrument": "csat"}, "rates": rates}],
    })  # fmt: skip
    parcel = [ticket(minute, "1", event=event) for minute, event in zip((0, 5, 20), road, strict=True)]
    assert links([*parcel, csat(10, "1")], model) == [("key", 5, False)]


def test_a_contact_with_the_key_may_come_after_the_answer():
    rows = [csat(10, "1"), ticket(11, "1"), ticket(12, "1")]
    assert links(rows, model_with(**BOTH)) == [("key", 11, False)]


def test_a_key_reaches_farther_than_the_look_back():
    rows = [ticket(0, "1"), csat(20 * DAY, "1")]
    assert links(rows, model_with(**BOTH)) == [("key", 0, False)]


def test_without_a_key_the_last_contact_within_the_look_back():
    rows = [ticket(0), ticket(2 * HOUR), csat(4 * HOUR)]
    assert links(rows, model_with(look_back="1d")) == [("look_back", 2 * HOUR, False)]


def test_or_the_first():
    rows = [ticket(0), ticket(2 * HOUR), csat(4 * HOUR)]
    assert links(rows, model_with(look_back="1d", pick="first")) == [("look_back", 0, False)]


def test_a_contact_exactly_as_long_ago_as_the_look_back_counts():
    assert links([ticket(0), csat(DAY)], model_with(look_back="1d")) == [("look_back", 0, False)]
    assert links([ticket(0), csat(DAY + 1)], model_with(look_back="1d")) == [("unlinked", None, False)]


def test_a_contact_after_the_answer_is_not_what_it_looks_back_on():
    assert links([csat(0), ticket(1)], model_with(look_back="1d")) == [("unlinked", None, False)]


def test_an_unknown_key_falls_back_on_the_look_back_if_there_is_one():
    rows = [ticket(0, "1"), csat(10, "9")]
    assert links(rows, model_with(**BOTH)) == [("look_back", 0, False)]
    assert links(rows, model_with(join_on="ticket_id")) == [("unlinked", None, False)]


def test_a_key_of_another_customer_is_another_key():
    rows = [ticket(0, "1", customer_id="b"), csat(10, "1")]
    assert links(rows, model_with(join_on="ticket_id")) == [("unlinked", None, False)]


def test_two_contacts_within_an_hour_are_in_doubt():
    assert links([ticket(0), ticket(60), csat(70)], model_with(look_back="1d")) == [("ambiguous", 60, False)]
    assert links([ticket(0), ticket(61), csat(70)], model_with(look_back="1d")) == [("look_back", 61, False)]


def test_two_contacts_of_one_ticket_are_not_in_doubt():
    rows = [ticket(0, "1"), ticket(30, "1"), csat(70)]
    assert links(rows, model_with(**BOTH)) == [("look_back", 30, False)]


def test_a_third_contact_behind_them_is():
    rows = [ticket(0, "2"), ticket(10, "1"), ticket(30, "1"), csat(70)]
    assert links(rows, model_with(**BOTH)) == [("ambiguous", 30, False)]


def test_a_contact_has_one_answer_per_survey_and_the_latest_counts():
    rows = [ticket(0, "1"), csat(10, "1", score=1.0), csat(20, "1", score=5.0)]
    journeys = sessionize(events_of(rows), model_with(**BOTH))
    assert journeys.answers()["score"].tolist() == [5.0]
    assert journeys.n_events == 3
    assert journeys.accounting["superseded answers"] == 1


def test_two_unlinked_answers_are_two_answers():
    assert len(answers([csat(0), csat(1)], model_with(look_back="1d"))) == 2


def test_a_score_off_the_scale_is_no_answer_but_its_event_stays():
    rows = [ticket(0, "1"), csat(10, "1", score=9.0)]
    journeys = sessionize(events_of(rows), model_with(**BOTH))
    assert journeys.answers().empty
    assert journeys.n_events == 2
    assert journeys.accounting["answers off their scale"] == 1


def test_a_score_given_on_another_scale_is_no_answer_wherever_it_lies():
    best_of_two = csat(10, "1", score=1.0, score_min=0.0, score_max=1.0)
    journeys = sessionize(events_of([ticket(0, "1"), best_of_two]), model_with(**BOTH))
    assert journeys.answers().empty
    assert journeys.accounting["answers off their scale"] == 1


def test_the_standard_model_reads_good_and_bad_beside_one_to_five():
    rows = [
        ticket(0, "1"), csat(10, "1", score=1.0, score_min=0.0, score_max=1.0),
        ticket(20, "2"), csat(30, "2", score=5.0),
    ]  # fmt: skip
    journeys = sessionize(events_of(rows), JourneyModel.standard())
    assert journeys.answers()[["survey", "score"]].to_numpy().tolist() == [
        ["csat_good_or_bad", 1.0],
        ["csat", 5.0],
    ]


def test_without_a_scale_in_the_model_the_event_s_own_counts():
    rows = [
        {
            "timestamp": 0,
            "event": "x",
            "instrument": "stars",
            "score": 6.0,
            "score_min": 1.0,
            "score_max": 5.0,
        }
    ]
    journeys = sessionize(events_of(rows), model_with(**BOTH))
    assert journeys.accounting["answers off their scale"] == 1


def test_an_event_of_a_survey_without_a_score_is_no_answer():
    assert answers([csat(0, score=None)], model_with(**BOTH)).empty


def test_a_relational_answer_rates_no_contact():
    rows = [ticket(0, "1"), {"timestamp": 5, "event": "x", "instrument": "nps", "score": 9.0}]
    (one,) = answers(rows, model_with(**BOTH)).to_dict("records")
    assert (one["survey"], one["link"], one["rated_phase"], one["lag"]) == ("nps", "unlinked", None, pd.NaT)


def test_an_answer_is_told_with_the_phase_and_channel_that_it_rates():
    rows = [
        {"timestamp": 0, "event": "purchase"},
        ticket(1, "1", channel="chat"),
        csat(5, "1", channel="email"),
    ]
    (one,) = answers(rows, model_with(**BOTH)).to_dict("records")
    assert (one["rated_touchpoint"], one["rated_stage"], one["rated_phase"], one["rated_channel"]) == (
        "support", "after_sales", "after", "chat")  # fmt: skip


def test_the_event_frame_tells_it_too():
    rows = [ticket(0, "1"), csat(5, "1")]
    frame = sessionize(events_of(rows), model_with(**BOTH)).to_frame()
    assert frame["rated_stage"].tolist() == [None, "asking"]


def test_an_answer_rates_across_journeys():
    model = model_with(**BOTH)
    rows = [ticket(0, "1"), {"timestamp": 1, "event": "purchase"}, csat(5, "1")]
    assert links(rows, model) == [("key", 0, False)]


# ── invites ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_invite_is_no_contact_of_the_journey():
    journeys = sessionize(events_of([ticket(0, "1"), invite(5, "1")]), model_with(**BOTH))
    assert journeys.to_frame()["event"].tolist() == ["ticket"]
    assert journeys.accounting["survey invites"] == 1


@pytest.mark.parametrize(("exclude", "n"), [({"actor": "company"}, 1), ({"source": "old"}, 0)])
def test_an_invite_is_excluded_as_its_answer_would_be(exclude, n):
    spec = {**model_with(**BOTH).to_dict(), "exclude": exclude}
    rows = [ticket(0, "1"), invite(5, "1", actor="company", source="old")]
    assert len(answers(rows, JourneyModel.from_dict(spec))) == n


def test_an_unanswered_invite_is_linked_by_itself():
    rows = [ticket(0, "1"), invite(5, "1")]
    assert links(rows, model_with(**BOTH)) == [("key", 0, True)]


def test_an_answered_invite_rates_what_its_answer_rates():
    rows = [ticket(0, "1"), invite(5), ticket(2 * DAY, "2"), csat(2 * DAY + 1, "2")]
    assert links(rows, model_with(**BOTH)) == [("key", 2 * DAY, True), ("key", 2 * DAY, False)]


def test_an_answer_looks_back_from_its_invite():
    rows = [ticket(0), invite(5), ticket(2 * DAY), csat(2 * DAY + 1)]
    assert links(rows, model_with(look_back="14d")) == [("look_back", 0, True), ("look_back", 0, False)]


def test_a_reminder_is_no_second_invite():
    rows = [ticket(0, "1"), invite(5, "1"), invite(6, "1")]
    assert len(links(rows, model_with(**BOTH))) == 1


def test_invites_of_customers_without_a_journey_belong_to_none():
    rows = [
        ticket(0),
        {"timestamp": 1, "event": "page", "customer_id": "d"},
        *(invite(5, "1", customer_id=one) for one in "bc"),
    ]
    journeys = sessionize(events_of(rows), model_with(**BOTH))
    journeys.validate()
    found = journeys.answers()
    assert found[["customer_id", "journey", "rated_touchpoint"]].isna().all(axis=None)
    assert found["invite"].tolist() == [True, True]
    assert journeys.n_customers == 2
    assert journeys.accounting["survey invites"] == 2
    assert journeys.select(containing="support").answers().empty


def test_who_was_asked_and_never_seen_counts_in_the_response_rate():
    asked = [invite(5, customer_id=customer, instrument="nps") for customer in "abcd"]
    rows = [*asked, csat(9, customer_id="b", instrument="nps", score=9)]
    frame = satisfaction(sessionize(events_of(rows)), by=None).to_frame(suppress=False)
    assert frame[["instrument", "n", "response_rate"]].values.tolist() == [["nps", 1, 0.25]]


def test_an_invite_falls_into_the_last_journey_that_had_begun():
    rows = [ticket(0), invite(5), invite(-5)]
    frame = answers(rows, model_with(look_back="1d"))
    assert frame["journey"].isna().tolist() == [True, False]


def test_without_a_model_answers_and_invites_are_listed_and_rate_nothing():
    rows = [ticket(0, "1"), invite(5, "1"), csat(10, "1")]
    frame = sessionize(events_of(rows)).answers()
    assert frame["invite"].tolist() == [True, False]
    assert frame["instrument"].tolist() == ["csat", "csat"]
    assert frame["survey"].tolist() == [None, None]
    assert frame["link"].tolist() == ["unlinked", "unlinked"]


# ── the plain loop ───────────────────────────────────────────────────────────────────────────────────────


def slow_link(answer, contacts, *, join_on, look_back, pick, at):
    """What one answer rates: (link, contact)."""
    key = answer["ticket_id"]
    same = [one for one in contacts if join_on and key is not None and one["ticket_id"] == key]
    if same:
        return "key", same[0]["timestamp"]
    if look_back is None:
        return "unlinked", None
    possible = [one for one in contacts if 0 <= at - one["timestamp"] <= look_back]
    if not possible:
        return "unlinked", None
    chosen = possible[-1] if pick == "last" else possible[0]
    rivals = [
        one
        for one in possible
        if one is not chosen
        and abs(one["timestamp"] - chosen["timestamp"]) <= HOUR
        and (not join_on or one["ticket_id"] is None or one["ticket_id"] != chosen["ticket_id"])
    ]
    return ("ambiguous" if rivals else "look_back"), chosen["timestamp"]


@pytest.mark.parametrize("join_on", [None, "ticket_id"])
@pytest.mark.parametrize("pick", ["last", "first"])
def test_links_equal_a_plain_loop_on_random_logs(join_on, pick):
    rng = np.random.default_rng(5)
    for _ in range(20):
        look_back = int(rng.integers(30, 300))
        if join_on and rng.random() < 0.3:
            look_back = None
        rates = {"pick": pick, **({"join_on": join_on} if join_on else {})}
        model = model_with(**rates, **({"look_back": f"{look_back}m"} if look_back is not None else {}))
        rows = []
        for who in "abcdef":
            minutes = np.sort(rng.choice(600, rng.integers(1, 14), replace=False))
            for minute in minutes:
                key = str(rng.choice(["1", "2", "3", "4"])) if rng.random() < 0.6 else None
                make = ticket if rng.random() < 0.6 else csat
                rows.append(make(int(minute), key, customer_id=who))
        found = [
            (one.customer_id, one.timestamp.timestamp() // 60, one.link,
             None if pd.isna(one.lag) else (one.timestamp - one.lag).timestamp() // 60)
            for one in answers(rows, model, n_partitions=2).itertuples()
        ]  # fmt: skip
        expected = {}
        for row in sorted(rows, key=lambda one: (one["customer_id"], one["timestamp"])):
            if row["event"] != "rating":
                continue
            contacts = [
                one for one in rows if one["customer_id"] == row["customer_id"] and one["event"] == "ticket"
            ]
            link, at = slow_link(
                row, contacts, join_on=join_on, look_back=look_back, pick=pick, at=row["timestamp"]
            )
            by_key = ("key", row["ticket_id"]) if link == "key" else ("event", at)
            moment = (row["customer_id"], *(by_key if link != "unlinked" else ("none", row["timestamp"])))
            expected[moment] = (row["customer_id"], row["timestamp"], link, at)
        assert found == sorted(expected.values(), key=lambda one: (one[0], one[1]))


def test_links_are_named_as_the_store_names_them():
    from cjm_analytics import surveys

    codes = (surveys.UNLINKED, surveys.BY_KEY, surveys.BY_TIME, surveys.IN_DOUBT)
    assert [LINKS[code] for code in codes] == ["unlinked", "key", "look_back", "ambiguous"]
    assert surveys.NEAR == HOUR * MINUTE
