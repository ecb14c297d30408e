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
from cjm_analytics.loaders import csv_files, line_blocks
from cjm_analytics.loaders import vendor as vendor_module
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
        "received_at": dt.datetime(2025, 3, 8, 11, tzinfo=UTC),
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
        "timestamp is no time that can be read: 'soon'",
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
        (INVITE, None, 1.0, 5.0, None, "s1", "u1", "company"),
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


# Files of the agents' interface, reports, and the account's full export


BY_THEMSELVES = pytest.mark.filterwarnings("ignore:zendesk has no users")
"""Tickets that say themselves who their requesters are."""


def interface(**cells):
    """A ticket as the account's CSV export writes it."""
    return {
        "Summation column": "1", "Id": "500", "Requester": "Ada", "Requester id": "1",
        "Requester external id": "u1", "Requester email": "ada@x.org", "Requester domain": "x.org",
        "Submitter": "Ada", "Subject": "Broken", "Tags": "lamp", "Status": "Solved", "Via": "Web form",
        "Created at": "2025-03-07 11:00", "Updated at": "2025-03-09 09:00", "Due date": "-",
        "Solved at": "2025-03-08 10:00", "Satisfaction Score": "Not Offered", **cells,
    }  # fmt: skip


def saved(path, *rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@BY_THEMSELVES
def test_a_dash_in_the_agents_files_is_nothing_and_nobodys_id(tmp_path):
    bobs = {"Requester id": "2", "Requester external id": "-", "Requester email": "bob@x.org"}
    rows = [interface(), interface(Id="501", **bobs, **{"Solved at": "-"})]
    batch = read(saved(tmp_path / "export.csv", *rows), tz="Europe/Berlin")
    assert told(batch, "user_id", "anonymous_id", "channel") == [
        ("ticket_created", "u1", None, "web"),
        ("ticket_solved", "u1", None, "web"),
        ("ticket_created", None, "zendesk:2", "web"),
    ]
    assert batch.events["timestamp"].to_pylist()[0] == dt.datetime(2025, 3, 7, 10, tzinfo=UTC)
    assert "Due date" not in json.loads(batch.events["properties"].to_pylist()[0])
    links = {(one["alias"], one["user_id"]) for one in batch.links.to_pylist()}
    assert ("zendesk:2", "email:bob@x.org") in links
    assert not any("-" in pair for pair in links)


@BY_THEMSELVES
def test_the_zone_of_the_agents_files_is_asked_for_and_so_is_the_order_of_their_dates(tmp_path):
    path = saved(tmp_path / "export.csv", interface())
    with pytest.raises(InputError, match=r"carry no zone \('2025-03-07 11:00'\).* Say tz="):
        read(path)
    assert cjm.loaders.describe(path).code.endswith("tz='?')")
    cells = {"Created at": "7/3/2025 11:00", "Updated at": "9/3/2025 9:00", "Solved at": "8/3/2025 10:00"}
    path = saved(tmp_path / "export.csv", interface(**cells))
    with pytest.raises(InputError, match=r"read in two ways \('7/3/2025 11:00'\). Say dayfirst="):
        read(path, tz="Europe/Berlin")
    found = cjm.loaders.describe(path)
    assert (found.loader, dict(found.options)) == ("zendesk", {"tz": "?", "dayfirst": "?"})
    assert len(found.questions) == 2
    with pytest.raises(InputError, match=r"dayfirst='\?' is no answer"):
        loaders.zendesk(path, tz="UTC", dayfirst="?")
    days = {
        order: [one.day for one in read(path, tz="UTC", dayfirst=order).events["timestamp"].to_pylist()]
        for order in (True, False)
    }
    assert days == {True: [7, 8], False: [3, 3]}
    assert read(path, tz="UTC", dayfirst=True).events["time_quality"].to_pylist() == ["minute", "minute"]


@BY_THEMSELVES
def test_a_report_without_subject_and_with_other_labels_is_read(tmp_path):
    row = {
        "Ticket ID": "500", "Requester ID": "1", "Ticket channel": "Mail", "Ticket status": "Solved",
        "Ticket created - Timestamp": "2025-03-07T11:00:00", "Ticket satisfaction rating": "Bad",
        "Ticket solved - Timestamp": "2025-03-08T10:00:00",
        "Ticket last updated - Timestamp": "2025-03-09T10:00:00",
    }  # fmt: skip
    batch = read(saved(tmp_path / "report.csv", row), tz="UTC")
    assert told(batch, "anonymous_id", "channel", "score") == [
        ("ticket_created", "zendesk:1", "email", None),
        ("ticket_solved", "zendesk:1", "email", None),
        (INVITE, "zendesk:1", None, None),
        ("survey_response", "zendesk:1", None, 0.0),
    ]


@BY_THEMSELVES
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Good", (1.0, 0.0, 1.0)),
        ("Good, I'm satisfied", (1.0, 0.0, 1.0)),
        ("Bad", (0.0, 0.0, 1.0)),
        ("4", (4.0, 1.0, 5.0)),
        ("Offered", None),
        ("Not Offered", ()),
        ("-", ()),
        ("9", ()),
    ],
)
def test_ratings_of_the_agents_files_stand_on_their_scale(tmp_path, said, expected):
    path = saved(tmp_path / "export.csv", interface(**{"Satisfaction Score": said}))
    found = read(path, tz="UTC").events.to_pylist()[2:]
    names = ("score", "score_min", "score_max")
    answers = [tuple(map(one.get, names)) for one in found if one["event"] == "survey_response"]
    assert answers == ([expected] if expected else [])
    assert len(found) == len(answers) + (expected != ())


@BY_THEMSELVES
@pytest.mark.parametrize(("said", "ends"), [("4", (1.0, 5.0)), ("Good", (0.0, 1.0))])
def test_ratings_that_were_offered_are_asked_for_on_the_scale_of_those_that_were_given(tmp_path, said, ends):
    rows = [
        interface(Id=str(place), **{"Satisfaction Score": one}) for place, one in enumerate((said, "Offered"))
    ]
    found = read(saved(tmp_path / "export.csv", *rows), tz="UTC").events.to_pylist()
    asked = [one for one in found if one["event"] == INVITE]
    assert [(one["score_min"], one["score_max"]) for one in asked] == [ends, ends]


@BY_THEMSELVES
def test_a_view_that_only_names_its_requesters_is_refused(tmp_path):
    row = {"ID": "1", "Subject": "Broken", "Requester": "Ada", "Requested": "2025-03-07 11:00"}
    with pytest.raises(InputError, match=r"no column identifies them. Add 'Requester id'"):
        read(saved(tmp_path / "view.csv", row), tz="UTC")


@BY_THEMSELVES
def test_ids_that_a_spreadsheet_has_rounded_are_nobodys(tmp_path):
    rows = [interface(Id=number, **{"Requester id": "1.03006E+13", "Requester external id": "-",
                                    "Requester email": "-", "Solved at": "-"})
            for number in ("500", "501")]  # fmt: skip
    batch = read(saved(tmp_path / "export.csv", *rows), tz="UTC")
    assert batch.events.num_rows == 0
    assert all("was rounded by a spreadsheet" in one for one in batch.rejects["reason"].to_pylist())


@BY_THEMSELVES
def test_the_full_export_has_people_and_comments_in_its_tickets(tmp_path):
    said = [
        {"id": 1, "author_id": 1, "public": True, "body": "it broke", "created_at": "2025-03-07T11:00:00Z"},
        {"id": 2, "author_id": 9, "public": True, "body": "sorry", "created_at": "2025-03-07T12:00:00Z"},
        {"id": 3, "author_id": 9, "public": False, "body": "again", "created_at": "2025-03-07T12:01:00Z"},
        {"id": 4, "author_id": 1, "public": True, "body": "thanks", "created_at": "2025-03-07T13:00:00Z"},
    ]
    whole_ticket = ticket(
        requester=ADA, submitter=ADA, comments=said, metric_set={"solved_at": "2025-03-08T09:00:00Z"}
    )
    for_ada = ticket(id=501, submitter_id=9, requester=ADA, submitter=AGENT, comments=[])
    lines = _lines({"ticket": whole_ticket}, {"ticket": for_ada})
    (tmp_path / "export_2025_04_01_1a2b_1.json").write_text(lines)
    batch = read(tmp_path)
    assert sorted(told(batch, "event_id", "actor", "user_id")) == [
        ("ticket_comment", "comment:2", "company", "u1"),
        ("ticket_comment", "comment:4", "customer", "u1"),
        ("ticket_created", "ticket:500", "customer", "u1"),
        ("ticket_created", "ticket:501", "company", "u1"),
        ("ticket_solved", "ticket_solved:500", "company", "u1"),
    ]
    assert ("email:ada@x.org", "u1") in {(one["alias"], one["user_id"]) for one in batch.links.to_pylist()}
    assert not any("comments" in one for one in batch.events["properties"].to_pylist() if one)


# Who was asked


def test_ratings_are_found_in_the_history_of_a_ticket(tmp_path):
    history = [
        ("500", "satisfaction_score", "2025-03-08 09:00:00", "offered"),
        ("500", "satisfaction_score", "2025-03-08 10:00:00", "bad"),
        ("500", "satisfaction_comment", "2025-03-08 10:00:00", "slow"),
        ("500", "satisfaction_score", "2025-03-09 11:00:00", "good"),
        ("500", "satisfaction_comment", "2025-03-09 11:00:00", "all is well"),
        ("501", "satisfaction_score", "2025-03-08 09:00:00", "offered"),
        ("502", "satisfaction_score", "2025-03-08 09:00:00", "unoffered"),
        ("503", "satisfaction_score", "2025-03-08 09:00:00", "good"),
        ("404", "satisfaction_score", "2025-03-08 09:00:00", "good"),
        ("500", "satisfaction_score", "soon", "good"),
    ]
    names = ("ticket_id", "field_name", "updated", "value")
    rows = [dict(zip(names, one, strict=True)) for one in history]
    saved(tmp_path / "ticket_field_history.csv", *rows)
    inline = {"score": "good", "comment": "all is well"}
    tickets = [ticket(satisfaction_rating=inline), *(ticket(id=one) for one in (501, 502, 503))]
    batch = read(export(tmp_path, tickets=tickets, satisfaction_ratings=[rating(ticket_id=503)]))
    found = [
        (event, number, score, text, quality, at.day)
        for event, number, score, text, quality, at in told(
            batch, "ticket_id", "score", "comment", "time_quality", "timestamp"
        )
        if event != "ticket_created"
    ]
    assert sorted(found, key=str) == [
        ("survey_invite", "500", None, None, "second", 8),
        ("survey_invite", "501", None, None, "second", 8),
        ("survey_invite", "503", None, None, "second", 9),
        ("survey_response", "500", 1.0, "all is well", "second", 9),
        ("survey_response", "503", 1.0, None, "second", 9),
    ]
    assert sorted(batch.rejects["reason"].to_pylist()) == [
        "a change of satisfaction_score without ticket_id, value or a time that can be read",
        "the ticket 404 of this rating is not in the export: its requester is unknown",
    ]


def test_whoever_was_sent_a_newer_survey_and_did_not_answer_was_asked(tmp_path):
    def sent(identity, ticket_id, answers, **fields):
        subjects = [
            {"id": "c1", "type": "conversation", "zrn": "zen:conversation:c1"},
            {"id": str(ticket_id), "type": "ticket", "zrn": f"zen:ticket:{ticket_id}"},
        ]
        return {"id": identity, "responder_id": 1, "subjects": subjects, "answers": answers, **fields}

    rated = {
        "type": "rating_scale", "rating": 2, "created_at": "2025-03-10T08:00:00Z",
        "updated_at": "2025-03-10T08:00:00Z",
    }  # fmt: skip
    skipped = {"type": "skipped", "created_at": "2025-03-10T08:00:00Z"}
    rows = [
        sent("01JNWAZKC0XXXXXXXXXXXXXXXX", 500, [rated, skipped]),
        sent("01JNWAZKC0YYYYYYYYYYYYYYYY", 501, []),
        sent("r3", 502, []),
        {**sent("01JNWAZKC0ZZZZZZZZZZZZZZZZ", 503, []), "subjects": None, "subject_zrns": ["zen:ticket:503"]},
    ]
    tickets = [ticket(id=one) for one in (500, 501, 502, 503)]
    batch = read(export(tmp_path, tickets=tickets, survey_responses=rows))
    found = told(batch, "ticket_id", "time_quality", "timestamp", "score")[4:]
    moment = dt.datetime(2025, 3, 9, 2, 15, 42, tzinfo=UTC)
    answered = dt.datetime(2025, 3, 10, 8, tzinfo=UTC)
    assert [(*one[:3], one[3].replace(microsecond=0), one[4]) for one in found] == [
        (INVITE, "500", "inferred", moment, None),
        ("survey_response", "500", "second", answered, 2.0),
        (INVITE, "501", "inferred", moment, None),
        (INVITE, "503", "inferred", moment, None),
    ]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_who_rates_later_and_tickets_that_changed_are_told_by_the_later_export(tmp_path, is_reversed):
    """Appended in whatever order: the invite stays, the answer comes, the ticket is as it was last."""
    offered = {"score": "offered", "created_at": "2025-03-08T07:00:00Z", "updated_at": "2025-03-08T07:00:00Z"}
    exports = [
        {"tickets": [ticket(priority="low"), ticket(id=501)],
         "satisfaction_ratings": [rating(**offered), rating(id=81, ticket_id=501, **offered)]},
        {"tickets": [ticket(priority="high", updated_at="2025-03-12T00:00:00Z")],
         "satisfaction_ratings": [rating(**offered), rating(id=82, updated_at="2025-03-11T00:00:00Z")]},
    ]  # fmt: skip
    for number, tables in enumerate(exports[::-1] if is_reversed else exports):
        (tmp_path / str(number)).mkdir()
        source = loaders.zendesk(export(tmp_path / str(number), **tables), keep=["priority"])
        events = cjm.ingest(source, to=tmp_path / "store", progress=False)
    frame = events.to_frame()
    assert frame[frame["event"] == "ticket_created"]["priority"].tolist() == ["high", None]
    rated = cjm.satisfaction(cjm.sessionize(events, cjm.JourneyModel.standard()), by="touchpoint")
    row = rated.to_frame(suppress=False).iloc[0]
    assert (row["n"], row["invites"], row["response_rate"]) == (1, 2, 0.5)


# Follow-ups


def _follows(number):
    """How a ticket came that goes on with another one."""
    return {
        "channel": "web",
        "source": {"from": {"ticket_id": number, "subject": "x"}, "to": {}, "rel": "follow_up"},
    }


def _oracle(tickets, number):
    """One link after another, as a reader would follow them; no ticket follows itself."""
    links = {}

    def follows(one, other):
        if str(one) != str(other):
            links[str(one)] = str(other)

    for name in ("followup_ids", "merged_ticket_ids"):
        for one in tickets:
            for other in one.get(name, []):
                follows(other, one["id"])
    for one in tickets:
        source = one.get("via", {}).get("source", {})
        if source.get("rel") == "follow_up":
            follows(one["id"], source["from"]["ticket_id"])
        if one.get("via_followup_source_id") is not None:
            follows(one["id"], one["via_followup_source_id"])
    walked = [str(number)]
    while walked[-1] in links:
        if links[walked[-1]] in walked:
            return min(walked[walked.index(links[walked[-1]]) :])
        walked.append(links[walked[-1]])
    return walked[-1]


@pytest.mark.parametrize(
    "said",
    [
        [{"via_followup_source_id": 500}, {}],
        [{"via_followup_source_id": "500.0"}, {}],
        [{"via": _follows(500)}, {}],
        [{"via": json.dumps(_follows(500))}, {}],
        [{"via": None, "via_channel": "web", "via_source_rel": "follow_up", "via_source_from_id": 500}, {}],
        [{}, {"followup_ids": [501]}],
        [{}, {"followup_ids": "[501]"}],
    ],
)
def test_a_follow_up_belongs_to_the_case_of_the_ticket_that_it_follows(tmp_path, said):
    child, parent = said
    tables = {
        "tickets": [ticket(id=501, **child), ticket(**parent)],
        "ticket_comments": [comment(ticket_id=501)],
        "ticket_events": [audit(9, status("solved", "open"), ticket_id=501)],
        "satisfaction_ratings": [rating(ticket_id=501)],
    }
    batch = read(export(tmp_path, **tables), keep=["follow_up"])
    assert set(batch.events["ticket_id"].to_pylist()) == {"500"}
    assert sorted(told(batch, "event_id", "follow_up")) == [
        (INVITE, "csat_invite:501", "501"),
        ("survey_response", "csat:501", "501"),
        ("ticket_comment", "comment:70", "501"),
        ("ticket_created", "ticket:500", None),
        ("ticket_created", "ticket:501", "501"),
        ("ticket_solved", "ticket_solved:501:1741424400000000", "501"),
    ]


@pytest.mark.parametrize("names", [["a", "b", "c"], ["c", "b", "a"]])
def test_a_chain_of_follow_ups_is_one_case_across_files_and_without_its_first_ticket(tmp_path, names):
    chain = [ticket(id=3, via_followup_source_id=2), ticket(id=2, via=_follows(1)), ticket(id=9)]
    (tmp_path / "users.json").write_text(json.dumps({"users": [ADA]}))
    for name, one in zip(names, chain, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tickets.json").write_text(json.dumps({"tickets": [one]}))
    found = told(read(tmp_path), "event_id", "ticket_id")
    assert sorted(found) == [
        ("ticket_created", "ticket:2", "1"),
        ("ticket_created", "ticket:3", "1"),
        ("ticket_created", "ticket:9", "9"),
    ]


def test_a_follow_up_of_a_ticket_that_was_merged_belongs_to_the_one_that_took_it(tmp_path):
    tickets = [ticket(id=5, merged_ticket_ids=[2]), ticket(id=2), ticket(id=3, via_followup_source_id=2)]
    found = told(read(export(tmp_path, tickets=tickets)), "event_id", "ticket_id")
    assert found == [("ticket_created", "ticket:5", "5"), ("ticket_created", "ticket:3", "5")]


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_cases_are_those_that_a_reader_would_find_link_by_link(tmp_path, ending):
    rng = random.Random(ending)
    for number in range(40):
        tickets = [
            ticket(
                id=one,
                followup_ids=rng.choice([[], [], [rng.randrange(12)]]),
                merged_ticket_ids=rng.choice([[], [], [], [rng.randrange(12)]]),
                via=rng.choice([{"channel": "web"}, _follows(rng.randrange(12))]),
                via_followup_source_id=rng.choice([None, None, rng.randrange(12)]),
            )
            for one in rng.sample(range(12), rng.randrange(1, 9))
        ]
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "users.json").write_text(json.dumps({"users": [ADA]}))
        lines = _lines(*tickets) if ending == "jsonl" else json.dumps({"tickets": tickets})
        (folder / f"tickets.{ending}").write_text(lines)
        for _, own, case in told(read(folder), "event_id", "ticket_id"):
            assert case == _oracle(tickets, own.removeprefix("ticket:"))


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


@pytest.mark.parametrize(("room", "times"), [(1 << 20, 1), (100, 2)])
def test_a_table_of_events_is_read_once_and_so_is_one_of_people_that_finds_room(
    tmp_path, monkeypatch, room, times
):
    monkeypatch.setattr(vendor_module, "_ROOM", room)
    for name, rows in {
        "tickets": [ticket(via="email")],
        "ticket_comments": [comment(id=one) for one in range(200)],
        "users": [ADA, BOB, AGENT],
    }.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    monkeypatch.setattr(csv_files, "_CSV_BLOCK", 1_000)
    monkeypatch.setattr(line_blocks, "_LOOKED_AT", 500)
    parsed = []
    parse = csv_files._CsvParser.parse

    def counted(self, body):
        rows = parse(self, body)
        parsed.append((rows.file, len(rows)))
        return rows

    monkeypatch.setattr(csv_files._CsvParser, "parse", counted)
    events = read(tmp_path).events
    assert events["user_id"].to_pylist() == ["u1"] * 201
    comments = [size for file, size in parsed if file.endswith("comments.csv")]
    assert len(comments) > 3
    assert sum(comments) == 200 + comments[0]
    assert sum(size for file, size in parsed if file.endswith("users.csv")) == times * 3


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
