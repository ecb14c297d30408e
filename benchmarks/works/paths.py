"""The ten most frequent paths, counted exactly."""

from __future__ import annotations

from ours import forget, opened
from place import clickhouse_session

TITLE = "10 most frequent paths"
GOALS = (("cjm, from disk", ("DuckDB", "Polars", "ClickHouse, MergeTree"), 5),)
TOP = 10


def ranked(rows) -> list[list[object]]:
    """Path and count, the most frequent first, then by text."""
    return [
        [path, n]
        for path, n in sorted(((str(path), int(n)) for path, n in rows), key=lambda r: (-r[1], r[0]))
    ]


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.paths(opened(place.journeys), top=TOP, collapse=False).to_frame()
        return ranked(zip(frame["path"], frame["journeys"], strict=True))

    return ask


def merge_tree(place):
    session = clickhouse_session(place.clickhouse)
    query = (
        "SELECT arrayStringConcat(names, ' → ') AS path, count() AS n FROM ("
        "SELECT groupArray(event) AS names FROM (SELECT customer, event FROM bench.log "
        "ORDER BY customer, timestamp) GROUP BY customer) "
        f"GROUP BY names ORDER BY n DESC, path LIMIT {TOP} SETTINGS optimize_aggregation_in_order = 1"
    )
    return lambda: ranked(row.rsplit("\t", 1) for row in str(session.query(query, "TSV")).splitlines())


def duckdb(place):
    import duckdb as peer

    connection = peer.connect(str(place.duckdb), read_only=True)
    query = (
        "SELECT path, count(*) AS n FROM (SELECT string_agg(event, ' → ' ORDER BY timestamp) AS path "
        f"FROM log GROUP BY customer) GROUP BY path ORDER BY n DESC, path LIMIT {TOP}"
    )
    return lambda: ranked(connection.execute(query).fetchall())


def polars(place):
    import polars as pl

    def ask():
        counted = (
            pl.scan_parquet(place.sorted)
            .select("customer", pl.col("event").cast(pl.String))
            .group_by("customer", maintain_order=True)
            .agg(path=pl.col("event").str.join(" → "))
            .group_by("path")
            .agg(n=pl.len())
        )
        return ranked(counted.sort(["n", "path"], descending=[True, False]).head(TOP).collect().rows())

    return ask


WAYS = {
    "cjm, from disk": disk,
    "ClickHouse, MergeTree": merge_tree,
    "DuckDB": duckdb,
    "Polars": polars,
}
