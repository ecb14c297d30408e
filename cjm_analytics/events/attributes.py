"""What is known of customers beside their events: the latest value of each attribute."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.schema import CUSTOMERS, EventSource

__all__ = ["PREFIX", "Attributes"]

PREFIX = "customer."

_COMPACT_FROM = 1_000_000


class Attributes:
    """Attributes of customers, gathered in long form.

    The latest value wins; of two at the same time the greater, so that the order of the input means nothing.

    Parameters
    ----------
    now : int
        The time of what comes without one, microseconds UTC.
    """

    def __init__(self, now: int) -> None:
        self._now = pa.scalar(now, pa.int64()).cast(CUSTOMERS.field("timestamp").type)
        self._tables = [CUSTOMERS.empty_table()]
        self._fresh = 0

    def add(self, customers: pa.Table) -> None:
        """Take in a table of schema `CUSTOMERS`; rows without id, attribute or value say nothing."""
        if not customers.num_rows:
            return
        table = customers.select(CUSTOMERS.names).cast(CUSTOMERS, safe=False)
        table = table.drop_null() if not table.column("timestamp").null_count else self._dated(table)
        self._tables.append(table)
        self._fresh += table.num_rows
        if self._fresh > max(_COMPACT_FROM, self._tables[0].num_rows):
            self.long()

    def add_given(self, customers: object) -> None:
        """Take in what the user gave: a frame with one row per customer, or a source of such rows.

        Raises
        ------
        InputError
            It is neither, or the frame has no column `customer_id`.
        """
        if customers is None:
            return
        if isinstance(customers, EventSource):
            for batch in customers.batches():
                self.add(batch.customers)
            return
        frame = _as_frame(customers)
        if "customer_id" not in frame.columns:
            raise UnknownNameError("column of customers=", "customer_id", map(str, frame.columns))
        timestamp = (
            frame["timestamp"] if "timestamp" in frame.columns else pd.Series(pd.NaT, index=frame.index)
        )
        times = pa.array(
            pd.to_datetime(timestamp, utc=True), CUSTOMERS.field("timestamp").type, from_pandas=True
        )
        ids = _as_text(frame["customer_id"])
        for name in frame.columns:
            if name in {"customer_id", "timestamp"}:
                continue
            attribute = pa.array([str(name)] * len(frame), pa.string())
            self.add(pa.table([ids, times, attribute, _as_text(frame[name])], schema=CUSTOMERS))

    def long(self) -> pa.Table:
        """The latest values, schema `CUSTOMERS`, sorted by customer and attribute."""
        if len(self._tables) > 1:
            self._tables = [_latest(pa.concat_tables(self._tables))]
        self._fresh = 0
        return self._tables[0]

    def of_customers(self, persons: pa.Table) -> pa.Table:
        """The latest values per customer; `persons` says which user ids have a customer of another name."""
        long = self.long()
        if not persons.num_rows or not long.num_rows:
            return long
        at = pc.index_in(long.column("user_id"), value_set=persons.column("user_id").combine_chunks())
        customer = pc.coalesce(persons.column("customer_id").take(at), long.column("user_id"))
        return _latest(long.set_column(0, "user_id", customer))

    def wide(self, persons: pa.Table) -> pa.Table:
        """One row per customer: `customer_id`, and `customer.<attribute>` as dictionary columns."""
        long = self.of_customers(persons)
        ids = pc.unique(long.column("user_id"))
        columns: dict[str, pa.Array] = {"customer_id": ids}
        for name in sorted(pc.unique(long.column("attribute")).to_pylist()):
            mine = long.filter(pc.equal(long.column("attribute"), name))
            values = mine.column("value").combine_chunks().dictionary_encode()
            rows = pc.index_in(ids, value_set=mine.column("user_id").combine_chunks())
            columns[PREFIX + name] = values.take(rows)
        return pa.table(columns)

    def _dated(self, table: pa.Table) -> pa.Table:
        position = table.column_names.index("timestamp")
        dated = table.set_column(position, "timestamp", table.column(position).fill_null(self._now))
        return dated.drop_null()


def _latest(attributes: pa.Table) -> pa.Table:
    """Per id and attribute the latest value."""
    ranked = attributes.sort_by(
        [(name, "ascending") for name in ("user_id", "attribute", "timestamp", "value")]
    ).combine_chunks()
    last = np.ones(ranked.num_rows, dtype=bool)
    if ranked.num_rows > 1:
        same = np.ones(ranked.num_rows - 1, dtype=bool)
        for name in ("user_id", "attribute"):
            column = ranked.column(name)
            same &= pc.equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy()
        last[:-1] = ~same
    return ranked.filter(pa.array(last))


def _as_frame(customers: object) -> pd.DataFrame:
    if isinstance(customers, pd.DataFrame):
        return customers
    if isinstance(customers, dict):
        return pd.DataFrame(customers)
    if hasattr(customers, "__arrow_c_stream__"):
        frame: pd.DataFrame = pa.table(customers).to_pandas()
        return frame
    raise InputError(
        f"customers={type(customers).__name__} is neither a frame nor an event source. Give a DataFrame with "
        "a column 'customer_id' and one column per attribute."
    )


def _as_text(values: pd.Series) -> pa.Array:
    """Values as text: whole numbers without a point even where some are missing."""
    column = pa.array(values.convert_dtypes(), from_pandas=True)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string())
