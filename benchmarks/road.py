"""The whole road at scale: `python benchmarks/road.py 20M` times every step in a process of its own.

The log comes from `generate.py`. Each step opens what the step before wrote; its time is that of the call
alone (imports and compiled kernels are warm), its peak memory that of its whole process. The table goes to
standard output and, with `--to`, into a file.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from costs import WARM

HERE = Path(__file__).resolve().parent
STEPS = ["ingest", "sessionize", "funnel", "drop_off", "paths", "transitions", "flow", "journey_map"]


def ingest(folder: Path, log: Path) -> str:
    import cjm_analytics as cjm

    source = cjm.loaders.table(
        str(log), customer="customer", timestamp="timestamp", event="event", name="log"
    )
    events = cjm.ingest(source, to=folder / "events")
    size = sum(path.stat().st_size for path in (folder / "events").rglob("*.parquet"))
    return f"{len(events):,} events, {size / len(events):.1f} bytes each"


def sessionize(folder: Path, log: Path) -> str:  # noqa: ARG001 - every step is called alike
    import cjm_analytics as cjm

    events = cjm.open_events(folder / "events")
    journeys = cjm.sessionize(events, cjm.JourneyModel.read(HERE / "model.toml"), to=folder / "journeys")
    return f"{len(journeys):,} journeys"


def analyse(name: str, folder: Path) -> str:
    import cjm_analytics as cjm

    journeys = cjm.open_journeys(folder / "journeys")
    if name == "funnel":
        names = ["awareness", "product", "basket", "order"]
        return " / ".join(
            f"{n:,}" for n in cjm.funnel(journeys, names, within="7 days").to_frame()["reached"]
        )
    if name == "drop_off":
        return ", ".join(f"{share:.3f}" for share in cjm.drop_off(journeys).to_frame()["drop_off"])
    if name == "journey_map":
        return f"{len(cjm.journey_map(journeys).to_frame())} stages"
    return f"{len(getattr(cjm, name)(journeys).to_frame())} rows"


def step(name: str, folder: Path, log: Path, warm: Path | None) -> None:
    """Run one step and print what it took; `warm` is a small folder on which the kernels compile first."""
    work = {"ingest": ingest, "sessionize": sessionize}.get(name)
    for place, quiet in ((warm, True), (folder, False)):
        if place is None:
            continue
        start = time.perf_counter()
        answer = work(place, place / "log" if quiet else log) if work else analyse(name, place)
        taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"step": name, "seconds": taken, "peak": peak, "answer": answer}))


@click.command()
@click.argument("size", default="20M")
@click.option("--to", type=click.Path(path_type=Path), help="Write the table into this file too.")
@click.option("--folder", type=click.Path(path_type=Path), help="Work here, and keep what is made.")
def main(size: str, to: Path | None, folder: Path | None) -> None:
    """Time the whole road on a generated log of SIZE events (1M, 20M, …)."""
    place = folder or Path(tempfile.mkdtemp(prefix="cjm-road-"))
    warm = place / "warm"
    shutil.rmtree(warm, ignore_errors=True)
    for target, n in ((place / "log", size), (warm / "log", WARM)):
        if not target.exists():
            subprocess.run([sys.executable, HERE / "generate.py", n, target], check=True)
    shutil.rmtree(place / "events", ignore_errors=True)
    shutil.rmtree(place / "journeys", ignore_errors=True)
    rows = []
    for name in STEPS:
        done = subprocess.run(
            [sys.executable, __file__, "--step", name, place, place / "log", warm],
            check=True,
            capture_output=True,
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    lines = [
        f"{size} events, {multiprocessing.cpu_count()} processors, Python {platform.python_version()}",
        "",
        "| step | seconds | peak memory (GB) | answer |",
        "|---|---:|---:|---|",
        *(f"| {row['step']} | {row['seconds']:.2f} | {row['peak']:.2f} | {row['answer']} |" for row in rows),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if to:
        to.write_text(text)
    if folder is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], *(Path(argument) for argument in sys.argv[3:6]))
    else:
        main()
