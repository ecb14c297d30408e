"""PostHog: whose ids are whose, by calls and by the model persons; surveys as answers and invites."""

from __future__ import annotations

import json

import pytest

from cjm_analytics import UnknownNameError, ingest
from cjm_analytics.loaders import posthog
from test_loader_matrix import read, seen, text_of

D1, D2 = "018ed910-3b24-4000-83fd-d51c59aa74b1", "018ed910-3b24-4000-83fd-d51c59aa74b2"


def event(number, name, distinct, **properties):
    return {"uuid": f"e{number}", "event": name, "distinct_id": distinct,
            "timestamp": f"2025-03-30T01:00:{number:02}Z", "properties": properties}  # fmt: skip


def person(distinct, of, version=0, **more):
    return {"distinct_id": distinct, "person_id": of, "person_distinct_id_version": version, **more}


def export(folder, events, persons=(), *, as_text=False):
    rows = [{**one, "properties": json.dumps(one["properties"])} if as_text else one for one in events]
    (folder / "events.jsonl").write_text(text_of(rows, "events.jsonl"))
    if persons:
        (folder / "persons.jsonl").write_text(text_of(list(persons), "persons.jsonl"))
    return folder


def links(batch):
    return {tuple(one[name] for name in ("alias", "user_id", "kind")) for one in batch.links.to_pylist()}


def customers(path):
    frame = ingest(posthog(path), now="2026-01-01", progress=False).to_frame()
    return dict(zip(frame["event_id"], frame["customer_id"], strict=True))


def test_of_copies_the_one_that_was_inserted_last_stays(tmp_path):
    first = {**event(1, "$pageview", "ann", plan="free"), "created_at": "2025-03-30T01:01:00Z"}
    rows = [
        {**first, "properties": {"plan": plan}, "_inserted_at": f"2025-03-30T02:00:{second}Z"}
        for plan, second in (("trial", 10), ("pro", 50), ("basic", 30))
    ]
    events = ingest(
        posthog(export(tmp_path, [first, *rows]), keep=["plan"]), now="2026-01-01", progress=False
    )
    assert events.to_frame()["plan"].tolist() == ["pro"]
    assert events.report().to_frame()[["read", "duplicates"]].to_numpy().tolist() == [[4, 3]]


class TestIds:
    @pytest.mark.parametrize(
        ("distinct", "properties", "ids"),
        [
            (D1, {}, (D1, None)),
            ("ann", {}, (None, "ann")),
            ("d9", {"$device_id": "d9"}, ("d9", None)),
            ("ann", {"$device_id": D1}, (D1, "ann")),
            (D1, {"$device_id": D2, "$is_identified": True}, (D2, D1)),
            (D1, {"$user_id": "ann"}, (D1, "ann")),
        ],
    )
    def test_an_id_is_a_devices_unless_something_says_otherwise(self, distinct, properties, ids, tmp_path):
        batch = read(posthog(export(tmp_path, [event(1, "$pageview", distinct, **properties)])))
        assert [tuple(one.values()) for one in seen(batch, "anonymous_id", "user_id")] == [ids]

    def test_identify_joins_what_was_anonymous(self, tmp_path):
        events = [
            event(1, "$pageview", D1),
            event(2, "$identify", "ann", **{"$anon_distinct_id": D1, "$set": {"email": "Ann@example.com"}}),
            event(3, "$pageview", "ann"),
        ]
        batch = read(posthog(export(tmp_path, events)))
        assert (D1, "ann", None) in links(batch)
        assert ("email:ann@example.com", "ann", None) in links(batch)
        assert (batch.events.num_rows, batch.n_excluded) == (2, 1)
        assert customers(tmp_path) == {"e1": "ann", "e3": "ann"}

    @pytest.mark.parametrize("name", ["$create_alias", "$merge_dangerously"])
    @pytest.mark.parametrize(
        ("alias", "distinct", "joined"),
        [
            (D1, "ann", (D1, "ann", None)),
            ("ann", D1, (D1, "ann", None)),
            ("a7", "ann", ("a7", "ann", "merge")),
        ],
    )
    def test_an_alias_may_be_said_either_way(self, name, alias, distinct, joined, tmp_path):
        events = [
            event(1, "$pageview", alias),
            event(2, name, distinct, alias=alias),
            event(3, "x", distinct),
        ]
        assert joined in links(read(posthog(export(tmp_path, events))))
        assert len(set(customers(tmp_path).values())) == 1

    def test_a_property_that_is_called_alias_joins_nobody(self, tmp_path):
        events = [event(1, "renamed", "ann", alias="bob", **{"$anon_distinct_id": D1}), event(2, "x", "bob")]
        batch = read(posthog(export(tmp_path, events)))
        assert links(batch) == set()
        assert len(set(customers(tmp_path).values())) == 2

    def test_persons_join_ids_that_no_call_in_the_export_joins(self, tmp_path):
        events = [event(n, "$pageview", one) for n, one in enumerate([D1, D2, "ann", "a7", "bob"])]
        persons = [person(one, "p1") for one in (D1, D2, "ann", "a7")] + [person("bob", "p2")]
        export(tmp_path, events, persons)
        assert links(read(posthog(tmp_path))) == {
            (D1, "a7", None), (D2, "a7", None), ("ann", "a7", "merge"),
        }  # fmt: skip
        found = customers(tmp_path)
        assert len({found[f"e{n}"] for n in range(4)}) == 1
        assert found["e4"] == "bob"

    def test_two_devices_of_a_person_whom_nobody_knows_are_one_customer(self, tmp_path):
        events = [event(1, "$pageview", D1), event(2, "$pageview", D2)]
        export(tmp_path, events, [person(D1, "p1"), person(D2, "p1")])
        assert len(set(customers(tmp_path).values())) == 1

    def test_the_last_version_of_an_id_says_whose_it_is(self, tmp_path):
        events = [event(1, "$pageview", D1), event(2, "x", "ann"), event(3, "x", "bob")]
        persons = [
            person(D1, "p1", 10), person(D1, "p2", 9), person("ann", "p1"), person("bob", "p2"),
            person(D1, "p2", "2.0"),
        ]  # fmt: skip
        export(tmp_path, events, persons)
        found = customers(tmp_path)
        assert found["e1"] == found["e2"] != found["e3"]

    def test_ids_that_were_deleted_and_rows_of_no_use_join_nobody(self, tmp_path):
        persons = [
            person(D1, "p1", 1, is_deleted=True), person("ann", "p1"), person("bob", "p2", "new"),
            person(None, "p1"),
        ]  # fmt: skip
        batch = read(posthog(export(tmp_path, [event(1, "$pageview", D1)], persons)))
        assert links(batch) == set()
        assert batch.rejects.num_rows == 2

    def test_the_last_version_of_a_person_says_what_is_known(self, tmp_path):
        about = [{"email": "Ann@example.com", "$geoip_country_name": land} for land in ("Peru", "Chile")]
        persons = [
            person("ann", "p1", person_version=10, properties=json.dumps(about[1])),
            person(D1, "p1", person_version=9, properties=about[0]),
        ]
        batch = read(posthog(export(tmp_path, [event(1, "$pageview", D1)], persons)))
        assert [(one["attribute"], one["value"]) for one in batch.customers.to_pylist()] == [
            ("country", "Chile")
        ]
        assert ("email:ann@example.com", "ann", None) in links(batch)


NPS = "How likely are you to recommend us to a friend?"
ASKED = [{"id": "q1", "question": NPS}, {"id": "q2", "question": "Why?"}]


class TestSurveys:
    @pytest.mark.parametrize("as_text", [False, True])
    @pytest.mark.parametrize(
        "answers",
        [
            {"$survey_response": "9", "$survey_response_1": "quick"},
            {"$survey_response_q1": 9, "$survey_response_q2": "quick"},
            {"$survey_response": 9, "$survey_response_q1": 9, "$survey_response_q2": "quick",
             "$survey_response_1": "quick"},
        ],
    )  # fmt: skip
    def test_what_was_sent_is_an_answer_and_what_was_shown_an_invite(self, answers, as_text, tmp_path):
        events = [
            event(1, "survey shown", "ann", **{"$survey_id": "s1"}),
            event(2, "survey sent", "ann", **{"$survey_id": "s1", "$survey_questions": ASKED, **answers}),
            event(3, "survey dismissed", "bob", **{"$survey_id": "s1"}),
            event(4, "$pageview", "ann"),
        ]
        path = export(tmp_path, events, as_text=as_text)
        columns = (
            "event",
            "source_kind",
            "actor",
            "survey_id",
            "instrument",
            "score",
            "score_max",
            "comment",
        )
        assert [tuple(one.values()) for one in seen(read(posthog(path, scores={"s1": "nps"})), *columns)] == [
            ("survey_invite", "survey", "company", "s1", "nps", None, None, None),
            ("survey_response", "survey", "customer", "s1", "nps", "9.0", "10.0", "quick"),
            ("survey dismissed", "clickstream", "customer", "s1", None, None, None, None),
            ("$pageview", "clickstream", "customer", None, None, None, None, None),
        ]

    def test_a_scale_is_known_by_the_question_or_said(self, tmp_path):
        answers = {"$survey_id": "s1", "$survey_name": "After the order", "$survey_response": 4}
        plain = export(tmp_path, [event(1, "survey sent", "ann", **answers)])
        for scores, wanted in (
            (None, (None, None, None)),
            ({"s1": "csat"}, ("csat", "4.0", "5.0")),
            ({"After the order": ("effort", 1, 7)}, ("effort", "4.0", "7.0")),
            ({"0": "stars"}, ("stars", "4.0", "5.0")),
        ):
            (found,) = seen(read(posthog(plain, scores=scores)), "instrument", "score", "score_max")
            assert tuple(found.values()) == wanted
        with pytest.raises(UnknownNameError, match="Did you mean 'csat'"):
            posthog(plain, scores={"s1": "csatt"})

    def test_answers_that_are_no_rating_stay_in_properties(self, tmp_path):
        questions = [{"id": "a", "question": "Which?"}, {"id": "b", "question": "How many employees?"}]
        told = {"$survey_id": "s1", "$survey_questions": questions, "$survey_response_a": ["x", "y"],
                "$survey_response_b": 250}  # fmt: skip
        batch = read(posthog(export(tmp_path, [event(1, "survey sent", "ann", **told)])))
        (found,) = batch.events.to_pylist()
        assert (found["event"], found.get("score"), found.get("comment")) == ("survey_response", None, None)
        assert json.loads(found["properties"])["$survey_response_b"] == 250

    def test_robots_are_told_by_the_user_agent(self, tmp_path):
        agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
        batch = read(posthog(export(tmp_path, [event(1, "$pageview", D1, **{"$raw_user_agent": agent})])))
        assert batch.events["is_bot"].to_pylist() == [True]
