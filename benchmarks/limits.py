"""Where the time goes, and what the machine allows: `python benchmarks/limits.py 20M` writes LIMITS.md.

Each of our ways of each work runs in a process of its own, alternating with nobody: seconds are medians of
five runs. Then every kernel is given a stopwatch, and what files were read, mapped and written is counted.
The limit of a work is the time in which all processors of this machine could move these bytes, and do nothing
else: read and written files at the speed of the system's cache of files, mapped columns at that of memory
mapped anew. Ingest is told step by step, too, and a process that has no data yet library by library.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from run import MARK, SMALL, WORKS, machine

HERE = Path(__file__).resolve().parent
RUNS = 5
BUFFER = 2**28
"""Bytes that each processor moves to measure a speed: more than any cache holds."""

LEAST = 0.0005
"""Kernels that take less are not named."""

STEPS = {
    "mapping to canonical columns": (("loaders.table", "canonical"),),
    "checks, codes of names": (("events.intake", "Intake.accept"),),
    "scattering by customer": (("events.gather", "Gathering._put"),),
    "putting a bucket in order": (
        ("events.gather", "Gathering.tables"),
        ("events.arrange", "Arrangement.run"),
    ),
    "writing Parquet": (("events.ingest", "_write_bucket"),),
}
"""The steps of ingest, and what does them; reading and decoding is what remains."""

LIBRARIES = {
    "Python": "",
    "NumPy": "import numpy",
    "pyarrow": "import pyarrow, pyarrow.compute, pyarrow.parquet",
    "pandas": "import pandas",
    "cjm_analytics, journeys opened": "import cjm_analytics as cjm; journeys = cjm.open_journeys(place)",
    "first kernel": "cjm.transitions(journeys, times=False)",
}
"""What a process loads before it has looked at much data, in this order."""


# What a work costs


@dataclass
class Stopwatch:
    """Seconds of processor time by name, those of what is called inside not counted twice."""

    seconds: Counter = field(default_factory=Counter)
    _running: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, function, name: str):
        """The same function, timed."""

        def timed(*arguments, **options):
            inside = self._running.__dict__.setdefault("inside", [0.0])
            inside.append(0.0)
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.thread_time() - start
                within = inside.pop()
                inside[-1] += taken
                with self._lock:
                    self.seconds[name] += taken - within

        return timed


def watch_kernels(watch: Stopwatch) -> None:
    """Time every kernel that is called from Python; all that are needed must have been compiled before."""
    from cjm_analytics.kernels.native import Kernel

    ours = [module for name, module in sys.modules.items() if name.startswith("cjm_analytics")]
    for module in ours:
        for name, value in list(vars(module).items()):
            if isinstance(value, Kernel):
                setattr(module, name, watch.on(value, name))


def watch_steps(watch: Stopwatch) -> None:
    for step, places in STEPS.items():
        for module, path in places:
            *owners, name = path.split(".")
            owner = importlib.import_module(f"cjm_analytics.{module}")
            for one in owners:
                owner = getattr(owner, one)
            setattr(owner, name, watch.on(getattr(owner, name), step))


def count_mapped(counted: Counter) -> None:
    """Count the bytes of columns that are asked for in mapped files."""
    from cjm_analytics.columns import MappedColumns

    read = MappedColumns.read

    def counting(columns, names):
        table = read(columns, names)
        counted["mapped"] += table.nbytes
        return table

    MappedColumns.read = counting


def moved() -> Counter:
    """Bytes that this process has read from files and written to them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    told = dict(line.split(": ") for line in lines)
    return Counter(read=int(told["rchar"]), written=int(told["wchar"]))


def profile(work: str, way: str, folder: str) -> None:
    """Be one way: print what it takes."""
    from place import Place

    ask = importlib.import_module(f"works.{work}").WAYS[way](Place(Path(folder)))
    ask()
    seconds, busy = [], []
    for _ in range(RUNS):
        start, processor = time.perf_counter(), time.process_time()
        ask()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - processor)
    steps, kernels, bytes_of = Stopwatch(), Stopwatch(), Counter()
    if work.startswith("ingest"):
        watch_steps(steps)
    processor = time.process_time()
    ask()
    whole = time.process_time() - processor
    each = Counter(steps.seconds)
    watch_kernels(kernels)
    count_mapped(bytes_of)
    before = moved()
    ask()
    bytes_of += moved() - before
    told = {
        "seconds": median(seconds), "busy": median(busy), "kernels": kernels.seconds, "bytes": bytes_of,
        "steps": each and {"reading and decoding, and the rest": whole - each.total()} | each,
    }  # fmt: skip
    print(MARK + json.dumps(told))


# What the machine allows


def speeds(folder: Path) -> dict[str, tuple[float, float]]:
    """Bytes per second of each kind of moving, with one thread and with one per processor."""
    n = os.cpu_count() or 1
    paths = [folder / f"{number}.raw" for number in range(n)]
    arrays = [np.arange(BUFFER // 8) for _ in range(n)]
    buffers = [bytearray(2**20) for _ in range(n)]
    for path, array in zip(paths, arrays, strict=True):
        array.tofile(path)

    def read(one):
        with paths[one].open("rb", buffering=0) as file:
            while file.readinto(buffers[one]):
                pass

    def mapped(one):
        with paths[one].open("rb") as file:
            np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.int64).sum()

    def written(one):
        with (folder / f"{one}.new").open("wb", buffering=0) as file:
            for start in range(0, BUFFER, 2**20):
                file.write(memoryview(arrays[one]).cast("B")[start : start + 2**20])

    kinds = {"memory": lambda one: arrays[one].sum(), "mapped": mapped, "read": read, "written": written}
    return {kind: (_speed(move, 1), _speed(move, n)) for kind, move in kinds.items()}


def _speed(move, threads: int) -> float:
    """Bytes per second of the best of some runs."""
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(RUNS):
            start = time.perf_counter()
            list(pool.map(move, range(threads)))
            best = min(best, time.perf_counter() - start)
    return threads * BUFFER / best


def weights(journeys: Path) -> dict[str, float]:
    """Resident memory in MB after each of `LIBRARIES`."""
    says = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))"
    lines = [f"place = {str(journeys)!r}", *(f"{line}\n{says}" for line in LIBRARIES.values())]
    told = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True, text=True
    )
    return dict(zip(LIBRARIES, (int(kilobytes) / 1024 for kilobytes in told.stdout.split()), strict=True))


# The tables


def profiled(work: str, way: str, folder: Path) -> dict:
    command = [sys.executable, str(HERE / "limits.py"), "--profile", work, way, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.split(MARK)[-1])


def row(title: str, told: dict, fastest: dict[str, float]) -> str:
    """What a way of a work took, and what its bytes alone would."""
    moving = {kind: n / fastest[kind] for kind, n in told["bytes"].items()}
    limit = sum(moving.values())
    inside = sum(told["kernels"].values())
    most = sorted(told["kernels"].items(), key=lambda one: -one[1])[:2]
    named = ", ".join(f"`{name}` {seconds:.3f}" for name, seconds in most if seconds >= LEAST)
    amounts = " + ".join(f"{n / 2**20:.1f} {kind}" for kind, n in told["bytes"].items() if n >= 2**16)
    return (
        f"| {title} | {told['seconds']:.3f} | {told['busy']:.3f} | {inside:.3f} | "
        f"{max(told['busy'] - inside, 0):.3f} | {named} | {amounts} | {limit * 1e3:.1f} | "
        f"{told['seconds'] / limit:.0f} × |"
    )


def step_rows(steps: dict[str, dict[str, float]], rows: dict[str, int]) -> list[str]:
    """Nanoseconds per event of each step, one column per work."""
    names = list(next(iter(steps.values())))
    return [
        f"| {name} | "
        + " | ".join(f"{told.get(name, 0) / rows[work] * 1e9:.0f}" for work, told in steps.items())
        + " |"
        for name in names
    ]


def main(size: str, folder: Path, *, to: Path, works: tuple[str, ...]) -> None:
    from generate import amount
    from place import make

    places = {
        False: (make(folder / size, size).folder, size),
        True: (make(folder / SMALL, SMALL).folder, SMALL),
    }
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        speed = speeds(Path(scratch))
    fastest = {kind: max(both) for kind, both in speed.items()}
    rows, steps = [], {}
    for work in works:
        module = importlib.import_module(f"works.{work}")
        place, n = places[getattr(module, "SMALL", False)]
        for way in dict.fromkeys(mine for mine, _, _ in module.GOALS):
            told = profiled(work, way, place)
            rows.append(row(f"{module.TITLE} | {way} | {n}", told, fastest))
            print(rows[-1], flush=True)
            if told["steps"]:
                steps[work] = told["steps"]
    events = {work: amount(size) // (1 if work == "ingest_parquet" else 4) for work in steps}
    kinds = {
        "memory": "reading memory", "mapped": "reading a file mapped anew, in the system's cache",
        "read": "reading a file by calls, in the system's cache", "written": "writing a file, not synced",
    }  # fmt: skip
    lines = [
        "# What takes the time, and what the machine allows", "",
        f"`python benchmarks/limits.py {size}` on {machine()}.", "",
        "## The machine", "", "| GB per second | one thread | all processors |", "|---|---:|---:|",
        *(f"| {kinds[kind]} | {one / 1e9:.1f} | {every / 1e9:.1f} |" for kind, (one, every) in speed.items()),
        "", "## The works", "",
        f"Seconds are medians of {RUNS} runs; then processor time, of kernels and of all else, and the two",
        "largest kernels; MB read, mapped and written; the milliseconds that all processors of this machine",
        "need to move these bytes and do nothing else; and how many times as long we take.", "",
        "| work | way | events | seconds | processor s | kernels | all else | largest | MB | limit ms | |",
        "|---|---|---:|---:|---:|---:|---:|---|---|---:|---:|", *rows,
    ]  # fmt: skip
    if steps:
        lines += [
            "", "## Ingest, step by step", "", "Nanoseconds of processor time per event.", "",
            "| step | " + " | ".join(work.removeprefix("ingest_") for work in steps) + " |",
            "|---|" + "---:|" * len(steps), *step_rows(steps, events),
        ]  # fmt: skip
    lines += [
        "", "## A process without data", "",
        "MB of memory after each step of getting ready, pages of shared libraries included.", "",
        "| loaded so far | MB | more |", "|---|---:|---:|",
    ]  # fmt: skip
    before = 0.0
    for name, megabytes in weights(places[True][0] / "journeys").items():
        lines.append(f"| {name} | {megabytes:.0f} | {megabytes - before:.0f} |")
        before = megabytes
    to.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--profile"]:
        profile(*sys.argv[2:])
    else:
        import click

        @click.command(help=__doc__)
        @click.argument("size", default="20M")
        @click.option("--folder", type=click.Path(path_type=Path), help="Keep the data here.")
        @click.option("--to", type=click.Path(path_type=Path), default=HERE / "LIMITS.md", show_default=True)
        @click.option("--only", multiple=True, type=click.Choice(WORKS), help="Only these works.")
        def command(*, size, folder, to, only) -> None:
            with contextlib.ExitStack() as stack:
                if folder is None:
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cjm-limits-")))
                main(size, folder, to=to, works=only or WORKS)

        command()
