"""JSON lines read as columns tell the same events as the same lines read object by object."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjm_analytics import loaders
from cjm_analytics.loaders.json_columns import JsonColumns
from cjm_analytics.loaders.source import whole

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(-1e6, 1e6).map(lambda one: round(one, 3))
    | st.sampled_from(["", "x", 'é "quoted"', "a\nb", "2025-03-01", "2025-03-01 10:00:00", "17", "{}"])
)
INSIDE = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["p", "q", "r", "$s"]), INSIDE, max_size=4), min_size=1, max_size=8
)
ALIKE = st.fixed_dictionaries(
    {
        "p": st.integers(0, 9),
        "q": st.none() | st.sampled_from(["2025-03-01 10:00:00", "later"]),
        "r": st.fixed_dictionaries(
            {"deep": st.none() | st.floats(0, 1), "list": st.lists(st.integers(0, 9))}
        ),
    }
)


def without_nothing(value):
    """What `properties` promise to hold: no members that are empty."""
    if isinstance(value, dict):
        told = {name: without_nothing(one) for name, one in value.items() if one is not None}
        return {name: one for name, one in told.items() if one != {}}
    return [without_nothing(one) for one in value] if isinstance(value, list) else value


def read(path, monkeypatch, *, columns):
    with monkeypatch.context() as patch:
        if not columns:
            patch.setattr(JsonColumns, "read", lambda *_: None)
        events = whole(loaders.mixpanel(path, keep=["p"]).batches()).events
    rows = events.to_pylist()
    return [
        row
        | {"properties": without_nothing(json.loads(row.get("properties") or "{}")), "p": cell(row.get("p"))}
        for row in rows
    ]


def cell(value):
    """A promoted cell; one that holds an object is its JSON text."""
    is_object = isinstance(value, str) and value.startswith(("{", "["))
    return without_nothing(json.loads(value)) or None if is_object else value


def write(path, rows):
    lines = [
        {"event": "seen", "properties": {"time": 1740823200 + place, "distinct_id": "u1", **row}}
        for place, row in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@settings(max_examples=200, deadline=None)
@given(rows=ROWS | st.lists(ALIKE, min_size=1, max_size=8))
@pytest.mark.filterwarnings("ignore:keep='p' is in no row")
def test_columns_tell_what_objects_tell(rows, tmp_path_factory):
    path = write(tmp_path_factory.mktemp("log") / "export.jsonl", rows)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fast = read(path, monkeypatch, columns=True)
        slow = read(path, monkeypatch, columns=False)
    assert fast == slow


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1}\n{"a": "x"}',
        '{"a": 9007199254740993}\n{"a": 0.5}',
        '{"a": 12345678901234567890}',
        '{"a": 1}\n\n{"a": 2}',
        '{"a": 1} {"a": 2}',
        '{"a": 1, "a": 2}',
        "[1]",
    ],
)
def test_what_arrow_would_change_is_left_to_others(line):
    assert JsonColumns().read(line.encode()) is None


def test_what_looks_like_a_time_stays_as_it_was_written():
    line = b'{"a": "2025-03-01 10:00:00", "b": {"c": ["2025-03-01T10:00:00Z"], "d": 1}}'
    columns = JsonColumns()
    assert columns.read(line).to_pylist() == [json.loads(line)]
    assert columns.read(b'{"b": {"d": 2}}').to_pylist() == [{"a": None, "b": {"c": None, "d": 2}}]


def test_a_file_that_never_fits_is_not_tried_for_ever(monkeypatch):
    asked = []
    columns = JsonColumns()
    monkeypatch.setattr(columns, "_asked", asked.append)
    for _ in range(9):
        assert columns.read(b"{}") is None
    assert len(asked) == 4


def test_nested_cells_become_json_as_a_whole():
    from cjm_analytics.loaders.values import json_texts

    cells = pa.array(
        [{"x": [{"y": 1}, None, {"y": None}], "z": 'a"b'}, None, {"x": [], "z": None}, {"x": None}]
    )
    assert json_texts({"cell": cells}).to_pylist() == [
        '{"cell":{"x":[{"y":1},null,{}],"z":"a\\"b"}}',
        None,
        '{"cell":{"x":[]}}',
        None,
    ]
