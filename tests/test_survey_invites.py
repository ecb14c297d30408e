"""Response rates, from the files that survey tools give to the number on the map."""

from __future__ import annotations

import pandas as pd
import pytest

import cjm_analytics as cjm

MODEL = cjm.JourneyModel.from_dict(
    {
        "phase": [{"id": "before", "stages": ["look"]}, {"id": "after", "stages": ["help", "survey"]}],
        "touchpoint": [
            {"id": "page", "stage": "look", "match": {"event": "page"}},
            {"id": "ticket", "stage": "help", "match": {"event": "ticket"}},
            {"id": "answer", "stage": "survey", "progress": False, "match": {"source_kind": "survey"}},
        ],
        "survey": [
            {
                "id": "csat",
                "instrument": "csat",
                "kind": "transactional",
                "match": {"instrument": "csat"},
                "scale": [1, 5],
                "positive": [4, 5],
                "rates": {"touchpoint": "ticket", "join_on": "ticket_id"},
            },
            {"id": "nps", "instrument": "nps", "kind": "relational", "match": {"instrument": "nps"}},
        ],
    }
)


@pytest.fixture
def log():
    """Four customers, each with a page and a ticket."""
    rows = [
        row
        for number in range(1, 5)
        for row in (
            {"who": f"u{number}", "at": "2026-03-01 10:00", "what": "page", "ticket_id": None},
            {"who": f"u{number}", "at": "2026-03-02 10:00", "what": "ticket", "ticket_id": f"t{number}"},
        )
    ]
    return cjm.loaders.table(
        pd.DataFrame(rows), customer="who", timestamp="at", event="what", tz="UTC", name="log"
    )


def rates(*sources):
    """Instrument and phase → (answers, invites, response rate)."""
    events = cjm.ingest(list(sources), now="2026-06-01", progress=False)
    journeys = cjm.sessionize(events, MODEL, progress=False)
    frame = cjm.satisfaction(journeys).to_frame(suppress=False)
    return {
        (row.instrument, row.phase): (row.n, row.invites, row.response_rate) for row in frame.itertuples()
    }


def test_invites_in_a_file_of_their_own(log, tmp_path):
    """Of four who were asked about their ticket one was reminded, and two answered."""
    (tmp_path / "invites.csv").write_text(
        "customer,sent_at,ticket\n"
        "u1,2026-03-03 09:00,t1\nu2,2026-03-03 09:00,t2\nu2,2026-03-05 09:00,t2\n"
        "u3,2026-03-03 09:00,t3\nu4,2026-03-03 09:00,t4\n"
    )
    (tmp_path / "answers.csv").write_text(
        "customer,answered_at,ticket,stars\nu1,2026-03-03 12:00,t1,5\nu2,2026-03-06 12:00,t2,2\n"
    )
    asked = {"customer": "customer", "ticket_id": "ticket", "instrument": "=csat", "tz": "UTC"}
    invites = cjm.loaders.table(
        tmp_path / "invites.csv", timestamp="sent_at", event="=survey_invite", kind="survey", **asked
    )
    answers = cjm.loaders.table(
        tmp_path / "answers.csv", timestamp="answered_at", event="=answer", score="stars", **asked
    )
    assert rates(log, invites, answers) == {("csat", "after"): (2, 4, 0.5)}


def test_a_table_with_a_row_per_invite_and_a_time_where_it_was_answered(log):
    """As many tools export: who did not answer has no time and no score."""
    sent = pd.DataFrame(
        {
            "customer": ["u1", "u2", "u3", "u4"],
            "sent_at": ["2026-03-10 09:00"] * 4,
            "answered_at": ["2026-03-10 10:00", None, "2026-03-11 10:00", "2026-03-12 10:00"],
            "score": [10, None, 3, 9],
        }
    )
    surveys = cjm.loaders.table(
        sent,
        customer="customer",
        melt={"sent_at": "survey_invite", "answered_at": "answer"},
        score="score",
        instrument="=nps",
        tz="UTC",
        name="nps",
    )
    batch = next(surveys.batches())
    assert batch.events.num_rows == batch.n_read == 7
    actors = batch.events.select(["event", "actor"]).to_pylist()
    assert {(one["event"], one["actor"]) for one in actors} == {
        ("survey_invite", "company"),
        ("answer", "customer"),
    }
    assert list(rates(log, surveys).values()) == [(3, 4, 0.75)]


def test_nobody_answered(log):
    unanswered = cjm.loaders.table(
        {"who": ["u1", "u2"], "at": ["2026-03-03", "2026-03-03"], "ticket_id": ["t1", "t2"]},
        customer="who",
        timestamp="at",
        event="=survey_invite",
        instrument="=csat",
        kind="survey",
        tz="UTC",
    )
    assert rates(log, unanswered) == {("csat", "after"): (0, 2, 0.0)}


def test_without_invites_there_is_no_rate(log):
    answers = cjm.loaders.table(
        {"who": ["u1"], "at": ["2026-03-04"], "ticket_id": ["t1"], "score": [5]},
        customer="who",
        timestamp="at",
        event="=answer",
        instrument="=csat",
        tz="UTC",
    )
    ((answered, asked, rate),) = rates(log, answers).values()
    assert answered == 1
    assert asked == 0
    assert pd.isna(rate)
