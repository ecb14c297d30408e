"""The state machine's edge cases, one each, on a model like that of a web shop."""

from __future__ import annotations

import tomllib

import pandas as pd
import pytest

from cjm_analytics.errors import InputError, ModelError, StoreError
from cjm_analytics.model import JourneyModel
from cjm_analytics.sessionizer import sessionize
from logs import events_of

DAY = 24 * 60
"""Minutes."""

TEXT = r"""
name = "shop"
timezone = "Europe/Berlin"
exclude.any = [{ actor = "system" }, { event = "page_ping" }]

[[phase]]
id = "before"
stages = ["awareness", "information_search", "consideration"]
horizon = "30d"
[[phase]]
id = "during"
stages = ["customer_service", "next_steps", "finalising"]
[[phase]]
id = "after"
stages = ["after_sales", "use", "survey"]

[marker.purchase]
role = "goal"
match = { event = ["purchase", "order_created"] }
dedupe_on = "order_id"
within = "1d"
prefer = ["shopify", "web"]

[marker.refund]
role = "reversal"
of = "purchase"
match = { event = "refund*" }

[[touchpoint]]
id = "order_placed"
stage = "finalising"
match = { marker = "purchase" }
[[touchpoint]]
id = "refund"
stage = "after_sales"
progress = false
match = { marker = "refund" }
[[touchpoint]]
id = "survey_answer"
stage = "survey"
progress = false
match = { instrument = { exists = true } }
[[touchpoint]]
id = "support_contact"
progress = false
match = { event = "ticket_*" }
stage = [
  { when = { marker = "purchase", within = "180d" }, stage = "after_sales" },
  { stage = "customer_service" },
]
[[touchpoint]]
id = "search"
stage = "information_search"
match = { path = { re = '^/search(\?|$)' } }
[[touchpoint]]
id = "product_page"
stage = "consideration"
match = { path = "/product/*" }
[[touchpoint]]
id = "blog"
stage = "awareness"
match = { path = "/blog/*" }
[[touchpoint]]
id = "cart"
stage = "next_steps"
match = { event = ["add_to_cart", "begin_checkout"] }
[[touchpoint]]
id = "setup"
stage = "use"
match = { path = "/account/*" }

[journeys]
inactivity = "90d"
new_cycle.after = "purchase"
new_cycle.on_stage = ["awareness", "information_search", "consideration"]
new_cycle.min_gap = "14d"
end = { event = "account_closed" }

[[survey]]
id = "csat_ticket"
instrument = "csat"
kind = "transactional"
match = { instrument = "csat" }
positive = [4, 5]
scale = [1, 5]
rates = { touchpoint = "support_contact", join_on = "ticket_id", look_back = "14d", pick = "last" }

[[survey]]
id = "nps"
instrument = "nps"
kind = "relational"
match = { instrument = "nps" }
"""


def shop(**changes):
    """The model, with tables of it replaced."""
    spec = tomllib.loads(TEXT)
    for name, value in changes.items():
        spec[name] = {**spec[name], **value} if isinstance(value, dict) and name in spec else value
    return JourneyModel.from_dict(spec)


def without(table, key):
    spec = tomllib.loads(TEXT)
    del spec[table][key]
    return JourneyModel.from_dict(spec)


def page(minute, path, **columns):
    return {"timestamp": minute, "event": "page_view", "path": path, **columns}


def did(minute, event, **columns):
    return {"timestamp": minute, "event": event, **columns}


def answer(minute, instrument, score, **columns):
    return {
        "timestamp": minute,
        "event": f"{instrument}_answer",
        "instrument": instrument,
        "score": float(score),
        "source": "surveys",
        "source_kind": "survey",
        **columns,
    }


def journeys_of_one(rows, model=None, **options):
    return sessionize(events_of(rows, **options), model if model is not None else shop())


def told(rows, model=None):
    """(journey, touchpoint, stage) of each event."""
    frame = journeys_of_one(rows, model).to_frame()
    return [tuple(row) for row in frame[["journey", "touchpoint", "stage"]].itertuples(index=False)]


def stages(rows, model=None):
    return [stage for _, _, stage in told(rows, model)]


def case(rows, model=None, **options):
    """The one journey of the rows."""
    (one,) = journeys_of_one(rows, model, **options).cases().to_dict("records")
    return one


# ── stages by state ──────────────────────────────────────────────────────────────────────────────────────


def test_support_before_any_purchase_is_customer_service():
    assert stages([did(0, "ticket_created"), did(1, "purchase")]) == ["customer_service", "finalising"]


def test_support_after_a_purchase_is_after_sales():
    assert stages([did(0, "purchase"), did(1, "ticket_created")]) == ["finalising", "after_sales"]


def test_support_180_days_after_the_purchase_is_still_after_sales():
    model = without("journeys", "inactivity")
    assert stages([did(0, "purchase"), did(180 * DAY, "ticket_created")], model)[1] == "after_sales"


def test_support_181_days_after_the_purchase_is_customer_service():
    model = without("journeys", "inactivity")
    assert stages([did(0, "purchase"), did(181 * DAY, "ticket_created")], model)[1] == "customer_service"


def test_purchase_and_support_at_the_same_time_count_as_in_their_order():
    assert stages([did(0, "purchase"), did(0, "ticket_created")])[1] == "after_sales"
    assert stages([did(0, "ticket_created"), did(0, "purchase")])[0] == "customer_service"


def test_a_purchase_can_be_the_first_event():
    one = case([did(0, "purchase")])
    assert (one["converted"], one["furthest_stage"], one["goal_time"]) == (True, "finalising", one["start"])


def test_support_and_surveys_are_no_progress():
    one = case([page(0, "/product/1"), did(1, "ticket_created"), answer(2, "nps", 9)])
    assert (one["furthest_phase"], one["furthest_stage"]) == ("before", "consideration")


def test_a_journey_without_progress_has_no_furthest_phase():
    one = case([did(0, "ticket_created")])
    assert (one["furthest_phase"], one["furthest_stage"]) == (None, None)


def test_a_condition_can_ask_for_a_phase_that_was_reached():
    touchpoints = [
        {"id": "cart", "stage": "next_steps", "match": {"event": "add_to_cart"}},
        {"id": "page", "match": {"event": "page_view"}, "stage": [
            {"when": {"phase_reached": "during"}, "stage": "use"}, {"stage": "consideration"}]},
    ]  # fmt: skip
    model = JourneyModel.from_dict({
        "phase": [{"id": "before", "stages": ["consideration"]}, {"id": "during", "stages": ["next_steps"]},
                  {"id": "after", "stages": ["use"]}],
        "touchpoint": touchpoints,
    })  # fmt: skip
    rows = [did(0, "page_view"), did(1, "add_to_cart"), did(2, "page_view")]
    assert stages(rows, model) == ["consideration", "next_steps", "use"]


# ── where journeys begin and end ─────────────────────────────────────────────────────────────────────────


def test_silence_of_exactly_the_limit_keeps_a_journey():
    assert [number for number, *_ in told([page(0, "/blog/1"), page(90 * DAY, "/blog/1")])] == [0, 0]


def test_longer_silence_closes_it_and_starts_the_next():
    rows = [page(0, "/blog/1"), page(90 * DAY + 1, "/blog/1")]
    first, second = journeys_of_one(rows).cases().to_dict("records")
    assert (first["closed"], second["closed"]) == ("inactive", "open")
    assert first["closed_at"] == first["end"] + pd.Timedelta(days=90)
    assert second["closed_at"] is pd.NaT


def test_an_open_journey_at_the_end_of_the_data_stays_open():
    assert case([page(0, "/blog/1"), page(1, "/blog/2")])["closed"] == "open"


def test_silence_until_the_end_of_the_data_closes_a_journey():
    rows = [page(0, "/blog/1"), {**page(91 * DAY, "/blog/1"), "customer_id": "b"}]
    silent, fresh = journeys_of_one(rows).cases().to_dict("records")
    assert (silent["closed"], silent["closed_at"]) == ("inactive", silent["end"] + pd.Timedelta(days=90))
    assert fresh["closed"] == "open"


def test_silence_is_measured_where_contacts_are_recorded_not_where_surveys_are():
    rows = [page(0, "/blog/1", source="web"), {**answer(91 * DAY, "nps", 9), "customer_id": "b"}]
    assert journeys_of_one(rows).cases()["closed"].tolist() == ["open", "open"]


def test_looking_again_long_after_the_purchase_starts_a_new_cycle():
    rows = [page(0, "/product/1"), did(1, "purchase"), page(1 + 14 * DAY, "/product/2")]
    assert [number for number, *_ in told(rows)] == [0, 0, 1]
    first = journeys_of_one(rows).cases().iloc[0]
    assert (first["closed"], first["closed_at"]) == (
        "new cycle",
        pd.Timestamp(1 + 14 * DAY, unit="m", tz="UTC"),
    )


def test_looking_again_soon_after_the_purchase_starts_none():
    rows = [did(0, "purchase"), page(14 * DAY - 1, "/product/2")]
    assert [number for number, *_ in told(rows)] == [0, 0]


def test_looking_again_without_a_purchase_starts_none():
    rows = [page(0, "/product/1"), page(20 * DAY, "/product/2")]
    assert [number for number, *_ in told(rows)] == [0, 0]


def test_surveys_after_sales_and_use_never_start_a_cycle():
    rows = [did(0, "purchase"), answer(20 * DAY, "nps", 9), did(40 * DAY, "ticket_created"),
            page(60 * DAY, "/account/a")]  # fmt: skip
    assert [number for number, *_ in told(rows)] == [0, 0, 0, 0]


def test_a_survey_starts_no_cycle_even_where_its_stage_would():
    model = shop(journeys={"new_cycle": {"after": "purchase", "on_stage": ["survey"], "min_gap": "14d"}})
    assert [number for number, *_ in told([did(0, "purchase"), answer(20 * DAY, "nps", 9)], model)] == [0, 0]


def test_a_new_cycle_begins_with_a_fresh_state():
    rows = [did(0, "purchase"), page(20 * DAY, "/blog/1"), did(21 * DAY, "ticket_created")]
    assert told(rows)[2] == (1, "support_contact", "customer_service")


def test_an_explicit_end_closes_a_journey_and_what_follows_starts_one():
    rows = [page(0, "/blog/1"), did(1, "account_closed"), page(2, "/blog/1")]
    assert told(rows) == [(0, "blog", "awareness"), (0, "account_closed", None), (1, "blog", "awareness")]
    first, second = journeys_of_one(rows).cases().to_dict("records")
    assert (first["closed"], first["closed_at"], second["closed"]) == ("left", first["end"], "open")


def test_an_exit_survey_belongs_to_the_journey_that_was_ended():
    rows = [page(0, "/blog/1"), did(1, "account_closed"), answer(2, "nps", 0)]
    (one,) = journeys_of_one(rows).cases().to_dict("records")
    assert (one["events"], one["closed"]) == (3, "left")


@pytest.mark.filterwarnings("ignore::cjm_analytics.errors.ModelWarning")
def test_a_survey_after_the_close_belongs_to_the_closed_journey_within_its_look_back():
    model = shop(
        journeys={"inactivity": "20d"},
        survey=[
            {
                "id": "s",
                "instrument": "csat",
                "kind": "transactional",
                "match": {"instrument": "csat"},
                "scale": [1, 5],
                "positive": [5],
                "rates": {"touchpoint": "support_contact", "look_back": "30d"},
            }
        ],
    )
    rows = [did(0, "ticket_created"), answer(25 * DAY, "csat", 5)]
    first = case(rows, model)
    assert (first["events"], first["closed"]) == (2, "inactive")
    assert first["closed_at"] == first["start"] + pd.Timedelta(days=20)


def test_a_survey_after_its_look_back_is_a_journey_by_itself():
    rows = [did(0, "ticket_created"), answer(100 * DAY, "csat", 5)]
    assert [number for number, *_ in told(rows)] == [0, 1]


def test_a_relational_survey_belongs_to_the_last_journey_however_late_it_comes():
    rows = [did(0, "purchase"), answer(200 * DAY, "nps", 9), page(201 * DAY, "/blog/1")]
    assert [number for number, *_ in told(rows)] == [0, 0, 1]


def test_a_survey_without_any_earlier_journey_starts_one():
    assert told([answer(0, "nps", 9)]) == [(0, "survey_answer", "survey")]


def test_a_customer_without_any_match_keeps_the_names_of_the_events():
    journeys = journeys_of_one([did(0, "zoom"), did(1, "pan")])
    frame = journeys.to_frame()
    assert frame["touchpoint"].tolist() == ["zoom", "pan"]
    assert frame["phase"].tolist() == [None, None]
    assert journeys.accounting["unassigned"] == 2


# ── moments that several systems tell ────────────────────────────────────────────────────────────────────


def test_two_purchases_within_a_minute_with_one_order_id_are_one():
    rows = [
        did(0, "purchase", order_id="1", source="web"),
        did(1, "order_created", order_id="1", source="shopify"),
    ]
    journeys = journeys_of_one(rows)
    assert journeys.to_frame()["event"].tolist() == ["order_created"]
    assert journeys.accounting["merged duplicates"] == 1


def test_of_equally_preferred_sources_the_earliest_row_stays():
    rows = [did(0, "purchase", order_id="1", source="x"), did(1, "purchase", order_id="1", source="y")]
    assert journeys_of_one(rows).to_frame()["event_id"].tolist() == ["e000000"]


def test_a_source_that_is_preferred_to_none_yields_to_one_that_is():
    rows = [did(0, "purchase", order_id="1", source="x"), did(1, "purchase", order_id="1", source="web")]
    assert journeys_of_one(rows).to_frame()["event_id"].tolist() == ["e000001"]


def test_without_a_key_nothing_is_merged():
    assert case([did(0, "purchase"), did(0, "purchase")])["events"] == 2


def test_the_same_key_after_the_time_is_another_moment():
    assert case([did(0, "purchase", order_id="1"), did(DAY + 1, "purchase", order_id="1")])["events"] == 2


def test_the_same_key_of_two_customers_is_two_moments():
    rows = [did(0, "purchase", order_id="1"), {**did(0, "purchase", order_id="1"), "customer_id": "b"}]
    assert journeys_of_one(rows).n_events == 2


def test_a_refund_of_the_only_purchase_marks_the_journey():
    one = case([did(0, "purchase"), did(1, "refund_created")])
    assert (one["goal_reversed"], one["converted"]) == (True, True)


def test_a_refund_of_one_of_two_purchases_does_not():
    assert not case([did(0, "purchase"), did(1, "purchase"), did(2, "refund_created")])["goal_reversed"]


def test_a_purchase_after_the_refund_stands():
    assert not case([did(0, "purchase"), did(1, "refund_created"), did(2, "purchase")])["goal_reversed"]


def test_a_refund_takes_back_the_purchase_of_its_order():
    rows = [
        did(0, "purchase", order_id="1"),
        page(20 * DAY, "/blog/1"),
        did(21 * DAY, "purchase", order_id="2"),
        did(22 * DAY, "refund_created", order_id="1"),
    ]
    assert journeys_of_one(rows).cases()["goal_reversed"].tolist() == [True, False]
    again = [*rows, did(30 * DAY, "refund_created", order_id="1")]  # the rest of the money: nothing is left
    assert journeys_of_one(again).cases()["goal_reversed"].tolist() == [True, False]
    other = [*rows, did(30 * DAY, "refund_created", order_id="7")]  # an order that nobody saw
    assert journeys_of_one(other).cases()["goal_reversed"].tolist() == [True, True]


def test_a_refund_in_the_next_cycle_marks_the_journey_of_the_purchase():
    rows = [did(0, "purchase"), page(20 * DAY, "/blog/1"), did(21 * DAY, "refund_created")]
    assert journeys_of_one(rows).cases()["goal_reversed"].tolist() == [True, False]


# ── what is left out ─────────────────────────────────────────────────────────────────────────────────────


def test_excluded_events_are_skipped_and_counted():
    rows = [page(0, "/blog/1"), did(50 * DAY, "page_ping"), did(51 * DAY, "x", actor="system"),
            page(100 * DAY, "/blog/1")]  # fmt: skip
    journeys = journeys_of_one(rows)
    assert len(journeys) == 2
    assert journeys.accounting["excluded by the model"] == 2


@pytest.mark.parametrize("model", [None, "shop"])
def test_bots_and_tests_are_left_out_unless_asked_for(model):
    rows = [page(0, "/blog/1"), page(1, "/blog/1", is_bot=True), page(2, "/blog/1", is_test=True)]
    events, model = events_of(rows), shop() if model else None
    accounting = sessionize(events, model).accounting
    assert (accounting["bots"], accounting["tests"]) == (1, 1)
    assert sessionize(events, model, include_bots=True).n_events == 3


def test_unmatched_events_can_be_dropped_and_are_counted():
    rows = [page(0, "/blog/1"), did(1, "zoom"), did(2, "account_closed")]
    journeys = journeys_of_one(rows, shop(unmatched="drop"))
    assert journeys.to_frame()["event"].tolist() == ["page_view", "account_closed"]
    assert journeys.accounting["unmatched and dropped"] == 1


def test_unmatched_events_can_be_an_error_that_lists_them():
    rows = [page(0, "/blog/1"), did(1, "zoom"), did(2, "zoom"), did(3, "pan")]
    with pytest.raises(ModelError, match=r"3 events fit no rule.*zoom \(2\), pan \(1\)") as caught:
        journeys_of_one(rows, shop(unmatched="error"))
    assert caught.value.failures["event"].tolist() == ["zoom", "pan"]


def test_no_error_where_every_event_fits():
    assert case([page(0, "/blog/1"), did(1, "account_closed")], shop(unmatched="error"))["events"] == 2


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_people_of_an_account_share_one_journey():
    rows = [page(0, "/blog/1", customer_id="ann", account_id="acme"),
            page(1, "/product/1", customer_id="bob", account_id="acme"),
            did(2, "purchase", customer_id="ann", account_id="acme"),
            did(3, "ticket_created", customer_id="bob", account_id="acme"),
            page(0, "/blog/1", customer_id="eve")]  # fmt: skip
    for n_partitions in (1, 3):
        journeys = journeys_of_one(rows, shop(journeys={"unit": "account"}), n_partitions=n_partitions)
        journeys.validate()
        frame = journeys.to_frame()
        assert frame["customer_id"].tolist() == ["acme"] * 4 + ["eve"]
        assert frame["stage"].tolist()[:4] == ["awareness", "consideration", "finalising", "after_sales"]
        assert journeys.partitions[0].table(["person_id"]).column(0).to_pylist()[:2] == ["ann", "bob"]


def test_a_customer_named_like_an_account_is_not_mixed_up_with_it():
    rows = [page(0, "/blog/1", customer_id="ann", account_id="1"), page(1, "/blog/1", customer_id="1")]
    journeys = journeys_of_one(rows, shop(journeys={"unit": "account"}))
    assert journeys.cases()["customer_id"].tolist() == ["1", "customer:1"]


# ── began before the data did ────────────────────────────────────────────────────────────────────────────


def starting_with(event, day):
    """Customer b starts in the first phase on day 0, customer a with `event` on `day`."""
    rows = [page(0, "/blog/1", customer_id="b"), {**event, "timestamp": day * DAY, "customer_id": "a"}]
    return journeys_of_one(rows).cases().set_index("customer_id")["truncated"].to_dict()


def test_a_journey_that_starts_late_on_the_road_and_early_in_the_data_is_truncated():
    assert starting_with(page(0, "/account/x"), day=10) == {"a": True, "b": False}


def test_one_that_starts_late_in_the_data_is_not():
    assert starting_with(page(0, "/account/x"), day=91) == {"a": False, "b": False}


def test_one_that_starts_at_the_beginning_of_the_road_is_not():
    assert starting_with(page(0, "/product/x"), day=10) == {"a": False, "b": False}


def test_without_inactivity_no_journey_is_truncated():
    rows = [page(0, "/blog/1", customer_id="b"), page(10, "/account/x")]
    assert not journeys_of_one(rows, without("journeys", "inactivity")).cases()["truncated"].any()


# ── identity, sources, no model, refusals ────────────────────────────────────────────────────────────────


def test_an_anonymous_part_that_was_stitched_later_belongs_to_the_customer_s_journey():
    rows = [page(0, "/blog/1", anonymous_id="d1"), page(1, "/product/1", anonymous_id="d1"),
            did(2, "purchase", anonymous_id="d1", user_id="u1")]  # fmt: skip
    assert case(rows)["events"] == 3


def test_the_codebook_lists_touchpoints_in_order_of_the_model_then_unmatched_names():
    codebook = journeys_of_one(
        [did(0, "zoom"), did(1, "purchase", channel="web"), did(2, "pan", channel="app")]
    ).codebook
    assert codebook.touchpoints[:2] == ("order_placed", "refund")
    assert codebook.touchpoints[-2:] == ("pan", "zoom")
    assert codebook.channels == ("app", "web")
    assert codebook.phases == ("before", "during", "after")
    assert codebook.stage_phase == (0, 0, 0, 1, 1, 1, 2, 2, 2)
    assert codebook.markers == ("purchase", "refund")
    assert dict(zip(codebook.touchpoints, codebook.progress, strict=True)) == {
        "order_placed": True,
        "refund": False,
        "survey_answer": False,
        "support_contact": False,
        "search": True,
        "product_page": True,
        "blog": True,
        "cart": True,
        "setup": True,
        "pan": False,
        "zoom": False,
    }


def test_the_codebook_knows_in_which_sources_a_touchpoint_occurs():
    rows = [
        did(0, "purchase", source="web"),
        did(1, "purchase", source="shopify"),
        did(2, "zoom", source="app"),
        page(3, "/blog/1", source="bots", is_bot=True),
    ]
    codebook = journeys_of_one(rows).codebook
    sources = dict(zip(codebook.touchpoints, codebook.sources, strict=True))
    assert sources["order_placed"] == {"web", "shopify"}
    assert sources["zoom"] == {"app"}
    assert sources["blog"] == set()


def test_without_a_model_a_customer_has_one_journey_of_the_events_names():
    rows = [did(0, "b", customer_id="x"), did(200 * DAY, "a", customer_id="x"), did(5, "c", customer_id="y")]
    journeys = sessionize(events_of(rows))
    assert journeys.cases()["events"].tolist() == [2, 1]
    assert journeys.codebook.touchpoints == ("a", "b", "c")
    assert journeys.codebook.phases == ()
    assert journeys.to_frame()["phase"].tolist() == [None, None, None]
    assert journeys.cases()["closed"].tolist() == ["open", "open"]


def test_an_empty_log_gives_no_journeys():
    for model in (None, shop()):
        journeys = sessionize(events_of([]), model)
        assert (len(journeys), journeys.n_events, len(journeys.to_frame()), len(journeys.cases())) == (
            0,
            0,
            0,
            0,
        )
        assert journeys.answers().empty


def test_a_log_of_bots_alone_gives_no_journeys():
    journeys = journeys_of_one([page(0, "/blog/1", is_bot=True)])
    assert (len(journeys), journeys.accounting["bots"]) == (0, 1)


def test_events_that_are_a_frame_are_refused_with_a_hint():
    with pytest.raises(InputError, match=r"cjm\.ingest"):
        sessionize(pd.DataFrame())


def test_a_model_that_is_a_path_is_refused_with_a_hint():
    with pytest.raises(InputError, match=r"JourneyModel\.read"):
        sessionize(events_of([did(0, "x")]), "journey.toml")


def test_journeys_are_written_while_they_are_made(tmp_path):
    rows = [page(0, "/blog/1", customer_id=one) for one in "abc"] + [did(1, "purchase", customer_id="b")]
    events = events_of(rows, n_partitions=2)
    written = sessionize(events, shop(), to=tmp_path / "journeys")
    pd.testing.assert_frame_equal(written.to_frame(), sessionize(events, shop()).to_frame())
    assert [one.name for one in tmp_path.iterdir()] == ["journeys"]


def test_a_folder_with_something_else_is_refused_before_any_work(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="something other than journeys"):
        sessionize(events_of([did(0, "x")]), to=tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]
