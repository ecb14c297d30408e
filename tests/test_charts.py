"""What holds for every chart: names told apart, one way to write shares, nothing beyond the sheet."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.charts import theme
from cjm_analytics.charts.text import LINE, text_width, told_apart, wrapped
from logs import journeys_of

LONG = "https://shop.example/category/shoes/running/summer/detail"
GOAL = "purchase"


@cache
def journeys(n):
    """Four hundred journeys over so many touchpoints whose names differ at their ends only."""
    rng = np.random.default_rng(n)
    rows = []
    for customer in range(400):
        names = rng.choice(n, rng.integers(2, 12), p=_often(n))
        rows += [(customer, 10 * place, f"{LONG}-{name}") for place, name in enumerate(names)]
        if rng.random() < 0.4:
            rows.append((customer, 200, GOAL))
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint"])
    stages = {f"{LONG}-{name}": [("look", "before"), ("use", "after")][name % 2] for name in range(n)}
    stages = dict(sorted(stages.items(), key=lambda one: one[1] != ("look", "before")))
    asked = rng.choice(400, 60, replace=False).tolist()
    answers = [
        {"customer": str(one), "instrument": "csat", "score": 4, "time": 300,
         "rated_touchpoint": f"{LONG}-{number % 3}"}
        for number, one in enumerate(asked)
    ]  # fmt: skip
    stages |= {GOAL: ("use", "after")}
    return journeys_of(frame, stages=stages, goal=GOAL, answers=answers, observed_until=100_000)


def _often(n):
    share = 1 / np.arange(1, n + 1) ** 0.7
    return share / share.sum()


STEPS = [f"{LONG}-0", f"{LONG}-1", GOAL]
CHARTS = {
    "attribution": lambda log: cjm.attribution(log, by="touchpoint", model=["linear", "markov"]).plot(),
    "drivers": lambda log: cjm.drivers(log, within="1 day").plot(),
    "funnel": lambda log: cjm.funnel(log, STEPS).plot(),
    "graph": lambda log: cjm.transitions(log).plot("graph"),
    "heat map": lambda log: cjm.transitions(log).plot(),
    "markov": lambda log: cjm.markov(log).plot(),
    "matches": lambda log: cjm.matches(log, [f'"{LONG}-{one}"' for one in range(5)]).plot(),
    "n-grams": lambda log: cjm.ngrams(log, 2).plot(),
    "paths": lambda log: cjm.paths(log).plot(),
    "retention": lambda log: cjm.retention(log, start=STEPS[0], period="day").plot(),
    "rework": lambda log: cjm.rework(log).plot(),
    "sankey": lambda log: cjm.flow(log).plot(),
    "sankey around": lambda log: cjm.flow(log, around=STEPS[0]).plot(),
    "satisfaction": lambda log: cjm.satisfaction(log, by="touchpoint").plot(),
    "step matrix": lambda log: cjm.flow(log).plot("steps"),
    "sunburst": lambda log: cjm.flow(log).plot("sunburst"),
    "time to": lambda log: cjm.time_to(log, GOAL, start=STEPS[0]).plot(),
    "tree": lambda log: cjm.paths(log).plot("tree"),
}


@cache
def chart(kind, n):
    return CHARTS[kind](journeys(n))


def labels(kind, figure):
    """Every text of the figure that stands for a name, as (name, text) where the figure tells, else texts."""
    if kind in {"sankey", "sankey around"}:
        data = figure.data[0].node.customdata
        texts = [one.text for one in figure.layout.annotations[: len(data)]]
        return [(name, re.sub(r" <span.*", "", text)) for (name, *_), text in zip(data, texts, strict=True)]
    if kind == "sunburst":
        return list(zip(figure.data[0].labels, figure.data[0].text, strict=True))
    if kind == "tree":
        pairs = zip(figure.data[0].labels[1:], figure.data[0].text[1:], strict=True)
        return [(name, text.rsplit(" ", 1)[0]) for name, text in pairs]
    if kind in {"paths", "n-grams"}:
        hovers = [one.split("</b>")[0] for one in figure.data[-1].hovertext if one.startswith("<b>")]
        texts = [
            one.text for one in figure.layout.annotations if one.font.size == 11 and one.xanchor == "center"
        ]
        shown = [text for text in texts if not text.startswith("+ ")]
        return list(zip(hovers, shown, strict=True))
    if kind == "graph":
        names = [one.split("<br>")[0] for one in figure.data[-1].hovertext if "passed" in one]
        texts = [
            one.text for one in figure.layout.annotations if one.font.size == 11 and "<b>" not in one.text
        ]
        return list(zip(names, texts, strict=True))
    return list(enumerate(figure.layout.yaxis.ticktext))


NAMED = [kind for kind in CHARTS if kind not in {"retention", "time to"}]


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("kind", NAMED)
def test_names_that_begin_alike_do_not_look_alike(kind, n):
    text_of = {}
    for name, text in labels(kind, chart(kind, n)):
        assert text_of.setdefault(name, text) == text, name
    assert len(text_of) > 2
    assert len(set(text_of.values())) == len(text_of), sorted(text_of.values())


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("kind", CHARTS)
def test_titles_fit_their_chart(kind, n):
    figure = chart(kind, n)
    if figure.layout.title.text is None:
        return
    title, *below = re.split("<br>", figure.layout.title.text)
    width = figure.layout.width or 760
    assert text_width(_bare(title), 18, bold=True) <= width - 24
    assert all(text_width(_bare(line), 13) <= width - 24 for line in below)


def _bare(text):
    return re.sub(r"<[^>]*>", "", text)


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("kind", ["graph", "n-grams", "paths"])
def test_no_text_leaves_a_sheet_measured_in_pixels(kind, n):
    figure = chart(kind, n)
    for one in figure.layout.annotations:
        lines = _bare(one.text.replace("<br>", "\n")).split("\n")
        width = max(text_width(line, one.font.size, bold=one.text.startswith("<b>")) for line in lines)
        left = one.x - {"left": 0, "center": width / 2, "right": width}[one.xanchor]
        assert left >= 0, one.text
        assert left + width <= figure.layout.width, one.text
        assert one.y + len(lines) * one.font.size * LINE <= figure.layout.height, one.text


@pytest.mark.parametrize("kind", CHARTS)
def test_shares_are_written_in_one_way(kind):
    figure = chart(kind, 30)
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        assert not (axis.tickformat or "").endswith("%")
        assert all(text.endswith(f"{theme.NBSP}%") for text in axis.ticktext or () if text.endswith("%"))


def test_marks_of_an_axis_of_shares_are_round_and_reach_its_end():
    for top in (0.0004, 0.003, 0.07, 0.31, 0.62, 1.0, 1.02):
        axis = theme.share_axis(top)
        marks = axis["tickvals"]
        assert marks[0] == 0
        assert len(marks) <= 7
        assert top - marks[-1] < (marks[1] if len(marks) > 1 else 0.001)
        shown = [float(text.removesuffix(f"{theme.NBSP}%")) / 100 for text in axis["ticktext"]]
        assert shown == pytest.approx(marks)


def test_different_names_never_look_alike_and_fit():
    rng = np.random.default_rng(0)
    for _ in range(400):
        parts = ["".join(rng.choice(list("abW/-_ "), rng.integers(0, 30))) for _ in range(3)]
        middles = {"".join(rng.choice(list("abcW/"), rng.integers(0, 6))) for _ in range(6)}
        names = [f"{parts[0]}{middle}{parts[1]}" for middle in sorted(middles)]
        room, lines = float(rng.integers(70, 220)), int(rng.integers(1, 4))
        shown = told_apart(names, room, 12, lines=lines)
        assert len(set(shown)) == len(set(names)), (names, shown, room)
        for name, text in zip(names, shown, strict=True):
            assert len(wrapped(text, room, 12)) <= lines, (name, text, room)
            assert text == name or "…" in text


def test_names_of_many_thousand_letters_are_cut_at_once():
    names = ["x" * 20_000 + str(number) for number in range(20)]
    shown = told_apart(names, 100, 12, lines=2)
    assert len(set(shown)) == 20
