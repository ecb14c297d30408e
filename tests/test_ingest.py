"""Ingest: every row accounted for, the same result whatever the order and the cut."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cjm_analytics as cjm
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.events.ingest import ingest
from eventlogs import NOW, Rows, click


def frame_of(*sources, columns=None, **options):
    return ingest(list(sources), now=NOW, **options).to_frame(columns)


def random_log(rng, n=60):
    """Rows with ties, repeats, several ids and columns that only some rows have."""
    rows = []
    for number in range(n):
        row = click(at=int(rng.integers(0, 12)), event=str(rng.choice(["view", "cart", "buy"])))
        row["seq"] = int(rng.integers(0, 3))
        kind = rng.integers(0, 4)
        row["user_id"] = f"u{rng.integers(0, 4)}" if kind != 1 else None
        row["anonymous_id"] = f"d{rng.integers(0, 5)}" if kind else None
        if rng.random() < 0.3:
            row["channel"] = str(rng.choice(["web", "app"]))
        if rng.random() < 0.3:
            row["received_at"] = pd.Timestamp("2026-03-02") + pd.Timedelta(hours=int(rng.integers(0, 9)))
        if rng.random() < 0.2:
            row["event_id"] = f"e{number}"
        rows.append(row)
    return rows


class TestOrder:
    def test_rows_are_sorted_by_customer_then_time_then_seq(self):
        rows = [
            click("b", 1, "first"),
            click("a", 5, "late"),
            click("a", 2, "second", seq=9),
            click("a", 2, "first", seq=1),
        ]
        assert frame_of(Rows(rows), columns=["customer_id", "event"]).to_numpy().tolist() == [
            ["a", "first"],
            ["a", "second"],
            ["a", "late"],
            ["b", "first"],
        ]

    def test_rows_without_seq_keep_the_order_of_their_input(self):
        rows = [click("a", 0, event) for event in ("one", "two", "three", "four")]
        assert frame_of(Rows(rows, size=2))["event"].tolist() == ["one", "two", "three", "four"]

    def test_equal_time_and_seq_is_ordered_by_event_id(self):
        rows = [click("a", 0, "x", seq=0, event_id=one) for one in ("m3", "m1", "m2")]
        assert frame_of(Rows(rows))["event_id"].tolist() == ["m1", "m2", "m3"]

    @pytest.mark.parametrize("seed", range(25))
    def test_the_result_depends_on_nothing_but_the_rows(self, seed):
        rng = np.random.default_rng(seed)
        rows = random_log(rng)
        whole = frame_of(Rows(rows, size=1_000))
        shuffled = [rows[one] for one in rng.permutation(len(rows))]
        cut = int(rng.integers(0, len(rows)))
        for other in (
            frame_of(Rows(shuffled, size=int(rng.integers(1, 30)))),
            frame_of(Rows(shuffled[cut:], size=7), Rows(shuffled[:cut], size=3)),
            frame_of(Rows(shuffled), n_partitions=int(rng.integers(2, 9))),
        ):
            pd.testing.assert_frame_equal(whole, other)

    def test_the_same_rows_through_files_on_disk_give_the_same_result(self, tmp_path, monkeypatch):
        rng = np.random.default_rng(7)
        rows = random_log(rng, 400)
        whole = frame_of(Rows(rows))
        monkeypatch.setattr("cjm_analytics.events.scatter._MORSEL", 16)
        monkeypatch.setattr("cjm_analytics.events.scatter._SPILLED", 32)
        monkeypatch.setattr("cjm_analytics.events.gather._IN_MEMORY", 1_000)
        stored = ingest(Rows(rows, size=11), to=tmp_path / "store", now=NOW, n_partitions=5)
        pd.testing.assert_frame_equal(whole, stored.to_frame())
        assert not list((tmp_path / "store" / "spill").glob("*"))


class TestDuplicates:
    def test_rows_that_agree_in_all_but_their_place_are_one_event(self):
        rows = [click("a", 0, seq=0, src_row=1), click("a", 0, seq=1, src_row=2), click("a", 1, seq=2)]
        events = ingest(Rows(rows), now=NOW)
        assert len(events) == 2
        assert events.report().to_frame()["duplicates"].tolist() == [1]

    def test_rows_that_differ_in_one_property_are_two_events(self):
        rows = [click("a", 0, properties='{"page":1}'), click("a", 0, properties='{"page":2}')]
        assert len(ingest(Rows(rows), now=NOW)) == 2

    def test_a_missing_value_equals_a_missing_value_and_nothing_else(self):
        rows = [click("a", 0, channel=None), click("a", 0, channel=None), click("a", 0, channel="web")]
        assert len(ingest(Rows(rows), now=NOW)) == 2

    def test_all_rows_stay_on_demand(self):
        rows = [click("a", 0), click("a", 0)]
        assert len(ingest(Rows(rows), now=NOW, dedupe=False)) == 2

    def test_a_vendor_id_tells_events_apart_whatever_else_they_say(self):
        rows = [
            click("a", 0, "view", event_id="m1"),
            click("a", 9, "changed", event_id="m1"),
            click("a", 0, "view", event_id="m2"),
        ]
        frame = frame_of(Rows(rows, dedupe=("event_id",)))
        assert frame[["event", "event_id"]].to_numpy().tolist() == [["view", "m1"], ["view", "m2"]]

    def test_the_row_received_first_stays(self):
        rows = [
            click("a", 0, "late copy", event_id="m1", received_at="2026-03-09"),
            click("a", 5, "early copy", event_id="m1", received_at="2026-03-02"),
            click("a", 1, "unknown", event_id="m1"),
        ]
        assert frame_of(Rows(rows, dedupe=("event_id",)))["event"].tolist() == ["early copy"]

    def test_rows_without_the_vendor_id_are_compared_by_content(self):
        rows = [click("a", 0), click("a", 1), click("a", 1), click("a", 2, event_id="m1")]
        assert len(ingest(Rows(rows, dedupe=("event_id",)), now=NOW)) == 3

    def test_the_same_vendor_id_of_two_customers_is_two_events(self):
        rows = [click("a", 0, event_id="m1"), click("b", 0, event_id="m1")]
        assert len(ingest(Rows(rows, dedupe=("event_id",)), now=NOW, n_partitions=1)) == 2

    def test_two_sources_never_repeat_each_other(self):
        events = ingest([Rows([click("a", 0)], name="web"), Rows([click("a", 0)], name="shop")], now=NOW)
        assert events.report().to_frame()["kept"].tolist() == [1, 1]

    def test_several_columns_make_a_key(self):
        rows = [
            click("a", 0, order_id="1", ticket_id="x"),
            click("a", 5, order_id="1", ticket_id="x"),
            click("a", 6, order_id="1", ticket_id="y"),
            click("a", 7, order_id="1"),
        ]
        frame = frame_of(Rows(rows, dedupe=("order_id", "ticket_id")))
        assert frame["ticket_id"].tolist() == ["x", "y", None]

    @pytest.mark.parametrize("seed", range(20))
    def test_duplicates_are_what_a_plain_loop_finds(self, seed):
        rng = np.random.default_rng(100 + seed)
        rows = random_log(rng, 80)
        place = {"seq", "received_at"}
        seen = {
            tuple(sorted((k, v) for k, v in row.items() if k not in place and v is not None)) for row in rows
        }
        assert len(ingest(Rows(rows), now=NOW)) == len(seen)


class TestRejects:
    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            (click("a", 0, None), "no event name"),
            (click("a", 0, ""), "no event name"),
            (click("a", None), "no timestamp"),
            (click(None, 0), "no customer id"),
            (click("", 0, anonymous_id=""), "no customer id"),
            (click("a", "1989-12-31"), "timestamp before 1990-01-01"),
            (click("a", "2026-06-03"), "timestamp more than a day in the future"),
            (click("a", "2026-03-03", received_at="2026-03-01"), "timestamp more than a day in the future"),
            (click("a", 0, "x" * 10_001), "a name or id longer than 10,000 bytes"),
            (click("a" * 10_001, 0), "a name or id longer than 10,000 bytes"),
            (click("a", 0, "nul\0"), "a NUL byte in a name or id"),
            (click(None, 0, anonymous_id="\0"), "a NUL byte in a name or id"),
        ],
    )
    def test_a_row_that_cannot_be_used_is_kept_aside_with_its_reason(self, row, reason):
        good = [click("g", number) for number in range(20)]
        events = ingest(Rows([*good[:9], {**row, "src_file": "log.csv", "src_row": 17}, *good[9:]]), now=NOW)
        assert len(events) == 20
        assert events.rejects()[["source", "src_file", "src_row", "reason"]].to_numpy().tolist() == [
            ["web", "log.csv", 17, reason]
        ]
        assert events.report().reasons()["reason"].tolist() == [reason]

    def test_times_at_the_bounds_are_believed(self):
        rows = [click("a", "1990-01-01"), click("a", "2026-06-02"), click("b", 0, "x" * 10_000)]
        assert len(ingest(Rows(rows), now=NOW)) == 3

    def test_a_late_row_is_judged_by_when_it_was_received(self):
        rows = [click("a", "2026-07-02", received_at="2026-07-01")]
        assert len(ingest(Rows(rows), now=NOW)) == 1

    def test_too_many_rejects_stop_the_ingest_and_show_why(self, tmp_path):
        rows = [click("a", 0), click("a", None), click(None, 3)]
        with pytest.raises(InputError, match=r"2 of 3 rows of source 'web'.*no timestamp") as error:
            ingest(Rows(rows), to=tmp_path / "store", now=NOW)
        assert sorted(error.value.failures["reason"]) == ["no customer id", "no timestamp"]
        assert not (tmp_path / "store").exists()

    def test_rejects_of_the_loader_count_like_those_of_ingest(self):
        source = Rows(
            [click("a", 0)], rejects=[{"src_file": "a.csv", "src_row": 3, "reason": "bad", "raw": "!"}]
        )
        with pytest.raises(InputError):
            ingest(source, now=NOW)
        events = ingest(source, now=NOW, max_reject_share=0.5)
        assert events.rejects().to_dict("records") == [
            {"source": "web", "src_file": "a.csv", "src_row": 3, "reason": "bad", "raw": "!"}
        ]

    def test_rejects_stand_in_the_store_too(self, tmp_path):
        rows = [click("a", one) for one in range(20)] + [click("a", None)]
        ingest(Rows(rows), to=tmp_path / "store", now=NOW)
        assert cjm.open_events(tmp_path / "store").rejects()["reason"].tolist() == ["no timestamp"]


class TestAccounting:
    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_every_row_is_kept_or_duplicate_or_rejected_or_excluded(self, data):
        row = st.fixed_dictionaries(
            {
                "user_id": st.sampled_from(["a", "b", None, "\0"]),
                "anonymous_id": st.sampled_from(["x", "y", None, ""]),
                "timestamp": st.sampled_from(
                    [None, *map(pd.Timestamp, ("1970-01-01", "2026-01-01", "2026-01-02", "2030-01-01"))]
                ),
                "event": st.sampled_from(["view", "buy", None, ""]),
            }
        )
        sources = [
            Rows(
                data.draw(st.lists(row, max_size=30)),
                name=name,
                size=data.draw(st.integers(1, 10)),
                excluded=data.draw(st.integers(0, 3)),
            )
            for name in ("shop", "web")
        ]
        events = ingest(sources, now=NOW, max_reject_share=1.0, n_partitions=data.draw(st.integers(1, 4)))
        report = events.report().to_frame()
        parts = report[["kept", "duplicates", "rejected", "excluded"]].sum(axis=1)
        assert parts.tolist() == report["read"].tolist()
        assert report["read"].tolist() == [len(source.rows) + source.excluded for source in sources]
        assert report["kept"].sum() == len(events)
        assert report["rejected"].sum() == len(events.rejects()) == events.report().reasons()["rows"].sum()

    def test_a_loader_that_loses_rows_is_found_out(self):
        class Losing(Rows):
            def batches(self):
                for batch in super().batches():
                    yield type(batch)(events=batch.events, n_read=batch.n_read + 1)

        with pytest.raises(InputError, match="says that it read 2 rows, but accounts for 1"):
            ingest(Losing([click("a", 0)]), now=NOW)

    def test_the_report_tells_times_and_robots_and_who_is_known(self):
        rows = [click("a", 0, is_bot=True), click("a", 9), click(None, 4, anonymous_id="x", is_bot=False)]
        report = ingest(Rows(rows), now=NOW).report()
        row = report.to_frame().iloc[0]
        assert (row["first"], row["last"]) == (
            pd.Timestamp("2026-03-01 00:00", tz="UTC"),
            pd.Timestamp("2026-03-01 00:09", tz="UTC"),
        )
        assert (row["bots"], row["known"]) == (1, 2)
        assert row["bot_share"] == pytest.approx(1 / 3)
        assert (report.identity.customers, report.identity.known_customers) == (2, 1)

    def test_the_report_reads_in_a_terminal_and_in_a_notebook(self):
        rows = [click("a", number) for number in range(20)] + [click("a<b>", None)]
        report = ingest(Rows(rows), now=NOW).report()
        assert "no timestamp" in repr(report)
        assert "known share" in report._repr_html_()
        assert "a&lt;b&gt;" in report._repr_html_()
        assert "<b>20</b>" in report._repr_html_()

    def test_an_empty_report_has_all_its_columns(self):
        report = ingest(Rows([]), now=NOW).report().to_frame()
        assert report[["source", "read", "kept"]].to_numpy().tolist() == [["web", 0, 0]]
        assert report["known_share"].isna().all()


class TestSizes:
    def test_a_source_without_rows_gives_an_empty_store(self, tmp_path):
        for events in (ingest(Rows([]), now=NOW), ingest(Rows([]), to=tmp_path / "store", now=NOW)):
            assert len(events) == 0
            assert len(events.partitions) == 1
            assert events.codebooks["event"] == ()
            assert events.observation_ends == {}
            assert events.to_frame(["customer_id", "event", "value"]).empty

    def test_more_partitions_than_customers(self, tmp_path):
        events = ingest(Rows([click("a", 0)]), to=tmp_path / "store", now=NOW, n_partitions=8)
        assert [partition.n_rows for partition in events.partitions].count(0) == 7
        assert events.to_frame(["customer_id"]).to_numpy().tolist() == [["a"]]

    def test_one_customer_with_a_million_events(self):
        n = 1_000_000
        rng = np.random.default_rng(3)

        class Million(Rows):
            def batches(self):
                import pyarrow as pa

                from cjm_analytics.schema import Batch

                times = pa.array(rng.permutation(n) + 1_770_000_000_000_000).cast(pa.timestamp("us", "UTC"))
                one = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["view"]))
                table = pa.table({"user_id": pa.array(["a"] * n), "timestamp": times, "event": one})
                yield Batch(events=table, n_read=n)

        events = ingest(Million([]), now=NOW)
        times = events.partitions[0].columns.read(["timestamp"]).column(0).cast("int64").to_numpy()
        assert len(times) == n
        assert (np.diff(times) == 1).all()

    def test_events_at_one_instant_keep_their_order(self):
        rows = [click("a", 0, f"event {number}") for number in range(500)]
        assert frame_of(Rows(rows, size=70))["event"].tolist() == [row["event"] for row in rows]


class TestColumns:
    def test_promoted_properties_follow_the_canonical_columns_with_their_types(self):
        source = Rows([click("a", 0, size=3, plan="pro"), click("a", 1, size=None)], keep=("size", "plan"))
        events = ingest(source, now=NOW)
        assert events.schema.names[-2:] == ["plan", "size"]
        assert str(events.schema.field("size").type) == "int64"
        assert events.to_frame(["plan", "size"]).fillna(-1).to_numpy().tolist() == [["pro", 3.0], [-1, -1.0]]

    def test_a_property_that_is_a_number_here_and_text_there_becomes_text(self):
        rows = [click("a", 0, size=3), click("a", 1, size=4)]
        texts = [click("a", 2, size="large")]
        events = ingest([Rows(rows, keep=("size",)), Rows(texts, keep=("size",))], now=NOW)
        assert events.to_frame(["size"])["size"].tolist() == ["3", "4", "large"]

    def test_a_column_that_no_row_has_reads_as_missing(self):
        events = ingest(Rows([click("a", 0)]), now=NOW)
        table = events.partitions[0].columns.read(["channel", "score", "properties.device.type"])
        assert [column.null_count for column in table.columns] == [1, 1, 1]
        assert "channel" not in events.to_frame()

    def test_a_dotted_name_reads_out_of_the_properties(self):
        rows = [click("a", 0, properties='{"device":{"type":"phone"},"n":2}'), click("a", 1)]
        frame = frame_of(Rows(rows), columns=["properties.device.type", "properties.n"])
        assert frame.to_numpy().tolist() == [["phone", "2"], [None, None]]

    def test_an_unknown_column_is_named_with_its_nearest_neighbour(self):
        with pytest.raises(UnknownNameError, match="Did you mean 'channel'"):
            ingest(Rows([click("a", 0)]), now=NOW).to_frame(["chanel"])

    def test_codebooks_hold_the_names_in_order(self):
        rows = [
            click("b", 0, "view", channel="web"),
            click("a", 0, "buy", channel="app"),
            click("c", 1, "add"),
        ]
        events = ingest(Rows(rows), now=NOW, n_partitions=3)
        assert events.codebooks["event"] == ("add", "buy", "view")
        assert events.codebooks["channel"] == ("app", "web")
        assert events.codebooks["source"] == ("web",)

    def test_partitions_know_their_customers(self):
        rows = [click("b", 0), click("a", 0), click("b", 1)]
        ids, offsets = ingest(Rows(rows), now=NOW).partitions[0].customers()
        assert (ids.to_pylist(), offsets.tolist()) == (["a", "b"], [0, 1, 3])


class TestCustomers:
    def test_attributes_stand_beside_every_event_of_the_customer(self):
        customers = pd.DataFrame(
            {"customer_id": ["a", "b", "x"], "plan": ["pro", None, "?"], "age": [30, 41, 5]}
        )
        frame = frame_of(
            Rows([click("a", 0), click("a", 1), click("b", 0), click("c", 0)]),
            customers=customers,
            columns=["customer_id", "customer.plan", "customer.age"],
        )
        assert frame.to_numpy().tolist() == [
            ["a", "pro", "30"],
            ["a", "pro", "30"],
            ["b", None, "41"],
            ["c", None, None],
        ]

    def test_the_latest_value_wins(self):
        traits = [
            {
                "user_id": "a",
                "timestamp": pd.Timestamp(f"2026-0{month}-01", tz="UTC"),
                "attribute": "plan",
                "value": plan,
            }
            for month, plan in ((2, "pro"), (3, "basic"), (1, "trial"))
        ]
        frame = frame_of(Rows([click("a", 0)], customers=traits), columns=["customer.plan"])
        assert frame.to_numpy().tolist() == [["basic"]]

    def test_a_source_of_customers_will_do(self):
        traits = [{"user_id": "a", "timestamp": None, "attribute": "plan", "value": "pro"}]
        frame = frame_of(
            Rows([click("a", 0)]), customers=Rows([], customers=traits), columns=["customer.plan"]
        )
        assert frame.to_numpy().tolist() == [["pro"]]

    def test_a_frame_without_ids_is_refused(self):
        with pytest.raises(UnknownNameError, match="customer_id"):
            ingest(Rows([click("a", 0)]), customers=pd.DataFrame({"customer": ["a"]}), now=NOW)


class TestObservation:
    def test_a_log_ends_with_its_last_event(self):
        events = ingest([Rows([click("a", 0), click("a", 7)]), Rows([click("a", 3)], name="crm")], now=NOW)
        minute = 60_000_000
        start = events.observation_start
        assert {name: (end - start) / minute for name, end in events.observation_ends.items()} == {
            "web": 7,
            "crm": 3,
        }

    def test_a_log_may_be_declared_complete(self):
        until = pd.Timestamp("2026-03-05", tz="Europe/Berlin")
        declared = until.value // 1_000
        web, crm = Rows([click("a", 0)]), Rows([click("a", 3)], name="crm")
        assert ingest([web, crm], complete_until={"crm": until}, now=NOW).observation_ends["crm"] == declared
        assert set(ingest([web, crm], complete_until=until, now=NOW).observation_ends.values()) == {declared}

    def test_declaring_an_unknown_source_is_an_error(self):
        with pytest.raises(UnknownNameError, match=r"'wep'\. Did you mean 'web'"):
            ingest(Rows([click("a", 0)]), complete_until={"wep": "2026-03-05"}, now=NOW)


class TestArguments:
    @pytest.mark.parametrize("data", [pd.DataFrame({"a": [1]}), "log.csv", [{"user": 1}], 3])
    def test_raw_data_is_refused_with_a_hint(self, data):
        with pytest.raises(InputError, match=r"no event source.*cjm\.loaders\.table"):
            ingest(data)

    def test_no_source_at_all_is_an_error(self):
        with pytest.raises(InputError, match="no source to ingest"):
            ingest([])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_reject_share": 1.5}, "max_reject_share"),
            ({"n_partitions": 0}, "n_partitions"),
            ({"min_date": "soon"}, "min_date='soon' is no timestamp"),
            ({"complete_until": "never"}, "complete_until='never' is no timestamp"),
        ],
    )
    def test_a_parameter_without_meaning_is_an_error(self, options, message):
        with pytest.raises(InputError, match=message):
            ingest(Rows([click("a", 0)]), **{"now": NOW, **options})

    def test_an_unknown_dedupe_column_is_an_error(self):
        with pytest.raises(UnknownNameError, match="Did you mean 'event_id'"):
            ingest(Rows([click("a", 0)], dedupe=("event_ids",)), now=NOW)

    def test_a_promoted_name_must_be_free(self):
        with pytest.raises(InputError, match="promotes 'channel'"):
            ingest(Rows([click("a", 0)], keep=("channel",)), now=NOW)

    def test_one_name_has_one_way_to_tell_events_apart(self):
        with pytest.raises(InputError, match="Give one of them another name"):
            ingest([Rows([click("a", 0)]), Rows([click("a", 0)], dedupe=("event_id",))], now=NOW)

    def test_a_time_without_a_zone_is_not_guessed(self):
        import pyarrow as pa

        from cjm_analytics.schema import Batch

        class Local(Rows):
            def batches(self):
                for batch in super().batches():
                    local = batch.events["timestamp"].cast(pa.timestamp("us"))
                    yield Batch(batch.events.set_column(1, "timestamp", local), batch.n_read)

        with pytest.raises(InputError, match="needs a time zone"):
            ingest(Local([click("a", 0)]), now=NOW)
