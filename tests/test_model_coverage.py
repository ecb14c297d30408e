"""What a model explains of one event, covers of all, and suggests for the rest."""

from __future__ import annotations

import tomllib
import warnings
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from cjm_analytics.errors import InputError, ModelWarning
from cjm_analytics.events.partition import EventPartition
from cjm_analytics.model import JourneyModel
from cjm_analytics.schema import CANONICAL

MODEL = {
    "name": "shop",
    "exclude": {"is_bot": True},
    "phase": [
        {"id": "before", "stages": ["looking"]},
        {"id": "during", "stages": ["buying"]},
        {"id": "after", "stages": ["helping"]},
    ],
    "marker": {"purchase": {"role": "goal", "match": {"event": "Order *"}}},
    "touchpoint": [
        {"id": "order", "stage": "buying", "match": {"marker": "purchase"}},
        {
            "id": "support",
            "match": {"event": "ticket_*", "properties": {"urgent": True}},
            "stage": [
                {"when": {"marker": "purchase", "within": "180d"}, "stage": "helping"},
                {"stage": "looking"},
            ],
        },
        {"id": "product_page", "stage": "looking", "match": {"event": "page_view", "path": "/product/*"}},
    ],
    "survey": [{"id": "nps", "instrument": "nps", "kind": "relational", "match": {"instrument": "nps"}}],
}


@pytest.fixture(scope="module")
def model():
    return JourneyModel.from_dict(MODEL)


def events_of(*partitions):
    """Events with a partition per list of rows; what a row leaves out is missing."""
    found = []
    for rows in partitions:
        table = (
            pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
            if rows
            else CANONICAL.empty_table()
        )
        found.append(EventPartition.of(table, CANONICAL))
    return SimpleNamespace(partitions=tuple(found))


def coverage_of(model, *partitions):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        return model.coverage(events_of(*partitions))


def rows(event, times, **more):
    return [{"event": event, "source": "web", **more}] * times


# ── one event ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_explanation_lists_the_rules_tried_up_to_the_one_that_fits(model):
    found = model.explain({"event": "ticket_created", "properties": {"urgent": True}})
    assert found.touchpoint == "support"
    assert found.to_frame().to_numpy().tolist() == [
        ["exclude", "is_bot = true", None, False, False],
        ["order", "marker = 'purchase'", None, False, False],
        ["support", "event = 'ticket_*'", "ticket_created", True, True],
        ["support", "properties.urgent = true", "true", True, True],
    ]
    assert (
        str(found)
        == """\
The event is the touchpoint 'support'.
  stage helping if purchase was seen within 180 d
  stage looking
✗ exclude
    ✗ is_bot = true    (missing)
✗ order
    ✗ marker = 'purchase'    (missing)
✓ support
    ✓ event = 'ticket_*'    ('ticket_created')
    ✓ properties.urgent = true    ('true')"""
    )


def test_an_explanation_names_the_markers_and_the_survey(model):
    assert model.explain({"event": "Order Completed"}).markers == ("purchase",)
    assert model.explain({"event": "x", "instrument": "nps"}).survey == "nps"
    assert "sets the marker purchase" in str(model.explain({"event": "Order Completed"}))
    assert "belongs to the survey nps" in str(model.explain({"event": "x", "instrument": "nps"}))


def test_an_event_that_no_rule_names_is_told_as_such(model):
    found = model.explain({"event": "wtf"})
    assert found.touchpoint is None
    assert found.verdict == "No rule fits: the event stays unassigned."
    assert not found.to_frame()["fits"].any()


def test_excluded_events_and_invites_are_told_as_such(model):
    assert model.explain({"event": "Order Completed", "is_bot": True}).verdict == "The event is excluded."
    assert "no contact" in model.explain({"event": "survey_invite", "instrument": "nps"}).verdict


def test_a_row_of_a_frame_can_be_explained(model):
    frame = pd.DataFrame(
        {
            "event": ["page_view", None],
            "path": ["/product/1", None],
            "timestamp": pd.to_datetime(["2026-01-01", None], utc=True),
            "is_bot": pd.array([False, pd.NA], dtype="boolean"),
            "score": [1.0, float("nan")],
        }
    )
    assert model.explain(frame.iloc[0]).touchpoint == "product_page"
    assert model.explain(frame.iloc[1]).touchpoint is None


def test_properties_may_come_as_text_or_by_their_dotted_name(model):
    assert model.explain({"event": "ticket_x", "properties": '{"urgent": true}'}).touchpoint == "support"
    assert model.explain({"event": "ticket_x", "properties.urgent": "true"}).touchpoint == "support"
    assert model.explain({"event": "ticket_x"}).touchpoint is None


def test_values_of_the_wrong_type_are_an_error(model):
    with pytest.raises(InputError, match="is_bot = 'maybe' is not what the column holds"):
        model.explain({"event": "a", "is_bot": "maybe"})
    with pytest.raises(InputError, match="An event is a mapping of columns to values, not str"):
        model.explain("purchase")


def test_attributes_and_typed_columns_can_be_explained():
    spec = {
        **MODEL,
        "touchpoint": [
            {
                "id": "late",
                "stage": "looking",
                "match": {"customer": {"plan": "pro"}, "timestamp": {"ge": "2026-01-02"}, "value": {"ge": 5}},
            }
        ],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        model = JourneyModel.from_dict(spec)
    event = {"event": "a", "customer": {"plan": "pro"}, "timestamp": "2026-01-02", "value": 5}
    assert model.explain(event).touchpoint == "late"
    assert model.explain({**event, "customer.plan": "free", "customer": None}).touchpoint is None
    assert model.explain({**event, "value": 4.9999}).touchpoint is None
    with pytest.raises(InputError, match="timestamp = 'soon' is not what the column holds"):
        model.explain({**event, "timestamp": "soon"})


def test_an_explanation_shows_in_a_notebook(model):
    html = model.explain({"event": "<b>"})._repr_html_()
    assert "&lt;b&gt;" in html
    assert "No rule fits" in html


# ── all events ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_share_is_matched_of_all_that_are_not_excluded(model):
    found = coverage_of(
        model,
        [
            *rows("Order Completed", 6),
            *rows("mystery", 2),
            *rows("Order Completed", 5, is_bot=True),
            *rows("survey_invite", 3, source="survey"),
            *rows("ticket_created", 1, source="zendesk", properties='{"urgent": true}'),
            *rows("ticket_created", 1, source=None),
        ],
    )
    assert found.share == pytest.approx(7 / 10)
    assert found.to_frame().to_dict("list") == {
        "source": ["survey", "web", "zendesk", "(none)"],
        "events": [3, 13, 1, 1],
        "excluded": [0, 5, 0, 0],
        "invites": [3, 0, 0, 0],
        "matched": [0, 6, 1, 0],
        "unmatched": [0, 2, 0, 1],
        "share": [pytest.approx(float("nan"), nan_ok=True), 0.75, 1.0, 0.0],
    }


def test_coverage_adds_up_over_partitions(model):
    everything = [
        *rows("Order Completed", 3),
        *rows("a", 2),
        *rows("b", 1),
        *rows("page_view", 2, path="/x/1"),
    ]
    whole = coverage_of(model, everything)
    parts = coverage_of(model, everything[:2], [], everything[2:5], everything[5:])
    pd.testing.assert_frame_equal(whole.to_frame(), parts.to_frame())
    pd.testing.assert_frame_equal(whole.suggestions, parts.suggestions)


def test_the_most_frequent_unmatched_names_come_first(model):
    found = coverage_of(model, [*rows("rare", 1), *rows("often", 3), *rows("alike", 1)])
    assert found.suggestions[["event", "events", "share"]].to_numpy().tolist() == [
        ["often", 3, 0.6],
        ["alike", 1, 0.2],
        ["rare", 1, 0.2],
    ]


def test_at_most_twenty_names_are_suggested(model):
    found = coverage_of(model, [one for number in range(30) for one in rows(f"event {number}", 1)])
    assert len(found.suggestions) == 20


def test_pages_are_told_apart_by_the_beginning_of_their_path(model):
    found = coverage_of(
        model,
        [
            *rows("page_view", 2, path="/about/team?x=1"),
            *rows("page_view", 1, path="/about"),
            *rows("page_view", 1, path="/?utm_source=mail"),
            *rows("Zoomed", 1, path="/about/team"),
        ],
    )
    assert found.suggestions[["event", "path", "events"]].to_numpy().tolist() == [
        ["page_view", "/about", 3],
        ["Zoomed", None, 1],
        ["page_view", "/", 1],
    ]


def test_a_suggestion_is_like_the_nearest_known_name():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = JourneyModel.standard()
    names = ["viewed_products", "Refund Requested", "open_app", "Loyalty Points Redeemed"]
    found = coverage_of(model, [one for name in names for one in rows(name, 1)])
    stages = found.suggestions.set_index("event")["stage"].to_dict()
    assert stages == {
        "viewed_products": "consideration",
        "Refund Requested": "after_sales",
        "open_app": "use",
        "Loyalty Points Redeemed": None,
    }


def test_suggested_rules_can_be_pasted_into_the_model_and_then_cover_all(model):
    everything = [
        *rows("ticket created*", 2),
        *rows("Order_Placed [new]", 1),
        *rows("page_view", 2, path="/products/1"),
        *rows("page_view", 1, path="/"),
        *rows('quoted "name"\\', 1),
        *rows("support", 1),
    ]
    found = coverage_of(model, everything)
    assert found.share == 0
    text = "\n".join(found.suggestions["rule"]).replace('# stage = "…"', 'stage = "looking"')
    spec = {**MODEL, "touchpoint": [*MODEL["touchpoint"], *tomllib.loads(text)["touchpoint"]]}
    again = coverage_of(JourneyModel.from_dict(spec), everything)
    assert again.share == 1
    assert again.suggestions.empty


def test_a_suggested_rule_reads_like_the_file(model):
    found = coverage_of(model, rows("ticket_opened", 1))
    assert found.suggestions["rule"].item() == (
        "# like 'ticket_*' (support)\n"
        "[[touchpoint]]\n"
        'id = "ticket_opened"\n'
        'stage = "looking"\n'
        'match = { event = "ticket_opened" }\n'
    )


def test_five_percent_of_unmatched_events_is_a_warning(model):
    events = events_of([*rows("Order Completed", 95), *rows("mystery", 5)])
    with pytest.warns(
        ModelWarning, match=r"'shop' do not name 5\.0 % of the events \(5 of 100\), most often 'mystery'"
    ):
        model.coverage(events)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.coverage(events_of([*rows("Order Completed", 96), *rows("mystery", 5)]))


def test_no_events_have_no_share(model):
    found = coverage_of(model, [])
    assert pd.isna(found.share)
    assert found.to_frame().empty
    assert found.suggestions.empty
    assert "matched <b>–</b>" in found._repr_html_()


def test_coverage_shows_in_a_notebook(model):
    html = coverage_of(model, [*rows("Order Completed", 9), *rows("<mystery>", 1)])._repr_html_()
    assert "matched <b>90.0 %</b>" in html
    assert "&lt;mystery&gt;" in html
