"""How often columns are read from their files, by how much memory they may take."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cjm_analytics as cjm
from cjm_analytics import columns

ROWS = 1_000
COLUMN = 9 * ROWS
"""Bytes that one column of one file needs, and a little more."""


@pytest.fixture(autouse=True)
def budget():
    yield
    cjm.set_memory_budget("512 MB")


@pytest.fixture
def files(tmp_path):
    """Three files with two columns of equal size."""
    for name in "abc":
        table = pa.table({"time": np.arange(ROWS), "code": np.arange(ROWS)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return {name: columns.FileColumns(tmp_path / f"{name}.parquet") for name in "abc"}


@pytest.fixture
def decoded(monkeypatch):
    """The columns that were read from files, in order."""
    found = []
    really = columns.pq.ParquetFile

    class Noting(really):
        def read(self, columns=None, **more):
            found.append(tuple(columns))
            return super().read(columns=columns, **more)

    monkeypatch.setattr(columns.pq, "ParquetFile", Noting)
    return found


def test_what_fits_is_read_once(files, decoded):
    cjm.set_memory_budget(6 * COLUMN)
    for name in "abcabc":
        files[name].read(["time", "code"])
    assert decoded == [("time", "code")] * 3


def test_only_what_is_missing_is_read(files, decoded):
    files["a"].read(["time"])
    files["a"].read(["time", "code"])
    assert decoded == [("time",), ("code",)]


def test_a_pass_over_more_than_fits_is_streamed(files, decoded):
    cjm.set_memory_budget(2 * COLUMN)
    for name in "abcabc":
        files[name].read(["time"])
    assert len(decoded) == 6


def test_the_column_that_was_not_used_for_longest_gives_way(files, decoded):
    cjm.set_memory_budget(2 * COLUMN)
    for name in "abacab":
        files[name].read(["time"])
    # a, b and c are read, c takes the room of b, a stays, and b is read again.
    assert len(decoded) == 4


def test_a_column_larger_than_the_budget_is_never_held(files, decoded):
    cjm.set_memory_budget(8 * ROWS - 1)
    for name in "aa":
        assert files[name].read(["time"]).column("time").to_pylist() == list(range(ROWS))
    assert len(decoded) == 2


def test_a_smaller_budget_lets_go_at_once(files, decoded):
    files["a"].read(["time"])
    cjm.set_memory_budget(0)
    cjm.set_memory_budget("512 MB")
    files["a"].read(["time"])
    assert len(decoded) == 2
