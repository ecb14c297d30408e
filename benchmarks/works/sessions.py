"""Sessions by a gap of 30 minutes: the number of each event's session within its customer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ours import forget
from place import clickhouse_session

TITLE = "sessions by a 30-minute gap"
GOALS = (("cjm, from disk", ("DuckDB", "Polars", "ClickHouse, MergeTree"), 5),)
GAP = 30 * 60_000_000


@dataclass(frozen=True)
class Numbered:
    """A question to each partition: the number of its sessions, and the sum of their numbers."""

    def map(self, partition):
        session = partition.event("session")
        last = np.maximum.reduceat(session, partition.offsets[:-1])
        return np.array([len(last) + last.sum(dtype=np.int64), session.sum(dtype=np.int64)])

    def finalize(self, partial):
        return partial.tolist()


def disk(place):
    import cjm_analytics as cjm
    from cjm_analytics.engine import run

    def ask():
        forget()
        journeys = cjm.sessionize(cjm.open_events(place.events), progress=False)
        return run(Numbered(), journeys, None)

    return ask


def merge_tree(place):
    session = clickhouse_session(place.clickhouse)
    query = f"""
        WITH starts AS (
            SELECT customer, timestamp, toUnixTimestamp64Micro(timestamp) - lagInFrame(
                toUnixTimestamp64Micro(timestamp), 1, toUnixTimestamp64Micro(timestamp)) OVER (
                PARTITION BY customer ORDER BY timestamp ROWS BETWEEN 1 PRECEDING AND CURRENT ROW
            ) > {GAP} AS is_new FROM bench.log),
        numbered AS (
            SELECT customer, is_new, sum(is_new) OVER (PARTITION BY customer ORDER BY timestamp
                ROWS UNBOUNDED PRECEDING) AS number FROM starts)
        SELECT uniqExact(customer) + countIf(is_new), sum(number) FROM numbered
    """
    return lambda: [int(n) for n in str(session.query(query, "CSV")).split(",")]


def duckdb(place):
    import duckdb as peer

    connection = peer.connect(str(place.duckdb), read_only=True)
    query = f"""
        WITH starts AS (
            SELECT customer, timestamp, coalesce(epoch_us(timestamp) - lag(epoch_us(timestamp)) OVER (
                PARTITION BY customer ORDER BY timestamp) > {GAP}, false) AS is_new FROM log),
        numbered AS (
            SELECT customer, is_new, sum(is_new::INT) OVER (PARTITION BY customer ORDER BY timestamp
                ROWS UNBOUNDED PRECEDING) AS number FROM starts)
        SELECT count(DISTINCT customer) + count(*) FILTER (is_new), sum(number) FROM numbered
    """
    return lambda: [int(n) for n in connection.execute(query).fetchone()]


def polars(place):
    import polars as pl

    def ask():
        rows = pl.scan_parquet(place.sorted).select("customer", t=pl.col("timestamp").dt.epoch("us"))
        first = (pl.col("customer") != pl.col("customer").shift(1)).fill_null(value=True)
        rows = rows.with_columns(first=first, new=first | (pl.col("t").diff() > GAP).fill_null(value=True))
        rows = rows.with_columns(total=pl.col("new").cast(pl.Int64).cum_sum())
        before = pl.when("first").then(pl.col("total")).forward_fill()
        found = rows.select(pl.col("total").max(), number=(pl.col("total") - before).sum())
        return list(found.collect().row(0))

    return ask


WAYS = {
    "cjm, from disk": disk,
    "ClickHouse, MergeTree": merge_tree,
    "DuckDB": duckdb,
    "Polars": polars,
}
