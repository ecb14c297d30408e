"""Traps of clickstream exports, each in a few rows: GA4, Amplitude, Mixpanel, Snowplow, access logs."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import sys
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cjm_analytics import ingest, loaders
from cjm_analytics.errors import InputError
from cjm_analytics.loaders.mapping import Side
from cjm_analytics.loaders.snowplow import _FIELDS
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

    def test_of_two_properties_each_has_its_own_days(self, tmp_path):
        for whose, kind in (
            ("1", ""),
            ("1", "fresh_"),
            ("2", "intraday_"),
            ("3", "fresh_"),
            ("3", "intraday_"),
        ):
            name = f"analytics_{whose}/events_{kind}20250330.jsonl"
            lines(tmp_path / name, [self.row(f"{whose} {kind}", pseudo=whose)])
        batch = read(loaders.ga4(tmp_path))
        assert sorted(batch.events["event"].to_pylist()) == ["1", "2 intraday_", "3 fresh_"]

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
        rows = [{**self.row("a"), "event_params": said} for said in ("[{'key': 'x'}]", "", "[]", "soon")]
        path = tmp_path / f"e.{end}"
        if end == "csv":
            pd.DataFrame(rows).to_csv(path, index=False)
        else:
            lines(path, rows)
        batch = read(loaders.ga4(path))
        assert batch.rejects["reason"].to_pylist() == ["event_params is no list in JSON"] * 2
        assert batch.events.num_rows == 2

    @pytest.mark.parametrize("way", ["list", "text", "elements", "names", "names with kinds"])
    def test_parameters_however_they_were_exported(self, way, tmp_path):
        row = self.row("a", params=[("ga_session_id", AT), ("page_location", "https://shop.example/p?x=1")])
        told = row["event_params"]
        said = {one["key"]: next(iter(one["value"].values())) for one in told}
        row["event_params"] = {
            "list": told,
            "text": json.dumps(told),
            "elements": {"list": [{"element": one} for one in told]},
            "names": said,
            "names with kinds": {one["key"]: one["value"] for one in told},
        }[way]
        pd.DataFrame([row]).to_parquet(tmp_path / "events_20250330.parquet")
        for path in (tmp_path / "events_20250330.parquet", lines(tmp_path / "e.jsonl", [row])):
            batch = read(loaders.ga4(path))
            assert values(batch, "session_id", "path") == [(f"12.34:7:{AT}", "/p?x=1")]

    def flat(self, row, sep, before):
        """The row as a query flattens it: members of records as columns, parameters behind `before`."""
        made = {before + one["key"]: next(iter(one["value"].values())) for one in row.pop("event_params")}
        for name, value in row.items():
            made |= (
                {f"{name}{sep}{inner}": one for inner, one in value.items()}
                if isinstance(value, dict)
                else {name: value}
            )
        return made

    @pytest.mark.parametrize("end", ["csv", "jsonl"])
    @pytest.mark.parametrize(
        ("sep", "before"), [(".", "event_params."), ("_", "event_params_"), (".", ""), ("_", "")]
    )
    def test_a_flattened_table_says_what_the_nested_one_says(self, sep, before, end, tmp_path):
        params = [("ga_session_id", AT), ("page_location", "https://shop.example/p?x=1"), ("value", 5),
                  ("currency", "EUR"), ("page_title", "Lamp")]  # fmt: skip
        shop = {"transaction_id": "T1", "purchase_revenue": 7.5}
        rows = [
            self.row(
                "a", params=params, device={"category": "mobile", "language": "en"}, geo={"city": "Bonn"}
            ),
            self.row("b", 1, params=params[:1], ecommerce=shop, device={"category": "desktop"}, items=None),
        ]
        nested = read(loaders.ga4(lines(tmp_path / "nested.jsonl", rows)))
        flat = [self.flat(row, sep, before) for row in rows]
        path = tmp_path / f"flat.{end}"
        if end == "csv":
            pd.DataFrame(flat).assign(ecommerce=None).to_csv(path, index=False)
        else:
            lines(path, [{"ecommerce": None, **row} for row in flat])
        batch = read(loaders.ga4(path))
        columns = ("event", "session_id", "path", "order_id", "value", "currency", "device", "channel")
        assert values(batch, *columns) == values(nested, *columns)
        told = [json.loads(one) for one in batch.events["properties"].to_pylist()]
        assert told[0]["page_title"] == "Lamp"
        assert told[0]["device"] == {"language": "en"}

    def test_a_session_without_a_stream_is_that_of_its_device(self, tmp_path):
        table = {
            "event_timestamp": ["2025-03-30 00:59:59.5 UTC"], "user_pseudo_id": ["12.34"],
            "event_name": ["a"], "session_id": [AT], "source": ["google"], "device": ["mobile"],
        }  # fmt: skip
        pd.DataFrame(table).to_csv(tmp_path / "e.csv", index=False)
        batch = read(loaders.ga4(tmp_path / "e.csv"))
        columns = ("session_id", "utm_source", "device", "timestamp")
        assert values(batch, *columns) == [(f"12.34:{AT}", None, "mobile", "2025-03-30T00:59:59")]
        assert json.loads(batch.events["properties"][0].as_py())["source"] == "google"

    @pytest.mark.parametrize("is_wrapped", [False, True])
    def test_records_as_the_console_of_bigquery_saves_them(self, is_wrapped, tmp_path):
        row = self.row(
            "a", params=[("ga_session_id", AT)], device={"category": "mobile", "language": "en"},
            items=[{"item_id": "i1"}, {"item_id": "i2", "price": 2.5}], geo={"city": "Bonn"},
        )  # fmt: skip
        told = {
            name: json.dumps({name: one} if is_wrapped else one, indent=2)
            if isinstance(one, list | dict)
            else one
            for name, one in row.items()
        }
        pd.DataFrame([told, self.row("b")]).astype({"event_params": str}).to_csv(
            tmp_path / "e.csv", index=False
        )
        for path in (tmp_path / "e.csv", lines(tmp_path / "e.jsonl", [told, self.row("b")])):
            batch = read(loaders.ga4(path))
            assert values(batch, "session_id", "device") == [(f"12.34:7:{AT}", "mobile"), (None, None)]
            found = json.loads(batch.events["properties"][0].as_py())
            assert found == {
                **found,
                "items": row["items"],
                "geo": {"city": "Bonn"},
                "device": {"language": "en"},
            }

    def test_days_whose_tables_have_other_columns_and_types(self, tmp_path):
        """A parameter turns into text, users into numbers; others are missing, a record is null."""
        days = [
            self.row("a", params=[("level", 3)], items=[{"item_id": "x"}], device={"category": "mobile"}),
            self.row("b", 1, params=[("level", "three")], user_id=17, device=None),
            {
                **self.row("c", 2, user_id="u9"),
                "event_params": None,
                "items": [{"item_id": "y", "price": 1.5}],
            },
            {**self.row("d", 3), "event_params": []},
        ]
        for day, row in enumerate(days, start=10):
            table = pa.Table.from_pylist([{**row, "event_timestamp": int(row["event_timestamp"])}])
            pq.write_table(table, tmp_path / f"events_202503{day}.parquet")
        lines(tmp_path / "events_intraday_20250330.jsonl", [self.row("e", 4, user_id=17)])
        batch = read(loaders.ga4(tmp_path, keep={"level": str}))
        assert values(batch, "event", "user_id", "level", "device") == [
            ("a", None, "3", "mobile"), ("b", "17", "three", None), ("c", "u9", None, None),
            ("d", None, None, None), ("e", "17", None, None),
        ]  # fmt: skip

    def test_a_misspelt_name_is_answered_with_names_of_the_export_only(self, tmp_path):
        path = lines(tmp_path / "e.jsonl", [self.row("a", params=[("level", 3)])])
        with pytest.warns(UserWarning, match="Did you mean 'event_date'") as said:
            read(loaders.ga4(path, keep=["event_dat"]))
        assert "_key" not in str(said[0].message)

    @pytest.mark.parametrize("name", ["event_params.key", "event_params_key", "event_params.0.key"])
    def test_a_row_for_each_parameter_is_refused(self, name, tmp_path):
        rows = [{**self.row("a"), name: one} for one in ("ga_session_id", "page_location")]
        pd.DataFrame(rows).drop(columns="event_params").to_csv(tmp_path / "e.csv", index=False)
        with pytest.raises(InputError, match=r"parameters of an event apart .* Parquet, Avro or JSON lines"):
            loaders.ga4(tmp_path / "e.csv")

    def test_devices_that_a_frame_took_for_numbers_are_refused(self):
        frame = pd.DataFrame([self.row("a", pseudo=1146540.1921992520), self.row("b", pseudo=None)])
        with pytest.raises(InputError, match=r"numbers in user_pseudo_id\. .* dtype=str"):
            loaders.ga4(frame)
        nobody = frame.assign(user_pseudo_id=float("nan"))
        assert read(loaders.ga4(nobody)).n_nameless == 2

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

    def test_the_time_of_a_session_is_its_name_on_a_device_and_minus_one_is_none(self, tmp_path):
        rows = [
            self.row(device_id="d1", session_id=1743296399000),
            self.row(device_id="d2", session_id=1743296399000),
            self.row(device_id="d2", session_id=-1),
        ]
        batch = read(loaders.amplitude(lines(tmp_path / "e.json", rows)))
        assert batch.events["session_id"].to_pylist() == ["d1:1743296399000", "d2:1743296399000", None]

    def test_what_was_anonymous_of_a_merged_user_is_the_others(self, tmp_path):
        rows = [
            self.row(device_id="d1", user_id="ann", amplitude_id=901),
            self.row(device_id="d2", amplitude_id=902),
            self.row(device_id="d3", amplitude_id=903),
            self.row(device_id="d4", amplitude_id=904),
        ]
        merged = [
            {"amplitude_id": 901, "merged_amplitude_id": 902, "merge_time": "2025-03-30 02:00:00.0"},
            {"amplitude_id": 902, "merged_amplitude_id": 903, "merge_time": "2025-03-30 03:00:00.0"},
        ]
        lines(tmp_path / "187520_2025-03-30_0#0.json", rows)
        lines(tmp_path / "-12345_2025-03-30_0.json", merged)
        frame = ingested(loaders.amplitude(tmp_path)).to_frame(["customer_id", "anonymous_id"])
        assert dict(zip(frame["anonymous_id"], frame["customer_id"], strict=True)) == {
            "d1": "ann", "d2": "ann", "d3": "ann", "d4": "anonymous:amplitude:904",
        }  # fmt: skip

    def test_calls_that_set_properties_and_costs_are_no_contacts(self, tmp_path):
        kinds = [{"event_type": "$identify"}, {"event_type": "$groupidentify"}, {"library": "google_ads"}, {}]
        rows = [self.row(device_id="d1", user_id="ann", **one) for one in kinds]
        batch = read(loaders.amplitude(lines(tmp_path / "e.json", [{**self.row(), **row} for row in rows])))
        assert (batch.events.num_rows, batch.n_excluded) == (1, 3)

    def test_the_zip_of_the_export_api(self, tmp_path):
        packed = gzip.compress(text_of([self.row(device_id="d1")], "e.json").encode())
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
            for hour in (8, 9):
                archive.writestr(f"187520/187520_2025-03-30_{hour}#0.json.gz", packed)
        assert read(loaders.amplitude(tmp_path / "export.zip")).events.num_rows == 2


class TestMixpanel:
    def row(self, event="search", **more):
        return {"event": event, "properties": {"time": AT, "distinct_id": "ann", "$insert_id": "i1", **more}}

    @pytest.mark.parametrize(
        ("ids", "told"),
        [
            ({"distinct_id": f"$device:{DEVICE}"}, (DEVICE, None)),
            ({"distinct_id": f"$device:{DEVICE}", "$device_id": DEVICE}, (DEVICE, None)),
            ({"distinct_id": "ann", "$user_id": "ann", "$device_id": "d1"}, ("d1", "ann")),
            ({"distinct_id": "ann"}, (None, "ann")),
            ({"distinct_id": DEVICE}, (DEVICE, None)),
            ({"distinct_id": "d1", "$device_id": "d1"}, ("d1", None)),
        ],
    )
    def test_whose_an_id_is(self, ids, told, tmp_path):
        batch = read(loaders.mixpanel(lines(tmp_path / "e.jsonl", [self.row(**ids)])))
        assert values(batch, "anonymous_id", "user_id") == [told]

    @pytest.mark.parametrize("factor", [1, 1_000])
    def test_times_in_seconds_or_in_milliseconds(self, factor, tmp_path):
        batch = read(loaders.mixpanel(lines(tmp_path / "e.jsonl", [self.row(time=AT * factor)])))
        assert values(batch, "timestamp") == [("2025-03-30T00:59:59",)]

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

    @pytest.mark.parametrize(
        ("call", "customer"),
        [
            ({"event": "$identify", "$identified_id": "ann", "$anon_id": DEVICE}, "ann"),
            ({"event": "$create_alias", "alias": "ann", "distinct_id": DEVICE}, "ann"),
            ({"event": "$create_alias", "alias": DEVICE, "distinct_id": "ann"}, "ann"),
            ({"event": "$merge", "$distinct_ids": ["ann", DEVICE]}, "ann"),
            ({"event": "$merge", "$distinct_ids": [f"$device:{DEVICE}", "ann"]}, "ann"),
            ({"event": "search", "alias": "ann", "distinct_id": DEVICE}, f"anonymous:{DEVICE}"),
        ],
    )
    def test_calls_of_the_original_merge_join_a_device_and_a_person(self, call, customer, tmp_path):
        name = call.pop("event")
        rows = [self.row(distinct_id=DEVICE), self.row("buy"), self.row(name, **{"$insert_id": "i2", **call})]
        frame = ingested(loaders.mixpanel(lines(tmp_path / "e.jsonl", rows))).to_frame()
        mine = frame[frame["anonymous_id"] == DEVICE]
        assert set(mine["customer_id"]) == {customer}
        assert set(frame["event"]) == {"search", "buy"}

    def test_two_persons_and_two_devices_that_were_merged_are_one(self, tmp_path):
        other = DEVICE.replace("b1", "b2")
        rows = [
            self.row(distinct_id="ann"),
            self.row(distinct_id="anna"),
            self.row(distinct_id=DEVICE),
            self.row(distinct_id=other),
            self.row("$merge", **{"$distinct_ids": ["ann", "anna"]}),
            self.row("$merge", **{"$distinct_ids": [DEVICE, other]}),
            self.row("$identify", **{"$identified_id": "ann", "$anon_id": DEVICE}),
        ]
        events = ingested(loaders.mixpanel(lines(tmp_path / "e.jsonl", rows)))
        assert len(set(events.to_frame()["customer_id"])) == 1
        assert len(events) == 4

    def test_a_person_whose_id_reads_like_a_devices_is_a_person_once_identified(self, tmp_path):
        person = DEVICE.replace("b1", "b9")
        rows = [
            self.row(distinct_id=DEVICE),
            self.row(distinct_id=person),
            self.row("$identify", **{"$identified_id": person, "$anon_id": DEVICE}),
        ]
        frame = ingested(loaders.mixpanel(lines(tmp_path / "e.jsonl", rows))).to_frame()
        assert set(frame["customer_id"]) == {person}

    def test_the_tables_of_a_pipeline(self, tmp_path):
        other = DEVICE.replace("b1", "b2")
        told = {"event_name": "search", "time": "2025-03-30T01:00:00Z", "properties": {"plan": "pro"}}
        rows = [
            {**told, "insert_id": one, "distinct_id": one}
            for one in (f"$device:{DEVICE}", other, "ann", "a9")
        ]
        resolved = [(f"$device:{DEVICE}", "ann"), (other, "ann"), ("a9", "ann")]
        mapping = [{"distinct_id": one, "resolved_distinct_id": two} for one, two in resolved]
        lines(tmp_path / "mp_master_event" / "2025-03-30.jsonl", rows)
        lines(tmp_path / "mp_identity_mappings_data_view.jsonl", mapping)
        frame = ingested(loaders.mixpanel(tmp_path, keep=["plan"])).to_frame()
        assert frame[["event", "plan"]].to_numpy().tolist() == [["search", "pro"]] * 4
        assert len(set(frame["customer_id"])) == 1

    @pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
    def test_a_copy_in_a_warehouse(self, zone, tmp_path):
        row = {
            "name": "search", "time": "2025-03-01 10:00:00", "distinct_id": f"$device:{DEVICE}",
            "insert_id": "i1", "mp_processing_time_ms": "1740826800500", "properties": '{"plan": "pro"}',
            "current_url": "https://shop.example/lamp?x=1", "referrer": "https://blog.example",
            "utm_source": "news", "mp_lib": "web", "distinct_id_before_identity": "",
        }  # fmt: skip
        pd.DataFrame([row, {**row, "mp_processing_time_ms": "406572"}]).to_csv(
            tmp_path / "event.csv", index=False
        )
        source = loaders.mixpanel(tmp_path / "event.csv", project_tz=zone, keep=["plan"])
        columns = ("anonymous_id", "event_id", "path", "utm_source", "channel", "plan", "timestamp")
        hour = "10" if zone is None else "09"
        said = (DEVICE, f"i1:$device:{DEVICE}", "/lamp?x=1", "news", "web", "pro", f"2025-03-01T{hour}:00:00")
        batch = read(source)
        assert values(batch, *columns) == [said, said]
        assert [one and one.isoformat() for one in batch.events["received_at"].to_pylist()] == [
            "2025-03-01T11:00:00.500000+00:00", None,
        ]  # fmt: skip
        assert loaders.describe(tmp_path / "event.csv").loader == "mixpanel"


class TestSnowflake:
    """Snowflake calls columns in capitals; the loaders know them all the same."""

    TRACKS = {
        "ID": "m1", "ANONYMOUS_ID": "a1", "USER_ID": "ann", "EVENT": "order_completed",
        "EVENT_TEXT": "Order Completed", "TIMESTAMP": "2025-03-30 01:00:00", "ORDER_ID": "7",
        "RECEIVED_AT": "2025-03-30 01:00:01", "CONTEXT_PAGE_PATH": "/thanks",
    }  # fmt: skip

    @pytest.mark.parametrize("end", ["csv", "parquet", "jsonl"])
    def test_segments_tables(self, end, tmp_path):
        frame, path = pd.DataFrame([self.TRACKS]), tmp_path / f"TRACKS.{end}"
        if end == "csv":
            frame.to_csv(path, index=False)
        elif end == "parquet":
            frame.to_parquet(path)
        else:
            lines(path, [self.TRACKS])
        batch = read(loaders.segment(path))
        columns = ("anonymous_id", "user_id", "event", "event_id", "order_id", "path")
        assert values(batch, *columns) == [("a1", "ann", "Order Completed", "m1", "7", "/thanks")]
        assert loaders.describe(path).loader == "segment"

    def test_another_vendors_table(self, tmp_path):
        row = {"EVENT_ID": "e1", "COLLECTOR_TSTAMP": "2025-03-30 01:00:00.5", "EVENT_NAME": "page_view",
               "EVENT": "page_view", "DOMAIN_USERID": "d1", "PAGE_URL": "http://x.example/p?x=1"}  # fmt: skip
        pd.DataFrame([row]).to_csv(tmp_path / "events.csv", index=False)
        batch = read(loaders.snowplow(tmp_path / "events.csv"))
        assert values(batch, "anonymous_id", "event", "path") == [("d1", "page_view", "/p?x=1")]

    def test_names_in_one_spelling_only_are_left_alone(self, tmp_path):
        path = lines(tmp_path / "TRACKS.jsonl", [{**self.TRACKS, "id": "m2"}])
        with pytest.raises(InputError, match="no export of Segment"):
            loaders.segment(path)


class TestSnowplow:
    def lines_of(self, n_fields):
        told = {
            "app_id": "shop", "platform": "web", "etl_tstamp": "2025-03-30 01:00:05.000", "event_id": "e1",
            "collector_tstamp": "2025-03-30 01:00:02.500", "event": "page_view", "domain_userid": "d1",
        }  # fmt: skip
        return "\t".join(told.get(name, "") for name in _FIELDS[:n_fields]) + "\n"

    def row(self, number, **more):
        return {
            "app_id": "shop", "platform": "web", "event": "page_view", "event_name": "page_view",
            "event_id": f"e{number}", "collector_tstamp": "2025-03-30 01:00:02.500", "domain_userid": "d1",
            "network_userid": "n1", "derived_tstamp": "2025-03-30 01:00:01.500", "event_fingerprint": "f1",
            "domain_sessionid": "s1", "page_urlpath": "/p", "page_urlquery": "x=1", **more,
        }  # fmt: skip

    def both(self, folder, *rows):
        """The same rows as the stream's lines and as a table of a warehouse."""
        stream, table = folder / "events.tsv", folder / "events.csv"
        stream.write_text("".join("\t".join(str(row.get(f, "")) for f in _FIELDS) + "\n" for row in rows))
        pd.DataFrame(rows, columns=_FIELDS, dtype=str).to_csv(table, index=False)
        return stream, table

    def test_every_kind_of_event(self, tmp_path):
        own = "iglu:com.snowplowanalytics.snowplow"
        click = {"schema": f"{own}/link_click/jsonschema/1-0-1", "data": {"targetUrl": "u"}}
        link = json.dumps({"schema": f"{own}/unstruct_event/jsonschema/1-0-0", "data": click})
        rows = [
            self.row(1),
            self.row(2, event="page_ping", event_name="page_ping", pp_yoffset_max="300"),
            self.row(3, event="struct", event_name="event", se_action="add_to_basket", se_value="12.5"),
            self.row(4, event="unstruct", event_name="link_click", unstruct_event=link),
            self.row(5, event="transaction", event_name="transaction", tr_orderid="O1", tr_total="99.5"),
            self.row(
                6, event="transaction_item", event_name="transaction_item", ti_orderid="O1", ti_price="9"
            ),
        ]
        for path in self.both(tmp_path, *rows):
            batch = read(loaders.snowplow(path, keep=["targetUrl"]))
            assert values(batch, "event", "path", "order_id", "value", "targetUrl") == [
                ("page_view", "/p?x=1", None, None, None), ("add_to_basket", "/p?x=1", None, "12.5000", None),
                ("link_click", "/p?x=1", None, None, "u"), ("transaction", "/p?x=1", "O1", "99.5000", None),
                ("transaction_item", "/p?x=1", "O1", None, None),
            ]  # fmt: skip
            assert batch.n_excluded == 1
            assert read(loaders.snowplow(path, page_pings=True)).events.num_rows == 6

    def context(self, *entities):
        """Entities as the stream's `contexts` have them."""
        data = [{"schema": f"iglu:{name}/jsonschema/1-0-0", "data": one} for name, one in entities]
        return json.dumps(
            {"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0", "data": data}
        )

    def test_an_action_of_a_shop_is_called_by_its_type(self, tmp_path):
        shop = "com.snowplowanalytics.snowplow.ecommerce"
        actions = [{"type": "add_to_cart"}, {"type": "transaction", "name": "x"}, {}]
        rows = []
        for number, one in enumerate(actions):
            said = {"schema": f"iglu:{shop}/snowplow_ecommerce_action/jsonschema/1-0-2", "data": one}
            event = {
                "schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
                "data": said,
            }
            rows.append(
                self.row(
                    number, event="unstruct", event_name="snowplow_ecommerce_action",
                    unstruct_event=json.dumps(event),
                    contexts=self.context((f"{shop}/transaction", {"transaction_id": "T9", "revenue": 20})),
                )
            )  # fmt: skip
        for path in self.both(tmp_path, *rows):
            assert values(read(loaders.snowplow(path)), "event", "order_id", "value") == [
                ("add_to_cart", "T9", "20.0000"), ("transaction", "T9", "20.0000"),
                ("snowplow_ecommerce_action", "T9", "20.0000"),
            ]  # fmt: skip

    def test_several_entities_of_a_kind_are_all_kept(self, tmp_path):
        shop, page = "com.snowplowanalytics.snowplow.ecommerce/product", ("a.b/page", {"id": "w1"})
        several = self.context((shop, {"id": "p1"}), page, (shop, {"id": "p2"}), (shop, {"id": "p3"}))
        rows = [self.row(1, contexts=several), self.row(2, contexts=self.context((shop, {"id": "p4"}), page))]
        table = [
            {**self.row(1), "contexts_a_b_page_1": [page[1]],
             "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [{"id": "p1"}, {"id": "p2"}],
             "contexts_com_snowplowanalytics_snowplow_ecommerce_product_2": [{"id": "p3"}]},
            {**self.row(2), "contexts_a_b_page_1": [page[1]],
             "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [{"id": "p4"}]},
        ]  # fmt: skip
        pd.DataFrame(table).to_parquet(tmp_path / "table.parquet")
        for path in (*self.both(tmp_path, *rows), tmp_path / "table.parquet"):
            batch = read(loaders.snowplow(path, keep=["contexts.a_b_page.id"]))
            assert [json.loads(one)["contexts"] for one in batch.events["properties"].to_pylist()] == [
                {"product": [{"id": "p1"}, {"id": "p2"}, {"id": "p3"}], "a_b_page": {"id": "w1"}},
                {"product": {"id": "p4"}, "a_b_page": {"id": "w1"}},
            ]
            assert batch.events["contexts.a_b_page.id"].to_pylist() == ["w1", "w1"]

    @pytest.mark.parametrize("said", [("a", 1), ([], {"x": 1}), (1, [1])])
    def test_what_is_of_two_kinds_stays_what_it_is(self, said, tmp_path):
        rows = [self.row(n, contexts=self.context(("a.b/c", {"x": one}))) for n, one in enumerate(said)]
        for path in self.both(tmp_path, *rows):
            found = read(loaders.snowplow(path)).events["properties"].to_pylist()
            assert [json.loads(one)["contexts"] for one in found] == [{"a_b_c": {"x": one}} for one in said]

    def test_a_reject_reads_as_it_stood_in_the_file(self, tmp_path):
        entities = self.context(("a.b/c", {"x": 1}))
        for path in self.both(tmp_path, self.row(1, contexts=entities, derived_tstamp="soon")):
            (raw,) = read(loaders.snowplow(path)).rejects["raw"].to_pylist()
            sep = "\t" if path.suffix == ".tsv" else ","
            assert next(csv.reader([raw], delimiter=sep))[_FIELDS.index("contexts")] == entities

    def test_whose_time_and_whose_id_counts(self, tmp_path):
        nobody = "00000000-0000-0000-0000-000000000000"
        own, ids = "iglu:com.snowplowanalytics.snowplow", {"userId": "dev7", "sessionId": "s7"}
        device = {"schema": f"{own}/client_session/jsonschema/1-0-2", "data": ids}
        mobile = json.dumps({"schema": f"{own}/contexts/jsonschema/1-0-0", "data": [device]})
        rows = [
            self.row(1, true_tstamp="2025-03-30 00:30:00.000"),
            self.row(2, derived_tstamp=""),
            self.row(3, platform="mob", domain_userid="", domain_sessionid="", contexts=mobile),
            self.row(4, domain_userid=nobody),
            self.row(5, domain_userid=nobody, network_userid=nobody, user_id="ann"),
            self.row(6, domain_userid=nobody, network_userid="", user_id=nobody),
        ]
        for path in self.both(tmp_path, *rows):
            batch = read(loaders.snowplow(path))
            assert batch.n_nameless == batch.n_excluded == 1
            events = batch.events.select(["anonymous_id", "user_id", "channel", "session_id"]).to_pylist()
            assert [tuple(one.values()) for one in events] == [
                ("d1", None, "web", "s1"), ("d1", None, "web", "s1"), ("dev7", None, "app", "s7"),
                ("n1", None, "web", "s1"), (None, "ann", "web", "s1"),
            ]  # fmt: skip
            times = [one.isoformat()[11:23] for one in batch.events["timestamp"].to_pylist()[:3]]
            assert times == ["00:30:00+00:", "01:00:02.500", "01:00:01.500"]

    def test_what_was_delivered_twice_is_one_and_what_only_has_the_same_id_is_not(self, tmp_path):
        rows = [
            self.row(1, collector_tstamp="2025-03-30 01:00:09.000", page_urlpath="/late"),
            self.row(1, collector_tstamp="2025-03-30 01:00:03.000", page_urlpath="/early"),
            self.row(1, event_fingerprint="f2", page_urlpath="/other"),
        ]
        for path in self.both(tmp_path, *rows):
            frame = ingested(loaders.snowplow(path)).to_frame()
            assert sorted(frame["path"]) == ["/early?x=1", "/other?x=1"]

    @pytest.mark.parametrize(
        ("schema", "data"),
        [
            ("com.iab.snowplow/spiders_and_robots", {"spiderOrRobot": True}),
            ("nl.basjes/yauaa_context", {"agentClass": "Robot Mobile"}),
            ("com.snowplowanalytics.snowplow/bot_detection", {"bot": True, "indicators": ["asnLookup"]}),
            ("com.snowplowanalytics.snowplow/client_side_bot_detection", {"bot": True, "kind": "selenium"}),
        ],
    )
    def test_enrichments_tell_robots(self, schema, data, tmp_path):
        said = {"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0",
                "data": [{"schema": f"iglu:{schema}/jsonschema/1-0-0", "data": data}]}  # fmt: skip
        for path in self.both(tmp_path, self.row(1, derived_contexts=json.dumps(said)), self.row(2)):
            assert values(read(loaders.snowplow(path)), "is_bot") == [("True",), ("False",)]

    def test_where_a_visitor_came_from(self, tmp_path):
        google = {"refr_medium": "search", "refr_source": "Google", "refr_term": "lamp"}
        marked = {"mkt_source": "news", "mkt_medium": "email", "mkt_campaign": "spring", "mkt_clickid": "g1"}
        rows = [
            self.row(1),
            self.row(2, **google),
            self.row(3, **google, **marked, mkt_network="Google"),
            self.row(4, **google, mkt_clickid="g1", mkt_network="Google"),
            self.row(5, refr_medium="internal", refr_source="shop"),
            self.row(6, **google, mkt_campaign="spring"),
        ]
        for path in self.both(tmp_path, *rows):
            batch = read(loaders.snowplow(path))
            assert values(batch, "utm_source", "utm_medium", "utm_campaign", "utm_term") == [
                (None, None, None, None), ("Google", "search", None, "lamp"),
                ("news", "email", "spring", None), ("google", "cpc", None, None),
                (None, None, None, None), (None, None, "spring", None),
            ]  # fmt: skip

    @pytest.mark.parametrize("version", ["1", "1_0_0"])
    def test_entities_in_columns_of_their_own(self, version, tmp_path):
        row = {
            **self.row(1, event="unstruct", event_name="link_click"),
            f"unstruct_event_com_snowplowanalytics_snowplow_link_click_{version}": {"target_url": "u"},
            f"contexts_com_snowplowanalytics_snowplow_web_page_{version}": [{"id": "w1"}],
        }
        pd.DataFrame([row]).to_parquet(tmp_path / "events.parquet")
        batch = read(
            loaders.snowplow(tmp_path / "events.parquet", keep=["target_url", "contexts.web_page.id"])
        )
        assert values(batch, "event", "target_url", "contexts.web_page.id") == [("link_click", "u", "w1")]

    def test_lines_with_other_fields_are_told(self, tmp_path):
        path = tmp_path / "events.tsv"
        path.write_text(self.lines_of(128))
        with pytest.raises(InputError, match=r"128 fields between tabs .* an enriched event has 131"):
            loaders.snowplow(path)

    def test_files_without_an_ending_as_the_archive_has_them(self, tmp_path):
        folder = tmp_path / "run=2025-03-30"
        folder.mkdir()
        (folder / "part-00000").write_text(self.lines_of(131))
        with pytest.raises(InputError, match="say format='csv'"):
            loaders.snowplow(folder)
        assert values(read(loaders.snowplow(folder, format="csv")), "anonymous_id", "event") == [
            ("d1", "page_view")
        ]


class TestAccessLog:
    @pytest.mark.parametrize(
        ("line", "host", "user", "path"),
        [
            ('1.2.3.4 - - [T] "GET /a?b=1 HTTP/1.1" 200 5 "-" "M"', "1.2.3.4", None, "/a?b=1"),
            ('1.2.3.4 - - [T] "GET /a HTTP/1.1" 200 5', "1.2.3.4", None, "/a"),
            ('2001:db8::1 - - [T] "GET /a HTTP/2" 200 5 "-" "M" "-" rt=1 ut="0"', "2001:db8::1", None, "/a"),
            ('shop.example:443 1.2.3.4 - ann [T] "POST /a HTTP/1.1" 302 0 "-" "M"', "1.2.3.4", "ann", "/a"),
            ('shop.example 1.2.3.4 - - [T] "GET /a HTTP/1.1" 200 0 "-" "M"', "1.2.3.4", None, "/a"),
            ('1.2.3.4, 10.0.0.1,10.0.0.2 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M"', "1.2.3.4", None, "/a"),
            ('1.2.3.4 - bob smith [T] "GET /a HTTP/1.1" 200 5 "-" "M"', "1.2.3.4", "bob smith", "/a"),
            ('1.2.3.4 - - [T] "GET http://x.example/a?b HTTP/1.1" 200 5 "-" "M"', "1.2.3.4", None, "/a?b"),
            ('1.2.3.4 - - [T] "GET http://shop.example HTTP/1.1" 200 5 "-" "M"', "1.2.3.4", None, "/"),
            ('Mar  1 10:00:00 w n: 1.2.3.4 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M"', "1.2.3.4", None, "/a"),
            ('<190>Mar 11 10:00:00 w n[7]: 1.2.3.4 - - [T] "GET /a HTTP/1.1" 200 5', "1.2.3.4", None, "/a"),
            ('2025-03-01T10:00:00.1Z w n: 1.2.3.4 - u [T] "GET /a HTTP/1.1" 200 5', "1.2.3.4", "u", "/a"),
            ('web-1  | 1.2.3.4 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M"', "1.2.3.4", None, "/a"),
            ('10.1.2.3 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M" "1.2.3.4, 10.0.0.1"', "1.2.3.4", None, "/a"),
            ('fd00::1 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M" "2001:db8::1" 7', "2001:db8::1", None, "/a"),
            ('10.1.2.3 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M" "-"', "10.1.2.3", None, "/a"),
            ('10.1.2.3 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M" "unknown"', "10.1.2.3", None, "/a"),
            ('1.2.3.4 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M" "9.9.9.9"', "1.2.3.4", None, "/a"),
            ('1.2.3.4 - - [T] "GET /a HTTP/1.1" 200 5 "-" "M" 17 "web@docker" "http://10.0.0.2" 12ms',
             "1.2.3.4", None, "/a"),
            (r'1.2.3.4 - - [T] "GET /a\"b\x22 HTTP/1.1" 200 - "-" "M\"N"', "1.2.3.4", None, '/a"b"'),
        ],
    )  # fmt: skip
    def test_lines_as_servers_write_them(self, line, host, user, path, tmp_path):
        log = tmp_path / "access.log"
        log.write_text(line.replace("[T]", "[10/Oct/2025:13:55:36 +0200]") + "\n")
        batch = read(loaders.access_log(log, keep=["host"]))
        assert values(batch, "host", "user_id", "path") == [(host, user, path)]

    def test_fields_between_the_bytes_and_the_agent_hide_no_robot(self, tmp_path):
        log = tmp_path / "access.log"
        log.write_text(
            '1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "GET /a HTTP/1.1" 200 5 0.1 - "/b" "Googlebot/2.1"\n'
        )
        batch = read(loaders.access_log(log))
        assert values(batch, "referrer", "is_bot") == [("/b", "True")]

    def test_what_stands_before_a_line_is_no_user(self, tmp_path):
        lines = ['1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "GET /a HTTP/1.1" 200 5 "-" "M"'] * 2
        lines[1] = f"today 10:00 on web: {lines[1]}"
        (tmp_path / "access.log").write_text("\n".join(lines))
        batch = read(loaders.access_log(tmp_path / "access.log"))
        assert values(batch, "user_id") == [(None,)]
        assert batch.rejects["reason"].to_pylist() == ["no line of an access log"]

    @pytest.mark.parametrize(
        "told",
        [
            {"ts": 1760097336.25, "logger": "http.log.access", "status": 200, "size": 5, "user_id": "ann",
             "request": {"remote_ip": "10.0.0.1", "client_ip": "1.2.3.4", "method": "GET", "uri": "/a?b=1",
                         "host": "shop.example", "headers": {"User-Agent": ["Googlebot/2.1"],
                                                             "Referer": ["https://x.example/"]}}},
            {"ClientHost": "1.2.3.4", "ClientUsername": "ann", "RequestMethod": "GET",
             "RequestPath": "/a?b=1",
             "RequestHost": "shop.example", "DownstreamStatus": 200, "DownstreamContentSize": 5,
             "StartUTC": "2025-10-10T11:55:36.25Z", "time": "2025-10-10T13:56:00+02:00",
             "request_User-Agent": "Googlebot/2.1", "request_Referer": "https://x.example/"},
            {"time_iso8601": "2025-10-10T13:55:36.25+02:00", "remote_addr": "1.2.3.4:5500",
             "remote_user": "ann", "request": "GET /a?b=1 HTTP/1.1", "status": "200", "body_bytes_sent": "5",
             "http_referer": "https://x.example/", "http_user_agent": "Googlebot/2.1",
             "http_host": "shop.example"},
            {"msec": "1760097336.250", "remote_addr": "10.0.0.1", "http_x_forwarded_for": "1.2.3.4, 10.0.0.1",
             "remote_user": "ann", "request_method": "GET", "request_uri": "/a?b=1", "status": 200,
             "bytes_sent": 5, "http_referer": "https://x.example/", "http_user_agent": "Googlebot/2.1",
             "server_name": "shop.example", "upstream": None},
        ],
    )  # fmt: skip
    def test_lines_of_json(self, told, tmp_path):
        log = tmp_path / "access.log"
        log.write_text("\n".join(['{"level": "info"}', json.dumps(told), "{", "", "[]"]))
        batch = read(loaders.access_log(log, keep=["host", "vhost", "bytes"]))
        told = values(batch, "host", "vhost", "user_id", "path", "referrer", "is_bot", "bytes", "timestamp")
        assert told == [
            ("1.2.3.4", "shop.example", "ann", "/a?b=1", "https://x.example/", "True", "5",
             "2025-10-10T11:55:36"),
        ]  # fmt: skip
        assert batch.rejects["src_row"].to_pylist() == [1, 3, 5]

    def test_a_time_in_json_without_a_zone_is_told(self, tmp_path):
        told = {"time": "2025-10-10T13:55:36", "status": 200, "request": "GET /a HTTP/1.1"}
        (tmp_path / "access.log").write_text(json.dumps(told))
        with pytest.raises(InputError, match="no time zone"):
            read(loaders.access_log(tmp_path / "access.log"))
        batch = read(loaders.access_log(tmp_path / "access.log", tz="Europe/Berlin"))
        assert values(batch, "timestamp") == [("2025-10-10T11:55:36",)]

    def test_lines_that_a_container_wraps(self, tmp_path):
        line = r'1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "GET /a HTTP/1.1" 200 5 "-" "M \"x\""'
        told = [{"log": f"{line}\n", "stream": "stdout"}, {"log": "starting\n", "stream": "stderr"}]
        lines = [json.dumps(one, separators=(",", ":")) for one in told]
        (tmp_path / "c-json.log").write_text("\n".join(lines))
        batch = read(loaders.access_log(tmp_path / "c-json.log", keep=["agent"]))
        assert values(batch, "path", "agent") == [("/a", r"M \"x\"")]
        assert batch.rejects["raw"].to_pylist() == ["starting"]

    @pytest.mark.parametrize("block", [1 << 23, 40])
    def test_fields_that_the_log_names_itself(self, block, tmp_path, monkeypatch):
        monkeypatch.setattr(sys.modules["cjm_analytics.loaders.request_lines"], "_BLOCK", block)
        iis = (
            "#Software: IIS\n#Date: 2025-10-10 00:00:00\n"
            "#Fields: date time cs-method cs-uri-stem cs-uri-query cs-username c-ip cs(User-Agent) "
            "cs(Referer) sc-status time-taken\n"
            "2025-10-10 11:55:36 GET /a b=1 d\\ann 1.2.3.4 Googlebot/2.1+(x) https://x.example/?a+b 200 7\n"
            "2025-10-10 11:55:37 GET /c - - 1.2.3.4 M - 200 7\n"
            "2025-10-10 11:55:38 GET /cut\n"
            "#Fields: time c-ip cs-method cs-uri-stem sc-status\n"
            "11:55:39 1.2.3.4 POST /d 302\n"
        )
        (tmp_path / "u_ex251010.log").write_bytes(iis.replace("\n", "\r\n").encode("utf-8-sig"))
        batch = read(loaders.access_log(tmp_path / "u_ex251010.log", keep=["agent", "time-taken"]))
        assert values(batch, "user_id", "path", "referrer", "agent", "time-taken", "timestamp") == [
            (
                "d\\ann",
                "/a?b=1",
                "https://x.example/?a+b",
                "Googlebot/2.1 (x)",
                "7",
                "2025-10-10T11:55:36",
            ),
            (None, "/c", None, "M", "7", "2025-10-10T11:55:37"),
            (None, "/d", None, None, None, "2025-10-10T11:55:39"),
        ]
        assert batch.rejects["src_row"].to_pylist() == [6]
        assert values(batch, "is_bot") == [("True",), ("False",), (None,)]

    def test_fields_of_cloudfront_between_tabs(self, tmp_path):
        (tmp_path / "E1.gz").write_bytes(
            gzip.compress(
                b"#Version: 1.0\n#Fields: date time sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status "
                b"cs(Referer) cs(User-Agent) cs-uri-query x-host-header\n"
                b"2025-10-10\t11:55:36\t5\t2001:db8::1\tGET\td1.example\t/a\t200\t-\tM%20(x)\tb=1\tshop.example\n"
            )
        )
        batch = read(loaders.access_log(tmp_path / "E1.gz", keep=["agent", "host", "vhost", "cs(Host)"]))
        assert values(batch, "host", "path", "agent", "vhost", "cs(Host)") == [
            ("2001:db8::1", "/a?b=1", "M (x)", "shop.example", "d1.example")
        ]

    @pytest.mark.parametrize("kind", ["h2 ", ""])
    def test_lines_of_a_load_balancer(self, kind, tmp_path):
        (tmp_path / "lb.log").write_text(
            f"{kind}2025-10-10T11:55:36.190000Z app/shop/5 1.2.3.4:2817 10.0.0.1:80 0.1 -1 0.3 200 200 0 57 "
            '"GET https://shop.example:443/a?b=1 HTTP/2.0" "M (x)" - - arn:x "Root=1" "shop.example"\n'
        )
        batch = read(loaders.access_log(tmp_path / "lb.log", keep=["host", "agent", "bytes"]))
        assert values(batch, "host", "path", "agent", "bytes", "timestamp") == [
            ("1.2.3.4", "/a?b=1", "M (x)", "57", "2025-10-10T11:55:36")
        ]

    def test_a_log_without_a_request_is_empty(self, tmp_path):
        (tmp_path / "u_ex.log").write_text("#Software: IIS\n#Fields: date time cs-method\n")
        assert read(loaders.access_log(tmp_path / "u_ex.log")).n_read == 0

    @pytest.mark.parametrize(
        "line",
        ['"\\x16\\x03" 400 226', '"-" 408 0', '"GET /a.png?v=1 HTTP/1.1" 200 5', '"HEAD /a HTTP/1.1" 200 5'],
    )
    def test_what_nobody_saw_is_excluded(self, line, tmp_path):
        log = tmp_path / "access.log"
        log.write_text(f'1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] {line} "-" "M"\n')
        batch = read(loaders.access_log(log))
        assert (batch.n_excluded, batch.rejects.num_rows) == (1, 0)

    def test_what_is_no_access_log_is_told(self, tmp_path):
        log = tmp_path / "error.log"
        log.write_text("2025/10/10 13:55:36 [error] 1#1: open() failed\n")
        with pytest.raises(InputError, match=r"like one of Apache.* cjm\.loaders\.table.*\[error\]"):
            read(loaders.access_log(log))


def test_what_cannot_be_read_is_older_than_what_can():
    said = ["2025-03-02 10:00:00 UTC", "soon", None, "2025-03-01T10:00:00Z", "2025-03-02T09:00:00+01:00"]
    rows = [{"id": "7", "at": at, "name": str(at)} for at in said]
    for order in itertools.permutations(rows):
        by_row, by_column = Side("at"), Side("at")
        by_row.add_rows(pa.array(["7"] * len(order)), order)
        held = {name: pa.array([row[name] for row in order], pa.string()) for name in ("at", "name")}
        by_column.add_columns(pa.array(["7"] * len(order)), held)
        assert by_row["7"]["name"] == by_column["7"]["name"] == said[0]
