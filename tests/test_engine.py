"""What the engine does: counted work, not time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import cjm_analytics as cjm
from cjm_analytics import columns
from cjm_analytics.analysis.dropoff import DropOffAnalysis
from cjm_analytics.analysis.funnel import FunnelAnalysis
from cjm_analytics.analysis.journey_map import JourneyMapAnalysis
from cjm_analytics.analysis.paths import PathsAnalysis
from cjm_analytics.analysis.transitions import TransitionsAnalysis
from cjm_analytics.columns import HeldColumns, MemoryColumns
from cjm_analytics.engine.local import LocalEngine
from cjm_analytics.errors import InputError
from logs import journeys_of, random_rows

ROAD = {"A": ("aware", "before"), "B": ("compare", "before"), "C": ("pay", "during"), "D": ("use", "after")}


@dataclass(frozen=True, eq=False)
class Watched:
    """Columns that note which of them are read."""

    source: columns.Columns
    seen: set = field(default_factory=set)

    @property
    def n_rows(self):
        return self.source.n_rows

    @property
    def names(self):
        return self.source.names

    def read(self, names):
        self.seen.update(names)
        return self.source.read(names)

    def take(self, rows):
        return self.source.take(rows)


def a_log():
    rows = random_rows(np.random.default_rng(5), n_customers=9, n_events=80)
    return journeys_of(rows, stages=ROAD, n_partitions=3)


def read_by(plan):
    """The columns of events, of journeys and of answers, and the stored ones, that an analysis reads."""
    journeys = a_log()
    parts = ("events", "cases", "answers", "rows")
    watched = tuple(
        replace(one, **{name: Watched(getattr(one, name)) for name in parts}) for one in journeys.partitions
    )
    analysis = plan(replace(journeys, partitions=watched))
    for one in watched:
        for name in parts:
            getattr(one, name).seen.clear()
    LocalEngine(threads=1).run_all([analysis], replace(journeys, partitions=watched))
    return {name: set().union(*(getattr(one, name).seen for one in watched)) for name in parts}


def test_a_funnel_of_touchpoints_reads_their_codes_and_times_only():
    seen = read_by(lambda journeys: FunnelAnalysis.plan(journeys, ["A", "B"]))
    assert seen["events"] == {"touchpoint", "time"}
    assert seen["cases"] <= {"n_events", "customer", "closed"}
    assert seen["answers"] == seen["rows"] == set()


def test_transitions_without_times_read_no_times():
    seen = read_by(lambda journeys: TransitionsAnalysis.plan(journeys, times=False))
    assert seen["events"] <= {"touchpoint", "phase"}
    assert seen["answers"] == seen["rows"] == set()


def test_paths_of_channels_read_channels_and_not_touchpoints():
    seen = read_by(lambda journeys: PathsAnalysis.plan(journeys, of="channel"))
    assert seen["events"] <= {"channel", "time", "phase"}
    assert seen["rows"] == set()


def test_drop_off_reads_what_is_stored_only_for_a_group():
    assert read_by(DropOffAnalysis.plan)["rows"] == set()
    grouped = read_by(lambda journeys: DropOffAnalysis.plan(journeys, by="customer_id"))
    assert grouped["rows"] == {"customer_id"}


@pytest.fixture
def touched(monkeypatch):
    """How often each coded column of each file was asked for."""
    found = Counter()
    really = columns.MappedColumns.read

    def counting(self, names):
        found.update((self.path.name, self.path.parent.name, name) for name in names)
        return really(self, names)

    monkeypatch.setattr(columns.MappedColumns, "read", counting)
    return found


@pytest.fixture
def decoded(monkeypatch):
    """How often each packed column was read from its file."""
    found = Counter()
    really = columns.pq.ParquetFile

    class Counting(really):
        def read(self, columns=None, **more):
            found.update(columns)
            return super().read(columns=columns, **more)

    monkeypatch.setattr(columns.pq, "ParquetFile", Counting)
    return found


@pytest.fixture
def no_budget():
    cjm.set_memory_budget(0)
    yield
    cjm.set_memory_budget("512 MB")


@pytest.mark.parametrize("threads", [1, 2])
def test_analyses_that_share_a_pass_take_each_column_once(tmp_path, touched, threads):
    a_log().write(tmp_path / "journeys")
    journeys = cjm.open_journeys(tmp_path / "journeys")
    analyses = [
        FunnelAnalysis.plan(journeys, ["A", "B"]),
        PathsAnalysis.plan(journeys),
        TransitionsAnalysis.plan(journeys),
        JourneyMapAnalysis.plan(journeys),
    ]
    touched.clear()
    LocalEngine(threads=threads).run_all(analyses, journeys)
    assert set(touched.values()) == {1}
    assert {name for file, _, name in touched if file == "events.arrow"} >= {"touchpoint", "time"}


def test_a_second_breakdown_decodes_nothing_while_the_budget_lasts(tmp_path, decoded):
    a_log().write(tmp_path / "journeys")
    journeys = cjm.open_journeys(tmp_path / "journeys")
    first = cjm.funnel(journeys, ["A", "B"], by="event").to_frame()
    assert set(decoded) == {"event"}
    decoded.clear()
    assert cjm.funnel(journeys, ["A", "B"], by="event").to_frame().equals(first)
    assert not decoded


@pytest.mark.usefixtures("no_budget")
def test_without_a_budget_columns_are_decoded_again(tmp_path, decoded):
    a_log().write(tmp_path / "journeys")
    journeys = cjm.open_journeys(tmp_path / "journeys")
    first = cjm.funnel(journeys, ["A", "B"], by="event").to_frame()
    before = decoded["event"]
    assert cjm.funnel(journeys, ["A", "B"], by="event").to_frame().equals(first)
    assert decoded["event"] == 2 * before > 0


@dataclass(frozen=True)
class Order:
    """A partial that remembers in which order it was added."""

    parts: tuple

    def __add__(self, other):
        return Order(self.parts + other.parts)


class Listing:
    """Which partitions there are, in the order in which their partials were added."""

    def map(self, partition):
        return Order((partition.customer_ids[0].as_py(),))

    def finalize(self, partial):
        return partial.parts


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_partials_are_added_in_the_order_of_partitions(threads):
    names = [f"c{number}" for number in range(7)]
    rows = random_rows(np.random.default_rng(1), n_customers=1, n_events=1)
    many = rows.loc[rows.index.repeat(7)].assign(customer=names)
    journeys = journeys_of(many, n_partitions=7)
    (added,) = LocalEngine(threads=threads).run_all([Listing()], journeys)
    assert added == tuple(one.customer_ids[0].as_py() for one in journeys.partitions)
    assert sorted(added) == names


def test_held_columns_read_each_column_once_and_give_the_same():
    table = MemoryColumns.of({"a": np.arange(3), "b": np.arange(3) * 2}).table
    reads = Counter()

    class Noting(MemoryColumns):
        def read(self, names):
            reads.update(names)
            return super().read(names)

    held = HeldColumns(Noting(table))
    assert held.read(["b", "a"]).equals(table.select(["b", "a"]))
    assert held.read(["a"]).equals(table.select(["a"]))
    assert reads == {"a": 1, "b": 1}


def test_fewer_than_one_thread_is_refused():
    with pytest.raises(InputError, match="threads=0"):
        LocalEngine(threads=0)
