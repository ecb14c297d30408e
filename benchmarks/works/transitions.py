"""What directly follows what, and how often."""

from __future__ import annotations

from ours import forget, opened
from place import clickhouse_session

TITLE = "transition matrix"
GOALS = (("cjm, from disk", ("DuckDB", "Polars", "ClickHouse, MergeTree"), 10),)


def sorted_rows(rows) -> list[list[object]]:
    return sorted([str(source), str(target), int(n)] for source, target, n in rows)


def _asked(place, *, times):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.transitions(opened(place.journeys), times=times).to_frame()
        inside = frame[(frame["source"] != "(start)") & (frame["target"] != "(end)")]
        return sorted_rows(zip(inside["source"], inside["target"], inside["count"], strict=True))

    return ask


def disk(place):
    return _asked(place, times=False)


def with_times(place):
    return _asked(place, times=True)


def merge_tree(place):
    session = clickhouse_session(place.clickhouse)
    query = (
        "SELECT names[i], names[i + 1], count() FROM (SELECT groupArray(event) AS names FROM "
        "(SELECT customer, event FROM bench.log ORDER BY customer, timestamp) GROUP BY customer) "
        "ARRAY JOIN range(1, length(names)) AS i GROUP BY 1, 2 SETTINGS optimize_aggregation_in_order = 1"
    )
    return lambda: sorted_rows(row.split("\t") for row in str(session.query(query, "TSV")).splitlines())


def duckdb(place):
    import duckdb as peer

    connection = peer.connect(str(place.duckdb), read_only=True)
    query = (
        "SELECT source, event, count(*) FROM (SELECT event, lag(event) OVER (PARTITION BY customer "
        "ORDER BY timestamp) AS source FROM log) WHERE source IS NOT NULL GROUP BY ALL"
    )
    return lambda: sorted_rows(connection.execute(query).fetchall())


def polars(place):
    import polars as pl

    def ask():
        # The file is sorted, so that the neighbour is the row before.
        rows = pl.scan_parquet(place.sorted).select("customer", pl.col("event").cast(pl.Categorical))
        rows = rows.select(
            source=pl.col("event").shift(1),
            target=pl.col("event"),
            same=pl.col("customer") == pl.col("customer").shift(1),
        ).filter("same")
        return sorted_rows(rows.group_by("source", "target").agg(pl.len()).collect().rows())

    return ask


WAYS = {
    "cjm, from disk": disk,
    "cjm, from disk, with median times": with_times,
    "ClickHouse, MergeTree": merge_tree,
    "DuckDB": duckdb,
    "Polars": polars,
}
