"""The user's own data by path: which reader, under what name, and every failure in one line.

To read another kind of file, add a reader to :data:`PATH_READERS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.datasets.dataset import Part, RawData
from pipeline.datasets.user.image_folders import read_image_folder
from pipeline.datasets.user.npz import read_npz
from pipeline.datasets.user.tables import read_csv, read_parquet
from pipeline.errors import DatasetError, printable
from pipeline.records import TableOptions

TABLE_READERS: dict[str, Callable[[Path, TableOptions], RawData]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
}
"""File ending -> what reads such a table of the user's."""
PATH_READERS: dict[str, Callable[[Path], RawData]] = {
    ".npz": read_npz,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
"""File ending -> what reads such a file of the user's; folders are pictures."""

MAX_NAME = 200


def exists(path: Path) -> bool:
    """Whether there is a file or folder; a path that cannot be one is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, no permission to look, a NUL
        return False


def name_of(path: Path) -> str:
    """Returns the name that data get from their path: the file's without ending, or the folder's.

    Raises:
        DatasetError: It cannot be stored or shown.
    """
    place = path if path.name not in ("", "..") else path.resolve()
    name = place.name if exists(path) and path.is_dir() else place.stem
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise DatasetError(
            f"{path}: its name becomes the name of the data; expected 1 to {MAX_NAME} printable"
            " characters. Rename it."
        )
    return name


def read(path: Path, table: TableOptions, valid_names: str) -> RawData:
    """Returns what a user's file or folder holds.

    Args:
        path: The file or folder.
        table: How the columns of a table are used.
        valid_names: What a missing path may have meant, for the message.

    Raises:
        DatasetError: It is missing, cannot be read, or cannot be used.
    """
    reader = _reader(path, valid_names)
    check_is_table(str(path), table, is_table=path.suffix.lower() in TABLE_READERS)
    raw = (
        reader(path) if table == TableOptions() else TABLE_READERS[path.suffix.lower()](path, table)
    )
    if raw.read_test is None:
        return raw
    return replace(raw, read_test=partial(_read_test, path, raw.read_test))


def check_is_table(name: str, table: TableOptions, *, is_table: bool) -> None:
    """Checks that options for the columns of a table are given for a table only.

    Raises:
        DatasetError: They are given for something else.
    """
    if table != TableOptions() and not is_table:
        raise DatasetError(
            f"--label and --drop name columns of a table, but {name} is none; expected a file"
            f" ending in {', '.join(TABLE_READERS)}. Leave them out."
        )


def _reader(path: Path, valid_names: str) -> Callable[[Path], RawData]:
    if exists(path) and path.is_dir():
        return read_image_folder
    reader = PATH_READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(
            f"{path} cannot be read: expected a file ending in {', '.join(PATH_READERS)}, a folder"
            f" with a subfolder of pictures per class, or one of the names {valid_names}."
        )
    if not exists(path):
        raise DatasetError(
            f"There is no file {path} (looked in {Path.cwd()}). Check the path, or use one of the"
            f" names {valid_names}."
        )
    if not path.is_file():
        raise DatasetError(f"{path} is a device or pipe; expected an ordinary file. Copy it first.")
    return reader


def _read_test(path: Path, read_test: Callable[[], Part]) -> Part:
    with errors_in_one_line(path):
        return read_test()


@contextlib.contextmanager
def errors_in_one_line(path: Path) -> Iterator[None]:
    """Turns what goes wrong with a user's file into a DatasetError of one printable line."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(printable(str(error))) from error
    except OSError as error:
        place, reason = error.filename or path, error.strerror or str(error)
        raise DatasetError(
            printable(f"{place} cannot be read: {reason}. Check that it is there and readable.")
        ) from error
    except MemoryError as error:
        raise DatasetError(
            printable(f"{path} does not fit into memory. Give fewer or smaller examples.")
        ) from error
