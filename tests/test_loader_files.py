"""The files that people really have, end to end, by the generic loader and by a vendor's."""

from __future__ import annotations

import csv
import gzip
import random
import sys
import tarfile
import warnings
import zipfile

import fastavro
import openpyxl
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics import InputError, UnknownNameError, loaders
from cjm_analytics.loaders import csv_files
from cjm_analytics.loaders.beginnings import only_beginnings
from cjm_analytics.loaders.files import find_files
from cjm_analytics.loaders.source import whole
from test_loader_matrix import seen, write
from vendor_cases import CASES

COLUMNS = ["Name", "Email", "Financial Status", "Created at", "Total", "Currency", "Source", "Lineitem name"]
ROWS = [
    ["#1001", "zoë@example.com", "paid", "2026-03-01 10:00:00 +0100", "1.234,50", "EUR", "web", "Tee – süß"],
    ["#1002", "ann@example.com", "paid", "2026-03-02 10:00:00 +0100", "9,90", "EUR", "web", "Dose; rund"],
    ["#1003", "bob@example.com", "paid", "2026-03-03 10:00:00 +0100", "12", "EUR", "pos", "„Tee“\nlose"],
]  # fmt: skip
EXPECTED = [
    ("anonymous:email:ann@example.com", "2026-03-02 09:00", 9.9, "Dose; rund"),
    ("anonymous:email:bob@example.com", "2026-03-03 09:00", 12.0, "„Tee“\nlose"),
    ("anonymous:email:zoë@example.com", "2026-03-01 09:00", 1234.5, "Tee – süß"),
]
AS_TABLE = {
    "email": "Email",
    "timestamp": "Created at",
    "event": "=order_placed",
    "value": "Total",
    "timestamp_format": "%Y-%m-%d %H:%M:%S %z",
    "name": "shopify",
    "kind": "order",
}
LOAD = {
    "table": lambda path, **options: loaders.table(path, **AS_TABLE, **options),
    "vendor": loaders.shopify,
}


def csv_text(rows=ROWS, columns=COLUMNS, end="\r\n"):
    return "".join(";".join(f'"{cell}"' for cell in row) + end for row in [columns, *rows])


ENCODINGS = {
    "utf-8": ("utf-8", b"", {}),
    "utf-8 with BOM": ("utf-8", b"\xef\xbb\xbf", {}),
    "utf-16-le with BOM": ("utf-16-le", b"\xff\xfe", {}),
    "utf-16-be with BOM": ("utf-16-be", b"\xfe\xff", {}),
    "utf-16-le": ("utf-16-le", b"", {"encoding": "utf-16-le"}),
    "utf-16-be": ("utf-16-be", b"", {"encoding": "utf-16-be"}),
    "windows-1252": ("windows-1252", b"", {"encoding": "windows-1252"}),
}
EVERY = pytest.mark.parametrize("by", list(LOAD))


def read(by, path, **options):
    events = cjm.ingest(LOAD[by](path, **options), now="2026-06-01", progress=False)
    frame = events.to_frame(["customer_id", "timestamp", "event", "value", "properties"])
    frame = frame[frame["event"] == "order_placed"]
    item = frame["properties"].map(lambda text: _item(text, by))
    times = frame["timestamp"].dt.strftime("%Y-%m-%d %H:%M")
    return list(zip(frame["customer_id"], times, frame["value"], item, strict=True))


def _item(text, by):
    import json

    said = json.loads(text)
    return said["Lineitem name"] if by == "table" else said["line_items"][0]["name"]


@EVERY
@pytest.mark.parametrize("written", list(ENCODINGS))
def test_semicolons_decimal_commas_and_every_encoding(by, written, tmp_path):
    encoding, before, told = ENCODINGS[written]
    path = tmp_path / "orders_export.csv"
    path.write_bytes(before + csv_text().encode(encoding))
    assert read(by, path, decimal=",", **told) == EXPECTED


@EVERY
@pytest.mark.parametrize("written", list(ENCODINGS))
@pytest.mark.parametrize("size", [300, 333, 1_001])
def test_a_file_in_blocks_is_the_whole_file(by, written, size, tmp_path, monkeypatch):
    encoding, before, told = ENCODINGS[written]
    path = tmp_path / "orders_export.csv"
    rows = [[f"#{number}", f"u{number % 7}@example.com", *ROWS[number % 3][2:]] for number in range(60)]
    path.write_bytes(before + csv_text(rows).encode(encoding))
    whole = read(by, path, decimal=",", **told)
    monkeypatch.setattr(sys.modules["cjm_analytics.loaders.csv_files"], "_CSV_BLOCK", size)
    monkeypatch.setattr(sys.modules["cjm_analytics.loaders.line_blocks"], "_LOOKED_AT", 8)
    assert len(whole) == 60
    assert read(by, path, decimal=",", **told) == whole


@EVERY
def test_a_workbook(by, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(COLUMNS)
    for row, value in zip(ROWS, (1234.5, 9.9, 12), strict=True):
        book.active.append([*row[:4], value, *row[5:]])
    book.save(tmp_path / "orders_export.xlsx")
    assert read(by, tmp_path / "orders_export.xlsx") == EXPECTED


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_three_header_rows(kind, tmp_path):
    head = [
        ["StartDate", "EndDate", "Q1", "", "ExternalReference"],
        ["Start", "Ende", "Wie wahrscheinlich …?", "Warum?", "Kunde"],
        ["{id}", "{id}", "{QID1}", "{QID1}", "{ref}"],
    ]
    rows = [["", "2026-03-01 10:00", "9,5", "gut; schnell", "u1"], ["", "2026-03-02 10:00", "7", "", "u2"]]
    path = tmp_path / f"answers.{kind}"
    if kind == "csv":
        path.write_bytes(csv_text([*head[1:], *rows], head[0]).encode("utf-16"))
    else:
        book = openpyxl.Workbook()
        for row in [*head, *rows]:
            book.active.append(row)
        book.save(path)
    answers = loaders.table(
        path,
        customer="ExternalReference / Kunde / {ref}",
        timestamp="EndDate / Ende / {id}",
        event="=answer",
        score="Q1 / Wie wahrscheinlich …? / {QID1}",
        comment="Q1 / Warum? / {QID1}",
        header_rows=3,
        decimal=",",
        tz="Europe/Berlin",
    )
    frame = cjm.ingest(answers, now="2026-06-01", progress=False).to_frame(
        ["customer_id", "score", "comment"]
    )
    assert frame["score"].tolist() == [9.5, 7.0]
    assert frame["comment"].tolist() == ["gut; schnell", None]


@pytest.mark.parametrize("written", ["utf-8 with BOM", "utf-16-le with BOM", "windows-1252"])
def test_three_header_rows_of_a_vendor(written, tmp_path):
    encoding, before, told = ENCODINGS[written]
    names = ["ResponseId", "EndDate", "Finished", "Q1", "Q1_TEXT", "ExternalReference"]
    head = [
        ["Response ID", "End Date", "Finished", "Wie wahrscheinlich …?", "Warum?", "External Data Reference"],
        [f"{{'ImportId':'{name}'}}" for name in names],
    ]
    head[1] = [cell.replace("'", '""') for cell in head[1]]
    rows = [
        ["R_1", "2026-03-01 10:00:00", "True", "9", "süß; schnell", "u1"],
        ["R_2", "2026-03-02 10:00:00", "True", "3", "", "u2"],
    ]
    path = tmp_path / "answers.csv"
    path.write_bytes(before + csv_text([*head, *rows], names).encode(encoding))
    answers = loaders.qualtrics(path, scores={"Q1": "nps"}, tz="Europe/Berlin", comment="Q1_TEXT", **told)
    frame = cjm.ingest(answers, now="2026-06-01", progress=False).to_frame(
        ["customer_id", "instrument", "score", "comment"]
    )
    assert frame.to_numpy().tolist() == [["u1", "nps", 9.0, "süß; schnell"], ["u2", "nps", 3.0, None]]


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1.234,50", ",", 1234.5),
        ("-1.234.567", ",", -1234567),
        ("1.234", ",", 1234),  # the comma is the decimal sign: a point can only set off thousands
        ("1234,5", ",", 1234.5),
        ("1.5", ",", None),
        ("12.34,5", ",", None),
        ("1,234.50", ".", 1234.5),
        ("1,234", ".", None),  # one thousand or one and a bit: nobody said
        ("9,90", ".", None),
        ("1.234.5", ".", None),
    ],
)
def test_thousands_are_run_together_only_where_they_can_be_nothing_else(text, decimal, value):
    row = {"who": ["a"], "when": ["2026-03-01"], "what": ["x"], "paid": [text]}
    source = loaders.table(
        row, customer="who", timestamp="when", event="what", value="paid", tz="UTC", decimal=decimal
    )
    batch = next(source.batches())
    if value is None:
        (reason,) = batch.rejects["reason"].to_pylist()
        assert reason.startswith(f"paid is no number: {text!r}")
        assert (f"the decimal sign is {decimal!r}" in reason) == (text in {"1.5", "1,234", "9,90"})
    else:
        assert [float(one) for one in batch.events["value"].to_pylist()] == [value]


@EVERY
@pytest.mark.parametrize(
    ("encoding", "options", "said"),
    [
        ("utf-16-le", {}, r"looks like UTF-16 without a byte-order mark. Say encoding='utf-16-le'"),
        ("utf-16-be", {}, r"looks like UTF-16 without a byte-order mark. Say encoding='utf-16-be'"),
        (
            "utf-16-le",
            {"encoding": "windows-1252"},
            r"not in the encoding 'windows-1252': it looks like UTF-16",
        ),
        ("utf-8", {"encoding": "utf-16"}, r"say encoding='utf-16-le' .* or is it UTF-8\?"),
        ("windows-1252", {}, r"no text in utf-8; say encoding= .* perhaps 'windows-1252'"),
        ("utf-8", {"sep": ",", "decimal": "."}, r"is one column with sep=','.* Did you mean sep=';'\?"),
        ("utf-8", {"sep": "|"}, r"is one column with sep='\|'.* Did you mean sep=';'\?"),
        ("utf-8", {"decimal": "."}, r"no number: '9,90' \(the decimal sign is '.'; say decimal=','"),
    ],
)
def test_a_wrong_encoding_separator_or_sign_is_told_with_what_to_say(by, encoding, options, said, tmp_path):
    path = tmp_path / "orders_export.csv"
    path.write_bytes(csv_text().encode(encoding))
    with pytest.raises(InputError, match=said):
        read(by, path, **{"decimal": ",", **options})


def test_text_that_is_utf8_beyond_doubt_is_not_taken_for_another_silently(tmp_path):
    path = tmp_path / "orders_export.csv"
    path.write_text(csv_text(), encoding="utf-8")
    with pytest.warns(UserWarning, match="said to be in windows-1252, but reads as UTF-8"):
        read("table", path, decimal=",", encoding="windows-1252")
    path.write_text(csv_text([[*row[:7], "Tee"] for row in ROWS[1:]]), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read("table", path, decimal=",", encoding="windows-1252")) == 2


HEAD = "who;at;what;sum\n"
BODY = "ann;2025-02-13 14:30;buy;1\nbob;2025-02-14 9:05;call;2\n"
TOLD = {"customer": "who", "timestamp": "at", "event": "what", "tz": "UTC"}
BOTH = [("ann", "buy"), ("bob", "call")]


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def whom(path, **options):
    """Who did what, and why the other rows were rejected."""
    batch = whole(loaders.table(path, **{**TOLD, **options}).batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    rows = batch.events.select(["user_id", "event"]).to_pylist() if batch.events.num_rows else []
    return [(one["user_id"], one["event"]) for one in rows], batch.rejects["reason"].to_pylist()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("sep=;\n" + HEAD + BODY, {}),
        ('"sep=|"\n' + (HEAD + BODY).replace(";", "|"), {}),
        (HEAD + BODY + ";;;\n" * 40, {}),
        (HEAD + "\n" + BODY.replace("\n", "\n;;;\n"), {}),
        (HEAD + BODY.replace("\n", ";\n"), {}),
        (HEAD + BODY.replace("\n", ";;;;\n"), {}),
        (HEAD.replace("\n", ";\n") + BODY, {}),
        (HEAD.replace("\n", ";\n") + BODY.replace("\n", ";\n"), {}),
        ((HEAD + BODY).replace("\n", "\r"), {}),
        ("Report\n\n" + HEAD + BODY, {"skip_rows": 1}),
        ("Report; of March;\nall shops\n" + HEAD + BODY, {"skip_rows": 2}),
        (HEAD + BODY.replace("2025-02-13", "2025/2/13"), {}),
        (HEAD + BODY.replace("ann", '="ann"'), {}),
    ],
    ids=[
        "the separator told", "told in quotes", "empty rows behind", "empty rows between",
        "a separator behind rows", "several behind rows", "one behind the header", "behind both",
        "carriage returns", "a title", "a title with separators", "slashes behind the year",
        "text as a formula",
    ],
)  # fmt: skip
def test_files_that_look_odd_and_say_all(text, options, tmp_path):
    assert whom(written(tmp_path / "log.csv", text), **options) == (BOTH, [])


@pytest.mark.parametrize(
    ("text", "kept", "reason"),
    [
        (HEAD + BODY + "Total;;;3\n", BOTH, "no time: at is empty"),
        (HEAD + BODY + "cid;2025-02-15\n", BOTH, "2 fields where the header has 4"),
        (HEAD + BODY + "cid;2025-02-15;buy;1;;x\n", BOTH, "6 fields where the header has 4"),
        (HEAD + BODY + "4,91764E+12;2025-02-15;buy;1\n", BOTH, "was rounded by a spreadsheet"),
        (HEAD + BODY + "cid;45703.5;buy;1\n", BOTH, "say unit='excel'"),
        (HEAD + BODY.replace("buy;1", 'buy;"1'), BOTH[1:], "a quote that is not closed"),
    ],
    ids=["a total", "too few", "too many", "digits gone", "a day's number", "an open quote"],
)
def test_rows_that_say_too_little_are_rejects_that_say_why(text, kept, reason, tmp_path):
    found, reasons = whom(written(tmp_path / "log.csv", text))
    assert found == kept
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_a_quote_in_the_last_row_need_not_be_closed(tmp_path):
    """Inches stand behind a text over two lines; the row is whole."""
    text = HEAD + BODY + 'cid;2025-02-15;"a\nb";7" tablet\n'
    assert whom(written(tmp_path / "log.csv", text)) == ([*BOTH, ("cid", "a\nb")], [])


@pytest.mark.parametrize("first", ["Report of March", "Report of March;;;"])
def test_a_title_above_the_header_is_told_with_what_to_say(first, tmp_path):
    path = written(tmp_path / "log.csv", f"{first}\n{HEAD}{BODY}")
    with pytest.raises(InputError, match=r"is one cell, 'Report of March', .* skip_rows=1"):
        whom(path)
    book = openpyxl.Workbook()
    for row in ([first.strip(";")], [], *([*csv.reader((HEAD + BODY).splitlines(), delimiter=";")])):
        book.active.append(row)
    book.save(tmp_path / "log.xlsx")
    with pytest.raises(InputError, match=r"is one cell, 'Report of March', .* skip_rows=1"):
        whom(tmp_path / "log.xlsx")
    assert whom(tmp_path / "log.xlsx", skip_rows=1) == (BOTH, [])
    assert loaders.describe(path, skip_rows=1, tz="UTC").options["skip_rows"] == 1


@pytest.mark.parametrize("said", [-1, 1.5, True])
def test_rows_to_skip_are_a_number(said, tmp_path):
    with pytest.raises(InputError, match="skip_rows="):
        whom(written(tmp_path / "log.csv", HEAD + BODY), skip_rows=said)


def test_the_days_of_a_spreadsheet(tmp_path):
    """Day 45689 is 1 February 2025; its noon is 45689.5; the clocks of Berlin are an hour ahead."""
    text = HEAD + "ann;45689.6041666667;buy;1\nbob;45690;call;2\ncid;2025-02-03T10:00Z;x;\ndan;1e9;x;\n"
    source = loaders.table(
        written(tmp_path / "log.csv", text), **TOLD | {"tz": "Europe/Berlin"}, unit="excel"
    )
    batch = whole(source.batches())
    times = [(str(one["timestamp"]), one["time_quality"]) for one in batch.events.to_pylist()]
    assert times == [
        ("2025-02-01 13:30:00+00:00", "second"),
        ("2025-02-02 11:00:00+00:00", "date"),
        ("2025-02-03 10:00:00+00:00", "minute"),
    ]
    assert batch.rejects["src_row"].to_pylist() == [5]
    days = written(tmp_path / "days.csv", "who;answered_at;what\nann;45689.5;buy\nbob;45690.5;call\n")
    found = loaders.describe(days, unit="excel")
    assert (found.options["timestamp"], found.options["tz"]) == ("answered_at", "?")
    frame = {"who": ["ann", "bob"], "at": [45689.5, 3e12], "what": ["a", "b"]}
    batch = whole(loaders.table(frame, **TOLD, unit="excel").batches())
    assert [str(one) for one in batch.events["timestamp"].to_pylist()] == ["2025-02-01 12:00:00+00:00"]
    assert "no day of a spreadsheet" in batch.rejects["reason"][0].as_py()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"<html><table></table></html>", "web page or XML"), (b"who;at;what\nann;b;c\n", "say format='csv'")],
)
def test_what_is_only_called_a_workbook(content, said, tmp_path):
    path = tmp_path / "log.xls"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        whom(path)


def test_names_that_repeat_hint_at_several_header_rows(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("Q1;Q1\nscore;why\n")
    with pytest.raises(
        InputError, match=r"'Q1' 2 times.*'Q1 \(1\)', 'Q1 \(2\)'.*several rows name the columns"
    ):
        loaders.table(path, customer="Q1", timestamp="Q1", event="Q1")


# Archives

LINES = "user_id,timestamp,event\n"


def zipped(path, **files):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(name.replace("__", "."), content)
    return path


def test_a_table_that_was_zipped_by_itself(tmp_path):
    path = zipped(tmp_path / "visits.csv.zip", visits__csv=LINES + "ada,2025-03-01T10:00:00Z,visit\n")
    events = cjm.ingest(loaders.table(path), now="2026-01-01", progress=False)
    assert events.to_frame(["customer_id", "source", "src_file"]).iloc[0].tolist() == [
        "ada",
        "visits",
        f"{path}/visits.csv",
    ]


def test_archives_among_plain_files_and_packed_files_within(tmp_path):
    days = [LINES + f"ada,2025-03-0{day}T10:00:00Z,visit\n" for day in range(1, 5)]
    (tmp_path / "1.csv").write_text(days[0])
    zipped(tmp_path / "2.zip", a__csv=days[1], b__csv__gz=gzip.compress(days[2].encode()), notes__pdf="?")
    with tarfile.open(tmp_path / "4.tgz", "w:gz") as made:
        made.add(tmp_path / "1.csv", "inside/1.csv")
    batch = whole(loaders.table(tmp_path).batches())
    assert batch.events["src_file"].to_pylist() == [
        str(tmp_path / one) for one in ("1.csv", "2.zip/a.csv", "2.zip/b.csv.gz", "4.tgz/inside/1.csv")
    ]


def test_a_table_in_columns_inside_an_archive(tmp_path):
    frame = pd.DataFrame({"user_id": ["ada"], "timestamp": ["2025-03-01T10:00:00Z"], "event": ["visit"]})
    path = zipped(tmp_path / "log.zip", log__parquet=frame.to_parquet())
    assert whole(loaders.table(path).batches()).events["user_id"].to_pylist() == ["ada"]


def test_what_is_wrong_with_an_archive_is_said(tmp_path):
    (tmp_path / "log.zip").write_bytes(b"PK\3\4 cut off")
    with pytest.raises(InputError, match=r"log.zip' cannot be unpacked: it is damaged, or no archive"):
        loaders.table(tmp_path / "log.zip")
    (tmp_path / "log.tar.gz").write_bytes(gzip.compress(b"no archive")[:20])
    with pytest.raises(InputError, match=r"log.tar.gz' cannot be unpacked"):
        loaders.table(tmp_path / "log.tar.gz")
    with pytest.raises(InputError, match=r"The archive '.*' holds no CSV, JSON or Parquet file. In it there"):
        loaders.table(zipped(tmp_path / "other.zip", notes__pdf="?"))
    with pytest.raises(InputError, match=r"The archive '.*' holds files of several formats \(csv, json\)"):
        loaders.table(zipped(tmp_path / "both.zip", a__csv=LINES, b__json="{}"))


def test_an_archive_that_is_damaged_further_on_names_the_file(tmp_path):
    noise = "".join(random.Random(1).choices("abcdefghij", k=200_000))
    path = tmp_path / "log.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("log.csv", LINES + f"ada,2025-03-01T10:00:00Z,visit\n{noise},,\n")
    content = bytearray(path.read_bytes())
    content[50_000:50_100] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"log.zip/log.csv' cannot be read as csv: it is damaged"):
        whole(loaders.table(path).batches())


def test_days_with_more_columns_than_others_and_days_without_rows(tmp_path):
    (tmp_path / "1.csv").write_text(LINES + "ada,2025-03-01T10:00:00Z,visit\n")
    (tmp_path / "2.csv").write_text(LINES)
    (tmp_path / "3.csv").write_text("plan,timestamp,user_id,event\ngold,2025-03-03T10:00:00Z,ada,visit\n")
    batch = whole(loaders.table(tmp_path, keep=["plan"], order_id="plan").batches())
    assert batch.events["plan"].to_pylist() == [None, "gold"]
    assert batch.events["order_id"].to_pylist() == [None, "gold"]
    assert batch.rejects.num_rows == 0
    for options in ({"keep": ["plann"]}, {"order_id": "plann"}):
        with pytest.raises(UnknownNameError, match=r"1.csv for .*= named 'plann'"):
            loaders.table(tmp_path, **options)


def test_an_empty_folder_says_so(tmp_path):
    for load in (loaders.table, loaders.segment, loaders.ga4, loaders.zendesk, loaders.adobe_analytics):
        with pytest.raises(InputError, match=r"holds no CSV, JSON or Parquet file. It is empty"):
            load(tmp_path)


# Avro

PARAM = {
    "type": "record",
    "name": "param",
    "fields": [
        {"name": "key", "type": ["null", "string"]},
        {
            "name": "value",
            "type": {
                "type": "record",
                "name": "value",
                "fields": [
                    {"name": "string_value", "type": ["null", "string"]},
                    {"name": "int_value", "type": ["null", "long"]},
                    {"name": "double_value", "type": ["null", "double"]},
                ],
            },
        },
    ],
}
GA4 = {
    "type": "record",
    "name": "Root",
    "fields": [
        *({"name": name, "type": ["null", "string"]}
          for name in ("event_name", "user_pseudo_id", "user_id", "stream_id", "platform")),
        *({"name": name, "type": ["null", "long"]}
          for name in ("event_timestamp", "event_bundle_sequence_id")),
        {"name": "event_params", "type": {"type": "array", "items": PARAM}},
    ],
}  # fmt: skip


def test_an_avro_export_of_ga4_tells_what_its_json_lines_tell(tmp_path):
    case = next(one for one in CASES if one.name == "ga4")
    rows = [{**one, "event_timestamp": int(one["event_timestamp"])} for one in case.rows]
    for codec in ("null", "deflate"):
        with (tmp_path / f"{codec}.avro").open("wb") as file:
            fastavro.writer(file, fastavro.parse_schema(GA4), rows, codec=codec)
        plain = seen(whole(case.load(write(tmp_path / codec, case)).batches()))
        assert seen(whole(loaders.ga4(tmp_path / f"{codec}.avro").batches())) == plain


def test_avro_of_any_table_and_avro_that_is_none(tmp_path):
    schema = {
        "type": "record",
        "name": "row",
        "fields": [
            {"name": "user_id", "type": "string"},
            {"name": "event", "type": "string"},
            {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        ],
    }
    at = pd.Timestamp("2025-03-01T10:00:00Z")
    for name, rows in (("some", [{"user_id": "ada", "event": "visit", "timestamp": at}]), ("none", [])):
        with (tmp_path / f"{name}.avro").open("wb") as file:
            fastavro.writer(file, fastavro.parse_schema(schema), rows)
    found = whole(loaders.table(tmp_path / "some.avro").batches()).events
    assert found.select(["user_id", "timestamp"]).to_pylist() == [{"user_id": "ada", "timestamp": at}]
    assert whole(loaders.ga4(tmp_path / "none.avro").batches()).events.num_rows == 0
    (tmp_path / "other.avro").write_bytes(b"no Avro at all")
    with pytest.raises(InputError, match=r"other.avro' cannot be read as avro: it is damaged or cut off"):
        loaders.table(tmp_path / "other.avro")


def seen_of(path, size):
    """What the beginning of a file holds."""
    (file,) = find_files(path, "json")
    with only_beginnings(size), file.open() as stream:
        return b"".join(iter(lambda: bytes(stream.read(7)), b""))


WITH_BREAKS = b'id,note\n1,"two\nlines"\n2,"a ""b"" c"\n3,d\n'


@pytest.mark.parametrize("packed", [False, True])
def test_a_beginning_ends_where_a_row_does(packed, tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(gzip.compress(WITH_BREAKS) if packed else WITH_BREAKS)
    ends = [len(b"id,note\n"), WITH_BREAKS.index(b"2,"), WITH_BREAKS.index(b"3,"), len(WITH_BREAKS)]
    for size in range(ends[0], len(WITH_BREAKS) + 2):
        assert seen_of(path, size) == WITH_BREAKS[: max(one for one in ends if one <= size)]
    assert seen_of(path, 3) == WITH_BREAKS  # no row is so short


@pytest.mark.parametrize(
    "whole",
    [
        b'[{"a": 1},\n {"a": 2},\n {"a": 3}]\n',
        b'{"events": [\n {"a": 1},\n {"a": 2}]}\n',
        b"<log>\n <trace/>\n <trace/>\n</log>\n",
        "a,b\n1,2\n3,4\n5,6\n".encode("utf-16"),
    ],
)
def test_what_lines_do_not_divide_is_seen_whole(whole, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(whole)
    for size in range(1, len(whole) + 2):
        assert seen_of(path, size) == whole


def test_objects_on_lines_are_divided(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b'{"a": "\\""}\n{"a": 2}\n{"a": 3}\n')
    assert seen_of(path, 25) == b'{"a": "\\""}\n{"a": 2}\n'


def test_a_look_does_not_read_what_comes_later(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    rows = "".join(f"c{row},2026-01-01T10:00:00Z,{'visit' if row % 3 else 'buy'}\n" for row in range(100_000))
    path.write_text("customer_id,at,event\n" + rows)
    assert cjm.loaders.describe(path).code == (
        f"cjm.loaders.table({str(path)!r}, customer='customer_id', timestamp='at')"
    )
    read = []
    parse = csv_files._CsvParser.parse
    monkeypatch.setattr(
        csv_files._CsvParser, "parse", lambda self, body: read.append(body.n_lines) or parse(self, body)
    )
    cjm.loaders.describe(path)
    assert 0 < max(read) < 20_000
