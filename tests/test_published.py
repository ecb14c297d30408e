"""What other systems and papers find in small logs: the results are theirs."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import InputError
from logs import journeys_of

MINUTE = pd.Timedelta("1 minute")


def rows_of(ways, *, step=1.0):
    """A customer per way; a way is a text of letters, or names; `step` minutes between events."""
    return [
        (f"c{number:03}", step * place, name)
        for number, way in enumerate(ways)
        for place, name in enumerate(way)
    ]


def stored(rows, **columns):
    """The rows by the whole road."""
    frame = pd.DataFrame(rows, columns=["customer", "at", "event", *columns])
    source = cjm.loaders.table(frame, customer="customer", timestamp="at", event="event", tz="UTC", **columns)
    return cjm.sessionize(cjm.ingest(source, now="2040-01-01"))


# Path patterns as Retentioneering 5.2.4 reads them (`matches_pattern`), on 24 ways of five events.

WAYS = """ACDEBCAAA DBCEEEBCDACB ABABC EADACCBBEBA CADA DCCB BEECEDBBDB DDCBDADDB AAAE DDEED ABCEC CEBCACD
DCBCEAD AEEAC CCDEDCBDDDBC CCDEBDBCDCD CDEBCBEAAD BCDDE EAAC ECD DCDBECAEDBEC CCCDBCDAE DAEBAEA EAD"""

PATTERNS = [
    ("D->[B|D]*->path_end", 9),
    ("[A|E]->.*->C->.->C", 3),
    ("B->C->.*->E->[B|E]*->path_end", 2),
    ("path_start->D->[^B]*->path_end", 1),
    ("path_start->[A|B]*->E->A->[^D]*->A->.->[^D]*->path_end", 1),
    ("[A|E]->[^A]*->[^A|C]->[^D]", 15),
    ("path_start->[A|E]->.*->.", 9),
    ("D->[^E]", 14),
    ("B->.*->A->B", 1),
    ("[^A|D]->[D|E]->A", 6),
    ("path_start->.*->D->[A|B]->.*->B", 6),
    ("path_start->.*->E->.*->[C|D]", 16),
    ("[A|D]->[^D|E]", 20),
    ("path_start->.*->D->.->C->.*->path_end", 7),
    (".->[^B]*->[C|E]->A->[^A]", 4),
    ("A->A", 4),
    ("D->.", 16),
    ("[^A]->path_end", 20),
    (".->[B|C]*->A", 16),
    ("[D|E]->A", 11),
    ("[C|D]->B->[^A]*->A->[^D|E]", 2),
    ("path_start->.*->[C|D]->[C|E]*->A->E->.*->E", 2),
    ("path_start->A->.*->B->[^C|E]", 1),
    ("path_start->[^C|D]->.", 11),
    ("A->B->[A|D]", 1),
    ("B->A", 3),
    (".->.*->[^A|D]->B->.*->C", 7),
    (".->[A|B]", 21),
    ("[A|D]->path_end", 11),
    ("path_start->[^A]*->.->[A|D]*->.->[C|D]->.*->B->[^A]*->path_end", 7),
    ("[^A]->.*->A", 15),
    ("A->.*->C", 9),
    ("E->.*->A", 11),
    ("[A|D]->.->[B|C]", 15),
    ("D->.->[B|E]*->A->.*->[A|E]", 1),
    ("A->.*->C->[^A]*->[D|E]->[A|B]*->B", 2),
    ("D->[^C|D]", 14),
    ("path_start->[C|E]*->E", 5),
    (".->E->C->.*->C->path_end", 1),
    ("A->.*->E", 8),
    ("E->[^A]*->A", 11),
    ("A->A->[A|C]->path_end", 2),
    ("E->D", 4),
    ("[^C]->[^B]->C->.*->B", 7),
    ("D->[D|E]", 7),
    ("[B|D]", 21),
    ("path_start->[B|D]*->.->E->[B|E]", 6),
    ("C->.*->E->[A|E]*->A->.*->[A|B]", 1),
    ("[^D]->E->[D|E]*->C", 3),
    ("[C|D]->.*->[^B|E]->[^E]*->C", 9),
    ("A->[C|D]->[A|B]*->D", 3),
    ("D->.*->D->.*->D", 5),
    ("path_start->.->.*->D->A", 5),
    ("B->path_end", 4),
    ("[^B|C]->A->C->[^A|B]", 1),
    ("path_start->.*->[B|C]->path_end", 10),
    ("C->[^A]*->C->A", 3),
    ("path_start->.*->E->.*->A", 11),
    ("path_start->.*->A->B", 2),
    ("B->[B|C]*->.", 16),
]


def translated(pattern):
    return pattern.replace("path_start", "(start)").replace("path_end", "(end)")


@pytest.fixture(scope="module")
def ways():
    return journeys_of(rows_of(WAYS.split()))


@pytest.mark.parametrize(("pattern", "matched"), PATTERNS)
def test_patterns_of_retentioneering(ways, pattern, matched):
    assert cjm.matches(ways, translated(pattern)).to_frame()["matched"].tolist() == [matched]


SHOPPERS = [
    ["promo_view", "purchase", "logout"],
    ["promo_view", "purchase", "purchase"],
    ["promo_view", "purchase", "cancellation"],
]


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("purchase -> cancellation", {2}),
        ("(start) -> .* -> logout -> (end)", {0}),
        ("purchase .. purchase", {1}),  # more than one
        ("(start) -> [^logout]* -> (end)", {1, 2}),  # without it
        ("logout | cancellation", {0, 2}),  # any of them
        ("promo_view -> .* -> purchase", {0, 1, 2}),
        ("(start) -> [^logout|cancellation]* -> (end)", {1}),
        (".{3,}", {0, 1, 2}),
    ],
)
def test_conditions_on_whole_paths_are_patterns(pattern, kept):
    found = journeys_of(rows_of(SHOPPERS)).select(matching=pattern)
    assert {int(name[1:]) for name in found.to_frame()["customer_id"]} == kept


def test_names_with_signs_are_taken_at_their_word():
    journeys = journeys_of(rows_of([["item(1)", "checkout"], ["a.c"], ["abcX"], ["user_search", "basket"]]))
    assert len(journeys.select(matching='"item(1)" -> checkout')) == 1
    assert len(journeys.select(matching='"a.c"')) == 1
    for written, advice in [
        ("item(1) -> checkout", "quotes: 'item(1)'"),
        ("a.c", "quotes: 'a.c'"),
        ("path_start -> checkout", "is written (start)"),
        ("basket -> END", "is written (end)"),
    ]:
        with pytest.raises(cjm.PatternError) as caught:
            journeys.select(matching=written)
        assert advice in str(caught.value)


# Its step matrices and transition graphs: three users, four sessions.

USERS = ["ABCABCBBB", "ABABCC", "BBB"]
SESSIONS = ["ABCABC", "BBB", "ABABCC", "BBB"]
ORDER = ["A", "B", "C"]


def matrix(journeys, names, **options):
    found = cjm.flow(journeys, collapse=False, top=None, **options).steps()
    return found.reindex(names).fillna(0).to_numpy()


@pytest.mark.parametrize(
    ("ways", "options", "names", "expected"),
    [
        (USERS, {"positions": 5}, [*ORDER, "(end)"],
         [[2 / 3, 0, 1 / 3, 1 / 3, 0], [1 / 3, 1, 1 / 3, 1 / 3, 1 / 3], [0, 0, 1 / 3, 0, 1 / 3],
          [0, 0, 0, 1 / 3, 1 / 3]]),
        (SESSIONS, {"positions": 5, "end": "(end)"}, ["(start)", *ORDER],
         [[1 / 2, 1 / 2, 0, 0], [0, 1 / 4, 1 / 4, 0, 0], [1 / 2, 0, 3 / 4, 3 / 4, 1 / 2],
          [0, 1 / 4, 0, 1 / 4, 1 / 2]]),
        (["AB", "CD"], {"positions": 4}, ["A", "B", "C", "D", "(end)"],
         [[0.5, 0, 0], [0, 0.5, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]),
        (["ABCABCBBB", "ABABCC"], {"positions": 3, "around": "C"}, [*ORDER, "(end)"],
         [[1, 0, 0, 0.5, 0], [0, 1, 0, 0, 0.5], [0, 0, 1, 0.5, 0], [0, 0, 0, 0, 0.5]]),
        (["ABCABCBBB", "BBB"], {"positions": 3, "around": "B -> B"}, ["(start)", *ORDER, "(end)"],
         [[0.5, 0.5, 0, 0, 0], [0, 0, 0, 0, 0], [0.5, 0, 0, 1, 0], [0, 0.5, 0, 0, 0], [0, 0, 0, 0, 1]]),
    ],
)  # fmt: skip
def test_step_matrices_of_retentioneering(ways, options, names, expected):
    found = matrix(journeys_of(rows_of(ways)), names, **options)
    for line, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(line[: len(theirs)], theirs, atol=1e-12)


EDGES = ["(start)", *ORDER]


@pytest.mark.parametrize(
    ("ways", "values", "expected"),
    [
        (USERS, "count", [[2, 1, 0, 0], [0, 4, 0, 0], [1, 4, 3, 2], [1, 1, 1, 1]]),
        (SESSIONS, "count", [[2, 2, 0, 0], [0, 4, 0, 0], [1, 4, 3, 2], [1, 0, 1, 2]]),
        (SESSIONS, "journeys", [[2, 2, 0, 0], [0, 2, 0, 0], [1, 2, 2, 2], [1, 0, 1, 2]]),
        (USERS, "share", [[2 / 3, 1 / 3, 0, 0], [0, 1, 0, 0], [0.1, 0.4, 0.3, 0.2], [0.25] * 4]),
        (SESSIONS, "share", [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0.1, 0.4, 0.3, 0.2], [0.25, 0, 0.25, 0.5]]),
    ],
)
def test_transition_graphs_of_retentioneering(ways, values, expected):
    found = cjm.transitions(journeys_of(rows_of(ways))).matrix(values)
    np.testing.assert_allclose(found.loc[EDGES, [*ORDER, "(end)"]].to_numpy(), expected, atol=1e-12)


def test_shares_of_what_enters():
    found = cjm.transitions(journeys_of(rows_of(USERS))).to_frame().set_index(["source", "target"])
    theirs = {("(start)", "A"): 2 / 4, ("(start)", "B"): 1 / 10, ("A", "B"): 4 / 10, ("B", "A"): 1 / 4,
              ("B", "B"): 4 / 10, ("B", "C"): 3 / 4, ("B", "(end)"): 2 / 3, ("C", "A"): 1 / 4,
              ("C", "B"): 1 / 10, ("C", "C"): 1 / 4, ("C", "(end)"): 1 / 3}  # fmt: skip
    assert found["share_in"].to_dict() == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        ("B", "D", ["BCD", "BCD", ""]),
        ("C", "C", ["C", "C", "C"]),
        ("X", "Z", ["", "", "XBCYZ"]),
        ("A", "Z", ["", "", ""]),
        (None, "C", ["ABC", "ABC", "XBC"]),
        ("C", None, ["CDE", "CD", "CYZ"]),
        (None, None, ["ABCDE", "ABCD", "XBCYZ"]),
        ("Z", None, ["", "", "Z"]),
        ("B -> C", "[D|Y]", ["BCD", "BCD", "BCY"]),
    ],
)
def test_paths_are_cut_as_retentioneering_truncates_them(start, end, kept):
    found = journeys_of(rows_of(["ABCDE", "ABCD", "XBCYZ"])).between(start, end).to_frame()
    ways = found.groupby("customer_id")["touchpoint"].agg("".join)
    assert [ways.get(f"c{number:03}", "") for number in range(3)] == kept


@pytest.mark.parametrize(("way", "kept"), [("DCBAE", ""), ("ABCBDBE", "BCBD"), ("BD", "BD"), ("DBAD", "BAD")])
def test_the_end_comes_after_the_first_start(way, kept):
    found = journeys_of(rows_of([way])).between("B", "D")
    assert "".join(found.to_frame()["touchpoint"]) == kept


def test_cut_journeys_say_how_many_events_are_left_out_and_unknown_names_are_told():
    journeys = journeys_of(rows_of(["ABCDE", "ABCD", "XBCYZ"]))
    assert journeys.between("B", "D").accounting["left out by select"] == 8
    with pytest.raises(cjm.UnknownNameError, match="'Q'"):
        journeys.between("Q")


CONVERSIONS = [
    (["YX", "XY"], ["Y", "X"], None, [2, 1]),
    (["ABA", "AB"], ["A", "A"], None, [2, 1]),
    (["AB", "A.B", "A..B"], ["A", "B"], "1 min", [3, 1]),
    (["AB", "A.B", "A..B"], ["A", "B"], "2 min", [3, 2]),
    (["AB", "A.B", "A..B"], ["A", "B"], "3 min", [3, 3]),
    (["AB", "A.B", "A..B"], ["A", "B"], None, [3, 3]),
]


@pytest.mark.parametrize(("ways", "steps", "within", "reached"), CONVERSIONS)
def test_conversions_between_two_events(ways, steps, within, reached):
    journeys = journeys_of(rows_of(ways))
    assert cjm.funnel(journeys, steps, within=within).to_frame()["reached"].tolist() == reached


# MATCH_RECOGNIZE of SQL: row patterns, reluctant, AFTER MATCH SKIP PAST LAST ROW.


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("A", "A"),
        ("A -> B", "AB"),
        ("A -> A", "AA"),
        ("A{2,} -> B", "AA+?B"),
        ("A -> B* -> C", "AB*?C"),
        ("A -> [B|C]+ -> D", "A[BC]+?D"),
        ("A -> [^A]* -> A", "A[^A]*?A"),
        ("A .. B", "A.*?B"),
        ("A .. B .. C", "A.*?B.*?C"),
        ("(A -> B){2}", "(AB){2}"),
        ("(A | B) -> (C | D)", "(A|B)(C|D)"),
        ("(start) -> A -> .* -> B -> (end)", "^A.*?B$"),
        ("(start) -> [^C]* -> (end)", "^[^C]*$"),
        ("A -> B? -> C", "AB??C"),
        ("D -> .{1,2} -> D", "D.{1,2}?D"),
    ],
)
def test_matches_are_those_of_reluctant_row_patterns_that_skip_past_the_last_row(ours, theirs):
    rng = np.random.default_rng(4)
    ways = ["".join(rng.choice(list("ABCD"), rng.integers(1, 15))) for _ in range(150)]
    found = cjm.matches(journeys_of(rows_of(ways)), ours).to_frame()
    counts = [len(list(re.finditer(theirs, way))) for way in ways]
    assert found[["matched", "matches"]].to_numpy()[0].tolist() == [sum(n > 0 for n in counts), sum(counts)]


def test_which_rows_a_match_is():
    """Of matches with one end the shortest: SQL's would begin at the first A, and last 3 minutes."""
    (found,) = cjm.matches(journeys_of(rows_of(["AXAB"])), "A .. B").to_frame().itertuples()
    assert (found.matches, found.median_length / MINUTE, found.median_until / MINUTE) == (1, 1, 3)


# PostHog's paths: links from step to step, with their mean times.


def links(journeys, **options):
    """{(step, source, target): (passes, mean minutes)}, steps from 1."""
    frame = cjm.flow(journeys, top=None, **options).to_frame()
    frame = frame[~frame["source"].isin(["(start)", "(end)"]) & ~frame["target"].isin(["(start)", "(end)"])]
    return {
        (one.position + 1, one.source, one.target): (one.passes, round(one.mean_time / MINUTE, 9))
        for one in frame.itertuples()
    }


def page_views(*people):
    """(minute, name) of each person."""
    return journeys_of(
        [(f"p{number}", minute, name) for number, person in enumerate(people) for minute, name in person]
    )


FOUR = [(0, "/1"), (1, "/2"), (3, "/3"), (6, "/4")]
OTHER = [(0, "/1"), (2, "/2"), (6, "/3")]


@pytest.mark.parametrize(
    ("people", "steps", "expected"),
    [
        ([FOUR], 2, {(1, "/1", "/2"): (1, 1)}),
        ([FOUR], 3, {(1, "/1", "/2"): (1, 1), (2, "/2", "/3"): (1, 2)}),
        ([FOUR], 4, {(1, "/1", "/2"): (1, 1), (2, "/2", "/3"): (1, 2), (3, "/3", "/4"): (1, 3)}),
        ([FOUR, OTHER], 4, {(1, "/1", "/2"): (2, 1.5), (2, "/2", "/3"): (2, 3), (3, "/3", "/4"): (1, 3)}),
        ([[(0, "one"), (1, "two"), (2, "three"), *([(3, "branch")] if number % 2 == 0 else [])]
          for number in range(50)], 5,
         {(1, "one", "two"): (50, 1), (2, "two", "three"): (50, 1), (3, "three", "branch"): (25, 1)}),
        ([[(0, "/"), (7, "/about")], [(0, "/"), (7, "/pricing"), (8, "/about")],
          [(0, "/pricing"), (7, "/")], [(0, "/"), (7, "/pricing")]], 5,
         {(1, "/", "/pricing"): (2, 7), (1, "/", "/about"): (1, 7), (1, "/pricing", "/"): (1, 7),
          (2, "/pricing", "/about"): (1, 1)}),
        ([[(0, "c1"), (1, "c3")], [(0, "c1"), (1, "c2"), (2, "c3")], [(0, "c2"), (1, "c1")],
          [(0, "c1"), (1, "c2")]], 5,
         {(1, "c1", "c2"): (2, 1), (1, "c1", "c3"): (1, 1), (1, "c2", "c1"): (1, 1),
          (2, "c2", "c3"): (1, 1)}),
    ],
)  # fmt: skip
def test_links_of_posthog(people, steps, expected):
    assert links(page_views(*people), positions=steps) == expected


SLASHES = {r"(/.+)/": r"\1"}
VISITS = [["/", "/about/"], ["/", "/pricing/", "/about"], ["/pricing", "/", "/about/"], ["/", "/pricing/"],
          ["/pricing", "/about", "/pricing/", "/help"]]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("/pricing", {(1, "/pricing", "/about"): 2, (1, "/pricing", "/"): 1, (2, "/", "/about"): 1,
                      (2, "/about", "/pricing"): 1, (3, "/pricing", "/help"): 1}),
        ("/", {(1, "/", "/about"): 2, (1, "/", "/pricing"): 2, (2, "/pricing", "/about"): 1}),
    ],
)  # fmt: skip
def test_paths_from_a_start_after_slashes_are_cut_off(start, expected):
    journeys = journeys_of(rows_of(VISITS)).relabel(rename=SLASHES)
    assert {link: passes for link, (passes, _) in links(journeys, start=start).items()} == expected


WAY_IN = [["/1", "/2", "/3", "/4", "/5", "/about", "/after"], ["/5", "/about"],
          ["/3", "/4", "/about", "/after"]]  # fmt: skip


def test_paths_to_an_end_are_counted_back_from_it():
    """There each path is numbered from its own first step; here all from the end: the links are the same."""
    theirs = {("/2", "/3"): 1, ("/3", "/4"): 2, ("/4", "/5"): 1, ("/5", "/about"): 2, ("/4", "/about"): 1}
    found = {}
    for (_, source, target), (passes, _) in links(
        journeys_of(rows_of(WAY_IN)), positions=5, end="/about"
    ).items():
        found[source, target] = found.get((source, target), 0) + passes
    assert found == theirs


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (5, {(1, "/2", "/3"): 1, (2, "/3", "/4"): 1, (3, "/4", "/5"): 1, (4, "/5", "/about"): 1,
             (1, "/5", "/about"): 1, (1, "/3", "/4"): 1, (2, "/4", "/about"): 1}),
        (2, {(1, "/5", "/about"): 2, (1, "/4", "/about"): 1}),
        (9, {(1, "/1", "/2"): 1, (2, "/2", "/3"): 1, (3, "/3", "/4"): 1, (4, "/4", "/5"): 1,
             (5, "/5", "/about"): 1, (1, "/5", "/about"): 1, (1, "/3", "/4"): 1, (2, "/4", "/about"): 1}),
    ],
)  # fmt: skip
def test_the_last_steps_before_an_end_numbered_from_the_first_of_them(steps, expected):
    journeys = journeys_of(rows_of(WAY_IN)).between(end="/about", last=steps)
    found = links(journeys, positions=max(steps, 2))
    assert {link: passes for link, (passes, _) in found.items()} == expected
    with pytest.raises(InputError, match="last=0"):
        journeys.between(last=0)


def heavy(frame, *, least=None, most=None, limit=None):
    """PostHog's weight and number of links: by passes, most first."""
    frame = frame.sort_values("passes", ascending=False, kind="stable")
    fits = (frame["passes"] >= (least or 0)) & (frame["passes"] <= (most or np.inf))
    kept = frame[fits].head(limit)
    return {(one.source, one.target): one.passes for one in kept.itertuples()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {("/1", "/2"): 5, ("/2", "/3"): 4, ("/1", "/4"): 2, ("/5", "/2"): 1}),
        ({"least": 2}, {("/1", "/2"): 5, ("/2", "/3"): 4, ("/1", "/4"): 2}),
        ({"least": 2, "most": 4}, {("/2", "/3"): 4, ("/1", "/4"): 2}),
        ({"limit": 2}, {("/1", "/2"): 5, ("/2", "/3"): 4}),
    ],
)
def test_links_of_a_weight_are_rows_of_the_frame(options, expected):
    """Nothing is cut off before it is counted: which links to look at is a question to the table."""
    ways = [["/1", "/2", "/3"]] * 3 + [["/1", "/2"]] * 2 + [["/1", "/4"]] * 2 + [["/5", "/2", "/3"]]
    frame = cjm.flow(journeys_of(rows_of(ways)), top=None).to_frame()
    assert heavy(frame[frame["target"] != "(end)"], **options) == expected


FUNNEL = [["step one", "a", "step two", "b", "step three"], ["step one", "c", "step two"], ["step one", "d"],
          ["a", "step one", "step two", "step three"]]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('(start) -> .* -> "step two"', {("step one", "a"): 1, ("a", "step two"): 1, ("step one", "c"): 1,
                                          ("c", "step two"): 1, ("a", "step one"): 1,
                                          ("step one", "step two"): 1}),
        ('"step one" .. "step two"', {("step one", "a"): 1, ("a", "step two"): 1, ("step one", "c"): 1,
                                         ("c", "step two"): 1, ("step one", "step two"): 1}),
        ('"step two" .. "step three"', {("step two", "b"): 1, ("b", "step three"): 1,
                                            ("step two", "step three"): 1}),
    ],
)  # fmt: skip
def test_paths_up_to_a_step_of_a_funnel_and_between_two(pattern, expected):
    """PostHog's funnel paths: what comes before a step, and what lies between two of them."""
    journeys = journeys_of(rows_of(FUNNEL))
    first, _, last = pattern.rpartition(" .. ")
    cut = journeys.between(first, last) if first else journeys.between(end=pattern)
    found = {}
    for (_, source, target), (passes, _) in links(cut).items():
        found[source, target] = found.get((source, target), 0) + passes
    assert found == expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("/5", {(1, "/5", "/about"): (2, 1)}),
        ("/2", {(1, "/2", "/3"): (1, 1), (2, "/3", "/4"): (1, 1), (3, "/4", "/5"): (1, 1),
                (4, "/5", "/about"): (1, 1)}),
    ],
)  # fmt: skip
def test_paths_between_a_start_and_an_end(start, expected):
    assert links(journeys_of(rows_of(WAY_IN)), start=start, end="/about") == expected


MIXED = [
    (0, "/1"),
    (1, "/2"),
    (3, "/3"),
    (4, "/s1"),
    (5, "/s2"),
    (7, "/s3"),
    (8, "/c1"),
    (9, "/c2"),
    (11, "/c3"),
]


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        ([], {(1, "/1", "/2"): (1, 1), (2, "/2", "/3"): (1, 2), (3, "/3", "/s1"): (1, 1),
              (4, "/s1", "/s2"): (1, 1), (5, "/s2", "/s3"): (1, 2), (6, "/s3", "/c1"): (1, 1),
              (7, "/c1", "/c2"): (1, 1), (8, "/c2", "/c3"): (1, 2)}),
        (["/c*"], {(1, "/1", "/2"): (1, 1), (2, "/2", "/3"): (1, 2), (3, "/3", "/s1"): (1, 1),
                   (4, "/s1", "/s2"): (1, 1), (5, "/s2", "/s3"): (1, 2)}),
        (["/s*", "/c1", "/c3"], {(1, "/1", "/2"): (1, 1), (2, "/2", "/3"): (1, 2), (3, "/3", "/c2"): (1, 6)}),
    ],
)  # fmt: skip
def test_left_out_events_make_neighbours_of_those_beside_them(hidden, expected):
    journeys = page_views(MIXED)
    assert links(journeys.relabel(hide=hidden) if hidden else journeys, positions=10) == expected


BARS = [["/1", "/2/bar/1/foo", "/3"], ["/1", "/bar/2/foo", "/3"], ["/1", "/bar/33/foo", "/3"]]


def test_wildcards_gather_names_and_leave_them_out():
    journeys = journeys_of(rows_of(BARS)).relabel(group=["*/bar/*/foo"])
    assert links(journeys) == {(1, "/1", "*/bar/*/foo"): (3, 1), (2, "*/bar/*/foo", "/3"): (3, 1)}
    assert links(journeys.relabel(hide="*/bar/*/foo")) == {(1, "/1", "/3"): (3, 2)}
    named = journeys_of(rows_of(BARS)).relabel(group={"*/bar/*/foo": "a bar"})
    assert links(named) == {(1, "/1", "a bar"): (3, 1), (2, "a bar", "/3"): (3, 1)}


def test_a_silence_of_half_an_hour_ends_a_path():
    days = ["2012-01-01", "2012-01-02"]
    rows = [
        ("p", f"{day} 03:{minute}:54", name)
        for day, minutes in zip(days, [(21, 22, 24), (21, 22, 26)], strict=True)
        for minute, name in zip(minutes, ["/1", "/2", "/3"], strict=True)
    ]
    assert links(stored(rows), unit="session") == {(1, "/1", "/2"): (2, 1), (2, "/2", "/3"): (2, 3)}


def test_direct_repeats_are_one_step():
    people = [[(0, "/1"), (1 / 3, "/1"), (1, "/2"), (4 / 3, "/2"), (10 / 3, "/3")], OTHER]
    found = {link: passes for link, (passes, _) in links(page_views(*people)).items()}
    assert found == {(1, "/1", "/2"): 2, (2, "/2", "/3"): 2}


@pytest.mark.parametrize(
    ("step", "name", "arrive", "drop_off"), [(2, "two", 35, 5), (3, "three", 30, 10), (4, "four", 20, 20)]
)
def test_who_drops_off_after_a_step(step, name, arrive, drop_off):
    names = ["one", "two", "three", "four"]
    journeys = journeys_of(rows_of([names[:2]] * 5 + [names[:3]] * 10 + [names] * 20))
    frame = cjm.flow(journeys, positions=6).to_frame()
    here = frame[(frame["position"] == step - 1) & (frame["source"] == name)]
    assert here["passes"].sum() == arrive
    assert here[here["target"] == "(end)"]["passes"].sum() == drop_off


# The six cases of van der Aalst's running example, as PM4Py counts them.

CASES = """
3 reg 30 14:32;3 cas 30 15:06;3 tic 30 16:34;3 dec 37 09:18;3 rei 37 12:18;3 tho 37 13:06
3 tic 39 11:43
3 dec 40 09:55;3 pay 46 10:45;2 reg 30 11:32;2 tic 30 12:12;2 cas 30 14:16;2 dec 36 11:22;2 pay 39 12:05
1 reg 30 11:02;1 tho 31 10:06;1 tic 36 15:12;1 dec 37 11:18;1 rej 38 14:24;6 reg 37 15:02;6 cas 37 16:06
6 tic 38 16:22;6 dec 38 16:52;6 pay 47 11:47;5 reg 37 09:02;5 cas 38 10:16;5 tic 39 11:22;5 dec 41 13:28
5 rei 42 16:18;5 tic 45 14:33;5 cas 47 15:50;5 dec 50 11:18;5 rei 51 12:48;5 cas 52 09:06;5 tic 52 11:34
5 dec 54 13:12;5 rej 55 14:56;4 reg 37 15:02;4 tic 38 12:06;4 tho 39 14:43;4 dec 40 12:02;4 rej 43 15:44"""

FOLLOWS = {  # how often, mean and median seconds
    "cas dec": (2, 375_420, 375_420), "cas tic": (4, 47_970, 48_120), "dec pay": (3, 514_160, 521_400),
    "dec rei": (3, 66_400, 91_800), "dec rej": (3, 154_240, 97_560), "reg cas": (3, 32_240, 3_840),
    "reg tho": (1, 83_040, 83_040), "reg tic": (2, 39_120, 39_120), "rei cas": (1, 73_080, 73_080),
    "rei tho": (1, 2_880, 2_880), "rei tic": (1, 252_900, 252_900), "tho dec": (1, 76_740, 76_740),
    "tho tic": (2, 309_090, 309_090), "tic cas": (2, 92_430, 92_430), "tic dec": (6, 181_960, 129_300),
    "tic tho": (1, 95_820, 95_820),
}  # fmt: skip

VARIANTS = ["reg tho tic dec rej", "reg tic cas dec pay", "reg cas tic dec rei tho tic dec pay",
            "reg tic tho dec rej", "reg cas tic dec rei tic cas dec rei cas tic dec rej",
            "reg cas tic dec pay"]  # fmt: skip


@pytest.fixture(scope="module")
def requests():
    rows = [one.split() for one in CASES.strip().replace("\n", ";").split(";")]
    return stored(
        [
            (
                case,
                str(pd.Timestamp("2010-11-30") + pd.Timedelta(days=int(day)) + pd.Timedelta(f"{at}:00")),
                name,
            )
            for case, name, day, at in rows
        ]
    )


@pytest.mark.parametrize("pair", FOLLOWS)
def test_what_directly_follows_in_the_running_example(requests, pair):
    frame = cjm.transitions(requests).to_frame().set_index(["source", "target"])
    here = frame.loc[tuple(pair.split())]
    seconds = (here["mean_time"].total_seconds(), here["median_time"].total_seconds())
    assert (here["count"], *seconds) == FOLLOWS[pair]


def test_starts_ends_variants_durations_and_rework_of_the_running_example(requests):
    frame = cjm.transitions(requests).to_frame()
    counts = {(one.source, one.target): one.count for one in frame.itertuples()}
    edges = {pair: n for pair, n in counts.items() if {"(start)", "(end)"} & set(pair)}
    assert edges == {("(start)", "reg"): 6, ("rej", "(end)"): 3, ("pay", "(end)"): 3}
    assert len(counts) == len(FOLLOWS) + 3
    found = cjm.paths(requests, top=None, collapse=False)
    assert sorted(" ".join(path) for path in found.sequences) == sorted(VARIANTS)
    assert found.to_frame()["share"].tolist() == pytest.approx([1 / 6] * 6)
    durations = requests.cases()["duration"].dt.total_seconds()
    assert sorted(durations) == [520_920, 703_320, 779_580, 852_300, 1_368_780, 1_576_440]
    again = cjm.rework(requests).to_frame().set_index("name")["again"]
    assert again[again > 0].to_dict() == {"cas": 1, "dec": 2, "rei": 1, "tic": 2}


# Sequential patterns: PrefixSpan-py's examples, and the closed ones of BIDE's paper.

NUMBERS = ["01234", "11134", "21220", "11122"]
FREQUENT = {"0": 2, "1": 4, "12": 3, "122": 2, "13": 2, "134": 2, "14": 2, "11": 2, "111": 2, "2": 3, "22": 2,
            "3": 2, "34": 2, "4": 2}  # fmt: skip
LETTERS = ["CAABC", "ABCB", "CABC", "ABBCA"]
ALL = {"C": 4, "CA": 3, "CAB": 2, "CABC": 2, "CAC": 2, "CB": 3, "CBC": 2, "CC": 2, "A": 4, "AA": 2, "AB": 4,
       "ABC": 4, "ABB": 2, "AC": 4, "B": 4, "BC": 4, "BB": 2}  # fmt: skip


def mined(ways, **options):
    found = cjm.subsequences(
        journeys_of(rows_of(ways)),
        **{"min_length": 1, "max_length": 6, "top": None, "collapse": False, **options},
    )
    frame = found.to_frame()
    return {
        text.replace(" .. ", ""): n for text, n in zip(frame["subsequence"], frame["journeys"], strict=True)
    }


@pytest.mark.parametrize(
    ("ways", "options", "expected"),
    [
        (NUMBERS, {"min_share": 0.5, "closed": False}, FREQUENT),
        (NUMBERS, {"min_share": 0.5, "closed": False, "max_length": 2},
         {one: n for one, n in FREQUENT.items() if len(one) <= 2}),
        (LETTERS, {"min_share": 0.5, "closed": False}, ALL),
        (LETTERS, {"min_share": 0.75, "closed": False}, {one: n for one, n in ALL.items() if n >= 3}),
        (LETTERS, {"min_share": 0.5}, {"AA": 2, "ABB": 2, "ABC": 4, "CA": 3, "CABC": 2, "CB": 3}),
    ],
)  # fmt: skip
def test_frequent_sequences(ways, options, expected):
    assert mined(ways, **options) == expected


# Attribution as ChannelAttribution 2.2.5 divides it: ways, conversions, their value, ways to nothing.

WAYS_OF_CHANNELS = [
    ("ad mail ad seo", 6, 90.0, 10), ("mail", 3, 30.0, 21), ("seo seo mail", 2, 50.0, 4), ("ad", 4, 20.0, 40),
    ("social ad mail mail seo ad", 5, 175.0, 3), ("seo social", 0, 0.0, 9), ("social mail ad", 7, 49.0, 2),
    ("mail seo mail seo", 1, 80.0, 6),
]  # fmt: skip

HEURISTICS = {
    "first": ([10, 4, 2, 12], [110, 110, 50, 224]),
    "last": ([16, 5, 7, 0], [244, 80, 170, 0]),
    "linear": ([11, 9.666667, 4.166667, 3.166667], [139.666667, 183.833333, 125, 45.5]),
}

STEPS = {
    ("(start)", "ad"): 0.4878048780487805, ("(start)", "mail"): 0.25203252032520324,
    ("(start)", "seo"): 0.12195121951219512, ("(start)", "social"): 0.13821138211382114,
    ("ad", "mail"): 0.2376237623762376, ("ad", "seo"): 0.15841584158415842,
    ("ad", "(goal)"): 0.15841584158415842, ("ad", "(end)"): 0.44554455445544555,
    ("mail", "ad"): 0.29411764705882354, ("mail", "(goal)"): 0.058823529411764705,
    ("mail", "(end)"): 0.29411764705882354, ("mail", "mail"): 0.09411764705882353,
    ("mail", "seo"): 0.25882352941176473, ("seo", "(goal)"): 0.11864406779661017,
    ("seo", "(end)"): 0.2711864406779661, ("seo", "seo"): 0.1016949152542373,
    ("seo", "mail"): 0.22033898305084745, ("seo", "ad"): 0.13559322033898305,
    ("seo", "social"): 0.15254237288135594, ("social", "ad"): 0.3076923076923077,
    ("social", "(end)"): 0.34615384615384615, ("social", "mail"): 0.34615384615384615,
}  # fmt: skip

SIMULATED = {  # 30 million simulated ways
    "ad": (12.061125, 197.236745, 0.762685), "mail": (7.546646, 132.016587, 0.477212),
    "seo": (6.250280, 128.598891, 0.395236), "social": (2.141949, 36.147778, 0.135446),
}  # fmt: skip


@pytest.fixture(scope="module")
def channels():
    rows, customer = [], 0
    for way, conversions, value, others in WAYS_OF_CHANNELS:
        for number in range(conversions + others):
            customer += 1
            touches = [(f"c{customer:03}", place, name, None) for place, name in enumerate(way.split())]
            rows += touches
            if number < conversions:
                rows.append((f"c{customer:03}", len(touches), "buy", value / conversions))
    return journeys_of(pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "value"]), goal="buy")


def credited(channels, model, **options):
    found = cjm.attribution(
        channels, by="touchpoint", model=model, transform="none", bootstrap=0, **options
    ).to_frame()
    return found.set_index("touchpoint").loc[["ad", "mail", "seo", "social"]]


@pytest.mark.parametrize("model", HEURISTICS)
def test_heuristics_of_channel_attribution(channels, model):
    found, (conversions, values) = credited(channels, model), HEURISTICS[model]
    assert found["conversions"].tolist() == pytest.approx(conversions, abs=1e-6)
    assert found["value"].tolist() == pytest.approx(values, abs=1e-5)


def test_transition_matrix_of_channel_attribution(channels):
    found = cjm.markov(channels, collapse=False, bootstrap=0).next()
    ours = dict(zip(zip(found["source"], found["target"], strict=True), found["probability"], strict=True))
    assert ours == pytest.approx(STEPS, abs=1e-12)


@pytest.mark.parametrize("name", SIMULATED)
def test_removal_effects_are_near_those_that_it_simulates(channels, name):
    found = credited(channels, "markov").loc[name]
    assert (found["conversions"], found["value"], found["removal_effect"]) == pytest.approx(
        SIMULATED[name], rel=0.004
    )


@pytest.mark.parametrize("order", [1, 2, 3])
def test_any_order_gives_all_conversions_and_all_value_away(channels, order):
    found = credited(channels, "markov", order=order)
    assert (found["conversions"].sum(), found["value"].sum()) == pytest.approx((28, 494))


# What pictures say of many names.


def test_pictures_count_all_names_also_those_that_are_gathered():
    journeys = journeys_of(rows_of([["a", "b"]] * 9 + [[f"rare {number}"] for number in range(9)]))
    for kind in ("heatmap", "graph"):
        figure = cjm.transitions(journeys, min_share=0.2).plot(kind)
        assert "of 11 names" in str(figure.to_dict())


def test_names_without_phases_and_other_have_different_colours():
    journeys = journeys_of(rows_of([["a", "b"]] * 9 + [["c"], ["d"]]))
    (arcs,) = cjm.flow(journeys, top=1).plot("sunburst").data
    colour = dict(zip(arcs.labels, arcs.marker.colors, strict=True))
    assert len({colour["a"], colour["other"], colour["(end)"]}) == 3


def test_a_picture_of_no_frequent_sequence_says_so():
    found = cjm.subsequences(journeys_of(rows_of(["AB", "CD"])), min_share=1.0)
    assert "None is frequent enough." in str(found.plot().to_dict())
