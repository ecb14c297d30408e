"""What costs besides the time of a work: importing, compiling kernels, memory, bytes on disk.

`python benchmarks/costs.py --compile FOLDER` walks the whole road on a small log in FOLDER and prints the
seconds that each kernel took to compile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from generate import amount

HERE = Path(__file__).resolve().parent
MET = {True: "met", False: "missed"}
CORE = ("customer_id", "timestamp", "event", "channel")
WARM = "200K"
"""A log on which the road calls all its kernels; some are for more than a few thousand numbers."""

LIGHT = 0.6
COMPILED = 1
BYTES = 9
PEAKS = {"any single analysis": 1.5, "ingest": 3}
SLOWER = 1.3
REPEATED = {"funnel": "cjm, from disk", "transitions": "cjm, from disk", "ingest_parquet": "cjm"}
"""Works that are done at both sizes, and whose way counts."""


def importing() -> str:
    code = (
        "import time; start = time.perf_counter(); import cjm_analytics, sys; "
        "print(time.perf_counter() - start, "
        "[name for name in ('plotly', 'numba', 'scipy') if name in sys.modules])"
    )
    told = [_said([sys.executable, "-c", code]).split(" ", 1) for _ in range(7)]
    seconds, loaded = median(float(one) for one, _ in told), told[0][1].strip()
    met = MET[seconds <= LIGHT and loaded == "[]"]
    measured = f"{seconds:.2f} s, of plotly, Numba and SciPy loaded: {loaded}"
    return f"| `import cjm_analytics` | {measured} | ≤ {LIGHT} s, none | {met} |"


def compiling() -> str:
    """Compile all kernels of the road into an empty cache; a second process finds them there."""
    with tempfile.TemporaryDirectory(prefix="cjm-kernels-") as folder:
        place = Path(folder)
        _said([sys.executable, str(HERE / "generate.py"), WARM, str(place / "log")])
        command = [sys.executable, str(HERE / "costs.py"), "--compile", folder]
        own_cache = os.environ | {"NUMBA_CACHE_DIR": str(place / "kernels")}
        first, again = (json.loads(_said(command, own_cache).splitlines()[-1]) for _ in range(2))
    slowest = max(first, key=first.get)
    met = MET[first[slowest] <= COMPILED and not again]
    measured = (
        f"{len(first)} in {sum(first.values()):.1f} s, the slowest ({slowest}) {first[slowest]:.2f} s; "
        f"{len(again)} in the next process"
    )
    return (
        f"| compiling kernels, first and next process | {measured} | ≤ {COMPILED} s each, then none | {met} |"
    )


def compile_road(folder: Path) -> dict[str, float]:
    """Seconds per kernel until its code can be kept; without our other kernels that it calls."""
    import road
    from numba.core import event

    from cjm_analytics.kernels import compiling

    taken: dict[str, float] = {}
    running: list[list] = []

    def begin() -> None:
        running.append([time.perf_counter(), 0.0])

    def end(name: str) -> None:
        start, inside = running.pop()
        seconds = time.perf_counter() - start
        taken[name] = taken.get(name, 0.0) + seconds - inside
        if running:
            running[-1][1] += seconds

    class Stopwatch(event.Listener):
        def on_start(self, one) -> None:
            if _is_ours(one):
                begin()

        def on_end(self, one) -> None:
            if _is_ours(one):
                end(one.data["dispatcher"].py_func.__name__)

    def compiled(dispatcher, arguments):
        begin()
        try:
            return whole(dispatcher, arguments)
        finally:
            end(dispatcher.py_func.__name__)

    event.register("numba:compile", Stopwatch())
    whole, compiling.compiled = compiling.compiled, compiled
    road.ingest(folder, folder / "log")
    road.sessionize(folder, folder / "log")
    for name in road.STEPS[2:]:
        road.analyse(name, folder)
    return taken


def _is_ours(one) -> bool:
    return one.data["dispatcher"].py_func.__module__.startswith("cjm_analytics")


def store_size(folder: Path) -> str:
    import pyarrow.parquet as pq

    size = rows = 0
    for path in (folder / "events").rglob("*.parquet"):
        footer = pq.read_metadata(path)
        rows += footer.num_rows
        for group in range(footer.num_row_groups):
            columns = [footer.row_group(group).column(place) for place in range(footer.num_columns)]
            size += sum(one.total_compressed_size for one in columns if one.path_in_schema in CORE)
    each = size / rows
    return (
        f"| event store, four core columns | {each:.1f} bytes per event | ≤ {BYTES} | {MET[each <= BYTES]} |"
    )


def memory(peaks: dict[str, float], size: str) -> list[str]:
    """The peaks of our own ways, per kind of work."""
    return [
        f"| peak memory of {kind}, {size} events | {peaks[kind]:.2f} GB | ≤ {goal} GB at 100M | "
        f"{MET[peaks[kind] <= goal]} |"
        for kind, goal in PEAKS.items()
        if kind in peaks
    ]


def per_event(large: dict[str, float], small: dict[str, float], sizes: tuple[str, str]) -> list[str]:
    """Seconds of the same works at two sizes, per event."""
    rows = []
    for work, seconds in large.items():
        ratio = (seconds / amount(sizes[0])) / (small[work] / amount(sizes[1]))
        rows.append(
            f"| time per event, {work.replace('_', ' ')}, {sizes[0]} against {sizes[1]} | {ratio:.2f} × | "
            f"≤ {SLOWER} × at 100M | {MET[ratio <= SLOWER]} |"
        )
    return rows


def _said(command: list[str], environment: dict[str, str] | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


if __name__ == "__main__":
    print(json.dumps(compile_road(Path(sys.argv[2]))))
