"""Reads a Feather file (Arrow's file format) of flat columns as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.datasets.formats.parquet_files import PANDAS_INDEX
from pipeline.datasets.formats.table import Table, arrow_errors, check_names, checked_table
from pipeline.datasets.limits import check_memory


def read_feather_table(path: Path) -> Table:
    """Returns the columns of a Feather file.

    Raises:
        DatasetError: It is no such file, or larger than fits into memory.
    """
    import pyarrow as pa
    from pyarrow.dataset import dataset

    size = path.stat().st_size
    check_memory(f"{path}, {size:,} bytes,", size)
    with arrow_errors(path, "Feather"), pa.ipc.open_file(pa.OSFile(str(path))) as file:
        kept = [name for name in file.schema.names if not PANDAS_INDEX.fullmatch(name)]
        check_names(path, kept)
        # Of texts and lists the lengths are known when they are unpacked, batch by batch.
        width = sum(_bytes_of(kind) for kind in file.schema.types)
        rows = dataset(str(path), format="feather").count_rows()
        check_memory(f"{path}, {rows:,} rows of {len(kept):,} columns,", width * rows)
        batches, read = [], 0
        for number in range(file.num_record_batches):
            batches.append(file.get_batch(number))
            read += batches[-1].nbytes
            check_memory(f"{path}, unpacked,", read)
        table = pa.Table.from_batches(batches, file.schema).select(kept)
        table.validate(full=True)
    return checked_table(path, tuple(kept), table)


def _bytes_of(kind: Any) -> float:
    """Returns how many bytes a value of a type takes, without what texts and lists hold."""
    try:
        return float(kind.bit_width) / 8
    except ValueError:  # of no fixed width: where it ends, or the place in a dictionary
        return 4.0
