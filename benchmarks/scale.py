"""The whole road at growing sizes: `python benchmarks/scale.py 1M 100M 500M` writes benchmarks/SCALE.md.

Per size a log is generated (in a stream), read into a store, made into journeys and analysed, each step in a
process of its own as in `road.py`; what a step no longer needs is removed before the next, and everything at
the end. A size that the disk has no room for is refused before anything is written. `--logs` names a folder
in which `generate.py SIZE FOLDER/SIZE` wrote logs before: they are read, and left there.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from costs import MET, PEAKS, SLOWER, WARM
from generate import amount
from road import STEPS

HERE = Path(__file__).resolve().parent
BYTES_PER_EVENT = 90
"""What the log, the store, the rows that wait to be sorted and the journeys need at most at one time."""

AT = 100_000_000
"""The size that the goals are about, and what it is compared with."""

LITTLE = 1_000_000


def walk(size: str, folder: Path, logs: Path | None) -> list[dict]:
    """Every step of the road at one size: what it took."""
    log, warm = folder / "log", folder / "warm"
    rows = []
    if logs is not None and (logs / size).is_dir():
        folder.mkdir()
        log.symlink_to((logs / size).resolve())
    else:
        start = time.perf_counter()
        subprocess.run([sys.executable, HERE / "generate.py", size, log], check=True)
        rows.append({"step": "generate", "seconds": time.perf_counter() - start, "peak": None, "answer": ""})
    subprocess.run([sys.executable, HERE / "generate.py", WARM, warm / "log"], check=True)
    for name in STEPS:
        command = [sys.executable, HERE / "road.py", "--step", name, folder, log, warm]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(size, rows[-1], flush=True)
        if name == "ingest" and not log.is_symlink():
            shutil.rmtree(log)
        if name == "sessionize":
            shutil.rmtree(folder / "events")
    return rows


def refuse_without_room(sizes: tuple[str, ...], folder: Path) -> None:
    """SystemExit where the disk cannot hold the largest size."""
    wanted = max(map(amount, sizes)) * BYTES_PER_EVENT
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise SystemExit(
            f"{folder} has {free / 1e9:.0f} GB free, {max(sizes, key=amount)} events need "
            f"{wanted / 1e9:.0f}. Say another folder with --folder, or a smaller size."
        )


def goals(found: dict[str, list[dict]]) -> list[str]:
    """The rows of the table of goals that the sizes speak to."""
    rows = []
    for size, steps in found.items():
        taken = {one["step"]: one for one in steps}
        peaks = {
            "ingest": taken["ingest"]["peak"],
            "any single analysis": max(taken[name]["peak"] for name in STEPS[2:]),
        }
        if amount(size) >= AT:
            rows += [
                f"| peak memory of {kind}, {size} | {peaks[kind]:.2f} GB | ≤ {goal} GB | "
                f"{MET[peaks[kind] <= goal]} |"
                for kind, goal in PEAKS.items()
            ]
    sizes = {amount(size): {one["step"]: one["seconds"] for one in steps} for size, steps in found.items()}
    for n in sorted(sizes):
        if n > LITTLE and LITTLE in sizes:
            for name in STEPS:
                ratio = (sizes[n][name] / n) / (sizes[LITTLE][name] / LITTLE)
                rows.append(
                    f"| time per event, {name}, {n:,} against {LITTLE:,} | {ratio:.2f} × | ≤ {SLOWER} × | "
                    f"{MET[ratio <= SLOWER]} |"
                )
    return rows


def table(size: str, steps: list[dict]) -> list[str]:
    n = amount(size)
    lines = [
        "", f"## {size} events", "",
        "| step | seconds | ns per event | peak memory (GB) | answer |", "|---|---:|---:|---:|---|",
    ]  # fmt: skip
    for one in steps:
        peak = "" if one["peak"] is None else f"{one['peak']:.2f}"
        each = one["seconds"] / n * 1e9
        lines.append(f"| {one['step']} | {one['seconds']:.2f} | {each:.1f} | {peak} | {one['answer']} |")
    return lines


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1)
@click.option("--folder", type=click.Path(path_type=Path), help="Work in a new folder inside this one.")
@click.option("--logs", type=click.Path(path_type=Path, exists=True), help="Where logs lie ready.")
@click.option("--to", type=click.Path(path_type=Path), default=HERE / "SCALE.md", show_default=True)
def main(sizes: tuple[str, ...], folder: Path | None, logs: Path | None, to: Path) -> None:
    sizes = sizes or ("1M", "100M", "500M")
    found = {}
    with tempfile.TemporaryDirectory(prefix="cjm-scale-", dir=folder) as root:
        refuse_without_room(sizes, Path(root))
        for size in sizes:
            place = Path(root) / size
            found[size] = walk(size, place, logs)
            shutil.rmtree(place)
    machine = (
        f"{multiprocessing.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"
    )
    lines = [
        "# At scale", "",
        f"`python benchmarks/scale.py {' '.join(sizes)}` on {machine}. Every step ran once in a process of",
        "its own, which had compiled its kernels before; memory is the peak of that process.", "",
        "| cost | measured | goal | |", "|---|---|---|---|", *goals(found),
    ]  # fmt: skip
    lines += [line for size, steps in found.items() for line in table(size, steps)]
    to.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
