"""The journey model: what a file says, and what it may not say."""

from __future__ import annotations

import json
import pickle
import tomllib
import warnings

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjm_analytics.durations import DAY, HOUR, MINUTE, microseconds
from cjm_analytics.errors import InputError, ModelError, ModelWarning
from cjm_analytics.matching import compile_match
from cjm_analytics.model import Condition, JourneyModel
from cjm_analytics.model_writing import duration_text
from cjm_analytics.places import line_of, lines_of

WHOLE = """\
schema = "cjm/1"
name = "web shop"
timezone = "Europe/Berlin"
unmatched = "drop"
exclude.any = [{ is_bot = true }, { event = ["page_ping", "$pageleave"] }]

[[phase]]
id = "before"
title = "Before purchase"
stages = ["awareness", "information_search"]
horizon = "30d"

[[phase]]
id = "during"
stages = ["customer_service", "finalising"]

[[phase]]
id = "after"
stages = ["after_sales", "survey"]

[stage.finalising]
title = "Paying"

[marker.purchase]
role = "goal"
match = { event = ["purchase", "Order Completed"] }
dedupe_on = "order_id"
within = "1d"
prefer = ["shopify", "ga4"]

[marker.refund]
role = "reversal"
of = "purchase"
match = { event = "refund*" }

[[touchpoint]]
id = "order_placed"
title = "Order"
stage = "finalising"
match = { marker = "purchase" }

[[touchpoint]]
id = "support_contact"
progress = false
match.any = [{ source = ["zendesk", "intercom"], event = "ticket_*" }, { event = "Live Chat *" }]
stage = [
  { when = { marker = "purchase", within = "180d", count = { ge = 2, lt = 9 } }, stage = "after_sales" },
  { when = { phase_reached = "after", not = { marker = "refund" } }, stage = "after_sales" },
  { stage = "customer_service" },
]

[[touchpoint]]
id = "answer"
stage = "survey"
progress = false
match = { source_kind = "survey", properties.length.seconds = { ge = 5 } }

[[touchpoint]]
id = "search"
stage = "information_search"
match = { path = { re = '^/search(\\?|$)' } }

[[touchpoint]]
id = "anything"
stage = "awareness"
match = {}

[journeys]
unit = "account"
inactivity = "90d"
new_cycle = { after = "purchase", on_stage = ["awareness"], min_gap = "14d" }
end = { event = "account_closed" }

[[survey]]
id = "csat_ticket"
instrument = "csat"
kind = "transactional"
match = { instrument = "csat" }
positive = [4, 5]
rates = { touchpoint = "support_contact", join_on = "ticket_id", look_back = "14d", pick = "first" }

[[survey]]
id = "mood"
instrument = "smile"
kind = "relational"
match = { instrument = "smile" }
scale = [-1, 1]
direction = "low is good"

[friction]
repeat = { count = 3, window = "30m" }

[[assumption]]
id = "search_first"
kind = "order"
first = "information_search"
then = "finalising"

[note.finalising]
owner = "checkout team"

[report]
min_n = 5
weak_n = 20
confidence = 0.9
"""


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "journey.toml"
    path.write_text(WHOLE, encoding="utf-8")
    return JourneyModel.read(path)


def small(**more):
    """The least that is a model, and more."""
    return {
        "phase": [{"id": "before", "stages": ["looking"]}],
        "touchpoint": [{"id": "page", "stage": "looking", "match": {"event": "page"}}],
        **more,
    }


def faults_of(spec):
    """(path, fault and hint) of every error in a model."""
    with pytest.raises(ModelError) as caught:
        JourneyModel.from_dict(spec)
    rows = caught.value.failures.query("severity == 'error'")
    return [(row.path, f"{row.fault} {row.hint}".strip()) for row in rows.itertuples()]


def odd_things(spec):
    """(path, fault and hint) of every warning about a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        found = JourneyModel.from_dict(spec).warnings
    assert set(found["severity"]) <= {"warning"}
    return [(row.path, f"{row.fault} {row.hint}".strip()) for row in found.itertuples()]


# ── what a file says ─────────────────────────────────────────────────────────────────────────────────────


def test_a_file_says_what_the_model_holds(whole):
    assert whole.name == "web shop"
    assert whole.unmatched == "drop"
    assert whole.timezone == "Europe/Berlin"
    assert whole.stages == (
        "awareness", "information_search", "customer_service", "finalising", "after_sales", "survey",
    )  # fmt: skip
    before, during, _ = whole.phases
    assert (before.title, before.horizon) == ("Before purchase", 30 * DAY)
    assert (during.title, during.horizon) == ("During", None)
    purchase, refund = whole.markers
    assert (purchase.role, purchase.dedupe_on, purchase.within) == ("goal", "order_id", DAY)
    assert purchase.prefer == ("shopify", "ga4")
    assert (refund.role, refund.of) == ("reversal", "purchase")
    assert whole.exclude.columns == {"is_bot", "event"}
    assert whole.journeys.unit == "account"
    assert whole.journeys.inactivity == 90 * DAY
    assert (whole.journeys.new_cycle.after, whole.journeys.new_cycle.min_gap) == ("purchase", 14 * DAY)
    assert whole.journeys.end.columns == {"event"}
    assert whole.report.min_n == 5
    assert whole.report.confidence == 0.9
    assert whole.friction == {"repeat": {"count": 3, "window": "30m"}}
    assert whole.notes == {"finalising": {"owner": "checkout team"}}
    assert [one["id"] for one in whole.assumptions] == ["search_first"]


def test_a_touchpoint_has_a_stage_or_branches(whole):
    order, support, answer, *_ = whole.touchpoints
    assert [branch.stage for branch in order.branches] == ["finalising"]
    assert (order.title, order.progress) == ("Order", True)
    assert (support.title, support.progress) == ("Support contact", False)
    assert [branch.stage for branch in support.branches] == ["after_sales", "after_sales", "customer_service"]
    assert support.branches[0].when == (
        Condition("purchase", 180 * DAY, ("ge", 2)),
        Condition("purchase", 180 * DAY, ("lt", 9)),
    )
    assert support.branches[1].when == (
        Condition(phase_reached="after"),
        Condition("refund", negate=True),
    )
    assert support.branches[2].when == ()
    assert answer.match.columns == {"source_kind", "properties.length.seconds"}


def test_a_survey_says_what_it_rates(whole):
    csat, mood = whole.surveys
    assert (csat.instrument, csat.kind, csat.positive, csat.scale) == (
        "csat",
        "transactional",
        (4, 5),
        (1, 5),
    )
    assert (csat.rates.touchpoint, csat.rates.join_on) == ("support_contact", "ticket_id")
    assert (csat.rates.look_back, csat.rates.pick) == (14 * DAY, "first")
    assert (mood.scale, mood.direction, mood.rates) == ((-1, 1), "low is good", None)


def test_a_stage_is_called_by_its_id_unless_it_has_a_title(whole):
    assert whole.stage_titles["information_search"] == "Information search"
    assert whole.stage_titles["finalising"] == "Paying"


@pytest.mark.parametrize(
    ("instrument", "scale"), [("nps", (0, 10)), ("ces", (1, 7)), ("stars", (1, 5)), ("csat", (1, 5))]
)
def test_known_instruments_have_their_scale(instrument, scale):
    survey = {"id": "s", "instrument": instrument, "kind": "relational", "match": {"instrument": instrument}}
    positive = {"positive": [4, 5]} if instrument == "csat" else {}
    (found,) = JourneyModel.from_dict(small(survey=[{**survey, **positive}])).surveys
    assert found.scale == scale


def test_what_is_left_out_has_its_default():
    model = JourneyModel.from_dict(small())
    assert (model.name, model.timezone, model.unmatched, model.exclude) == ("", "UTC", "keep", None)
    assert (model.journeys.unit, model.journeys.inactivity, model.journeys.new_cycle) == (
        "customer",
        None,
        None,
    )
    assert (model.report.min_n, model.report.weak_n, model.report.confidence) == (10, 30, 0.95)
    assert model.touchpoints[0].progress


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["again.toml", "again.json"])
def test_a_model_that_is_written_and_read_back_is_equal(whole, tmp_path, name):
    for model in (whole, JourneyModel.standard(), JourneyModel.from_dict(small())):
        model.write(tmp_path / name)
        again = JourneyModel.read(tmp_path / name)
        assert again == model
        assert again.hash == model.hash
        assert again.to_dict() == model.to_dict()


def test_a_model_that_says_something_else_is_another(whole):
    said = whole.to_dict()
    said["touchpoint"][0]["match"] = {"event": "purchase"}
    other = JourneyModel.from_dict(said)
    assert other != whole
    assert other.hash != whole.hash
    said["touchpoint"].reverse()
    with pytest.warns(ModelWarning):  # the rule for anything now comes first
        assert JourneyModel.from_dict(said).hash != other.hash


def test_comments_and_layout_do_not_change_the_hash(whole, tmp_path):
    (tmp_path / "other.toml").write_text("# a comment\n" + WHOLE.replace(" = ", "   =   "), encoding="utf-8")
    assert JourneyModel.read(tmp_path / "other.toml").hash == whole.hash


def test_the_hash_is_the_same_on_every_machine():
    assert JourneyModel.from_dict(small()).hash == "ad3cff63b1d2"


def test_a_model_travels_between_processes(whole):
    copy = pickle.loads(pickle.dumps(whole))  # noqa: S301 - our own bytes
    assert copy == whole
    assert {whole: 1}[copy] == 1


def test_other_endings_are_refused(whole, tmp_path):
    with pytest.raises(InputError, match=r"written as \.toml or \.json, not as 'model\.yaml'"):
        whole.write(tmp_path / "model.yaml")
    with pytest.raises(InputError, match=r"read from \.toml or \.json"):
        JourneyModel.read(tmp_path / "model.yaml")


@pytest.mark.parametrize("length", [0, 1, 1_000, 1_500_000, 90 * MINUTE, DAY, 14 * DAY, DAY + HOUR])
def test_durations_are_written_exactly(length):
    assert microseconds(duration_text(length), positive=False) == length


# ── files that are none ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("m.toml", 'name = "a"\nname = shop\n', 2, "This is no valid TOML: Invalid value"),
        ("m.toml", 'a = [\n  { b = 1,\n    c = 2 },\n]\n', 2, "stands on one line, without a comma at its end"),
        ("m.json", '{"name": "a",\n "name" }', 2, "This is no valid JSON: Expecting ':' delimiter"),
        ("m.json", '{"name": "a", "name": "b"}', None, "the key 'name' stands twice in one object."),
        ("m.json", "[1]", None, "a model is a table, not [1]."),
        ("m.toml", "", None, "a model has one phase at least. Write [[phase]]."),
    ],
)  # fmt: skip
def test_a_broken_file_says_where_it_breaks(tmp_path, name, text, line, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        JourneyModel.read(tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)
    found = caught.value.failures["line"].iloc[0]
    assert (line is None and found is caught.value.failures["line"].array[:1][0]) or found == line


def test_a_file_that_is_not_there_is_told_with_the_nearest(tmp_path):
    (tmp_path / "journey.toml").touch()
    with pytest.raises(InputError, match=r"There is no file .*Did you mean 'journey\.toml'"):
        JourneyModel.read(tmp_path / "journy.toml")


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "m.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        JourneyModel.read(tmp_path / "m.toml")


def test_a_byte_order_mark_and_windows_line_ends_are_fine(whole, tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert JourneyModel.read(path) == whole


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────


def test_faults_have_their_line(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text(
        """\
name = "shop"                # 1
[[phase]]
id = "before"
stages = [
  "looking",                 # 5
  "looking",
]
[marker."pur chase"]
role = "goal"
match.any = [                # 10
  { event = "a" },
  { evnt = '''
''' },
]
[[touchpoint]]               # 15
id = "page"
match = { event = "x" }
stage = [
  { when = { marker = "purchase" }, stage = "looking" },
  { stage = "lokking" },     # 20
]
[[touchpoint]]
id = "page"
stage = "looking"
[note]                       # 25
looking.owner = 5
""",
        encoding="utf-8",
    )
    with pytest.raises(ModelError) as caught:
        JourneyModel.read(path)
    failures = caught.value.failures
    assert list(failures.columns) == ["line", "path", "fault", "hint", "severity"]
    found = {row.path: row.line for row in failures.itertuples()}
    assert found == {
        "phase[0].stages[1]": 6,
        "marker.pur chase.match.any[1].evnt": 12,
        "touchpoint[0].stage[0].when.marker": 19,
        "touchpoint[0].stage[1].stage": 20,
        "touchpoint[1]": 22,
        "touchpoint[1].id": 23,
        "note.looking.owner": 26,
    }
    assert "line 20, touchpoint[0].stage[1].stage: No stage named 'lokking'. Did you mean 'looking'?" in str(
        caught.value
    )
    assert "m.toml has 7 faults:" in str(caught.value)


def test_faults_in_json_have_their_line(tmp_path):
    spec = small(journeys={"unit": "customer", "inactivity": "90"})
    path = tmp_path / "m.json"
    path.write_text(json.dumps(spec, indent=1), encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        JourneyModel.read(path)
    (line,) = caught.value.failures["line"]
    assert '"inactivity"' in path.read_text(encoding="utf-8").splitlines()[line - 1]


def _places(value, place=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*place, key)
            yield from _places(inner, (*place, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield (*place, at)
            yield from _places(inner, (*place, at))


_SCALARS = st.one_of(
    st.text(alphabet="ab\"'\\#[]{}=,.\n é", max_size=6), st.integers(-9, 9), st.booleans(), st.just(1.5)
)
_DOCUMENTS = st.dictionaries(
    st.text(alphabet="ab -.#", min_size=1, max_size=3),
    st.recursive(
        _SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.text(alphabet="ab .", min_size=1, max_size=2), inner, max_size=3),
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@given(_DOCUMENTS)
@settings(max_examples=300, deadline=None)
def test_every_place_of_every_document_has_a_line(document):
    import tomli_w

    toml = tomli_w.dumps(document, multiline_strings=True)
    assert set(lines_of(toml, toml=True)) == set(_places(tomllib.loads(toml)))
    text = json.dumps(document, indent=1)
    lines = lines_of(text, toml=False)
    assert set(lines) == set(_places(document))
    rows = text.splitlines()
    for place, line in lines.items():
        if isinstance(place[-1], str):
            assert json.dumps(place[-1]) in rows[line - 1]


def test_a_place_that_is_not_in_the_text_has_the_line_around_it():
    lines = lines_of("[a]\nb = 1\n", toml=True)
    assert line_of(("a", "b", "c"), lines) == 2
    assert line_of(("a", "x"), lines) == 1
    assert line_of(("x",), lines) is None


# ── every check ──────────────────────────────────────────────────────────────────────────────────────────


def touchpoint(**parts):
    return small(touchpoint=[{"id": "page", "stage": "looking", "match": {"event": "page"}, **parts}])


def marked(**parts):
    return small(marker={"purchase": {"role": "goal", "match": {"event": "buy"}, **parts}})


def branched(*branches):
    return {**marked(), **{"touchpoint": touchpoint(stage=list(branches))["touchpoint"]}}


def surveyed(**parts):
    survey = {"id": "s", "instrument": "nps", "kind": "relational", "match": {"instrument": "nps"}}
    return small(survey=[{**survey, **parts}])


def assumed(**parts):
    return small(assumption=[{"id": "a", **parts}])


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        (small(unmached="keep"), "unmached", "No key 'unmached' here. Did you mean 'unmatched'?"),
        (small(schema="cjm/2"), "schema", "schema 'cjm/2' is not known. This version reads 'cjm/1'."),
        (small(name=5), "name", "name is text, not 5."),
        (small(unmatched="maybe"), "unmatched", "unmatched = 'maybe' is not known. There are: keep, drop, error."),
        (small(timezone="Berlin"), "timezone", "No time zone named 'Berlin'. Did you mean 'Europe/Berlin'?"),
        (small(phase={"id": "x"}), "phase", "phase is a list of tables. Write [[phase]]."),
        (small(phase=["x"]), "phase[0]", "0 is a table, not 'x'."),
        ({**small(), "phase": [{"id": "before", "stages": []}]}, "phase[0].stages", "one stage at least"),
        ({**small(), "phase": [{"stages": ["looking"]}]}, "phase[0]", "id is missing."),
        (small(stage={"lookin": {"title": "x"}}), "stage.lookin", "No stage named 'lookin'. Did you mean 'looking'?"),
        (touchpoint(stage="lokking"), "touchpoint[0].stage", "No stage named 'lokking'. Did you mean 'looking'?"),
        (touchpoint(stage=5), "touchpoint[0].stage", "stage is a name, or a list of branches, not 5."),
        (touchpoint(progress="no"), "touchpoint[0].progress", "progress is true or false, not 'no'."),
        (touchpoint(title=""), "touchpoint[0].title", "title is empty."),
        (touchpoint(macth={}), "touchpoint[0].macth", "Did you mean 'match'?"),
        (touchpoint(match={"events": "a"}), "touchpoint[0].match.events", "No column named 'events'. Did you mean 'event'?"),
        (touchpoint(match={"stage": "a"}), "touchpoint[0].match.stage", "'stage' is what the model gives"),
        (touchpoint(match={"event": {"re": "("}}), "touchpoint[0].match.event.re", "'(' is no regular expression"),
        (touchpoint(match={"marker": "purchas"}), "touchpoint[0].match", "No marker named 'purchas'. There are none here."),
        (branched({"when": {"marker": "purchase"}, "stage": "looking"}), "touchpoint[0].stage[0]", "the last branch must have no `when`"),
        (branched({"stage": "looking"}, {"stage": "looking"}), "touchpoint[0].stage[0]", "only the last branch has no `when`"),
        (branched({"when": {"marker": "purch"}, "stage": "looking"}, {"stage": "looking"}), "touchpoint[0].stage[0].when.marker", "Did you mean 'purchase'?"),
        (branched({"when": {"within": "1d"}, "stage": "looking"}, {"stage": "looking"}), "touchpoint[0].stage[0].when.within", "Add marker"),
        (branched({"when": {}, "stage": "looking"}, {"stage": "looking"}), "touchpoint[0].stage[0].when", "an empty table says nothing."),
        (branched({"when": {"phase_reached": "befor"}, "stage": "looking"}, {"stage": "looking"}), "touchpoint[0].stage[0].when.phase_reached", "Did you mean 'before'?"),
        (branched({"when": {"marker": "purchase", "count": {"ge": 1.5}}, "stage": "looking"}, {"stage": "looking"}), "touchpoint[0].stage[0].when.count.ge", "ge is a whole number, not 1.5."),
        (branched({"when": {"not": {"marker": "purchase", "phase_reached": "before"}}, "stage": "looking"}, {"stage": "looking"}), "touchpoint[0].stage[0].when.not", "`not` takes one statement"),
        (marked(role="gaol"), "marker.purchase.role", "Did you mean 'goal'?"),
        (marked(role="reversal"), "marker.purchase", "a reversal says what it takes back."),
        (marked(role="reversal", of="purchase"), "marker.purchase.of", "No marker named 'purchase'."),
        (marked(of="purchase"), "marker.purchase.of", "only a reversal takes back a marker."),
        (marked(match={"marker": "purchase"}), "marker.purchase.match", "a marker is not made of markers."),
        (marked(dedupe_on="oder_id"), "marker.purchase.dedupe_on", "Did you mean 'order_id'?"),
        (marked(dedupe_on="order_id", within="1"), "marker.purchase.within", "within='1' is no duration."),
        (small(marker={"purchase": {"role": "goal"}}), "marker.purchase", "match is missing."),
        (small(marker={f"m{i}": {"role": "goal", "match": {"event": f"e{i}"}} for i in range(33)}), "marker", "33 markers are too many: 32 is the limit."),
        (small(journeys={"unit": "person"}), "journeys.unit", "There are: customer, account."),
        (small(journeys={"inactivity": "3 months"}), "journeys.inactivity", "is no duration."),
        (small(journeys={"inactivity": "0d"}), "journeys.inactivity", "must be longer than nothing."),
        (small(journeys={"new_cycle": {"after": "order", "on_stage": ["looking"]}}), "journeys.new_cycle.after", "No marker named 'order'."),
        (small(journeys={"new_cycle": {"on_stage": ["x"]}}), "journeys.new_cycle.on_stage[0]", "No stage named 'x'."),
        (surveyed(instrument="mood"), "survey[0].instrument", "needs its scale. Write scale = [1, 5]"),
        (surveyed(scale=[5, 1]), "survey[0].scale", "scale is the lowest and the highest answer"),
        (surveyed(kind="other"), "survey[0].kind", "There are: transactional, relational."),
        (surveyed(direction="up"), "survey[0].direction", "There are: high is good, low is good."),
        (surveyed(instrument="csat"), "survey[0]", "csat says which answers are positive."),
        (surveyed(positive=[11]), "survey[0].positive", "a positive answer is off the scale 0 to 10."),
        (surveyed(positive="all"), "survey[0].positive", "positive is a list of answers"),
        (surveyed(rates={"touchpoint": "page", "look_back": "1d"}), "survey[0].rates", "a relational survey rates the relation as a whole"),
        (surveyed(kind="transactional", rates={"touchpoint": "pag", "look_back": "1d"}), "survey[0].rates.touchpoint", "Did you mean 'page'?"),
        (surveyed(kind="transactional", rates={"touchpoint": "page"}), "survey[0].rates", "rates needs join_on, look_back or both."),
        (small(friction={"repeat": {"count": 1}}), "friction.repeat.count", "count is a number of at least 2, not 1."),
        (small(friction={"repeet": {}}), "friction.repeet", "Did you mean 'repeat'?"),
        (assumed(kind="ordr"), "assumption[0].kind", "Did you mean 'order'?"),
        (assumed(kind="order", first="looking"), "assumption[0]", "an assumption of the kind 'order' says then."),
        (assumed(kind="order", first="looking", then="page", expect=1), "assumption[0].expect", "has no expect."),
        (assumed(kind="drop_off", stage="lookin", expect=0.3), "assumption[0].stage", "Did you mean 'looking'?"),
        (assumed(kind="drop_off", stage="looking", expect=30), "assumption[0].expect", "expect is a number from 0 to 1, not 30."),
        (assumed(kind="path", path=["looking", "x"]), "assumption[0].path[1]", "No stage or touchpoint named 'x'."),
        (small(note={"x": {"owner": "me"}}), "note.x", "No stage or phase named 'x'."),
        (small(report={"confidence": 95}), "report.confidence", "confidence is a number from 0.5 to 0.9999, not 95."),
        (small(report={"min_n": 30, "weak_n": 10}), "report.weak_n", "weak_n = 10 is below min_n = 30."),
        (small(report={"min_n": True}), "report.min_n", "min_n is a number of at least 0, not True."),
    ],
)  # fmt: skip
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
        {"touchpoint": [{"id": "p", "match": {"event": "a"},
                         "stage": [{"when": {"marker": "idle"}, "stage": "looking"}, {"stage": "looking"}]}]},
    ],
)  # fmt: skip
def test_a_marker_that_something_asks_for_is_not_odd(use):
    assert odd_things(small(marker={"idle": {"match": {"event": "idle"}}}, **use)) == []


def test_a_rule_that_an_earlier_one_covers_is_odd():
    contacts = [
        {"id": "support", "stage": "looking", "match": {"event": "ticket_*"}},
        {"id": "ticket", "stage": "looking", "match": {"event": "ticket_created", "channel": "web"}},
    ]
    (found,) = odd_things(small(touchpoint=contacts))
    assert found == (
        "touchpoint[1]",
        "the touchpoint 'ticket' never occurs: 'support' before it fits all of its events. "
        "Put the narrower rule first.",
    )
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
    assert found == (
        "touchpoint[0].match.category",
        "'category' is no column of every event: keep=['category'] must promote it. Else write properties.category.",
    )
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
        assert "1 warnings" in model._repr_html_()
    with pytest.warns(ModelWarning) as seen:
        JourneyModel.from_dict(touchpoint(match={"category": "shoes"}))
    assert [one.filename for one in seen] == [__file__]


# ── the standard model and the samples' ──────────────────────────────────────────────────────────────────


def test_the_standard_model_has_three_phases_and_nine_stages():
    model = JourneyModel.standard()
    assert {phase.id: phase.stages for phase in model.phases} == {
        "before": ("awareness", "information_search", "consideration"),
        "during": ("customer_service", "next_steps", "finalising"),
        "after": ("after_sales", "use", "survey"),
    }
    assert [phase.horizon for phase in model.phases] == [30 * DAY, 3 * DAY, 90 * DAY]
    assert model.warnings.empty
    assert (model.journeys.inactivity, model.journeys.new_cycle.min_gap) == (90 * DAY, 14 * DAY)


def test_the_models_that_come_along_read_without_warnings(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        standard = JourneyModel.standard()
        sample = JourneyModel.read(root / "data" / "samples" / "journey.toml")
    assert sample.stages == standard.stages
    funnel = {"product_view", "add_to_cart", "checkout", "purchase"}
    for model in (standard, sample):
        assert funnel <= {one.id for one in model.touchpoints}


def test_names_of_touchpoints_are_the_same_in_both_models(root):
    standard = {one.id for one in JourneyModel.standard().touchpoints}
    sample = {one.id for one in JourneyModel.read(root / "data" / "samples" / "journey.toml").touchpoints}
    assert sample <= standard


PAGE = {"event": "page_view", "source_kind": "clickstream"}


@pytest.mark.parametrize(
    ("event", "touchpoint"),
    [
        # Segment, e-commerce names
        ("Product Viewed", "product_view"), ("Product Clicked", "product_view"), ("Product List Viewed", "product_list"),
        ("Products Searched", "search"), ("Product Added", "add_to_cart"), ("Product Removed", "remove_from_cart"),
        ("Cart Viewed", "cart_view"), ("Checkout Started", "checkout"), ("Checkout Step Viewed", "checkout"),
        ("Checkout Step Completed", "checkout"), ("Payment Info Entered", "checkout"), ("Order Completed", "purchase"),
        ("Order Updated", "delivery"), ("Order Refunded", "order_return"), ("Order Cancelled", "order_return"),
        ("Coupon Applied", "checkout"), ("Promotion Clicked", "ad_click"), ("Product Shared", "wishlist"),
        ("Product Added to Wishlist", "wishlist"), ("Wishlist Product Added to Cart", "add_to_cart"),
        ("Product Reviewed", "review"),
        ("Email Link Clicked", "newsletter"), ("Email Opened", "email_open"), ("Live Chat Message Sent", "support_contact"),
        ("Live Chat Conversation Started", "support_contact"), ("Signed Up", "sign_up"), ("Signed In", "login"),
        # GA4
        ("view_item", "product_view"), ("view_item_list", "product_list"), ("select_item", "product_view"),
        ("view_search_results", "search"), ("search", "search"), ("add_to_cart", "add_to_cart"),
        ("remove_from_cart", "remove_from_cart"), ("view_cart", "cart_view"), ("begin_checkout", "checkout"),
        ("add_shipping_info", "checkout"), ("add_payment_info", "checkout"), ("purchase", "purchase"),
        ("refund", "order_return"), ("add_to_wishlist", "wishlist"), ("generate_lead", "enquiry"),
        ("login", "login"), ("sign_up", "sign_up"), ("select_promotion", "ad_click"), ("file_download", "enquiry"),
        # shop and payment systems
        ("order_placed", "purchase"), ("order_paid", "purchase"), ("order_cancelled", "order_return"),
        ("refund_created", "order_return"), ("fulfillment_created", "delivery"), ("abandoned_checkout", "checkout"),
        ("checkout.session.completed", "purchase"), ("charge.refunded", "order_return"),
        ("payment_intent.payment_failed", "payment_failed"), ("Payment Failed", "payment_failed"),
        # CRM and support
        ("ticket_created", "support_contact"), ("ticket_reopened", "support_contact"),
        ("conversation_started", "support_contact"), ("lead_created", "enquiry"), ("meeting", "sales_contact"),
        ("opportunity_won", "purchase"), ("campaign_responded", "ad_click"), ("form_submission", "enquiry"),
        # surveys, ads, product use
        ("survey sent", "survey_answer"), ("nps_response", "survey_answer"), ("Ad Clicked", "ad_click"),
        ("Setup Completed", "setup"), ("Feature Used", "product_use"), ("shipping_details", "checkout"),
        ("product_view", "product_view"), ("cart_view", "cart_view"), ("checkout", "checkout"),
        ({"event": "survey", "instrument": "nps"}, "survey_answer"),
        ({"event": "anything", "source_kind": "survey"}, "survey_answer"),
        ({"event": "anything", "source_kind": "support"}, "support_contact"),
        # pages
        ({**PAGE, "path": "/"}, "home_page"), ({**PAGE, "path": "/?utm_source=x"}, "home_page"),
        ({**PAGE, "path": "/blog/how-to-choose-a-lamp"}, "blog"), ({**PAGE, "path": "/search?q=lamp"}, "search"),
        ({**PAGE, "path": "/de/product/lamp-1"}, "product_view"), ({**PAGE, "path": "/cart"}, "cart_view"),
        ({**PAGE, "path": "/checkout"}, "checkout_page"), ({**PAGE, "path": "/checkout/success"}, "order_confirmation"),
        ({**PAGE, "path": "/account/setup-guide"}, "setup"), ({**PAGE, "path": "/account/orders"}, "product_use"),
        ({**PAGE, "path": "/help/returns"}, "self_help"), ({**PAGE, "path": "/category/lamps"}, "product_list"),
        ({"event": "$pageview", "path": "/product/lamp-1"}, "product_view"),
        ({"event": "Viewed Home Page", "path": "/"}, "home_page"),
        ({**PAGE, "path": "/imprint"}, None),
        # what happens on a page is not a visit of the page
        ({"event": "Zoomed", "path": "/product/lamp-1"}, None),
        # no contacts
        ("page_ping", None), ("session_start", None), ("user_engagement", None), ("$autocapture", None),
        ({"event": "Order Completed", "is_bot": True}, None), ({"event": "ticket_created", "actor": "system"}, None),
    ],
)  # fmt: skip
def test_the_standard_model_knows_common_names(standard, event, touchpoint):
    found = standard.explain({"event": event} if isinstance(event, str) else event)
    assert found.touchpoint == touchpoint, str(found)


@pytest.fixture(scope="module")
def standard():
    return JourneyModel.standard()


# ── the schema for editors ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def schema(root):
    path = root / "cjm_analytics" / "journey_model.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def test_the_schema_accepts_what_the_reader_accepts(schema, root):
    schema.check_schema(schema.schema)
    sample = (root / "data" / "samples" / "journey.toml").read_text(encoding="utf-8")
    for text in (WHOLE, sample, (root / "cjm_analytics" / "standard.toml").read_text(encoding="utf-8")):
        spec = tomllib.loads(text)
        assert [error.message for error in schema.iter_errors(spec)] == []
        assert [error.message for error in schema.iter_errors(JourneyModel.from_dict(spec).to_dict())] == []


@pytest.mark.parametrize(
    "spec",
    [
        small(unmached="keep"), small(schema="cjm/2"), small(phase=[]), touchpoint(macth={}), touchpoint(stage=5),
        touchpoint(match={"event": {"nocas": "a"}}), touchpoint(match={"event": []}), touchpoint(match={"any": []}),
        marked(role="gaol"), small(journeys={"inactivity": "90"}), surveyed(kind="x"), assumed(kind="order", first="a"),
        assumed(kind="order", first="a", then="b", expect=1), small(report={"confidence": 95}),
        small(friction={"repeat": {"count": 1}}), branched({"when": {"whithin": "1d"}, "stage": "looking"}),
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_reader_refuses(schema, spec):
    assert not schema.is_valid(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        assert faults_of(spec)


def test_the_schema_knows_every_column(schema):
    from cjm_analytics.schema import CANONICAL

    assert set(CANONICAL.names) <= set(schema.schema["$defs"]["match"]["properties"])


# ── the model at a glance ────────────────────────────────────────────────────────────────────────────────


def test_the_frame_has_a_row_per_branch_in_the_order_tried(whole):
    frame = whole.to_frame()
    assert frame["touchpoint"].tolist() == [
        "order_placed", "support_contact", "support_contact", "support_contact", "answer", "search", "anything",
    ]  # fmt: skip
    assert frame["when"].tolist()[1:3] == [
        "purchase was seen >= 2 times within 180 d and purchase was seen < 9 times within 180 d",
        "the phase after was reached and not (refund was seen)",
    ]
    assert frame["rule"].tolist()[-2:] == [r"path ~ '^/search(\?|$)'", "every event"]
    assert frame["phase"].tolist() == ["during", "after", "after", "during", "after", "before", "before"]


def test_the_card_shows_every_stage_and_escapes_what_it_shows():
    spec = small(name="<b>&", stage={"looking": {"title": "Looking <i>"}})
    html = JourneyModel.from_dict(spec)._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "Looking &lt;i&gt;" in html
    assert "<i>" not in html


def test_the_text_of_a_match_reads_like_the_file():
    match = compile_match(
        {"event": ["a", {"nocase": "b"}], "not": {"value": {"between": [1, 5]}}, "is_bot": False}
    )
    assert match.text == "event = 'a' or nocase 'b', not (value between [1, 5]), is_bot = false"
