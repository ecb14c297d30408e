"""The benchmarks keep up with the library: our ways still run, and what is timed is still there."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(HERE))
run = importlib.import_module("run")
limits = importlib.import_module("limits")
place = importlib.import_module("place")
WRITTEN = {"ingest_csv", "ingest_json"}
"""Works whose files a peer writes."""


def module(work):
    return importlib.import_module(f"works.{work}")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    made = place.Place(tmp_path_factory.mktemp("bench"))
    subprocess.run([sys.executable, HERE / "generate.py", "20K", made.log], check=True)
    place.MAKERS["journeys"](made)
    return made


def test_every_work_is_run():
    assert sorted(run.WORKS) == sorted(path.stem for path in (HERE / "works").glob("[a-z]*.py"))


@pytest.mark.parametrize("work", run.WORKS)
def test_goals_speak_of_ways_that_there_are(work):
    for mine, others, ratio in module(work).GOALS:
        assert {mine, *others} <= set(module(work).WAYS)
        assert ratio >= 1


@pytest.mark.parametrize("work", [work for work in run.WORKS if work not in WRITTEN])
def test_our_ways_give_one_answer(work, small):
    ways = {name: way for name, way in module(work).WAYS.items() if name.startswith("cjm")}
    answers = [way(small)() for way in ways.values()]
    assert answers[0]
    assert all(answer == answers[0] for answer in answers)


def test_the_steps_of_ingest_are_where_the_stopwatch_looks_for_them():
    for step in limits.STEPS.values():
        for home, path in step:
            found = importlib.import_module(f"cjm_analytics.{home}")
            for name in path.split("."):
                found = getattr(found, name)
            assert callable(found)


def test_time_inside_is_not_counted_twice():
    watch = limits.Stopwatch()
    inner = watch.on(lambda: sum(range(2_000_000)), "inner")
    watch.on(lambda: inner(), "outer")()  # noqa: PLW0108 - the outer one must call
    assert watch.seconds["outer"] < watch.seconds["inner"] / 2


def test_a_peer_that_takes_twice_our_memory_is_not_three_times_as_large():
    ours, theirs = (object.__new__(run.Way) for _ in range(2))
    ours.name, ours.peak, theirs.name, theirs.peak = "cjm, from disk", 0.2, "PM4Py", 0.4
    (row,) = run.lean("small_ends", [ours, theirs])
    assert row.endswith("| 0.20 | PM4Py | 0.40 | 2.0 × | ≥ 3 × | missed |")
    theirs.peak = 0.61
    assert run.lean("small_ends", [ours, theirs])[0].endswith("| met |")
