"""Every work against every peer: `python benchmarks/run.py 20M` writes benchmarks/RESULTS.md.

With `--small` it is the works of a million events, against the libraries for data frames, and SMALL.md.

Each way runs in a process of its own, so that its peak memory is its own; the processes wait for each other
and take turns, so that what else the machine does troubles all alike. The first turn warms up and gives the
answer; unless the answers of all ways are equal, nothing is timed. What counts is the median over the turns,
and the ratio of medians; processor time stands beside it, for a busy machine. `--peers` names a Python that
has retentioneering and pm4py, whose requirements differ from those of the others; without one these peers are
left out, and the table says so.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import operator
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import costs

HERE = Path(__file__).resolve().parent
LARGE = (
    "funnel", "paths", "transitions", "sessions", "journey_map", "threads", "ingest_parquet", "ingest_csv",
    "ingest_json",
)  # fmt: skip
LITTLE = (
    "small_funnel", "small_conversion", "small_paths", "small_tree", "small_ngrams",
    "small_subsequences", "small_transitions", "small_times", "small_ends", "small_groups", "small_flow",
    "small_around", "small_rework", "small_follows", "small_sessions", "small_time_to", "small_stickiness",
    "small_lifecycle", "small_overview", "small_cases", "small_pattern", "small_pair", "small_containing",
    "small_length", "small_started", "small_xes_write", "small_xes_read",
)  # fmt: skip
WORKS = LARGE + LITTLE
ELSEWHERE = ("Retentioneering", "PM4Py")
PACKAGES = ("cjm_analytics", "chdb", "duckdb", "polars", "numpy", "pandas", "pyarrow", "numba")
SMALL = "1M"
LEANER = 3
"""On the small log a peer's process is to take so many times the memory of ours."""

MEMORY = (
    "## Memory on the small log",
    "",
    "Peak of the whole process with its libraries; LIMITS.md says what those of ours take.",
    "",
    "| work | ours GB | leanest peer | its GB | ratio | goal | |",
    "|---|---:|---|---:|---:|---|---|",
)
MARK = "@@ "
MET = {True: "met", False: "missed"}


def attend(work: str, way: str, folder: str) -> None:
    """Be one way: answer each line of standard input by one run of the work."""
    from place import Place

    asked = importlib.import_module(f"works.{work}").WAYS[way](Place(Path(folder)))
    print(MARK + "{}", flush=True)
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        answer = asked()
        taken, busy = time.perf_counter() - start, time.process_time() - busy
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        told = {"seconds": taken, "busy": busy, "peak": peak, "answer": answer, "compiled": has_compiled()}
        print(MARK + json.dumps(told), flush=True)


def has_compiled() -> bool:
    """Whether this process has compiled a kernel, rather than found it on disk."""
    return "cjm_analytics.kernels.compiling" in sys.modules


class Way:
    """A process that does a work its own way, when it is told to."""

    def __init__(self, work: str, name: str, folder: Path, python: str) -> None:
        self.name = name
        self.has_compiled = False
        self._command = [python, str(HERE / "run.py"), "--attend", work, name, str(folder)]
        self.seconds: list[float] = []
        self.busy: list[float] = []
        self.peak = 0.0
        self.start()

    def start(self) -> None:
        """Begin to make ready, in a new process."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def warm_up(self):
        """Wait until everything is there that is not timed, and take a turn that does not count."""
        self._reply()
        answer = self.run()
        self.seconds.clear()
        self.busy.clear()
        return answer

    def run(self):
        """One turn: the answer."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        reply = self._reply()
        self.seconds.append(reply["seconds"])
        self.busy.append(reply["busy"])
        self.peak = reply["peak"]
        self.has_compiled = reply["compiled"]
        return reply["answer"]

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _reply(self):
        for line in self._process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise SystemExit(f"{self.name} failed:\n{self._process.stderr.read()}")


def timed(work: str, folder: Path, rounds: int, peers: str | None) -> list[Way]:
    """All ways of a work in turns; SystemExit unless their answers are equal."""
    module = importlib.import_module(f"works.{work}")
    names = [name for name in module.WAYS if name not in ELSEWHERE or peers]
    ways = [Way(work, name, folder, peers if name in ELSEWHERE else sys.executable) for name in names]
    return in_turns(work, ways, rounds)


def in_turns(work: str, ways: list[Way], rounds: int) -> list[Way]:
    """Let the ways of a work take turns; SystemExit unless their answers are equal."""
    same = getattr(importlib.import_module(f"works.{work}"), "same", operator.eq)
    answers = {way.name: way.warm_up() for way in ways}
    for way in ways:
        if not same(answers[ways[0].name], answers[way.name]):
            raise SystemExit(
                f"{work}: {way.name} answers {str(answers[way.name])[:300]}, "
                f"{ways[0].name} {str(answers[ways[0].name])[:300]}"
            )
        if way.has_compiled:  # once per installation; its memory is not that of the work
            way.stop()
            way.start()
            way.warm_up()
    for _ in range(rounds):
        for way in ways:
            way.run()
    for way in ways:
        way.stop()
    return ways


def told(work: str, ways: list[Way], size: str) -> tuple[list[str], list[str]]:
    """Rows of the table of times and of the table of goals."""
    module = importlib.import_module(f"works.{work}")
    times = {way.name: median(way.seconds) for way in ways}
    busy = {way.name: median(way.busy) for way in ways}
    rows = [
        f"| {module.TITLE} | {size} | {way.name} | {times[way.name]:.3f} | {min(way.seconds):.3f} | "
        f"{busy[way.name]:.3f} | {way.peak:.2f} |"
        for way in ways
    ]
    goals = []
    for mine, others, goal in module.GOALS:
        there = [name for name in others if name in times]
        if there:
            best = min(there, key=times.__getitem__)
            ratio = times[best] / times[mine]
            met = MET[ratio >= goal]
            spent = min(busy[name] for name in there) / busy[mine]
            goals.append(
                f"| {module.TITLE} | {mine} | {best} | {ratio:.1f} × | ≥ {goal} × | {met} | {spent:.1f} × |"
            )
        else:
            goals.append(
                f"| {module.TITLE} | {mine} | {', '.join(others)} | not installed | ≥ {goal} × | — | — |"
            )
    return rows, goals


def lean(work: str, ways: list[Way]) -> list[str]:
    """Rows of the table of memory: our ways of a small work against the peer that takes least."""
    module = importlib.import_module(f"works.{work}")
    peaks = {way.name: way.peak for way in ways}
    rows = []
    for mine, others, _ in module.GOALS if getattr(module, "SMALL", False) else ():
        there = [name for name in others if name in peaks]
        if there:
            best = min(there, key=peaks.__getitem__)
            ratio = peaks[best] / peaks[mine]
            rows.append(
                f"| {module.TITLE} | {peaks[mine]:.2f} | {best} | {peaks[best]:.2f} | {ratio:.1f} × | "
                f"≥ {LEANER} × | {MET[ratio >= LEANER]} |"
            )
    return rows


def cost_rows(folder: Path, size: str, ways: dict[str, list[Way]], small: Path) -> list[str]:
    """What is measured besides the times of the works."""
    mine = {work: [way for way in of_work if way.name.startswith("cjm")] for work, of_work in ways.items()}
    peaks: dict[str, float] = {}
    for work, own in mine.items():
        kind = "ingest" if work.startswith("ingest") else "any single analysis"
        if work != "threads" and not work.startswith("small"):
            peaks[kind] = max(peaks.get(kind, 0), *(way.peak for way in own))
    rows = [
        costs.importing(),
        costs.compiling(),
        costs.store_size(folder),
        *costs.memory(peaks, size),
    ]
    large, little = {}, {}
    for work, name in costs.REPEATED.items():
        if work in mine and size != SMALL:
            large[work] = next(median(way.seconds) for way in mine[work] if way.name == name)
            (again,) = in_turns(work, [Way(work, name, small, sys.executable)], 5)
            little[work] = median(again.seconds)
    return rows + costs.per_event(large, little, (size, SMALL))


def version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as found

    try:
        return f"{package} {found(package)}"
    except PackageNotFoundError:
        return f"{package} missing"


def machine() -> str:
    """The processor, and how busy it was."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else float("nan")
    return f"{os.cpu_count()} × {model}, {platform.system()}, load {load:.1f} at the end"


def main(
    size: str, folder: Path, *, to: Path, rounds: int, works: tuple[str, ...], peers: str | None
) -> None:
    from place import make

    places = {False: (make(folder / size, size), size), True: (make(folder / SMALL, SMALL), SMALL)}
    times, goals, leaner, ways = [], [], [], {}
    for work in works:
        module = importlib.import_module(f"works.{work}")
        place, n = places[getattr(module, "SMALL", False)]
        start = time.perf_counter()
        ways[work] = timed(work, place.folder, rounds, peers)
        rows, reached = told(work, ways[work], n)
        print("\n".join([*rows, *reached, f"({time.perf_counter() - start:.0f} s)"]), flush=True)
        times += rows
        goals += reached
        leaner += lean(work, ways[work])
    spent = []
    if not set(works) <= set(LITTLE):
        spent = cost_rows(places[False][0].folder, size, ways, places[True][0].folder)
    print("\n".join(spent))
    foreign = "Retentioneering and PM4Py are not installed (`--peers`), and left out."
    if peers:
        code = (
            "from importlib.metadata import version as v; "
            "print(*((name, v(name)) for name in ('retentioneering', 'pm4py')))"
        )
        found = subprocess.run([peers, "-c", code], check=True, capture_output=True, text=True)
        foreign = found.stdout.strip()
    command = f"python benchmarks/run.py {size if spent else '--small'}"
    method = (
        f"`{command}`: {rounds} alternating runs each, after one whose answers were asserted equal. "
        "Seconds are medians, memory the peak of each way's process."
    )
    text = "\n".join(
        [
            "# Measured",
            "",
            method,
            "",
            f"Machine: {machine()}.",
            f"Versions: Python {platform.python_version()}, {', '.join(map(version, PACKAGES))}; {foreign}",
            "",
            "## Goals",
            "",
            "| work | ours | quickest peer | ratio | goal | | ratio of processor time |",
            "|---|---|---|---:|---:|---|---:|",
            *goals,
            "",
            *(["| cost | measured | goal | |", "|---|---|---|---|", *spent, ""] if spent else []),
            *([*MEMORY, *leaner, ""] if leaner else []),
            "## Times",
            "",
            "| work | events | way | median s | best s | processor s | peak GB |",
            "|---|---:|---|---:|---:|---:|---:|",
            *times,
            "",
        ]
    )
    to.write_text(text)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    if sys.argv[1:2] == ["--attend"]:
        attend(*sys.argv[2:])
    else:
        import click

        @click.command(help=__doc__)
        @click.argument("size", default="20M")
        @click.option("--folder", type=click.Path(path_type=Path), help="Keep the data here.")
        @click.option(
            "--to", type=click.Path(path_type=Path), help="Default: RESULTS.md, or SMALL.md beside it."
        )
        @click.option("--small", is_flag=True, help="The works of a small log (1M events) instead.")
        @click.option("--rounds", default=5, show_default=True)
        @click.option("--only", multiple=True, type=click.Choice(WORKS), help="Only these works.")
        @click.option("--peers", envvar="CJM_PEERS", help="A Python with retentioneering and pm4py.")
        def command(*, size, folder, to, small, rounds, only, peers) -> None:
            works = only or (LITTLE if small else LARGE)
            size, to = (SMALL, to or HERE / "SMALL.md") if small else (size, to or HERE / "RESULTS.md")
            with contextlib.ExitStack() as stack:
                if folder is None:
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cjm-bench-")))
                main(size, folder, to=to, rounds=rounds, works=works, peers=peers)

        command()
