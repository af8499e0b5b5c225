"""Finds the reader for a user's data by path and names them; every failure is one line.

To read another kind of file, add a reader to :data:`FILE_READERS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.datasets.dataset import Part, RawData
from pipeline.datasets.formats.table_files import ENDINGS, ending
from pipeline.datasets.user.class_folders import ClassFolders, list_class_folders
from pipeline.datasets.user.image_folders import read_image_folder
from pipeline.datasets.user.npz import read_npz
from pipeline.datasets.user.tables import read_table
from pipeline.datasets.user.text_folders import read_text_folder
from pipeline.errors import DatasetError, printable
from pipeline.records import DataOptions

Reader = Callable[[Path, DataOptions], RawData]
FolderReader = Callable[[ClassFolders, DataOptions], RawData]

FILE_READERS: dict[str, tuple[str, Reader]] = {
    ".npz": ("arrays", read_npz),
    **dict.fromkeys(ENDINGS, ("tables", read_table)),
}
"""File ending -> what such a file of the user's is, and what reads it."""
FOLDER_READERS: dict[str, FolderReader] = {
    "pictures": read_image_folder,
    "texts": read_text_folder,
}
"""What the files of a class are -> what reads a folder of class folders of them."""
FITTING: dict[str, tuple[str, ...]] = {
    "arrays": ("classes", "ignore"),
    "tables": (
        *("label", "drop", "categorical", "text", "group", "order_by", "split"),
        *("delimiter", "decimal", "classes", "ignore"),
    ),
    "pictures": ("image_size", "color", "ignore"),
    "texts": ("ignore",),
    "dataset": (),
}
"""What the data are -> the options that they take."""

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
    is_folder = exists(path) and path.is_dir()
    end = ending(place) if ending(place) in FILE_READERS else place.suffix
    name = place.name if is_folder else place.name[: len(place.name) - len(end)]
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise DatasetError(
            f"{path}: its name becomes the name of the data; expected 1 to {MAX_NAME} printable"
            " characters. Rename it."
        )
    return name


def read(path: Path, options: DataOptions, valid_names: str) -> RawData:
    """Returns what a user's file or folder holds.

    Args:
        path: The file or folder.
        options: How the data are read and split.
        valid_names: What a missing path may have meant, for the message.

    Raises:
        DatasetError: It is missing, cannot be read, or cannot be used.
    """
    what, reader = _reader(path, valid_names)
    check_fitting(str(path), options, what)
    raw = reader(path, options)
    if raw.read_test is None:
        return raw
    return replace(raw, read_test=partial(_read_test, path, raw.read_test))


def check_fitting(name: str, options: DataOptions, what: str) -> None:
    """Checks that options are given only for the data that they are for.

    Args:
        name: Name or path of the data, for the message.
        options: How they are read and split.
        what: What they are, a key of :data:`FITTING`.

    Raises:
        DatasetError: One is given for something else.
    """
    for option in options.given():
        if option not in FITTING[what]:
            kinds = [kind for kind, fitting in FITTING.items() if option in fitting]
            raise DatasetError(
                f"--{option.replace('_', '-')} is for {' and '.join(kinds)}, but {name} is"
                f" {_KINDS[what]}; leave it out."
            )


_KINDS = {
    "arrays": "a file of arrays",
    "tables": "a table",
    "pictures": "a folder of pictures",
    "texts": "a folder of texts",
    "dataset": "a dataset of a fixed form",
}


def _reader(path: Path, valid_names: str) -> tuple[str, Reader]:
    if exists(path) and path.is_dir():
        folders = list_class_folders(path)
        return folders.kind, lambda path, options: FOLDER_READERS[folders.kind](folders, options)
    reader = FILE_READERS.get(ending(path))
    if reader is None:
        raise DatasetError(
            f"{path} cannot be read: expected a file ending in {', '.join(FILE_READERS)}, a folder"
            f" with a subfolder of pictures or texts per class, or one of the names {valid_names}."
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
