"""A look at a file proposes the line of code that reads it, and says what it cannot know."""

from __future__ import annotations

import gzip
import json
import zipfile

import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import InputError
from log_cases import LOGS
from test_loader_matrix import VENDORS, write

ALIKE = {"segment": {"rudderstack"}, "rudderstack": {"segment"}}
"""Layouts in which another vendor's rows look just the same."""


def run(code, **names):
    """What the line of code gives."""
    return eval(code, {"cjm": cjm, **names})  # noqa: S307 - it is ours


def events(code, **names):
    return cjm.ingest(run(code, **names), progress=False, now="2026-01-01").to_frame()


@pytest.mark.parametrize("case", VENDORS)
def test_a_vendors_export_is_known_by_its_loader(case, tmp_path):
    path = write(tmp_path, case)
    known = getattr(case.load, "keywords", {})
    found = cjm.loaders.describe(path, **known)
    wanted = getattr(case.load, "func", case.load).__name__
    assert found.loader in {wanted} | ALIKE.get(wanted, set())
    if found.questions:
        assert "'?'" in found.code
    else:
        assert len(events(found.code)) >= len(case.expected)
    assert found.to_frame().columns.tolist() == ["becomes", "column", "filled", "example"]
    assert found.code in repr(found)
    assert found.loader in found._repr_html_()


@pytest.mark.parametrize("case", [one for one in LOGS if not one.name.startswith("sql")])
def test_tables_and_process_logs_are_told_apart(case, tmp_path):
    known = dict(case.load.keywords)
    if case.load.func is cjm.loaders.xes:
        known = {}
    found = cjm.loaders.describe(write(tmp_path, case), **known)
    assert found.loader == case.load.func.__name__
    assert found.questions == ()
    assert len(events(found.code)) >= len(case.expected)


def test_a_database_is_read_with_a_query(tmp_path):
    case = next(one for one in LOGS if one.name == "sql")
    with pytest.raises(InputError, match=r"log.sqlite' looks like a database. Read it with cjm.loaders.sql"):
        cjm.loaders.describe(write(tmp_path, case))


SAMPLES = {
    "access_logs": "access_log", "amplitude": "amplitude", "ga4": "ga4", "hubspot": "hubspot",
    "intercom": "intercom", "qualtrics": "qualtrics", "salesforce": "salesforce", "shopify": "shopify",
    "snowplow": "snowplow", "stripe": "stripe", "zendesk": "zendesk", "_synthetic/access_log": "access_log",
    "_synthetic/adobe": "adobe_analytics", "_synthetic/amplitude": "amplitude",
    "_synthetic/delighted": "delighted", "_synthetic/ga4": "ga4", "_synthetic/hubspot": "hubspot",
    "_synthetic/intercom": "intercom", "_synthetic/mixpanel": "mixpanel", "_synthetic/posthog": "posthog",
    "_synthetic/plain_csv": "table", "_synthetic/qualtrics": "qualtrics",
    "_synthetic/rudderstack": "rudderstack", "_synthetic/salesforce": "salesforce",
    "_synthetic/shopify": "shopify", "_synthetic/snowplow": "snowplow", "_synthetic/stripe": "stripe",
    "_synthetic/surveymonkey": "surveymonkey", "_synthetic/typeform": "typeform",
    "_synthetic/zendesk": "zendesk",
}  # fmt: skip
"""Real exports, and made-up ones in the layouts of vendors; each a folder."""


@pytest.mark.parametrize("place", list(SAMPLES))
def test_a_folder_of_a_vendors_export_is_known(place, shared_data):
    folder = shared_data / "formats" / place
    if not folder.is_dir():
        pytest.skip(f"no sample at {folder}")
    assert cjm.loaders.describe(folder).loader == SAMPLES[place]


PLAIN = [
    (
        "customer_id,created_at,action\nada,2025-03-01T10:00:00Z,visit\nbob,2025-03-02T10:00:00Z,buy\n",
        {"customer": "customer_id", "timestamp": "created_at", "event": "action"},
    ),
    (
        "Kunde;Kunden-Nr;answered_at;NPS\nx;7;2025-03-01T10:00:00+01:00;9\ny;8;2025-03-02T10:00:00+01:00;3\n",
        {
            "customer": "Kunde",
            "timestamp": "answered_at",
            "event": "=log",
            "score": "NPS",
            "instrument": "=nps",
            "sep": ";",
        },
    ),
    (
        "id,email,stage,day\n1,ada@x.example,lead,2025-03-01T00:00:00Z\n2,bob@x.example,won,2025-03-02T00:00:00Z\n",
        {"email": "email", "timestamp": "day", "event": "stage"},
    ),
    (
        "order,customer,ordered_at,paid_at\n1,ada,2025-03-01T10:00:00Z,2025-03-01T11:00:00Z\n",
        {"customer": "customer", "melt": {"ordered_at": "ordered", "paid_at": "paid"}},
    ),
    (
        "device_id,event,ts\nd1,visit,1740823200\nd2,visit,1740823300\n",
        {"anonymous_id": "device_id", "timestamp": "ts"},
    ),
    (
        "user_id,timestamp,event\nada,2025-03-01T10:00:00Z,visit\n",
        {},
    ),
]


@pytest.mark.parametrize(("text", "options"), PLAIN)
def test_columns_of_any_table_are_told_by_names_and_cells(text, options, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(text)
    found = cjm.loaders.describe(path)
    assert (found.loader, dict(found.options), found.questions) == ("table", options, ())
    assert len(events(found.code)) >= 1
    assert set(found.to_frame()["column"]) == set(text.partition("\n")[0].replace(";", ",").split(","))


def test_a_score_that_measures_nothing_known_is_a_question(tmp_path):
    path = tmp_path / "answers.csv"
    rows = "".join(f"c{row},2025-03-01T10:00:00Z,{row % 6}\n" for row in range(40))
    path.write_text(f"customer,at,rating\n{rows}c99,2025-03-01T10:00:00Z,n/a\n")
    found = cjm.loaders.describe(path)
    assert (found.options["score"], found.options["instrument"]) == ("rating", "?")
    assert "Nothing says what 'rating' measures" in found.questions[0]
    with pytest.raises(cjm.UnknownNameError, match="instrument"):
        run(found.code)
    assert cjm.loaders.describe(path, instrument="=stars").questions == ()


def test_the_card_shows_shares_and_for_a_vendor_no_columns_of_its_own(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "customer,at,action,note\nada,2025-03-01T10:00:00Z,visit,\nbob,2025-03-01T10:00:00Z,buy,x\n"
    )
    shown = cjm.loaders.describe(path)._repr_html_()
    assert ">column<" in shown
    assert ">50.0 %<" in shown
    case = next(one.values[0] for one in VENDORS if one.values[0].name == "shopify")
    vendor = cjm.loaders.describe(write(tmp_path, case))
    assert vendor.loader == "shopify"
    assert ">column<" not in vendor._repr_html_()


def test_only_the_first_rows_of_a_frame_are_looked_at():
    long = pd.DataFrame({"customer": ["a"], "at": ["2025-03-01T10:00:00Z"], "action": ["visit"]})
    frame = long.loc[[0] * 10_000].reset_index(drop=True)
    frame.loc[9_000:, "at"] = "never"
    assert cjm.loaders.describe(frame).options["timestamp"] == "at"


def test_a_time_without_a_zone_is_a_question(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,at,action\nada,2025-03-01 10:00:00,visit\n")
    found = cjm.loaders.describe(path)
    assert found.options["tz"] == "?"
    assert "carry no zone" in found.questions[0]
    assert "# ? The times" in repr(found)
    with pytest.raises(cjm.UnknownNameError, match="time zone"):
        run(found.code)
    answered = cjm.loaders.describe(path, tz="Europe/Berlin")
    assert answered.questions == ()
    assert events(answered.code)["timestamp"][0] == pd.Timestamp("2025-03-01T09:00:00Z")


def test_a_vendor_that_finds_no_more_than_a_mapping_is_not_proposed(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user_id,session_id,event,timestamp\nu1,s1,visit,2025-03-01 10:00:00\n")
    found = cjm.loaders.describe(path)
    assert found.loader == "table"
    assert found.options == {"tz": "?"}


@pytest.mark.parametrize(
    ("dates", "order"), [("01/02/2025 10:00", None), ("17/02/2025 10:00", True), ("02/17/2025 10:00", False)]
)
def test_an_ambiguous_date_is_a_question_unless_one_can_only_be_read_so(dates, order, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f"user,at,action\nada,{dates},visit\nbob,03/04/2025 10:00,visit\n")
    found = cjm.loaders.describe(path, tz="UTC")
    assert found.options["dayfirst"] == ("?" if order is None else order)
    assert len(found.questions) == (order is None)
    answered = cjm.loaders.describe(path, tz="UTC", dayfirst=True if order is None else order)
    assert len(events(answered.code)) == 2


def test_a_customer_that_no_name_tells_is_a_question(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("x,at,action\n1,2025-03-01T10:00:00Z,visit\n")
    found = cjm.loaders.describe(path)
    assert "customer=" in found.questions[0]
    assert len(events(cjm.loaders.describe(path, customer="x").code)) == 1


def test_a_frame_in_memory_is_described_too():
    frame = pd.DataFrame({"who": ["ada"], "at": pd.to_datetime(["2025-03-01T10:00:00Z"]), "what": ["visit"]})
    found = cjm.loaders.describe(frame)
    assert found.code == "cjm.loaders.table(source, customer='who', timestamp='at', event='what')"
    assert len(events(found.code, source=frame)) == 1


def test_what_cannot_be_described_is_said(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        cjm.loaders.describe(tmp_path / "nothing.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="empty"):
        cjm.loaders.describe(tmp_path / "empty.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="No column holds times"):
        cjm.loaders.describe(tmp_path / "other.csv")


def test_an_export_given_to_the_loader_of_another_system_is_said(tmp_path):
    path = tmp_path / "events.csv"
    rows = [f"2026-03-01 10:00:{second:02},view,d1" for second in range(30)]
    path.write_text("\n".join(["event_time,event_type,device_id", *rows]) + "\n")
    with pytest.warns(UserWarning, match="all 30 rows were left out") as told:
        events = cjm.ingest(cjm.loaders.snowplow(path), progress=False)
    assert "cjm.loaders.describe" in str(told[0].message)
    assert len(events) == 0


def test_orders_with_decimal_commas_are_known(tmp_path):
    path = tmp_path / "orders_export.csv"
    path.write_text(
        "Name;Email;Financial Status;Total;Created at\n"
        "#1;ada@example.com;paid;5,99;2025-03-02 21:15:30 +0100\n"
    )
    assert cjm.loaders.describe(path).code == f"cjm.loaders.shopify({str(path)!r}, decimal=',')"


PLAIN_LOG = "user_id,timestamp,event\nann,2025-03-01T10:00:00Z,visit\nbob,2025-03-01T11:00:00Z,buy\n"
AS_JSON = '{"user_id":"ann","timestamp":"2025-03-01T10:00:00Z","event":"visit"}\n'
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
MIXPANEL = '{"event":"search","properties":{"time":1740823200,"distinct_id":"ann","$insert_id":"e1"}}\n'
AMPLITUDE = (
    '{"event_type":"search","event_time":"2025-03-01 10:00:00.25","device_id":"d1","session_id":1,'
    '"platform":"Web","$insert_id":"e1"}\n'
)


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [("log", PLAIN_LOG, "csv"), ("log.json", PLAIN_LOG, "csv"), ("log.csv", AS_JSON, "json")],
)
def test_a_file_is_what_is_in_it_whatever_it_is_called(name, text, written, tmp_path):
    (tmp_path / name).write_text(text)
    found = cjm.loaders.describe(tmp_path / name)
    assert (found.loader, dict(found.options)) == ("table", {"format": written})
    assert len(events(found.code)) >= 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", PICTURE, "is a picture"),
        ("a.parquet", PICTURE, "is a picture"),
        ("a.png", PICTURE, "is a picture"),
        ("a.json", b"<html><body>Sign in</body></html>", "is a web page"),
        ("a.csv.gz", gzip.compress(gzip.compress(PLAIN_LOG.encode())), "is packed twice"),
        ("a.csv", bytes(range(1, 256)) * 20, "bytes of an unknown format"),
        ("a.json", b"null", "no JSON object but NoneType"),
        ("a.csv", "who,at\nZoë,2025-03-01".encode("latin-1"), "say encoding="),
        ("a.csv", b"ann,2025-03-01T10:00:00Z,visit\n" * 2, "holds values, no names"),
        ("a.csv", b"x" * 200_000, "cannot be read: field larger"),
        ("a.csv", b"id,_fivetran_synced\n1,2025-03-01\n", "but when rows were copied"),
    ],
)
def test_what_is_no_log_is_said_with_what_it_is(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        cjm.loaders.describe(tmp_path / name)


def test_each_of_several_sources_in_a_folder_gets_its_loader(tmp_path):
    (tmp_path / "app").mkdir()
    for day in ("01", "02"):
        (tmp_path / "app" / f"export_2025-03-{day}.json").write_text(AMPLITUDE.replace("e1", day))
    (tmp_path / "web.jsonl").write_text(MIXPANEL)
    (tmp_path / "shop.csv").write_text(PLAIN_LOG)
    (tmp_path / "logo.csv").write_bytes(PICTURE)
    (tmp_path / "notes.md").write_text("# Notes")
    found = cjm.loaders.describe(tmp_path)
    assert [one.loader for one in found.parts] == ["amplitude", "table", "mixpanel"]
    assert found.loader == "amplitude, table, mixpanel"
    assert [one.split(" is left out")[0] for one in found.notes] == [repr(str(tmp_path / "logo.csv"))]
    assert sorted(events(found.code)["event"]) == ["buy", "search", "search", "search", "visit"]
    assert found.to_frame()["source"].unique().tolist() == [one.source for one in found.parts]
    assert "is a picture" in repr(found)
    assert "is a picture" in found._repr_html_()


def test_questions_of_several_sources_name_the_source(tmp_path):
    (tmp_path / "web.jsonl").write_text(MIXPANEL)
    (tmp_path / "shop.csv").write_text("user,at,action\nada,2025-03-01 10:00:00,visit\n")
    found = cjm.loaders.describe(tmp_path)
    assert [one.startswith(repr(str(tmp_path / "shop.csv"))) for one in found.questions] == [True]
    answered = cjm.loaders.describe(tmp_path, tz="Europe/Berlin")
    assert (answered.questions, len(events(answered.code))) == ((), 2)


def test_months_of_one_table_are_one_source(tmp_path):
    for folder in ("2025/jan", "2025/feb"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "log.csv").write_text(PLAIN_LOG.replace("ann", folder[-3:]))
    for part in (1, 2):
        (tmp_path / "2025" / "jan" / f"log-{part}.csv").write_text(PLAIN_LOG.replace("ann", f"u{part}"))
    found = cjm.loaders.describe(tmp_path / "2025" / "jan")
    assert (found.loader, found.parts) == ("table", ())
    assert len(events(found.code)) == 4
    assert len(events(cjm.loaders.describe(tmp_path).code)) == 5


def test_files_that_a_vendors_loader_does_not_read_are_told(tmp_path):
    (tmp_path / "web.jsonl").write_text(MIXPANEL)
    (tmp_path / "colours.csv").write_text("id,colour\n1,red\n")
    found = cjm.loaders.describe(tmp_path)
    assert (found.loader, found.notes) == ("mixpanel", ("mixpanel does not read colours.csv.",))


def test_a_part_of_an_export_is_said_to_be_one(tmp_path):
    (tmp_path / "zendesk").mkdir()
    path = tmp_path / "zendesk" / "users.json"
    path.write_text(json.dumps({"users": [{"id": 1, "name": "Ann"}]}, indent=1))
    with pytest.raises(InputError, match=r"may be a part of an export: .* holds no tickets of Zendesk"):
        cjm.loaders.describe(path)
    people = tmp_path / "segment_identifies.csv"
    people.write_text("id,anonymous_id,user_id,received_at\n1,d1,ann,2025-03-01 10:00:00\n")
    assert "no event by themselves" in cjm.loaders.describe(people).notes[0]


def test_rejects_are_told(tmp_path):
    path = tmp_path / "amplitude.json"
    path.write_text(AMPLITUDE.replace('"device_id":"d1",', "") + AMPLITUDE)
    assert cjm.loaders.describe(path).notes[0].startswith("Of the first 2 rows, 1 is a reject: no customer")


def test_an_archive_of_one_table_is_a_source(tmp_path):
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as archive:
        archive.writestr("log.csv", PLAIN_LOG)
        archive.writestr("more.csv", PLAIN_LOG.replace("ann", "zoe"))
    found = cjm.loaders.describe(tmp_path / "log.zip")
    assert len(events(found.code)) == 3
