"""Paths, transitions, rework and n-grams as PM4Py and DuckDB count them, on random and on real logs."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from logs import journeys_of

duckdb = pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
def pm4py():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pm4py")


def random_log(seed, n_cases=300, alphabet="ABCDEFG"):
    """Cases of one to fifteen events, no two of a case at the same time."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"case {case:04d}", 10 * place + int(rng.integers(0, 9)), str(rng.choice(list(alphabet))))
        for case in range(n_cases)
        for place in range(int(rng.integers(1, 16)))
    ]
    return pd.DataFrame(rows, columns=["customer", "time", "touchpoint"])


def shop(shared_data):
    """The sessions of a web shop, in the order in which they stand in the log."""
    log = pd.read_csv(shared_data / "ecom" / "ecom_5x.csv.gz", parse_dates=["timestamp"]).drop_duplicates()
    log = log.sort_values(["session_id", "timestamp"], kind="stable")
    log = log.drop_duplicates(["session_id", "timestamp"])
    since = (log["timestamp"] - log["timestamp"].min()).dt.total_seconds() / 60
    return pd.DataFrame({"customer": log["session_id"], "time": since, "touchpoint": log["event"]})


def milestones(shared_data):
    """The milestones of a market's orders."""
    log = pd.read_parquet(shared_data / "olist" / "events.parquet").sort_values(
        ["order_id", "timestamp", "rank"]
    )
    log = log.drop_duplicates(["order_id", "timestamp"])
    since = (log["timestamp"] - log["timestamp"].min()).dt.total_seconds() / 60
    return pd.DataFrame({"customer": log["order_id"], "time": since, "touchpoint": log["event"]})


@pytest.fixture(scope="module", params=["random", "other random", "shop", "milestones"])
def log(request):
    """One log after another: generated ones, and real ones where there are some."""
    if request.param.endswith("random"):
        return random_log(len(request.param))
    shared = request.getfixturevalue("shared_data")
    return {"shop": shop, "milestones": milestones}[request.param](shared)


@pytest.fixture(scope="module")
def journeys(log):
    return stored(log)


def stored(log):
    """The log by the whole road: a journey per case."""
    frame = log.assign(at=pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(log["time"] * 60, unit="s"))
    source = cjm.loaders.table(frame, customer="customer", timestamp="at", event="touchpoint")
    return cjm.sessionize(cjm.ingest(source, now="2040-01-01"))


@pytest.fixture(scope="module")
def cases(log, pm4py):
    frame = pd.DataFrame(
        {
            "case:concept:name": log["customer"].astype(str),
            "concept:name": log["touchpoint"].astype(str),
            "time:timestamp": pd.Timestamp("2026-01-01", tz="UTC")
            + pd.to_timedelta(log["time"] * 60, unit="s"),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pm4py.format_dataframe(
            frame, case_id="case:concept:name", activity_key="concept:name", timestamp_key="time:timestamp"
        )


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("quiet")
class TestProcessMining:
    def test_variants(self, journeys, cases, pm4py):
        found = cjm.paths(journeys, collapse=False, top=None).to_frame()
        theirs = {" → ".join(names): int(n) for names, n in pm4py.get_variants(cases).items()}
        assert dict(zip(found["path"], found["journeys"], strict=True)) == theirs

    def test_directly_follows_start_and_end(self, journeys, cases, pm4py):
        found = cjm.transitions(journeys).to_frame()
        counts = {(one.source, one.target): one.count for one in found.itertuples()}
        pairs, starts, ends = pm4py.discover_dfg(cases)
        theirs = {pair: int(n) for pair, n in pairs.items()}
        theirs |= {("(start)", name): int(n) for name, n in starts.items()}
        theirs |= {(name, "(end)"): int(n) for name, n in ends.items()}
        assert counts == theirs

    def test_rework(self, journeys, cases, pm4py):
        found = cjm.rework(journeys).to_frame()
        again = {name: n for name, n in zip(found["name"], found["again"], strict=True) if n}
        theirs = pm4py.get_rework_cases_per_activity(cases)
        assert again == {name: int(n) for name, n in theirs.items() if n}

    def test_eventually_follows(self, journeys, cases, pm4py):
        found = cjm.rework(journeys).follows()
        ours = set(zip(found["name"], found["followed_by"], strict=True))
        assert ours == set(pm4py.discover_eventually_follows_graph(cases))

    def test_touchpoints_and_lengths(self, journeys, cases, pm4py):
        found = cjm.rework(journeys).to_frame()
        theirs = pm4py.get_event_attribute_values(cases, "concept:name")
        assert dict(zip(found["name"], found["events"], strict=True)) == {
            name: int(n) for name, n in theirs.items()
        }


def asked(log, query):
    """The answer of DuckDB on the log as table `log`."""
    connection = duckdb.connect()
    connection.register("log", log.assign(customer=log["customer"].astype(str)))
    return connection.execute(query).fetchall()


class TestWindows:
    def test_transitions(self, journeys, log):
        found = cjm.transitions(journeys).to_frame()
        ours = {(one.source, one.target): (one.count, one.journeys) for one in found.itertuples()}
        inside = {pair: n for pair, n in ours.items() if not {"(start)", "(end)"} & set(pair)}
        rows = asked(
            log,
            """with pairs as (select customer, touchpoint as a,
                 lead(touchpoint) over (partition by customer order by time) as b from log)
               select a, b, count(*), count(distinct customer) from pairs
               where b is not null group by a, b""",
        )
        assert inside == {(a, b): (n, units) for a, b, n, units in rows}

    def test_median_time_from_one_to_the_next(self, journeys, log):
        found = cjm.transitions(journeys).to_frame().dropna(subset=["median_time"])
        rows = asked(
            log,
            """with pairs as (select touchpoint as a, time,
                 lead(touchpoint) over w as b, lead(time) over w as later from log
                 window w as (partition by customer order by time))
               select a, b, median(later - time) from pairs where b is not null group by a, b""",
        )
        theirs = {(a, b): minutes for a, b, minutes in rows}
        for one in found.itertuples():
            if (one.source, one.target) in theirs:
                ours = one.median_time.total_seconds() / 60
                assert ours == pytest.approx(theirs[one.source, one.target], rel=0.02, abs=0.02)

    @pytest.mark.parametrize("n", [2, 3, 4])
    def test_ngrams(self, journeys, log, n):
        found = cjm.ngrams(journeys, n, collapse=False, top=None).to_frame()
        names = " || ' → ' || ".join(f"a{place}" for place in range(n))
        leads = ", ".join(f"lead(touchpoint, {place}) over w as a{place}" for place in range(1, n))
        rows = asked(
            log,
            f"""with runs as (select customer, touchpoint as a0, {leads} from log
                  window w as (partition by customer order by time))
                select {names}, count(*), count(distinct customer) from runs
                where a{n - 1} is not null group by 1""",
        )
        ours = {
            run: (n, units) for run, n, units in found[["ngram", "count", "journeys"]].to_numpy().tolist()
        }
        assert ours == {run: (n, units) for run, n, units in rows}

    def test_paths(self, journeys, log):
        found = cjm.paths(journeys, top=None).to_frame()
        rows = asked(
            log,
            """with steps as (select customer, time, touchpoint,
                 lag(touchpoint) over (partition by customer order by time) as before from log),
               taken as (select customer, string_agg(touchpoint, ' → ' order by time) as path
                 from steps where before is null or before <> touchpoint group by customer)
               select path, count(*) from taken group by path""",
        )
        assert dict(zip(found["path"], found["journeys"], strict=True)) == dict(rows)

    def test_flow_positions(self, journeys, log):
        found = cjm.flow(journeys, positions=4, top=None, collapse=False).to_frame()
        rows = asked(
            log,
            """with places as (select customer, touchpoint as a,
                 row_number() over w - 1 as place, lead(touchpoint) over w as b from log
                 window w as (partition by customer order by time))
               select place, a, coalesce(b, '(end)'), count(*) from places
               where place < 3 group by 1, 2, 3""",
        )
        links = found[~found["source"].isin(["(end)"])]
        ours = {(one.position, one.source, one.target): one.passes for one in links.itertuples()}
        assert ours == {(place, a, b): n for place, a, b, n in rows}


def test_the_two_roads_agree():
    """Journeys built by hand are those of the whole road."""
    log = random_log(3, n_cases=40)
    by_hand = cjm.paths(journeys_of(log), top=None).to_frame()
    pd.testing.assert_frame_equal(
        by_hand[["path", "journeys"]], cjm.paths(stored(log), top=None).to_frame()[["path", "journeys"]]
    )
