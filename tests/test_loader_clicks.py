"""Traps of clickstream exports, each in a few rows: GA4, Amplitude, Mixpanel, Snowplow."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from cjm_analytics import ingest, loaders
from cjm_analytics.errors import InputError
from test_loader_matrix import read, seen, text_of

AT = 1743296399
DEVICE = "018ed910-3b24-4000-83fd-d51c59aa74b1"


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(rows, path.name))
    return path


def ingested(source, **options):
    return ingest(source, now="2026-01-01", progress=False, **options)


def values(batch, *columns):
    return [tuple(one.values()) for one in seen(batch, *columns)]


class TestGa4:
    def row(self, name, at=0, pseudo="12.34", params=(), **more):
        told = [
            {"key": key, "value": {"int_value" if isinstance(said, int) else "string_value": str(said)}}
            for key, said in params
        ]
        return {
            "event_date": "20250330", "event_timestamp": str((AT + at) * 1_000_000), "event_name": name,
            "user_pseudo_id": pseudo, "stream_id": "7", "platform": "WEB", "event_params": told, **more,
        }  # fmt: skip

    def test_a_running_day_gives_way_to_the_complete_one(self, tmp_path):
        lines(tmp_path / "events_20250330.jsonl", [self.row("a"), self.row("b", 1)])
        lines(tmp_path / "events_intraday_20250330.jsonl", [self.row("a"), self.row("early", 1)])
        lines(tmp_path / "events_intraday_20250331.jsonl", [self.row("c", 90_000)])
        lines(tmp_path / "pseudonymous_users_20250330.jsonl", [{"pseudo_user_id": "12.34"}])
        batch = read(loaders.ga4(tmp_path))
        assert values(batch, "event") == [("a",), ("b",), ("c",)]
        assert batch.n_excluded == 1

    @pytest.mark.parametrize("as_columns", [False, True])
    def test_a_thank_you_page_that_is_loaded_again_is_one_purchase(self, as_columns, tmp_path):
        shop = {"transaction_id": "T1", "purchase_revenue": 5.0}
        rows = [
            self.row("purchase", 9, ecommerce=shop),
            self.row("purchase", 5, params=[("transaction_id", "T1"), ("value", 5)]),
            self.row("refund", 20, ecommerce=shop),
            self.row("purchase", 30, ecommerce={"transaction_id": "(not set)"}),
            self.row("purchase", 31, ecommerce={"transaction_id": "(not set)"}),
            self.row("purchase", 40, ecommerce={"transaction_id": "T2"}),
        ]
        if as_columns:
            pd.DataFrame(rows).to_parquet(tmp_path / "events_20250330.parquet")
        else:
            lines(tmp_path / "events_20250330.jsonl", rows)
        frame = ingested(loaders.ga4(tmp_path)).to_frame()
        seconds = [int(one.timestamp()) - AT for one in frame["timestamp"]]
        assert list(zip(frame["event"], seconds, strict=True)) == [
            ("purchase", 5), ("refund", 20), ("purchase", 30), ("purchase", 31), ("purchase", 40),
        ]  # fmt: skip

    def test_without_consent_a_row_is_counted_unless_it_has_a_user(self, tmp_path):
        nobody = [self.row("a", pseudo=one) for one in (None, "", "(data deleted)")]
        path = lines(tmp_path / "e.jsonl", [*nobody, self.row("b", pseudo=None, user_id="ann")])
        batch = read(loaders.ga4(path))
        assert values(batch, "anonymous_id", "user_id", "session_id") == [(None, "ann", None)]
        assert (batch.n_excluded, batch.n_nameless) == (3, 3)

    def test_where_an_event_came_from_is_never_where_the_user_first_came_from(self, tmp_path):
        first = {"source": "newsletter", "medium": "email", "name": "spring"}
        at_google = {"gclid": "abc", "manual_source": "(not set)"}
        named = {"manual_source": "x", "manual_medium": "social", "manual_campaign_name": "may",
                 "manual_campaign_id": "9", "manual_term": "t", "manual_content": "c"}  # fmt: skip
        page = ("page_location", "https://shop.example/?gclid=abc")
        rows = [
            self.row("a", traffic_source=first),
            self.row("b", traffic_source=first, collected_traffic_source=named),
            self.row("c", traffic_source=first, collected_traffic_source=at_google),
            self.row("d", params=[page]),
            self.row("e", params=[page, ("source", "bing"), ("medium", "cpc"), ("campaign", "(direct)")]),
        ]
        batch = read(loaders.ga4(lines(tmp_path / "e.jsonl", rows)))
        marks = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "campaign_id")
        assert values(batch, *marks) == [
            (None,) * 6,
            ("x", "social", "may", "t", "c", "9"),
            ("google", "cpc", None, None, None, None),
            ("google", "cpc", None, None, None, None),
            ("bing", "cpc", None, None, None, None),
        ]

    def test_events_of_one_instant_stand_in_the_order_of_page_batch_and_event(self, tmp_path):
        places = [(2, 1, 1), (1, 2, 1), (1, 1, 2), (1, 1, 1), (1, 10, 0)]
        names = ("batch_page_id", "batch_ordering_id", "batch_event_index")
        rows = [
            self.row(repr(one), **dict(zip(names, map(str, one), strict=True)), event_bundle_sequence_id="5")
            for one in places
        ]
        frame = ingested(loaders.ga4(lines(tmp_path / "e.jsonl", rows))).to_frame()
        assert frame["event"].tolist() == [repr(one) for one in sorted(places)]

    def test_a_parameter_is_the_one_value_that_is_set(self, tmp_path):
        said = [
            {"key": "text", "value": {"string_value": "x", "int_value": None}},
            {"key": "whole", "value": {"string_value": None, "int_value": "9007199254740993"}},
            {"key": "part", "value": {"double_value": 0.5}},
            {"key": "nothing", "value": {}},
            {"key": "session_engaged", "value": {"int_value": "1"}},
        ]
        rows = [{**self.row("a"), "event_params": said}]
        batch = read(loaders.ga4(lines(tmp_path / "e.jsonl", rows)))
        found = json.loads(batch.events["properties"][0].as_py())
        wanted = {"text": "x", "whole": 9007199254740993, "part": 0.5, "session_engaged": "1"}
        assert found == {**found, **wanted}
        assert "nothing" not in found

    def test_a_session_over_midnight_is_one(self, tmp_path):
        for day, at in ((30, 0), (31, 60)):
            row = self.row("a", at, params=[("ga_session_id", AT)])
            lines(tmp_path / f"events_202503{day}.jsonl", [row])
        batch = read(loaders.ga4(tmp_path))
        assert set(batch.events["session_id"].to_pylist()) == {f"12.34:7:{AT}"}

    @pytest.mark.parametrize("end", ["csv", "jsonl"])
    def test_parameters_that_are_no_json_are_a_reject(self, end, tmp_path):
        rows = [{**self.row("a"), "event_params": said} for said in ("[{'key': 'x'}]", "", "[]", "{}")]
        path = tmp_path / f"e.{end}"
        if end == "csv":
            pd.DataFrame(rows).to_csv(path, index=False)
        else:
            lines(path, rows)
        batch = read(loaders.ga4(path))
        assert batch.rejects["reason"].to_pylist() == ["event_params is no list in JSON"] * 2
        assert batch.events.num_rows == 2

    def test_what_is_no_export_is_told_by_the_columns_that_it_has(self, tmp_path):
        path = lines(tmp_path / "users_20250330.jsonl", [{"user_id": "ann", "user_info": {}}])
        with pytest.raises(InputError, match=r"Columns there: user_id, user_info\. "):
            loaders.ga4(path)


class TestAmplitude:
    def row(self, **more):
        return {"event_type": "search", "event_time": "2025-03-30 00:59:59.250000", **more}

    def test_what_was_sent_twice_is_told_by_insert_id_and_device_else_by_uuid(self, tmp_path):
        rows = [
            self.row(**{"$insert_id": "i1", "device_id": "d1", "uuid": "u1"}),
            self.row(**{"$insert_id": "i1", "device_id": "d1", "uuid": "u2"}),
            self.row(**{"$insert_id": "i1", "device_id": "d2", "uuid": "u3"}),
            self.row(device_id="d1", uuid="u4"),
            self.row(device_id="d1", uuid="u4", event_time="2025-03-30 00:59:59.251000"),
            self.row(user_id="ann", uuid="u5", **{"$insert_id": "i9"}),
            self.row(user_id="ann", uuid="u6", **{"$insert_id": "i9"}),
        ]
        batch = read(loaders.amplitude(lines(tmp_path / "e.json", rows)))
        assert [(one,) for one in batch.events["event_id"].to_pylist()] == [
            ("i1:d1",), ("i1:d1",), ("i1:d2",), ("u4",), ("u4",), ("u5",), ("u6",),
        ]  # fmt: skip
        assert len(ingested(loaders.amplitude(tmp_path / "e.json"))) == 5


class TestMixpanel:
    def row(self, event="search", **more):
        return {"event": event, "properties": {"time": AT, "distinct_id": "ann", "$insert_id": "i1", **more}}

    def test_of_copies_the_one_that_was_processed_last_stays(self, tmp_path):
        days = [
            [self.row(mp_processing_time_ms=AT * 1_000 + 500, plan="early"), self.row(plan="unknown")],
            [self.row(mp_processing_time_ms=AT * 1_000 + 900, plan="late")],
            [self.row(mp_processing_time_ms=AT * 1_000 + 700, plan="between"), self.row("view", plan="x")],
        ]
        for place, rows in enumerate(days):
            path = lines(tmp_path / f"{place}.jsonl", rows)
            events = ingested(loaders.mixpanel(path, keep=["plan"]), to=tmp_path / "store")
        assert sorted(events.to_frame()["plan"]) == ["late", "x"]
        assert events.report().to_frame()[["read", "kept", "duplicates"]].to_numpy().tolist() == [[5, 2, 3]]

    def test_an_event_is_the_same_after_its_device_was_merged_into_a_person(self, tmp_path):
        before = self.row(distinct_id=DEVICE, mp_processing_time_ms=AT * 1_000)
        after = self.row(**{"$distinct_id_before_identity": DEVICE}, mp_processing_time_ms=AT * 1_000)
        for place, row in enumerate((before, after)):
            path = lines(tmp_path / f"{place}.jsonl", [row])
            events = ingested(loaders.mixpanel(path), to=tmp_path / "store")
        assert events.to_frame()["customer_id"].tolist() == ["ann"]
