"""Events straight from a database: a query, streamed in batches, mapped like any other table."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa

from cjm_analytics.errors import CJMError, InputError, UnknownNameError, counted
from cjm_analytics.loaders.table import table
from cjm_analytics.loaders.values import strings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cjm_analytics.loaders.source import EventStream

__all__ = ["sql"]

_FETCHED: Final = 16_384
"""Rows that a database that gives Python objects is asked for at a time."""

_OF_FILES: Final = ("format", "sep", "encoding", "quote", "null_values", "header_rows", "sheet")
_URLS: Final = "postgresql://user@host/database, sqlite:///file.db or duckdb:///file.duckdb"
_SHOWN: Final = 200


def sql(
    query: object,
    connection: object,
    *,
    params: Sequence[object] | Mapping[str, object] | None = None,
    name: str = "sql",
    **mapping: Any,  # noqa: ANN401 - what `table` takes
) -> EventStream:
    """Read the rows that a query gives: events straight from a database or a warehouse.

    **From where.** An open connection, or a URL that is opened for each reading and closed again
    (`postgresql://…`, `sqlite:///file.db`, `duckdb:///file.duckdb`). Connections of ADBC, DuckDB and
    SQLAlchemy (an `Engine`, too), and any other that follows Python's DB-API: psycopg, sqlite3, the drivers
    of warehouses.

    **Streaming.** Rows come in batches and are never held all at once: record batches from ADBC and DuckDB, a
    named cursor on the server with psycopg and psycopg2, `stream_results` with SQLAlchemy, `fetchmany`
    elsewhere. A driver whose ordinary cursor fetches everything at once (pymysql, for example) needs its own
    streaming cursor class, set on the connection. A connection that breaks off is an error, and no shorter
    log.

    **Rules.** The query is asked once when the source is made, only for its first rows, to check the columns,
    and once for each reading; the connection must not be used for other things while rows are read. Nothing
    is written and no transaction is ended here. `src_file` is `<Query>`, `src_row` counts the rows of the
    answer from 1: with an `order by` both mean the same in each reading. Numbers of exact decimals stay exact
    in `value`; JSON columns become JSON text, into which dotted names reach; lengths of time become texts
    such as `1 day, 2:00:00`. A connection may give its rows as tuples or as mappings. A percent sign is one,
    but where `params=` are given to a driver that marks their places by `%s`: there it is written `%%`.

    **Again.** A query has no files that could be skipped: ingested into the same store once more, all its
    rows are read again. Rows that are there already are duplicates, whatever their place in the answer; a row
    that has changed since is another event, unless `event_id=` says which is the same. So ask for what is new
    (`where at >= …`), or say `replace=` where a window is to be read anew.

    Parameters
    ----------
    query : str or SQLAlchemy selectable
        What to ask.
    connection : connection, engine or URL
        Whom to ask.
    params : sequence or mapping, optional
        Parameters of the query, in the style of the driver: `?` for SQLite and DuckDB, `$1` for ADBC's
        PostgreSQL, `%s` or `%(name)s` for psycopg, `:name` for SQLAlchemy.
    name : str
        The `source` column.
    **mapping
        `customer=`, `timestamp=`, `event=`, `email=`, `melt=`, `keep=`, `tz=`, every canonical column, and
        all else that `cjm.loaders.table` takes and that does not speak of files.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        The database refuses the query, or the query gives no rows at all (an `update`); the connection is of
        no known kind; its driver is not installed; what `cjm.loaders.table` refuses.
    UnknownNameError
        A named column that the answer has not got, with the nearest that it has.

    Examples
    --------
    >>> import sqlite3
    >>> import cjm_analytics as cjm
    >>> shop = sqlite3.connect(":memory:")
    >>> _ = shop.execute("create table orders (who text, at text, total real)")
    >>> _ = shop.execute("insert into orders values ('ada', '2025-03-01T10:00:00Z', 9.5)")
    >>> source = cjm.loaders.sql(
    ...     "select * from orders where total > ?", shop, params=[5],
    ...     customer="who", timestamp="at", event="=order placed", value="total", kind="order",
    ... )
    >>> next(source.batches()).events.select(["user_id", "event", "value"]).to_pylist()
    [{'user_id': 'ada', 'event': 'order placed', 'value': Decimal('9.5000')}]
    """
    for option in _OF_FILES:
        if option in mapping:
            raise InputError(f"{option}= speaks of files; a query has none.")
    _check_kind(connection)
    return table(Query(query, connection, params), name=name, **mapping)


@dataclass(frozen=True)
class Query:
    """A question to a database, asked anew for each reading."""

    text: object
    connection: object
    params: Sequence[object] | Mapping[str, object] | None = None

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """The answer in record batches: at least one, perhaps without rows, to tell the columns."""
        n_rows = 0
        try:
            with contextlib.ExitStack() as opened:
                for batch in self._asked(opened):
                    n_rows += batch.num_rows
                    yield batch
        except CJMError:
            raise
        except Exception as fault:  # each driver has its own errors
            raise self._refused(fault, n_rows) from fault

    def _asked(self, opened: contextlib.ExitStack) -> Iterator[pa.RecordBatch]:
        connection = self.connection
        if isinstance(connection, str):
            connection = opened.enter_context(contextlib.closing(_connected(connection)))
        home = _home(connection)
        if home == "sqlalchemy":
            return self._of_sqlalchemy(connection, opened)
        if home == "duckdb":
            return self._of_duckdb(connection)
        if home.startswith("adbc"):
            return self._of_adbc(connection, opened)
        return self._of_cursor(connection, opened)

    def _of_duckdb(self, connection: Any) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
        answer = connection.sql(self._plain_text(), params=self.params)
        if answer is None:
            raise self._answerless()
        reader = getattr(answer, "to_arrow_reader", None) or answer.fetch_record_batch
        yield from _of_reader(reader(_FETCHED))

    def _of_adbc(self, connection: Any, opened: contextlib.ExitStack) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
        cursor = opened.enter_context(connection.cursor())
        cursor.execute(self._plain_text(), self.params)
        yield from _of_reader(opened.enter_context(cursor.fetch_record_batch()))

    def _of_sqlalchemy(self, connection: Any, opened: contextlib.ExitStack) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
        import sqlalchemy

        if hasattr(connection, "connect"):
            connection = opened.enter_context(connection.connect())
        asked: Any = sqlalchemy.text(self.text) if isinstance(self.text, str) else self.text
        options = {"stream_results": True, "yield_per": _FETCHED}
        answer = opened.enter_context(
            contextlib.closing(connection.execute(asked, self.params, execution_options=options))
        )
        if not answer.returns_rows:
            raise self._answerless()
        yield from _of_tuples(list(answer.keys()), answer.partitions(_FETCHED))

    def _of_cursor(self, connection: Any, opened: contextlib.ExitStack) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
        text = self._plain_text()
        if _home(connection) in {"psycopg", "psycopg2"}:
            # Outside a transaction a cursor on the server lives only if it is held.
            cursor = connection.cursor(name=f"cjm_{uuid.uuid4().hex}", withhold=bool(connection.autocommit))
        else:
            cursor = connection.cursor()
        opened.callback(_close, cursor)
        cursor.execute(text) if self.params is None else cursor.execute(text, self.params)
        # psycopg2 learns the columns of a cursor on the server with its first rows.
        rows = cursor.fetchmany(_FETCHED) if _home(connection) == "psycopg2" else None
        if cursor.description is None:
            raise self._answerless()
        names = [str(column[0]) for column in cursor.description]
        later = iter(lambda: cursor.fetchmany(_FETCHED), None)
        blocks = later if rows is None else itertools.chain([rows], later)
        yield from _of_tuples(names, itertools.takewhile(len, blocks))

    def _plain_text(self) -> str:
        if not isinstance(self.text, str) or not self.text.strip():
            raise InputError(f"The query must be text, not {self.text!r}.")
        return self.text

    def _answerless(self) -> InputError:
        return InputError(f"The query gives no rows; ask with a select. Query: {self._shown()}")

    def _refused(self, fault: Exception, n_rows: int) -> InputError:
        said = str(fault).strip().splitlines() or [type(fault).__name__]
        # A query that failed before, this one's or another one's, stands in the way until it is rolled back.
        what = " Call rollback() of the connection first." if "transaction is aborted" in said[0] else ""
        if not n_rows and self._has_bare_percent():
            what = " Where params= are given, a percent sign is written %%."
        did = f"broke off after {counted(n_rows, 'row')}" if n_rows else "refused the query"
        return InputError(f"The database {did}: {said[0].rstrip('.')}.{what} Query: {self._shown()}")

    def _has_bare_percent(self) -> bool:
        """Whether the driver takes a percent sign of the query for the place of a parameter."""
        driver = sys.modules.get(_home(self.connection))
        takes = self.params is not None and getattr(driver, "paramstyle", "") in {"format", "pyformat"}
        return takes and re.search(r"%(?![sbt(])", str(self.text).replace("%%", "")) is not None

    def _shown(self) -> str:
        return " ".join(str(self.text).split())[:_SHOWN]


def _close(cursor: Any) -> None:  # noqa: ANN401 - cursors share no type
    """Give a cursor back; where the connection is gone, it is gone, too."""
    with contextlib.suppress(Exception):
        cursor.close()


def _home(connection: object) -> str:
    """The package that a connection comes from."""
    home = type(connection).__module__.partition(".")[0].lstrip("_")
    return "psycopg" if home == "psycopg_binary" else home


def _check_kind(connection: object) -> None:
    if isinstance(connection, str):
        if "://" not in connection:
            raise InputError(f"The connection {connection!r} is no URL. Write it like {_URLS}.")
        return
    if _home(connection) == "sqlalchemy" and hasattr(connection, "execute"):
        return
    if not hasattr(connection, "cursor") and not hasattr(connection, "connect"):
        raise InputError(
            f"A connection cannot be a {type(connection).__name__}. Give an open connection of ADBC, DuckDB, "
            f"SQLAlchemy or a DB-API driver (psycopg, sqlite3, …), or a URL: {_URLS}."
        )


def _connected(url: str) -> Any:  # noqa: ANN401 - connections share no type
    """A connection of our own."""
    scheme, _, place = url.partition("://")
    known = {"postgresql": "adbc-driver-postgresql", "postgres": "adbc-driver-postgresql", "duckdb": "duckdb"}
    if scheme not in {*known, "sqlite"}:
        raise UnknownNameError("kind of database URL", scheme, ["postgresql", "sqlite", "duckdb"])
    try:
        if scheme == "sqlite":
            return sqlite3.connect(f"file:{place.removeprefix('/')}?mode=ro", uri=True)
        if scheme == "duckdb":
            import duckdb

            return duckdb.connect(place.removeprefix("/"), read_only=True)
        from adbc_driver_postgresql import dbapi

        return dbapi.connect(url)
    except ImportError as fault:
        raise InputError(
            f"Reading {scheme}:// needs {known[scheme]}: pip install 'cjm_analytics[sql]', or give an open "
            "connection of a driver that you have."
        ) from fault
    except Exception as fault:  # each driver has its own errors
        said = str(fault).strip().splitlines() or [type(fault).__name__]
        raise InputError(f"The {scheme} database cannot be opened: {said[0]}") from fault


def _of_reader(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Batches as they come, types that only the database knows as what they are stored as."""
    yield _stored(pa.RecordBatch.from_pylist([], schema=reader.schema))
    for batch in reader:
        yield _stored(batch)


def _stored(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([_plain(one) for one in batch.columns], names=batch.schema.names)


def _plain(column: pa.Array) -> pa.Array:
    """A column without types that only the database knows; ids and lengths of time as text."""
    if isinstance(column, pa.ExtensionArray):
        is_uuid = column.type.extension_name == "arrow.uuid"
        return strings(_said(column.to_pylist())) if is_uuid else column.storage
    if pa.types.is_interval(column.type):
        return strings([one and _length(one) for one in column.to_pylist()])
    return strings(_said(column.to_pylist())) if pa.types.is_duration(column.type) else column


def _length(one: pa.MonthDayNano) -> str:
    """A length of time in words where it has months, else as `1 day, 2:00:00`."""
    rest = timedelta(days=one.days, microseconds=one.nanoseconds // 1_000)
    return f"{one.months} months, {rest}" if one.months else str(rest)


def _said(cells: list[Any]) -> list[str | None]:
    return [None if one is None else str(one) for one in cells]


def _of_tuples(names: Sequence[str], blocks: Iterator[Sequence[Any]]) -> Iterator[pa.RecordBatch]:
    """Rows of Python objects as record batches; each block finds its own types."""
    yield pa.RecordBatch.from_arrays([pa.nulls(0, pa.string()) for _ in names], names=list(names))
    for block in blocks:
        rows = [[row[name] for name in names] for row in block] if isinstance(block[0], Mapping) else block
        columns = zip(*rows, strict=True)
        yield pa.RecordBatch.from_arrays([_typed(list(cells)) for cells in columns], names=list(names))


def _typed(cells: list[Any]) -> pa.Array:
    """The cells of a column in the type that they share, else as text."""
    seen = next((one for one in cells if one is not None), None)
    if isinstance(seen, dict | list):
        return strings(
            [
                None if one is None else orjson.dumps(one, default=str, option=orjson.OPT_SORT_KEYS).decode()
                for one in cells
            ]
        )
    try:
        if isinstance(seen, Decimal):
            return pa.array(cells, pa.decimal128(38, 9))
        found = pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return strings(cells)
    is_odd = isinstance(found, pa.ExtensionArray) or pa.types.is_null(found.type)
    return strings(_said(cells)) if is_odd or pa.types.is_duration(found.type) else found
