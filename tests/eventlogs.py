"""Tiny event sources for tests: rows in, batches out, without any loader."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd
import pyarrow as pa

from cjm_analytics.schema import CUSTOMERS, LINKS, LOADED, REJECTS, Batch

NOW = "2026-06-01"
"""The clock of the tests."""


@dataclass(frozen=True)
class Rows:
    """A source of literal rows, `size` of them per batch."""

    rows: list[dict]
    name: str = "web"
    dedupe: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    size: int = 1_000
    links: list[dict] = field(default_factory=list)
    customers: list[dict] = field(default_factory=list)
    rejects: list[dict] = field(default_factory=list)
    excluded: int = 0
    copies: str = "first"

    def batches(self):
        if self.links or self.customers or self.rejects or self.excluded:
            yield Batch(
                events=LOADED.empty_table(),
                n_read=len(self.rejects) + self.excluded,
                rejects=pa.Table.from_pylist(self.rejects, schema=REJECTS),
                links=pa.Table.from_pylist(self.links, schema=LINKS),
                customers=pa.Table.from_pylist(self.customers, schema=CUSTOMERS),
                n_excluded=self.excluded,
            )
        for start in range(0, len(self.rows), self.size):
            rows = self.rows[start : start + self.size]
            yield Batch(events=as_table(rows, self.keep), n_read=len(rows))


@dataclass(frozen=True)
class Files:
    """A source of named files, each a list of rows."""

    files: dict[str, list[dict]]
    name: str = "web"
    dedupe: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def fingerprints(self):
        return {file: f"{file}-{rows!r}" for file, rows in self.files.items()}

    def without(self, files):
        return replace(self, files={one: rows for one, rows in self.files.items() if one not in files})

    def batches(self):
        for file, rows in self.files.items():
            yield Batch(events=as_table([{**row, "src_file": file} for row in rows]), n_read=len(rows))


def as_table(rows: list[dict], keep: tuple[str, ...] = ()) -> pa.Table:
    """Rows as canonical columns, those only that a row names; the others of `keep` with their own types."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name in keep:
            columns[name] = pa.array(values)
            continue
        kind = LOADED.field(name).type
        if pa.types.is_timestamp(kind):
            values = [None if value is None else pd.Timestamp(value, tz="UTC") for value in values]
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        columns[name] = pa.array(values, plain).cast(kind)
    return pa.table(columns)


def click(user=None, at="2026-03-01", event="view", **more):
    """One row; `at` is a time, or a number of minutes after the first of March."""
    if isinstance(at, (int, float)):
        at = pd.Timestamp("2026-03-01") + pd.Timedelta(minutes=at)
    return {"user_id": user, "timestamp": at, "event": event, **more}
