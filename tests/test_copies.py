"""Which of several copies of an event stays: the one received first, or the latest."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.events.folder import Folder
from cjm_analytics.events.ingest import ingest
from eventlogs import NOW, Rows, click
from test_events_append import files_of

KEYS = {"by id": ("event_id",), "by id and time": ("event", "event_id", "timestamp")}
BROKEN = {"source": "web", "src_file": "web.csv", "src_row": 1, "reason": "no time", "raw": "?"}


def messy(rng, n):
    """Copies of few events, some without an id, many without a time of receipt or with an equal one."""
    rows = []
    for place in rng.permutation(n):
        row = click(
            f"u{rng.integers(6)}", int(rng.integers(4)) * 1440, str(rng.choice(["cart", "order"])),
            seq=int(place), comment=str(place),
        )  # fmt: skip
        if rng.random() < 0.9:
            row["event_id"] = f"e{rng.integers(8)}"
        if rng.random() < 0.3:
            row["order_id"] = f"o{rng.integers(3)}"
        if rng.random() < 0.7:
            row["received_at"] = pd.Timestamp("2026-03-08") + pd.Timedelta(int(rng.integers(4)), "D")
        rows.append(row)
    return rows


def that_stay(rows, key, copies):
    """What a reader of the rule expects, one row after the other."""
    if copies == "per_order":
        return those_of_orders(rows, key)
    found = {}
    for row in sorted(rows, key=lambda one: (one["timestamp"], one["seq"])):
        if "event_id" not in row:
            found[row["comment"]] = row
            continue
        name = (row["user_id"], *(row[column] for column in key))
        other = found.setdefault(name, row)
        mine, theirs = row.get("received_at"), other.get("received_at")
        if mine is None:
            continue
        if theirs is None or (mine > theirs if copies == "latest" else mine < theirs):
            found[name] = row
    return sorted(row["comment"] for row in found.values())


def those_of_orders(rows, key):
    """The latest copy of each order, and of the open carts of a key the last one if no order is as late."""
    orders = [row for row in rows if "order_id" in row]
    stay = that_stay(orders, (*key, "order_id"), "latest")
    by_key = {}
    for row in rows:
        if "event_id" in row:
            by_key.setdefault((row["user_id"], *(row[column] for column in key)), []).append(row)
        elif "order_id" not in row:
            stay.append(row["comment"])
    for several in by_key.values():
        carts = [row for row in several if "order_id" not in row]
        end = max((row["timestamp"] for row in carts), default=None)
        if end is not None and all(row["timestamp"] < end for row in several if "order_id" in row):
            stay += that_stay([row for row in carts if row["timestamp"] == end], key, "latest")
    return sorted(stay)


def kept(events):
    """What is in the store, after a look at its accounts."""
    for one in events.report().to_frame().itertuples():
        assert one.read == one.kept + one.duplicates + one.rejected + one.excluded
    assert events.report().to_frame()["kept"].sum() == len(events)
    return sorted(events.to_frame()["comment"])


@pytest.mark.parametrize("copies", ["first", "latest", "per_order"])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("seed", range(8))
def test_the_copy_that_stays_is_the_one_that_a_plain_loop_finds(seed, key, copies, tmp_path):
    rng = np.random.default_rng(seed)
    rows = messy(rng, 120)
    n_partitions = int(rng.integers(1, 5))

    def source(some, **more):
        return Rows(some, dedupe=key, copies=copies, size=int(rng.integers(1, 50)), **more)

    wanted = that_stay(rows, key, copies)
    assert kept(ingest(source(rows), now=NOW, n_partitions=n_partitions)) == wanted
    shuffled = [rows[one] for one in rng.permutation(len(rows))]
    noise = {"rejects": [BROKEN], "excluded": 2}
    whole = ingest(
        source(shuffled, **noise),
        to=tmp_path / "whole",
        now=NOW,
        n_partitions=n_partitions,
        max_reject_share=1,
    )
    assert kept(whole) == wanted
    for number, part in enumerate(np.array_split(np.arange(len(rows)), int(rng.integers(2, 7)))):
        grown = ingest(
            source([shuffled[one] for one in part], **({} if number else noise)),
            to=tmp_path / "grown", now=NOW, n_partitions=n_partitions, max_reject_share=1,
        )  # fmt: skip
        kept(grown)
    assert kept(grown) == wanted
    pd.testing.assert_frame_equal(grown.to_frame(), whole.to_frame())
    pd.testing.assert_frame_equal(grown.report().to_frame(), whole.report().to_frame())
    grown.compact(n_partitions=n_partitions)
    assert files_of(tmp_path / "grown") == files_of(tmp_path / "whole")

    window = ("2026-03-02", "2026-03-04")
    inside = [row for row in rows if "2026-03-02" <= str(row["timestamp"])[:10] < "2026-03-04"]
    anew = [{**row, "comment": f"{row['comment']} again"} for row in inside[::2]]
    left = [row for row in rows if row["comment"] in set(wanted) and row not in inside]
    mended = ingest(source(anew), to=tmp_path / "grown", now=NOW, replace=window)
    assert kept(mended) == that_stay([*left, *anew], key, copies)


def test_a_store_without_dedupe_keeps_all_copies():
    rows = [click("a", 0, event_id="e", received_at=f"2026-03-0{day}", comment=str(day)) for day in (8, 9)]
    source = Rows(rows, dedupe=("event_id",), copies="latest")
    assert kept(ingest(source, now=NOW, dedupe=False)) == ["8", "9"]


def test_copies_of_the_same_state_write_nothing_anew(tmp_path):
    rows = [click(f"u{one}", one, event_id=str(one), received_at="2026-03-09") for one in range(60)]
    source = Rows(rows, dedupe=("event_id",), copies="latest")
    ingest(source, to=tmp_path, now=NOW, n_partitions=4)
    before = {file.path for file in Folder(tmp_path).manifest().events}
    events = ingest(source, to=tmp_path, now=NOW)
    assert {file.path for file in Folder(tmp_path).manifest().events} == before
    assert events.report().to_frame()[["kept", "duplicates"]].to_numpy().tolist() == [[60, 60]]


def test_two_sources_of_one_name_must_agree(tmp_path):
    rows = [click("a", 0, event_id="e")]
    sources = [Rows(rows, dedupe=("event_id",), copies=copies) for copies in ("latest", "first")]
    with pytest.raises(InputError, match="keeps the latest, another the first"):
        ingest(sources, now=NOW)
    ingest(sources[0], to=tmp_path, now=NOW)
    with pytest.raises(InputError, match="Give one of them another name"):
        ingest(sources[1], to=tmp_path, now=NOW)


class TestTable:
    ORDERS = {
        "who": ["ann", "ann", "bob"],
        "order": ["7", "7", "8"],
        "status": ["returned", "paid", "paid"],
        "made": ["2026-03-01"] * 3,
        "changed": ["2026-03-05", "2026-03-01", "2026-03-01"],
    }
    MAPPING = {"customer": "who", "timestamp": "made", "event": "status", "order_id": "order", "tz": "UTC"}

    def table(self, **more):
        return cjm.loaders.table(self.ORDERS, **self.MAPPING, **more)

    def test_the_latest_row_of_an_order_stays(self):
        source = self.table(dedupe=["order_id"], copies="latest", received_at="changed")
        assert ingest(source, now=NOW).to_frame()["event"].tolist() == ["returned", "paid"]

    def test_by_default_it_is_the_first(self):
        source = self.table(dedupe=["order_id"], received_at="changed")
        assert ingest(source, now=NOW).to_frame()["event"].tolist() == ["paid", "paid"]

    def test_nobody_guesses_which_is_the_latest(self):
        with pytest.raises(InputError, match=r'name the column .* received_at="updated_at"'):
            self.table(dedupe=["order_id"], copies="latest")
        with pytest.raises(InputError, match=r'dedupe=\["order_id"\]'):
            self.table(copies="latest", received_at="changed")

    def test_a_cart_gives_way_to_a_later_order_and_two_orders_stay(self):
        rows = {
            "who": ["ann"] * 5, "visit": ["v"] * 5, "order": [None, "7", "8", None, "8"],
            "at": [f"2026-03-01 10:0{minute}" for minute in (0, 1, 2, 3, 2)],
            "what": ["cart", "order", "order", "cart", "order"],
        }  # fmt: skip
        source = cjm.loaders.table(
            rows, customer="who", timestamp="at", event="what", order_id="order", session_id="visit",
            tz="UTC", dedupe=["session_id"], copies="per_order",
        )  # fmt: skip
        frame = ingest(source, now=NOW).to_frame(["event", "order_id"]).fillna("")
        assert frame.to_numpy().tolist() == [["order", "7"], ["order", "8"], ["cart", ""]]

    def test_nobody_guesses_which_row_is_of_which_order(self):
        rows = {name: cells for name, cells in self.ORDERS.items() if name != "order"}
        with pytest.raises(InputError, match=r'name the column that says it, for example order_id="order"'):
            cjm.loaders.table(
                rows, customer="who", timestamp="made", event="status", tz="UTC", dedupe=["event"],
                copies="per_order",
            )  # fmt: skip

    def test_a_misspelt_word_is_an_error(self):
        with pytest.raises(
            UnknownNameError, match=r"'last'. Did you mean 'latest'|There are: first, latest, per_order"
        ):
            self.table(dedupe=["order_id"], copies="last", received_at="changed")


class TestVendors:
    """Exports of two days, the second one given first: what was changed is as it was last."""

    def exported(self, folder, day, name, content):
        path = folder / day / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path.parent

    def twice(self, tmp_path, loader, name, made):
        """The events after both days, and after them in the other order."""
        days = [self.exported(tmp_path, day, name, made(day)) for day in ("03", "05")]
        found = []
        for place, order in enumerate((days, days[::-1])):
            for day in order:
                events = ingest(loader(day), to=tmp_path / f"store {place}", now=NOW, progress=False)
            found.append(events.to_frame())
            kept_rows = events.report().to_frame()[["read", "kept", "duplicates", "excluded"]].to_numpy()
            assert all(read == sum(others) for read, *others in kept_rows.tolist())
        return found

    def test_an_order_of_shopify(self, tmp_path):
        def order(day):
            return {"orders": [{
                "id": 1, "name": "#1", "email": "ann@shop.example", "created_at": "2026-03-01T10:00:00Z",
                "processed_at": "2026-03-01T10:00:00Z", "updated_at": f"2026-03-{day}T10:00:00Z",
                "total_price": day, "currency": "EUR", "financial_status": "paid",
            }]}  # fmt: skip

        for frame in self.twice(tmp_path, cjm.loaders.shopify, "orders.json", order):
            assert frame[["event", "value"]].to_numpy().tolist() == [["order_placed", Decimal("5.0000")]]

    def test_a_rating_of_zendesk(self, tmp_path):
        def export(day):
            score = {"03": "good", "05": "bad"}[day]
            return {
                "tickets": [{"id": 7, "created_at": "2026-03-01T10:00Z", "requester_id": 1, "subject": ""}],
                "users": [{"id": 1, "external_id": "ann", "role": "end-user", "email": None}],
                "satisfaction_ratings": [{
                    "id": 9, "ticket_id": 7, "requester_id": 1, "score": score,
                    "created_at": "2026-03-02T10:00:00Z", "updated_at": f"2026-03-{day}T10:00:00Z",
                }],
            }  # fmt: skip

        for frame in self.twice(tmp_path, cjm.loaders.zendesk, "export.json", export):
            answers = frame[frame["event"] == "survey_response"]
            assert answers[["score", "customer_id"]].to_numpy().tolist() == [[0, "ann"]]
            assert sorted(frame["event"]) == ["survey_invite", "survey_response", "ticket_created"]

    def test_a_rating_of_intercom(self, tmp_path):
        def export(day):
            at = pd.Timestamp("2026-03-01", tz="UTC").value // 10**9
            given = pd.Timestamp(f"2026-03-{day}", tz="UTC").value // 10**9
            return {"conversations": [{
                "type": "conversation", "id": "7", "created_at": at, "updated_at": given, "state": "closed",
                "source": {"type": "email", "author": {"type": "user", "id": "c1"}},
                "contacts": {"contacts": [{"id": "c1", "external_id": "ann"}]},
                "conversation_rating": {"rating": int(day), "created_at": at, "updated_at": given},
            }]}  # fmt: skip

        for frame in self.twice(tmp_path, cjm.loaders.intercom, "conversations.json", export):
            assert frame["score"].dropna().tolist() == [5]

    def test_an_answer_to_delighted(self, tmp_path):
        def export(day):
            at, changed = (pd.Timestamp(f"2026-03-{one}", tz="UTC").value // 10**9 for one in ("01", day))
            return [{
                "id": "7", "person": {"id": "1", "email": "ann@shop.example"}, "survey_type": "nps",
                "score": int(day), "created_at": at, "updated_at": changed, "comment": None,
            }]  # fmt: skip

        for frame in self.twice(tmp_path, cjm.loaders.delighted, "survey_responses.json", export):
            assert frame["score"].tolist() == [5]

    def test_a_deal_and_an_appointment_of_salesforce(self, tmp_path):
        def export(day):
            row = {
                "Id": "006000000000001AAA", "StageName": "Closed Won", "CloseDate": "2026-03-02",
                "IsClosed": "true", "IsWon": "true", "Amount": day, "AccountId": "001000000000001AAA",
                "CreatedDate": "2026-03-01T10:00:00.000Z",
                "LastModifiedDate": f"2026-03-{day}T10:00:00.000Z",
            }  # fmt: skip
            return f"{','.join(row)}\n{','.join(row.values())}\n"

        for frame in self.twice(tmp_path, cjm.loaders.salesforce, "Opportunity.csv", export):
            assert frame[["event", "value"]].astype(str).to_numpy().tolist() == [
                ["opportunity_created", "nan"], ["opportunity_won", "5.0"],
            ]  # fmt: skip
        meeting = {
            "Id": ["00U1"], "WhoId": ["003000000000001AAA"], "StartDateTime": ["2026-04-05T13:00:00.000Z"],
            "DurationInMinutes": ["60"], "LastModifiedDate": ["2026-03-01T10:00:00.000Z"],
        }  # fmt: skip
        events = ingest(cjm.loaders.salesforce(meeting), now=NOW, progress=False)
        assert events.to_frame()["event"].tolist() == ["meeting"]  # later than its row, and no reject

    def test_a_deal_of_hubspot(self, tmp_path):
        def export(day):
            said = {
                "dealname": "Lamps", "dealstage": "closedwon", "amount": day,
                "createdate": "2026-03-01T10:00:00Z", "closedate": "2026-03-02T10:00:00Z",
                "hs_is_closed_won": "true", "hs_is_closed": "true",
            }  # fmt: skip
            contact = {"contacts": {"results": [{"id": "501", "type": "deal_to_contact"}]}}
            changed = f"2026-03-{day}T10:00:00Z"
            return {"results": [{"id": "7", "properties": said, "associations": contact,
                                 "createdAt": "2026-03-01T10:00:00Z", "updatedAt": changed}]}  # fmt: skip

        for frame in self.twice(tmp_path, cjm.loaders.hubspot, "deals.json", export):
            assert frame[["event", "value"]].astype(str).to_numpy().tolist() == [
                ["deal_created", "nan"], ["deal_won", "5.0"],
            ]  # fmt: skip


class TestEdits:
    """An answer of which a copy said something else is marked, however the copies came in."""

    def answers(self, rng, n):
        """Copies of few answers, most of them equal; one in ten says nothing that could be edited."""
        rows = []
        for place in range(n):
            row = click(
                f"u{rng.integers(5)}", int(rng.integers(6)) * 1440, "answer", seq=place,
                event_id=f"e{rng.integers(12)}", received_at=f"2026-03-1{rng.integers(1, 9)}",
            )  # fmt: skip
            if rng.random() < 0.9:
                row["score"] = float(rng.choice([5, 5, 5, 5, 5, 5, 5, 9]))
            if rng.random() < 0.5:
                row["comment"] = str(rng.choice(["good", "good", "good", "bad"]))
            if rng.random() < 0.05:
                del row["event_id"]
            rows.append(row)
        return rows

    def expected(self, rows):
        """Per event of a customer whether its copies said more than one thing."""
        said = {}
        for row in rows:
            if "event_id" in row:
                name = (row["user_id"], row["event_id"])
                said.setdefault(name, set()).add((row.get("score"), row.get("comment")))
        nothing = {(None, None)}
        return {name: None if one == nothing else len(one) > 1 for name, one in said.items()}

    def found(self, events):
        frame = events.to_frame()
        assert events.report().to_frame()["edited"].sum() == (frame["is_edited"] == True).sum()  # noqa: E712
        named = frame[frame["event_id"].notna()]
        return {
            (one.customer_id, one.event_id): None if pd.isna(one.is_edited) else bool(one.is_edited)
            for one in named.itertuples()
        }

    @pytest.mark.parametrize("seed", range(6))
    def test_they_are_those_that_a_plain_loop_finds(self, seed, tmp_path):
        rng = np.random.default_rng(seed)
        rows = self.answers(rng, int(rng.integers(20, 150)))
        wanted = self.expected(rows)

        def source(some):
            return Rows(some, dedupe=("event_id",), copies="latest", size=int(rng.integers(1, 40)))

        n_partitions = int(rng.integers(1, 4))
        whole = ingest(source(rows), to=tmp_path / "whole", now=NOW, n_partitions=n_partitions)
        assert self.found(whole) == wanted
        assert self.found(ingest(source(rows[::-1]), now=NOW)) == wanted
        order = rng.permutation(len(rows))
        for part in np.array_split(order, int(rng.integers(2, 9))):
            some = source([rows[one] for one in part])
            grown = ingest(some, to=tmp_path / "grown", now=NOW, n_partitions=n_partitions)
            self.found(grown)
        pd.testing.assert_frame_equal(grown.to_frame(), whole.to_frame())
        pd.testing.assert_frame_equal(grown.report().to_frame(), whole.report().to_frame())
        grown.compact(n_partitions=n_partitions)
        assert files_of(tmp_path / "grown") == files_of(tmp_path / "whole")
        assert self.found(cjm.open_events(tmp_path / "grown")) == wanted

    def test_only_where_the_latest_copy_stays(self):
        rows = [
            click("a", 0, event_id="e", received_at=f"2026-03-0{day}", score=float(day)) for day in (8, 9)
        ]
        events = ingest(Rows(rows, dedupe=("event_id",), copies="first"), now=NOW)
        assert "is_edited" not in events.to_frame().columns
        assert events.report().to_frame()["edited"].tolist() == [0]

    def test_an_older_copy_that_comes_late_marks_the_answer_that_is_there(self, tmp_path):
        for day, edited in ((9, False), (8, True), (9, True)):
            row = click("a", 0, event_id="e", received_at=f"2026-03-0{day}", score=float(day))
            events = ingest(Rows([row], dedupe=("event_id",), copies="latest"), to=tmp_path, now=NOW)
            assert events.to_frame()[["score", "is_edited"]].to_numpy().tolist() == [[9, edited]]

    def test_people_who_become_one_bring_their_copies_together(self, tmp_path):
        first = click("a", 0, event_id="e", received_at="2026-03-08", score=8.0)
        second = click("b", 0, event_id="e", received_at="2026-03-09", score=9.0)
        one = {"dedupe": ("event_id",), "copies": "latest"}
        ingest(Rows([first, second], **one), to=tmp_path, now=NOW)
        merge = {"alias": "b", "user_id": "a", "timestamp": pd.Timestamp("2026-03-01"), "kind": "merge"}
        events = ingest(Rows([], links=[merge], **one), to=tmp_path, now=NOW)
        assert events.to_frame()[["score", "is_edited"]].to_numpy().tolist() == [[9, True]]

    def test_a_condition_can_ask_for_it(self):
        rows = [
            click("a", 0, event_id="e", received_at="2026-03-08", score=8.0, instrument="nps"),
            click("a", 0, event_id="e", received_at="2026-03-09", score=9.0, instrument="nps"),
            click("b", 0, event_id="f", received_at="2026-03-09", score=3.0, instrument="nps"),
        ]
        events = ingest(Rows(rows, dedupe=("event_id",), copies="latest"), now=NOW)
        assert "edited" in repr(events.report())
        journeys = cjm.sessionize(events)
        edited = journeys.select(where={"is_edited": True})
        assert edited.to_frame()["customer_id"].tolist() == ["a"]
