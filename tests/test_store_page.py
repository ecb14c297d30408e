"""The page about the event store: its queries give what the library gives."""

from __future__ import annotations

import json
import re
import shutil
import warnings

import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.events.ingest import ingest
from eventlogs import NOW, Rows, click


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of several runs with different columns, with files of its former version beside them."""
    monkeypatch.chdir(tmp_path)
    first = [click(f"u{one % 20}", one, ["view", "buy"][one % 2]) for one in range(100)]
    ingest(Rows(first), to="store", now=NOW, n_partitions=4)
    ingest(Rows([click(None, 2_000, "view", anonymous_id="d")]), to="store", now=NOW)
    last = [click(f"u{one}", 3_000, "buy", channel="web") for one in range(20)]
    ingest(Rows([*last, click("u3", 3_001, "buy", anonymous_id="d")]), to="store", now=NOW)
    listed = json.loads((tmp_path / "store" / "manifest.json").read_text())["events"]
    assert len(listed) > 4
    assert len(list(tmp_path.glob("store/events/*/*.parquet"))) > len(listed)
    return tmp_path / "store"


@pytest.fixture
def expected(store):
    frame = cjm.open_events(store).to_frame(["event", "customer_id"])
    assert len(frame) == 122
    return (
        frame.groupby("event")
        .agg(events=("event", "size"), customers=("customer_id", "nunique"))
        .reset_index()
    )


def block(root, title, language):
    """The code under a heading of the page."""
    text = (root / "docs" / "store.md").read_text().split(f"### {title}\n")[1]
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL).group(1)


def test_duckdb_reads_the_store_as_the_page_says(root, expected):
    import duckdb

    connection = duckdb.connect()
    *settings, query = [one for one in block(root, "DuckDB", "sql").split(";") if one.strip()]
    for one in settings:
        connection.execute(one)
    pd.testing.assert_frame_equal(connection.sql(query).df(), expected, check_dtype=False)
    connection.close()


@pytest.mark.parametrize("title", ["Polars", "pandas"])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_frame_library_reads_the_store_as_the_page_says(title, root, expected):
    names: dict = {}
    exec(block(root, title, "python"), names)  # noqa: S102 - the page's own words
    counts = pd.DataFrame(names["counts"].to_dict() if title == "pandas" else names["counts"].to_dicts())
    pd.testing.assert_frame_equal(counts, expected, check_dtype=False)


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip(
        "pyspark.sql", reason="pyspark is not installed: pip install cjm_analytics[spark]"
    )
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, and there is none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = (
            sql.SparkSession.builder.master("local[1]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.driver.host", "127.0.0.1")
            .getOrCreate()
        )
    yield session
    session.stop()


@pytest.mark.filterwarnings("ignore")
def test_spark_reads_the_store_as_the_page_says(spark, root, store, expected):
    code = block(root, "Spark", "python").replace('"store/', f'"{store}/')  # the JVM has a folder of its own
    names: dict = {"spark": spark}
    exec(code, names)  # noqa: S102 - the page's own words
    counts = pd.DataFrame([row.asDict() for row in names["counts"].collect()])
    pd.testing.assert_frame_equal(counts, expected, check_dtype=False)
