"""Appending in sorted runs: the store of one ingest, without writing the old rows again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import InputError, StoreError, UnknownNameError
from cjm_analytics.events import growth
from cjm_analytics.events import ingest as ingesting
from cjm_analytics.events.folder import Folder
from cjm_analytics.events.ingest import ingest
from eventlogs import NOW, Files, Rows, click


def random_parts(rng, n_parts, *, with_ids):
    """Rows of consecutive days: late, repeated and tied ones, logins before and after what they claim."""
    parts = []
    for day in range(n_parts):
        rows = []
        for _ in range(int(rng.integers(5, 60))):
            more = {"seq": int(rng.integers(0, 3)), "channel": rng.choice(["web", "app", None])}
            if rng.random() < 0.7:
                more["anonymous_id"] = f"d{rng.integers(25)}"
            if rng.random() < 0.3:
                more["received_at"] = pd.Timestamp("2026-03-08") + pd.Timedelta(int(rng.integers(9)), "D")
            user = f"u{rng.integers(25)}" if rng.random() < 0.3 or "anonymous_id" not in more else None
            late = int(rng.integers(0, 12)) * 60 if rng.random() < 0.1 else 0
            at = max(day * 1440 + int(rng.integers(0, 40)) - late, 0)
            if with_ids and rng.random() < 0.8:
                # Of a device that may turn out to be shared, one event has one time: else it is two people's.
                more["event_id"] = f"{user} {more.get('anonymous_id')} {rng.integers(3) if user else at}"
            rows.append(click(user, at, str(rng.choice(["view", "cart", "buy"])), **more))
        rows += [dict(one) for one in rows[:2]]
        if parts:
            rows += [dict(one) for one in parts[-1][-3:]]
        parts.append(rows)
    return parts


def a_source(rows, rng, *, with_ids, day):
    customers = [
        {
            "user_id": f"u{rng.integers(25)}",
            "timestamp": pd.Timestamp("2026-03-01", tz="UTC") + pd.Timedelta(days=day),
            "attribute": "plan",
            "value": str(rng.choice(["trial", "pro"])),
        }
        for _ in range(int(rng.integers(0, 2)))
    ]
    return Rows(rows, dedupe=("event_id",) if with_ids else (), customers=customers)


def files_of(path):
    """The bytes of every bucket of a store."""
    manifest = Folder(path).manifest()
    return [[(path / run.path).read_bytes() for run in runs] for runs in manifest.runs()]


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_appended_parts_are_the_store_of_one_ingest_to_the_last_byte_once_compacted(seed, with_ids, tmp_path):
    rng = np.random.default_rng(seed)
    n_partitions = int(rng.integers(1, 9))
    days = [
        a_source(rows, rng, with_ids=with_ids, day=day)
        for day, rows in enumerate(random_parts(rng, 5, with_ids=with_ids))
    ]
    whole = ingest(days, to=tmp_path / "whole", now=NOW, n_partitions=n_partitions)
    for day in days:
        grown = ingest(day, to=tmp_path / "grown", now=NOW, n_partitions=n_partitions)
    for events in (grown, grown.compact(n_partitions=n_partitions)):
        pd.testing.assert_frame_equal(events.to_frame(), whole.to_frame())
        pd.testing.assert_frame_equal(events.report().to_frame(), whole.report().to_frame())
        assert events.report().identity == whole.report().identity
        assert events.codebooks == whole.codebooks
        assert events.schema == whole.schema
        assert events.observation_ends == whole.observation_ends
    assert files_of(tmp_path / "grown") == files_of(tmp_path / "whole")


class TestRuns:
    def written(self, path):
        return set(path.glob("events/*/*.parquet"))

    def test_a_day_becomes_a_run_beside_the_files_that_are_there(self, tmp_path):
        everybody = [f"u{one}" for one in range(60)]
        ingest(Rows([click(one, 0) for one in everybody]), to=tmp_path, now=NOW, n_partitions=4)
        before = self.written(tmp_path)
        events = ingest(Rows([click(one, 1440) for one in everybody]), to=tmp_path, now=NOW)
        after = self.written(tmp_path)
        assert before < after
        assert [len(runs) for runs in Folder(tmp_path).manifest().runs()] == [2, 2, 2, 2]
        assert events.to_frame()["customer_id"].tolist() == sorted(everybody * 2)

    def test_partitions_without_new_rows_are_left_alone(self, tmp_path):
        ingest(Rows([click(f"u{one}", 0) for one in range(60)]), to=tmp_path, now=NOW, n_partitions=8)
        ingest(Rows([click("u7", 1440)]), to=tmp_path, now=NOW)
        assert sorted(len(runs) for runs in Folder(tmp_path).manifest().runs()) == [1] * 7 + [2]

    def test_a_login_writes_anew_only_the_partitions_that_its_events_leave_and_join(self, tmp_path):
        rows = [click(f"u{one}", 0) for one in range(60)] + [click(None, 5, anonymous_id="tablet")]
        ingest(Rows(rows), to=tmp_path, now=NOW, n_partitions=16)
        before = self.written(tmp_path)
        events = ingest(Rows([click("u3", 1440, anonymous_id="tablet")]), to=tmp_path, now=NOW)
        listed = {tmp_path / file.path for file in Folder(tmp_path).manifest().events}
        assert len(before - listed) == 2
        frame = events.to_frame(["customer_id", "event"])
        assert (frame["customer_id"] == "u3").sum() == 3

    def test_a_first_visit_with_a_login_writes_nothing_anew(self, tmp_path):
        ingest(Rows([click(f"u{one}", 0) for one in range(60)]), to=tmp_path, now=NOW, n_partitions=4)
        before = self.written(tmp_path)
        ingest(Rows([click("u3", 1440, anonymous_id="new tablet")]), to=tmp_path, now=NOW)
        assert before <= {tmp_path / file.path for file in Folder(tmp_path).manifest().events}

    def test_only_duplicates_add_no_run(self, tmp_path):
        rows = [click("a", 0), click("b", 1)]
        ingest(Rows(rows), to=tmp_path, now=NOW, n_partitions=4)
        events = ingest(Rows(rows), to=tmp_path, now=NOW)
        assert sum(map(len, Folder(tmp_path).manifest().runs())) == 4
        assert events.report().to_frame()[["read", "kept", "duplicates"]].to_numpy().tolist() == [[4, 2, 2]]

    def test_the_earlier_received_of_two_rows_stays_whichever_came_first(self, tmp_path):
        late = click("a", 0, event_id="e", received_at="2026-03-05")
        early = click("a", 9, event_id="e", received_at="2026-03-02")
        ingest(Rows([late], dedupe=("event_id",)), to=tmp_path, now=NOW)
        events = ingest(Rows([early], dedupe=("event_id",)), to=tmp_path, now=NOW)
        assert events.to_frame()["timestamp"].dt.minute.tolist() == [9]
        assert events.report().to_frame()[["read", "kept", "duplicates"]].to_numpy().tolist() == [[2, 1, 1]]

    def test_a_partition_of_many_runs_is_written_anew(self, tmp_path, monkeypatch):
        monkeypatch.setattr(growth, "_MOST_RUNS", 3)
        counts = []
        for day in range(5):
            ingest(Rows([click("a", day * 1440)]), to=tmp_path, now=NOW)
            counts.append(len(Folder(tmp_path).manifest().runs()[0]))
        assert counts == [1, 2, 3, 1, 2]

    def test_a_store_that_outgrew_its_partitions_gets_more(self, tmp_path, monkeypatch):
        monkeypatch.setattr(ingesting, "_ROWS_PER_PARTITION", 10)
        sizes = []
        for day in range(6):
            rows = [click(f"u{one}", day * 1440) for one in range(10)]
            sizes.append(len(ingest(Rows(rows), to=tmp_path, now=NOW).partitions))
        assert sizes == [1, 1, 4, 4, 4, 4]
        assert len(cjm.open_events(tmp_path)) == 60

    def test_rows_without_a_place_of_their_own_are_numbered_on(self, tmp_path):
        ingest(Rows([click("a", 0, "one"), click("a", 0, "two")]), to=tmp_path, now=NOW)
        events = ingest(Rows([click("a", 0, "a third")]), to=tmp_path, now=NOW)
        assert events.to_frame(["event", "seq"]).to_numpy().tolist() == [
            ["one", 0],
            ["two", 1],
            ["a third", 2],
        ]

    def test_merged_partitions_read_columns_that_only_some_runs_have(self, tmp_path):
        ingest(Rows([click("a", 0, channel="web"), click("a", 9)]), to=tmp_path, now=NOW)
        events = ingest(Rows([click("a", 5, url="/cart", properties='{"n": 3}')]), to=tmp_path, now=NOW)
        frame = events.to_frame(["channel", "url", "properties.n"])
        assert frame.fillna("").to_numpy().tolist() == [["web", "", ""], ["", "/cart", "3"], ["", "", ""]]
        rows = events.partitions[0].columns.take(np.array([1]))
        assert rows.read(["url"]).column("url").to_pylist() == ["/cart"]


class TestCompact:
    def test_events_in_memory_have_nothing_to_compact(self):
        with pytest.raises(InputError, match="in memory"):
            ingest(Rows([click("a", 0)]), now=NOW).compact()

    def test_a_store_that_is_gone_is_named(self, tmp_path):
        events = ingest(Rows([click("a", 0)]), to=tmp_path / "store", now=NOW)
        (tmp_path / "store").rename(tmp_path / "moved")
        with pytest.raises(StoreError, match="no event store"):
            events.compact()

    def test_rows_that_were_kept_twice_on_purpose_stay(self, tmp_path):
        events = ingest(Rows([click("a", 0), click("a", 0)]), to=tmp_path, now=NOW, dedupe=False)
        assert len(events.compact()) == 2

    def test_rejects_and_attributes_stay(self, tmp_path):
        traits = [{"user_id": "a", "timestamp": None, "attribute": "plan", "value": "pro"}]
        ingest(
            Rows([click("a", 0), click(None, 0)], customers=traits), to=tmp_path, now=NOW, max_reject_share=1
        )
        events = ingest(Rows([click("a", 9)]), to=tmp_path, now=NOW).compact()
        assert events.rejects()["reason"].tolist() == ["no customer id"]
        assert events.to_frame(["customer.plan"])["customer.plan"].tolist() == ["pro", "pro"]

    def test_reading_goes_on_while_the_store_is_compacted(self, tmp_path):
        ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW)
        old = ingest(Rows([click("a", 9)]), to=tmp_path, now=NOW)
        old.compact()
        cjm.set_memory_budget(0)
        try:
            assert len(old.to_frame()) == 2
        finally:
            cjm.set_memory_budget("512 MB")


class TestReplace:
    MARCH = ("2026-03-01", "2026-03-02")

    def test_rows_of_the_window_give_way_to_those_that_come(self, tmp_path):
        old = [click("a", 0, "wrong"), click("a", 1439, "wrong"), click("a", 1440, "stays")]
        ingest(Rows(old), to=tmp_path, now=NOW)
        events = ingest(Rows([click("a", 5, "right")]), to=tmp_path, now=NOW, replace=self.MARCH)
        assert events.to_frame()["event"].tolist() == ["right", "stays"]
        assert events.report().to_frame()[["read", "kept"]].to_numpy().tolist() == [[2, 2]]
        assert events.report().notes == (
            "Replaced 2 rows of 'web' from 2026-03-01 00:00:00 to 2026-03-02 00:00:00 (UTC).",
        )

    def test_other_sources_keep_their_rows(self, tmp_path):
        ingest([Rows([click("a", 0)]), Rows([click("a", 1)], name="crm")], to=tmp_path, now=NOW)
        events = ingest(Rows([], name="crm"), to=tmp_path, now=NOW, replace=self.MARCH)
        assert events.to_frame()["source"].tolist() == ["web"]
        assert events.codebooks["source"] == ("web",)

    def test_each_source_may_have_its_window(self, tmp_path):
        web, crm = Rows([click("a", 0)]), Rows([click("a", 1)], name="crm")
        ingest([web, crm], to=tmp_path, now=NOW, dedupe=False)
        events = ingest([web, crm], to=tmp_path, now=NOW, dedupe=False, replace={"crm": self.MARCH})
        assert events.to_frame()["source"].tolist() == ["web", "web", "crm"]

    def test_a_file_that_was_read_before_is_read_again(self, tmp_path):
        log = Files({"monday": [click("a", 0)]})
        ingest(log, to=tmp_path, now=NOW)
        events = ingest(log, to=tmp_path, now=NOW, replace=self.MARCH)
        assert len(events) == 1
        assert events.report().to_frame()[["read", "kept"]].to_numpy().tolist() == [[1, 1]]

    @pytest.mark.parametrize("seed", range(6))
    def test_a_reloaded_window_makes_the_store_of_the_corrected_log(self, seed, tmp_path):
        rng = np.random.default_rng(seed)
        days = [
            [
                click(f"u{rng.integers(20)}", day * 1440 + int(rng.integers(1440)), seq=one)
                for one in range(30)
            ]
            for day in range(4)
        ]
        corrected = [{**row, "event": "mended"} for row in days[2][:20]]
        whole = ingest(Rows([*days[0], *days[1], *corrected, *days[3]]), to=tmp_path / "whole", now=NOW)
        for day in days:
            ingest(Rows(day), to=tmp_path / "grown", now=NOW)
        window = ("2026-03-03", "2026-03-04")
        grown = ingest(Rows(corrected), to=tmp_path / "grown", now=NOW, replace=window)
        pd.testing.assert_frame_equal(grown.to_frame(), whole.to_frame())
        grown.compact()
        assert files_of(tmp_path / "grown") == files_of(tmp_path / "whole")

    @pytest.mark.parametrize(
        ("window", "message"),
        [
            (("2026-03-02", "2026-03-01"), "is empty"),
            ("2026-03-02", "is no window"),
            (("soon", "later"), "is no timestamp"),
        ],
    )
    def test_a_window_without_meaning_is_an_error(self, window, message, tmp_path):
        with pytest.raises(InputError, match=message):
            ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW, replace=window)

    def test_a_source_that_is_not_given_cannot_be_replaced(self, tmp_path):
        with pytest.raises(UnknownNameError, match="web"):
            ingest(Rows([click("a", 0)]), to=tmp_path, now=NOW, replace={"crm": self.MARCH})

    def test_memory_has_nothing_to_replace(self):
        with pytest.raises(InputError, match="to="):
            ingest(Rows([click("a", 0)]), now=NOW, replace=self.MARCH)
