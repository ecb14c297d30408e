"""The report: complete, self-contained, honest about what is missing, and always the same bytes."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics._page import Exhibit, Section, cells, page
from logs import journeys_of

SECTIONS = ["map", "drop-off", "funnel", "paths", "flow", "satisfaction", "quality"]


def shop(n=60, *, odd="cookie_banner"):
    """A log of `n` customers on their way to a purchase, half of whom arrive, some with an opinion."""
    rows = []
    for number in range(n):
        who, day = f"secret-{number}", pd.Timestamp("2026-01-01") + pd.Timedelta(number, unit="h")
        steps = ["ad_click", "product_view", "product_view", "add_to_cart", "checkout", "purchase"]
        steps = steps[: 6 if number % 2 else 1 + number % 5]
        for place, what in enumerate([*steps, odd]):
            rows.append((who, day + pd.Timedelta(place, unit="h"), what, None, None))
        if number % 2:
            later = day + pd.Timedelta("2 days")
            rows.append((who, later, "ticket_created", None, None))
            rows.append((who, later + pd.Timedelta("1 day"), "survey", "csat", 2 + number % 4))
            rows.append((who, later + pd.Timedelta("2 days"), "survey", "nps", number % 11))
    rows.append(("last", pd.Timestamp("2026-06-01"), "ad_click", None, None))
    return pd.DataFrame(rows, columns=["who", "when", "what", "scale", "answer"])


def journeys_from(frame, model=None):
    columns = {"customer": "who", "timestamp": "when", "event": "what", "tz": "UTC"}
    log = frame[frame["scale"].isna()].drop(columns=["scale", "answer"])
    answers = frame[frame["scale"].notna()]
    sources = [cjm.loaders.table(log, name="shop", **columns)]
    if len(answers):
        scores = {"instrument": "scale", "score": "answer"}
        sources.append(cjm.loaders.table(answers, name="surveys", **columns, **scores))
    return cjm.sessionize(cjm.ingest(sources), model)


@pytest.fixture(scope="module")
def journeys():
    return journeys_from(shop(), cjm.JourneyModel.standard())


@pytest.fixture(scope="module")
def text(journeys, tmp_path_factory):
    return cjm.report(journeys, to=tmp_path_factory.mktemp("report") / "r.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Tags with their attributes, ids, and the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self._silent = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in {"script", "style"}

    def handle_endtag(self, tag):
        self._silent -= tag in {"script", "style"}

    def handle_data(self, data):
        if not self._silent:
            self.words.append(data)


def visible(text):
    return " ".join(" ".join(Outline(text).words).split())


def test_the_page_has_every_section_and_a_link_to_each(text):
    tags = Outline(text).tags
    assert [attrs["id"] for tag, attrs in tags if tag == "section"] == SECTIONS
    assert [attrs["href"] for tag, attrs in tags if tag == "a"] == [f"#{key}" for key in SECTIONS]


def test_nothing_is_fetched_from_anywhere(text):
    for tag, attrs in Outline(text).tags:
        for name in ("src", "href", "action", "data", "poster"):
            assert attrs.get(name, "#").startswith(("#", "data:")), (tag, attrs)
    assert "default-src 'none'" in text
    assert text.count("<style>") == 1
    style = text[text.index("<style>") : text.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style


def test_the_chart_library_is_in_the_page_once(text):
    from plotly.offline import get_plotlyjs

    assert text.count(get_plotlyjs()[:500]) == 1
    assert len(text) < len(get_plotlyjs()) + 2_000_000


def test_each_chart_has_a_text_in_its_place_and_a_table_behind_it(text):
    tags = Outline(text).tags
    pictures = [attrs for tag, attrs in tags if attrs.get("role") == "img"]
    assert len(pictures) == 7
    assert all(len(attrs["aria-label"]) > 20 for attrs in pictures)
    assert sum(tag == "details" for tag, _ in tags) == 7
    assert sum(tag == "caption" for tag, _ in tags) == sum(tag == "table" for tag, _ in tags)
    assert all(attrs.get("scope") == "col" for tag, attrs in tags if tag == "th")


def test_equal_journeys_give_equal_bytes(journeys, tmp_path):
    split = journeys_from(shop(), cjm.JourneyModel.standard())
    one = cjm.report(journeys, to=tmp_path / "one.html").read_bytes()
    two = cjm.report(split, to=tmp_path / "two.html").read_bytes()
    assert one == two


def test_the_sentences_say_the_numbers_of_the_results(journeys, text):
    words = visible(text)
    worst = cjm.drop_off(journeys).to_frame().sort_values("drop_off", ascending=False).iloc[0]
    assert f"{100 * worst['drop_off']:.0f} %" in words
    assert f"of the {worst['entered']} journeys that enter it" in words
    first = cjm.paths(journeys).to_frame().iloc[0]
    assert f"“{first['path']}”, is that of {first['journeys']} journeys" in words


def test_the_funnel_leads_along_the_most_frequent_progress_to_the_goal(journeys, text):
    steps = ["ad_click", "product_view", "checkout", "purchase"]
    steps[2] = "add_to_cart"
    found = cjm.funnel(journeys, steps).to_frame()
    words = visible(text)
    assert f"Of {found['reached'].iloc[0]} journeys that reach “Ad click”" in words
    assert (
        f"{found['reached'].iloc[-1]} ({100 * found['conversion'].iloc[-1]:.0f} %) reach “Purchase”" in words
    )
    assert "The steps were chosen from the data" in words


def test_no_customer_is_named(text):
    assert "secret-" not in text


def test_names_from_the_data_are_text_never_markup(tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&quot;"
    model = replace(cjm.JourneyModel.standard(), name=evil)
    journeys = journeys_from(shop(odd=evil), model)
    text = cjm.report(journeys, to=tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert evil in unescape(re.search("<h1>(.*?)</h1>", text)[1])


def test_a_title_in_any_script_stands_as_written(journeys, tmp_path):
    title = "Zażółć <b>gęślą</b> & 客户旅程 – “Größe” 🙂"
    text = cjm.report(journeys, to=tmp_path / "r.html", title=title).read_text(encoding="utf-8")
    assert unescape(re.search("<title>(.*?)</title>", text)[1]) == title
    assert unescape(re.search("<h1>(.*?)</h1>", text)[1]) == title


def test_without_a_model_the_page_says_what_is_missing_and_shows_the_rest(tmp_path):
    journeys = journeys_from(shop().drop(columns=["scale", "answer"]).assign(scale=None, answer=None))
    text = cjm.report(journeys, to=tmp_path / "r.html").read_text(encoding="utf-8")
    words = visible(text)
    assert words.count("made without a model") == 3
    assert "no survey answers" in words
    assert "The most frequent path" in words
    assert [attrs["id"] for tag, attrs in Outline(text).tags if tag == "section"] == SECTIONS


def test_without_a_goal_the_page_says_so(tmp_path):
    model = cjm.JourneyModel.standard()
    spec = model.to_dict()
    spec["marker"]["purchase"].pop("role")
    journeys = journeys_from(shop(), cjm.JourneyModel.from_dict(spec))
    words = visible(cjm.report(journeys, to=tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "names no goal" in words


def test_journeys_of_nobody_give_a_page(journeys, tmp_path):
    nobody = journeys.select(started=("2030-01-01", None))
    assert len(nobody) == 0
    words = visible(cjm.report(nobody, to=tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "There are no journeys" in words


def test_an_older_file_is_replaced_and_nothing_else_is_left(journeys, tmp_path):
    path = tmp_path / "r.html"
    path.write_text("old")
    assert cjm.report(journeys, to=str(path)) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


def test_a_report_that_fails_leaves_the_older_file_whole(journeys, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("old")
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(cjm.InputError, match="No space left"):
        cjm.report(journeys, to=path)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]


def test_a_folder_that_is_not_there_is_an_error_with_a_hint(journeys, tmp_path):
    with pytest.raises(cjm.InputError, match=r"no folder .*Create it first"):
        cjm.report(journeys, to=tmp_path / "nowhere" / "r.html")
    with pytest.raises(cjm.InputError, match=r"is a folder\. Name a file"):
        cjm.report(journeys, to=tmp_path)


def test_tables_show_shares_as_percentages_but_scores_as_they_are():
    shares = pd.DataFrame({"step": ["a"], "conversion": [0.125], "low": [0.1]})
    scores = pd.DataFrame({"instrument": ["ces"], "score": [5.5], "low": [5.1]})
    assert cells(shares) == [["a"], ["12.5 %"], ["10.0 %"]]
    assert cells(scores) == [["ces"], ["5.5"], ["5.1"]]


def test_long_tables_say_how_much_is_left_out():
    frame = pd.DataFrame({"n": range(250)})
    text = page("t", "", [], [Section("s", "S", "", [Exhibit("e", "r", None, [("T", frame)])])])
    assert text.count("<tr>") == 201
    assert "and 50 more rows" in text


def test_importing_the_module_leaves_the_function_in_its_place():
    code = "import cjm_analytics.report, cjm_analytics as cjm; print(type(cjm.report).__name__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "function"


def test_pictures_and_sentences_call_a_stage_and_a_step_by_the_same_name(text):
    def drawn(key):
        begin = text.index(f'id="chart-{key}"')
        return text[begin : text.index("</script>", begin)]

    assert "Information search" in drawn("drop-off-stage")
    assert "information_search" not in drawn("drop-off-stage")
    assert "Add to cart" in drawn("funnel")
    assert "add_to_cart" not in drawn("flow")


def test_a_link_of_one_customers_many_journeys_is_not_drawn(tmp_path):
    often = [("often", 10 * number, number, "visit") for number in range(12)]
    rows = pd.DataFrame(often, columns=["customer", "time", "journey", "touchpoint"])
    alone = visible(cjm.report(journeys_of(rows), to=tmp_path / "one.html").read_text(encoding="utf-8"))
    assert "No link is that of 10 customers or more" in alone


def test_a_path_of_one_customers_many_journeys_is_that_of_one(tmp_path):
    often = [("often", 10 * number, number, "visit") for number in range(12)]
    rows = pd.DataFrame(often, columns=["customer", "time", "journey", "touchpoint"])
    alone = visible(cjm.report(journeys_of(rows), to=tmp_path / "one.html").read_text(encoding="utf-8"))
    assert "No path is that of 10 customers or more" in alone
    others = pd.DataFrame([(f"c{n}", n, 0, "call") for n in range(10)], columns=rows.columns)
    both = journeys_of(pd.concat([rows, others], ignore_index=True))
    words = visible(cjm.report(both, to=tmp_path / "both.html").read_text(encoding="utf-8"))
    assert "“call”, is that of 10 journeys (45 %); the 1 shown cover 45 % of all" in words
