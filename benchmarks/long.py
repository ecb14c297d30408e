"""Long journeys and many names: `python benchmarks/long.py` times the analyses of paths at their hardest.

Ten million events of five hundred kinds; twenty customers have a hundred thousand events each, the others
about thirty. Each analysis runs in a process of its own, which opens the stored journeys; its time is that of
the call alone (imports and compiled kernels are warm), its peak memory that of its whole process.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

KINDS = 500
LONGEST = 100_000
LONG_ONES = 20
USUAL = 30
START = np.datetime64("2026-01-01", "us").astype(np.int64)

ANALYSES = {
    "paths": "cjm.paths(j)",
    "paths, no repeats taken together": "cjm.paths(j, collapse=False)",
    "paths: representatives": "cjm.paths(j).representatives(5)",
    "flow": "cjm.flow(j)",
    "flow backward from a goal": "cjm.flow(j, end='kind 003', positions=8)",
    "flow around every match of a pattern": "cjm.flow(j, around='kind 001 -> kind 002', every=True)",
    "transitions": "cjm.transitions(j)",
    "rework": "cjm.rework(j)",
    "n-grams of 3": "cjm.ngrams(j, 3)",
    "sub-sequences": "cjm.subsequences(j, min_share=0.2, max_length=3)",
    "matches of three patterns": (
        "cjm.matches(j, ['kind 001 .. kind 002', 'kind 001 -> [^kind 002]* -> kind 003', "
        "'(start) -> . -> . -> (end)'])"
    ),
    "attribution, eight models": (
        "cjm.attribution(j, by='touchpoint', model='all', goal='kind 003', bootstrap=20)"
    ),
    "Markov chain": "cjm.markov(j, goal='kind 003', bootstrap=20)",
}


def log(events: int, seed: int) -> pa.Table:
    """A log in order of customers."""
    rng = np.random.default_rng(seed)
    longest = min(LONGEST, events // 100)
    n_usual = (events - LONG_ONES * longest) // USUAL
    lengths = np.concatenate([np.full(LONG_ONES, longest), rng.geometric(1 / USUAL, n_usual)])
    customer = np.repeat(np.arange(len(lengths)), lengths)[:events]
    weights = 1 / np.arange(1, KINDS + 1) ** 1.1
    kinds = rng.choice(KINDS, len(customer), p=weights / weights.sum())
    again = rng.random(len(customer)) < 0.15
    again[0] = False
    kinds[again] = kinds[np.flatnonzero(again) - 1]
    first = np.concatenate([[True], customer[1:] != customer[:-1]])
    gaps = rng.exponential(60e6, len(customer)).astype(np.int64)
    since = np.cumsum(gaps)
    since -= np.repeat(since[first], np.diff(np.append(np.flatnonzero(first), len(customer))))
    names = pa.array([f"kind {number:03d}" for number in range(KINDS)])
    return pa.table(
        {
            "customer": pa.array(customer).cast(pa.string()),
            "timestamp": pa.array(START + since, pa.timestamp("us", tz="UTC")),
            "event": pa.DictionaryArray.from_arrays(pa.array(kinds.astype(np.int32)), names),
        }
    )


def prepare(folder: Path, events: int) -> None:
    """Stored journeys of such a log."""
    import cjm_analytics as cjm

    source = cjm.loaders.table(log(events, 7), customer="customer", timestamp="timestamp", event="event")
    stored = cjm.ingest(source, to=folder / "events", dedupe=False)
    cjm.sessionize(stored, to=folder / "journeys")


def step(name: str, folder: Path, small: Path) -> None:
    """Run one analysis and print what it took; the small journeys compile its kernels first."""
    import cjm_analytics as cjm

    for place in (small, folder):
        names = {"cjm": cjm, "j": cjm.open_journeys(place / "journeys")}
        start = time.perf_counter()
        result = eval(ANALYSES[name], names)
        taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = len(result) if hasattr(result, "__len__") else len(result.to_frame())
    print(json.dumps({"seconds": taken, "peak": peak, "rows": rows}))


@click.command()
@click.argument("events", type=int, default=10_000_000)
@click.option("--to", type=click.Path(path_type=Path), help="Write the table into this file too.")
@click.option("--folder", type=click.Path(path_type=Path), help="Work here, and keep what is made.")
def main(events: int, to: Path | None, folder: Path | None) -> None:
    """Time the analyses of paths on EVENTS events."""
    with tempfile.TemporaryDirectory(prefix="cjm-long-") as temporary:
        place = folder or Path(temporary)
        for target, n in ((place / "small", 20_000), (place / "long", events)):
            if not (target / "journeys").exists():
                subprocess.run([sys.executable, __file__, "--prepare", target, str(n)], check=True)
        rows = []
        for name in ANALYSES:
            command = [sys.executable, __file__, "--step", name, place / "long", place / "small"]
            done = subprocess.run(command, check=True, capture_output=True)
            rows.append({"name": name, **json.loads(done.stdout.splitlines()[-1])})
            print(rows[-1], flush=True)
    machine = f"{multiprocessing.cpu_count()} processors, Python {platform.python_version()}"
    lines = [
        f"{events:,} events of {KINDS} kinds, journeys of up to {LONGEST:,} events, {machine}",
        "",
        "| analysis | seconds | peak memory (GB) | rows of the answer |",
        "|---|---:|---:|---:|",
        *(f"| {row['name']} | {row['seconds']:.2f} | {row['peak']:.2f} | {row['rows']:,} |" for row in rows),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if to:
        to.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1:2] == ["--prepare"]:
        prepare(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
