"""The report in a real browser: silent, on its own, and legible."""

from __future__ import annotations

import shutil

import pytest

import cjm_analytics as cjm
from test_journey_map import LANGUAGES, big_picture
from test_report import journeys_from, shop

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

BOXES = """
root => [...root.querySelectorAll('.main-svg text')]
  .filter(one => one.textContent.trim() && getComputedStyle(one).visibility !== 'hidden')
  .map(one => {
    const box = one.getBoundingClientRect();
    return [one.textContent, box.left, box.top, box.right, box.bottom];
  })
"""


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no Chromium or Chrome on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    journeys = journeys_from(shop(), cjm.JourneyModel.standard())
    return cjm.report(journeys, to=tmp_path_factory.mktemp("browser") / "report.html")


@pytest.fixture(scope="module")
def opened(browser, report):
    """The page, what it said on its console, and what it asked for."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    said, asked = [], []
    page.on("console", lambda message: said.append((message.type, message.text)))
    page.on("pageerror", lambda fault: said.append(("error", str(fault))))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 7")
    page.wait_for_timeout(500)
    yield page, said, asked
    page.close()


def test_the_console_stays_silent(opened):
    _, said, _ = opened
    assert said == []


def test_nothing_is_requested_but_the_page_itself(opened, report):
    _, _, asked = opened
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


def test_every_chart_is_drawn(opened):
    page, _, _ = opened
    charts = page.query_selector_all(".chart")
    assert len(charts) == 7
    for chart in charts:
        box = chart.bounding_box()
        assert box["width"] > 1000
        assert box["height"] > 150
        assert chart.evaluate("root => root.querySelectorAll('.main-svg path, .main-svg rect').length") > 5


def test_the_page_is_not_wider_than_the_window(opened):
    page, _, _ = opened
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def test_in_a_small_window_charts_are_scrolled_not_squeezed(browser, report):
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(report.as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 7")
    widths = page.evaluate(
        "[...document.querySelectorAll('.chart .plotly-graph-div')].map(one => one.clientWidth)"
    )
    inside = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert min(widths) >= 1100
    assert inside <= 400


def test_no_text_of_a_chart_is_cut_off(opened):
    page, _, _ = opened
    for chart in page.query_selector_all(".chart"):
        name = chart.evaluate("root => root.querySelector('.plotly-graph-div').id")
        left, top, right, bottom = chart.evaluate(
            "root => { const b = root.querySelector('.main-svg').getBoundingClientRect();"
            " return [b.left, b.top, b.right, b.bottom]; }"
        )
        for text, x0, y0, x1, y1 in chart.evaluate(BOXES):
            assert x0 >= left - 1, (name, text)
            assert x1 <= right + 1, (name, text)
            assert y0 >= top - 1, (name, text)
            assert y1 <= bottom + 1, (name, text)


def test_tables_open_and_hold_numbers(opened):
    page, _, _ = opened
    details = page.query_selector("#funnel details")
    details.query_selector("summary").click()
    assert "%" in details.query_selector("table").inner_text()


def test_the_page_prints(opened):
    page, _, _ = opened
    assert page.pdf(prefer_css_page_size=True)[:5] == b"%PDF-"


@pytest.mark.parametrize("language", ["english", "german", "polish"])
def test_the_texts_of_the_map_do_not_touch_as_the_browser_draws_them(browser, tmp_path, language):
    path = tmp_path / "map.html"
    path.write_text(big_picture(LANGUAGES[language]).to_html(include_plotlyjs=True), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_selector(".main-svg text")
    found = page.query_selector("body").evaluate(BOXES)
    page.close()
    assert len(found) > 100
    for number, (text, x0, y0, x1, y1) in enumerate(found):
        for other, u0, v0, u1, v1 in found[number + 1 :]:
            apart = x1 <= u0 + 1 or u1 <= x0 + 1 or y1 <= v0 + 3 or v1 <= y0 + 3
            assert apart, (text, other)
