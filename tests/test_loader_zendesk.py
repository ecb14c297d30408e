"""Zendesk: tickets and what happened to them, from pages of its API and from tables of a warehouse."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
from functools import partial

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import cjm_analytics as cjm
from both_ways import columns_tell_what_rows_tell
from cjm_analytics import loaders
from cjm_analytics.errors import InputError
from cjm_analytics.loaders import rows as rows_module
from cjm_analytics.loaders.source import whole
from cjm_analytics.schema import INVITE

UTC = dt.UTC
ADA = {"id": 1, "email": "Ada@X.org", "external_id": "u1", "role": "end-user"}
BOB = {"id": 2, "email": "bob@x.org", "external_id": None, "role": "end-user"}
AGENT = {"id": 9, "email": "agent@shop.example", "external_id": "staff9", "role": "agent"}


def ticket(**fields):
    """A ticket of Ada's, unless other fields are given."""
    return {
        "id": 500,
        "created_at": "2025-03-07T11:00:00Z",
        "updated_at": "2025-03-08T11:00:00Z",
        "requester_id": 1,
        "submitter_id": 1,
        "status": "open",
        "via": {"channel": "email"},
        **fields,
    }


def comment(**fields):
    return {
        "id": 70,
        "ticket_id": 500,
        "author_id": 1,
        "body": "hello",
        "public": True,
        "created_at": "2025-03-07T12:00:00Z",
        **fields,
    }


def rating(**fields):
    return {
        "id": 80,
        "ticket_id": 500,
        "requester_id": 1,
        "score": "good",
        "created_at": "2025-03-09T08:00:00Z",
        "updated_at": "2025-03-09T08:00:00Z",
        **fields,
    }


def audit(hour, *children, number=1, author=9, **fields):
    return {
        "id": number,
        "ticket_id": 500,
        "created_at": f"2025-03-08T{hour:02d}:00:00Z",
        "updater_id": author,
        "event_type": "Audit",
        "child_events": list(children),
        **fields,
    }


def status(new, before):
    return {"id": 1, "event_type": "Change", "status": new, "previous_value": before}


def export(folder, **tables):
    """Pages of the API, one file per table; tickets and users unless given."""
    for name, rows in {"tickets": [ticket()], "users": [ADA, BOB, AGENT], **tables}.items():
        (folder / f"{name}.json").write_text(json.dumps({name: rows, "count": len(rows)}, indent=1))
    return folder


def read(source, **options):
    """Everything that a source gives, after the law of accounting has been held to it."""
    batch = whole(loaders.zendesk(source, **options).batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def told(batch, *columns):
    return [tuple(one.values()) for one in batch.events.select(["event", *columns]).to_pylist()]


def test_a_ticket_is_an_event_of_its_requester(tmp_path):
    tickets = [ticket(organization_id=30, subject="Broken", tags=["warranty"], priority="high")]
    batch = read(export(tmp_path, tickets=tickets))
    (event,) = batch.events.to_pylist()
    assert {name: event[name] for name in event if name not in {"src_file", "properties"}} == {
        "anonymous_id": None,
        "user_id": "u1",
        "account_id": "30",
        "timestamp": dt.datetime(2025, 3, 7, 11, tzinfo=UTC),
        "time_quality": "second",
        "seq": 1,
        "event": "ticket_created",
        "event_id": "ticket:500",
        "source": "zendesk",
        "source_kind": "support",
        "actor": "customer",
        "channel": "email",
        "ticket_id": "500",
        "src_row": 1,
    }
    assert json.loads(event["properties"]) == {"subject": "Broken", "tags": ["warranty"], "priority": "high"}


def test_a_requester_is_known_by_external_id_or_number(tmp_path):
    tickets = [ticket(id=1), ticket(id=2, requester_id=2), ticket(id=3, requester_id=77)]
    batch = read(export(tmp_path, tickets=tickets))
    ids = list(
        zip(batch.events["user_id"].to_pylist(), batch.events["anonymous_id"].to_pylist(), strict=True)
    )
    assert ids == [("u1", None), (None, "zendesk:2"), (None, "zendesk:77")]
    links = {(one["alias"], one["user_id"]) for one in batch.links.to_pylist()}
    assert links == {("zendesk:1", "u1"), ("email:ada@x.org", "u1"), ("zendesk:2", "email:bob@x.org")}


def test_a_ticket_that_staff_opened_for_somebody_is_the_companys_act_unless_it_was_a_call(tmp_path):
    tickets = [
        ticket(id=1, submitter_id=9),
        ticket(id=2, submitter_id=2),
        ticket(id=3, submitter_id=9, via={"channel": "voice", "source": {"rel": "inbound"}}),
        ticket(id=4, submitter_id=9, via={"channel": "voice", "source": {"rel": "outbound"}}),
    ]
    batch = read(export(tmp_path, tickets=tickets))
    assert batch.events["actor"].to_pylist() == ["company", "customer", "customer", "company"]
    assert batch.events["channel"].to_pylist() == ["email", "email", "phone", "phone"]


def test_public_comments_are_events_and_private_ones_are_excluded(tmp_path):
    comments = [
        comment(id=1),
        comment(id=2, author_id=9, public=True),
        comment(id=3, author_id=9, public=False),
        comment(id=4, author_id=-1),
        comment(id=5, author_id=2),
        comment(id=6, created_at="2025-03-07T11:00:00Z"),
    ]
    batch = read(export(tmp_path, ticket_comments=comments))
    assert told(batch, "actor", "event_id")[1:] == [
        ("ticket_comment", "customer", "comment:1"),
        ("ticket_comment", "company", "comment:2"),
        ("ticket_comment", "system", "comment:4"),
        ("ticket_comment", "customer", "comment:5"),
    ]
    assert set(batch.events["user_id"].to_pylist()) == {"u1"}
    assert batch.n_excluded == 3 + 2


def test_solved_and_reopened_follow_from_what_the_status_was(tmp_path):
    audits = [
        audit(9, status("solved", "open"), number=1),
        audit(10, status("open", "solved"), number=2, author=1),
        audit(11, status("pending", "open"), number=3),
        audit(12, status("solved", "pending"), number=4),
        audit(13, status("closed", "solved"), number=5),
        audit(12, status("solved", "pending"), number=4),
    ]
    batch = read(export(tmp_path, ticket_events=audits))
    assert [(*one[:2], one[2].hour) for one in told(batch, "actor", "timestamp")[1:]] == [
        ("ticket_solved", "company", 9),
        ("ticket_reopened", "customer", 10),
        ("ticket_solved", "company", 12),
    ]
    assert batch.n_read == 1 + 3 + 6


def test_field_history_and_audits_of_one_change_are_one_event(tmp_path):
    (tmp_path / "ticket_field_history.csv").write_text(
        "ticket_id,field_name,updated,user_id,value\n"
        "500,status,2025-03-08 09:00:00,9,solved\n"
        "500,priority,2025-03-08 09:00:00,9,high\n"
        "500,status,soon,9,open\n"
    )
    batch = read(export(tmp_path, ticket_events=[audit(9, status("solved", "open"))]))
    assert [one[0] for one in told(batch)] == ["ticket_created", "ticket_solved"]
    assert batch.rejects["src_row"].to_pylist() == [4]
    assert batch.n_read == 1 + 3 + 3 + 1


def test_comments_are_found_in_audits_too(tmp_path):
    said = {"id": 71, "event_type": "Comment", "comment_public": True, "body": "done"}
    noted = {"id": 72, "event_type": "Comment", "comment_public": False, "body": "psst"}
    batch = read(export(tmp_path, ticket_events=[audit(9, said, noted, status("solved", "open"))]))
    assert told(batch, "event_id")[1:] == [
        ("ticket_comment", "comment:71"),
        ("ticket_solved", "ticket_solved:500:1741424400000000"),
    ]


def test_audits_of_the_other_api_are_read(tmp_path):
    change = {"id": 5, "type": "Change", "field_name": "status", "value": "solved", "previous_value": "open"}
    said = {"id": 6, "type": "Comment", "public": True, "author_id": 1, "body": "thanks"}
    row = {
        "id": 4,
        "ticket_id": 500,
        "created_at": "2025-03-08T09:00:00Z",
        "author_id": 9,
        "events": [change, said],
    }
    batch = read(export(tmp_path, audits=[row]))
    assert told(batch, "actor")[1:] == [("ticket_comment", "customer"), ("ticket_solved", "company")]


def test_a_rating_is_an_answer_and_an_invite(tmp_path):
    ratings = [
        rating(id=80, score="offered", created_at="2025-03-08T07:00:00Z", updated_at="2025-03-08T07:00:00Z"),
        rating(id=81, score="good_with_comment", comment="fast", reason="quick"),
    ]
    batch = read(export(tmp_path, satisfaction_ratings=ratings))
    invite, answer = batch.events.to_pylist()[1:]
    assert (invite["event"], invite["timestamp"], invite["actor"], invite["score"]) == (
        INVITE,
        dt.datetime(2025, 3, 8, 7, tzinfo=UTC),
        "company",
        None,
    )
    assert {
        name: answer[name] for name in ("event", "instrument", "score", "score_min", "score_max", "comment")
    } == {
        "event": "survey_response",
        "instrument": "csat",
        "score": 1.0,
        "score_min": 0.0,
        "score_max": 1.0,
        "comment": "fast",
    }
    assert answer["timestamp"] == dt.datetime(2025, 3, 9, 8, tzinfo=UTC)
    assert (answer["ticket_id"], answer["source_kind"], invite["source_kind"]) == ("500", "survey", "survey")
    assert json.loads(answer["properties"]) == {"reason": "quick"}


def test_a_changed_rating_is_one_answer_the_last(tmp_path):
    ratings = [
        rating(id=82, score="bad", updated_at="2025-03-10T08:00:00Z"),
        rating(id=81, score="good", updated_at="2025-03-09T08:00:00Z"),
        rating(id=83, score="great"),
        rating(id=84, score="unoffered", ticket_id=501),
    ]
    batch = read(export(tmp_path, satisfaction_ratings=ratings))
    assert told(batch, "score")[1:] == [(INVITE, None), ("survey_response", 0.0)]
    assert batch.rejects["reason"].to_pylist() == ["a rating of unknown score 'great'"]


def test_a_rating_that_stands_only_in_its_ticket_has_an_inferred_time(tmp_path):
    tickets = [
        ticket(id=1, satisfaction_rating={"score": "bad", "reason": "slow"}),
        ticket(id=2, satisfaction_rating={"score": "offered"}),
        ticket(id=3, satisfaction_rating={"score": "unoffered"}),
        ticket(id=4, satisfaction_rating={"score": "good"}),
    ]
    batch = read(export(tmp_path, tickets=tickets, satisfaction_ratings=[rating(ticket_id=4)]))
    found = [one for one in told(batch, "ticket_id", "time_quality", "score") if one[0] != "ticket_created"]
    assert found == [
        (INVITE, "1", "inferred", None),
        ("survey_response", "1", "inferred", 0.0),
        (INVITE, "2", "inferred", None),
        (INVITE, "4", "second", None),
        ("survey_response", "4", "second", 1.0),
    ]


@pytest.mark.parametrize(
    "tables",
    [
        {"tickets": [ticket(tags=["closed_by_merge"])]},
        {"tickets": [ticket(status="deleted")]},
        {"tickets": [ticket(), ticket(id=1, merged_ticket_ids=[500])]},
        {"tickets": [ticket()], "ticket_tags": [{"ticket_id": 500, "tag": "closed_by_merge"}]},
    ],
)
def test_merged_and_deleted_tickets_are_excluded_with_all_that_belongs_to_them(tmp_path, tables):
    tables = {
        **tables,
        "ticket_comments": [comment()],
        "ticket_events": [audit(9, status("solved", "open"))],
        "satisfaction_ratings": [rating()],
    }
    batch = read(export(tmp_path, **tables))
    assert [one for one in told(batch, "ticket_id") if one[1] == "500"] == []
    assert batch.rejects.num_rows == 0


def test_pages_that_overlap_give_each_ticket_once(tmp_path):
    folder = export(tmp_path, users=[ADA])
    for number, priority, updated in ((1, "low", "08"), (2, "high", "09")):
        page = {"tickets": [ticket(priority=priority, updated_at=f"2025-03-{updated}T00:00:00Z")]}
        (folder / f"tickets_{number:04d}.json").write_text(json.dumps(page))
    batch = read(folder, keep=["priority"])
    assert told(batch, "priority") == [("ticket_created", "high")]
    assert batch.n_excluded == 2 + 1


def test_one_page_may_hold_several_tables(tmp_path):
    page = {"count": 1, "tickets": [ticket()], "users": [ADA], "satisfaction_ratings": [rating()]}
    (tmp_path / "export.json").write_text(json.dumps(page))
    assert [one[0] for one in told(read(tmp_path), "user_id")] == [
        "ticket_created",
        INVITE,
        "survey_response",
    ]
    two_pages = (
        json.dumps({"tickets": [ticket(id=1)]})
        + "\n"
        + json.dumps({"tickets": [ticket(id=2)], "users": [ADA]})
    )
    (tmp_path / "export.json").write_text(two_pages)
    assert told(read(tmp_path), "event_id") == [
        ("ticket_created", "ticket:1"),
        ("ticket_created", "ticket:2"),
    ]


def test_json_lines_of_records_are_read(tmp_path):
    export(tmp_path)
    (tmp_path / "tickets.json").unlink()
    lines = [json.dumps(ticket(id=1)), "{broken", json.dumps(ticket(id=2))]
    (tmp_path / "tickets.jsonl").write_text("\n".join(lines))
    batch = read(tmp_path)
    assert sorted(told(batch, "src_row")) == [("ticket_created", 1), ("ticket_created", 3)]
    assert batch.rejects["src_row"].to_pylist() == [2]


def test_rows_that_cannot_be_used_are_rejects(tmp_path):
    tables = {
        "tickets": [
            ticket(),
            ticket(id=1, created_at="soon"),
            ticket(id=2, requester_id=None),
            ticket(id=None),
            7,
        ],
        "ticket_comments": [
            comment(ticket_id=404, author_id=9),
            comment(ticket_id=None),
            comment(id=3, created_at=None),
        ],
        "satisfaction_ratings": [rating(ticket_id=None), rating(created_at="never", updated_at=None)],
        "ticket_events": [audit(9, status("solved", "open"), ticket_id=404), audit(9, ticket_id=None)],
    }
    batch = read(export(tmp_path, **tables))
    assert told(batch) == [("ticket_created",)]
    assert sorted(batch.rejects["reason"].to_pylist()) == [
        "a comment without ticket_id",
        "a rating without ticket_id, score or a time that can be read",
        "a rating without ticket_id, score or a time that can be read",
        "a ticket without id",
        "an audit without ticket_id or a time that can be read",
        "no JSON object",
        "no customer: all of user_id, anonymous_id are empty",
        "no time: timestamp is empty",
        "the ticket 404 of this change is not in the export: its requester is unknown",
        "the ticket 404 of this comment is not in the export: its requester is unknown",
        "timestamp is no time that can be read without timestamp_format=: 'soon'",
    ]


def test_a_comment_on_a_ticket_that_is_not_there_belongs_to_the_user_who_wrote_it(tmp_path):
    batch = read(export(tmp_path, ticket_comments=[comment(ticket_id=404, author_id=2)]))
    assert told(batch, "anonymous_id", "ticket_id")[1:] == [("ticket_comment", "zendesk:2", "404")]


def test_without_users_a_warning_says_what_is_lost(tmp_path):
    (tmp_path / "tickets.json").write_text(json.dumps({"tickets": [ticket()]}))
    with pytest.warns(UserWarning, match="zendesk has no users"):
        assert read(tmp_path).events["anonymous_id"].to_pylist() == ["zendesk:1"]


def test_a_folder_without_tickets_is_an_error(tmp_path):
    (tmp_path / "users.csv").write_text("id,email\n1,a@x.org\n")
    (tmp_path / "notes.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"holds no tickets of Zendesk: .* There are: notes.csv, users.csv."):
        loaders.zendesk(tmp_path)
    with pytest.raises(InputError, match="There is no file or folder"):
        loaders.zendesk(tmp_path / "crm")


def test_an_export_of_nothing_is_no_event(tmp_path):
    assert read(export(tmp_path, tickets=[], users=[ADA])).n_read == 1
    (tmp_path / "tickets.json").unlink()
    (tmp_path / "ticket.csv").write_text("id,created_at,requester_id\n")
    assert read(tmp_path).events.num_rows == 0


def test_answers_to_the_newer_surveys_stand_on_the_scale_of_their_question(tmp_path):
    options = [{"rating": one} for one in (1, 2, 3)]
    rows = [
        {
            "id": f"r{number}",
            "responder_id": responder,
            "subjects": [{"id": "500", "type": "ticket", "zrn": "zen:ticket:500"}],
            "survey": {"id": "s1", "version": 2},
            "answers": [
                {
                    "type": "rating_scale",
                    "rating": rating,
                    "rating_category": "good",
                    "created_at": "2025-03-09T08:00:00Z",
                    "updated_at": "2025-03-09T09:00:00Z",
                    **question,
                },
                {"type": "open_ended", "value": "quick"},
            ],
        }
        for number, responder, rating, question in (
            (1, 1, 3, {"question": {"options": options}}),
            (2, None, 5, {}),
            (3, 1, None, {}),
        )
    ]
    batch = read(export(tmp_path, survey_responses=rows))
    found = told(batch, "score", "score_min", "score_max", "comment", "survey_id", "user_id", "actor")[1:]
    assert found == [
        (INVITE, None, 1.0, 3.0, None, "s1", "u1", "company"),
        ("survey_response", 3.0, 1.0, 3.0, "quick", "s1", "u1", "customer"),
        (INVITE, None, 1.0, 5.0, None, "s1", "u1", "company"),
        ("survey_response", 5.0, 1.0, 5.0, "quick", "s1", "u1", "customer"),
    ]
    hours = [one.hour for one in batch.events["timestamp"].to_pylist()[1:3]]
    assert hours == [8, 9]


def test_what_is_said_in_chats_belongs_to_the_tickets_requester(tmp_path):
    (tmp_path / "ticket_chat_data.csv").write_text(
        "chat_id,ticket_id,user_id,visitor_id\nc1,500,1,v\nc2,404,2,v\n"
    )
    lines = [
        "c1,2025-03-07 11:00:01,1,0,ChatMessage,hello",
        "c1,2025-03-07 11:00:02,agent:9,1,ChatMessage,hi",
        "c1,2025-03-07 11:00:03,__trigger,2,ChatMessage,wait",
        "c1,2025-03-07 11:00:04,agent:9,3,ChatJoin,",
        "c2,2025-03-07 11:00:05,2,0,ChatMessage,help",
        "c3,2025-03-07 11:00:06,2,0,ChatMessage,help",
    ]
    head = "chat_id,created_at,actor_id,chat_index,type,message"
    (tmp_path / "ticket_chat_event_data.csv").write_text("\n".join([head, *lines]) + "\n")
    batch = read(export(tmp_path))
    assert told(batch, "actor", "ticket_id", "user_id", "anonymous_id", "channel")[1:] == [
        ("chat_message", "customer", "500", "u1", None, "chat"),
        ("chat_message", "company", "500", "u1", None, "chat"),
        ("chat_message", "system", "500", "u1", None, "chat"),
        ("chat_message", "customer", "404", None, "zendesk:2", "chat"),
    ]
    assert batch.rejects["reason"].to_pylist() == [
        "the chat c3 of this message is not in the export: its requester is unknown"
    ]


def test_a_copy_whose_time_cannot_be_read_does_not_replace_a_good_one(tmp_path):
    batch = read(
        export(tmp_path, tickets=[ticket(), ticket(created_at="soon", updated_at="2025-03-10T00:00:00Z")])
    )
    assert told(batch) == [("ticket_created",)]
    assert batch.rejects.num_rows == 1


def test_a_requester_whose_address_is_none_is_known_by_number(tmp_path):
    users = [{"id": one, "email": "unknown", "role": "end-user"} for one in (2, 3)]
    tickets = [ticket(id=one, requester_id=one) for one in (2, 3)]
    events = cjm.ingest(loaders.zendesk(export(tmp_path, tickets=tickets, users=users)))
    assert events.to_frame()["customer_id"].unique().tolist() == ["zendesk:2", "zendesk:3"]


# Envelopes


def _lines(*objects):
    return "".join(json.dumps(one) + "\n" for one in objects)


def _singer(table, rows):
    yield {"type": "SCHEMA", "stream": table, "schema": {}, "key_properties": ["id"]}
    yield from (
        {"type": "RECORD", "stream": table, "record": one, "time_extracted": "2025-04-01"} for one in rows
    )
    yield {"type": "STATE", "value": {"bookmarks": {}}}


def _airbyte(table, rows):
    yield {"type": "LOG", "log": {"level": "INFO", "message": "reading"}}
    yield from (
        {"type": "RECORD", "record": {"stream": table, "data": one, "emitted_at": 1743465600000}}
        for one in rows
    )


ENVELOPES = {
    "singer.jsonl": _singer,
    "messages.jsonl": _airbyte,
    "records.jsonl": lambda table, rows: (
        {"stream": table, "data": one, "emitted_at": 1743465600000} for one in rows
    ),
    "export_2025_04_01_1a2b_1.json": lambda table, rows: ({table.removesuffix("s"): one} for one in rows),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_rows_are_taken_out_of_the_envelopes_of_copying_tools(tmp_path, name):
    tables = {"tickets": [ticket(), ticket(id=501)], "users": [ADA, AGENT], "brands": [{"id": 3}]}
    lines = [one for table, rows in tables.items() for one in ENVELOPES[name](table, rows)]
    (tmp_path / name).write_text(_lines(*lines))
    batch = read(tmp_path)
    assert told(batch, "user_id", "event_id") == [
        ("ticket_created", "u1", "ticket:500"),
        ("ticket_created", "u1", "ticket:501"),
    ]
    assert (batch.n_read, batch.n_excluded, batch.rejects.num_rows) == (5, 3, 0)
    written = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
    assert "500" in json.dumps(written[batch.events["src_row"].to_pylist()[0] - 1])


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_are_taken_out_of_raw_tables_of_airbyte(tmp_path, ending):
    for table, rows in {"tickets": [ticket(), ticket(id=501)], "users": [ADA, AGENT]}.items():
        raw = [
            {"_airbyte_ab_id": f"{place}", "_airbyte_emitted_at": 1743465600000, "_airbyte_data": one}
            for place, one in enumerate(rows)
        ]
        as_text = [{**one, "_airbyte_data": json.dumps(one["_airbyte_data"])} for one in raw]
        path = tmp_path / f"{table}.{ending}"
        if ending == "jsonl":
            path.write_text(_lines(*raw))
        elif ending == "csv":
            pa_csv.write_csv(pa.Table.from_pylist(as_text), path)
        else:
            pq.write_table(pa.Table.from_pylist(as_text), path)
    batch = read(tmp_path)
    assert told(batch, "user_id", "event_id") == [
        ("ticket_created", "u1", "ticket:500"),
        ("ticket_created", "u1", "ticket:501"),
    ]


def test_what_is_in_no_envelope_beside_those_that_are_is_a_reject(tmp_path):
    lines = [*_singer("tickets", [ticket()]), {"odd": 1}, *_singer("users", [ADA])]
    (tmp_path / "singer.jsonl").write_text(_lines(*lines) + "{broken\n")
    batch = read(tmp_path)
    assert told(batch, "user_id") == [("ticket_created", "u1")]
    assert [(one["src_row"], one["reason"].partition(":")[0]) for one in batch.rejects.to_pylist()] == [
        (4, "no record in it"),
        (8, "no JSON"),
    ]


# The story, and a real sample


def test_the_story(shared_data):
    batch = read(shared_data / "formats/_synthetic/zendesk")
    found = [
        (event, user or alias, number, channel, score)
        for event, user, alias, number, channel, score in told(
            batch, "user_id", "anonymous_id", "ticket_id", "channel", "score"
        )
    ]
    assert found == [
        ("ticket_created", "u1", "500", "chat", None),
        ("ticket_created", "u1", "501", "email", None),
        ("ticket_created", "zendesk:9002", "502", "web", None),
        ("ticket_solved", "u1", "501", "email", None),
        (INVITE, "u1", "501", None, None),
        ("survey_response", "u1", "501", None, 1.0),
        (INVITE, "zendesk:9002", "502", None, None),
        ("survey_response", "zendesk:9002", "502", None, 0.0),
    ]
    solved = batch.events["timestamp"].to_pylist()[3]
    assert solved == dt.datetime(2025, 3, 7, 15, tzinfo=UTC)
    # 3 tickets, 2 users, 2 audits, 3 ratings; one rating was given without an invite of its own
    assert batch.n_read == 3 + 2 + 2 + 3 + 2
    assert batch.rejects.num_rows == 0


def test_a_real_warehouse_sample_is_read_whole(shared_data):
    folder = shared_data / "formats/zendesk"
    batch = read(folder)
    counts = {name: told(batch).count((name,)) for name in ("ticket_created", "ticket_solved")}
    assert counts == {"ticket_created": 8, "ticket_solved": 1}
    assert batch.events.filter([one == "ticket_solved" for one in batch.events["event"].to_pylist()])[
        "timestamp"
    ].to_pylist() == [dt.datetime(2020, 11, 14, 11, 1, 27, tzinfo=UTC)]
    assert all("is not in the export" in one for one in batch.rejects["reason"].to_pylist())
    assert batch.n_read == sum(
        len(list(csv.DictReader(io.StringIO(file.read_text())))) for file in folder.glob("*.csv")
    )


def test_people_are_known_from_any_page_of_an_answer(tmp_path):
    page = json.dumps({"tickets": [ticket()], "users": [ADA]})
    path = tmp_path / "tickets.json"
    path.write_text("\n".join(['{"tickets": [', json.dumps({"tickets": [ticket(id=2)]}), page]))
    events = read(path).events
    assert events["user_id"].to_pylist() == ["u1", "u1"]


def test_a_table_of_events_is_read_once_and_one_of_people_before_it(tmp_path, monkeypatch):
    for name, rows in {
        "tickets": [ticket(via="email")],
        "ticket_comments": [comment(id=one) for one in range(200)],
        "users": [ADA, BOB, AGENT],
    }.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    monkeypatch.setattr(rows_module, "_CSV_BLOCK", 1_000)
    monkeypatch.setattr(rows_module, "_LOOKED_AT", 500)
    parsed = []
    parse = rows_module._CsvParser.parse

    def counted(self, body):
        rows = parse(self, body)
        parsed.append((rows.file, len(rows)))
        return rows

    monkeypatch.setattr(rows_module._CsvParser, "parse", counted)
    events = read(tmp_path).events
    assert events["user_id"].to_pylist() == ["u1"] * 201
    comments = [size for file, size in parsed if file.endswith("comments.csv")]
    assert len(comments) > 3
    assert sum(comments) == 200 + comments[0]
    assert sum(size for file, size in parsed if file.endswith("users.csv")) == 2 * 3


def _random_export(rng):
    """Tickets with gaps, merges, deletions, calls, ratings in them and beside them, and the people."""

    def maybe(*values):
        return rng.choice([None, *values])

    def ticket(number):
        return {
            "id": number, "created_at": f"2025-03-{rng.randrange(1, 28):02}T10:00:00Z",
            "updated_at": maybe(f"2025-04-{rng.randrange(1, 28):02}T10:00:00Z"),
            "requester_id": maybe(1, 2, 3), "submitter_id": maybe(1, 2, 9), "organization_id": maybe(70),
            "subject": "lamp", "status": maybe("open", "solved", "deleted"),
            "tags": rng.choice([[], ["a"], ["closed_by_merge"], None]),
            "merged_ticket_ids": rng.choice([[], [], [rng.randrange(20)]]),
            "via": rng.choice([
                None, {"channel": "email", "source": {"rel": None}},
                {"channel": "voice", "source": {"rel": rng.choice(["inbound", "outbound"])}},
                {"channel": "Web Form"},
            ]),
            "satisfaction_rating": rng.choice([
                None, {"score": "offered"}, {"score": "good", "comment": "nice", "id": 5},
                {"score": "unoffered"}, {"score": "Bad", "reason": "late"},
            ]),
        }  # fmt: skip

    tickets = [ticket(number) for number in rng.sample(range(20), rng.randrange(1, 15))]
    users = [
        {"id": 1, "external_id": "u1", "email": "ada@example.com", "role": "end-user"},
        {"id": 2, "external_id": None, "email": "bob@example.com", "role": "end-user"},
        {"id": 9, "external_id": "s9", "email": "agent@shop.example", "role": "agent"},
    ]
    ratings = [
        {"id": 3, "ticket_id": rng.randrange(20), "requester_id": 1, "score": "good",
         "created_at": "2025-04-02T10:00:00Z", "updated_at": "2025-04-02T11:00:00Z"}
    ]  # fmt: skip
    comments = [
        {"id": 4, "ticket_id": tickets[0]["id"], "author_id": maybe(1, 9), "public": True, "body": "hi",
         "created_at": "2025-04-03T10:00:00Z"}
    ]  # fmt: skip
    return {"tickets": tickets, "users": users, "satisfaction_ratings": ratings, "ticket_comments": comments}


def test_columns_tell_what_rows_tell(tmp_path, monkeypatch):
    rng = random.Random(7)
    for number in range(60):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, rows in _random_export(rng).items():
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(lines)
        assert columns_tell_what_rows_tell(partial(loaders.zendesk, folder), monkeypatch)
