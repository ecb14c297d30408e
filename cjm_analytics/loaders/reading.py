"""Rows of files of any format, and of frames: a stream of blocks of some ten thousand rows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.csv_files import csv_glance, csv_rows
from cjm_analytics.loaders.json_files import json_as_columns, json_rows
from cjm_analytics.loaders.rows import BLOCK_ROWS, Blocks, ColumnRows, ObjectRows
from cjm_analytics.loaders.values import strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd
    import pyarrow.parquet as pq

    from cjm_analytics.loaders.csv_files import CsvFormat
    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.rows import Rows


__all__ = [
    "frame_rows",
    "read_rows",
]

_FEW_TEXTS: Final = 1 << 14
"""Bytes of a Parquet column's dictionary, up to which its texts are few."""


def read_rows(
    file: InputFile, csv_format: CsvFormat, *, columns: bool = False, glance: bool = False
) -> Iterator[Rows]:
    """Blocks of the rows of one file. At least one block comes, perhaps without rows, to tell the columns.

    With `columns`, JSON lines come as columns (objects as structs) wherever nothing is lost by it. Who only
    glances at them gets small blocks.

    Raises
    ------
    InputError
        The file is damaged, or no file of its format.
    """
    readers = {
        "csv": csv_rows,
        "json": json_rows,
        "parquet": _parquet_rows,
        "excel": _excel_rows,
        "avro": _avro_rows,
    }
    reader = readers[file.format]
    if file.format == "json" and columns:
        reader = json_as_columns
    if file.format == "csv" and glance:
        reader = csv_glance
    try:
        yield from reader(file, csv_format)
    except (pa.ArrowException, OSError, EOFError) as fault:
        if isinstance(fault, FileNotFoundError):
            raise InputError(f"The file {file.shown!r} is gone.") from fault
        said = str(fault).splitlines()[0]
        raise InputError(
            f"{file.shown!r} cannot be read as {file.format}: it is damaged or cut off ({said})."
        ) from fault


def _excel_rows(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    from cjm_analytics.loaders.excel import excel_rows

    yield from excel_rows(file, written)


def _avro_rows(file: InputFile, _: CsvFormat) -> Iterator[Rows]:
    try:
        import fastavro
    except ImportError as fault:
        raise InputError(
            f"Reading {file.shown!r} needs fastavro: pip install 'cjm_analytics[avro]'."
        ) from fault
    with file.open() as stream:
        try:
            records: Iterator[Any] = iter(fastavro.reader(stream))
            start = 1
            while block := list(itertools.islice(records, BLOCK_ROWS)):
                yield ObjectRows(file.shown, block, np.arange(start, start + len(block), dtype=np.int64))
                start += len(block)
        except (ValueError, LookupError, TypeError) as fault:
            raise OSError(str(fault) or "no Avro") from fault
    if start == 1:
        yield ObjectRows(file.shown, [], np.zeros(0, np.int64))


def _parquet_rows(file: InputFile, _: CsvFormat) -> Iterator[Rows]:
    import pyarrow.parquet as pq

    with file.open_seekable() as stream:
        footer = pq.read_metadata(stream)
        with pq.ParquetFile(stream, metadata=footer, read_dictionary=_coded(footer)) as parquet:
            batches = parquet.iter_batches(batch_size=BLOCK_ROWS)
            for rows in _numbered(file.shown, parquet.schema_arrow, batches):
                if len(rows):
                    file.progress.share = int(rows.numbers[-1]) / footer.num_rows
                yield rows


def _coded(footer: pq.FileMetaData) -> list[str]:
    """The columns of few texts, told by the size of their dictionary: they are read as the codes they are."""
    if not footer.num_row_groups:
        return []
    columns = [footer.row_group(0).column(place) for place in range(footer.num_columns)]
    return [
        one.path_in_schema
        for one in columns
        if one.physical_type == "BYTE_ARRAY"
        and one.dictionary_page_offset is not None
        and 0 < one.data_page_offset - one.dictionary_page_offset < _FEW_TEXTS
    ]


def _numbered(file: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[Rows]:
    """Batches as blocks of bounded size, rows numbered from 1."""
    doubled = {name for name in schema.names if schema.names.count(name) > 1}
    if doubled:
        raise InputError(f"{file} has two columns named {min(doubled)!r}.")
    first = 1
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            piece = batch.slice(start, BLOCK_ROWS)
            numbers = np.arange(first, first + piece.num_rows, dtype=np.int64)
            yield ColumnRows(file, pa.Table.from_batches([piece]), numbers)
            first += piece.num_rows
    if first == 1:
        yield ColumnRows(file, schema.empty_table(), np.zeros(0, np.int64))


def frame_rows(source: object, file: str) -> Iterator[Rows]:
    """Blocks of the rows of an object in memory.

    pandas, Polars (lazy frames, too), pyarrow, a DuckDB relation, anything with `__arrow_c_stream__`, or a
    mapping of column names to lists; or what streams its rows itself, block by block.
    """
    if isinstance(source, Blocks):
        blocks = source.blocks()
        first = next(blocks)
        yield from _numbered(file, first.schema, itertools.chain([first], blocks))
        return
    reader = _reader(source)
    yield from _numbered(file, reader.schema, reader)


def _reader(source: object) -> pa.RecordBatchReader:
    if isinstance(source, pa.RecordBatchReader):
        return source
    table = _as_table(source)
    return _streamed(source) if table is None else table.to_reader()


def _as_table(source: object) -> pa.Table | None:
    """The tables that we take apart ourselves."""
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source])
    if type(source).__module__.partition(".")[0] == "pandas":
        return _from_pandas(source)
    if isinstance(source, dict):
        return _from_lists(source)
    return source if isinstance(source, pa.Table) else None


def _streamed(source: object) -> pa.RecordBatchReader:
    """The tables that give themselves as a stream."""
    home = type(source).__module__.partition(".")[0]
    if home == "polars" and not hasattr(source, "__arrow_c_stream__") and hasattr(source, "collect"):
        source = source.collect()
    if hasattr(source, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(source)
    if hasattr(source, "fetch_record_batch"):  # a DuckDB relation before it spoke the stream protocol
        return source.fetch_record_batch(BLOCK_ROWS)
    raise InputError(
        f"A source cannot be a {type(source).__name__}. Give a path, glob, folder, URL or list of paths, a "
        "pandas, Polars or pyarrow table, a DuckDB relation, or a dict of lists."
    )


def _from_pandas(source: object) -> pa.Table:
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise InputError(f"A source cannot be a pandas {type(source).__name__}; give a DataFrame.")
    if any(name is not None for name in source.index.names):
        hidden = [name for name in source.index.names if name is not None and name not in source.columns]
        source = source.reset_index(hidden) if hidden else source
    columns: dict[str, pa.Array] = {}
    for position, name in enumerate(source.columns):
        if str(name) in columns:
            raise InputError(f"The DataFrame has two columns named {str(name)!r}.")
        series = source.iloc[:, position]
        columns[str(name)] = _from_series(series)
    return pa.table(columns)


def _from_series(series: pd.Series) -> pa.Array:
    try:
        found = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        missing = series.isna()
        found = strings([None if gone else value for value, gone in zip(series, missing, strict=True)])
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _from_lists(source: dict[str, Any]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name, values in source.items():
        try:
            columns[str(name)] = pa.array(values, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            columns[str(name)] = strings(list(values))
        except TypeError as fault:
            raise InputError(
                f"The column {name!r} of the dict is a {type(values).__name__}, not a list."
            ) from fault
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length:,}" for name, length in lengths.items())
        raise InputError(f"The lists of the dict are of different length ({shown}).")
    return pa.table(columns)
