"""Which events a match means."""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
import pickle
import re
import time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.matching import compile_match, covered_by, with_codes


def rows_that_fit(spec, table, markers=None):
    return np.flatnonzero(compile_match(spec).mask(table, markers)).tolist()


def texts(*values):
    return pa.table({"event": pa.array(values, pa.string())})


def test_text_is_a_glob_over_the_whole_value():
    table = texts("Order Completed", "Order", "Reorder Completed", None)
    assert rows_that_fit({"event": "Order*"}, table) == [0, 1]
    assert rows_that_fit({"event": "Order"}, table) == [1]
    assert rows_that_fit({"event": "*order Completed"}, table) == [2]


def test_a_glob_tells_upper_and_lower_case_apart():
    assert rows_that_fit({"event": "order"}, texts("order", "Order")) == [0]


def test_a_glob_knows_one_letter_and_sets_of_letters():
    table = texts("a1", "a2", "ax", "a-", "a]", "a")
    assert rows_that_fit({"event": "a?"}, table) == [0, 1, 2, 3, 4]
    assert rows_that_fit({"event": "a[0-9]"}, table) == [0, 1]
    assert rows_that_fit({"event": "a[!0-9]"}, table) == [2, 3, 4]
    assert rows_that_fit({"event": "a[x-]"}, table) == [2, 3]
    assert rows_that_fit({"event": "a[]]"}, table) == [4]


def test_an_open_bracket_without_its_partner_is_itself():
    assert rows_that_fit({"event": "a[b"}, texts("a[b", "ab")) == [0]


def test_letters_with_a_meaning_in_regular_expressions_are_themselves_in_a_glob():
    table = texts("$pageview", "a.b", "axb", "(x)|y", "a\\b", "Größe ✓")
    for row, name in enumerate(table.column("event").to_pylist()):
        assert rows_that_fit({"event": name}, table) == [row]
        assert rows_that_fit({"event": f"{name}*"}, table) == [row]


def test_a_star_crosses_line_breaks():
    assert rows_that_fit({"event": "a*b"}, texts("a\nb", "ab\n")) == [0]


@given(
    st.text(alphabet="ab*?[]!-.", max_size=6),
    st.lists(st.text(alphabet="abAB[]!-.*?\n", max_size=5), min_size=1, max_size=8),
)
@settings(max_examples=400, deadline=None)
def test_globs_agree_with_the_standard_library(glob, values):
    try:
        found = rows_that_fit({"event": glob}, texts(*values))
    except InputError:  # a range that runs backwards, which fnmatch lets pass
        with pytest.raises(InputError, match="runs backwards"):
            compile_match({"event": glob})
        return
    assert found == [row for row, value in enumerate(values) if fnmatch.fnmatchcase(value, glob)]


def test_a_list_means_any_of_these():
    table = texts("a", "b", "c", None)
    assert rows_that_fit({"event": ["a", "c*"]}, table) == [0, 2]
    assert rows_that_fit({"event": ["a", {"re": "^[bc]$"}]}, table) == [0, 1, 2]


def test_a_regular_expression_is_searched_anywhere():
    table = texts("/search?q=a", "/search", "/searching", "/en/search", None)
    assert rows_that_fit({"event": {"re": r"^/search(\?|$)"}}, table) == [0, 1]
    assert rows_that_fit({"event": {"re": "arch"}}, table) == [0, 1, 2, 3]


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.parametrize(
    "pattern",
    [
        r"(?<!a)b", r"(a)\1", r"a{,2}$", r"\bü", r"\d", r"a$", r"^.$", r"\s", r"(?i)STRASSE|ä",
        r"[[:alpha:]]",
        r"(?x) a # comment", r"\w+\Z", "",
    ],
)  # fmt: skip
def test_regular_expressions_mean_what_they_mean_in_python(pattern):
    values = ["ab", "b", "aa", "aaa", "ü", "Ä", "٣", "3", "a\n", "\x1c", "a b", "straße", ":", "", "\u2003"]
    expected = [row for row, value in enumerate(values) if re.search(pattern, value)]
    assert rows_that_fit({"event": {"re": pattern}}, texts(*values)) == expected


def test_no_pattern_takes_long_on_any_text():
    table = texts("a" * 10_000 + "!", "é" + "a" * 10_000 + "!")
    started = time.perf_counter()
    rows_that_fit({"event": "*a*a*a*a*a*a*a*a*b"}, table)
    rows_that_fit({"event": {"nocase": "*a*a*a*a*a*a*a*a*b"}}, table)
    rows_that_fit({"event": {"re": "(a+)+b"}}, table)
    assert time.perf_counter() - started < 5


def test_case_can_be_ignored():
    table = texts("Product Viewed", "product_viewed", "PRODUCT-VIEWED", "Product List Viewed", "ÄRGER")
    assert rows_that_fit({"event": {"nocase": "product?viewed"}}, table) == [0, 1, 2]
    assert rows_that_fit({"event": {"nocase": ["product?viewed", "ärger"]}}, table) == [0, 1, 2, 4]


def test_all_keys_of_a_match_must_hold():
    table = pa.table({"event": ["a", "a", "b"], "channel": ["web", "app", "web"]})
    assert rows_that_fit({"event": "a", "channel": "web"}, table) == [0]


def test_matches_combine():
    table = pa.table({"event": ["a", "b", "c", None], "score": [1, 2, 3, 4]})
    assert rows_that_fit({"any": [{"event": "a"}, {"score": 3}]}, table) == [0, 2]
    assert rows_that_fit({"all": [{"event": ["a", "b"]}, {"score": {"ge": 2}}]}, table) == [1]
    assert rows_that_fit({"not": {"event": "a"}}, table) == [1, 2, 3]
    nested = {"not": {"any": [{"event": "a"}, {"all": [{"event": "b"}, {"not": {"score": 9}}]}]}}
    assert rows_that_fit(nested, table) == [2, 3]
    assert rows_that_fit({"score": {"gt": 1}, "any": [{"event": "a"}, {"event": "b"}]}, table) == [1]


def test_an_empty_match_means_every_event():
    assert rows_that_fit({}, texts("a", None)) == [0, 1]


def test_several_conditions_on_one_value_must_all_hold():
    table = pa.table({"score": [0, 1, 2, 3, None]})
    assert rows_that_fit({"score": {"ge": 1, "lt": 3}}, table) == [1, 2]


def test_numbers_compare():
    table = pa.table({"score": pa.array([1.0, 2.0, 3.0, None, float("nan")])})
    assert rows_that_fit({"score": 2}, table) == [1]
    assert rows_that_fit({"score": {"gt": 1}}, table) == [1, 2]
    assert rows_that_fit({"score": {"le": 2.0}}, table) == [0, 1]
    assert rows_that_fit({"score": {"between": [1, 2]}}, table) == [0, 1]
    assert rows_that_fit({"score": [1, 3]}, table) == [0, 2]


def test_a_missing_value_fits_only_its_absence_not_and_unequal():
    table = pa.table({"score": pa.array([1.0, None, float("nan")]), "event": pa.array(["a", None, "b"])})
    assert rows_that_fit({"score": {"exists": False}}, table) == [1, 2]
    assert rows_that_fit({"score": {"exists": True}}, table) == [0]
    assert rows_that_fit({"score": {"ne": 1}}, table) == [1, 2]
    assert rows_that_fit({"not": {"score": 1}}, table) == [1, 2]
    assert rows_that_fit({"score": {"lt": 5}}, table) == [0]
    assert rows_that_fit({"event": {"ne": "a"}}, table) == [1, 2]
    assert rows_that_fit({"event": "*"}, table) == [0, 2]
    assert rows_that_fit({"event": {"re": ""}}, table) == [0, 2]
    assert rows_that_fit({"event": ["a", {"exists": False}]}, table) == [0, 1]


def test_a_column_of_nothing_is_missing_everywhere():
    table = pa.table({"event": pa.nulls(2)})
    assert rows_that_fit({"event": "*"}, table) == []
    assert rows_that_fit({"event": {"exists": False}}, table) == [0, 1]
    assert rows_that_fit({"event": {"ne": 1}}, table) == [0, 1]


def test_equal_and_unequal_know_no_wildcards():
    table = texts("a*", "ab", None)
    assert rows_that_fit({"event": {"eq": "a*"}}, table) == [0]
    assert rows_that_fit({"event": {"ne": "a*"}}, table) == [1, 2]


def test_truth_values_compare():
    table = pa.table({"is_bot": [True, False, None]})
    assert rows_that_fit({"is_bot": True}, table) == [0]
    assert rows_that_fit({"is_bot": False}, table) == [1]
    assert rows_that_fit({"is_bot": {"ne": True}}, table) == [1, 2]


def test_money_compares_exactly():
    table = pa.table({"value": pa.array([Decimal("19.99"), Decimal("20.00"), None], pa.decimal128(18, 4))})
    assert rows_that_fit({"value": 19.99}, table) == [0]
    assert rows_that_fit({"value": {"ge": 20}}, table) == [1]
    assert rows_that_fit({"value": {"lt": 19.990001}}, table) == [0]


def test_large_whole_numbers_compare_exactly():
    table = pa.table({"src_row": [2**60, 2**60 + 1]})
    assert rows_that_fit({"src_row": 2**60 + 1}, table) == [1]


def test_times_compare():
    stamps = [dt.datetime(2026, 1, day, 12, tzinfo=dt.UTC) for day in (1, 2, 3)]
    table = pa.table({"timestamp": pa.array([*stamps, None], pa.timestamp("us", tz="UTC"))})
    assert rows_that_fit({"timestamp": {"ge": dt.date(2026, 1, 2)}}, table) == [1, 2]
    assert rows_that_fit({"timestamp": stamps[1]}, table) == [1]
    berlin = dt.datetime(2026, 1, 2, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert rows_that_fit({"timestamp": {"le": berlin}}, table) == [0, 1]
    assert rows_that_fit({"timestamp": {"between": ["2026-01-02", "2026-01-03T12:00:00Z"]}}, table) == [1, 2]
    assert rows_that_fit({"timestamp": "2026-01-02*"}, table) == [1]


def test_text_compares_with_a_number_as_what_it_spells():
    table = pa.table({"properties.price": ["5", "12.5", "cheap", None]})
    assert rows_that_fit({"properties": {"price": {"ge": 10}}}, table) == [1]
    assert rows_that_fit({"properties.price": 5}, table) == [0]
    assert rows_that_fit({"properties.price": {"ne": 5}}, table) == [1, 2, 3]
    assert rows_that_fit({"properties.price": {"lt": "2"}}, table) == [1]


def test_text_compares_with_truth_and_times_as_what_it_spells():
    table = pa.table(
        {"customer.vip": ["true", "False", "yes", None], "customer.since": ["2025-06-01", "x", "", None]}
    )
    assert rows_that_fit({"customer": {"vip": True}}, table) == [0]
    assert rows_that_fit({"customer": {"vip": False}}, table) == [1]
    assert rows_that_fit({"customer": {"since": {"ge": dt.date(2025, 1, 1)}}}, table) == [0]


def test_dotted_keys_may_stand_as_nested_tables():
    flat = compile_match({"properties.cart.size": {"ge": 2}, "customer.plan": "pro"})
    nested = compile_match({"properties": {"cart": {"size": {"ge": 2}}}, "customer": {"plan": "pro"}})
    assert flat.columns == nested.columns == {"properties.cart.size", "customer.plan"}


def test_a_property_is_read_from_json_where_the_table_has_no_column_for_it():
    values = [{"cart": {"size": 3}}, {"cart": {"size": 1}}, {"cart.size": 7}, {}]
    table = pa.table({"properties": [json.dumps(one) for one in values]})
    assert rows_that_fit({"properties": {"cart": {"size": {"ge": 2}}}}, table) == [0, 2]


def test_the_json_itself_can_be_searched():
    table = pa.table({"properties": ['{"a": "lamp"}', "{}"]})
    assert rows_that_fit({"properties": {"re": "lamp"}}, table) == [0]


def test_a_marker_is_what_the_caller_says():
    match = compile_match({"marker": "purchase", "event": "a"})
    assert match.markers == {"purchase"}
    assert match.columns == {"event"}
    seen = {"purchase": np.array([True, True, False])}
    assert match.mask(texts("a", "b", "a"), seen).tolist() == [True, False, False]


def test_dictionaries_and_chunks_make_no_difference():
    values = ["a", None, "b", "a", "c"]
    plain = pa.chunked_array([pa.array(values)])
    chunked = pa.chunked_array([pa.array(["a", None]), pa.array([], pa.string()), pa.array(["b", "a", "c"])])
    coded = pa.chunked_array(
        [pa.array(["a", None]).dictionary_encode(), pa.array(["b", "a", "c"]).dictionary_encode()]
    )
    with_null_inside = pa.chunked_array(
        [pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0, 3]), pa.array(["a", None, "b", "c"]))]
    )
    for column in (plain, chunked, coded, with_null_inside, plain.cast(pa.large_string())):
        table = pa.table({"event": column})
        for one in (table, with_codes(table)):
            assert rows_that_fit({"event": ["a", "c"]}, one) == [0, 3, 4]
            assert rows_that_fit({"event": {"ne": "a"}}, one) == [1, 2, 4]
            assert rows_that_fit({"event": {"exists": False}}, one) == [1]


def test_a_table_without_rows_gives_an_empty_mask():
    table = pa.table({"event": pa.array([], pa.string()), "score": pa.array([], pa.float64())})
    match = compile_match({"any": [{"event": "a*"}, {"score": {"gt": 1}}, {"not": {"event": {"re": "x"}}}]})
    assert match.mask(table).tolist() == []
    assert match.mask(with_codes(table)).tolist() == []
    assert match.mask(table.slice(0, 0)).dtype == bool


def test_work_is_done_on_distinct_values():
    started = time.perf_counter()
    table = pa.table(
        {"event": pa.array(["Product Viewed", "Order Completed"] * 1_000_000).dictionary_encode()}
    )
    match = compile_match({"event": {"re": r"(?<=P)roduct"}})
    assert match.mask(table).sum() == 1_000_000
    assert time.perf_counter() - started < 5


def test_a_match_travels_between_processes():
    match = compile_match({"any": [{"event": ["a*", {"re": "b$"}]}, {"not": {"score": {"between": [1, 2]}}}]})
    copy = pickle.loads(pickle.dumps(match))  # noqa: S301 - our own bytes
    table = pa.table({"event": ["ab", "cb", "x"], "score": [1, 1, 3]})
    assert copy == match
    assert (copy.mask(table) == match.mask(table)).all()


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("purchase", "where: a match is a table of conditions, not text ('purchase'). Write, for example,"),
        ({"event": {"nocas": "x"}}, "where.event: 'nocas' is no condition. Did you mean 'nocase'?"),
        ({"event": {}}, "where.event: an empty table says nothing. There are: re, exists"),
        ({"event": []}, "where.event: an empty list fits nothing."),
        ({"event": None}, "where.event: a value is text, a number, true or false, a time or a table, not "),
        ({"event": [["a"]]}, "where.event[0]: a value in a list is text"),
        ({"event": {"re": "("}}, "where.event.re: '(' is no regular expression: missing )"),
        ({"event": {"re": 5}}, "where.event.re: re takes a regular expression as text, not a number (5)."),
        ({"event": "[z-a]"}, "where.event: '[z-a]': the range z-a runs backwards."),
        ({"score": {"between": [5, 1]}}, "between runs from small to large, not from 5 to 1."),
        ({"score": {"between": [5]}}, "between takes a pair, such as [1, 5]."),
        ({"score": {"between": [1, "b"]}}, "between takes two values of one type, not 1 and 'b'."),
        ({"score": {"gt": True}}, "gt compares sizes; true and false have none."),
        ({"score": {"gt": [1]}}, "gt takes one text, number, truth value or time, not a list ([1])."),
        ({"score": {"eq": float("nan")}}, "eq takes one text"),
        ({"score": {"exists": "yes"}}, "exists is true or false, not 'yes'."),
        ({"event": {"nocase": 1}}, "nocase takes text, or a list of texts, not a number (1)."),
        ({"any": {"event": "a"}}, "where.any: any takes a list of matches, with one at least."),
        ({"any": []}, "where.any: any takes a list of matches, with one at least."),
        ({"any": [{"event": "a"}, "b"]}, "where.any[1]: a match is a table of conditions, not text ('b')."),
        ({"not": ["a"]}, "where.not: a match is a table of conditions, not a list"),
        ({"re": "x"}, "where.re: 're' is no column of an event. Write, for example, { event = { re = … } }."),
        ({"": "x"}, "'' is no column of an event."),
        ({"customer": "pro"}, "where.customer: name an attribute."),
        ({"marker": 5}, "where.marker: a marker is named by text, or a list of names."),
    ],
)  # fmt: skip
def test_a_match_that_means_nothing_says_where_and_why(spec, message):
    with pytest.raises(InputError) as caught:
        compile_match(spec)
    assert message in str(caught.value)


def test_all_faults_of_a_match_are_told_at_once():
    with pytest.raises(InputError) as caught:
        compile_match({"event": {"like": "a"}, "any": [{"score": {"gt": True}}]}, where="step 2")
    first, second = str(caught.value).splitlines()
    assert first.startswith("step 2.event: ")
    assert second.startswith("step 2.any[0].score.gt: ")


def test_an_unknown_column_is_told_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"No column named 'evnt'\. Did you mean 'event'"):
        rows_that_fit({"evnt": "a"}, texts("a"))


def test_an_unknown_marker_is_told_with_the_nearest():
    match = compile_match({"marker": "purchas"})
    with pytest.raises(UnknownNameError, match=r"No marker named 'purchas'\. Did you mean 'purchase'"):
        match.mask(texts("a"), {"purchase": np.array([True])})


@pytest.mark.parametrize(
    ("column", "condition", "message"),
    [
        (pa.array([1.5]), {"gt": "many"}, "x > 'many': the column holds numbers."),
        (pa.array([True]), {"eq": 3}, "x = 3: the column holds true and false."),
        (
            pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]),
            {"gt": 3},
            "x > 3: the column holds times. Write one such as",
        ),
        (
            pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]),
            {"gt": "soon"},
            "x > 'soon': the column holds times.",
        ),
        (pa.array([1.5]), {"eq": dt.date(2026, 1, 1)}, "the column holds numbers."),
    ],
)
def test_values_that_cannot_be_compared_are_an_error(column, condition, message):
    with pytest.raises(InputError) as caught:
        rows_that_fit({"x": condition}, pa.table({"x": column}))
    assert message in str(caught.value)


# ── one match inside another ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("narrow", "wide", "covered"),
    [
        ({"event": "a"}, {"event": "a"}, True),
        ({"event": "a"}, {"event": ["b", "a"]}, True),
        ({"event": ["a", "b"]}, {"event": "a"}, False),
        ({"event": "a", "channel": "web"}, {"event": "a"}, True),
        ({"event": "a"}, {"event": "a", "channel": "web"}, False),
        ({"event": "ticket_created"}, {"event": "ticket_*"}, True),
        ({"event": "ticket_*"}, {"event": "t*_*"}, True),
        ({"event": "t*"}, {"event": "t?"}, False),
        ({"event": "t[ab]"}, {"event": "t*"}, True),
        ({"event": "Ab"}, {"event": {"nocase": "a?"}}, True),
        ({"event": {"nocase": "ab"}}, {"event": "ab"}, False),
        ({"event": "a"}, {"event": {"exists": True}}, True),
        ({"event": {"ne": "a"}}, {"event": {"exists": True}}, False),
        ({"event": "abc"}, {"event": {"re": "b"}}, True),
        ({"event": "a"}, {}, True),
        ({}, {"event": "a"}, False),
        ({"any": [{"event": "a"}, {"event": "b"}]}, {"event": ["a", "b", "c"]}, True),
        ({"any": [{"event": "a"}, {"score": 1}]}, {"event": "a"}, False),
        ({"event": "a"}, {"any": [{"score": 1}, {"event": "a"}]}, True),
        ({"not": {"event": "a"}}, {"not": {"event": "a"}}, True),
        ({"event": "b"}, {"not": {"event": "a"}}, False),
        ({"marker": "m"}, {"marker": ["m", "n"]}, True),
        ({"marker": "m"}, {"event": "a"}, False),
        ({"score": {"ge": 3}}, {"score": {"ge": 3}}, True),
        ({"score": {"ge": 3, "le": 5}}, {"score": {"ge": 3}}, True),
    ],
)
def test_what_covers_what(narrow, wide, covered):
    found = covered_by(compile_match(narrow), [compile_match({"event": "other"}), compile_match(wide)])
    assert found == ([1] if covered else [])


def test_several_matches_cover_one_together():
    earlier = [compile_match({"event": "a"}), compile_match({"event": "x"}), compile_match({"event": "b*"})]
    assert covered_by(compile_match({"event": ["a", "bc"]}), earlier) == [0, 2]


_SPECS = st.recursive(
    st.dictionaries(
        st.sampled_from(["event", "channel"]),
        st.sampled_from(
            ["a", "b", "a*", "?", "*", ["a", "b*"], {"ne": "a"}, {"nocase": "A*"}, {"re": "b"},
             {"exists": True},
             {"exists": False}, {"eq": "ab"}],
        ),
        max_size=2,
    ),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=4,
)  # fmt: skip


@given(_SPECS, st.lists(_SPECS, max_size=3))
@settings(max_examples=500, deadline=None)
def test_whatever_is_called_covered_never_occurs(spec, earlier):
    match, before = compile_match(spec), [compile_match(one) for one in earlier]
    values = ["a", "b", "ab", "ba", "A", "AB", None, "c", "a*", "?"]
    table = pa.table(
        {
            "event": [one for one in values for _ in values],
            "channel": [one for _ in values for one in values],
        }
    )
    positions = covered_by(match, before)
    if positions:
        either = np.logical_or.reduce([before[at].mask(table) for at in positions])
        assert not (match.mask(table) & ~either).any()


def _oracle(spec, row):
    """The grammar again, on one row."""
    for key, value in spec.items():
        if key == "any":
            holds = any(_oracle(one, row) for one in value)
        elif key == "all":
            holds = all(_oracle(one, row) for one in value)
        elif key == "not":
            holds = not _oracle(value, row)
        else:
            holds = any(_fits(one, row[key]) for one in (value if isinstance(value, list) else [value]))
        if not holds:
            return False
    return True


def _fits(test, value):  # noqa: PLR0911 - one line per condition
    if isinstance(test, str):
        return value is not None and fnmatch.fnmatchcase(value, test)
    ((operator, operand),) = test.items()
    if operator == "exists":
        return (value is not None) == operand
    if operator == "ne":
        return value != operand
    if value is None:
        return False
    if operator == "eq":
        return value == operand
    if operator == "re":
        return re.search(operand, value) is not None
    return fnmatch.fnmatchcase(value.lower(), operand.lower())


_VALUES = st.sampled_from(["a", "b", "ab", "ba", "A", "AB", "c", None])


@given(_SPECS, st.lists(st.tuples(_VALUES, _VALUES), max_size=12))
@settings(max_examples=500, deadline=None)
def test_masks_equal_the_grammar_read_row_by_row(spec, rows):
    table = pa.table(
        {
            "event": pa.array([event for event, _ in rows], pa.string()),
            "channel": pa.array([channel for _, channel in rows], pa.string()),
        }
    )
    expected = [_oracle(spec, {"event": event, "channel": channel}) for event, channel in rows]
    assert compile_match(spec).mask(table).tolist() == expected
    assert compile_match(spec).mask(with_codes(table)).tolist() == expected
