"""The event store on disk: appended, killed, damaged, locked, moved."""

from __future__ import annotations

import errno
import json
import os
import shutil
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import InputError, StoreError
from cjm_analytics.events.ingest import ingest
from eventlogs import NOW, Files, Rows, click


def days(rng, n_days=3, per_day=40):
    """Rows of consecutive days, some of them late, some twice, with devices that log in sooner or later."""
    parts = []
    for day in range(n_days):
        rows = []
        for _ in range(per_day):
            row = click(
                f"u{rng.integers(6)}" if rng.random() < 0.5 else None,
                int(day * 1440 + rng.integers(-60, 1440)),
                str(rng.choice(["view", "cart", "buy"])),
                anonymous_id=f"d{rng.integers(9)}",
                seq=int(rng.integers(0, 5)),
            )
            rows.append(row)
        rows += [dict(one) for one in rows[:3]]
        if parts:
            rows += [dict(one) for one in parts[-1][-4:]]
        parts.append(rows)
    return parts


class TestAppend:
    @pytest.mark.parametrize("seed", range(8))
    def test_daily_parts_make_the_store_of_one_ingest(self, seed, tmp_path):
        rng = np.random.default_rng(seed)
        parts = days(rng)
        whole = ingest(Rows([row for part in parts for row in part]), to=tmp_path / "whole", now=NOW)
        for part in parts:
            grown = ingest(Rows(part), to=tmp_path / "grown", now=NOW, n_partitions=int(rng.integers(1, 5)))
        pd.testing.assert_frame_equal(whole.to_frame(), grown.to_frame())
        pd.testing.assert_frame_equal(whole.report().to_frame(), grown.report().to_frame())
        assert grown.report().identity == whole.report().identity
        assert grown.codebooks == whole.codebooks
        assert grown.observation_ends == whole.observation_ends

    def test_a_late_login_claims_the_events_of_earlier_days(self, tmp_path):
        ingest(Rows([click(None, 0, anonymous_id="d")]), to=tmp_path, now=NOW)
        events = ingest(Rows([click("ann", 9, anonymous_id="d")]), to=tmp_path, now=NOW)
        assert events.to_frame()["customer_id"].tolist() == ["ann", "ann"]

    def test_a_link_of_an_earlier_day_is_remembered(self, tmp_path):
        links = [{"alias": "d", "user_id": "ann", "timestamp": None}]
        ingest(Rows([click("ann", 0)], links=links), to=tmp_path, now=NOW)
        events = ingest(Rows([click(None, 9, anonymous_id="d")]), to=tmp_path, now=NOW)
        assert events.to_frame()["customer_id"].tolist() == ["ann", "ann"]

    def test_attributes_of_an_earlier_day_are_remembered_and_newer_ones_win(self, tmp_path):
        first = pd.DataFrame({"customer_id": ["a", "b"], "plan": ["trial", "trial"]})
        ingest(Rows([click("a", 0), click("b", 0)]), customers=first, to=tmp_path, now="2026-03-02")
        second = pd.DataFrame({"customer_id": ["a"], "plan": ["pro"]})
        events = ingest(Rows([click("c", 0)]), customers=second, to=tmp_path, now="2026-03-03")
        assert events.to_frame(["customer_id", "customer.plan"]).to_numpy().tolist() == [
            ["a", "pro"],
            ["b", "trial"],
            ["c", None],
        ]

    def test_another_source_joins_the_store(self, tmp_path):
        ingest(Rows([click("a", 0)], name="web"), to=tmp_path, now=NOW)
        events = ingest(Rows([click("a", 5, value=Decimal("3.50"))], name="shop"), to=tmp_path, now=NOW)
        assert events.to_frame(["source", "value"]).fillna(0).to_numpy().tolist() == [
            ["web", 0],
            ["shop", 3.5],
        ]
        assert events.report().to_frame()[["source", "read"]].to_numpy().tolist() == [["shop", 1], ["web", 1]]

    def test_a_promoted_property_keeps_its_values(self, tmp_path):
        ingest(Rows([click("a", 0, size=1)], keep=("size",)), to=tmp_path, now=NOW)
        events = ingest(Rows([click("a", 5, size="big")], keep=("size",)), to=tmp_path, now=NOW)
        assert events.to_frame(["size"])["size"].tolist() == ["1", "big"]

    def test_a_file_that_was_read_before_is_skipped_and_said_so(self, tmp_path):
        monday, tuesday = {"monday": [click("a", 0)]}, {"tuesday": [click("a", 1440)]}
        ingest(Files(monday), to=tmp_path, now=NOW, dedupe=False)
        events = ingest(Files({**monday, **tuesday}), to=tmp_path, now=NOW, dedupe=False)
        assert len(events) == 2
        assert events.report().notes == ("Skipped 1 file of 'web' that had been read before: monday.",)
        assert events.report().to_frame()["read"].tolist() == [2]

    def test_a_file_that_changed_is_read_again(self, tmp_path):
        ingest(Files({"log": [click("a", 0)]}), to=tmp_path, now=NOW)
        events = ingest(Files({"log": [click("a", 0), click("a", 1)]}), to=tmp_path, now=NOW)
        assert events.report().to_frame()[["read", "kept", "duplicates"]].to_numpy().tolist() == [[3, 2, 1]]

    def test_one_file_given_twice_is_read_once(self, tmp_path):
        source = Files({"log": [click("a", 0)]})
        assert len(ingest([source, source], to=tmp_path, now=NOW, dedupe=False)) == 1

    def test_the_files_of_a_loader_are_known_again(self, tmp_path):
        def log(**mapping):
            pattern = str(tmp_path / "day*.csv")
            return cjm.loaders.table(
                pattern, customer="who", timestamp="when", tz="UTC", name="log", **mapping
            )

        (tmp_path / "day1.csv").write_text("who,when,what,also\na,2026-03-01 10:00,view,x\n")
        ingest(log(event="what"), to=tmp_path / "store", now=NOW)
        (tmp_path / "day2.csv").write_text("who,when,what,also\na,2026-03-02 10:00,buy,y\n")
        events = ingest(log(event="what"), to=tmp_path / "store", now=NOW)
        assert events.to_frame()["event"].tolist() == ["view", "buy"]
        assert "Skipped 1 file of 'log'" in events.report().notes[0]
        assert "day1.csv" in events.report().notes[0]
        nothing_new = ingest(log(event="what"), to=tmp_path / "store", now=NOW)
        assert nothing_new.report().to_frame()["read"].tolist() == [2]
        as_other_events = ingest(log(event="also"), to=tmp_path / "store", now=NOW)
        assert as_other_events.to_frame()["event"].tolist() == ["view", "x", "buy", "y"]

    def test_a_declared_end_lasts_until_later_events_come(self, tmp_path):
        def end(events):
            return pd.Timestamp(events.observation_ends["web"], unit="us").strftime("%m-%d")

        assert (
            end(ingest(Rows([click("a", 0)]), complete_until="2026-03-05", to=tmp_path, now=NOW)) == "03-05"
        )
        assert end(ingest(Rows([click("a", 9)], name="web"), to=tmp_path, now=NOW)) == "03-05"
        assert end(ingest(Rows([click("b", 9)], name="crm"), to=tmp_path, now=NOW)) == "03-05"
        assert end(ingest(Rows([click("a", "2026-03-08")]), to=tmp_path, now=NOW)) == "03-08"

    def test_a_failed_append_leaves_the_store_as_it_was(self, tmp_path):
        before = ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW).to_frame()
        with pytest.raises(InputError):
            ingest(Rows([click("b", 0), click("b", None)]), to=tmp_path, now=NOW)
        pd.testing.assert_frame_equal(cjm.open_events(tmp_path).to_frame(), before)
        assert len(list(tmp_path.rglob("*.parquet"))) == 1

    def test_an_older_reader_keeps_its_rows_while_the_store_grows(self, tmp_path):
        old = ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW)
        ingest(Rows([click("b", 0)]), to=tmp_path, now=NOW)
        assert old.to_frame()["customer_id"].tolist() == ["a"]

    def test_a_reader_whose_files_a_later_write_removed_is_told_to_open_the_store_again(self, tmp_path):
        cjm.set_memory_budget(0)
        try:
            old = ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW)
            old.compact()
            assert len(old.to_frame()) == 1
            ingest(Rows([click("b", 0)]), to=tmp_path, now=NOW)
            with pytest.raises(StoreError, match="open the store again"):
                old.to_frame()
        finally:
            cjm.set_memory_budget("512 MB")


class TestFolder:
    def test_a_folder_with_something_else_is_refused(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("irreplaceable")
        with pytest.raises(StoreError, match=r"holds something else \('thesis.txt'\)"):
            ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW)
        assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "events").write_text("")
        with pytest.raises(StoreError, match="is a file"):
            ingest(Rows([click("a", 0)]), to=tmp_path / "events", now=NOW)

    def test_a_foreign_manifest_is_refused(self, tmp_path):
        (tmp_path / "manifest.json").write_text('{"name": "my web app"}')
        for attempt in (
            lambda: ingest(Rows([click("a", 0)]), to=tmp_path),
            lambda: cjm.open_events(tmp_path),
        ):
            with pytest.raises(StoreError, match="belongs to something else"):
                attempt()

    def test_opening_what_is_no_store_says_how_to_make_one(self, tmp_path):
        with pytest.raises(StoreError, match="no event store at"):
            cjm.open_events(tmp_path / "nowhere")

    def test_a_store_may_be_moved(self, tmp_path):
        before = ingest(Rows([click("a", 0), click("b", 1)]), to=tmp_path / "here", now=NOW).to_frame()
        shutil.move(tmp_path / "here", tmp_path / "there")
        pd.testing.assert_frame_equal(cjm.open_events(tmp_path / "there").to_frame(), before)

    def test_other_tools_read_the_folder(self, tmp_path):
        import duckdb

        ingest(Rows([click(f"u{one}", one) for one in range(50)]), to=tmp_path, now=NOW, n_partitions=4)
        files = f"{tmp_path}/events/*/*.parquet"
        query = f"select count(*), count(distinct customer_id), count(distinct bucket) from '{files}'"
        assert duckdb.sql(query).fetchall() == [(50, 50, 4)]

    def test_whole_customers_are_in_one_file_and_sorted(self, tmp_path):
        rng = np.random.default_rng(5)
        rows = [click(f"u{rng.integers(30)}", int(rng.integers(0, 999)), f"{one}") for one in range(500)]
        events = ingest(Rows(rows), to=tmp_path, now=NOW, n_partitions=4)
        seen: set[str] = set()
        for path in sorted(tmp_path.glob("events/*/*.parquet")):
            frame = pq.read_table(path, partitioning=None).to_pandas()
            assert frame.equals(frame.sort_values(["customer_id", "timestamp", "seq"], kind="stable"))
            assert not seen & set(frame["customer_id"])
            seen |= set(frame["customer_id"])
        assert len(seen) == 30
        assert len(events) == 500


class TestDamage:
    @pytest.fixture
    def store(self, tmp_path):
        ingest(Rows([click("a", 0), click("a", 9, anonymous_id="d")]), to=tmp_path / "store", now=NOW)
        return tmp_path / "store"

    def test_a_missing_file_is_named(self, store):
        path = next(store.glob("events/*/*.parquet"))
        path.unlink()
        with pytest.raises(StoreError, match=rf"{path.name} is missing"):
            cjm.open_events(store)

    def test_a_truncated_file_is_named(self, store):
        path = next(store.glob("events/*/*.parquet"))
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(StoreError, match=rf"{path.name} is damaged: it has .* bytes"):
            cjm.open_events(store)

    def test_a_file_with_other_bytes_is_named_when_it_is_read(self, store):
        path = next(store.glob("events/*/*.parquet"))
        path.write_bytes(b"\0" * path.stat().st_size)
        events = cjm.open_events(store)
        with pytest.raises(StoreError, match=rf"{path.name} cannot be read"):
            events.to_frame()
        with pytest.raises(StoreError, match=rf"{path.name} cannot be read"):
            ingest(Rows([click("a", 0)]), to=store, now=NOW)
        assert path.exists()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "cjm_analytics events", "version": 3}'])
    def test_a_damaged_manifest_is_named(self, store, text):
        (store / "manifest.json").write_text(text)
        for attempt in (lambda: cjm.open_events(store), lambda: ingest(Rows([]), to=store)):
            with pytest.raises(StoreError, match=r"manifest\.json (is damaged|belongs)"):
                attempt()
        assert list(store.glob("events/*/*.parquet"))

    def test_a_newer_format_asks_for_an_upgrade(self, store):
        manifest = json.loads((store / "manifest.json").read_text())
        (store / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
        with pytest.raises(StoreError, match=r"written in format 99.*Upgrade"):
            cjm.open_events(store)

    def test_an_older_format_asks_for_the_sources(self, store):
        manifest = json.loads((store / "manifest.json").read_text())
        (store / "manifest.json").write_text(json.dumps({**manifest, "version": 1}))
        with pytest.raises(StoreError, match=r"written in format 1.*Ingest the sources again"):
            cjm.open_events(store)


class TestWriters:
    def test_a_second_writer_is_told_that_the_store_is_in_use(self, tmp_path):
        class Slow(Rows):
            def batches(self):
                here = tmp_path / "store" / "rejects" / "of the first writer"
                here.parent.mkdir()
                here.write_text("still needed")
                with pytest.raises(StoreError, match=rf"in use: process {os.getpid()} is writing"):
                    ingest(Rows([click("b", 0)]), to=tmp_path / "store", now=NOW)
                assert here.exists()
                return super().batches()

        events = ingest(Slow([click("a", 0)]), to=tmp_path / "store", now=NOW)
        assert events.to_frame()["customer_id"].tolist() == ["a"]

    def test_a_full_disk_leaves_the_store_as_it_was_and_says_so(self, tmp_path, monkeypatch):
        before = ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW).to_frame()

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("cjm_analytics.events.folder.pq.ParquetWriter.write_table", full)
        with pytest.raises(StoreError, match="no room left"):
            ingest(Rows([click("b", 0)]), to=tmp_path, now=NOW)
        monkeypatch.undo()
        pd.testing.assert_frame_equal(cjm.open_events(tmp_path).to_frame(), before)
        assert len(list(tmp_path.rglob("*.parquet"))) == 1

    def test_leftovers_are_cleaned_by_the_next_write(self, tmp_path):
        ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW)
        for name in ("events/bucket=0000/dead.parquet", "spill/dead/resolved/0.arrow", "manifest.json.dead"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("half written")
        ingest(Rows([click("b", 0)]), to=tmp_path, now=NOW)
        assert not list(tmp_path.rglob("*dead*"))

    def test_a_first_ingest_that_was_killed_does_not_block_the_next(self, tmp_path):
        (tmp_path / ".lock").write_text("process 1")
        (tmp_path / "events" / "bucket=0000").mkdir(parents=True)
        (tmp_path / "events" / "bucket=0000" / "dead.parquet").write_text("half written")
        assert len(ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW)) == 1
