"""Rows a second of every loader: `python benchmarks/loaders.py --to benchmarks/LOADERS.md`.

Each loader reads the whole export of a made-up shop (`exports.py`) into canonical batches: ids cleaned, times
in UTC, everything else as JSON in `properties`, bad rows with their reasons. Beside it DuckDB reads the same
file into a table of its own, as it stands: the least that any reader must do. Both are warm, and the better
of two readings counts.

With `--peak` each export is read into a store on the disk instead, in a process of its own, and what is told
is the most memory that this process had: `python benchmarks/loaders.py 1M --only shopify --peak`.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from exports import ADOBE, EXPORTS

import cjm_analytics as cjm

if TYPE_CHECKING:
    from collections.abc import Callable

LINE = (
    r"^(\S+) (\S+) (\S+) \[([^\]]+)\] \"((?:[^\"\\]|\\.)*)\" (\d{3}) (\d+|-)"
    r" \"((?:[^\"\\]|\\.)*)\" \"((?:[^\"\\]|\\.)*)\""
)
NAMES = ["host", "ident", "user", "time", "request", "status", "bytes", "referer", "agent"]
OPTIONS: dict[str, dict[str, Any]] = {
    "ocel": {"customer_object_type": "customer"},
    "qualtrics": {"tz": "UTC"},
    "surveymonkey": {"tz": "UTC"},
    "table": {"customer": "customer"},
}
READERS = {
    ".csv": "read_csv('{}', all_varchar=true)",
    ".json": "read_json('{}')",
    ".jsonl": "read_json('{}')",
    ".parquet": "read_parquet('{}')",
    ".tsv": "read_csv('{}', delim='\\t', quote='', all_varchar=true, header=false)",
}
TABLE = {"hubspot": "calls", "intercom": "conversation_parts", "salesforce": "Task", "zendesk": "tickets"}
"""The file with the events, of an export that has others beside it."""
TIMES = (
    "| loader | MB | events | seconds | events a second | DuckDB, seconds | DuckDB, rows a second |",
    "|---|---:|---:|---:|---:|---:|---:|",
)
PEAKS = ("| loader | MB | events | seconds | peak of memory, GB |", "|---|---:|---:|---:|---:|")
NOTES = (
    "Matomo's rows are visits of five actions. Of exports with people beside the events (HubSpot, Intercom,",
    "Salesforce, Zendesk) DuckDB reads the events alone, and joins nothing. DuckDB uses every processor, our",
    "loaders one.",
)


def ours(name: str, path: Path) -> int:
    """Events of the export."""
    return sum(batch.events.num_rows for batch in streamed(name, path).batches())


def question(name: str, path: Path) -> str | None:
    """How DuckDB reads the same rows; None where it cannot read the format."""
    if name == "access_log":
        lines = f"read_csv('{path}', columns={{'line': 'varchar'}}, delim='\\x01', quote='', header=false)"
        return f"SELECT unnest(regexp_extract(line, '{LINE}', {NAMES})) FROM {lines}"
    if name == "adobe_analytics":
        hits = path / "01-suite_2025-03-01.tsv"
        return f"SELECT * FROM read_csv('{hits}', delim='\\t', quote='', all_varchar=true, names={ADOBE})"
    if name in TABLE:
        path = next(path.glob(f"{TABLE[name]}.*"))  # of the events alone, not of the people
    if name == "ocel":
        return f"SELECT unnest(events) FROM read_json('{path}', maximum_object_size=1000000000)"
    reader = READERS.get(path.suffix)
    return reader and f"SELECT * FROM {reader.format(path)}"


def duckdb(asked: str) -> int:
    """Rows of the table that DuckDB makes of them."""
    import duckdb as peer

    with peer.connect() as connection:
        connection.execute(f"CREATE TABLE log AS {asked}")
        (found,) = connection.execute("SELECT count(*) FROM log").fetchone() or (0,)
    return int(found)


def streamed(name: str, path: Path) -> Any:
    """The export as its loader reads it."""
    loader = name.partition(" ")[0]
    if loader == "sql":
        return cjm.loaders.sql("SELECT * FROM log", f"{path.suffix[1:]}:///{path}", **OPTIONS["table"])
    return getattr(cjm.loaders, loader)(path, **OPTIONS.get(loader, {}))


def ingested(name: str, path: Path, told: multiprocessing.SimpleQueue[tuple[int, float, float]]) -> None:
    """Tell the events of the export, the seconds that it took to ingest it, and the greatest memory in GB."""
    with tempfile.TemporaryDirectory(prefix="cjm-peak-") as folder:
        start = time.perf_counter()
        events = len(cjm.ingest(streamed(name, path), to=f"{folder}/events", progress=False))
        taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    told.put((events, taken, peak))


def peak(name: str, path: Path) -> str:
    """The row of a table that says how much memory an export takes."""
    apart = multiprocessing.get_context("spawn")
    told = apart.SimpleQueue()
    process = apart.Process(target=ingested, args=(name, path, told))
    process.start()
    process.join()
    events, taken, most = told.get()
    return f"{events:,} | {taken:.1f} | {most:.2f} |"


def best(ask: Callable[[], int]) -> tuple[int, float]:
    """The answer, and the seconds of the better of two readings."""
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        answer = ask()
        taken.append(time.perf_counter() - start)
    return answer, min(taken)


@click.command()
@click.argument("size", default="50k")
@click.option("--to", type=click.Path(path_type=Path), help="Write the table into this file too.")
@click.option("--only", multiple=True, help="These loaders only.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the exports here.")
@click.option("--peak", "is_peak", is_flag=True, help="Tell the memory that ingesting takes, not the time.")
def main(size: str, to: Path | None, only: tuple[str, ...], folder: Path | None, *, is_peak: bool) -> None:
    """Time every loader on an export of SIZE contacts (50k, 1M, …)."""
    there = {name.partition(" ")[0] for name in EXPORTS}
    missing = set(cjm.loaders.__all__) - there - {"describe"}  # which reads no rows
    if missing:
        raise click.ClickException(f"exports.py writes nothing for {', '.join(sorted(missing))}.")
    n = int(float(size.lower().replace("k", "e3").replace("m", "e6")))
    place = folder or Path(tempfile.mkdtemp(prefix="cjm-loaders-"))
    lines = [
        f"{n:,} contacts, {multiprocessing.cpu_count()} processors, Python {platform.python_version()}",
        "",
        *(PEAKS if is_peak else TIMES),
    ]
    for name, write in EXPORTS.items():
        if only and name not in only:
            continue
        own = place / name.replace(" ", "_")
        marker = own / "path"
        if not marker.exists():
            own.mkdir(parents=True, exist_ok=True)
            marker.write_text(str(write(own, n)))
        path = Path(marker.read_text())
        weight = sum(one.stat().st_size for one in own.rglob("*") if one.is_file()) / 1e6
        if is_peak:
            lines.append(f"| {name} | {weight:.0f} | {peak(name, path)}")
            click.echo(lines[-1])
            continue
        events, seconds = best(lambda name=name, path=path: ours(name, path))
        row = f"| {name} | {weight:.0f} | {events:,} | {seconds:.2f} | {events / seconds:,.0f} |"
        asked = question(name, path)
        if asked is None:
            row += " – | – |"
        else:
            rows, taken = best(lambda asked=asked: duckdb(asked))
            row += f" {taken:.2f} | {rows / taken:,.0f} |"
        lines.append(row)
        click.echo(row)
    text = "\n".join([*lines, *([] if is_peak else ["", *NOTES])]) + "\n"
    click.echo(text)
    if to:
        to.write_text(text)
    if folder is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
