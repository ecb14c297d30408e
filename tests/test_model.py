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
from models import assumed, branched, faults_of, marked, small, surveyed, touchpoint

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
    assert (csat.rates.touchpoints, csat.rates.join_on) == (("support_contact",), "ticket_id")
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
        ("m.toml", "a = [\n  { b = 1,\n    c = 2 },\n]\n", 2, "stands on one line, without a comma"),
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
        small(unmached="keep"),
        small(schema="cjm/2"),
        small(phase=[]),
        touchpoint(macth={}),
        touchpoint(stage=5),
        touchpoint(match={"event": {"nocas": "a"}}),
        touchpoint(match={"event": []}),
        touchpoint(match={"any": []}),
        marked(role="gaol"),
        small(journeys={"inactivity": "90"}),
        surveyed(kind="x"),
        assumed(kind="order", first="a"),
        assumed(kind="order", first="a", then="b", expect=1),
        small(report={"confidence": 95}),
        small(friction={"repeat": {"count": 1}}),
        branched({"when": {"whithin": "1d"}, "stage": "looking"}),
    ],
)
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
        "order_placed",
        "support_contact",
        "support_contact",
        "support_contact",
        "answer",
        "search",
        "anything",
    ]
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
