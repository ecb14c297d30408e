"""The synthetic story: three people, from their first visit to their rating of us."""

from __future__ import annotations

import pandas as pd
import pytest

from cjm_analytics.model import JourneyModel
from cjm_analytics.sessionizer import sessionize
from logs import events_of

MODEL = {
    "name": "lamps",
    "exclude": {"any": [{"actor": ["company", "system"]}]},
    "phase": [
        {"id": "before", "stages": ["awareness", "information_search", "consideration"]},
        {"id": "during", "stages": ["customer_service", "next_steps", "finalising"]},
        {"id": "after", "stages": ["after_sales", "use", "survey"]},
    ],
    "marker": {
        "purchase": {
            "role": "goal",
            "match": {"event": ["purchase", "Order Completed"]},
            "dedupe_on": "order_id",
            "within": "1d",
        }
    },
    "touchpoint": [
        {"id": "order_placed", "stage": "finalising", "match": {"marker": "purchase"}},
        {"id": "survey_answer", "stage": "survey", "progress": False, "match": {"source_kind": "survey"}},
        {"id": "support_contact", "progress": False, "match": {"event": "ticket_*"}, "stage": [
            {"when": {"marker": "purchase", "within": "180d"}, "stage": "after_sales"},
            {"stage": "customer_service"}]},
        {"id": "checkout", "stage": "next_steps", "match": {"event": [
            "add_to_cart", "login", "begin_checkout", "Product Added", "Signed In", "Checkout Started"]}},
        {"id": "site_search", "stage": "information_search", "match": {"path": {"re": r"^/search(\?|$)"}}},
        {"id": "product_page", "stage": "consideration", "match": {"path": "/product/*"}},
        {"id": "setup", "stage": "use", "match": {"path": "/account/*"}},
        {"id": "blog", "stage": "awareness", "match": {"path": "/blog/*"}},
    ],
    "journeys": {"inactivity": "90d"},
    "survey": [
        {"id": "csat_ticket", "instrument": "csat", "kind": "transactional", "match": {"instrument": "csat"},
         "scale": [0, 1], "positive": [1],
         "rates": {"touchpoint": "support_contact", "join_on": "ticket_id", "look_back": "14d"}},
        {"id": "nps", "instrument": "nps", "kind": "relational", "match": {"instrument": "nps"}},
    ],
}  # fmt: skip

WEB = [
    ("A", "2025-03-01 10:00", "page_view", "/blog/how-to-choose-a-lamp"),
    ("A", "2025-03-01 10:05", "page_view", "/search?q=lamp"),
    ("A", "2025-03-02 20:00", "page_view", "/product/lamp-1"),
    ("A", "2025-03-02 20:10", "add_to_cart", "/product/lamp-1"),
    ("A", "2025-03-02 20:12", "login", "/login"),
    ("A", "2025-03-02 20:13", "begin_checkout", "/checkout"),
    ("A", "2025-03-02 20:15:30.5", "purchase", "/thank-you"),
    ("A", "2025-03-09 18:00", "page_view", "/account/setup-guide"),
    ("B", "2025-03-30 23:50", "page_view", "/blog/lamps"),
    ("B", "2025-03-31 00:05", "page_view", "/product/lamp-2"),
    ("C", "2025-03-10 08:00", "page_view", "/product/lamp-2"),
    ("C", "2025-03-10 08:03", "begin_checkout", "/checkout"),
]
TICKETS = [
    ("A", "2025-03-02 20:02", "500"),
    ("A", "2025-03-07 11:00", "501"),
    ("C", "2025-03-10 08:06", "502"),
]
ANSWERS = [
    ("A", "2025-03-08 08:00", "csat", 1, "501"),
    ("C", "2025-03-11 09:00", "csat", 0, "502"),
    ("A", "2025-03-10 12:00", "nps", 9, None),
    ("C", "2025-03-12 15:00", "nps", 3, None),
]

ROAD_OF_A = [
    "awareness",
    "information_search",
    "consideration",
    "customer_service",
    "next_steps",
    "next_steps",
    "next_steps",
    "finalising",
    "after_sales",
    "survey",
    "use",
    "survey",
]
ROAD_OF_C = ["consideration", "next_steps", "customer_service", "survey", "survey"]


@pytest.fixture(scope="module")
def story():
    rows = [
        {"customer_id": who, "timestamp": when, "event": event, "path": path, "source_kind": "clickstream"}
        for who, when, event, path in WEB
    ]
    rows += [
        {"customer_id": who, "timestamp": when, "event": "ticket_created", "ticket_id": ticket,
         "source_kind": "support"}
        for who, when, ticket in TICKETS
    ]  # fmt: skip
    rows += [
        {
            "customer_id": who,
            "timestamp": when,
            "event": "answer",
            "instrument": instrument,
            "score": float(score),
            "ticket_id": ticket,
            "source_kind": "survey",
        }
        for who, when, instrument, score, ticket in ANSWERS
    ]
    return sessionize(events_of(rows), JourneyModel.from_dict(MODEL))


@pytest.fixture(scope="module")
def from_files(shared_data):
    import cjm_analytics as cjm

    folder = shared_data / "formats" / "_synthetic"
    answers = pd.DataFrame({
        "person": ["u1", "u2"], "mail": ["ada@example.com", "cem@example.com"], "score": [9, 3],
        "when": ["2025-03-10 12:00", "2025-03-12 15:00"], "what": "answer", "instrument": "nps",
    })  # fmt: skip
    events = cjm.ingest(
        [
            cjm.loaders.segment(folder / "segment" / "1740823200_segment_s3.json.gz"),
            cjm.loaders.zendesk(folder / "zendesk"),
            cjm.loaders.table(
                answers,
                customer="person",
                email="mail",
                timestamp="when",
                event="what",
                score="score",
                instrument="instrument",
                tz="UTC",
                name="surveys",
                kind="survey",
            ),
        ]
    )
    return sessionize(events, JourneyModel.from_dict(MODEL))


def road(journeys, customer):
    frame = journeys.to_frame()
    return frame[frame["customer_id"] == customer]["stage"].tolist()


def case(journeys, customer):
    cases = journeys.cases().set_index("customer_id")
    return cases.loc[customer]


def rated(journeys):
    """(instrument, score, rated stage, rated phase, link) of the given answers, in time."""
    frame = journeys.answers()
    given = frame[~frame["invite"]].sort_values("timestamp")
    columns = ["instrument", "score", "rated_stage", "rated_phase", "link"]
    return [tuple(row) for row in given[columns].itertuples(index=False)]


RATED = [
    ("csat", 1.0, "after_sales", "after", "key"),
    ("nps", 9.0, None, None, "unlinked"),
    ("csat", 0.0, "customer_service", "during", "key"),
    ("nps", 3.0, None, None, "unlinked"),
]


def test_the_road_of_the_buyer(story):
    assert road(story, "A") == ROAD_OF_A
    one = case(story, "A")
    assert (one["converted"], one["furthest_phase"], one["furthest_stage"]) == (True, "after", "use")


def test_the_road_of_the_visitor_is_open(story):
    assert road(story, "B") == ["awareness", "consideration"]
    assert (case(story, "B")["closed"], case(story, "B")["converted"]) == ("open", False)


def test_the_road_of_the_one_whose_card_was_declined(story):
    assert road(story, "C") == ROAD_OF_C
    one = case(story, "C")
    assert (one["converted"], one["furthest_phase"]) == (False, "during")


def test_ratings_count_where_the_contact_was(story):
    assert rated(story) == RATED


def test_everybody_has_one_journey_and_its_sessions(story):
    assert len(story) == story.n_customers == 3
    frame = story.to_frame()
    sessions = frame[["customer_id", "session"]].dropna().drop_duplicates()
    assert len(sessions) == 5


def test_the_files_tell_the_same_story(from_files):
    from_files.validate()
    assert road(from_files, "u1") == ROAD_OF_A
    assert road(from_files, "u2") == ROAD_OF_C
    assert rated(from_files) == RATED
    assert (case(from_files, "u2")["converted"], case(from_files, "u2")["furthest_phase"]) == (
        False,
        "during",
    )


def test_the_files_tell_of_the_invites_too(from_files):
    frame = from_files.answers()
    invites = frame[frame["invite"]]
    assert invites["rated_stage"].tolist() == ["after_sales", "customer_service"]
    assert from_files.accounting["survey invites"] == 2
    assert from_files.accounting["excluded by the model"] == 1
