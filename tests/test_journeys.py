"""The journey store in memory: its invariants, units, labels, selections and frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cjm_analytics.columns import MemoryColumns
from cjm_analytics.errors import CJMError, InputError, UnknownNameError
from cjm_analytics.events.ingest import ingest
from cjm_analytics.journeys import EVENT_COLUMNS, JOURNEY_COLUMNS, open_journeys
from cjm_analytics.loaders import table
from cjm_analytics.sessionizer import sessionize
from logs import events_of, journeys_of, random_rows

LOG = pd.DataFrame(
    [
        ("ann", 0, "ad", 0, "web", 0, "pro"),
        ("ann", 5, "cart", 0, "app", 0, "pro"),
        ("ann", 90, "buy", 0, "web", 1, "pro"),
        ("ann", 200, "ad", 1, "email", 2, "pro"),
        ("bob", 3, "ad", 0, "web", 0, None),
        ("bob", 4, "chat", 0, None, -1, None),
        ("cem", 7, "cart", 0, "app", 0, "free"),
    ],
    columns=["customer", "time", "touchpoint", "journey", "channel", "session", "plan"],
)
STAGES = {"ad": ("look", "before"), "cart": ("order", "during"), "buy": ("pay", "during")}
ANSWERS = [
    {
        "customer": "ann",
        "instrument": "csat",
        "event": 3,
        "journey": 1,
        "rated_event": 2,
        "score": 5.0,
        "time": 200,
    },
    {
        "customer": "bob",
        "instrument": "csat",
        "event": 5,
        "journey": 2,
        "rated_event": -1,
        "score": 1.0,
        "time": 4,
    },
]
INVITES = [{"customer": "cem", "instrument": "csat", "journey": 3, "time": 9}]


@pytest.fixture
def journeys():
    return journeys_of(LOG, stages=STAGES, goal="buy", answers=ANSWERS, invites=INVITES)


@pytest.fixture
def partition(journeys):
    return journeys.partitions[0]


def touchpoints(journeys):
    frame = journeys.to_frame()
    return frame.groupby(["customer_id", "journey"])["touchpoint"].agg(list).to_dict()


# ── size and frames ──────────────────────────────────────────────────────────────────────────────────────


def test_sizes(journeys):
    assert (len(journeys), journeys.n_events, journeys.n_customers) == (4, 7, 3)


def test_the_event_frame_has_a_row_per_event(journeys):
    frame = journeys.to_frame()
    assert list(frame)[:10] == [
        "customer_id",
        "journey",
        "position",
        "timestamp",
        "event",
        "touchpoint",
        "channel",
        "phase",
        "stage",
        "session",
    ]
    assert frame["position"].tolist() == [0, 1, 2, 0, 0, 1, 0]
    assert frame["session"].isna().tolist() == [False] * 5 + [True, False]
    assert frame["stage"].tolist() == ["look", "order", "pay", "look", "look", None, "order"]


def test_the_event_frame_ends_with_the_value_and_what_was_kept():
    log = table(
        {
            "who": ["ann", "bob", "ann"],
            "when": ["2026-03-01", "2026-03-02", "2026-03-03"],
            "what": ["ad", "buy", "buy"],
            "price": [None, "49.9", "12"],
            "plan": ["pro", None, "pro"],
            "page": ["/", "/cart", "/cart"],
        },
        customer="who", timestamp="when", event="what", value="price", currency="=EUR", keep=["plan"],
        tz="UTC",
    )  # fmt: skip
    journeys = sessionize(ingest(log))
    frame = journeys.to_frame()
    assert list(frame)[10:] == [
        "event_id", "rated_touchpoint", "rated_stage", "rated_phase", "value", "currency", "plan",
    ]  # fmt: skip
    assert frame["value"].fillna(-1).tolist() == [-1, 12, 49.9]
    assert frame["plan"].fillna("none").tolist() == ["pro", "pro", "none"]
    assert list(journeys.to_arrow().column_names) == list(frame)


def test_the_event_frame_has_no_value_where_no_event_has_one(journeys):
    assert list(journeys.to_frame())[-1] == "plan"
    log = table(
        {"who": ["ann"], "when": ["2026-03-01"]}, customer="who", timestamp="when", event="=ad", tz="UTC"
    )
    assert list(sessionize(ingest(log)).to_frame())[-1] == "rated_phase"


def test_the_event_frame_takes_any_column_by_name(journeys):
    events = events_of(
        [
            {"timestamp": 0, "source": "shop", "properties": '{"cart": {"items": 3}}', "seen": True},
            {"timestamp": 1, "source": "desk", "user_id": "u1"},
        ],
        extra=[pa.field("customer.plan", pa.string()), pa.field("seen", pa.bool_())],
    )
    asked = ["source", "properties.cart.items", "customer.plan", "seen", "journey"]
    frame = sessionize(events).to_frame([*asked, "source"])
    assert list(frame) == asked
    assert frame["source"].tolist() == ["shop", "desk"]
    assert frame["properties.cart.items"].isna().tolist() == [False, True]
    assert journeys.to_frame(["rated_channel", "person"])["person"].unique().tolist() == ["known"]
    with pytest.raises(UnknownNameError, match="Did you mean 'position'"):
        journeys.to_frame(["postion"])
    with pytest.raises(UnknownNameError, match="Did you mean 'plan'"):
        journeys.to_frame(["customer_id", "plann"])


def test_the_case_frame_has_a_row_per_journey(journeys):
    cases = journeys.cases()
    first = cases.iloc[0]
    assert (first["customer_id"], first["journey"], first["events"], first["converted"]) == (
        "ann",
        0,
        3,
        True,
    )
    assert first["goal_time"] == first["end"]
    assert first["duration"] == pd.Timedelta(minutes=90)
    assert (first["first_touchpoint"], first["last_touchpoint"]) == ("ad", "buy")
    assert cases["goal_time"].isna().tolist() == [False, True, True, True]
    assert cases["closed_at"].isna().all()


def test_the_answer_frame_has_answers_and_invites(journeys):
    frame = journeys.answers()
    assert frame["customer_id"].tolist() == ["ann", "bob", "cem"]
    assert frame["invite"].tolist() == [False, False, True]
    assert frame["journey"].tolist() == [1, 0, 0]


def test_frames_do_not_depend_on_the_partitions():
    rng = np.random.default_rng(0)
    rows = random_rows(rng, n_customers=12, n_events=80)
    one, three = journeys_of(rows), journeys_of(rows, n_partitions=3)
    pd.testing.assert_frame_equal(one.to_frame(), three.to_frame())
    pd.testing.assert_frame_equal(one.cases(), three.cases())


def test_the_report_s_shares_are_of_all_events():
    rows = [{"timestamp": 0}, {"timestamp": 1, "is_bot": True}, {"timestamp": 2}, {"timestamp": 3}]
    report = sessionize(events_of(rows)).report().to_frame().set_index("what")
    assert report.loc["in journeys"].tolist() == [3, 0.75]
    assert report.loc["bots"].tolist() == [1, 0.25]


def test_the_card_names_the_model_or_says_that_there_is_none(journeys):
    assert "none: one journey per customer" in journeys._repr_html_()
    assert repr(journeys) == "<Journeys: 4 journeys of 3 customers, 7 events, 4 touchpoints, 2 phases>"


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────


def test_journeys_and_customers_are_runs_of_rows(partition):
    assert partition.units("journey").offsets.tolist() == [0, 3, 4, 6, 7]
    assert partition.units("journey").customer.tolist() == [0, 0, 1, 2]
    assert partition.units("customer").offsets.tolist() == [0, 4, 6, 7]
    assert partition.units("customer").order is None


def test_sessions_leave_out_events_without_one(partition):
    units = partition.units("session")
    assert units.offsets.tolist() == [0, 2, 3, 4, 5, 6]
    assert units.customer.tolist() == [0, 0, 0, 1, 2]
    assert units.arrange(partition.event("time")).tolist() == [m * 60_000_000 for m in (0, 5, 90, 200, 3, 7)]


def test_sessions_that_overlap_are_pulled_apart():
    rows = LOG.iloc[:4].assign(session=[0, 1, 0, 1], journey=0)
    partition = journeys_of(rows).partitions[0]
    units = partition.units("session")
    assert units.order.tolist() == [0, 2, 1, 3]
    assert units.offsets.tolist() == [0, 2, 4]


def test_an_unknown_unit_is_named(partition):
    with pytest.raises(UnknownNameError, match="Did you mean 'session'"):
        partition.units("sesion")


def test_goal_times_by_model_marker_or_touchpoint(partition):
    minute = 60_000_000
    never = np.iinfo(np.int64).max
    assert partition.goal_times(None).tolist() == [90 * minute, never, never, never]
    assert partition.goal_times("goal").tolist() == [90 * minute, never, never, never]
    assert partition.goal_times("cart").tolist() == [5 * minute, never, never, 7 * minute]
    with pytest.raises(UnknownNameError, match="Did you mean 'cart'"):
        partition.goal_times("carrt")


# ── columns and labels ───────────────────────────────────────────────────────────────────────────────────


def test_labels_of_coded_columns_are_the_codebook_s(partition):
    codes, names = partition.labels("stage")
    assert names == ("look", "order", "pay")
    assert codes.tolist() == [0, 1, 2, 0, 0, -1, 1]


def test_labels_of_other_columns_are_sorted_and_missing_is_minus_one(partition):
    codes, names = partition.labels("plan")
    assert names == ("free", "pro")
    assert codes.tolist() == [1, 1, 1, 1, -1, -1, 0]


def test_labels_name_only_what_occurs():
    events = events_of(
        [{"timestamp": 0, "channel": "web"}, {"timestamp": 1, "channel": "app", "is_bot": True}]
    )
    assert sessionize(events).partitions[0].labels("event").names == ("x",)
    partition = sessionize(events, include_bots=True).partitions[0]
    assert partition.cut(np.array([True, False])).labels("source").names == ("log",)
    assert partition.cut(np.array([False, True])).table(["channel"]).column(0).to_pylist() == ["app"]


def test_labels_of_numbers_are_text(partition):
    assert partition.labels("journey").names == ("0", "1")


def test_a_column_that_is_not_there_is_named(partition):
    with pytest.raises(UnknownNameError, match="Did you mean 'plan'"):
        partition.table(["plann"])


# ── take and cut ─────────────────────────────────────────────────────────────────────────────────────────


def test_taking_journeys_keeps_them_whole(partition):
    taken = partition.take(np.array([False, True, False, True]))
    assert taken.customer_ids.to_pylist() == ["ann", "cem"]
    assert taken.journey("customer").tolist() == [0, 1]
    assert taken.offsets.tolist() == [0, 1, 2]
    assert taken.labels("plan").names == ("free", "pro")


def test_cutting_events_drops_journeys_without_any(partition):
    cut = partition.cut(partition.event("touchpoint") == partition.codebook.touchpoints.index("cart"))
    assert cut.customer_ids.to_pylist() == ["ann", "cem"]
    assert cut.journey("n_events").tolist() == [1, 1]


def test_answers_follow_their_events(partition):
    taken = partition.take(np.array([False, True, True, True]))
    assert taken.answer("event").tolist() == [0, 2, -1]
    assert taken.answer("rated_event").tolist() == [-1, -1, -1]
    assert taken.answer("journey").tolist() == [0, 1, 2]
    assert taken.answer("customer").tolist() == [0, 1, 2]


def test_answers_of_events_that_are_gone_are_gone(partition):
    taken = partition.take(np.array([True, False, False, False]))
    assert len(taken.answer("event")) == 0


def test_taking_everything_changes_nothing(journeys, partition):
    taken = replace(journeys, partitions=(partition.take(np.ones(4, dtype=bool)),))
    pd.testing.assert_frame_equal(taken.to_frame(), journeys.to_frame())
    pd.testing.assert_frame_equal(taken.answers(), journeys.answers())


def test_taking_nothing_leaves_an_empty_partition(partition):
    taken = partition.take(np.zeros(4, dtype=bool))
    assert (taken.n_events, taken.n_journeys, taken.n_customers) == (0, 0, 0)
    assert taken.offsets.tolist() == [0]


# ── select ───────────────────────────────────────────────────────────────────────────────────────────────


def test_select_by_a_touchpoint_that_occurs(journeys):
    assert touchpoints(journeys.select(containing="cart")) == {
        ("ann", 0): ["ad", "cart", "buy"], ("cem", 0): ["cart"]}  # fmt: skip
    assert touchpoints(journeys.select(containing=["cart", "buy"])) == {("ann", 0): ["ad", "cart", "buy"]}


def test_select_by_a_condition_on_any_event(journeys):
    assert list(touchpoints(journeys.select(where={"plan": "free"}))) == [("cem", 0)]
    assert list(touchpoints(journeys.select(where={"touchpoint": "chat", "channel": {"exists": False}}))) == [
        ("bob", 0)
    ]
    assert len(journeys.select(where={})) == 4


def test_select_by_the_start_includes_the_first_bound_only(journeys):
    minute = pd.Timedelta(minutes=1)
    epoch = pd.Timestamp(0, tz="UTC")
    chosen = journeys.select(started=(epoch + 3 * minute, epoch + 7 * minute))
    assert list(touchpoints(chosen)) == [("bob", 0)]
    assert len(journeys.select(started=(None, "1970-01-01 00:03"))) == 1
    assert len(journeys.select(started=("1970-01-01 00:03", None))) == 3


def test_select_by_channel_cuts_events_and_says_so(journeys):
    chosen = journeys.select(channel=["app", "email"])
    assert touchpoints(chosen) == {("ann", 0): ["cart"], ("ann", 1): ["ad"], ("cem", 0): ["cart"]}
    assert chosen.accounting["left out by select"] == 4


def test_selections_add_up_what_they_leave_out(journeys):
    chosen = journeys.select(containing="cart").select(touchpoint="cart")
    assert chosen.accounting["left out by select"] == 5
    assert chosen.report().to_frame()["events"].sum() == 7


def test_select_names_what_is_not_there(journeys):
    for how in (
        {"containing": "carrt"},
        {"touchpoint": "carrt"},
        {"channel": "ap"},
        {"where": {"plann": "x"}},
    ):
        with pytest.raises(UnknownNameError):
            journeys.select(**how)
    with pytest.raises(InputError, match="pair"):
        journeys.select(started=("2026-01-01",))


# ── validate ─────────────────────────────────────────────────────────────────────────────────────────────


def test_good_journeys_are_valid(journeys):
    journeys.validate()


def damaged(journeys, of, name, values):
    partition = journeys.partitions[0]
    columns = getattr(partition, of)
    arrays = {one: columns.read([one]).column(0).to_numpy() for one in columns.names}
    arrays[name] = np.asarray(values, dtype=arrays[name].dtype)
    return replace(journeys, partitions=(replace(partition, **{of: MemoryColumns.of(arrays)}),))


@pytest.mark.parametrize(
    ("of", "name", "values", "fault"),
    [
        ("cases", "n_events", [3, 1, 2, 2], "offsets"),
        ("cases", "n_events", [4, -1, 3, 1], "offsets"),
        ("cases", "customer", [0, 1, 0, 2], "not in order"),
        ("cases", "customer", [0, 0, 1, 3], "customer"),
        ("events", "time", [0, 9, 5, 1, 1, 1, 1], "time decreases"),
        ("events", "touchpoint", [0, 1, 2, 9, 0, 1, 2], "touchpoint code"),
        ("events", "touchpoint", [0, 1, 2, -1, 0, 1, 2], "touchpoint code"),
        ("events", "phase", [0, 0, 7, 0, 0, 0, 0], "phase code"),
        ("events", "stage", [0, 0, -2, 0, 0, 0, 0], "stage code"),
        ("answers", "rated_event", [7, -1, -1], "answer"),
        ("answers", "journey", [1, 2, 4], "answer"),
    ],
)
def test_damage_is_found(journeys, of, name, values, fault):
    with pytest.raises(CJMError, match=fault) as caught:
        damaged(journeys, of, name, values).validate()
    assert len(caught.value.failures) == 1


def test_a_customer_in_two_partitions_is_found(journeys):
    twice = replace(journeys, partitions=journeys.partitions * 2)
    with pytest.raises(CJMError, match="in two partitions"):
        twice.validate()


def test_the_observation_end_is_that_of_the_sources_that_matter(journeys):
    codebook = replace(
        journeys.codebook,
        progress=(True, True, False, False),
        sources=(frozenset({"web"}), frozenset({"web", "app"}), frozenset({"survey"}), frozenset()),
    )
    ends = {"web": 30, "app": 20, "survey": 10}
    journeys = replace(journeys, codebook=codebook, observation_ends=ends)
    assert journeys.observed_until() == 20
    assert journeys.observed_until([0]) == 30
    assert journeys.observed_until([2]) == 10
    assert journeys.observed_until([3]) == 10


def test_every_column_of_the_contract_is_there(partition):
    for name in EVENT_COLUMNS:
        assert len(partition.event(name)) == 7
    for name in JOURNEY_COLUMNS:
        assert len(partition.journey(name)) == 4


def test_relabelled_touchpoints_are_grouped_renamed_and_hidden():
    rows = [("a", t, name) for t, name in enumerate(["/p/1", "ping", "/p/2", "cart_v2", "buy"])]
    journeys = journeys_of(rows, goal="buy")
    found = journeys.relabel(group={"/p/*": "product"}, rename={r"(\w+)_v\d": r"\1"}, hide="pi*")
    assert found.to_frame()["touchpoint"].tolist() == ["product", "product", "cart", "buy"]
    assert found.codebook.touchpoints == ("product", "buy", "cart", "ping")
    assert dict(zip(*found.report().to_frame()[["what", "events"]].to_numpy().T, strict=True))["hidden"] == 1
    found.validate()
    assert journeys.to_frame()["touchpoint"].tolist() == ["/p/1", "ping", "/p/2", "cart_v2", "buy"]


def test_relabelled_journeys_can_be_stored(tmp_path):
    rows = [("a", 0, "x1"), ("a", 1, "x2"), ("b", 0, "y")]
    found = journeys_of(rows).relabel(group={"x?": "x"})
    found.write(tmp_path / "store")
    assert open_journeys(tmp_path / "store").to_frame()["touchpoint"].tolist() == ["x", "x", "y"]


def test_relabelling_what_is_not_there_is_an_error():
    journeys = journeys_of([("a", 0, "checkout")])
    with pytest.raises(UnknownNameError, match="Did you mean 'checkout'"):
        journeys.relabel(hide="chekout")
    with pytest.raises(UnknownNameError, match="rename="):
        journeys.relabel(rename={"z.*": "z"})
    with pytest.raises(InputError, match="no regular expression"):
        journeys.relabel(rename={"(": "z"})
