"""Real tables of customer systems, read whole; what must come of them is counted by other means."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime

import pytest

import cjm_analytics as cjm
from cjm_analytics import loaders
from cjm_analytics.loaders.source import whole


@pytest.fixture(scope="module")
def samples(shared_data):
    return shared_data / "formats"


def table(folder, name):
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def rows_of(folder):
    return sum(len(table(folder, file.stem)) for file in folder.glob("*.csv"))


def read(stream):
    """Everything that a source gives, and how often each event is among it."""
    batch = whole(stream.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    assert batch.rejects.num_rows == 0
    return batch, Counter(batch.events["event"].to_pylist())


def first(batch, event):
    return next(row for row in batch.events.to_pylist() if row["event"] == event)


def test_salesforce(samples):
    folder = samples / "salesforce"
    batch, counts = read(loaders.salesforce(folder))
    assert counts == {
        "task": sum(row["is_closed"] == "TRUE" for row in table(folder, "sf_task_data")),
        "meeting": sum(row["is_child"] == "FALSE" for row in table(folder, "sf_event_data")),
        "order_activated": sum(row["activated_date"] > "" for row in table(folder, "sf_order_data")),
        "lead_created": 1,
        "lead_converted": 1,
    }
    (lead,) = table(folder, "sf_lead_data")
    assert lead["converted_date"] > ""
    assert batch.n_read == rows_of(folder) + 1, "the lead was made and converted"
    deleted = [row["is_deleted"] for row in table(folder, "sf_opportunity_data")]
    assert set(deleted) == {"true"}, "no deal is there any more"
    worth = sorted(float(row["total_amount"]) for row in table(folder, "sf_order_data"))
    found = batch.events.filter(batch.events["value"].is_valid())
    assert sorted(map(float, found["value"].to_pylist())) == worth
    created = first(batch, "lead_created")
    assert created["anonymous_id"] == f"salesforce:{lead['converted_contact_id']}"
    assert created["account_id"] == lead["converted_account_id"]
    assert created["timestamp"] == datetime(2019, 11, 11, 17, 23, 34, tzinfo=UTC)
    links = {(one["alias"], one["user_id"], one["kind"]) for one in batch.links.to_pylist()}
    assert (f"salesforce:{lead['id']}", f"salesforce:{lead['converted_contact_id']}", "merge") in links
    assert {
        (f"salesforce:{row['id']}", f"email:{row['email']}", "alias")
        for row in table(folder, "sf_contact_data")
        if row["email"]
    } <= links


def test_hubspot(samples):
    folder = samples / "hubspot"
    batch, counts = read(loaders.hubspot(folder))
    mails = Counter(f"email_{row['type'].lower()}" for row in table(folder, "email_event_data"))
    owners = {row["engagement_id"] for row in table(folder, "engagement_contact_data")}
    called = [row for row in table(folder, "engagement_call_data") if row["engagement_id"] in owners]
    assert counts == mails | {
        "form_submission": len(table(folder, "contact_form_submission_data")),
        "call": len(called),
    }
    robots = sum(row["filtered_event"].lower() == "true" for row in table(folder, "email_event_data"))
    assert batch.events["is_bot"].to_pylist().count(True) == robots
    call = first(batch, "call")
    assert call["timestamp"] == datetime(2014, 8, 27, 20, 50, 44, 778000, tzinfo=UTC), (
        "not when it was imported"
    )
    assert (call["anonymous_id"], call["channel"], call["actor"]) == ("hubspot:501", "phone", "company")
    merged = {
        (row["vid_to_merge"], row["canonical_vid"]) for row in table(folder, "contact_merge_audit_data")
    }
    for row in table(folder, "contact_data"):
        merged |= {(one, row["id"]) for one in row["property_hs_merged_object_ids"].split(";") if one}
    found = {(one["alias"], one["user_id"]) for one in batch.links.to_pylist() if one["kind"] == "merge"}
    assert found == {(f"hubspot:{one}", f"hubspot:{other}") for one, other in merged}
    linked = {row["deal_id"] for row in table(folder, "deal_contact_data")}
    assert not linked & {row["deal_id"] for row in table(folder, "deal_data")}
    assert batch.n_nameless > len(table(folder, "deal_data")), "deals and meetings of nobody are counted"


def test_intercom(samples):
    folder = samples / "intercom"
    batch, counts = read(loaders.intercom(folder))
    versions = table(folder, "conversation_history_data")
    wrote = {
        row["id"]
        for row in versions
        if row["source_author_type"] in {"user", "lead"} or row["first_contact_reply_created_at"]
    }
    closed = {row["id"] for row in versions if row["state"] == "closed"}
    assert counts == {"conversation_started": len(wrote), "conversation_closed": len(closed)}
    parts = table(folder, "conversation_part_history_data")
    assert not closed & {row["conversation_id"] for row in parts}
    started = {
        row["ticket_id"]: row for row in batch.events.to_pylist() if row["event"] == "conversation_started"
    }
    for row in versions:
        assert str(started[row["id"]]["timestamp"])[:19] == row["created_at"]
        assert started[row["id"]]["anonymous_id"] == f"intercom:{row['source_author_id']}"
    ended = min(row["updated_at"] for row in versions if row["state"] == "closed")
    found = first(batch, "conversation_closed")
    assert (str(found["timestamp"])[:19], found["time_quality"]) == (ended, "inferred")
    roles = {one["value"] for one in batch.customers.to_pylist() if one["attribute"] == "role"}
    assert roles == {row["role"] for row in table(folder, "contact_history_data")}


def test_zendesk(samples):
    folder = samples / "zendesk"
    batch = whole(loaders.zendesk(folder).batches())
    assert (
        batch.n_read == rows_of(folder) == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    )
    tickets = {row["id"]: row for row in table(folder, "ticket_data") if row["status"] != "deleted"}
    chats = {row["chat_id"] for row in table(folder, "ticket_chat_data")}
    messages = [row for row in table(folder, "ticket_chat_event_data") if row["type"] == "ChatMessage"]
    counts = Counter(batch.events["event"].to_pylist())
    assert counts == {
        "ticket_created": len(tickets),
        "ticket_solved": 1,
        "chat_message": sum(row["chat_id"] in chats for row in messages),
    }
    strange = Counter(str(one).rpartition("/")[2] for one in batch.rejects["src_file"].to_pylist())
    gone = {row["id"] for row in table(folder, "ticket_data")} - tickets.keys()
    comments = [row["ticket_id"] for row in table(folder, "ticket_comment_data")]
    assert strange["ticket_comment_data.csv"] == sum(one not in tickets.keys() | gone for one in comments)
    assert strange["ticket_chat_event_data.csv"] == sum(row["chat_id"] not in chats for row in messages)
    times = {
        row["ticket_id"]: str(row["timestamp"])[:19]
        for row in batch.events.to_pylist()
        if row["event"] == "ticket_created"
    }
    assert times == {number: row["created_at"] for number, row in tickets.items()}


@pytest.mark.parametrize(
    ("vendor", "story"),
    [
        (
            "salesforce",
            [
                ("campaign_sent", "2025-02-20 08:00:00", "company"),
                ("campaign_responded", "2025-02-25 12:00:00", "customer"),
                ("opportunity_created", "2025-03-01 09:00:00", "company"),
                ("task_call", "2025-03-05 13:25:00", "company"),
                ("stage_changed", "2025-03-10 10:00:00", "company"),
                ("opportunity_won", "2025-03-20 16:00:00", "company"),
                ("stage_changed", "2025-03-20 16:00:00", "company"),
                ("ticket_created", "2025-03-25 07:30:00", "customer"),
                ("ticket_closed", "2025-03-26 12:00:00", "company"),
            ],
        ),
        (
            "hubspot",
            [
                ("deal_created", "2025-03-01 09:00:00", "company"),
                ("stage_changed", "2025-03-10 10:00:00", "company"),
                ("survey_response", "2025-03-10 12:00:00", "customer"),
                ("deal_won", "2025-03-20 16:00:00", "company"),
                ("stage_changed", "2025-03-20 16:00:00", "company"),
            ],
        ),
        (
            "intercom",
            [
                ("conversation_started", "2025-03-02 20:02:00", "customer"),
                ("conversation_closed", "2025-03-02 20:08:00", "company"),
                ("survey_invite", "2025-03-02 20:08:00", "company"),
                ("survey_response", "2025-03-02 20:09:00", "customer"),
            ],
        ),
    ],
)
def test_the_story_of_one_customer(samples, vendor, story):
    source = getattr(loaders, vendor)(samples / "_synthetic" / vendor)
    events = cjm.ingest(source, now="2026-01-01", progress=False)
    frame = events.to_frame().sort_values(["timestamp", "event"])
    shown = [
        (event, str(time)[:19], actor)
        for event, time, actor in zip(frame["event"], frame["timestamp"], frame["actor"], strict=True)
    ]
    assert shown == story
    assert frame["customer_id"].nunique() == 1
