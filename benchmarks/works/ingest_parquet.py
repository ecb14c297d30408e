"""A raw log in Parquet files into a store sorted by customer and time."""

from __future__ import annotations

from ingesting import ways

TITLE = "ingest Parquet"
GOALS = (("cjm", ("ClickHouse",), 1), ("cjm", ("DuckDB",), 3))
WAYS = ways("Parquet", "read_parquet", lambda place: place.parquet)
