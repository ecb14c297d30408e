"""The journey map: its numbers against plain loops, its picture against its own table."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.analysis.contacts import ContactsAnalysis
from cjm_analytics.analysis.journey_map import JourneyMapAnalysis, journey_map
from cjm_analytics.charts.journey_map import journey_map as chart
from cjm_analytics.charts.text import LINE, plain, text_width, wrapped
from cjm_analytics.engine import run
from cjm_analytics.statistics import cumulative_incidence, life_table
from logs import journeys_of, random_rows

DAY = 24 * 60

ROAD = {
    "ad": ("aware", "before"),
    "page": ("compare", "before"),
    "help": ("ask", "during"),
    "cart": ("order", "during"),
    "buy": ("order", "during"),
    "use": ("own", "after"),
}


def model_of(titles=(), phases=(), notes=None, min_n=1):
    """A model for ROAD; `help` is no progress."""
    ids = ["before", "during", "after"]
    stages = {"before": ["aware", "compare"], "during": ["ask", "order"], "after": ["own", "unused"]}
    spec = {
        "schema": "cjm/1",
        "name": "a shop",
        "phase": [
            {
                "id": name,
                "title": (*phases, "", "", "")[number] or name,
                "stages": stages[name],
                "horizon": "30d",
            }
            for number, name in enumerate(ids)
        ],
        "stage": {stage: {"title": title} for stage, title in titles},
        "marker": {"bought": {"role": "goal", "match": {"event": "buy"}}},
        "touchpoint": [
            {"id": "buy", "stage": "order", "match": {"marker": "bought"}},
            *(
                {"id": name, "stage": stage, "progress": name != "help", "match": {"event": name}}
                for name, (stage, _) in ROAD.items()
                if name != "buy"
            ),
            {"id": "never", "stage": "unused", "progress": False, "match": {"event": "never"}},
        ],
        "note": notes or {},
        "report": {"min_n": min_n, "weak_n": max(3 * min_n, 1)},
    }
    return cjm.JourneyModel.from_dict(spec)


def mapped(rows, *, model=None, answers=None, n_partitions=1, observed_until=None):
    """Journeys with a model, an unused stage and a touchpoint that is no progress."""
    journeys = journeys_of(
        rows,
        stages={**ROAD, "never": ("unused", "after")},
        goal="buy",
        answers=answers,
        n_partitions=n_partitions,
        observed_until=observed_until,
    )
    codebook = journeys.codebook
    codebook = replace(
        codebook,
        progress=tuple(name not in {"help", "never"} for name in codebook.touchpoints),
        markers=("bought",),
    )
    partitions = tuple(replace(one, codebook=codebook) for one in journeys.partitions)
    return replace(journeys, codebook=codebook, partitions=partitions, model=model or model_of())


def a_map(rows, **options):
    return journey_map(mapped(rows, **options))


STORY = [
    ("a", 0, "ad"), ("a", 1 * DAY, "page"), ("a", 2 * DAY, "cart"), ("a", 2 * DAY, "buy"),
    ("a", 5 * DAY, "use"),
    ("b", 0, "ad"), ("b", 3 * DAY, "help"), ("b", 60 * DAY, "page"),
    ("c", 0, "page"), ("c", 0, "page"), ("c", 90 * DAY, "other"),
]  # fmt: skip


def test_a_stage_counts_journeys_with_a_contact_in_it_and_their_customers():
    frame = a_map(STORY).to_frame().set_index("stage")
    assert frame.loc["compare", ["journeys", "customers", "on_road"]].tolist() == [3, 3, 3]
    assert frame.loc["compare", "share"] == 1.0
    assert frame.loc["ask", ["journeys", "customers", "on_road"]].tolist() == [1, 1, 0]


def test_an_unused_stage_stays_visible():
    frame = a_map(STORY).to_frame().set_index("stage")
    assert frame.index.tolist() == ["aware", "compare", "ask", "order", "own", "unused"]
    assert frame.loc["unused", "journeys"] == 0
    assert frame.loc["unused", "reliability"] == "none"
    texts = [one.text for one in a_map(STORY).plot().layout.annotations]
    assert "no contact seen" in " ".join(texts).replace("<br>", " ")


def test_the_drop_off_is_that_of_drop_off():
    rows = random_rows(
        np.random.default_rng(3),
        n_customers=80,
        n_events=900,
        alphabet=["ad", "page", "cart", "buy", "use"],
        span=80 * DAY,
    )
    journeys = mapped(rows)
    found = journey_map(journeys)
    for of, frame in (("stage", found.to_frame()), ("phase", found.phases.to_frame())):
        known = cjm.drop_off(journeys, of=of).to_frame().set_index(of)
        columns = ["entered", "continued", "dropped", "open", "drop_off", "low", "high"]
        mine = frame.set_index(of).loc[known.index, columns].astype(float)
        pd.testing.assert_frame_equal(mine, known[columns].astype(float), check_names=False)


def test_the_last_stage_says_how_many_came_and_has_no_drop_off():
    own = a_map(STORY).to_frame().set_index("stage").loc["own"]
    assert own["entered"] == 1
    assert pd.isna(own["drop_off"])
    assert own["drop_off_reliability"] == "none"


def test_time_is_that_of_those_who_go_on_within_the_horizon():
    rows = [(f"c{number}", 0, "ad") for number in range(20)]
    rows += [(f"c{number}", (number + 1) * DAY, "page") for number in range(10)]
    rows += [("late", 0, "ad"), ("late", 100 * DAY, "page")]
    aware = a_map(rows, observed_until=200 * DAY).to_frame().set_index("stage").loc["aware"]
    assert aware["median_time"] == pd.Timedelta("5 days")
    assert aware["p90_time"] == pd.Timedelta("9 days")


def test_a_journey_that_comes_back_to_a_stage_is_not_timed_there():
    rows = [("a", 0, "cart"), ("a", 1 * DAY, "ad"), ("a", 3 * DAY, "use")]
    frame = a_map(rows).to_frame().set_index("stage")
    assert pd.isna(frame.loc["aware", "median_time"])
    assert frame.loc["order", "median_time"] == pd.Timedelta("3 days")


def slow_times(journeys, stage, until, horizon):
    """Within which time half and nine in ten have gone on: those in reach of the horizon, one by one."""
    road = list(journeys.codebook.stages)
    progress = dict(zip(journeys.codebook.touchpoints, journeys.codebook.progress, strict=True))
    lasting, kinds = [], []
    for _, rows in journeys.to_frame().groupby(["customer_id", "journey"]):
        steps = [
            (row.timestamp, road.index(row.stage))
            for row in rows.itertuples()
            if not pd.isna(row.stage) and progress[row.touchpoint]
        ]
        mine = [at for at, (_, place) in enumerate(steps) if place == road.index(stage)]
        if not mine or any(place > road.index(stage) for _, place in steps[: mine[0]]):
            continue
        start = steps[mine[0]][0]
        later = [time for time, place in steps[mine[0] :] if place > road.index(stage)]
        end = min([*later[:1], until])
        if start <= until:
            lasting.append((end - start) // pd.Timedelta("1us"))
            kinds.append(int(bool(later) and later[0] == end))
    table = life_table(lasting, kinds, n_causes=1)
    incidence, _ = cumulative_incidence(table)
    within = table.time <= horizon // pd.Timedelta("1us")
    most = max(incidence[within], default=0)
    return [
        pd.Timedelta(table.time[incidence >= share * most][0], unit="us") if most else pd.NaT
        for share in (0.5, 0.9)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_times_equal_a_plain_loop_over_all_journeys(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=9, n_events=120, alphabet=[*ROAD, "other"])
    journeys = mapped(rows, n_partitions=int(rng.integers(1, 4)))
    frame = journey_map(journeys).to_frame(suppress=False).set_index("stage")
    until = pd.Timestamp(journeys.observed_until(), unit="us", tz="UTC")
    for stage in journeys.codebook.stages:
        expected = slow_times(journeys, stage, until, pd.Timedelta("30 days"))
        found = frame.loc[stage, ["median_time", "p90_time"]].tolist()
        assert [str(time) for time in found] == [str(time) for time in expected]


def slow_counts(journeys):
    """Per stage: journeys, customers, journeys with progress; per touchpoint: journeys, events, customers."""
    frame = journeys.to_frame()
    progress = dict(zip(journeys.codebook.touchpoints, journeys.codebook.progress, strict=True))
    sets = defaultdict(lambda: (set(), set(), set()))
    contacts = defaultdict(lambda: [set(), 0, set()])
    for row in frame.itertuples():
        if row.stage is None:
            continue
        sets[row.stage][0].add((row.customer_id, row.journey))
        sets[row.stage][1].add(row.customer_id)
        if progress[row.touchpoint]:
            sets[row.stage][2].add((row.customer_id, row.journey))
        contacts[row.stage, row.touchpoint][0].add((row.customer_id, row.journey))
        contacts[row.stage, row.touchpoint][1] += 1
        contacts[row.stage, row.touchpoint][2].add(row.customer_id)
    return (
        {stage: tuple(map(len, found)) for stage, found in sets.items()},
        {key: (len(units), events, len(people)) for key, (units, events, people) in contacts.items()},
    )


@pytest.mark.parametrize("seed", range(20))
def test_counts_equal_a_plain_loop_over_all_events(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=9, n_events=120, alphabet=[*ROAD, "other"])
    journeys = mapped(rows, n_partitions=int(rng.integers(1, 4)))
    contacts = run(ContactsAnalysis.plan(journeys), journeys, None)
    stages, touchpoints = slow_counts(journeys)
    found = contacts.stages().set_index("stage")[["journeys", "customers", "on_road"]]
    for stage, numbers in found.iterrows():
        assert tuple(numbers) == stages.get(stage, (0, 0, 0))
    mine = contacts.touchpoints()
    assert {
        (row.stage, row.touchpoint): (row.journeys, row.events, row.customers) for row in mine.itertuples()
    } == touchpoints
    assert contacts.unassigned()["events"].sum() == journeys.to_frame()["stage"].isna().sum()


def test_touchpoints_come_with_their_channels_the_most_used_first():
    rows = pd.DataFrame(STORY, columns=["customer", "time", "touchpoint"])
    rows["channel"] = ["app", "web", "web", "web", None, "web", "web", "app", "web", "web", "web"]
    frame = a_map(rows).to_frame().set_index("stage")
    assert frame.loc["compare", "touchpoints"] == "Page 4 (web, app)"
    assert frame.loc["own", "touchpoints"] == "Use 1"


ANSWERS = [
    {
        "customer": name,
        "instrument": "csat",
        "score": score,
        "rated_stage": "compare",
        "event": 0,
        "rated_event": 0,
    }
    for name, score in [("a", 5.0), ("b", 4.0), ("c", 2.0)]
] + [{"customer": name, "instrument": "nps", "score": 10.0, "event": 0, "link": 0} for name in "abc"]


def test_scores_stand_at_the_stage_that_they_rate():
    frame = a_map(STORY, answers=ANSWERS).to_frame().set_index("stage")
    assert frame.loc["compare", "csat"] == pytest.approx(2 / 3)
    assert frame.loc["compare", "csat_n"] == 3
    assert frame.loc["compare", "csat_level"] == pytest.approx(2 * (11 / 3 - 1) / 4 - 1)
    assert frame["csat"].notna().sum() == 1


def test_under_min_n_nothing_of_a_stage_is_shown():
    rows = [(f"c{number}", 0, "ad") for number in range(8)] + [("c0", DAY, "page"), ("c1", DAY, "page")]
    found = a_map(rows, model=model_of(min_n=5))
    hidden = found.to_frame().set_index("stage").loc["compare"]
    assert hidden["reliability"] == "hidden"
    assert pd.isna(hidden["journeys"])
    assert hidden["touchpoints"] == ""
    texts = " ".join(one.text for one in found.plot().layout.annotations)
    assert "Page" not in texts
    assert "n\N{NO-BREAK SPACE}&lt;\N{NO-BREAK SPACE}5" in texts
    assert '"journeys": 2' not in found.to_json()
    assert found.to_frame(suppress=False).set_index("stage").loc["compare", "journeys"] == 2


def test_a_touchpoint_of_one_customers_many_journeys_is_hidden():
    rows = [(f"c{number}", 0, 0, "ad") for number in range(8)]
    rows += [("c0", DAY * number, number, "page") for number in range(1, 9)]
    rows = pd.DataFrame(rows, columns=["customer", "time", "journey", "touchpoint"])
    texts = " ".join(one.text for one in a_map(rows, model=model_of(min_n=5)).plot().layout.annotations)
    assert "Ad" in texts
    assert "Page" not in texts


def test_a_drop_off_that_nobody_was_followed_for_is_called_too_early():
    rows = [(f"c{number}", 0, "ad") for number in range(8)] + [("c0", DAY, "page")]
    found = a_map(rows, model=model_of(min_n=5), observed_until=2 * DAY)
    assert found.to_frame().set_index("stage").loc["aware", "drop_off_reliability"] == "early"
    assert any(one.text == "too early" for one in found.plot().layout.annotations)


def test_events_without_a_rule_are_a_warning_from_five_percent_on():
    many = a_map([*STORY, ("a", 6 * DAY, "<b>odd</b>")])
    assert many.unassigned_share == pytest.approx(2 / 12)
    texts = " ".join(one.text for one in many.plot().layout.annotations)
    assert "17\N{NO-BREAK SPACE}% of the events fit no rule" in texts
    assert "&lt;b&gt;odd" in texts
    few = a_map([(f"c{number}", 0, "ad") for number in range(50)] + [("c0", 1, "odd")])
    assert "fit no rule" not in " ".join(one.text for one in few.plot().layout.annotations)


def test_without_a_model_it_says_what_to_do():
    journeys = journeys_of([("a", 0, "x")])
    with pytest.raises(cjm.InputError, match=r"JourneyModel\.standard"):
        journey_map(journeys)


def test_an_odd_date_of_making_is_refused():
    with pytest.raises(cjm.InputError, match="created='soon' is no date"):
        journey_map(mapped(STORY), created="soon")


def test_equal_data_give_equal_bytes_however_they_are_split():
    rows = random_rows(np.random.default_rng(1), n_customers=30, n_events=400, alphabet=list(ROAD))
    texts = {a_map(rows, n_partitions=n).to_json() for n in (1, 2, 5)}
    assert len(texts) == 1
    pictures = {a_map(rows, n_partitions=n).plot().to_json() for n in (1, 3)}
    assert len(pictures) == 1


def test_the_document_for_machines_says_its_schema_and_nothing_that_json_does_not_know():
    document = json.loads(a_map(STORY, answers=ANSWERS).to_json())
    assert document["schema"] == "cjm-result/1"
    assert document["created"] is None
    assert [stage["stage"] for stage in document["stages"]] == [
        "aware",
        "compare",
        "ask",
        "order",
        "own",
        "unused",
    ]
    assert document["stages"][0]["horizon"] == 30 * 86_400
    assert document["customers"] == 3
    assert (
        json.loads(journey_map(mapped(STORY), created="2026-07-01 09:30").to_json())["created"]
        == "2026-07-01 09:30"
    )


def test_no_customer_is_named_anywhere():
    rows = [(f"secret-{number}", number, name) for number in range(60) for name in ROAD]
    found = a_map(rows)
    assert "secret" not in found.to_json() + found.plot().to_json() + found._repr_html_()


def test_no_event_at_all_gives_a_picture_of_empty_stages():
    journeys = mapped(STORY)
    (one,) = journeys.partitions
    nothing = replace(journeys, partitions=(one.take(np.zeros(3, dtype=bool)),))
    found = journey_map(nothing)
    assert found.to_frame()["reliability"].tolist() == ["none"] * 6
    assert found.plot().layout.width == 1200
    assert np.isnan(found.conversion)


def test_the_parts_share_one_pass():
    journeys = mapped(STORY, answers=ANSWERS)
    parts = JourneyMapAnalysis.plan(journeys).parts
    assert list(parts) == ["stage", "phase", "contacts", "onward", "scores"]


# ── the picture ──────────────────────────────────────────────────────────────────────────────────────────

LANGUAGES = {
    "english": [
        "Awareness", "Information search", "Consideration", "Customer service", "Next steps", "Finalising",
        "After-sales service", "Starting and continuing to use", "Survey",
    ],
    "german": [
        "Aufmerksamkeit", "Informationsbeschaffung", "Kaufabwägung", "Kundenbetreuung", "Nächste Schritte",
        "Geschäftsabschluss", "Nachkaufbetreuung", "Produktnutzungsbeginn", "Zufriedenheitsbefragung",
    ],
    "polish": [
        "Świadomość", "Wyszukiwanie informacji", "Rozważanie", "Obsługa klienta", "Następne kroki",
        "Finalizacja", "Obsługa posprzedażowa", "Rozpoczęcie użytkowania", "Ankieta",
    ],
    "chinese": [
        "认知", "信息搜索", "考虑", "客户服务", "下一步", "完成交易", "售后服务",
        "开始并继续使用产品的阶段", "满意度调查",
    ],
}  # fmt: skip


def big_frames(titles, counts=1_234_567):
    """What the chart takes, for nine stages with everything in them, and long."""
    stages = [f"s{number}" for number in range(9)]
    phases = ["before"] * 3 + ["during"] * 3 + ["after"] * 3
    days = pd.to_timedelta([123] * 9, unit="D")
    frame = pd.DataFrame(
        {
            "stage": stages, "title": titles, "phase": phases, "journeys": counts, "customers": counts,
            "share": 0.995, "on_road": counts, "entered": counts, "continued": counts // 2,
            "dropped": counts // 4, "open": counts - counts // 2 - counts // 4, "drop_off": 0.4321,
            "low": 0.0042, "high": 0.9966, "horizon": days, "median_time": days, "p90_time": days,
            "reliability": "ok", "drop_off_reliability": "ok",
        }
    )  # fmt: skip
    frame.loc[8, ["drop_off", "low", "high"]] = np.nan
    frame.loc[8, "drop_off_reliability"] = "none"
    frame.loc[6, "reliability"] = "none"
    frame.loc[6, "on_road"] = 0
    spans = pd.DataFrame(
        {
            "phase": ["before", "during", "after"], "title": titles[:3], "entered": counts,
            "drop_off": 0.4321, "low": 0.0042, "high": 0.9966, "horizon": days[:3],
            "drop_off_reliability": ["ok", "weak", "none"],
        }
    )  # fmt: skip
    touchpoints = pd.DataFrame(
        [
            (stage, title, f"{title} {title}", counts, ("web", "app", "email"))
            for stage in stages
            for title in titles[:3]
        ],
        columns=["stage", "touchpoint", "title", "events", "channels"],
    )
    scores = pd.DataFrame(
        [
            (stage, instrument, "−38", "−138 to −100", counts, level, level - 0.3, level + 0.3, grade)
            for number, stage in enumerate([*stages, None])
            for instrument, level in (("csat", 0.2), ("ces", -0.4))
            for grade in [["ok", "weak", "hidden"][number % 3]]
        ],
        columns=[
            "stage", "instrument", "reading", "interval", "n", "level", "level_low", "level_high",
            "reliability",
        ],
    )  # fmt: skip
    return frame, spans, touchpoints, scores


def big_picture(titles, width=1200, counts=1_234_567):
    long = " ".join(titles)
    return chart(
        *big_frames(titles, counts),
        header={
            "name": long, "line": long, "min_n": 10,
            "whole": [("99.9 %", f"with a purchase: {counts:,}")],
            "figures": [(f"{counts:,}", "customers"), (f"{counts:,}", "journeys"), ("12 %", "bots")],
        },
        notes={"s4": [("Opportunity", long)], "after": [("Owner", long)]},
        footer=[long] * 3,
        warnings=[long],
        width=width,
    )  # fmt: skip


def boxes(figure):
    """Per text of a figure its words and its box (left, top, right, bottom), by the widths of the letters."""
    found = []
    for one in figure.layout.annotations:
        lines = re.sub(r"</?b>", "", one.text).split("<br>")
        lines = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in lines]
        bold = one.text.startswith("<b>")
        width = max(text_width(line, one.font.size, bold=bold) for line in lines)
        left = one.x - {"left": 0, "center": width / 2, "right": width}[one.xanchor]
        found.append((one.text, (left, one.y, left + width, one.y + len(lines) * one.font.size * LINE)))
    return found


def overlaps(figure):
    return [
        (first, second)
        for (first, a), (second, b) in combinations(boxes(figure), 2)
        if a[0] < b[2] - 0.5 and b[0] < a[2] - 0.5 and a[1] < b[3] - 0.5 and b[1] < a[3] - 0.5
    ]


@pytest.mark.parametrize("width", [1120, 1200, 1600])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_texts_overlap_and_none_leaves_the_sheet(language, width):
    figure = big_picture(LANGUAGES[language], width)
    assert overlaps(figure) == []
    for text, (left, top, right, bottom) in boxes(figure):
        assert left >= 0, text
        assert top >= 0, text
        assert right <= figure.layout.width, text
        assert bottom <= figure.layout.height, text


def test_more_stages_than_fit_make_the_sheet_wider_not_the_text_smaller():
    stages, spans, touchpoints, scores = big_frames(LANGUAGES["english"])
    wide = pd.concat(
        [stages[stages["phase"] == phase].assign(stage=lambda frame, n=n: frame["stage"] + n)
         for phase in ("before", "during", "after") for n in "xyz"], ignore_index=True,
    )  # fmt: skip
    header = {"name": "n", "line": "l", "figures": [], "min_n": 10, "whole": []}
    figure = chart(wide, spans, touchpoints, scores, header=header, notes={}, footer=[], warnings=[])
    assert figure.layout.width > 27 * 84
    assert overlaps(figure) == []


def test_texts_are_no_markup():
    titles = ["<b>bold</b>", "<a href='x'>link</a>", "R&D", *LANGUAGES["english"][3:]]
    for one in big_picture(titles).layout.annotations:
        assert re.sub(r"^<b>|</b>$|<br>", "", one.text).count("<") == 0


def test_the_curve_has_a_gap_where_answers_are_hidden():
    figure = big_picture(LANGUAGES["english"])
    bold = [shape for shape in figure.layout.shapes if shape.line.width == 2.5]
    thin = [shape for shape in figure.layout.shapes if shape.type == "path" and shape.line.width == 1]
    centres = sorted({round(mark.x[0]) for mark in figure.data if mark.marker.size == 10})
    assert len(centres) == 2 * 6  # two instruments at the six of nine stages that are not hidden
    assert len(bold) == 2 * 3
    assert len(thin) == 2 * 3 * 2


def test_open_journeys_are_hatched():
    figure = big_picture(LANGUAGES["english"])
    hatched = [mark for mark in figure.data if mark.fillpattern.shape]
    assert len(hatched) == 7 + 1  # seven bars with a drop-off and a stage that was seen, and the key


def test_hover_gives_counts_but_no_fate_of_few():
    stages, spans, touchpoints, scores = big_frames(LANGUAGES["english"], 1000)
    stages.loc[0, ["continued", "dropped", "open"]] = [992, 5, 3]
    header = {"name": "n", "line": "l", "figures": [], "min_n": 10, "whole": []}
    figure = chart(stages, spans, touchpoints, scores, header=header, notes={}, footer=[], warnings=[])
    hovers = [
        mark.hovertemplate
        for mark in figure.data
        if mark.hovertemplate and "came to the stage" in mark.hovertemplate
    ]
    assert "still open" not in hovers[0]
    assert "still open: 250" in hovers[1]
    assert "stopped: 250" in hovers[1]


def test_long_words_break_evenly_and_chinese_between_characters():
    assert wrapped("Informationsbeschaffung", 90, 12) == ["Informations-", "beschaffung"]
    assert wrapped("开始并继续使用", 40, 12) == ["开始并", "继续使", "用"]
    assert wrapped("a\nb\x00c", 400, 12) == ["a b c"]


def test_wrapped_text_fits_its_room():
    rng = np.random.default_rng(0)
    letters = list("abcWMil äß-_/ 客户")
    for _ in range(500):
        text = "".join(rng.choice(letters, rng.integers(0, 40)))
        room = float(rng.integers(30, 200))
        lines = wrapped(text, room, 12, bold=bool(rng.integers(2)))
        assert all(text_width(line, 12) <= room for line in lines), (text, room, lines)
        kept = re.sub(r"[\s\-]", "", "".join(lines))
        assert kept == re.sub(r"[\s\-]", "", text)


def test_plain_text_stays_letter_by_letter():
    assert plain("<script>&") == "&lt;script&gt;&amp;"
