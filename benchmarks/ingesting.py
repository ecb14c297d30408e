"""Reading a raw log of some format into a store sorted by customer and time."""

from __future__ import annotations

import shutil

from place import CLICKHOUSE_TABLE, clickhouse_session, source

TYPES = "customer String, timestamp DateTime64(6, \\'UTC\\'), event String, channel String"


def ours(place, pattern):
    import cjm_analytics as cjm

    target = place.scratch / "ours"

    def ask():
        shutil.rmtree(target, ignore_errors=True)
        events = cjm.ingest(source(place, pattern), to=target, progress=False)
        return [len(events), events.report().identity.customers]

    return ask


def clickhouse(place, pattern, form):
    """Into a MergeTree table, and every part merged."""
    folder = place.scratch / "clickhouse"
    shutil.rmtree(folder, ignore_errors=True)
    session = clickhouse_session(folder)
    session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
    session.query("USE bench")
    # Times are written as 2026-01-01T00:00:00.000000Z.
    settings = "" if form == "Parquet" else " SETTINGS date_time_input_format = 'best_effort'"

    def ask():
        session.query("DROP TABLE IF EXISTS log SYNC")
        session.query(CLICKHOUSE_TABLE)
        session.query(f"INSERT INTO log SELECT * FROM file('{pattern}', {form}, '{TYPES}'){settings}")
        session.query("OPTIMIZE TABLE log FINAL")
        answer = str(session.query("SELECT count(), uniqExact(customer) FROM log", "CSV"))
        return [int(n) for n in answer.split(",")]

    return ask


def duckdb(place, pattern, reader):
    """Into a sorted Parquet file."""
    import duckdb as peer

    target = place.scratch / "duckdb.parquet"

    def ask():
        with peer.connect() as connection:
            connection.execute(
                f"COPY (SELECT * FROM {reader}('{pattern}') ORDER BY customer, timestamp) "
                f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
            )
            return list(
                connection.execute(f"SELECT count(*), count(DISTINCT customer) FROM '{target}'").fetchone()
            )

    return ask


def ways(form, reader, pattern):
    """The three ways; `pattern` says where the files of a place are."""
    return {
        "cjm": lambda place: ours(place, pattern(place)),
        "ClickHouse": lambda place: clickhouse(place, pattern(place), form),
        "DuckDB": lambda place: duckdb(place, pattern(place), reader),
    }
