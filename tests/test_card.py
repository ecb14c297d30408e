"""What a result shows of itself: HTML in a notebook, the same as text in a terminal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cjm_analytics._card import Card, plain, shown

FRAME = pd.DataFrame(
    {
        "path": ["a → b", "c"],
        "journeys": pd.array([12_345, 7], dtype="Int64"),
        "share": [0.25, float("nan")],
        "median_time": pd.to_timedelta(["90 min", None]),
    }
)


def test_text_has_title_facts_table_and_note():
    text = Card("Paths", {"journeys": "12,352", "shown": "2"}, FRAME, note="Mind this.").text()
    title, _, head, first, second, _, note = text.split("\n")
    assert title == "Paths: journeys 12,352 · shown 2"
    assert head.split() == ["path", "journeys", "share", "median", "time"]
    assert first.split() == ["a", "→", "b", "12,345", "25.0", "%", "1", "h", "30", "min"]
    assert second.split() == ["c", "7", "–", "–"]
    assert note == "Mind this."


def test_texts_stand_left_and_numbers_right():
    head, first, second = plain(FRAME).split("\n")
    assert head.startswith("path ")
    assert second.startswith("c ")
    assert first.index("12,345") + len("12,345") == second.index("7") + 1 == head.index("journeys") + 8


def test_long_tables_say_how_to_see_the_rest():
    frame = pd.DataFrame({"n": range(23)})
    assert plain(frame).endswith("and 3 more rows: to_frame()")
    assert "3 more rows" in Card("Many", {}, frame).html()
    assert "more rows" not in plain(frame.head(20))


def test_no_rows():
    assert plain(FRAME.head(0)) == "(no rows)"


def test_a_table_wraps_at_the_width_of_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    wide = pd.DataFrame({f"a_long_name_{i}": [1_000_000 + i] for i in range(8)})
    lines = plain(wide).split("\n")
    assert max(map(len, lines)) <= 40
    assert all(f"{1_000_000 + i:,}" in plain(wide) for i in range(8))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(4321), "4,321"),
        (np.float64(0.5), "0.5"),
        (np.bool_(True), "yes"),
        (pd.NA, "–"),
        (pd.Timestamp("2026-01-05"), "2026-01-05"),
        (pd.Timestamp("2026-01-05 07:30"), "2026-01-05 07:30"),
    ],
)
def test_one_value(value, text):
    assert shown(value) == text
