"""Files full of mess, read and appended: every line that is not empty is accounted for, per source."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cjm_analytics as cjm

IDS = [b"ann", b" bob ", b"", b"\0", "Zoë".encode(), b"\xff\xfe", b'"carl, the first"', b"x" * 10_001, b"="]
TIMES = [
    b"2026-03-01T10:00:00Z", b"2026-03-01T10:00:00Z", b"2026-03-02 11:00:00+01:00", b"1969-12-31T00:00:00Z",
    b"2199-01-01T00:00:00Z", b"yesterday", b"", b"2026-02-30T00:00:00Z", b"1772359200",
]  # fmt: skip
NAMES = [b"view", b"view", b" buy", b"", b"NULL", b"a\0b", b"\xc3\x28", "ä".encode()]
CELLS = st.tuples(st.sampled_from(IDS), st.sampled_from(TIMES), st.sampled_from(NAMES), st.sampled_from(IDS))
"""Who, when, what and a device; often enough the same, so that there are duplicates."""

CSV_LINES = CELLS.map(b",".join) | st.tuples(CELLS, st.integers(1, 3)).map(
    lambda one: b",".join([*one[0][: one[1]], *([b"more"] * 5 if one[1] == 3 else [])])
)
VALUES = st.sampled_from(
    [*IDS[:7], *TIMES, *NAMES, 7, 7.0, True, None, [1], {"a": "b"}, float("inf"), 1_772_359_200_000]
)
OBJECTS = st.dictionaries(st.sampled_from(["who", "at", "what", "device", "extra"]), VALUES, max_size=5)
BROKEN = [b"{", b"[1, 2]", b"null", b'"text"', b'{"who": "ann",', b"\xff", b"{}", b'{"who": "a", "who": "b"}']


def as_line(members: dict) -> bytes:
    plain = {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for name, value in members.items()
    }
    return json.dumps(plain).encode()


JSON_LINES = OBJECTS.map(as_line) | st.sampled_from(BROKEN)
GOOD_CSV = b"part %d,2026-03-01T10:00:00Z,view,phone"
GOOD_JSON = b'{"who": "part %d", "at": "2026-03-01T10:00:00Z", "what": "view", "device": "phone"}'
"""One line that is sound, and makes each file another one: equal files are read once."""


def written(path, lines):
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def source(path, name):
    return cjm.loaders.table(
        path, customer="who", timestamp="at", event="what", anonymous_id="device", name=name, tz="UTC",
        unit="s",
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    csv=st.lists(st.lists(CSV_LINES, max_size=25), min_size=1, max_size=3),
    objects=st.lists(st.lists(JSON_LINES, max_size=25), min_size=1, max_size=3),
)
def test_every_line_of_every_source_is_accounted_for(tmp_path_factory, csv, objects):
    folder = tmp_path_factory.mktemp("messy")
    for place in range(max(len(csv), len(objects))):
        sources = []
        if place < len(csv):
            lines = [b"who,at,what,device", GOOD_CSV % place, *csv[place]]
            sources.append(source(written(folder / f"log-{place}.csv", lines), "table"))
        if place < len(objects):
            lines = [GOOD_JSON % place, *objects[place]]
            sources.append(source(written(folder / f"log-{place}.jsonl", lines), "lines"))
        events = cjm.ingest(sources, to=folder / "store", max_reject_share=1, now="2026-06-01")

    report = events.report().to_frame().set_index("source")
    n_lines = {
        name: sum(1 + sum(line != b"" for line in part) for part in parts)
        for name, parts in (("table", csv), ("lines", objects))
    }
    assert report["read"].to_dict() == n_lines
    parts = report[["kept", "duplicates", "rejected", "excluded"]].sum(axis=1)
    assert parts.to_dict() == n_lines
    rejects = events.rejects()
    assert rejects["source"].value_counts().reindex(["table", "lines"], fill_value=0).to_dict() == {
        name: report.loc[name, "rejected"] for name in ("table", "lines")
    }
    assert not rejects[["src_file", "src_row", "reason"]].isna().to_numpy().any()
    stored = events.to_frame(["source", "src_file", "src_row"])
    assert len(stored) == report["kept"].sum()
    places = [
        *stored[["src_file", "src_row"]].itertuples(index=False),
        *rejects[["src_file", "src_row"]].itertuples(index=False),
    ]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("form", ["csv", "json", "nested", "several kinds"])
def test_equal_rows_of_files_with_their_columns_in_another_order_are_one_event(tmp_path, form):
    row = {"who": "ann", "at": "2026-03-01T10:00:00Z", "what": "view", "shop": "Ulm", "coupon": "X"}
    if form == "nested":
        row |= {"page": {"title": "Shoes", "name": "shoes"}, "tags": [{"b": 1, "a": 2}]}
    if form == "several kinds":
        row |= {"properties": {"b": [1, "x"], "a": {"d": 1, "c": None}}}
    turned = dict(reversed([(name, backwards(value)) for name, value in row.items()]))
    for place, one in enumerate((row, turned)):
        lines = [",".join(one), ",".join(one.values())] if form == "csv" else [json.dumps(one)]
        (tmp_path / f"{place}.{'csv' if form == 'csv' else 'jsonl'}").write_text("\n".join(lines) + "\n")
    log = cjm.loaders.table(tmp_path, customer="who", timestamp="at", event="what")
    events = cjm.ingest(log, progress=False)
    account = events.report().to_frame().iloc[0]
    assert (account["read"], account["kept"], account["duplicates"]) == (2, 1, 1)


def backwards(value):
    """The same JSON with all members in the opposite order."""
    if isinstance(value, list):
        return [backwards(one) for one in value]
    if isinstance(value, dict):
        return {name: backwards(one) for name, one in reversed(value.items())}
    return value
