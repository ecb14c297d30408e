"""Files people really have: workbooks, several header rows, decimal commas, other encodings."""

from __future__ import annotations

import datetime as dt
import sys

import openpyxl
import pytest

from cjm_analytics import loaders
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.source import whole

NAMED = {"customer": "who", "timestamp": "at", "event": "what", "tz": "Europe/Berlin"}
ROWS = [
    ["who", "at", "what", "paid", "note"],
    [17, dt.datetime.fromisoformat("2025-03-01T10:30"), "buy", 9.5, None],
    [None, None, None, None, None],
    ["ann", dt.datetime.fromisoformat("2025-07-02"), "visit", None, "x"],
    [None, dt.datetime.fromisoformat("2025-07-03"), "visit", 1, "y"],
]


def book(path, *, before=0, **sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row, cells in enumerate(rows, start=1 + before):
            for column, cell in enumerate(cells, start=1):
                sheet.cell(row, column, cell)
    made.save(path)
    return str(path)


def read(source, **options):
    batch = whole(loaders.table(source, **options).batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


@pytest.mark.parametrize("before", [0, 3])
def test_a_workbook_with_numbers_dates_and_gaps(tmp_path, before):
    batch = read(book(tmp_path / "log.xlsx", log=ROWS, empty=[], before=before), **NAMED, value="paid")
    rows = batch.events.select(["user_id", "timestamp", "event", "src_row"]).to_pylist()
    assert [(one["user_id"], str(one["timestamp"]), one["event"], one["src_row"]) for one in rows] == [
        ("17", "2025-03-01 09:30:00+00:00", "buy", 2 + before),
        ("ann", "2025-07-01 22:00:00+00:00", "visit", 4 + before),
    ]
    assert str(batch.events["value"][0].as_py()) == "9.5000"
    assert batch.rejects.select(["src_row", "reason"]).to_pylist() == [
        {"src_row": 5 + before, "reason": "no customer: who is empty"}
    ]


def test_blocks_of_a_workbook_are_the_whole(tmp_path, monkeypatch):
    path = book(tmp_path / "log.xlsx", log=ROWS)
    plain = read(path, **NAMED).events.to_pylist()
    monkeypatch.setattr(sys.modules["cjm_analytics.loaders.excel"], "BLOCK_ROWS", 1)
    assert read(path, **NAMED).events.to_pylist() == plain


def test_which_sheet_is_asked_not_guessed(tmp_path):
    path = book(tmp_path / "log.xlsx", march=ROWS, april=ROWS[:2])
    with pytest.raises(InputError, match=r"several sheets .*'march', 'april'. Say sheet="):
        loaders.table(path, **NAMED)
    assert read(path, sheet="april", **NAMED).events.num_rows == 1
    with pytest.raises(UnknownNameError, match=r"'apil'. Did you mean 'april'"):
        loaders.table(path, sheet="apil", **NAMED)


def test_a_workbook_that_is_none_and_one_without_rows(tmp_path, monkeypatch):
    (tmp_path / "log.xlsx").write_text("who,at\n")
    with pytest.raises(InputError, match="damaged or no Excel workbook"):
        loaders.table(tmp_path / "log.xlsx", **NAMED)
    with pytest.raises(InputError, match="not even a header row"):
        loaders.table(book(tmp_path / "none.xlsx", log=[]), **NAMED)
    assert read(book(tmp_path / "head.xlsx", log=ROWS[:1]), **NAMED).n_read == 0
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(InputError, match=r"pip install 'cjm_analytics\[excel\]'"):
        loaders.table(tmp_path / "head.xlsx", **NAMED)


HEADS = [["who", "at", "rating", None], [None, None, "service", "price"]]


def test_several_header_rows(tmp_path):
    row = ["ann", "2025-03-01T10:00:00Z", 9, 7]
    named = {"customer": "who", "timestamp": "at", "event": "=rated", "score": "rating / price"}
    packed = book(tmp_path / "log.xlsx", log=[*HEADS, row])
    text = "\n".join(",".join("" if cell is None else str(cell) for cell in cells) for cells in [*HEADS, row])
    (tmp_path / "log.csv").write_text(text)
    for path in (packed, tmp_path / "log.csv"):
        batch = read(path, header_rows=2, **named)
        assert batch.events.select(["user_id", "score", "src_row", "properties"]).to_pylist() == [
            {
                "user_id": "ann",
                "score": 7.0,
                "src_row": 3,
                "properties": batch.events["properties"][0].as_py(),
            }
        ]
        assert "rating / service" in batch.events["properties"][0].as_py()
    with pytest.raises(InputError, match="fewer lines than header_rows=9"):
        loaders.table(tmp_path / "log.csv", header_rows=9, **named)
    with pytest.raises(InputError, match="header_rows=0 must be"):
        loaders.table(tmp_path / "log.csv", header_rows=0, **named)


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16", "utf-8-sig"])
def test_semicolons_decimal_commas_and_encodings(tmp_path, encoding):
    text = "who;at;what;paid\r\nJürgen;01.03.2025 10:00;Käufe;1234,50\r\n"
    (tmp_path / "log.csv").write_bytes(text.encode(encoding))
    said = {"encoding": encoding} if encoding == "windows-1252" else {}
    batch = read(tmp_path / "log.csv", decimal=",", dayfirst=True, value="paid", **NAMED, **said)
    row = batch.events.select(["user_id", "event", "value"]).to_pylist()[0]
    assert (row["user_id"], row["event"], str(row["value"])) == ("Jürgen", "Käufe", "1234.5000")
