"""Events from databases: the same rows by every driver, in bounded memory, with errors that help."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy

import cjm_analytics as cjm
from cjm_analytics import loaders
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.source import whole
from cjm_analytics.loaders.sql import _plain
from postgres import server

ROWS = [
    ("ada", "2025-03-01T10:00:00Z", "visit", 7, "9.5000"),
    ("bob", "2025-03-01T11:30:00Z", "buy", None, "0.0001"),
    (None, "2025-03-02T10:00:00Z", "visit", 3, None),
]
TABLE = 'create table log (who text, "at" text, what text, items int, paid text)'
ASKED = 'select * from log order by "at"'
MAPPED = {"customer": "who", "timestamp": "at", "event": "what", "value": "paid", "keep": ["items"]}


@pytest.fixture(scope="session")
def postgres():
    with server() as url:
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "create table log (who text, at timestamptz, what text, items int, paid numeric(12, 4))"
            )
            for row in ROWS:
                connection.execute("insert into log values (%s, %s, %s, %s, %s)", row)
            connection.execute(
                "create table many as select 'c' || (i % 50000) as who, what, i as items, "
                "timestamptz '2025-01-01' + i * interval '1 second' as at, repeat('x', 100) as note "
                "from generate_series(1, 1000000) i, lateral (select 'event ' || (i % 7) as what) w"
            )
        yield url


def lite(path=":memory:"):
    connection = sqlite3.connect(path)
    connection.execute(TABLE)
    connection.executemany("insert into log values (?, ?, ?, ?, ?)", ROWS)
    connection.commit()
    return connection


def read(query, connection, **options):
    batch = whole(loaders.sql(query, connection, **options).batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def check(batch):
    """The two good rows and the one that tells no customer."""
    found = batch.events.select(["user_id", "event", "items", "src_row"]).to_pylist()
    assert found == [
        {"user_id": "ada", "event": "visit", "items": 7, "src_row": 1},
        {"user_id": "bob", "event": "buy", "items": None, "src_row": 2},
    ]
    assert [str(one) for one in batch.events["value"].to_pylist()] == ["9.5000", "0.0001"]
    assert str(batch.events["timestamp"][1].as_py()) == "2025-03-01 11:30:00+00:00"
    assert batch.rejects["reason"].to_pylist() == ["no customer: who is empty"]
    assert set(batch.events["src_file"].to_pylist()) == {"<Query>"}


def test_sqlite():
    check(read(ASKED, lite(), **MAPPED))


def test_duckdb():
    connection = duckdb.connect()
    connection.execute(TABLE)
    connection.executemany("insert into log values (?, ?, ?, ?, ?)", ROWS)
    check(read(ASKED, connection, **MAPPED))


def test_sqlalchemy_engine_connection_and_selectable(tmp_path):
    lite(tmp_path / "shop.db").close()
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    check(read(ASKED, engine, **MAPPED))
    log = sqlalchemy.Table("log", sqlalchemy.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        check(read(sqlalchemy.select(log).order_by(log.c.at), connection, **MAPPED))
    bound = read("select * from log where who = :who", engine, params={"who": "bob"}, **MAPPED)
    assert bound.events["user_id"].to_pylist() == ["bob"]
    engine.dispose()


def test_adbc_sqlite(tmp_path):
    lite(tmp_path / "shop.db").close()
    dbapi = pytest.importorskip("adbc_driver_sqlite.dbapi")
    with dbapi.connect(str(tmp_path / "shop.db")) as connection:
        check(read(ASKED, connection, **MAPPED))


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_urls_are_opened_and_closed_for_each_reading(tmp_path, kind):
    path = tmp_path / "shop.db"
    if kind == "sqlite":
        lite(path).close()
    else:
        with duckdb.connect(str(path)) as connection:
            connection.execute(TABLE)
            connection.executemany("insert into log values (?, ?, ?, ?, ?)", ROWS)
    source = loaders.sql(ASKED, f"{kind}:///{path}", **MAPPED)
    check(whole(source.batches()))
    check(whole(source.batches()))
    with pytest.raises(InputError, match="cannot be opened"):
        loaders.sql(ASKED, f"{kind}:///{tmp_path}/nowhere.db", **MAPPED)


@pytest.mark.parametrize("autocommit", [False, True])
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_psycopg(postgres, driver, autocommit):
    connection = pytest.importorskip(driver).connect(postgres)
    connection.autocommit = autocommit
    with contextlib.closing(connection):
        check(read(ASKED, connection, **MAPPED))
        bound = read("select * from log where who = %s", connection, params=["bob"], **MAPPED)
        assert bound.events["user_id"].to_pylist() == ["bob"]
        assert read("select * from log where false", connection, **MAPPED).n_read == 0


class LearnsItsColumnsLate:
    """A cursor that does not know its columns before its first rows, as psycopg2's on the server."""

    description = None

    def __init__(self, cursor):
        self.execute, self.close, self._cursor = cursor.execute, cursor.close, cursor

    def fetchmany(self, size):
        self.description = self._cursor.description
        return self._cursor.fetchmany(size)


def test_columns_may_be_known_with_the_first_rows_only():
    lines = lite()
    kind = type("connection", (), {"__module__": "psycopg2.extensions", "autocommit": False})
    kind.cursor = lambda _, **on_the_server: on_the_server and LearnsItsColumnsLate(lines.cursor())
    check(read(ASKED, kind(), **MAPPED))
    assert read("select * from log where 1 = 0", kind(), **MAPPED).n_read == 0


def test_rows_may_be_mappings(postgres):
    import psycopg

    lines = lite()
    lines.row_factory = lambda cursor, row: dict(
        zip((name for name, *_ in cursor.description), row, strict=True)
    )
    check(read(ASKED, lines, **MAPPED))
    with psycopg.connect(postgres, row_factory=psycopg.rows.dict_row) as connection:
        check(read(ASKED, connection, **MAPPED))


def test_a_percent_sign_is_one_unless_it_marks_a_parameter(postgres):
    import psycopg

    with psycopg.connect(postgres) as connection:
        assert read("select * from log where what like 'vis%'", connection, **MAPPED).n_read == 2
        both = "select * from log where who = %s and what like 'bu%'"
        with pytest.raises(
            InputError, match=r"Where params= are given, a percent sign is written %%\. Query"
        ):
            read(both, connection, params=["bob"], **MAPPED)
        connection.rollback()
        twice = both.replace("bu%", "bu%%")
        assert read(twice, connection, params=["bob"], **MAPPED).events["user_id"].to_pylist() == ["bob"]
        with pytest.raises(InputError, match=r'"lug" does not exist\. Query'):
            read("select * from lug where what like 'bu%'", connection, **MAPPED)
        connection.rollback()
        with pytest.raises(InputError, match=r'"lug" does not exist\. Query'):
            read("select * from lug where what like 'bu%%' and who = %s", connection, params=[1], **MAPPED)


def test_a_connection_that_breaks_off_is_an_error_and_no_shorter_log(postgres):
    import psycopg

    reads = loaders.sql("select * from many", postgres, customer="who", timestamp="at", event="what")
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%from many%'"
    with psycopg.connect(postgres, autocommit=True) as other:
        batches = reads.batches()
        n_read = next(batches).events.num_rows
        other.execute(f"{ended} and pid <> pg_backend_pid()")
        with pytest.raises(InputError, match=r"The database broke off after [0-9,]+ rows: "):
            n_read += sum(batch.events.num_rows for batch in batches)
    assert 0 < n_read < 1_000_000


def test_a_connection_closed_while_it_is_read_is_an_error():
    lines = lite()
    lines.executemany("insert into log values (?, ?, ?, ?, ?)", ROWS[:1] * 200_000)
    batches = loaders.sql("select * from log", lines, **MAPPED).batches()
    next(batches)
    lines.close()
    with pytest.raises(
        InputError, match=r"broke off after [0-9,]+ rows: Cannot operate on a closed database"
    ):
        list(batches)


def test_a_query_asked_again_gives_the_rows_of_before_as_duplicates(tmp_path):
    lines = lite()
    asked = loaders.sql("select * from log where who is not null", lines, **MAPPED)
    cjm.ingest(asked, to=tmp_path / "store")
    lines.execute("insert into log values ('cy', '2024-03-01T10:00:00Z', 'visit', 1, null)")
    events = cjm.ingest(asked, to=tmp_path / "store")
    assert sorted(events.to_frame()["customer_id"]) == ["ada", "bob", "cy"]
    (account,) = events.report().sources
    assert (account.read, account.kept, account.duplicates) == (5, 3, 2)


def test_two_queries_of_one_connection(postgres):
    import psycopg

    asked = "select * from log where who = %s"
    with psycopg.connect(postgres) as connection:
        ada, bob = (
            loaders.sql(asked, connection, params=[who], name=who, **MAPPED) for who in ("ada", "bob")
        )
        events = cjm.ingest([ada, bob])
    assert events.to_frame()[["customer_id", "source"]].to_numpy().tolist() == [
        ["ada", "ada"],
        ["bob", "bob"],
    ]


def test_adbc_postgres_by_url(postgres):
    pytest.importorskip("adbc_driver_postgresql")
    check(read(ASKED, postgres, **MAPPED))
    bound = read("select * from log where who = $1", postgres, params=["bob"], **MAPPED)
    assert bound.events["user_id"].to_pylist() == ["bob"]


def test_sqlalchemy_on_postgres(postgres):
    engine = sqlalchemy.create_engine(postgres.replace("postgresql", "postgresql+psycopg"))
    check(read(ASKED, engine, **MAPPED))
    engine.dispose()


def test_postgres_types_become_cells(postgres):
    import psycopg

    query = (
        "select 'ada' as who, now() as at, 'visit' as what, gen_random_uuid() as id, "
        """'{"a": {"b": 3}}'::jsonb as info, '10.0.0.1'::inet as ip, array[1, 2] as list, null as nothing"""
    )
    with psycopg.connect(postgres) as connection:
        batch = read(
            query,
            connection,
            customer="who",
            timestamp="at",
            event="what",
            event_id="id",
            order_id="info.a.b",
        )
    assert len(batch.events["event_id"][0].as_py()) == 36
    assert batch.events["order_id"].to_pylist() == ["3"]
    assert '"ip":"10.0.0.1"' in batch.events["properties"][0].as_py()


def test_numbers_ids_and_lengths_of_time_come_alike_from_every_driver(postgres):
    import psycopg

    query = (
        "select 'ada' as who, timestamptz '2025-03-01 10:00Z' as at, 'visit' as what, 1.25::numeric as n, "
        "'64faccbb-111c-47e1-a76a-0f385e8ffb65'::uuid as id, interval '1 day 2 hours' as lasted, "
        "null::interval as other"
    )
    named = {"customer": "id", "timestamp": "at", "event": "what", "keep": ["lasted"]}
    with psycopg.connect(postgres) as connection:
        for source in (connection, postgres):
            frame = cjm.ingest(loaders.sql(query, source, **named), progress=False).to_frame()
            assert frame["customer_id"].tolist() == ["64faccbb-111c-47e1-a76a-0f385e8ffb65"]
            assert frame["lasted"].tolist() == ["1 day, 2:00:00"]
        kept = cjm.ingest(
            loaders.sql(query, connection, **{**named, "keep": ["n"]}), progress=False
        ).to_frame()
        assert kept["n"].tolist() == [1.25]
        with pytest.raises(InputError, match="syntax error"):
            loaders.sql("selec", connection, **named)
        with pytest.raises(InputError, match=r"aborted.*Call rollback\(\) of the connection first"):
            loaders.sql(query, connection, **named)
        connection.rollback()


@pytest.mark.parametrize(
    ("length", "said"),
    [((0, 1, 7_200_000_000_000), "1 day, 2:00:00"), ((14, 0, 0), "14 months, 0:00:00"), (None, None)],
)
def test_a_length_of_time_is_a_text(length, said):
    lasted = pa.array([length and pa.MonthDayNano(length)], pa.month_day_nano_interval())
    assert _plain(lasted).to_pylist() == [said]
    assert _plain(pa.array([None], pa.duration("us"))).to_pylist() == [None]


PROGRAM = """
import resource, sys
import cjm_analytics as cjm
from cjm_analytics.loaders.sql import Query
kind, url = sys.argv[1:]
if kind == "psycopg":
    import psycopg
    connection = psycopg.connect(url)
elif kind == "sqlalchemy":
    import sqlalchemy
    connection = sqlalchemy.create_engine(url.replace("postgresql", "postgresql+psycopg"))
else:
    connection = url
def count(limit):
    source = cjm.loaders.sql(
        f"select * from many limit {limit}", connection, customer="who", timestamp="at", event="what"
    )
    return sum(batch.events.num_rows for batch in source.batches())
count(200_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert count(1_000_000) == 1_000_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["psycopg", "sqlalchemy", "adbc"])
def test_a_million_rows_take_no_more_memory_than_a_fifth_of_them(postgres, kind):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, postgres],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100, f"{done.stdout.strip()} MB more for five times as many rows"


def test_a_query_is_ingested_like_any_other_source():
    events = cjm.ingest(loaders.sql(ASKED, lite(), name="shop", **MAPPED), max_reject_share=0.5)
    assert len(events) == 2
    assert len(events.rejects()) == 1


def test_what_the_database_refuses_is_said():
    with pytest.raises(InputError, match=r"refused the query: .*lug.* Query: select \* from lug"):
        loaders.sql("select *\n from lug", lite(), **MAPPED)
    with pytest.raises(InputError, match="refused the query"):
        loaders.sql("select * from lug", duckdb.connect(), **MAPPED)
    with pytest.raises(InputError, match="gives no rows"):
        loaders.sql("update log set who = null", lite(), **MAPPED)
    with pytest.raises(InputError, match="must be text"):
        loaders.sql(None, lite(), **MAPPED)


def test_a_column_that_is_not_there_gets_a_hint():
    with pytest.raises(UnknownNameError, match=r"column in <Query> for customer= named 'whom'.*mean 'who'"):
        loaders.sql(ASKED, lite(), customer="whom", timestamp="at", event="what")
    with pytest.raises(InputError, match="two columns named 'who'"):
        loaders.sql("select who, who, at from log", lite(), customer="who", timestamp="at", event="=x")


def test_connections_of_no_known_kind_are_refused():
    with pytest.raises(InputError, match="connection cannot be a DataFrame"):
        loaders.sql(ASKED, pd.DataFrame(), **MAPPED)
    with pytest.raises(InputError, match="is no URL"):
        loaders.sql(ASKED, "shop.db", **MAPPED)
    with pytest.raises(UnknownNameError, match=r"'postgresq'. Did you mean 'postgresql'"):
        loaders.sql(ASKED, "postgresq://localhost/shop", **MAPPED)
    with pytest.raises(InputError, match="sep= speaks of files"):
        loaders.sql(ASKED, lite(), sep=";", **MAPPED)


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(InputError, match=r"needs duckdb: pip install 'cjm_analytics\[sql\]'"):
        loaders.sql(ASKED, "duckdb:///shop.duckdb", **MAPPED)


def test_an_empty_answer_is_an_empty_source():
    assert read("select * from log where 1 = 0", lite(), **MAPPED).n_read == 0
