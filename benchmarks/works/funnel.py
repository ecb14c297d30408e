"""Four steps within seven days of the first: how many customers come how far."""

from __future__ import annotations

from ours import forget, opened
from place import clickhouse_session

TITLE = "4-step funnel with a window"
STEPS = ("product_view", "add_to_cart", "checkout", "purchase")
DAYS = 7
GOALS = (
    ("cjm, from disk", ("ClickHouse, MergeTree",), 5),
    ("cjm, from disk", ("ClickHouse, raw Parquet",), 12),
    ("cjm, in memory", ("ClickHouse, MergeTree",), 12),
)
WINDOW = DAYS * 86_400_000_000


def reached(levels: dict[int, int]) -> list[int]:
    """From customers by the step that they came to: customers that came to each step or past it."""
    return [sum(n for level, n in levels.items() if level >= step) for step in range(1, len(STEPS) + 1)]


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.funnel(opened(place.journeys), STEPS, within=f"{DAYS} days").to_frame()
        return frame["reached"].tolist()

    return ask


def memory(place):
    import cjm_analytics as cjm

    cjm.set_memory_budget("64 GB")
    journeys = opened(place.journeys)

    def ask():
        return cjm.funnel(journeys, STEPS, within=f"{DAYS} days").to_frame()["reached"].tolist()

    return ask


def _clickhouse(session, table):
    tests = ", ".join(f"event = '{name}'" for name in STEPS)
    query = (
        f"SELECT level, count() FROM (SELECT windowFunnel({WINDOW})(toUInt64(toUnixTimestamp64Micro("
        f"timestamp)), {tests}) AS level FROM {table} GROUP BY customer) GROUP BY level"
    )

    def ask():
        rows = str(session.query(query, "CSV")).split()
        return reached({int(level): int(n) for level, n in (row.split(",") for row in rows)})

    return ask


def merge_tree(place):
    return _clickhouse(clickhouse_session(place.clickhouse), "bench.log")


def raw_parquet(place):
    import chdb

    return _clickhouse(chdb, f"file('{place.parquet}', Parquet)")


def duckdb(place):
    import duckdb as peer

    connection = peer.connect(str(place.duckdb), read_only=True)
    names = ", ".join(f"'{name}'" for name in STEPS)
    # The latest first step from which each step was reached in time: a later start is never worse.
    query = f"WITH s0 AS (SELECT customer, epoch_us(timestamp) AS t, event FROM log WHERE event IN ({names}))"
    over = "OVER (PARTITION BY customer ORDER BY t ROWS UNBOUNDED PRECEDING)"
    for number, name in enumerate(STEPS):
        start = "t" if number == 0 else f"c{number - 1}"
        fits = f"event = '{name}' AND t - {start} <= {WINDOW}"
        query += f", s{number + 1} AS (SELECT *, max(CASE WHEN {fits} THEN {start} END) {over} AS c{number} "
        query += f"FROM s{number})"
    counts = ", ".join(
        f"count(DISTINCT customer) FILTER (c{number} IS NOT NULL)" for number in range(len(STEPS))
    )
    query += f" SELECT {counts} FROM s{len(STEPS)}"
    return lambda: list(connection.execute(query).fetchone())


def polars(place):
    import polars as pl

    def ask():
        rows = pl.scan_parquet(place.sorted).select(
            "customer", pl.col("event").cast(pl.String), t=pl.col("timestamp").dt.epoch("us")
        )
        rows = rows.filter(pl.col("event").is_in(STEPS))
        start = pl.col("t")
        for number, name in enumerate(STEPS):
            fits = (pl.col("event") == name) & (pl.col("t") - start <= WINDOW)
            latest = pl.when(fits).then(start).cum_max().forward_fill().over("customer")
            rows = rows.with_columns(latest.alias(f"c{number}"))
            start = pl.col(f"c{number}")
        counts = [
            pl.col("customer").filter(pl.col(f"c{number}").is_not_null()).n_unique().alias(f"n{number}")
            for number in range(len(STEPS))
        ]
        return list(rows.select(counts).collect().row(0))

    return ask


WAYS = {
    "cjm, from disk": disk,
    "cjm, in memory": memory,
    "ClickHouse, MergeTree": merge_tree,
    "ClickHouse, raw Parquet": raw_parquet,
    "DuckDB": duckdb,
    "Polars": polars,
}
