"""A raw log in CSV files into a store sorted by customer and time; a quarter of the log."""

from __future__ import annotations

from ingesting import ways

TITLE = "ingest CSV (a quarter of the log)"
GOALS = (("cjm", ("DuckDB",), 1),)
WAYS = ways("CSVWithNames", "read_csv", lambda place: str(place.text("csv") / "*.csv"))
