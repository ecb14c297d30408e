"""Rows in bins: how many stay in memory, and that all come back."""

import numpy as np
import pyarrow as pa
import pytest

from cjm_analytics.events.scatter import BINS, Room, Scatter, bin_of


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr("cjm_analytics.events.scatter._MORSEL", 16)
    monkeypatch.setattr("cjm_analytics.events.scatter._SPILLED", 32)


def by_id(table):
    return bin_of(table.column("id").combine_chunks())


def some_rows(first, n=200):
    return pa.table({"id": [f"c{number}" for number in range(first, first + n)], "number": range(n)})


def ids(scatter):
    return sorted(one for piece in scatter.tables(range(BINS)) for one in piece.column("id").to_pylist())


def filled(folder, room):
    scatter = Scatter(by_id, folder, room)
    for first in range(0, 200, 20):
        scatter.add(some_rows(first, 20))
    scatter.close()
    return scatter


def files(folder):
    return len(list(folder.glob("*"))) if folder.exists() else 0


def test_scatters_share_what_may_stay_in_memory(tmp_path):
    room = Room(filled(None, Room(0)).n_bytes)
    one, other = (filled(tmp_path / name, room) for name in ("one", "other"))
    assert files(tmp_path / "one") == 0
    assert files(tmp_path / "other") > 0
    assert ids(one) == ids(other) == sorted(some_rows(0).column("id").to_pylist())


def test_who_forgets_its_rows_leaves_their_room_to_the_others(tmp_path):
    before = filled(None, Room(0)).n_bytes
    room = Room(before)
    first = filled(tmp_path / "first", room)
    first.clear()
    assert room == Room(before)
    assert (first.n_rows, first.n_bytes, ids(first)) == (0, 0, [])
    assert files(tmp_path / "first") == 0
    filled(tmp_path / "second", room)
    assert files(tmp_path / "second") == 0


def test_wide_rows_go_into_bins_by_their_bytes(monkeypatch):
    monkeypatch.setattr("cjm_analytics.events.scatter._MORSEL", 10**9)
    monkeypatch.setattr("cjm_analytics.events.scatter._MORSEL_BYTES", 10_000)
    scatter = Scatter(by_id, None, Room(0))
    scatter.add(pa.table({"id": ["ann"], "text": ["x" * 9_000]}))
    assert int(np.sum(scatter.rows)) == 0
    scatter.add(pa.table({"id": ["ann"], "text": ["x" * 9_000]}))
    assert int(np.sum(scatter.rows)) == 2
