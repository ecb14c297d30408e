"""What Salesforce, HubSpot and Intercom tell of objects that change: which event, when, whose, by whom."""

from __future__ import annotations

import csv
import json
import random
from datetime import UTC, datetime
from functools import partial

import pytest

import cjm_analytics as cjm
from both_ways import columns_tell_what_rows_tell
from cjm_analytics import loaders
from cjm_analytics.errors import InputError
from cjm_analytics.loaders.source import whole
from cjm_analytics.loaders.states import changes, day
from cjm_analytics.schema import INVITE

ANN, BOB = "003000000000001AAA", "003000000000002AAA"
DEAL = "006000000000001AAA"


def folder(path, **tables):
    """An export: each table a CSV file, or JSON lines where a cell is nested."""
    path.mkdir(exist_ok=True)
    for name, rows in tables.items():
        if any(isinstance(cell, dict | list) for row in rows for cell in row.values()):
            (path / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
            continue
        with (path / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(stream):
    batch = whole(stream.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def told(batch, *columns):
    """The events in the order of time, by name and some other columns."""
    rows = sorted(batch.events.to_pylist(), key=lambda one: (one["timestamp"], one["event"]))
    return [tuple(row.get(name) for name in ("event", *columns)) for row in rows]


def links(batch):
    return {(one["alias"], one["user_id"], one["kind"]) for one in batch.links.to_pylist()}


def deal(**fields):
    return {
        "Id": DEAL,
        "AccountId": "001000000000001AAA",
        "StageName": "Closed Won",
        "CloseDate": "2025-03-20",
        "CreatedDate": "2025-03-01T09:00:00.000Z",
        "IsClosed": "true",
        "IsWon": "true",
        "Amount": "1200",
        "IsDeleted": "false",
        **fields,
    }


def step(day_of_march, before, after, field="StageName"):
    return {
        "Id": f"017{day_of_march}",
        "OpportunityId": DEAL,
        "Field": field,
        "OldValue": before,
        "NewValue": after,
        "CreatedDate": f"2025-03-{day_of_march:02d}T10:00:00.000Z",
    }


# Changes


def test_changes_are_those_of_each_object_in_the_order_of_time():
    rows = [
        {"deal": "b", "at": "2025-03-02", "stage": "won"},
        {"deal": "a", "at": "2025-03-03", "stage": "new"},
        {"deal": "b", "at": "2025-03-01 9:00", "stage": "new"},
        {"deal": "b", "at": "2025-03-01 10:00", "stage": "new"},
        {"deal": None, "at": "2025-03-01", "stage": "lost"},
    ]
    found = [(one.place, one.before, one.after) for one in changes(rows, "deal", time="at", value="stage")]
    assert sorted(found) == [(0, "new", "won"), (1, None, "new"), (2, None, "new")]


def test_a_date_at_midnight_is_a_day():
    assert [
        day(one, " 23:59:59") for one in ("2025-03-20", "2025-03-20 00:00:00", "2025-03-20T08:00:00Z")
    ] == [
        "2025-03-20 23:59:59",
        "2025-03-20 23:59:59",
        "2025-03-20T08:00:00Z",
    ]
    assert day(None) is None


# Salesforce


def test_the_end_of_a_deal_has_the_time_of_its_history_and_else_the_evening_of_its_close_date(tmp_path):
    alone = read(loaders.salesforce(folder(tmp_path / "a", Opportunity=[deal()])))
    assert told(alone, "timestamp", "time_quality", "value", "account_id", "actor") == [
        (
            "opportunity_created",
            datetime(2025, 3, 1, 9, tzinfo=UTC),
            "exact",
            None,
            "001000000000001AAA",
            "company",
        ),
        (
            "opportunity_won",
            datetime(2025, 3, 20, 23, 59, 59, tzinfo=UTC),
            "inferred",
            1200,
            "001000000000001AAA",
            "company",
        ),
    ]
    history = [
        step(1, "", "", "created"),
        step(10, "Proposal", "Negotiation"),
        step(18, "Negotiation", "Closed Won"),
    ]
    both = read(
        loaders.salesforce(folder(tmp_path / "b", Opportunity=[deal()], OpportunityFieldHistory=history))
    )
    assert told(both, "timestamp", "time_quality", "value", "stage", "stage_before") == [
        ("opportunity_created", datetime(2025, 3, 1, 9, tzinfo=UTC), "exact", None, None, None),
        ("stage_changed", datetime(2025, 3, 10, 10, tzinfo=UTC), "exact", None, "Negotiation", "Proposal"),
        (
            "opportunity_won",
            datetime(2025, 3, 18, 10, tzinfo=UTC),
            "exact",
            1200,
            "Closed Won",
            "Negotiation",
        ),
        ("stage_changed", datetime(2025, 3, 18, 10, tzinfo=UTC), "exact", None, "Closed Won", "Negotiation"),
    ]


def test_which_stage_ends_a_deal_is_told_by_the_list_of_stages(tmp_path):
    stages = [
        {"MasterLabel": "Signed", "IsClosed": "true", "IsWon": "true"},
        {"MasterLabel": "Closed Won", "IsClosed": "false", "IsWon": "false"},
    ]
    history = [step(10, "Offer", "Closed Won"), step(11, "Closed Won", "Signed")]
    batch = read(
        loaders.salesforce(folder(tmp_path, OpportunityFieldHistory=history, OpportunityStage=stages))
    )
    assert batch.events.num_rows == 0
    assert batch.n_nameless == batch.n_excluded - 2, "a deal without contact and account is nobody's"
    roles = [{"OpportunityId": DEAL, "ContactId": ANN, "IsPrimary": "true"}]
    batch = read(loaders.salesforce(folder(tmp_path, OpportunityContactRole=roles)))
    assert [one for one in told(batch, "stage") if one[0] == "opportunity_won"] == [
        ("opportunity_won", "Signed")
    ]


def test_the_versions_of_a_copy_tell_the_stage_but_not_quite_when(tmp_path):
    versions = [
        {
            "id": DEAL,
            "account_id": "001000000000001AAA",
            "stage_name": stage,
            "_fivetran_start": f"2025-03-{at} 08:00:00",
            "created_date": "2025-02-01 08:00:00",
            "is_deleted": "false",
        }
        for at, stage in (("12", "Closed Lost"), ("05", "Offer"), ("09", "Offer"))
    ]
    batch = read(loaders.salesforce(folder(tmp_path, opportunity_history=versions)))
    assert told(batch, "time_quality", "stage") == [
        ("opportunity_created", "second", None),
        ("opportunity_lost", "inferred", "Closed Lost"),
        ("stage_changed", "inferred", "Closed Lost"),
    ]


def test_converted_leads_and_merged_contacts_are_one_person(tmp_path):
    tables = {
        "Lead": [
            {
                "Id": "00Q000000000001AAA",
                "Email": "ann@example.com",
                "Company": "Lamps",
                "IsConverted": "true",
                "CreatedDate": "2025-02-01T08:00:00.000Z",
                "ConvertedDate": "2025-02-03",
                "ConvertedContactId": BOB,
                "ConvertedAccountId": "001000000000001AAA",
                "IsDeleted": "false",
            }
        ],
        "Contact": [
            {
                "Id": ANN,
                "Email": "Ann@Example.com",
                "MasterRecordId": "",
                "LastName": "Ann",
                "Title": "Buyer",
                "No__c": "u1",
                "LastModifiedDate": "2025-03-01T08:00:00.000Z",
            },
            {
                "Id": BOB,
                "Email": "ann@old.example",
                "MasterRecordId": ANN,
                "LastName": "Ann",
                "Title": "",
                "No__c": "",
                "LastModifiedDate": "2025-03-01T08:00:00.000Z",
            },
        ],
        "Task": [
            {
                "Id": "00T1",
                "WhoId": BOB[:15],
                "Status": "Completed",
                "TaskSubtype": "Call",
                "CompletedDateTime": "2025-03-05T13:25:00.000Z",
            }
        ],
    }
    batch = read(loaders.salesforce(folder(tmp_path, **tables), user_id="No__c"))
    assert told(batch, "user_id", "time_quality") == [
        ("lead_created", "u1", "exact"),
        ("lead_converted", "u1", "date"),
        ("task_call", "u1", "exact"),
    ]
    assert {
        (f"salesforce:{BOB}", f"salesforce:{ANN}", "merge"),
        ("salesforce:00Q000000000001AAA", f"salesforce:{BOB}", "merge"),
        (f"salesforce:{ANN}", "u1", None),
        ("email:ann@example.com", "u1", None),
        (f"salesforce:{BOB}", "email:ann@old.example", "alias"),
    } <= links(batch)
    assert {"user_id": "u1", "attribute": "title", "value": "Buyer"}.items() <= {
        name: cell
        for one in batch.customers.to_pylist()
        if one["attribute"] == "title"
        for name, cell in one.items()
    }.items()


def test_a_meeting_is_everybodys_who_was_there(tmp_path):
    meeting = {"WhoId": ANN, "StartDateTime": "2025-03-05T13:00:00.000Z", "DurationInMinutes": "60"}
    tables = {
        "Contact": [{"Id": one, "Email": "", "MasterRecordId": "", "LastName": "x"} for one in (ANN, BOB)],
        "Event": [
            {"Id": "00U1", "IsDeleted": "false", **meeting},
            {"Id": "00U2", "IsDeleted": "true", **meeting},
        ],
        "EventRelation": [
            {"Id": f"0RE{place}", "EventId": event, "RelationId": who, "IsDeleted": deleted}
            for place, (event, who, deleted) in enumerate(
                [
                    ("00U1", ANN, "false"), ("00U1", BOB, "false"), ("00U1", "005000000000001AAA", "false"),
                    ("00U1", "00Q000000000001AAA", "true"), ("00U2", BOB, "false"), ("00U9", BOB, "false"),
                ]
            )
        ],
    }  # fmt: skip
    batch = read(loaders.salesforce(folder(tmp_path, **tables)))
    assert sorted(told(batch, "anonymous_id")) == [
        ("meeting", f"salesforce:{ANN}"),
        ("meeting", f"salesforce:{BOB}"),
    ]
    assert {str(one) for one in batch.events["timestamp"].to_pylist()} == {"2025-03-05 13:00:00+00:00"}


def test_cases_are_closed_and_opened_again(tmp_path):
    case = {
        "Id": "500000000000001AAA",
        "CaseNumber": "26",
        "ContactId": ANN,
        "Origin": "Phone",
        "Status": "Closed",
        "IsClosed": "true",
        "CreatedDate": "2025-03-01T07:00:00.000Z",
        "ClosedDate": "2025-03-09T07:00:00.000Z",
    }
    alone = read(loaders.salesforce(folder(tmp_path, Case=[case])))
    assert told(alone, "actor", "channel", "ticket_id", "source_kind") == [
        ("ticket_created", "customer", "phone", case["Id"], "support"),
        ("ticket_closed", "company", None, case["Id"], "support"),
    ]
    history = [
        {
            "Id": f"017{at}",
            "CaseId": case["Id"],
            "Field": "Status",
            "OldValue": before,
            "NewValue": after,
            "CreatedDate": f"2025-03-0{at}T07:00:00.000Z",
        }
        for at, before, after in (
            (3, "New", "Closed"),
            (5, "Closed", "Working"),
            (6, "Working", "Waiting"),
            (9, "Waiting", "Closed"),
        )
    ]
    comments = [
        {
            "Id": "00a1",
            "ParentId": case["Id"],
            "CommentBody": "hello",
            "IsPublished": published,
            "CreatedDate": "2025-03-02T07:00:00.000Z",
        }
        for published in ("true", "false")
    ]
    batch = read(loaders.salesforce(folder(tmp_path, CaseHistory=history, CaseComment=comments)))
    assert [(event, at.day) for event, at in told(batch, "timestamp")] == [
        ("ticket_created", 1),
        ("ticket_comment", 2),
        ("ticket_closed", 3),
        ("ticket_reopened", 5),
        ("ticket_closed", 9),
    ]


def test_what_has_not_happened_is_no_event(tmp_path):
    tasks = [
        {
            "Id": "00T1",
            "WhoId": ANN,
            "Status": "Not Started",
            "TaskSubtype": "Call",
            "ActivityDate": "2025-04-01",
            "CompletedDateTime": "",
            "CreatedDate": "2025-03-01T08:00:00.000Z",
            "IsDeleted": "false",
        },
        {
            "Id": "00T2",
            "WhoId": ANN,
            "Status": "Completed",
            "TaskSubtype": "Task",
            "ActivityDate": "2025-03-02",
            "CompletedDateTime": "",
            "CreatedDate": "2025-03-02T08:00:00.000Z",
            "IsDeleted": "false",
        },
    ]
    members = [
        {
            "Id": "00v1",
            "CampaignId": "701000000000001",
            "ContactId": ANN,
            "HasResponded": "false",
            "FirstRespondedDate": "",
            "CreatedDate": "2025-02-20T08:00:00.000Z",
        }
    ]
    batch = read(loaders.salesforce(folder(tmp_path, Task=tasks, CampaignMember=members)))
    assert told(batch, "time_quality", "actor", "campaign_id") == [
        ("campaign_sent", "exact", "company", "701000000000001AAA"),
        ("task", "inferred", "company", None),
    ]


def test_mails_belong_to_the_contact_of_their_case_or_to_their_address(tmp_path):
    mails = [
        {
            "Id": f"02s{number}",
            "ParentId": parent,
            "Incoming": incoming,
            "FromAddress": sender,
            "ToAddress": to,
            "MessageDate": f"2025-03-0{number}T08:00:00.000Z",
            "TextBody": "secret",
        }
        for number, parent, incoming, sender, to in (
            (1, "500000000000001AAA", "true", "x@example.com", "us@shop.example"),
            (2, "", "true", "new@example.com", "us@shop.example"),
            (3, "", "false", "us@shop.example", "new@example.com"),
        )
    ]
    cases = [
        {
            "Id": "500000000000001AAA",
            "CaseNumber": "26",
            "ContactId": ANN,
            "CreatedDate": "2025-03-01T07:00:00.000Z",
        }
    ]
    batch = read(loaders.salesforce(folder(tmp_path, EmailMessage=mails, Case=cases)))
    assert told(batch, "anonymous_id", "actor")[1:] == [
        ("email_in", f"salesforce:{ANN}", "customer"),
        ("email_in", "email:new@example.com", "customer"),
        ("email_out", "email:new@example.com", "company"),
    ]
    assert "secret" not in str(batch.events["properties"].to_pylist())


def test_the_history_of_a_lead_is_no_lead_and_that_of_a_contact_nobody(tmp_path):
    """Files of the weekly export: the rows of a history have ids of their own."""
    lead = {"Id": "00Q000000000001AAA", "Email": "ann@example.com", "Company": "Lamps", "IsDeleted": "0",
            "CreatedDate": "2025-02-01 08:00:00", "ConvertedContactId": ANN}  # fmt: skip
    steps = [
        {"Id": f"01700000000000{at}AAA", "IsDeleted": "0", "LeadId": lead["Id"], "Field": field,
         "OldValue": before, "NewValue": after, "CreatedDate": f"2025-02-0{at} 08:00:00"}
        for at, field, before, after in (
            (4, "Status", "Working", "Qualified"), (2, "Status", "Open", "Working"),
            (3, "Owner", "Ann", "Bob"), (3, "Owner", "005000000000001AAA", "005000000000002AAA"),
            (5, "leadConverted", "", ""),
        )
    ]  # fmt: skip
    other = [{"Id": "017000000000009AAA", "ContactId": ANN, "Field": "Title", "OldValue": "a",
              "NewValue": "b", "CreatedDate": "2025-02-02 08:00:00"}]  # fmt: skip
    tables = {"Lead": [lead], "LeadHistory": steps, "ContactHistory": other}
    batch = read(loaders.salesforce(folder(tmp_path, **tables)))
    assert {one["anonymous_id"] for one in batch.events.to_pylist()} == {f"salesforce:{ANN}"}
    assert [(one[0], one[1].day, *one[2:]) for one in
            told(batch, "timestamp", "actor", "stage_before", "stage")] == [
        ("lead_created", 1, "customer", None, None),
        ("lead_status_changed", 2, "company", "Open", "Working"),
        ("owner_changed", 3, "company", None, None),
        ("lead_status_changed", 4, "company", "Working", "Qualified"),
    ]  # fmt: skip
    assert not any("salesforce:017" in str(one) for one in [*links(batch), *batch.customers.to_pylist()])


def test_meetings_of_a_whole_day_and_dates_are_in_the_zone_of_the_organisation(tmp_path):
    meetings = [
        {"Id": f"00U{number}", "WhoId": ANN, "DurationInMinutes": "60", "IsAllDayEvent": whole,
         "StartDateTime": start, "ActivityDateTime": "", "ActivityDate": "2025-03-08", "IsDeleted": "0"}
        for number, (whole, start) in enumerate(
            (("1", "2025-03-08 00:00:00"), ("0", "2025-03-08 00:00:00"), ("1", ""))
        )
    ]  # fmt: skip
    guests = [{"Id": f"0RE{number}", "EventId": f"00U{number}", "RelationId": BOB, "IsDeleted": "0"}
              for number in range(3)]  # fmt: skip
    tables = {"Event": meetings, "EventRelation": guests, "Opportunity": [deal()]}
    batch = read(loaders.salesforce(folder(tmp_path, **tables), tz="America/New_York"))
    midnight, noon = (datetime(2025, 3, 8, hour, tzinfo=UTC) for hour in (0, 17))
    assert told(batch, "timestamp", "time_quality") == [
        ("opportunity_created", datetime(2025, 3, 1, 9, tzinfo=UTC), "exact"),
        *(("meeting", midnight, "second"),) * 2,
        *(("meeting", noon, "date"),) * 4,
        ("opportunity_won", datetime(2025, 3, 21, 3, 59, 59, tzinfo=UTC), "inferred"),
    ]


def test_a_task_that_logs_a_mail_is_that_mail(tmp_path):
    tasks = [
        {"Id": f"00T00000000000{number}AAA", "WhoId": ANN, "Status": "Completed", "TaskSubtype": subtype,
         "Type": kind, "CompletedDateTime": "2025-03-06T13:25:00.000Z", "IsDeleted": "false"}
        for number, (subtype, kind) in enumerate((("Email", "Email"), ("Email", "Email"), ("Task", "Call")))
    ]  # fmt: skip
    mails = [
        {"Id": f"02s{number}", "ActivityId": f"00T00000000000{number}AAA", "Incoming": "false",
         "ToAddress": "ann@example.com", "MessageDate": "2025-03-06T13:25:00.000Z", "IsDeleted": deleted}
        for number, deleted in enumerate(("false", "true"))
    ]  # fmt: skip
    batch = read(loaders.salesforce(folder(tmp_path, Task=tasks, EmailMessage=mails)))
    assert told(batch, "anonymous_id", "channel") == [
        ("email_out", "email:ann@example.com", "email"),
        ("task", f"salesforce:{ANN}", "phone"),
        ("task_email", f"salesforce:{ANN}", "email"),
    ]


def test_answers_of_the_api_and_other_names_of_files_are_read(tmp_path):
    record = {
        "attributes": {"type": "Task"},
        "Id": "00T1",
        "WhoId": ANN,
        "Status": "Completed",
        "ActivityDate": None,
        "CompletedDateTime": "2025-03-05T13:25:00.000+0000",
        "LeadSource": "Web",
        "Segment__c": "B2B",
    }
    (tmp_path / "extract (3).json").write_text(json.dumps({"totalSize": 1, "records": [record]}, indent=1))
    batch = read(loaders.salesforce(tmp_path, keep=["lead_source", "Segment__c"]))
    assert told(batch, "lead_source", "Segment__c") == [("task", "Web", "B2B")]


# HubSpot


def test_a_deals_history_stands_in_it_or_beside_it(tmp_path):
    stages = [("closedwon", "20"), ("offer", "10"), ("new", "01")]
    inside = {
        "id": "201",
        "createdAt": "2025-03-01T09:00:00Z",
        "updatedAt": "2025-03-20T16:00:00Z",
        "archived": False,
        "properties": {
            "dealname": "Lamps",
            "dealstage": "closedwon",
            "amount": "1200",
            "closedate": "2025-03-31T00:00:00Z",
        },
        "propertiesWithHistory": {
            "dealstage": [{"value": stage, "timestamp": f"2025-03-{at}T09:00:00Z"} for stage, at in stages]
        },
        "associations": {"contacts": {"results": [{"id": "501"}]}},
    }
    expected = [
        ("deal_created", 1, "exact", None),
        ("stage_changed", 10, "exact", "offer"),
        ("deal_won", 20, "exact", "closedwon"),
        ("stage_changed", 20, "exact", "closedwon"),
    ]

    def seen(path):
        batch = read(loaders.hubspot(path))
        assert set(batch.events["anonymous_id"].to_pylist()) == {"hubspot:501"}
        found = told(batch, "timestamp", "time_quality", "stage")
        return [
            (event, at.day, quality.replace("second", "exact"), stage) for event, at, quality, stage in found
        ]

    assert seen(folder(tmp_path / "a", deals=[inside])) == expected
    flat = {
        "deal_id": "201",
        "property_dealname": "Lamps",
        "property_createdate": "2025-03-01 09:00:00",
        "property_dealstage": "closedwon",
        "property_closedate": "2025-03-31 00:00:00",
    }
    tables = {
        "deal_data": [flat],
        "deal_contact_data": [{"deal_id": "201", "contact_id": "501"}],
        "deal_stage_data": [
            {"deal_id": "201", "value": stage, "date_entered": f"2025-03-{at} 9:00:00"}
            for stage, at in stages
        ],
    }
    assert seen(folder(tmp_path / "b", **tables)) == expected
    del tables["deal_stage_data"]
    assert seen(folder(tmp_path / "c", **tables)) == [
        ("deal_created", 1, "exact", None),
        ("deal_won", 31, "inferred", "closedwon"),
    ]


def test_a_contacts_stages_are_told_by_the_api_or_by_a_table(tmp_path):
    stages = [("customer", "20"), ("lead", "10"), ("subscriber", "01")]
    history = [{"value": stage, "timestamp": f"2025-03-{day}T09:00:00Z"} for stage, day in stages]
    contact = {
        "id": "501",
        "properties": {"email": "ada@example.com", "lastname": "Ada", "lifecyclestage": "customer"},
        "propertiesWithHistory": {"lifecyclestage": history},
    }
    table = [{"contact_id": "501", "name": "lifecyclestage", **one} for one in history]
    expected = [
        ("lifecycle_changed", datetime(2025, 3, 1, 9, tzinfo=UTC), "subscriber", None),
        ("lifecycle_changed", datetime(2025, 3, 10, 9, tzinfo=UTC), "lead", "subscriber"),
        ("lifecycle_changed", datetime(2025, 3, 20, 9, tzinfo=UTC), "customer", "lead"),
    ]
    for name, tables in (("a", {"contacts": [contact]}), ("b", {"contact_property_history": table})):
        batch = read(loaders.hubspot(folder(tmp_path / name, **tables)))
        assert told(batch, "timestamp", "stage", "stage_before") == expected
        assert set(batch.events["anonymous_id"].to_pylist()) == {"hubspot:501"}
    batch = read(loaders.hubspot(folder(tmp_path / "c", contacts=[contact])))
    assert set(batch.customers["attribute"].to_pylist()) == {"lifecyclestage"}
    both = cjm.ingest(
        loaders.hubspot(folder(tmp_path / "d", contacts=[contact], contact_property_history=table)),
        now="2026-01-01",
        progress=False,
    )
    assert len(both) == 3


NEWER = "2025-03-09T09:00:00Z"


@pytest.mark.parametrize("kind", ["deals", "tickets"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_copy_whose_time_cannot_be_read_takes_nobodys_place(kind, place, tmp_path):
    name = {"deals": "dealname", "tickets": "subject"}[kind]
    good = {
        "id": "201",
        "createdAt": "2025-03-01T09:00:00Z",
        "updatedAt": "2025-03-05T09:00:00Z",
        "properties": {name: "old", "hs_pipeline_stage": "1"},
        "associations": {"contacts": {"results": [{"id": "501"}]}},
    }
    bad = {**good, "createdAt": "soon", "updatedAt": NEWER, "properties": {name: "new"}}
    vague = {**good, "updatedAt": "soon", "properties": {name: "vague"}}
    rows = [good, good]
    rows[place] = bad
    batch = read(loaders.hubspot(folder(tmp_path / "bad", **{kind: rows})))
    assert [json.loads(one)[name] for one in batch.events["properties"].to_pylist()] == ["old"]
    assert (batch.rejects.num_rows, batch.n_excluded) == (1, 0)
    rows[place] = vague
    batch = read(loaders.hubspot(folder(tmp_path / "vague", **{kind: rows})))
    assert [json.loads(one)[name] for one in batch.events["properties"].to_pylist()] == ["old"]


def test_merged_contacts_are_the_one_that_is_left(tmp_path):
    tables = {
        "contact": [
            {"id": "1", "property_hs_merged_object_ids": "2;3", "property_email": "ann@example.com"},
            {"id": "2", "property_hs_merged_object_ids": "", "property_email": "ann@old.example"},
        ],
        "contact_merge_audit": [
            {"canonical_vid": "1", "vid_to_merge": "4", "timestamp": "2025-03-01 08:00:00"}
        ],
        "contact_form_submission": [
            {
                "conversion_id": f"9{number}",
                "form_id": "f",
                "contact_id": number,
                "timestamp": "2025-03-02 08:00:00",
                "page_url": "https://shop.example/guide?x=1",
            }
            for number in ("1", "2", "3", "4", "5")
        ],
    }
    batch = read(loaders.hubspot(folder(tmp_path, **tables)))
    assert [one for _, one in told(batch, "anonymous_id")].count("hubspot:1") == 4
    assert set(batch.events["path"].to_pylist()) == {"/guide?x=1"}
    merges = {(alias, left) for alias, left, kind in links(batch) if kind == "merge"}
    assert merges == {(f"hubspot:{number}", "hubspot:1") for number in ("2", "3", "4")}


def test_tickets_are_closed_and_opened_again_as_their_pipeline_says(tmp_path):
    tables = {
        "ticket": [
            {
                "id": "7",
                "property_createdate": "2025-03-01 08:00:00",
                "property_hs_pipeline_stage": "12",
                "property_closed_date": "2025-03-09 08:00:00",
                "property_subject": "Broken",
            }
        ],
        "ticket_contact": [{"ticket_id": "7", "contact_id": "501"}],
    }
    alone = read(loaders.hubspot(folder(tmp_path, **tables)))
    assert told(alone, "actor", "ticket_id") == [
        ("ticket_created", "customer", "7"),
        ("ticket_closed", "company", "7"),
    ]
    tables["ticket_pipeline_stage"] = [{"stage_id": "12", "ticket_state": "CLOSED", "is_closed": ""}]
    tables["ticket_property_history"] = [
        {
            "ticket_id": "7",
            "name": "hs_pipeline_stage",
            "value": stage,
            "timestamp_instant": f"2025-03-0{at} 08:00:00",
        }
        for at, stage in ((1, "10"), (3, "12"), (5, "10"), (9, "12"))
    ]
    batch = read(loaders.hubspot(folder(tmp_path, **tables)))
    assert [(event, at.day) for event, at in told(batch, "timestamp")] == [
        ("ticket_created", 1),
        ("ticket_closed", 3),
        ("ticket_reopened", 5),
        ("ticket_closed", 9),
    ]


def test_engagements_tell_who_acted_and_what_was_called_off(tmp_path):
    def made(number, **properties):
        return {
            "id": str(number),
            "properties": {"hs_timestamp": f"2025-03-0{number}T08:00:00Z", **properties},
            "associations": {
                "contacts": {"results": [{"id": "501"}]},
                "companies": {"results": [{"id": "9"}]},
            },
        }

    tables = {
        "emails": [made(1, hs_email_direction="INCOMING_EMAIL"), made(2, hs_email_direction="EMAIL")],
        "meetings": [made(3, hs_meeting_outcome="COMPLETED"), made(4, hs_meeting_outcome="NO_SHOW")],
        "tasks": [
            made(5, hs_task_status="NOT_STARTED"),
            made(6, hs_task_status="COMPLETED", hs_task_type="CALL"),
        ],
        "notes": [made(7, hs_note_body="psst")],
        "communications": [made(8, hs_communication_channel_type="SMS")],
    }
    batch = read(loaders.hubspot(folder(tmp_path, **tables)))
    assert told(batch, "actor", "channel", "account_id") == [
        ("email_in", "customer", "email", "9"),
        ("email_out", "company", "email", "9"),
        ("meeting", "customer", None, "9"),
        ("task", "company", "phone", "9"),
        ("communication", "company", "chat", "9"),
    ]
    assert batch.n_excluded == 3


def test_feedback_is_answered_on_the_scale_of_its_kind(tmp_path):
    rows = [
        {
            "id": kind,
            "properties": {
                "hs_survey_type": kind,
                "hs_value": value,
                "hs_contact_id": "501",
                "hs_submission_timestamp": "2025-03-10T12:00:00Z",
                "hs_content": "ok",
            },
        }
        for kind, value in (("NPS", "9"), ("CES", "7"), ("CSAT", "3"), ("CUSTOM", "42"), ("NPS", "11"))
    ]
    batch = read(loaders.hubspot(folder(tmp_path, feedback_submissions=rows), csat=(0, 3)))
    found = sorted(told(batch, "instrument", "score", "score_min", "score_max", "comment", "source_kind"))
    assert found == [
        ("survey_response", "ces", 7.0, 1.0, 7.0, "ok", "survey"),
        ("survey_response", "csat", 3.0, 0.0, 3.0, "ok", "survey"),
        ("survey_response", "custom", 42.0, None, None, "ok", "survey"),
        ("survey_response", "nps", 9.0, 0.0, 10.0, "ok", "survey"),
    ]
    assert batch.rejects["reason"].to_pylist() == ["score 11 is off its scale 0…10"]


def test_marketing_mails_that_hubspot_filtered_are_robots(tmp_path):
    rows = [
        {
            "id": str(number),
            "created": 1741600000000 + number,
            "type": kind,
            "recipient": "ann@example.com",
            "filteredEvent": is_filtered,
            "emailCampaignId": 5,
            "sentBy": {"id": "s"},
        }
        for number, (kind, is_filtered) in enumerate((("SENT", False), ("OPEN", True), ("CLICK", False)))
    ]
    batch = read(loaders.hubspot(folder(tmp_path, email_events=rows)))
    assert told(batch, "actor", "is_bot", "campaign_id", "anonymous_id") == [
        ("email_sent", "company", False, "5", "email:ann@example.com"),
        ("email_open", "customer", True, "5", "email:ann@example.com"),
        ("email_click", "customer", False, "5", "email:ann@example.com"),
    ]


def test_files_of_the_user_interface_have_labels_and_the_time_of_the_portal(tmp_path):
    rows = [
        {
            "Record ID": "201",
            "Deal Name": "Lamps",
            "Deal Stage": "closedlost",
            "Amount": "10",
            "Create Date": "2025-07-01 10:00",
            "Close Date": "2025-07-03 10:00",
            "Associated Contact IDs": "501",
        }
    ]
    batch = read(loaders.hubspot(folder(tmp_path, all_my_deals=rows), tz="Europe/Berlin"))
    assert told(batch, "timestamp", "anonymous_id", "value") == [
        ("deal_created", datetime(2025, 7, 1, 8, tzinfo=UTC), "hubspot:501", None),
        ("deal_lost", datetime(2025, 7, 3, 8, tzinfo=UTC), "hubspot:501", None),
    ]


@pytest.mark.parametrize(
    ("stage", "event"),
    [
        ("Closed Won", "deal_won"),
        ("Closed lost (Sales Pipeline)", "deal_lost"),
        ("closed_won", "deal_won"),
        ("Closed wonders", None),
        ("Offer", None),
    ],
)
def test_stages_of_the_user_interface_are_labels_and_of_several_contacts_the_first_counts(
    stage, event, tmp_path
):
    row = {
        "Record ID": "201", "Deal Name": "Lamps", "Deal Stage": stage, "Create Date": "2025-07-01 10:00",
        "Close Date": "2025-07-03 10:00", "Associated Contact IDs": "501; 502",
        "Associated Company IDs": "7;8",
    }  # fmt: skip
    batch = read(loaders.hubspot(folder(tmp_path, all_my_deals=[row]), tz="UTC"))
    assert told(batch, "anonymous_id", "account_id") == [
        (one, "hubspot:501", "7") for one in ("deal_created", event) if one
    ]


def test_files_of_the_user_interface_tell_when_each_stage_was_entered(tmp_path):
    """A won deal under stages of the user's own, one that is open, and one of which only the end is told."""
    won, stages = {"Deal Stage": "Paid", "Is Closed Won": "true"}, ("Enquiry", "Offer", "Paid")
    entered = [f'Date entered "{one} (Trips)"' for one in stages]
    rows = [
        {"Record ID": number, "Deal Name": "Trip", "Pipeline": "Trips", "Amount": "9", **about,
         "Create Date": "2025-07-01 10:00", "Close Date": "2025-07-30 10:00",
         **dict(zip(entered, (f"2025-07-{day} 10:00" for day in days), strict=False)),
         "Associated Contact": "Ada Lovelace (ada@example.com);Bob (bob@example.com)"}
        for number, about, days in (
            ("1", won, ("01", "05", "09")),
            ("2", {"Deal Stage": "Offer (Trips)"}, ("01", "05")),
            ("3", {"Deal Stage": "Closed Lost (Trips)"}, ()),
        )
    ]  # fmt: skip
    batch = read(loaders.hubspot(folder(tmp_path, all_my_deals=rows), tz="Europe/Berlin"))
    assert {one["anonymous_id"] for one in batch.events.to_pylist()} == {"email:ada@example.com"}
    assert [
        (deal, event, at.day, quality, after, before)
        for event, deal, at, quality, after, before in sorted(
            told(batch, "deal_id", "timestamp", "time_quality", "stage", "stage_before"),
            key=lambda one: (one[1], one[2], one[0]),
        )
    ] == [
        ("1", "deal_created", 1, "minute", None, None),
        ("1", "stage_changed", 5, "minute", "Offer", "Enquiry"),
        ("1", "deal_won", 9, "minute", "Paid", "Offer"),
        ("1", "stage_changed", 9, "minute", "Paid", "Offer"),
        ("2", "deal_created", 1, "minute", None, None),
        ("2", "stage_changed", 5, "minute", "Offer", "Enquiry"),
        ("3", "deal_created", 1, "minute", None, None),
        ("3", "deal_lost", 30, "inferred", "Closed Lost", None),
    ]
    assert batch.events["timestamp"].to_pylist()[0].hour == 8
    assert "entered" not in str(batch.events["properties"].to_pylist()), "what came later is no property"


def test_a_stage_that_was_left_when_it_was_entered_was_passed_over(tmp_path):
    at = "2025-03-09T09:00:00Z"
    properties = {
        "dealname": "a", "createdate": "2025-03-01T09:00:00Z", "dealstage": "closedwon",
        "hs_date_entered_new": "2025-03-01T09:00:00Z", "hs_date_exited_new": at,
        "hs_date_entered_offer": at, "hs_date_exited_offer": at,
        "hs_date_entered_closedwon": "2025-03-08T09:00:00Z", "hs_v2_date_entered_closedwon": at,
        "hs_date_entered_closedlost": None,
    }  # fmt: skip
    deal = {"id": "1", "properties": properties, "contacts": ["501", "502"], "companies": ["7"]}
    batch = read(loaders.hubspot(folder(tmp_path, deals=[deal])))
    assert told(batch, "timestamp", "stage_before", "anonymous_id", "account_id") == [
        ("deal_created", datetime(2025, 3, 1, 9, tzinfo=UTC), None, "hubspot:501", "7"),
        ("deal_won", datetime(2025, 3, 9, 9, tzinfo=UTC), "new", "hubspot:501", "7"),
        ("stage_changed", datetime(2025, 3, 9, 9, tzinfo=UTC), "new", "hubspot:501", "7"),
    ]


def test_contacts_and_tickets_tell_when_their_stages_were_entered(tmp_path):
    people = [
        {"Record ID": "501", "First Name": "Ada", "Last Name": "L", "Email": "ada@example.com",
         "Lifecycle Stage": "Customer", "Became a Marketing Qualified Lead Date": "2025-07-01 10:00",
         "Became an Opportunity Date": "", "Became a Customer Date": "2025-07-09 10:00"},
    ]  # fmt: skip
    tickets = [
        {"Ticket ID": number, "Ticket name": "Broken", "Pipeline": "Help", "Ticket status": "Closed",
         "Source": "Chat", "Create date": "2025-07-02 10:00", "Close date": "2025-07-04 11:00",
         'Date entered "New (Help)"': "2025-07-02 10:00", 'Date entered "Closed (Help)"': closed,
         "Associated Contact": "Ada L (501)"}
        for number, closed in (("1", "2025-07-04 10:00"), ("2", ""))
    ]  # fmt: skip
    with pytest.raises(InputError, match="user interface, whose times carry no time zone"):
        loaders.hubspot(folder(tmp_path, people=people))
    assert "tz='?'" in loaders.describe(tmp_path).code
    batch = read(loaders.hubspot(folder(tmp_path, people=people, all_tickets=tickets), tz="UTC"))
    assert {one["anonymous_id"] for one in batch.events.to_pylist()} == {"hubspot:501"}
    assert [(one[0], one[1].day, one[1].hour, *one[2:]) for one in
            told(batch, "timestamp", "ticket_id", "channel", "stage", "stage_before")] == [
        ("lifecycle_changed", 1, 10, None, None, "marketingqualifiedlead", None),
        ("ticket_created", 2, 10, "1", "chat", None, None),
        ("ticket_created", 2, 10, "2", "chat", None, None),
        ("ticket_closed", 4, 10, "1", None, None, None),
        ("ticket_closed", 4, 11, "2", None, None, None),
        ("lifecycle_changed", 9, 10, None, None, "customer", "marketingqualifiedlead"),
    ]  # fmt: skip


def test_calls_and_meetings_of_the_user_interface(tmp_path):
    who = {"Associated Contact": "Ada Lovelace (ada@example.com)"}
    tables = {
        "all_calls": [
            {"Record ID": str(number), "Call Title": "Hello", "Activity date": "2025-07-01 10:00",
             "Call outcome": "Connected", "Call direction": direction, **who}
            for number, direction in enumerate(("Inbound", "Outbound"))
        ],
        "all_meetings": [
            {"Record ID": str(number), "Meeting outcome": outcome, "Activity date": "2025-07-02 10:00",
             "Meeting start time": f"2025-07-0{number} 11:00", **who}
            for number, outcome in enumerate(("Completed", "No show", "Scheduled"), start=3)
        ],
        "all_emails": [
            {"Record ID": "9",
             "Email direction": "Incoming email", **who, "Activity date": "2025-07-06 10:00"}
        ],
        "all_tasks": [
            {"Record ID": f"7{number}", "Task status": status, "Task type": "Call",
             "Due date": "2025-07-07 10:00", "Completed at": done, **who}
            for number, (status, done) in enumerate((("Completed", "2025-07-08 10:00"), ("Not started", "")))
        ],
    }  # fmt: skip
    batch = read(loaders.hubspot(folder(tmp_path, **tables), tz="UTC"))
    assert [(one[0], one[1].day, *one[2:]) for one in told(batch, "timestamp", "actor", "channel")] == [
        ("call", 1, "customer", "phone"),
        ("call", 1, "company", "phone"),
        ("meeting", 3, "customer", None),
        ("meeting", 5, "customer", None),
        ("email_in", 6, "customer", "email"),
        ("task", 8, "company", "phone"),
    ]
    assert {one["anonymous_id"] for one in batch.events.to_pylist()} == {"email:ada@example.com"}


def test_answers_of_the_first_api(tmp_path):
    """Values are objects there, with the earlier ones beside them."""
    days = {day: 1741600000000 + day * 86_400_000 for day in range(9)}
    deal = {
        "dealId": 201, "isDeleted": False,
        "associations": {"associatedVids": [501], "associatedCompanyIds": [7]},
        "properties": {
            "dealname": {"value": "Lamps", "timestamp": days[0]},
            "createdate": {"value": str(days[0]), "timestamp": days[0]},
            "amount": {"value": "1200", "timestamp": days[0]},
            "dealstage": {"value": "closedwon", "timestamp": days[2], "versions": [
                {"value": stage, "timestamp": days[day]}
                for stage, day in (("closedwon", 2), ("offer", 2), ("new", 0))
            ]},
        },
    }  # fmt: skip
    contact = {
        "vid": 501, "canonical-vid": 501, "merged-vids": [500],
        "properties": {
            "firstname": {"value": "Ada"}, "lastname": {"value": "L"},
            "lifecyclestage": {"value": "customer",
                               "versions": [{"value": "customer", "timestamp": days[3]}]},
        },
        "form-submissions": [{"conversion-id": "c1", "timestamp": days[1], "form-id": "f1",
                              "page-url": "https://shop.example/guide?a=1"}],
        "identity-profiles": [{"vid": 501, "identities": [{"type": "LEAD_GUID", "value": "x"},
                                                          {"type": "EMAIL", "value": "ada@example.com"}]}],
    }  # fmt: skip
    engagements = [
        {"engagement": {"id": number, "type": kind, "timestamp": days[number]},
         "associations": {"contactIds": [501]}, "metadata": about}
        for number, kind, about in (
            (4, "CALL", {"durationMilliseconds": 9}), (5, "NOTE", {}), (6, "TASK", {"status": "NOT_STARTED"}),
            (7, "TASK", {"status": "COMPLETED", "completionDate": days[8]}), (8, "SMS", {}),
        )
    ]  # fmt: skip
    pages = {"deals": ("deals", deal), "contacts": ("contacts", contact), "old": ("results", *engagements)}
    for name, (member, *rows) in pages.items():
        (tmp_path / f"{'engagements' if name == 'old' else name}.json").write_text(
            json.dumps({member: rows, "hasMore": False, "offset": 9})
        )
    batch = read(loaders.hubspot(tmp_path))
    assert {one["anonymous_id"] for one in batch.events.to_pylist()} == {"hubspot:501"}
    found = told(batch, "timestamp", "stage", "channel", "value")
    assert [
        (one[0], (int(one[1].timestamp() * 1000) - days[0]) // 86_400_000, *one[2:]) for one in found
    ] == [
        ("deal_created", 0, None, None, None),
        ("form_submission", 1, None, "web", None),
        ("deal_won", 2, "closedwon", None, 1200),
        ("stage_changed", 2, "offer", None, None),
        ("stage_changed", 2, "closedwon", None, None),
        ("lifecycle_changed", 3, "customer", None, None),
        ("call", 4, None, "phone", None),
        ("communication", 8, None, "chat", None),
        ("task", 8, None, None, None),
    ]
    assert {
        ("hubspot:500", "hubspot:501", "merge"),
        ("hubspot:501", "email:ada@example.com", "alias"),
    } <= links(batch)
    assert batch.n_excluded == 2, "a note and an open task"


def test_stages_are_called_and_end_as_the_pipelines_of_the_api_say(tmp_path):
    ends = {
        "101": ("Offer", "false", "0.2"),
        "102": ("Signed", "true", "1.0"),
        "103": ("Gone", "true", "0.0"),
    }
    pipeline = {"id": "default", "label": "Sales", "stages": [
        {"id": number, "label": label, "metadata": {"isClosed": is_closed, "probability": chance}}
        for number, (label, is_closed, chance) in ends.items()
    ]}  # fmt: skip
    help_desk = {"id": "0", "label": "Help", "stages": [
        {"id": "9", "label": "Done", "metadata": {"isClosed": "true", "ticketState": "CLOSED"}}
    ]}  # fmt: skip

    def made(number, name, values):
        history = [
            {"value": one, "timestamp": f"2025-03-0{day}T09:00:00Z"} for day, one in enumerate(values, 1)
        ]
        return {
            "id": number, "createdAt": "2025-03-01T09:00:00Z",
            "properties": {"dealname" if name == "dealstage" else "subject": "x", name: values[-1]},
            "propertiesWithHistory": {name: history[::-1]},
            "associations": {"contacts": {"results": [{"id": "501"}]}},
        }  # fmt: skip

    tables = {
        "pipelines": [pipeline, help_desk],
        "deals": [made("1", "dealstage", ("101", "102")), made("2", "dealstage", ("101", "103"))],
        "tickets": [made("3", "hs_pipeline_stage", ("8", "9"))],
    }
    batch = read(loaders.hubspot(folder(tmp_path, **tables)))
    assert sorted(one for one in told(batch, "stage", "stage_before") if "created" not in one[0]) == [
        ("deal_lost", "Gone", "Offer"),
        ("deal_won", "Signed", "Offer"),
        ("stage_changed", "Gone", "Offer"),
        ("stage_changed", "Signed", "Offer"),
        ("ticket_closed", None, None),
    ]


def test_forms_that_name_no_contact_belong_to_the_address_in_them(tmp_path):
    fields = [{"name": "firstname", "value": "Ada"}, {"name": "email", "value": "Ada@example.com"}]
    form = {
        "conversionId": "c9",
        "submittedAt": 1742000000000,
        "values": fields,
        "pageUrl": "https://a.example/b",
    }
    letter = {"id": "8", "properties": {"hs_timestamp": "2025-03-30T08:00:00Z", "hs_postal_mail_body": "x"},
              "associations": {"contacts": {"results": [{"id": "501"}]}}}  # fmt: skip
    batch = read(loaders.hubspot(folder(tmp_path, form_submissions=[form], postal_mail=[letter])))
    assert told(batch, "anonymous_id", "actor", "event_id", "path") == [
        ("form_submission", "email:ada@example.com", "customer", "form:c9", "/b"),
        ("postal_mail", "hubspot:501", "company", "engagement:8", None),
    ]


WRONG = {"value": "bad", "timestamp": "00:soon", "NewValue": "bad", "CreatedDate": "00:soon"}


@pytest.mark.parametrize("place", range(4))
def test_a_change_whose_time_cannot_be_read_stands_in_no_order(place, tmp_path):
    """Wherever it is written, the others are told as without it, and it is a reject."""

    def histories(wrong):
        days = [("closedwon", "20"), ("offer", "10"), ("new", "01")]
        api = [{"value": stage, "timestamp": f"2025-03-{day}T09:00:00Z"} for stage, day in days]
        cases = [("Closed", "20"), ("Working", "10"), ("New", "01")]
        fields = [
            {"Id": f"1{day}", "CaseId": "500A", "Field": "Status", "NewValue": status,
             "CreatedDate": f"2025-03-{day}T09:00:00Z"}
            for status, day in cases
        ]  # fmt: skip
        for several in (api, fields):
            several[place:place] = wrong
        deal = {"id": "1", "createdAt": "2025-03-01T09:00:00Z", "properties": {"dealname": "a"},
                "associations": {"contacts": {"results": [{"id": "501"}]}}}  # fmt: skip
        stages = [{"deal_id": "1", "name": "dealstage", **one} for one in api]
        life = [{"contact_id": "501", "name": "lifecyclestage", **one} for one in api]
        yield loaders.hubspot, {"deals": [deal | {"propertiesWithHistory": {"dealstage": api}}]}
        yield loaders.hubspot, {"deals": [deal], "deal_property_history": stages}
        yield loaders.hubspot, {"contact_property_history": life}
        case = {"Id": "500A", "CaseNumber": "1", "ContactId": "003A", "CreatedDate": "2025-03-01T09:00:00Z"}
        known = [one | {"CaseId": "500A", "Field": "Status", "Id": f"x{n}"} for n, one in enumerate(fields)]
        yield loaders.salesforce, {"Case": [case], "CaseHistory": known}

    for number, ((loader, good), (_, bad)) in enumerate(zip(histories([]), histories([WRONG]), strict=True)):
        right = read(loader(folder(tmp_path / f"{number} good", **good)))
        batch = read(loader(folder(tmp_path / f"{number} bad", **bad)))
        assert batch.rejects.num_rows == 1
        assert "soon" in batch.rejects["reason"][0].as_py()
        assert told(batch, "timestamp") == told(right, "timestamp")


# Intercom


def conversation(number=1, *, by="user", **fields):
    return {
        "type": "conversation",
        "id": str(number),
        "created_at": 1740945720,
        "updated_at": 1740946080,
        "state": "open",
        "source": {"type": "conversation", "author": {"type": by, "id": "c1"}},
        "contacts": {"contacts": [{"id": "c1", "external_id": "u1"}]},
        **fields,
    }


def test_a_rating_is_asked_for_at_one_time_and_given_at_another(tmp_path):
    asked = {"created_at": 1740946080, "updated_at": 1740946080, "rating": None, "remark": None}
    given = {"created_at": 1740946080, "updated_at": 1740946140, "rating": 5, "remark": "quick"}
    rows = [conversation(1, conversation_rating=asked), conversation(2, conversation_rating=given)]
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows)))
    found = told(batch, "ticket_id", "score", "score_min", "score_max", "comment", "actor", "source_kind")
    assert [one for one in found if one[-1] == "survey"] == [
        (INVITE, "1", None, 1.0, 5.0, None, "company", "survey"),
        (INVITE, "2", None, 1.0, 5.0, None, "company", "survey"),
        ("survey_response", "2", 5.0, 1.0, 5.0, "quick", "customer", "survey"),
    ]
    answered = batch.events.filter(batch.events["score"].is_valid())["timestamp"].to_pylist()
    assert answered == [datetime(2025, 3, 2, 20, 9, tzinfo=UTC)]


@pytest.mark.parametrize("place", [0, 1])
def test_a_conversation_whose_time_cannot_be_read_takes_nobodys_place(place, tmp_path):
    good = conversation(1, updated_at=1740946000, title="old")
    rows = [good, good]
    rows[place] = {**good, "created_at": "soon", "updated_at": 1740947000, "title": "new"}
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows)))
    assert {json.loads(one)["title"] for one in batch.events["properties"].to_pylist()} == {"old"}
    assert batch.rejects["reason"].to_pylist() == ["created_at is no time: 'soon'"]


def test_what_the_company_began_counts_when_the_customer_has_replied(tmp_path):
    replied = {"first_contact_reply_at": 1740945900}
    rows = [
        conversation(1, by="admin"),
        conversation(
            4,
            by="bot",
            state="closed",
            conversation_parts={
                "conversation_parts": [
                    {"id": "p4", "part_type": "comment", "created_at": 1740945900, "author": {"type": "bot"}},
                    {"id": "p5", "part_type": "close", "created_at": 1740945900, "author": {"type": "bot"}},
                    {
                        "id": "p6",
                        "part_type": "assignment",
                        "created_at": 1740945900,
                        "author": {"type": "user"},
                    },
                ]
            },
        ),
        conversation(2, by="admin", statistics=replied),
        conversation(
            3,
            by="bot",
            statistics=replied,
            conversation_parts={
                "conversation_parts": [
                    {
                        "id": "p1",
                        "part_type": "comment",
                        "created_at": 1740945900,
                        "body": "hm",
                        "author": {"type": "user", "id": "c1"},
                    },
                    {
                        "id": "p2",
                        "part_type": "assignment",
                        "created_at": 1740945910,
                        "author": {"type": "bot"},
                    },
                    {"id": "p3", "part_type": "comment", "created_at": 1740945920, "author": {"type": "bot"}},
                ]
            },
        ),
    ]
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows)))
    assert sorted(told(batch, "ticket_id", "actor", "user_id")) == [
        ("conversation_reply", "2", "customer", "u1"),
        ("conversation_reply", "3", "customer", "u1"),
        ("conversation_reply", "3", "system", "u1"),
        ("conversation_started", "2", "company", "u1"),
        ("conversation_started", "3", "company", "u1"),
    ]


def test_closings_are_told_by_parts_by_the_last_close_or_by_versions(tmp_path):
    closed = {
        "id": "p1",
        "part_type": "close",
        "created_at": 1740946000,
        "author": {"type": "admin", "id": "a1"},
    }
    rows = [
        conversation(1, state="closed", statistics={"last_close_at": 1740946080}),
        conversation(
            2,
            state="closed",
            statistics={"last_close_at": 1740946080},
            conversation_parts={"conversation_parts": [closed]},
        ),
        *(
            conversation(3, state=state, updated_at=1740945720 + at)
            for at, state in ((40, "open"), (10, "open"), (30, "closed"), (20, "closed"))
        ),
    ]
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows)))
    ended = [
        one
        for one in told(batch, "ticket_id", "time_quality", "timestamp")
        if one[0] != "conversation_started"
    ]
    assert [(event, number, quality, int(at.timestamp())) for event, number, quality, at in ended] == [
        ("conversation_closed", "3", "inferred", 1740945740),
        ("conversation_reopened", "3", "inferred", 1740945760),
        ("conversation_closed", "2", "second", 1740946000),
        ("conversation_closed", "1", "second", 1740946080),
    ]


def test_parts_of_conversations_are_told_by_columns_as_by_rows(tmp_path, monkeypatch):
    rng = random.Random(3)
    conversations = [
        conversation(1, source={"type": "email", "author": {"type": "user", "id": "c1", "email": "a@b.de"}}),
        conversation(2, by="admin", contacts=None),
    ]
    for number in range(30):
        parts = [
            {
                "id": str(place),
                "conversation_id": rng.choice(["1", "2", "9", None]),
                "part_type": rng.choice(["comment", "close", "open", "note"]),
                "body": rng.choice(["hi", None]),
                "created_at": 1741608000 + place,
                "author": {
                    "type": rng.choice(["user", "admin", "bot", "lead"]),
                    "id": rng.choice(["c1", "c2", None]),
                },
            }
            for place in range(rng.randrange(1, 25))
        ]
        place = tmp_path / str(number)
        place.mkdir()
        for name, rows in (("conversations", conversations), ("conversation_parts", parts)):
            (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert columns_tell_what_rows_tell(partial(loaders.intercom, place), monkeypatch)


def test_parts_of_what_nobody_answered_are_no_contacts(tmp_path):
    rows = [
        conversation(1, by="admin"),
        conversation(2, by="admin", statistics={"first_contact_reply_at": 1740945900}),
    ]
    parts = [
        {"id": f"{number}{kind}", "conversation_id": str(number), "part_type": kind, "body": None,
         "created_at": 1740945900, "author_type": "admin", "author_id": "a1"}
        for number in (1, 2, 3) for kind in ("comment", "close")
    ]  # fmt: skip
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows, conversation_parts=parts)))
    assert sorted(told(batch, "ticket_id")) == [
        ("conversation_closed", "2"),
        ("conversation_reply", "2"),
        ("conversation_started", "2"),
    ]
    assert batch.n_nameless == 2


@pytest.mark.parametrize("is_inside", [True, False])
def test_who_closes_or_opens_a_conversation_may_say_something_with_it(tmp_path, is_inside):
    parts = [
        {"id": "p1", "part_type": "close", "created_at": 1740946000, "body": "bye",
         "author": {"type": "admin", "id": "a1"}},
        {"id": "p2", "part_type": "open", "created_at": 1740946100, "body": "wait",
         "author": {"type": "user", "id": "c1"}},
        {"id": "p3", "part_type": "close", "created_at": 1740946200, "body": "",
         "author": {"type": "admin", "id": "a1"}},
    ]  # fmt: skip
    row = conversation(1)
    tables = {"conversations": [row]}
    if is_inside:
        row["conversation_parts"] = {"conversation_parts": parts}
    else:
        tables["conversation_parts"] = [{**one, "conversation_id": "1"} for one in parts]
    batch = read(loaders.intercom(folder(tmp_path, **tables)))
    assert told(batch, "actor", "event_id")[1:] == [
        ("conversation_closed", "company", "conversation_closed:p1"),
        ("conversation_reply", "company", "conversation_reply:p1"),
        ("conversation_reopened", "customer", "conversation_reopened:p2"),
        ("conversation_reply", "customer", "conversation_reply:p2"),
        ("conversation_closed", "company", "conversation_closed:p3"),
    ]


def test_a_conversation_without_id_is_a_reject_and_not_forgotten(tmp_path):
    rows = [{"Conversation ID": "1", "State": "open"}]
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows)))
    assert batch.rejects["reason"].to_pylist() == ["a conversation without id"]


def test_whoever_rated_a_conversation_is_known_by_the_rating_too(tmp_path):
    rating = {"rating": 4, "created_at": 1740946080, "contact": {"id": "c1", "external_id": "u1"}}
    rows = [conversation(1, contacts=[{"id": "c1"}], conversation_rating=rating)]
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows)))
    assert set(batch.events["user_id"].to_pylist()) == {"u1"}


@pytest.mark.parametrize("describes", [str, lambda state: {"type": "ticket_state", "category": state}])
def test_tickets_of_intercom_are_opened_commented_solved_and_opened_again(tmp_path, describes):
    def part(number, kind, *, by="admin", before="submitted", after="submitted"):
        return {
            "id": f"p{number}", "part_type": kind, "created_at": 1740945720 + number, "body": "hm",
            "author": {"type": by, "id": "x"}, "ticket_state": describes(after),
            "previous_ticket_state": describes(before),
        }  # fmt: skip

    changed = "ticket_state_updated_by_admin"
    parts = [
        part(1, "comment", by="user"),
        part(2, changed, after="in_progress"),
        part(3, changed, before="in_progress", after="resolved"),
        part(4, changed, before="resolved", after="in_progress", by="user"),
        part(5, "note"),
    ]
    ticket = {
        "type": "ticket", "id": "70", "ticket_id": "1", "created_at": 1740945720, "category": "Customer",
        "ticket_type": {"id": "1"}, "ticket_state": describes("in_progress"),
        "contacts": {"contacts": [{"id": "c1", "external_id": "u1"}]},
        "ticket_parts": {"ticket_parts": parts},
    }  # fmt: skip
    own = {**ticket, "id": "71", "category": "Back-office", "ticket_parts": None}
    nobodys = {**own, "id": "72", "contacts": {"contacts": []}}
    batch = read(loaders.intercom(folder(tmp_path, tickets=[ticket, own, nobodys, {**ticket, "id": None}])))
    assert sorted(told(batch, "ticket_id", "actor", "user_id")) == [
        ("ticket_comment", "70", "customer", "u1"),
        ("ticket_created", "70", "customer", "u1"),
        ("ticket_created", "71", "company", "u1"),
        ("ticket_reopened", "70", "customer", "u1"),
        ("ticket_solved", "70", "company", "u1"),
    ]
    assert batch.n_nameless == 1
    assert batch.rejects["reason"].to_pylist() == ["a ticket without id"]


def test_users_of_the_first_version_of_the_api_are_known_by_their_user_id(tmp_path):
    users = [{"type": "user", "id": "c1", "user_id": "u1", "email": "ada@example.com"}]
    rows = [conversation(1, contacts=None)]
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows, users=users)))
    assert told(batch, "user_id") == [("conversation_started", "u1")]


def test_a_leads_external_id_is_no_user_id(tmp_path):
    rows = [conversation(1, by="lead"), conversation(2)]
    for one, email in zip(rows, ("lead@example.com", "user@example.com"), strict=True):
        one["source"]["author"]["email"] = email
    batch = read(loaders.intercom(folder(tmp_path, conversations=rows)))
    assert sorted(told(batch, "ticket_id", "user_id", "anonymous_id")) == [
        ("conversation_started", "1", None, "intercom:c1"),
        ("conversation_started", "2", "u1", None),
    ]
    contacts = [{"id": "c1", "role": "lead", "external_id": "0f9", "email": "lead@example.com"}]
    assert ("intercom:c1", "email:lead@example.com", "alias") in links(
        read(loaders.intercom(folder(tmp_path, contacts=contacts)))
    )


# Together


@pytest.mark.parametrize(
    ("event", "actor", "touchpoint"),
    [
        ("call", "customer", "support_contact"),
        ("call", "company", "sales_contact"),
        ("task_call", "company", "sales_contact"),
        ("task", "company", "sales_contact"),
        ("deal_lost", "company", "sales_contact"),
    ],
)
def test_who_called_tells_sales_from_service(event, actor, touchpoint):
    told = cjm.JourneyModel.standard().explain({"event": event, "actor": actor, "source_kind": "crm"})
    assert told.touchpoint == touchpoint


@pytest.mark.parametrize(
    ("loader", "end"), [(loaders.salesforce, "opportunity_won"), (loaders.hubspot, "deal_won")]
)
def test_the_end_of_a_deal_comes_after_the_change_of_stage_that_brings_it_about(tmp_path, loader, end):
    """Else whoever has bought would be found before the purchase again."""
    if loader is loaders.salesforce:
        tables = {
            "OpportunityFieldHistory": [step(1, "", "", "created"), step(2, "Offer", "Closed Won")],
            "OpportunityContactRole": [{"OpportunityId": DEAL, "ContactId": ANN, "IsPrimary": "true"}],
        }
    else:
        stages = (("1", "offer"), ("2", "closedwon"))
        tables = {
            "deal_stage": [
                {"deal_id": "1", "value": stage, "date_entered": f"2025-03-0{day} 10:00:00"}
                for day, stage in stages
            ],
            "deal_contact": [{"deal_id": "1", "contact_id": "501"}],
        }
    events = cjm.ingest(loader(folder(tmp_path, **tables)), now="2026-01-01", progress=False)
    assert events.to_frame()["event"].tolist()[1:] == ["stage_changed", end]


@pytest.mark.parametrize("merged", ["MasterRecordId", ""])
def test_merged_records_are_one_customer_in_the_store(tmp_path, merged):
    contacts = [
        {"Id": ANN, "LastName": "Ann", "MasterRecordId": ""},
        {"Id": BOB, "LastName": "Ann", "MasterRecordId": ANN},
    ]
    if not merged:
        contacts[1]["MasterRecordId"] = ""
    tasks = [
        {
            "Id": f"00T{who}",
            "WhoId": who,
            "Status": "Completed",
            "CompletedDateTime": "2025-03-05T13:25:00.000Z",
        }
        for who in (ANN, BOB)
    ]
    events = cjm.ingest(loaders.salesforce(folder(tmp_path, Contact=contacts, Task=tasks)), progress=False)
    assert events.to_frame()["customer_id"].nunique() == (1 if merged else 2)
