"""Who is who: `python benchmarks/identity.py` times the pairs of ids of many people, from rows to customers.

Four of five pairs are of a device and a user, the others of an address and a user; one device in a hundred
has several users. Each size runs in a process of its own, whose imports and compiled kernels are warm.
Another process wrote the rows into a file before, so that the memory that making them takes does not count.
Memory is what the process needs at its peak, the rows that are given and the answer among it.
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
import pyarrow.compute as pc

SIZES = (1_000_000, 10_000_000)
BATCH = 500_000
START = 1_770_000_000_000_000
SPAN = 180 * 86_400_000_000


def named(prefix: str, numbers: np.ndarray, suffix: str = "") -> pa.Array:
    """Ids."""
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), suffix, "")


def rows(n: int) -> pa.Table:
    """Events with two ids each, a pair in every row, in no order."""
    rng = np.random.default_rng(1)
    people, devices = n // 2, n * 4 // 5
    device = rng.permutation(devices)
    device[: devices // 100] = device[devices // 100 : 2 * (devices // 100)]
    alias = pa.concat_arrays(
        [named("device-", device), named("email:p", rng.integers(0, people, n - devices), "@example.com")]
    )
    times = pa.array(START + rng.integers(0, SPAN, n), pa.timestamp("us", tz="UTC"))
    user = named("user-", rng.integers(0, people, n))
    order = pa.array(rng.permutation(n))
    return pa.table({"anonymous_id": alias, "user_id": user, "timestamp": times}).take(order)


def write(n: int, path: str) -> None:
    """Write the rows of one size into a file."""
    table = rows(n).combine_chunks()
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)


def step(path: str) -> None:
    """Time one size, whose rows are in a file, and print what it took; few rows compile the kernels first."""
    from cjm_analytics import Identity
    from cjm_analytics.events.evidence import Evidence

    with pa.OSFile(path) as file:
        given = pa.ipc.open_file(file).read_all()
    for table in (rows(1_000), given):
        identity, evidence = Identity(largest=None), Evidence()
        start = time.perf_counter()
        for first in range(0, table.num_rows, BATCH):
            evidence.rows(table.slice(first, BATCH), identity, "web")
        evidence.close()
        gathered = time.perf_counter()
        found = identity.resolve(evidence.pairs, evidence.of)
        done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = {"gather": gathered - start, "decide": done - gathered, "peak": peak}
    print(json.dumps({**facts, "given": given.nbytes / 2**30, "people": len(found.sizes)}))


@click.command()
@click.argument("sizes", type=int, nargs=-1)
@click.option("--to", type=click.Path(path_type=Path), help="Write the table into this file too.")
def main(sizes: tuple[int, ...], to: Path | None) -> None:
    """Time SIZES pairs of ids; 1 and 10 million where none is given."""
    machine = f"{multiprocessing.cpu_count()} processors, Python {platform.python_version()}"
    lines = [
        f"Pairs of ids, from rows to customers, {machine}",
        "",
        "| pairs | gather (s) | decide (s) | pairs per second | peak memory (GB) | rows (GB) | people |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for n in sizes or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "rows.arrow")
            subprocess.run([sys.executable, __file__, "--write", str(n), path], check=True)
            done = subprocess.run([sys.executable, __file__, "--step", path], check=True, capture_output=True)
        row = json.loads(done.stdout)
        print(row, flush=True)
        speed = n / (row["gather"] + row["decide"])
        lines.append(
            f"| {n:,} | {row['gather']:.2f} | {row['decide']:.2f} | {speed:,.0f} | {row['peak']:.2f} "
            f"| {row['given']:.2f} | {row['people']:,} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if to:
        to.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["--step"]:
        step(sys.argv[2])
    else:
        main()
