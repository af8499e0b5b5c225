"""Reads a Parquet file of flat columns as a table; its size is checked before it is decoded."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from pipeline.datasets.formats.table import Table, arrow_errors, check_names, checked_table
from pipeline.datasets.limits import check_memory

PANDAS_INDEX = re.compile(r"__index_level_\d+__")
"""Row names that pandas stores; they are no data."""


def read_parquet_table(path: Path) -> Table:
    """Returns the columns of a Parquet file; text columns stay dictionaries.

    Raises:
        DatasetError: It is no such file, or larger than fits into memory.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with arrow_errors(path, "Parquet"), contextlib.closing(parquet.ParquetFile(path)) as file:
        schema, metadata = file.schema_arrow, file.metadata
        kept = [name for name in schema.names if not PANDAS_INDEX.fullmatch(name)]
        check_names(path, kept)
        text = [one.name for one in schema if one.type in (pa.string(), pa.large_string())]
        rows, columns = metadata.num_rows, metadata.num_columns
        check_memory(f"{path}, {rows:,} rows of {columns:,} columns,", 8 * rows * columns)
        stored = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        check_memory(f"{path}, uncompressed,", stored)
    with (
        arrow_errors(path, "Parquet"),
        contextlib.closing(parquet.ParquetFile(path, read_dictionary=text)) as file,
    ):
        table = file.read(columns=kept, use_threads=False)
        table.validate(full=True)
    return checked_table(path, tuple(kept), table)
