"""Numbers of texts and of pairs, against dictionaries; and how little it matters what their hashes are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjm_analytics.events.identity import Identity
from cjm_analytics.events.owners import Owners
from cjm_analytics.events.pairs import KINDS, NEVER, Keys, Pairs, Seen, Texts, by_hour
from cjm_analytics.events.scatter import BINS, text_buffers, text_hashes
from cjm_analytics.events.stitching import OWNERS
from cjm_analytics.kernels.numbering import counted, order_of_hashes

HOUR = 3_600_000_000
WORDS = st.lists(st.text("ab", max_size=4), max_size=40)


class TestTexts:
    @settings(max_examples=50, deadline=None)
    @given(batches=st.lists(WORDS, max_size=4))
    def test_each_text_has_one_number_in_order_of_appearance(self, batches):
        texts, expected = Texts(), {}
        for words in batches:
            found = texts.number(pa.array(words, pa.string()))
            assert found.tolist() == [expected.setdefault(word, len(expected)) for word in words]
        assert texts.all.to_pylist() == list(expected)
        assert texts.hashes.tolist() == text_hashes(pa.array(list(expected), pa.string())).tolist()

    @pytest.mark.parametrize("n_hashes", [1, 3])
    def test_texts_of_one_hash_are_told_apart(self, n_hashes):
        words = [f"id-{number * number % 97}" for number in range(300)]
        array = pa.array(words)
        hashes = np.array([len(word) % n_hashes << 32 for word in words], dtype=np.uint64)
        texts = Texts()
        found = texts.number_hashed(hashes, *text_buffers(array))
        assert texts.of(found).to_pylist() == words
        assert len(texts) == len(set(words))

    def test_a_slice_of_an_array_is_as_good(self):
        array = pa.array(["x", "aa", "", "aa", "b"])
        texts = Texts()
        assert texts.number(array.slice(1, 3)).tolist() == [0, 1, 0]
        assert texts.all.to_pylist() == ["aa", ""]

    def test_many_texts_need_several_rounds(self):
        words = pa.array(np.arange(150_000) % 100_000).cast(pa.string())
        texts = Texts()
        assert texts.number(words).tolist() == (np.arange(150_000) % 100_000).tolist()
        assert texts.of(np.array([99_999, 0])).to_pylist() == ["99999", "0"]

    @pytest.mark.parametrize("n", [0, 1, 5, 12, 1_000])
    def test_they_are_found_again_after_a_rest(self, n):
        words, texts = [str(number) if number else "" for number in range(n)], Texts()
        texts.number(pa.array(words, pa.string()))
        texts.rest()
        assert texts.number(pa.array([*words[::-1], "new"], pa.string())).tolist() == [*range(n)[::-1], n]
        assert texts.all.to_pylist() == [*words, "new"]

    @pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 2_000])
    def test_those_of_some_numbers_are_taken(self, n):
        words = ["x" * (number % 11) for number in range(8)]
        texts = Texts()
        numbers = texts.number(pa.array(words))
        chosen = np.random.default_rng(n).choice(numbers, n)
        assert texts.of(chosen).to_pylist() == [words[number] for number in chosen]

    def test_there_may_be_no_letter(self):
        texts = Texts()
        assert texts.of(texts.number(pa.array([""]))).to_pylist() == [""]

    def test_together_they_may_be_longer_than_an_array_of_texts_can_be(self):
        texts = Texts()
        texts.number(pa.array(["first"]))
        # As if the first text had so many bytes: they are never touched, so that they take no memory.
        texts._ends[1] = 2**31 - 2
        texts._bytes = np.empty(2**31 + 100, dtype=np.uint8)
        assert texts.number(pa.array(["second", "third", "second"])).tolist() == [1, 2, 1]
        assert texts.of(np.array([2, 1])).to_pylist() == ["third", "second"]


@pytest.mark.parametrize("n", [0, 1, 2, 40, 5_000])
def test_hashes_are_put_in_order(n):
    hashes = np.random.default_rng(n).integers(0, 2**64, n, dtype=np.uint64)
    hashes[n // 2 :] |= np.uint64(2**63)  # most of them above the middle
    assert hashes[order_of_hashes(hashes)].tolist() == np.sort(hashes).tolist()


def test_numbers_are_counted():
    numbers = np.array([4, 0, 4, 4, 2])
    assert counted(numbers, 6).tolist() == np.bincount(numbers, minlength=6).tolist()


def test_owners_may_have_more_text_than_an_array_of_texts_can_hold():
    # As if much text stood before: it is never touched, so that it takes no memory.
    texts = ["d1", "d2", "d3"]
    data = np.empty(2**31 + 100, dtype=np.uint8)
    ends = np.array([0, 2, 4, 6], dtype=np.int64) + 2**31
    data[ends[0] : ends[-1]] = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
    far = pa.Array.from_buffers(pa.large_string(), 3, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    whose = pa.array(["ann", "bob", "ann"], pa.large_string())
    since = pa.array([None, 5, None], pa.timestamp("us", tz="UTC"))
    owners = Owners(pa.table([far, since, whose], schema=OWNERS), Identity())
    asked = pa.array(["d1", "d2", "d2", "d3", "d4"])
    found = owners.of(asked, np.array([0, 4, 6, 0, 0]), range(BINS))
    assert found.to_pylist() == ["ann", "anonymous:d2", "bob", "ann", "anonymous:d4"]


def test_keys_have_numbers_in_order_of_appearance():
    rng = np.random.default_rng(3)
    keys, expected = Keys(), {}
    for size in (0, 10, 100_000):
        batch = rng.integers(0, 50_000, size).astype(np.uint64) * np.uint64(2**40)
        assert keys.number(batch).tolist() == [expected.setdefault(key, len(expected)) for key in batch]
    assert len(keys) == len(expected)


def frame(rng, n):
    """Evidence of a few ids, some of it without a time."""
    first = rng.integers(0, 5 * HOUR, n) - HOUR
    first = np.where(rng.random(n) < 0.2, NEVER, first)
    return pd.DataFrame(
        {
            "alias": rng.choice(["d1", "d2", "u1"], n),
            "user_id": rng.choice(["u1", "u2", "d1"], n),
            "kind": rng.integers(0, len(KINDS), n),
            "rows": rng.integers(1, 5, n),
            "first": first,
            "last": np.where(first == NEVER, NEVER, first + rng.integers(0, 1000, n)),
        }
    )


def noted(pairs, given):
    """The rows as `Seen`, once the pairs have numbers."""
    pair = pairs.number(pa.array(given["alias"]), pa.array(given["user_id"]), given["kind"].to_numpy())
    return Seen(pair, *(given[name].to_numpy() for name in ("rows", "first", "last")))


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_what_pandas_groups(seed):
    rng = np.random.default_rng(seed)
    pairs, parts = Pairs(), [frame(rng, size) for size in (40, 1, 60)]
    for part in parts:
        pairs.add(by_hour(noted(pairs, part)))
    together = pd.concat(parts)
    known = together["last"].where(together["first"] != NEVER, -NEVER)
    expected = (
        together.assign(last=known)
        .groupby(["alias", "user_id", "kind"], as_index=False)
        .agg(rows=("rows", "sum"), first=("first", "min"), last=("last", "max"))
    )
    expected.loc[expected["first"] == NEVER, "last"] = NEVER
    found = pd.DataFrame(
        {
            "alias": pairs.texts.of(pairs.alias).to_pylist(),
            "user_id": pairs.texts.of(pairs.user).to_pylist(),
            "kind": pairs.kind.astype(np.int64),
            "rows": pairs.rows,
            "first": pairs.first,
            "last": pairs.all().last,
        }
    )
    found = found.sort_values(["alias", "user_id", "kind"], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


@pytest.mark.parametrize("seed", range(3))
def test_hours_are_what_pandas_groups(seed):
    given = frame(np.random.default_rng(seed), 80)
    pairs = Pairs()
    seen = noted(pairs, given)
    hours = given.assign(pair=seen.pair, hour=given["first"] // HOUR).groupby(["pair", "hour"])
    expected = hours.agg(rows=("rows", "sum"), first=("first", "min"), last=("last", "max"))
    found = pd.DataFrame(by_hour(seen)._asdict()).sort_values(["pair", "first"])
    columns = ["rows", "first", "last"]
    assert found[columns].to_numpy().tolist() == expected[columns].to_numpy().tolist()


def test_their_order_depends_on_nothing_but_the_ids():
    given = frame(np.random.default_rng(1), 60)
    tables = []
    for part in (given, given[::-1]):
        pairs = Pairs()
        tables.append(pairs.table(pairs.in_order(by_hour(noted(pairs, part)))))
    assert tables[0].equals(tables[1])
