"""What holds for every loader: the same story whatever the file looks like, and no row lost."""

from __future__ import annotations

import copy
import csv
import datetime as dt
import gzip
import inspect
import io
import json
import sys
import tarfile
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import CJMError, InputError
from cjm_analytics.loaders import csv_files, json_files, reading
from cjm_analytics.loaders.source import whole
from cjm_analytics.loaders.times import OPTIONS
from log_cases import LOGS
from vendor_cases import CASES

VENDORS = [pytest.param(case, id=case.name) for case in CASES]
EVERY = [pytest.param(case, id=case.name) for case in [*CASES, *LOGS]]
OBJECTS = [one for one in EVERY if isinstance(one.values[0].rows[0], dict)]
HEADED = [one for one in OBJECTS if one.values[0].written or one.values[0].file.endswith((".csv", ".tsv"))]
SQLITE = b"SQLite format 3"


def text_of(rows, file, *, end="\n"):
    """Rows as the file says that they are written."""
    if not rows or isinstance(rows[0], str):
        return "".join(row + end for row in rows)
    if file.endswith((".csv", ".tsv")):
        stream = io.StringIO(newline="")
        names = list(dict.fromkeys(name for row in rows for name in row))
        sep = "\t" if file.endswith(".tsv") else ","
        writer = csv.DictWriter(stream, names, delimiter=sep, lineterminator=end)
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()
    return "".join(json.dumps(row) + end for row in rows)


def write(folder, case, rows=None, *, end="\n", before=b"", packed=False):
    """The export in a folder; gives what the loader is to be called with."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, beside in case.beside.items():
        (folder / name).write_text(text_of(beside, name))
    told = case.rows if rows is None else rows
    if case.file.endswith(".parquet"):
        held = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(told), held)
        content = held.getvalue().to_pybytes()
    elif case.written:
        content = case.written(told) if told else b""
        if not content.startswith(SQLITE):
            content = before + content.replace(b"\n", end.encode())
    else:
        content = before + text_of(told, case.file, end=end).encode()
    path = folder / (case.file + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(content) if packed else content)
    return folder if case.beside else path


def read(stream):
    batch = whole(stream.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def seen(batch, *columns):
    """Events as objects, in the order of their time; a column that is not there is empty."""
    events = batch.events
    asked = columns or [name for name in events.column_names if name not in {"src_file", "src_row", "seq"}]
    there = [name for name in asked if name in events.column_names]
    rows = events.sort_by([("timestamp", "ascending")]).select(there).to_pylist()
    return [{name: shown(row.get(name)) for name in asked} for row in rows]


def shown(value):
    if isinstance(value, dt.datetime):
        return value.isoformat().removesuffix("+00:00")[:19]
    return None if value is None else str(value)


def changed(row, place, value):
    """A copy of a row with another value at a dotted place."""
    made = copy.deepcopy(row)
    inside = made
    *heads, last = place.split(".")
    for head in heads:
        inside = inside.setdefault(head, {})
    inside[last] = value(inside.get(last)) if callable(value) else value
    return made


@pytest.mark.parametrize("case", EVERY)
def test_rows_become_the_events_of_the_story(case, tmp_path):
    events = cjm.ingest(case.load(write(tmp_path, case)), now="2026-01-01", progress=False)
    found = events.to_frame().sort_values(["timestamp", "event"]).to_dict("records")
    assert len(found) == len(case.expected)
    for one, wanted in zip(found, case.expected, strict=True):
        got = {name: None if pd.isna(one.get(name)) else shown_cell(one[name]) for name in wanted}
        assert got == wanted


@pytest.mark.parametrize("case", [one for one in EVERY if isinstance(one.values[0].rows[0], dict)])
@pytest.mark.parametrize("time", ["01/02/2025 10:00", "soon", "45717.5"])
def test_hints_about_times_name_what_the_loader_has(case, time, tmp_path):
    rows = [changed(row, case.time, time) for row in case.rows]
    try:
        said = "".join(read(case.load(write(tmp_path, case, rows))).rejects["reason"].to_pylist())
    except InputError as fault:
        said = str(fault)
    has = inspect.signature(case.load).parameters.values()
    if "cjm.loaders.table" not in said and not any(one.kind == one.VAR_KEYWORD for one in has):
        assert {one for one in OPTIONS if f"{one}=" in said} <= {one.name for one in has}


def shown_cell(value):
    return shown(value.to_pydatetime()) if isinstance(value, pd.Timestamp) else str(value).removesuffix(".0")


@pytest.mark.parametrize("case", EVERY)
def test_what_comes_twice_is_one_event(case, tmp_path):
    events = cjm.ingest(case.load(write(tmp_path, case)), now="2026-01-01", progress=False)
    (account,) = events.report().sources
    assert account.duplicates == case.repeated
    assert account.rejected == 0


@pytest.mark.parametrize("case", EVERY)
def test_a_time_that_cannot_be_read_is_a_reject_with_its_reason(case, tmp_path):
    if not isinstance(case.rows[0], dict):
        rows = [case.rows[0], "what is this?", *case.rows[1:]]
    else:
        rows = [*case.rows, changed(case.rows[0], case.time, case.broken)]
    plain = read(case.load(write(tmp_path / "plain", case)))
    batch = read(case.load(write(tmp_path / "bad", case, rows)))
    assert batch.events.num_rows == plain.events.num_rows
    assert batch.rejects.num_rows == 1
    assert batch.rejects["reason"][0].as_py()


@pytest.mark.parametrize("case", [one for one in EVERY if one.values[0].other_unit])
def test_times_in_two_units_are_refused(case, tmp_path):
    rows = [*case.rows, changed(case.rows[0], case.time, case.other_unit)]
    with pytest.raises(InputError, match=r"unit|mixes|seconds"):
        read(case.load(write(tmp_path, case, rows)))


@pytest.mark.parametrize("case", [one for one in OBJECTS if one.values[0].unknown])
def test_a_column_that_nobody_knows_is_kept(case, tmp_path):
    rows = [changed(row, case.unknown, "kept") for row in case.rows]
    batch = read(case.load(write(tmp_path, case, rows)))
    told = [json.loads(one or "{}") for one in batch.events["properties"].to_pylist()]
    assert all(one[case.unknown.rpartition(".")[2]] == "kept" for one in told)


@pytest.mark.parametrize("case", EVERY)
def test_blocks_are_the_whole(case, tmp_path, monkeypatch):
    path = write(tmp_path, case)
    plain = seen(read(case.load(path)))
    monkeypatch.setattr(reading, "BLOCK_ROWS", 1)
    for module, size in (
        (csv_files, "_CSV_BLOCK"),
        (json_files, "_JSON_BLOCK"),
        (json_files, "_COLUMN_BLOCK"),
    ):
        monkeypatch.setattr(module, size, 600)
    monkeypatch.setattr(sys.modules["cjm_analytics.loaders.request_lines"], "_BLOCK", 64)
    monkeypatch.setattr(sys.modules["cjm_analytics.loaders.sql"], "_FETCHED", 1)
    for name in ("xes", "ocel"):
        monkeypatch.setattr(sys.modules[f"cjm_analytics.loaders.{name}"], "_BLOCK", 1)
    assert seen(read(case.load(path))) == plain


@pytest.mark.parametrize("case", EVERY)
def test_packed_with_other_line_ends_and_a_byte_order_mark(case, tmp_path):
    plain = seen(read(case.load(write(tmp_path / "plain", case))))
    if case.can_be_packed:
        packed = read(case.load(write(tmp_path / "packed", case, packed=True)))
        assert seen(packed) == plain
    windows = read(case.load(write(tmp_path / "windows", case, end="\r\n", before=b"\xef\xbb\xbf")))
    assert seen(windows) == plain


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("case", [one for one in EVERY if one.values[0].can_be_packed])
def test_in_an_archive(case, kind, tmp_path):
    path = write(tmp_path / "plain", case)
    plain = seen(read(case.load(path)))
    archive = tmp_path / f"export.{kind}"
    pack(archive, sorted(path.iterdir()) if path.is_dir() else [path])
    assert seen(read(case.load(archive))) == plain


FOLDERS = ("events", "export", "people", "contact", "users", "responses", "visits", "customers")


@pytest.mark.parametrize("case", VENDORS)
def test_the_name_of_a_folder_does_not_say_that_rows_are_something_else(case, tmp_path):
    plain = seen(read(case.load(write(tmp_path / "plain", case))))
    for folder in FOLDERS:
        assert seen(read(case.load(write(tmp_path / folder, case)))) == plain


def pack(archive, files):
    """Write an archive as people get it, with what nobody wants in it."""
    kept = {f"export/{file.name}": file.read_bytes() for file in files}
    kept |= {"__MACOSX/export/._log.csv": b"\0", "export/.DS_Store": b"\0"}
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in kept.items():
                made.writestr(name, content)
        return
    with tarfile.open(archive, "w:gz") as made:
        for name, content in kept.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            made.addfile(about, io.BytesIO(content))


@pytest.mark.parametrize("case", EVERY)
def test_an_empty_file_is_no_event_or_a_clear_error(case, tmp_path):
    path = write(tmp_path, case, [])
    try:
        batch = read(case.load(path))
    except CJMError as fault:
        said = str(fault).replace(str(tmp_path), "")  # the folder is called after the test
        assert any(one in said for one in ("empty", "no export", "no such table", "There are none here"))
    else:
        assert batch.events.num_rows == 0


@pytest.mark.parametrize("case", HEADED)
def test_a_header_alone_is_no_event(case, tmp_path):
    path = write(tmp_path, case)
    file = path if path.is_file() else path / case.file
    if case.written:
        file.write_bytes(case.written([]))
    else:
        file.write_text(file.read_text().partition("\n")[0] + "\n")
    assert read(case.load(path)).events.num_rows == 0


@pytest.mark.parametrize("case", EVERY)
def test_the_same_events_from_a_table_in_memory_or_a_clear_error(case, tmp_path):
    with pytest.raises(InputError):
        case.load(tmp_path / "nothing there")
    with pytest.raises(CJMError, match=r"no export|is a file|folder|named 'user'|connection cannot be"):
        case.load({"quite": ["another"], "table": [1]})


# The long story, and what is told of it

PRECISION = {
    "mixpanel": 1.0,
    "adobe": 1.0,
    "access_log": 1.0,
    "rudderstack": 0.2,
    "segment": 0.2,
    "snowplow": 0.2,
}


@pytest.mark.parametrize("case", [one for one in EVERY if one.values[0].story])
def test_the_long_story_in_the_layout_of_the_vendor(case, shared_data):
    folder = shared_data / "formats" / "_synthetic"
    expected = pd.read_csv(folder / "expected.csv").sort_values("ts", ignore_index=True)
    if not (folder / case.story).is_dir():
        pytest.skip(f"no sample of {case.name}")
    files = sorted((folder / case.story).iterdir())
    for file in files if case.name == "ga4" else [folder / case.story]:
        events = cjm.ingest(
            case.load(file, **case.story_options), now="2026-01-01", max_reject_share=0.5, progress=False
        )
        frame = events.to_frame().sort_values("timestamp")
        if "is_bot" in frame:
            frame = frame[frame["is_bot"] != True]  # noqa: E712 - null is no robot
        if case.name == "access_log":
            frame = frame[~frame["path"].str.contains("x22", na=False)]
        frame = frame.reset_index(drop=True)
        assert len(frame) == len(expected)
        off = (frame["timestamp"] - pd.to_datetime(expected["ts"])).dt.total_seconds().abs()
        assert off.max() <= PRECISION.get(case.name, 0.0)
        assert frame["user_id"].fillna("").tolist() == expected["user_id"].fillna("").tolist()
        assert frame["path"].tolist() == expected["path"].tolist()
        if "value" in frame:
            told = expected["props"].map(lambda one: json.loads(one).get("value"))
            pairs = list(zip(frame["value"], told, strict=True))
            assert all(pd.isna(value) or value == wanted for value, wanted in pairs)
            assert frame["value"].notna().any()
