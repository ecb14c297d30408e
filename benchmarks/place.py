"""What is there before anything is timed: the log, and what each way keeps its data in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Place:
    """Folders of one benchmark log."""

    folder: Path

    @property
    def log(self) -> Path:
        """The raw log: Parquet files in order of time."""
        return self.folder / "log"

    @property
    def parquet(self) -> str:
        """All of its files, as a pattern."""
        return str(self.log / "*.parquet")

    @property
    def sorted(self) -> Path:
        """The log as one Parquet file sorted by customer and time, for peers that gain by it."""
        return self.folder / "sorted.parquet"

    @property
    def clickhouse(self) -> Path:
        """ClickHouse's own folder, with the log in a MergeTree table sorted by customer and time."""
        return self.folder / "clickhouse"

    @property
    def duckdb(self) -> Path:
        """DuckDB's own file, with the log in a table sorted by customer and time."""
        return self.folder / "duckdb.db"

    @property
    def events(self) -> Path:
        return self.folder / "events"

    @property
    def journeys(self) -> Path:
        """Journeys without a model: one per customer."""
        return self.folder / "journeys"

    @property
    def modelled(self) -> Path:
        """Journeys by the benchmark's model."""
        return self.folder / "modelled"

    def text(self, form: str) -> Path:
        """A quarter of the log as `csv` or `jsonl`."""
        return self.folder / form

    @property
    def scratch(self) -> Path:
        """Where ways write what they make and throw away."""
        path = self.folder / "scratch"
        path.mkdir(exist_ok=True)
        return path


def source(place: Place, pattern: str | None = None):
    """The log as our loaders read it."""
    import cjm_analytics as cjm

    return cjm.loaders.table(
        pattern or str(place.log),
        customer="customer",
        timestamp="timestamp",
        event="event",
        channel="channel",
        name="log",
    )


def clickhouse_session(folder: Path):
    """ClickHouse in process, over a folder of its own."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chdb import session
    return session.Session(str(folder))


CLICKHOUSE_TABLE = """
    CREATE TABLE log (customer String, timestamp DateTime64(6, 'UTC'),
        event LowCardinality(String), channel LowCardinality(String))
    ENGINE = MergeTree ORDER BY (customer, timestamp)
"""


def _ours(place: Place) -> None:
    import cjm_analytics as cjm

    events = cjm.ingest(source(place), to=place.events, progress=False)
    cjm.sessionize(events, to=place.journeys, progress=False)
    model = cjm.JourneyModel.read(HERE / "model.toml")
    cjm.sessionize(events, model, to=place.modelled, progress=False)


def _duckdb(place: Place) -> None:
    import duckdb

    with duckdb.connect(str(place.duckdb)) as connection:
        connection.execute(
            f"CREATE TABLE log AS SELECT customer, timestamp, event::ENUM ({_names('event', place)}) "
            f"AS event, channel FROM '{place.parquet}' ORDER BY customer, timestamp"
        )
        connection.execute(f"COPY log TO '{place.sorted}' (FORMAT parquet, COMPRESSION zstd)")


def _names(column: str, place: Place) -> str:
    import duckdb

    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT DISTINCT {column} FROM '{place.parquet}' ORDER BY 1")
        rows = found.fetchall()
    return ", ".join(f"'{name}'" for (name,) in rows)


def _clickhouse(place: Place) -> None:
    session = clickhouse_session(place.clickhouse)
    session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
    session.query("USE bench")
    session.query(CLICKHOUSE_TABLE)
    session.query(f"INSERT INTO log SELECT * FROM file('{place.parquet}', Parquet)")
    session.query("OPTIMIZE TABLE log FINAL")
    session.close()


def _text(place: Place) -> None:
    import duckdb
    import pyarrow.parquet as pq

    rows = sum(pq.read_metadata(path).num_rows for path in place.log.glob("*.parquet")) // 4
    written = "strftime(timestamp AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS timestamp"
    with duckdb.connect() as connection:
        for form, options in (("csv", "FORMAT csv, HEADER"), ("jsonl", "FORMAT json")):
            place.text(form).mkdir(exist_ok=True)
            connection.execute(
                f"COPY (SELECT customer, {written}, event, channel FROM '{place.parquet}' LIMIT {rows}) "
                f"TO '{place.text(form) / f'log.{form}'}' ({options})"
            )


MAKERS = {"journeys": _ours, "duckdb.db": _duckdb, "clickhouse": _clickhouse, "text": _text}


def make(folder: Path, size: str) -> Place:
    """The place, made where it is not there yet; each maker runs in a process of its own."""
    place = Place(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / ".log.done"
    if not written.exists():
        shutil.rmtree(place.log, ignore_errors=True)
        subprocess.run([sys.executable, HERE / "generate.py", size, place.log], check=True)
        written.touch()
    for name in MAKERS:
        done = folder / f".{name}.done"
        if not done.exists():
            subprocess.run([sys.executable, __file__, name, folder], check=True)
            done.touch()
    return place


if __name__ == "__main__":
    MAKERS[sys.argv[1]](Place(Path(sys.argv[2])))
