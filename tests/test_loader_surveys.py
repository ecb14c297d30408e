"""Answers from survey tools: scales that are checked, files as they are exported, and who was asked."""

from __future__ import annotations

import csv
import datetime as dt
import inspect
import io
import json
import random
from functools import partial

import openpyxl
import pytest

import cjm_analytics as cjm
from both_ways import columns_tell_what_rows_tell
from cjm_analytics import loaders
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.source import whole
from test_loader_matrix import text_of

LIKELY = "How likely is it that you would recommend us to a friend?"


def read(stream):
    batch = whole(stream.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def seen(batch, *columns):
    there = [name for name in columns if name in batch.events.column_names]
    return [
        tuple(str(one[name]) if isinstance(one.get(name), dt.datetime) else one.get(name) for name in columns)
        for one in batch.events.select(there).to_pylist()
    ]


def csv_text(rows, sep=","):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=sep, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def write_json(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def book(path, rows):
    made = openpyxl.Workbook()
    for cells in rows:
        made.active.append(cells)
    made.save(path)
    return path


# Qualtrics: header rows


def header(*columns, zone=None):
    """Three rows from (name, question, import id)."""
    said = [
        {"ImportId": one} | ({"timeZone": zone} if zone and "Date" in one else {}) for _, _, one in columns
    ]
    return [
        [name for name, _, _ in columns],
        [question for _, question, _ in columns],
        [json.dumps(one) for one in said],
    ]


COLUMNS = (
    ("EndDate", "Enddatum", "endDate"),
    ("Status", "Antworttyp", "status"),
    ("ResponseId", "Antwort-ID", "_recordId"),
    ("ExternalReference", "Externe Datenreferenz", "externalDataReference"),
    ("Q1_NPS_GROUP", "Weiterempfehlung? - Gruppe", "QID1_NPS_GROUP"),
    ("Q1", "Weiterempfehlung?", "QID1"),
    ("Q2", "Warum?\n(Größe, Farbe)", "QID2_TEXT"),
    ("order_id", "order_id", "order_id"),
)
ANSWERED = [
    ["2025-03-30 03:30:00", "IP Address", "R_1", "u1", "Promoter", "9", "schön; groß", "1001"],
    ["2025-03-31 12:00:00", "0", "R_2", "u2", "1", "3", "", ""],
]
FOUND = [
    ("u1", "2025-03-30 01:30:00+00:00", "nps", 9.0, "schön; groß", "1001"),
    ("u2", "2025-03-31 10:00:00+00:00", "nps", 3.0, None, None),
]
SHOWN = ("user_id", "timestamp", "instrument", "score", "comment", "order_id")


@pytest.mark.parametrize(
    ("encoding", "sep"),
    [("utf-8", ","), ("utf-8-sig", ";"), ("utf-16", "\t"), ("windows-1252", ";"), ("utf-16", ";")],
)
def test_three_header_rows_in_the_encodings_that_people_have(tmp_path, encoding, sep):
    path = tmp_path / "export.csv"
    rows = [*header(*COLUMNS, zone="Europe/Berlin"), *ANSWERED]
    path.write_bytes(csv_text(rows, sep).encode(encoding))
    said = {"encoding": encoding} if encoding == "windows-1252" else {}
    assert seen(read(loaders.qualtrics(path, sep=sep, **said)), *SHOWN) == FOUND


def test_three_header_rows_of_a_workbook(tmp_path):
    rows = [*header(*COLUMNS, zone="Europe/Berlin"), *ANSWERED]
    rows[3] = [dt.datetime.fromisoformat(rows[3][0]), *rows[3][1:]]
    rows[3][5] = 9
    assert seen(read(loaders.qualtrics(book(tmp_path / "export.xlsx", rows))), *SHOWN) == FOUND


def test_two_header_rows_of_an_old_export(tmp_path):
    path = tmp_path / "old.csv"
    head = [
        ["V1", "V3", "V4", "V7", "V9", "Q1", ""],
        ["ResponseID", "Name", "ExternalDataReference", "Status", "EndDate", "Recommend?", ""],
    ]
    path.write_text(csv_text([*head, ["R_1", "Ada", "u1", "0", "2025-03-31 12:00:00", "10", ""]]))
    batch = read(loaders.qualtrics(path, tz="Europe/Berlin", scores={"Q1": "nps"}))
    assert seen(batch, *SHOWN[:4]) == [("u1", "2025-03-31 10:00:00+00:00", "nps", 10.0)]


def test_a_zone_that_no_header_names_must_be_said(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(csv_text([*header(*COLUMNS), *ANSWERED]))
    with pytest.raises(InputError, match=r"carry no time zone .* tz='Europe/Berlin'"):
        read(loaders.qualtrics(path))
    assert seen(read(loaders.qualtrics(path, tz="Europe/Berlin")), *SHOWN) == FOUND


def as_2016(columns):
    """The third row of exports of 2016, which is no JSON, and calls some columns otherwise."""
    old = {"_recordId": "responseId", "externalDataReference": "panel-ExternalDataReference"}
    return [f"{{'ImportId': '{old.get(one, one).replace('_TEXT', '-TEXT')}'}}" for _, _, one in columns]


NAMES, QUESTIONS, ORIGINS = header(*COLUMNS, zone="Europe/Berlin")
BERLIN = {"tz": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("head", "said", "has_comment"),
    [
        ([NAMES, QUESTIONS, as_2016(COLUMNS)], BERLIN, True),
        ([NAMES, ORIGINS], {}, True),
        ([NAMES, QUESTIONS], BERLIN, False),
        ([NAMES], BERLIN, False),
        ([ORIGINS], {}, True),
    ],
    ids=["of 2016", "without questions", "without origins", "names only", "origins only"],
)
def test_some_of_the_header_rows_are_enough(tmp_path, head, said, has_comment):
    path = tmp_path / "export.csv"
    questions = [{"Antwort-ID": "Response ID"}.get(one, one) for one in QUESTIONS]
    rows = [questions if one is QUESTIONS else one for one in head]
    path.write_text(csv_text([*rows, *ANSWERED]))
    batch = read(loaders.qualtrics(path, **said, scores=None if "Q1" in head[0] else {"QID1": "nps"}))
    wanted = FOUND if has_comment else [(*one[:4], None, one[5]) for one in FOUND]
    assert seen(batch, *SHOWN) == wanted


def test_the_labels_of_the_second_header_row_are_enough(tmp_path):
    path = tmp_path / "export.csv"
    head = ["End Date", "Response Type", "Response ID", "External Data Reference", "Likely to recommend?"]
    path.write_text(csv_text([head, *(row[:4] + row[5:6] for row in ANSWERED)]))
    batch = read(loaders.qualtrics(path, scores={head[-1]: "nps"}, **BERLIN))
    assert seen(batch, *SHOWN[:4]) == [one[:4] for one in FOUND]


def test_header_rows_that_became_rows_of_a_frame_are_no_answers():
    """As `pandas.read_csv` reads an export."""
    english = [
        "End Date",
        "Response Type",
        "Response ID",
        "External Data Reference",
        "Group",
        "Q",
        "Why?",
        "",
    ]
    rows = [english, ORIGINS, *ANSWERED]
    columns = {name: list(cells) for name, cells in zip(NAMES, zip(*rows, strict=True), strict=True)}
    batch = read(loaders.qualtrics(columns, **BERLIN))
    assert seen(batch, *SHOWN[:4]) == [one[:4] for one in FOUND]
    assert (batch.n_excluded, batch.rejects.num_rows) == (2, 0)


@pytest.mark.parametrize(
    ("zone", "hour"), [("Z", 12), ("UTC", 12), ("+02:00", 10), ("-0700", 19), ("America/Denver", 18)]
)
def test_zones_as_header_rows_name_them(tmp_path, zone, hour):
    path = tmp_path / "export.csv"
    path.write_text(csv_text([*header(*COLUMNS, zone=zone), ANSWERED[1]]))
    assert seen(read(loaders.qualtrics(path)), "timestamp") == [(f"2025-03-31 {hour}:00:00+00:00",)]


@pytest.mark.parametrize(
    ("written", "dayfirst"),
    [
        ("3/4/2025 14:05", False),
        ("4.3.2025 14:05", True),
        ("3/4/25 14:05", False),
        ("3/4/2025 2:05 PM", False),
    ],
)
def test_dates_that_a_spreadsheet_wrote_again(tmp_path, written, dayfirst):
    path = tmp_path / "export.csv"
    path.write_text(csv_text([*header(*COLUMNS, zone="UTC"), [written, *ANSWERED[1][1:]]]))
    with pytest.raises(InputError, match="dayfirst=True or dayfirst=False"):
        read(loaders.qualtrics(path))
    batch = read(loaders.qualtrics(path, dayfirst=dayfirst))
    assert seen(batch, "timestamp") == [("2025-03-04 14:05:00+00:00",)]
    found = loaders.describe(path)
    assert (found.loader, found.options) == ("qualtrics", {"dayfirst": "?"})
    assert "say dayfirst=True or dayfirst=False" in found.questions[0].replace("Say", "say")


def test_previews_tests_and_spam_are_no_answers(tmp_path):
    path = tmp_path / "export.csv"
    kinds = ["Survey Preview", "1", "2", "8", "Spam", "4"]
    rows = [[*ANSWERED[0][:1], kind, f"R_{kind}", *ANSWERED[0][3:]] for kind in kinds]
    path.write_text(csv_text([*header(*COLUMNS, zone="UTC"), *rows]))
    batch = read(loaders.qualtrics(path))
    assert (batch.events.num_rows, batch.n_excluded) == (0, len(kinds))


# Scales


def answered(cells, **options):
    rows = {
        "ResponseId": [f"R_{place}" for place in range(len(cells))],
        "EndDate": ["2025-03-10 12:00:00"] * len(cells),
        "Q1": cells,
    }
    return read(loaders.qualtrics(rows, tz="UTC", scores=options.pop("scores", {"Q1": "nps"}), **options))


@pytest.mark.parametrize("status", [0, 0.0, None, "0", "IP Address"])
def test_answers_of_people_are_told_however_their_kind_is_written(status):
    rows = {"ResponseId": ["R_1", "R_2"], "EndDate": ["2025-03-10 06:00:00"] * 2, "Status": [status, status],
            "Q1": [9.0, 3.0]}  # fmt: skip
    batch = read(loaders.qualtrics(rows, tz="UTC", scores={"Q1": "nps"}))
    assert seen(batch, "score") == [(9.0,), (3.0,)]


def test_an_answer_without_an_id_is_told_by_who_gave_it_to_which_survey_when():
    """The same twice is one; somebody of whom nothing is known is nobody."""
    rows = {"ResponseId": [None] * 4, "EndDate": ["2025-03-10 06:00:00"] * 2 + ["2025-03-11 06:00:00"] * 2,
            "RecordedDate": [f"2025-03-1{day} 06:00:00" for day in (3, 4, 3, 3)],
            "ExternalReference": ["u1", "u1", "u1", None], "Q1": [3, 9, 7, 7]}  # fmt: skip
    source = loaders.qualtrics(rows, tz="UTC", scores={"Q1": "nps"})
    events = cjm.ingest(source, now="2026-01-01", progress=False, max_reject_share=0.5)
    assert events.to_frame()[["score", "is_edited"]].to_numpy().tolist() == [[9, True], [7, False]]
    assert events.report().to_frame()[["duplicates", "rejected", "edited"]].to_numpy().tolist() == [[1, 1, 1]]


def test_an_nps_that_was_recoded_is_an_error():
    with pytest.raises(InputError, match=r"'Q1' is 11, .* scores=\{'Q1': \('nps', 1, 11\)\}"):
        answered([1, 7, 11])


def test_an_nps_that_its_group_contradicts_is_an_error():
    rows = {"ResponseId": ["R_1"], "EndDate": ["2025-03-10"], "Q1": [9], "Q1_NPS_GROUP": ["Passive"]}
    with pytest.raises(InputError, match=r"is 9, which is a promoter's, but Q1_NPS_GROUP says passive"):
        read(loaders.qualtrics(rows, tz="UTC"))


def test_an_nps_from_1_to_11_is_moved_if_that_is_said():
    batch = answered([1, 11, 12], scores={"Q1": ("nps", 1, 11)})
    assert seen(batch, "score", "score_min", "score_max") == [(0.0, 0.0, 10.0), (10.0, 0.0, 10.0)]
    assert batch.rejects["reason"].to_pylist() == ["score 11 is off its scale 0…10"]


def test_labels_are_read_by_their_number():
    cells = ["10 - Extremely likely", "Not at all likely - 0", "7,5", " 8 ", "Very likely", "1 of 10", "-3"]
    batch = answered(cells)
    assert seen(batch, "score") == [(10.0,), (0.0,), (7.5,), (8.0,)]
    assert batch.rejects["reason"].to_pylist() == [
        "score is no number: 'Very likely'",
        "score is no number: '1 of 10'",
        "score -3 is off its scale 0…10",
    ]


def test_several_questions_are_several_answers():
    rows = {"ResponseId": ["R_1"], "EndDate": ["2025-03-10"], "recommend": [9], "agent": [6], "why": ["fast"],
            "ticket_id": ["7"], "customer_id": ["u1"]}  # fmt: skip
    scores = {"recommend": "nps", "agent": ("csat", 1, 7)}
    batch = read(loaders.qualtrics(rows, tz="UTC", scores=scores, comment="why"))
    shown = ("user_id", "instrument", "score", "score_max", "comment", "ticket_id")
    assert seen(batch, *shown) == [
        ("u1", "nps", 9.0, 10.0, "fast", "7"),
        ("u1", "csat", 6.0, 7.0, "fast", "7"),
    ]
    assert len(set(batch.events["event_id"].to_pylist())) == 2


def test_who_cannot_be_named_is_a_customer_of_their_own():
    batch = answered([9, 10])
    assert seen(batch, "anonymous_id") == [("qualtrics:R_0",), ("qualtrics:R_1",)]


@pytest.mark.parametrize(
    ("scores", "fault", "said"),
    [
        ({"Q1": "npss"}, UnknownNameError, "instrument with a known scale"),
        ({"Q1": ("nps", 0, 5)}, InputError, "an NPS has eleven answers"),
        ({"Q1": ("csat", 5)}, InputError, r"\(instrument, lowest, highest\)"),
        ({"Q1": ("csat", 5, 1)}, InputError, "the lowest stands first"),
        ({"Q2": "nps"}, UnknownNameError, "question or field"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(scores, fault, said):
    with pytest.raises(fault, match=said):
        answered([9], scores=scores)


# SurveyMonkey


MONKEY = [
    ["Respondent ID", "Collector ID", "Start Date", "End Date", "Email Address", "Custom Data 1", LIKELY,
     "How was it?", "", "Why?"],
    ["", "", "", "", "", "", "", "The lamp", "The delivery", "Open-Ended Response"],
    ["118", "460", "03/10/2025 11:59:10 AM", "03/10/2025 12:00:00 PM", "ada@example.com", "u1",
     "Extremely likely - 10", "4", "2", "prima; größer"],
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "sep"), [("utf-8", ","), ("utf-16", ","), ("windows-1252", ";")])
def test_two_header_rows(tmp_path, encoding, sep):
    path = tmp_path / "Sheet_1.csv"
    path.write_bytes(csv_text(MONKEY, sep).encode(encoding))
    scores = {LIKELY: "nps", "How was it? / The delivery": "csat"}
    said = {"encoding": encoding} if encoding == "windows-1252" else {}
    batch = read(loaders.surveymonkey(path, tz="Europe/Berlin", scores=scores, sep=sep, **said))
    when = "2025-03-10 11:00:00+00:00"
    assert seen(batch, *SHOWN[:5]) == [
        ("u1", when, "nps", 10.0, "prima; größer"),
        ("u1", when, "csat", 2.0, "prima; größer"),
    ]
    assert json.loads(batch.events["properties"][0].as_py())["How was it? / The lamp"] == "4"


def test_two_header_rows_of_a_workbook(tmp_path):
    path = book(tmp_path / "Sheet_1.xlsx", MONKEY)
    batch = read(loaders.surveymonkey(path, tz="UTC", dayfirst=True))
    assert seen(batch, *SHOWN[:4]) == [("u1", "2025-10-03 12:00:00+00:00", "nps", 10.0)]


def test_the_columns_of_before_2014(tmp_path):
    path = tmp_path / "old.csv"
    head = [
        [
            "RespondentID",
            "CollectorID",
            "StartDate",
            "EndDate",
            "Email Address",
            "LastName",
            "CustomData",
            LIKELY,
        ],
        ["", "", "", "", "", "", "", "Response"],
    ]
    row = ["7", "1", "08/15/2013 10:11:12", "08/15/2013 10:15:12", "a@example.com", "L", "u1", "9"]
    path.write_text(csv_text([*head, row]))
    batch = read(loaders.surveymonkey(path, tz="UTC"))
    assert seen(batch, *SHOWN[:4]) == [("u1", "2013-08-15 10:15:12+00:00", "nps", 9.0)]


@pytest.mark.parametrize("second", [["", "", "", ""], None], ids=["an empty one", "none"])
def test_a_second_header_row_that_says_nothing(tmp_path, second):
    path = tmp_path / "responses.csv"
    head = [["Respondent ID", "End Date", "Custom Data 1", LIKELY], *([second] if second else [])]
    path.write_text(csv_text([*head, ["7", "08/15/2023 10:15:12 PM", "u1", "9"]]))
    batch = read(loaders.surveymonkey(path, tz="UTC"))
    assert seen(batch, *SHOWN[:4]) == [("u1", "2023-08-15 22:15:12+00:00", "nps", 9.0)]
    assert batch.rejects.num_rows == 0


def test_ids_of_which_a_spreadsheet_left_a_few_digits_are_not_one_answer(tmp_path):
    path = tmp_path / "responses.csv"
    rows = [["1.18052E+11", "08/15/2023 10:15:12", "a@example.com", answer] for answer in ("9", "3")]
    path.write_text(csv_text([["Respondent ID", "End Date", "Email Address", LIKELY], *rows]))
    batch = read(loaders.surveymonkey(path, tz="UTC"))
    assert batch.events.num_rows == 0
    assert "was rounded by a spreadsheet" in batch.rejects["reason"][0].as_py()


def test_choices_of_the_api_are_read_by_the_details_of_the_survey(tmp_path):
    choices = [{"id": str(900 + place), "position": place + 1, "text": ""} for place in range(11)]
    heading = f'<span style="x">{LIKELY}</span>&nbsp;'
    question = {"id": "q1", "headings": [{"heading": heading}], "answers": {"choices": choices}}
    free = {"id": "q2", "headings": [{"heading": "Why?"}]}
    write_json(
        tmp_path / "details.json", {"id": "s1", "title": "x", "pages": [{"questions": [question, free]}]}
    )
    answer = {
        "id": "r1", "survey_id": "s1", "collector_id": "c1", "response_status": "completed",
        "date_created": "2025-03-10T11:59:00+00:00", "date_modified": "2025-03-10T13:00:00+01:00",
        "custom_variables": {"user_id": "u1", "ticket_id": "7"},
        "pages": [{"questions": [{"id": "q1", "answers": [{"row_id": "1", "choice_id": "909"}]},
                                 {"id": "q2", "answers": [{"text": "fast"}]}]}],
    }  # fmt: skip
    write_json(tmp_path / "bulk.json", {"data": [answer], "page": 1})
    batch = read(loaders.surveymonkey(tmp_path))
    assert seen(batch, *SHOWN[:5], "ticket_id") == [
        ("u1", "2025-03-10 12:00:00+00:00", "nps", 9.0, "fast", "7")
    ]
    assert batch.events["event_id"].to_pylist() == [f"r1:{LIKELY}"]


# Typeform


def form(**properties):
    field = {
        "id": "f1",
        "ref": "nps_1",
        "title": "Recommend us?",
        "type": "opinion_scale",
        "properties": properties,
    }
    return {"id": "F", "title": "After purchase", "fields": [field], "settings": {}}


def item(token, number, **more):
    answers = [
        {"field": {"id": "f1", "ref": "nps_1", "type": "opinion_scale"}, "type": "number", "number": number}
    ]
    return {"landing_id": token, "token": token, "landed_at": "2025-03-10T11:59:10Z",
            "submitted_at": "2025-03-10T12:00:00Z", "hidden": {"user_id": "u1"}, "answers": answers,
            **more}  # fmt: skip


def test_the_form_tells_the_scale(tmp_path):
    write_json(tmp_path / "responses.json", {"items": [item("a", 9)], "total_items": 1})
    write_json(tmp_path / "form.json", form(steps=11, start_at_one=False))
    assert seen(read(loaders.typeform(tmp_path)), *SHOWN[:4]) == [
        ("u1", "2025-03-10 12:00:00+00:00", "nps", 9.0)
    ]
    write_json(tmp_path / "form.json", form(steps=5, start_at_one=True))
    with pytest.raises(InputError, match=r"5 steps from 1, not 0 to 10.*'nps_1': \('csat', 1, 5\)"):
        read(loaders.typeform(tmp_path))
    batch = read(loaders.typeform(tmp_path, scores={"nps_1": ("csat", 1, 10)}))
    assert seen(batch, "instrument", "score_min", "score_max") == [("csat", 1.0, 10.0)]


def test_a_form_that_was_not_sent_is_no_answer(tmp_path):
    unsent = [item("b", 9, submitted_at=None), item("c", 9, submitted_at="0001-01-01T00:00:00Z")]
    path = write_json(tmp_path / "responses.json", {"items": [item("a", 9), *unsent]})
    batch = read(loaders.typeform(path))
    assert (batch.events.num_rows, batch.n_excluded) == (1, 2)


def test_questions_of_the_same_text_have_their_place(tmp_path):
    path = tmp_path / "responses.csv"
    rows = [["#", "Other", LIKELY, "Other", "user_id", "Submit Date (UTC)", "Network ID"],
            ["a", "red", "9", "blue", "u1", "10/5/2024 2:41", "x"]]  # fmt: skip
    path.write_text(csv_text(rows))
    batch = read(loaders.typeform(path, dayfirst=False, keep=["Other", "Other (4)"]))
    assert seen(batch, "user_id", "timestamp", "score", "Other", "Other (4)") == [
        ("u1", "2024-10-05 02:41:00+00:00", 9.0, "red", "blue")
    ]


def test_a_form_that_was_begun_is_no_answer_and_hidden_fields_tell_the_campaign(tmp_path):
    hidden = {"user_id": "u1", "utm_source": "ig", "campaign_id": "c7"}
    items = [item("a", 9, hidden=hidden, response_type="completed"), item("b", 2, response_type="partial")]
    plain = write_json(tmp_path / "responses.json", items)
    lines = tmp_path / "responses.jsonl"
    lines.write_text("\n".join(json.dumps(one) for one in items))
    sent = [{"event_id": f"e{place}", "event_type": kind, "form_response": item("a", 9, hidden=hidden)}
            for place, kind in enumerate(("form_response", "form_response_partial"))]  # fmt: skip
    for path in (plain, lines, write_json(tmp_path / "hooks.json", sent)):
        batch = read(loaders.typeform(path))
        assert seen(batch, "score", "utm_source", "campaign_id") == [(9.0, "ig", "c7")]
        assert batch.n_excluded == 1


def test_what_a_webhook_sends_and_what_the_results_page_exports(tmp_path):
    sent = {"event_id": "e1", "event_type": "form_response",
            "form_response": {**item("a", 9), "form_id": "F", "definition": form(steps=11)}}  # fmt: skip
    hook = write_json(tmp_path / "hook.json", [sent])
    path = tmp_path / "responses.csv"
    rows = [["#", LIKELY, "Start Date (UTC)", "Submit Date (UTC)", "Network ID", "user_id"],
            ["a", "9", "2025-03-10 11:59:10", "2025-03-10 12:00:00", "x", "u1"]]  # fmt: skip
    path.write_text(csv_text(rows))
    assert seen(read(loaders.typeform(hook)), *SHOWN[:4]) == seen(read(loaders.typeform(path)), *SHOWN[:4])


# Invites, and the response rates that follow


def rates(source):
    events = cjm.ingest(source, now="2026-01-01", progress=False)
    journeys = cjm.sessionize(events, cjm.JourneyModel.standard())
    journeys.validate()
    frame = cjm.satisfaction(journeys, by=None).to_frame(suppress=False)
    return frame.set_index("instrument")[["n", "invites", "response_rate"]].T.to_dict("list")


def person(number, sent, responded=None):
    return {"id": str(number), "email": f"p{number}@example.com", "created_at": 1741000000,
            "last_sent_at": sent, "last_responded_at": responded}  # fmt: skip


def reply(number, who, score, at, **fields):
    return {"id": str(number), "person": str(who), "survey_type": "nps", "score": score, "created_at": at,
            "updated_at": at, "person_properties": fields}  # fmt: skip


def test_a_response_rate_of_delighted(tmp_path):
    """Of five surveys that were sent to four people two were answered."""
    at = 1741608000
    people = [
        person(1, at - 60, at),
        person(2, at, at - 99_000),
        person(3, at),
        person(4, at),
        person(5, None),
    ]
    replies = [reply(11, 1, 9, at), reply(12, 2, 3, at - 99_000)]
    write_json(tmp_path / "people.json", people)
    write_json(tmp_path / "survey_responses.json", replies)
    batch = read(loaders.delighted(tmp_path))
    asked = [
        one for one in seen(batch, "event", "anonymous_id", "timestamp", "time_quality") if "invite" in one[0]
    ]
    assert [one[1:] for one in asked] == [
        ("email:p1@example.com", "2025-03-10 12:00:00+00:00", "inferred"),
        ("email:p2@example.com", "2025-03-09 08:30:00+00:00", "inferred"),
        ("email:p2@example.com", "2025-03-10 12:00:00+00:00", "second"),
        ("email:p3@example.com", "2025-03-10 12:00:00+00:00", "second"),
        ("email:p4@example.com", "2025-03-10 12:00:00+00:00", "second"),
    ]
    assert rates(loaders.delighted(tmp_path)) == {"nps": [2, 5, 0.4]}


def test_without_people_a_response_rate_is_not_known(tmp_path):
    path = write_json(tmp_path / "survey_responses.json", [reply(11, 1, 9, 1741608000, customer_id="u1")])
    found = rates(loaders.delighted(path))
    assert found["nps"][0] == 1
    assert found["nps"][2] != found["nps"][2]  # missing


def test_a_response_rate_of_qualtrics(tmp_path):
    """One of three who were sent the survey answered; reminders, tests and what came back do not count."""
    (tmp_path / "export.csv").write_text(csv_text([*header(*COLUMNS, zone="UTC"), ANSWERED[0]]))
    link = "https://x.qualtrics.com/jfe/form/SV_1?Q_CHL=email"
    sent = [("c1", "d1", "SurveyFinished"), ("c2", "d1", "Opened"), ("c3", "d1", "Pending"),
            ("c4", "d1", "HardBounce"),
            ("c2", "d2", "Opened"), ("c3", "d3", "Opened")]  # fmt: skip
    rows = [["contact_id", "distribution_id", "sent_at", "status", "survey_link"],
            *([who, which, "2025-03-29 08:00:00", state, link] for who, which, state in sent)]  # fmt: skip
    (tmp_path / "distribution_contact.csv").write_text(csv_text(rows))
    made = [["id", "parent_distribution_id", "request_type", "survey_link_survey_id"],
            ["d1", "", "Invite", "SV_1"], ["d2", "d1", "Reminder", "SV_1"],
            ["d3", "", "TestEmail", "SV_1"]]  # fmt: skip
    (tmp_path / "distribution.csv").write_text(csv_text(made))
    people = [
        ["id", "directory_id", "email", "ext_ref"],
        *([f"c{one}", "p", f"p{one}@x.de", f"u{one}"] for one in range(1, 5)),
    ]
    (tmp_path / "directory_contact.csv").write_text(csv_text(people))
    batch = read(loaders.qualtrics(tmp_path))
    invited = [
        one for one in seen(batch, "event", "user_id", "instrument", "actor") if one[0] == "survey_invite"
    ]
    assert [one[1:] for one in invited] == [(f"u{one}", "nps", "company") for one in (1, 2, 3)]
    assert rates(loaders.qualtrics(tmp_path)) == {"nps": [1, 3, 1 / 3]}


def test_a_response_rate_of_surveymonkey(tmp_path):
    path = tmp_path / "Sheet_1.csv"
    path.write_text(csv_text(MONKEY))
    messages = [["id", "collector_id", "type", "status", "scheduled_date"],
                ["m1", "460", "invite", "sent", "2025-03-09 08:00:00"],
                ["m2", "460", "reminder", "sent", "2025-03-11 08:00:00"]]  # fmt: skip
    (tmp_path / "messages.csv").write_text(csv_text(messages))
    sent = [("1", "ada@example.com", "m1", "sent"), ("2", "bob@example.com", "m1", "sent"),
            ("3", "cem@example.com", "m1", "not_sent"), ("4", "bob@example.com", "m2", "sent")]  # fmt: skip
    rows = [
        ["id", "email", "message_id", "mail_status", "survey_response_status"],
        *([*one, "x"] for one in sent),
    ]
    (tmp_path / "recipients.csv").write_text(csv_text(rows))
    assert rates(loaders.surveymonkey(tmp_path, tz="UTC")) == {"nps": [1, 2, 0.5]}


# Columns and rows


def _random(rng, name):
    """Forms of a vendor with gaps, words instead of numbers, previews and several kinds of questions."""

    def maybe(*values):
        return rng.choice([None, *values])

    def mostly(value):
        return rng.choice([value] * 5 + [None])

    rows = []
    for number in range(rng.randrange(1, 30)):
        score = maybe(0, 6, 9, 10, "10 - Extremely likely", "good")
        group = None if score is None else {0: "Detractor", 6: "Detractor"}.get(score, "Promoter")
        who = {"email": maybe("Ada@example.com", "bob@example.com"), "user": maybe("u1", "u2")}
        time = f"2025-03-{rng.randrange(1, 28):02} {rng.randrange(0, 24):02}:05:00"
        if name == "qualtrics":
            rows.append({
                "ResponseId": mostly(f"R_{number}"),
                "Status": maybe("IP Address", "0", "Survey Preview", "8"),
                "EndDate": maybe(time), "RecordedDate": time, "RecipientEmail": who["email"],
                "ExternalReference": who["user"], "Q1": score, "Q1_NPS_GROUP": maybe(group),
                "Q2_TEXT": maybe("why", "so"), "Q3_TEXT": maybe("and"), "order_id": maybe("1001"),
                "DistributionChannel": maybe("email", "preview", "anonymous"), "user_id": maybe("u3"),
            })  # fmt: skip
        elif name == "surveymonkey":
            hour = rng.randrange(1, 13)
            shown = f"{hour:02}:05:00 {rng.choice(['AM', 'PM', 'pm'])}"
            rows.append({
                "Respondent ID": mostly(number), "Custom Data 1": who["user"], "Email Address": who["email"],
                "End Date": rng.choice([f"3/{rng.randrange(1, 28)}/2025 {shown}", time, "03/04/2025 15:10"]),
                "How likely are you to recommend us?": score, "Why?": maybe("so"), "order_id": maybe("1001"),
                "How likely is it that you would recommend this page?": maybe(1, 7),
            })  # fmt: skip
        elif name == "typeform, CSV":
            rows.append({
                "#": mostly(f"l{number}"), "How likely are you to recommend us?": score,
                "email": who["email"], "user_id": who["user"],
                "Submit Date (UTC)": maybe(time), "Why?": maybe("so"),
            })  # fmt: skip
        elif name == "typeform":
            answers = [
                {"field": {"ref": "nps", "id": "f1", "type": "opinion_scale"}, "type": "number",
                 "number": rng.randrange(11)},
                {"field": {"ref": "why", "id": "f2", "type": "long_text"}, "type": "text", "text": "so"},
                {"field": {"id": "f3", "type": "short_text"}, "type": "text", "text": "and"},
                {"field": {"ref": "mail", "type": "email"}, "type": "email", "email": "eve@example.com"},
                {"field": {"ref": "yes", "type": "yes_no"}, "type": "boolean", "boolean": False},
                {"field": {"ref": "which", "type": "multiple_choice"}, "type": "choice",
                 "choice": {"label": "Lamp"} if rng.random() < 0.5 else {"other": "Bulb"}},
            ]  # fmt: skip
            hidden = {
                one: value for one, value in (("user_id", who["user"]), ("email", who["email"])) if value
            }
            rows.append({
                "landing_id": mostly(f"l{number}"), "landed_at": time, "form_id": maybe("a", "b"),
                "submitted_at": rng.choice([time.replace(" ", "T") + "Z", "0001-01-01T00:00:00Z", None]),
                "hidden": hidden, "answers": rng.sample(answers, rng.randrange(len(answers) + 1)) or None,
            })  # fmt: skip
        else:
            known = {"customer_id": who["user"], "plan": maybe("free"), "Delighted Source": maybe("SMS")}
            rows.append({
                "id": mostly(str(number)), "person": {"id": str(number % 4), "email": who["email"]},
                "survey_type": maybe("nps", "NPS", "csat"), "score": maybe(0, 3, 5), "tags": [],
                "created_at": 1741608000 + number, "comment": maybe("so"),
                "person_properties": maybe({one: value for one, value in known.items() if value}),
            })  # fmt: skip
    return rows


@pytest.mark.parametrize("name", ["qualtrics", "surveymonkey", "typeform", "typeform, CSV", "delighted"])
def test_columns_tell_what_rows_tell(name, tmp_path, monkeypatch):
    rng = random.Random(name)
    loader = getattr(loaders, name.partition(",")[0])
    options = {"tz": "Europe/Berlin"} if "tz" in inspect.signature(loader).parameters else {}
    by_columns = 0
    for number in range(60):
        rows = _random(rng, name)
        is_json = name in {"typeform", "delighted"}
        path = tmp_path / f"{number}{'.jsonl' if is_json else '.csv'}"
        path.write_text(text_of(rows, path.name))
        by_columns += columns_tell_what_rows_tell(partial(loader, path, **options), monkeypatch)
    assert by_columns > 50  # one form without any answer is no column
