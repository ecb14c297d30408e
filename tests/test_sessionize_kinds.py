"""Kinds of events: rules run once per distinct combination of what they read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cjm_analytics.errors import UnknownNameError
from cjm_analytics.meaning import _distinct_rows, meaning_of
from cjm_analytics.model import JourneyModel
from cjm_analytics.sessionizer import sessionize
from logs import events_of


def rule(match):
    return JourneyModel.from_dict({
        "phase": [{"id": "before", "stages": ["look"]}],
        "touchpoint": [{"id": "found", "stage": "look", "match": match}],
    })  # fmt: skip


def found(rows, match, **options):
    frame = sessionize(events_of(rows, **options), rule(match)).to_frame()
    return (frame["touchpoint"] == "found").tolist()


@pytest.mark.parametrize("kernel", ["distinct", "distinct_below"])
def test_numbers_of_keys_are_those_of_their_first_rows(kernel):
    from cjm_analytics.kernels import kinds

    rng = np.random.default_rng(0)
    for limit in (1, 3, 50, 2_000, 2**40):
        if kernel == "distinct_below" and limit > 10_000:
            continue
        keys = rng.integers(0, limit, 5_000)
        options = (keys, limit) if kernel == "distinct_below" else (keys,)
        codes, first = getattr(kinds, kernel)(*options)
        _, expected = np.unique(keys, return_index=True)
        assert first.tolist() == sorted(expected)
        assert (keys[first][codes] == keys).all()


def test_more_combinations_than_a_number_can_hold_are_still_told_apart():
    rng = np.random.default_rng(1)
    columns = {f"c{number}": rng.integers(0, 300, 400) for number in range(12)}
    table = pa.table(columns)
    kind, kinds = _distinct_rows(table)
    again = kinds.take(pa.array(kind))
    assert again.equals(table)
    assert kinds.num_rows == len(set(zip(*(column.tolist() for column in columns.values()), strict=True)))


def test_missing_values_are_a_kind_of_their_own():
    kind, kinds = _distinct_rows(pa.table({"a": ["x", None, "x", None], "b": [1, 1, None, 1]}))
    assert kind.tolist() == [0, 1, 2, 1]
    assert kinds.to_pylist() == [{"a": "x", "b": 1}, {"a": None, "b": 1}, {"a": "x", "b": None}]


def test_a_rule_can_read_a_nested_property():
    rows = [{"timestamp": 0, "properties": '{"cart": {"size": 3}}'}, {"timestamp": 1, "properties": None}]
    assert found(rows, {"properties.cart.size": {"ge": 2}}) == [True, False]


@pytest.mark.filterwarnings("ignore::cjm_analytics.errors.ModelWarning")
def test_a_rule_can_read_a_promoted_column_and_an_attribute_of_the_customer():
    extra = [("plan", pa.string()), ("customer.country", pa.string())]
    rows = [{"timestamp": 0, "plan": "pro"}, {"timestamp": 1, "customer.country": "PL"}, {"timestamp": 2}]
    assert found(rows, {"plan": "pro"}, extra=extra) == [True, False, False]
    assert found(rows, {"customer.country": "PL"}, extra=extra) == [False, True, False]


def test_a_rule_can_read_a_column_in_which_every_value_is_different():
    rows = [{"timestamp": minute, "score": float(minute)} for minute in range(50)]
    assert found(rows, {"score": {"ge": 25}}) == [minute >= 25 for minute in range(50)]


@pytest.mark.filterwarnings("ignore::cjm_analytics.errors.ModelWarning")
def test_a_rule_on_a_column_that_is_not_there_is_an_error_with_a_hint():
    with pytest.raises(UnknownNameError, match=r"No column named 'plann'\. Did you mean 'plan'"):
        found([{"timestamp": 0}], {"plann": "x"}, extra=[("plan", pa.string())])


def test_an_event_can_be_two_markers():
    model = JourneyModel.from_dict({
        "phase": [{"id": "before", "stages": ["look"]}],
        "marker": {"large": {"match": {"event": "buy", "value": {"ge": 100}}},
                   "purchase": {"role": "goal", "match": {"event": "buy"}}},
        "touchpoint": [{"id": "large", "stage": "look", "match": {"marker": "large"}},
                       {"id": "purchase", "stage": "look", "match": {"marker": "purchase"}}],
    })  # fmt: skip
    events = events_of(
        [{"timestamp": 0, "event": "buy", "value": 5}, {"timestamp": 1, "event": "buy", "value": 500}]
    )
    partition = sessionize(events, model).partitions[0]
    assert partition.event("marker").tolist() == [0b10, 0b11]
    assert partition.event("touchpoint").tolist() == [1, 0]


def test_there_are_as_many_kinds_as_combinations_not_rows():
    rows = [{"timestamp": minute, "event": "ab"[minute % 2], "url": str(minute)} for minute in range(100)]
    kind, meaning = meaning_of(
        events_of(rows).partitions[0].columns, rule({"event": "a"}), include_bots=False
    )
    assert len(meaning.rule) == 2
    assert np.bincount(kind).tolist() == [50, 50]
