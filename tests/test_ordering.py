"""The kernels of ingest against plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from cjm_analytics.events.scatter import BINS, bin_of, sorted_places, text_hashes
from cjm_analytics.kernels.ordering import sort_events


def test_events_are_sorted_like_tuples():
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        n, n_customers = int(rng.integers(0, 200)), int(rng.integers(1, 6))
        customer = rng.integers(0, n_customers, n).astype(np.int32)
        time, seq = rng.integers(0, 20, n), rng.integers(0, 4, n)
        order, offsets, at_once, tied = sort_events(customer, n_customers, time, seq)
        rows = list(zip(customer.tolist(), time.tolist(), seq.tolist(), range(n), strict=True))
        assert order.tolist() == [row for _, _, _, row in sorted(rows)]
        pairs = list(itertools.pairwise(sorted(rows)))
        assert at_once.tolist() == [False, *(one[:2] == other[:2] for one, other in pairs)][:n]
        assert tied.tolist() == [False, *(one[:3] == other[:3] for one, other in pairs)][:n]
        assert offsets.tolist() == [int((customer < one).sum()) for one in range(n_customers + 1)]


def test_a_long_customer_is_sorted_as_well():
    rng = np.random.default_rng(1)
    time, seq = rng.integers(0, 50, 3_000), rng.integers(0, 50, 3_000)
    order, *_ = sort_events(np.zeros(3_000, np.int32), 1, time, seq)
    assert order.tolist() == sorted(range(3_000), key=lambda row: (time[row], seq[row]))


def plain_hash(text: str) -> int:
    """The hash as its docstring tells it, with Python's own integers."""
    first, second, whole = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 2**64 - 1
    data = text.encode()
    state = first
    full = len(data) // 8 * 8
    for start in range(0, full, 8):
        state = (state ^ int.from_bytes(data[start : start + 8], "big")) * second & whole
        state ^= state >> 32
    state = (state ^ int.from_bytes(data[full:], "big")) * second & whole
    state ^= state >> 32
    state = (state ^ len(data)) * first & whole
    state ^= state >> 32
    state = state * second & whole
    return state ^ (state >> 32)


def test_hashes_are_what_the_definition_says():
    texts = ["", "a", "b", "ab", "\0", "\0\0", "12345678", "123456789", "Grüße aus Köln", "x" * 1_000]
    assert text_hashes(pa.array(texts)).tolist() == [plain_hash(text) for text in texts]
    assert len({plain_hash(text) for text in texts}) == len(texts)


def test_a_slice_hashes_like_its_own_texts():
    texts = pa.array([f"user {number}" for number in range(50)])
    assert text_hashes(texts.slice(20, 7)).tolist() == text_hashes(texts)[20:27].tolist()


@pytest.mark.parametrize("form", ["u{:09d}", "{}", "{:032x}", "user{}@example.com"])
def test_numbered_ids_spread_evenly_over_the_bins(form):
    texts = pa.array([form.format(number) for number in range(200 * BINS)])
    sizes = np.bincount(bin_of(texts), minlength=BINS)
    assert sizes.min() > 120
    assert sizes.max() < 290


@pytest.mark.parametrize(
    "form", ["u{:09d}", "{}", "anonymous:{:032x}", "{:x}", "ü{}", "same beginning, and {} different ends"]
)
def test_texts_are_sorted_by_their_bytes(form):
    numbers = np.random.default_rng(2).permutation(3_000).tolist()
    texts = ["x", *(form.format(number) for number in numbers), "", "anonymous:", "longer than eight bytes"]
    for some in (texts, texts[1:-3], texts[1:2], []):
        places = sorted_places(pa.array(["left out", *some], pa.string()).slice(1))
        assert [some[place] for place in places] == sorted(some, key=str.encode)


def test_texts_that_differ_by_zeros_alone_are_sorted_too():
    texts = ["a\0\0", "a", "a\0", "a\0b", "a\0a"]
    assert [texts[place] for place in sorted_places(pa.array(texts))] == sorted(texts)
