"""Every check of a journey model: faults and odd things, where they are and what to write instead."""

from __future__ import annotations

import json
import warnings

import pytest

from cjm_analytics.errors import ModelWarning
from cjm_analytics.model import JourneyModel
from models import assumed, branched, faults_of, marked, odd_things, small, surveyed, touchpoint


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        (small(unmached="keep"), "unmached", "No key 'unmached' here. Did you mean 'unmatched'?"),
        (small(schema="cjm/2"), "schema", "schema 'cjm/2' is not known. This version reads 'cjm/1'."),
        (small(name=5), "name", "name is text, not 5."),
        (
            small(unmatched="maybe"),
            "unmatched",
            "unmatched = 'maybe' is not known. There are: keep, drop, error.",
        ),
        (small(timezone="Berlin"), "timezone", "No time zone named 'Berlin'. Did you mean 'Europe/Berlin'?"),
        (small(phase={"id": "x"}), "phase", "phase is a list of tables. Write [[phase]]."),
        (small(phase=["x"]), "phase[0]", "0 is a table, not 'x'."),
        ({**small(), "phase": [{"id": "before", "stages": []}]}, "phase[0].stages", "one stage at least"),
        ({**small(), "phase": [{"stages": ["looking"]}]}, "phase[0]", "id is missing."),
        (
            small(stage={"lookin": {"title": "x"}}),
            "stage.lookin",
            "No stage named 'lookin'. Did you mean 'looking'?",
        ),
        (
            touchpoint(stage="lokking"),
            "touchpoint[0].stage",
            "No stage named 'lokking'. Did you mean 'looking'?",
        ),
        (touchpoint(stage=5), "touchpoint[0].stage", "stage is a name, or a list of branches, not 5."),
        (touchpoint(progress="no"), "touchpoint[0].progress", "progress is true or false, not 'no'."),
        (touchpoint(title=""), "touchpoint[0].title", "title is empty."),
        (touchpoint(macth={}), "touchpoint[0].macth", "Did you mean 'match'?"),
        (
            touchpoint(match={"events": "a"}),
            "touchpoint[0].match.events",
            "No column named 'events'. Did you mean 'event'?",
        ),
        (touchpoint(match={"stage": "a"}), "touchpoint[0].match.stage", "'stage' is what the model gives"),
        (
            touchpoint(match={"event": {"re": "("}}),
            "touchpoint[0].match.event.re",
            "'(' is no regular expression",
        ),
        (
            touchpoint(match={"marker": "purchas"}),
            "touchpoint[0].match",
            "No marker named 'purchas'. There are none here.",
        ),
        (
            branched({"when": {"marker": "purchase"}, "stage": "looking"}),
            "touchpoint[0].stage[0]",
            "the last branch must have no `when`",
        ),
        (
            branched({"stage": "looking"}, {"stage": "looking"}),
            "touchpoint[0].stage[0]",
            "only the last branch has no `when`",
        ),
        (
            branched({"when": {"marker": "purch"}, "stage": "looking"}, {"stage": "looking"}),
            "touchpoint[0].stage[0].when.marker",
            "Did you mean 'purchase'?",
        ),
        (
            branched({"when": {"within": "1d"}, "stage": "looking"}, {"stage": "looking"}),
            "touchpoint[0].stage[0].when.within",
            "Add marker",
        ),
        (
            branched({"when": {}, "stage": "looking"}, {"stage": "looking"}),
            "touchpoint[0].stage[0].when",
            "an empty table says nothing.",
        ),
        (
            branched({"when": {"phase_reached": "befor"}, "stage": "looking"}, {"stage": "looking"}),
            "touchpoint[0].stage[0].when.phase_reached",
            "Did you mean 'before'?",
        ),
        (
            branched(
                {"when": {"marker": "purchase", "count": {"ge": 1.5}}, "stage": "looking"},
                {"stage": "looking"},
            ),
            "touchpoint[0].stage[0].when.count.ge",
            "ge is a whole number, not 1.5.",
        ),
        (
            branched(
                {"when": {"not": {"marker": "purchase", "phase_reached": "before"}}, "stage": "looking"},
                {"stage": "looking"},
            ),
            "touchpoint[0].stage[0].when.not",
            "`not` takes one statement",
        ),
        (marked(role="gaol"), "marker.purchase.role", "Did you mean 'goal'?"),
        (marked(role="reversal"), "marker.purchase", "a reversal says what it takes back."),
        (marked(role="reversal", of="purchase"), "marker.purchase.of", "No marker named 'purchase'."),
        (marked(of="purchase"), "marker.purchase.of", "only a reversal takes back a marker."),
        (marked(match={"marker": "purchase"}), "marker.purchase.match", "a marker is not made of markers."),
        (marked(dedupe_on="oder_id"), "marker.purchase.dedupe_on", "Did you mean 'order_id'?"),
        (marked(dedupe_on="order_id", within="1"), "marker.purchase.within", "within='1' is no duration."),
        (small(marker={"purchase": {"role": "goal"}}), "marker.purchase", "match is missing."),
        (
            small(marker={f"m{i}": {"role": "goal", "match": {"event": f"e{i}"}} for i in range(33)}),
            "marker",
            "33 markers are too many: 32 is the limit.",
        ),
        (small(journeys={"unit": "person"}), "journeys.unit", "There are: customer, account."),
        (small(journeys={"inactivity": "3 months"}), "journeys.inactivity", "is no duration."),
        (small(journeys={"inactivity": "0d"}), "journeys.inactivity", "must be longer than nothing."),
        (
            small(journeys={"new_cycle": {"after": "order", "on_stage": ["looking"]}}),
            "journeys.new_cycle.after",
            "No marker named 'order'.",
        ),
        (
            small(journeys={"new_cycle": {"on_stage": ["x"]}}),
            "journeys.new_cycle.on_stage[0]",
            "No stage named 'x'.",
        ),
        (surveyed(instrument="mood"), "survey[0].instrument", "needs its scale. Write scale = [1, 5]"),
        (surveyed(scale=[5, 1]), "survey[0].scale", "scale is the lowest and the highest answer"),
        (surveyed(kind="other"), "survey[0].kind", "There are: transactional, relational."),
        (surveyed(direction="up"), "survey[0].direction", "There are: high is good, low is good."),
        (surveyed(instrument="csat"), "survey[0]", "csat says which answers are positive."),
        (surveyed(positive=[11]), "survey[0].positive", "a positive answer is off the scale 0 to 10."),
        (surveyed(positive="all"), "survey[0].positive", "positive is a list of answers"),
        (
            surveyed(rates={"touchpoint": "page", "look_back": "1d"}),
            "survey[0].rates",
            "a relational survey rates the relation as a whole",
        ),
        (
            surveyed(kind="transactional", rates={"touchpoint": "pag", "look_back": "1d"}),
            "survey[0].rates.touchpoint",
            "Did you mean 'page'?",
        ),
        (
            surveyed(kind="transactional", rates={"touchpoint": "page"}),
            "survey[0].rates",
            "rates needs join_on, look_back or both.",
        ),
        (
            small(friction={"repeat": {"count": 1}}),
            "friction.repeat.count",
            "count is a number of at least 2, not 1.",
        ),
        (small(friction={"repeet": {}}), "friction.repeet", "Did you mean 'repeat'?"),
        (assumed(kind="ordr"), "assumption[0].kind", "Did you mean 'order'?"),
        (
            assumed(kind="order", first="looking"),
            "assumption[0]",
            "an assumption of the kind 'order' says then.",
        ),
        (
            assumed(kind="order", first="looking", then="page", expect=1),
            "assumption[0].expect",
            "has no expect.",
        ),
        (
            assumed(kind="drop_off", stage="lookin", expect=0.3),
            "assumption[0].stage",
            "Did you mean 'looking'?",
        ),
        (
            assumed(kind="drop_off", stage="looking", expect=30),
            "assumption[0].expect",
            "expect is a number from 0 to 1, not 30.",
        ),
        (
            assumed(kind="path", path=["looking", "x"]),
            "assumption[0].path[1]",
            "No stage or touchpoint named 'x'.",
        ),
        (small(note={"x": {"owner": "me"}}), "note.x", "No stage or phase named 'x'."),
        (
            small(report={"confidence": 95}),
            "report.confidence",
            "confidence is a number from 0.5 to 0.9999, not 95.",
        ),
        (small(report={"min_n": 30, "weak_n": 10}), "report.weak_n", "weak_n = 10 is below min_n = 30."),
        (small(report={"min_n": True}), "report.min_n", "min_n is a number of at least 0, not True."),
    ],
)
def test_a_fault_says_where_and_what_to_write(spec, path, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        found = faults_of(spec)
    assert [one for one in found if one[0] == path and message in one[1]], found


def test_ids_are_unique_over_phases_and_stages_and_among_touchpoints():
    phases = [{"id": "before", "stages": ["looking", "during"]}, {"id": "during", "stages": ["looking"]}]
    contacts = [{"id": "page", "stage": "looking", "match": {"event": name}} for name in ("a", "b")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        found = faults_of({"phase": phases, "touchpoint": contacts})
    assert found == [
        ("phase[1].id", "phase or stage id 'during' is taken."),
        ("phase[1].stages[0]", "phase or stage id 'looking' is taken."),
        ("touchpoint[1].id", "touchpoint id 'page' is taken."),
    ]


def test_all_faults_come_in_one_error():
    spec = small(timezone="Mars", report={"min_n": -1}, journeys={"unit": "x"}, survey=[{"id": "s"}])
    assert len(faults_of(spec)) == 6


def test_a_stage_without_a_rule_is_odd():
    spec = small()
    spec["phase"] = [{"id": "before", "stages": ["looking", "comparing"]}]
    (found,) = odd_things(spec)
    assert found == (
        "phase[0].stages[1]",
        "no touchpoint belongs to the stage 'comparing'. It stays empty on the map.",
    )


def test_a_marker_that_nothing_asks_for_is_odd():
    (found,) = odd_things(small(marker={"idle": {"match": {"event": "idle"}}}))
    assert found[0] == "marker.idle"
    assert found[1].startswith("nothing asks for the marker 'idle'.")


@pytest.mark.parametrize(
    "use",
    [
        {"touchpoint": [{"id": "p", "stage": "looking", "match": {"marker": "idle"}}]},
        {"journeys": {"new_cycle": {"after": "idle", "on_stage": ["looking"]}}},
        {"journeys": {"end": {"marker": "idle"}}},
        {
            "touchpoint": [
                {
                    "id": "p",
                    "match": {"event": "a"},
                    "stage": [{"when": {"marker": "idle"}, "stage": "looking"}, {"stage": "looking"}],
                }
            ]
        },
    ],
)
def test_a_marker_that_something_asks_for_is_not_odd(use):
    assert odd_things(small(marker={"idle": {"match": {"event": "idle"}}}, **use)) == []


def test_a_rule_that_an_earlier_one_covers_is_odd():
    contacts = [
        {"id": "support", "stage": "looking", "match": {"event": "ticket_*"}},
        {"id": "ticket", "stage": "looking", "match": {"event": "ticket_created", "channel": "web"}},
    ]
    (found,) = odd_things(small(touchpoint=contacts))
    never = "the touchpoint 'ticket' never occurs: 'support' before it fits all of its events."
    assert found == ("touchpoint[1]", f"{never} Put the narrower rule first.")
    assert odd_things(small(touchpoint=contacts[::-1])) == []


def test_a_look_back_beyond_the_inactivity_is_odd():
    spec = surveyed(kind="transactional", rates={"touchpoint": "page", "look_back": "100d"})
    assert odd_things(spec) == []
    (found,) = odd_things({**spec, "journeys": {"inactivity": "90d"}})
    assert found[0] == "survey[0].rates.look_back"
    assert "longer than the inactivity" in found[1]


def test_within_without_dedupe_on_is_odd():
    (found,) = odd_things(marked(within="1d"))
    assert found == ("marker.purchase.within", "within says nothing without dedupe_on.")


def test_a_promoted_property_is_allowed_with_a_warning():
    (found,) = odd_things(touchpoint(match={"category": "shoes"}))
    odd = "'category' is no column of every event: keep=['category'] must promote it."
    assert found == ("touchpoint[0].match.category", f"{odd} Else write properties.category.")
    assert (
        odd_things(touchpoint(match={"properties": {"category": "shoes"}, "customer": {"plan": "pro"}})) == []
    )


def test_a_warning_is_issued_once_where_the_model_is_read(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps(touchpoint(match={"category": "shoes"})), encoding="utf-8")
    with pytest.warns(ModelWarning, match=r"m\.json, line 1, touchpoint\[0\]\.match\.category: ") as seen:
        model = JourneyModel.read(path)
    assert [one.filename for one in seen] == [__file__]
    assert len(model.warnings) == 1
    assert list(model.warnings.columns) == ["line", "path", "fault", "hint", "severity"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.hash
        assert "1 warning: see" in model._repr_html_()
    with pytest.warns(ModelWarning) as seen:
        JourneyModel.from_dict(touchpoint(match={"category": "shoes"}))
    assert [one.filename for one in seen] == [__file__]
