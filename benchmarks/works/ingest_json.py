"""A raw log in JSON lines into a store sorted by customer and time; a quarter of the log."""

from __future__ import annotations

from ingesting import ways

TITLE = "ingest JSON lines (a quarter of the log)"
GOALS = (("cjm", ("DuckDB",), 1),)
WAYS = ways("JSONEachRow", "read_json", lambda place: str(place.text("jsonl") / "*.jsonl"))
