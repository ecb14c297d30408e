"""Kernels are compiled once, kept, and run without Numba by later processes."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

from cjm_analytics.kernels import native
from cjm_analytics.kernels.native import Kernel, kernel

pytestmark = pytest.mark.skipif(not native._MOVES, reason="Numba runs kernels itself here")

ROAD = """
import sys
import pandas as pd
import cjm_analytics as cjm

names = ["view", "cart", "buy"]
rows = [("abc"[i % 3], 60 * i * (i % 7), names[i * i % 5 % 3], i % 2) for i in range(90)]
log = pd.DataFrame(rows, columns=["customer", "time", "event", "device"])
log["time"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(log["time"], unit="s")
events = cjm.ingest(
    cjm.loaders.table(log, customer="customer", timestamp="time", event="event", tz="UTC"), progress=False
)
journeys = cjm.sessionize(events)
for result in (
    cjm.funnel(journeys, ["view", "cart"], within="1 day"),
    cjm.funnel(journeys, ["view", "cart"], order="strict"),
    cjm.paths(journeys),
    cjm.transitions(journeys),
    cjm.ngrams(journeys, 2),
    cjm.flow(journeys),
    cjm.rework(journeys),
    cjm.time_to(journeys, "cart"),
    cjm.matches(journeys, "view -> cart"),
    cjm.attribution(journeys, by="touchpoint", goal="cart", model="linear"),
    cjm.retention(journeys, start="view"),
):
    print(result.to_frame().to_csv())
print(len(cjm.sessionize(events, timeout="5 minutes").to_frame()))
print("numba" in sys.modules, "llvmlite" in sys.modules, file=sys.stderr)
"""


class Pair(NamedTuple):
    number: int
    places: np.ndarray


def halves(values, share):
    """An array that is made here, a part of the argument, and a number."""
    made = np.empty(len(values), np.float64)
    for place in range(len(values)):
        made[place] = values[place] * share
    return made[1:], made[:2], values[2:], len(values)


def quotient(one, other):
    return one // other


def paired(pair, flag):
    return Pair(pair.number + flag, pair.places)


def perhaps(values, wanted):
    if wanted:
        return values[1:], len(values)
    return None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where kernels are kept during a test."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def is_kept(one, *arguments):
    """Whether a kernel's code runs without Numba for such arguments."""
    one(*arguments)
    return all(isinstance(run, native._Loaded) for run in one._ready.values())


def process(code, folder, **settings):
    """Another process; what it prints, and what it says on the side."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)} | settings
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.stdout, done.stderr.strip()


def test_a_second_process_loads_neither_numba_nor_llvm_and_says_the_same(tmp_path):
    first, loaded = process(ROAD, tmp_path)
    assert loaded == "True True"
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second, loaded = process(ROAD, tmp_path)
    assert loaded == "False False"
    assert second == first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    assert all(name.endswith(".code") for name in kept)


def test_processes_that_compile_at_once_and_those_that_cannot_keep_say_the_same(tmp_path):
    code = "import numpy as np; from cjm_analytics.kernels.numbering import spread; "
    code += "print(spread(np.arange(5, dtype=np.uint64)).tolist())"
    with ThreadPoolExecutor() as pool:
        folders = [tmp_path / "one", tmp_path / "one", tmp_path / "one", "/dev/null/nowhere"]
        told = {said for said, _ in pool.map(lambda folder: process(code, folder), folders)}
    assert len(told) == 1
    assert len(list((tmp_path / "one").iterdir())) == 1
    assert process(code, tmp_path / "other", NUMBA_DISABLE_JIT="1")[0] == told.pop()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("harm", ["cut", "empty", "changed", "foreign"])
def test_a_damaged_file_is_made_anew(folder, harm):
    arguments = (np.arange(4.0), 0.5)
    kernel(halves)(*arguments)
    (path,) = folder.iterdir()
    good = path.read_bytes()
    bad = {"cut": good[:-7], "empty": b"", "changed": good[:-1] + bytes([good[-1] ^ 1]), "foreign": b"x" * 99}
    path.write_bytes(bad[harm])
    assert kernel(halves)(*arguments)[0].tolist() == [0.5, 1.0, 1.5]
    assert path.read_bytes() == good


def test_other_text_is_compiled_again_in_the_place_of_the_old(folder, monkeypatch):
    kernel(quotient)(7, 2)
    (path,) = folder.iterdir()
    before = path.read_bytes()
    monkeypatch.setattr(native, "_text", lambda: "another text")
    assert kernel(quotient)(7, 2) == 3
    assert list(folder.iterdir()) == [path]
    assert path.read_bytes() != before


def test_a_file_is_used(folder):
    """Other code in the file, and the kernel does what that code does."""
    kernel(quotient)(7, 2)
    (path,) = folder.iterdir()
    other = kernel(lambda one, other: one * other)
    made = native._read(path)
    code = other._kept((7, 2), (int, int))
    assert code.code != made.code
    native._write(path, code)
    assert kernel(quotient)(7, 2) == 14


@pytest.mark.usefixtures("folder")
def test_arrays_that_come_back_live_as_long_as_somebody_has_them():
    one = kernel(halves)
    values = np.arange(5.0)
    made, part, rest, n = one(values, 0.5)
    assert (made.tolist(), part.tolist(), rest.tolist(), n) == ([0.5, 1, 1.5, 2], [0, 0.5], [2, 3, 4], 5)
    assert np.shares_memory(rest, values)
    assert np.shares_memory(made, part)
    made[0] = 9
    del made
    assert part[1] == 9
    del values, part
    assert rest.tolist() == [2, 3, 4]
    large = np.zeros(10**6)
    for _ in range(2_000):  # 16 GB if they stayed
        one(large, 0.5)
    assert is_kept(one, np.zeros(3), 0.5)


@pytest.mark.usefixtures("folder")
def test_kinds_of_arguments():
    one = kernel(halves)
    values = np.arange(12.0)
    fixed = values.copy()
    fixed.flags.writeable = False
    for shape in (values, values[::2], values[::-1], fixed, values.astype(np.int8), values.astype("f4")):
        made, part, rest, n = one(shape, np.float64(0.5))
        assert made.tolist() == [0.5 * value for value in shape[1:]]
        assert (part.tolist(), rest.tolist(), n) == (
            (0.5 * shape[:2]).tolist(),
            shape[2:].tolist(),
            len(shape),
        )
    assert is_kept(one, values, 0.5)
    assert len(one._ready) > 4


@pytest.mark.usefixtures("folder")
def test_tuples_with_names_truths_and_numbers_of_all_sizes():
    one = kernel(paired)
    places = np.arange(3)
    for flag in (True, np.bool_(True), np.int8(1), np.uint32(1)):
        found = one(Pair(41, places), flag)
        assert isinstance(found, Pair)
        assert (found.number, found.places.tolist()) == (42, [0, 1, 2])
    by_numba = kernel(quotient)
    assert by_numba(2**63 + 2, np.uint64(2)) == 2**62 + 1


@pytest.mark.usefixtures("folder")
def test_an_error_is_the_one_that_numba_raises():
    one = kernel(quotient)
    assert is_kept(one, -7, 2)
    assert one(-7, 2) == -4
    with pytest.raises(ZeroDivisionError):
        one(1, 0)


@pytest.mark.usefixtures("folder")
def test_code_that_cannot_be_moved_is_run_by_numba():
    one = kernel(lambda text: text + "d")
    assert one("abc") == "abcd"
    assert not is_kept(one, "abc")


@pytest.mark.usefixtures("folder")
def test_kernels_of_kernels_are_compiled_with_them():
    inner = kernel(quotient)
    assert kernel(lambda one: inner(one, 2) + 1)(9) == 5
    assert isinstance(inner, Kernel)
    assert not inner._ready


@pytest.mark.usefixtures("folder")
def test_something_or_nothing():
    one = kernel(perhaps)
    rest, n = one(np.arange(3), True)
    assert (rest.tolist(), n) == ([1, 2], 3)
    assert is_kept(one, np.arange(3), False)
    assert one(np.arange(3), False) is None
