"""Arrays of a ``.npz`` archive, read one by one; headers can be read without the contents."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from pipeline.datasets.formats.pickles import read_pickle
from pipeline.errors import DatasetError

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def members(path: Path) -> tuple[str, ...]:
    """Returns the names of the arrays in the archive.

    Raises:
        DatasetError: The file is no ``.npz`` archive.
    """
    with _archive(path) as archive:
        return tuple(n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy"))


def read_header(path: Path, member: str) -> tuple[tuple[int, ...], np.dtype]:
    """Returns shape and dtype of an array without reading its contents."""
    with _member(path, member) as stream:
        return _header(stream, path, member)


def read_array(path: Path, member: str) -> np.ndarray:
    """Returns an array; pickled (object) arrays are refused.

    Raises:
        DatasetError: The array is missing, broken, or an object array.
    """
    _, dtype = read_header(path, member)
    if dtype.hasobject:
        raise DatasetError(
            f"{path}: '{member}' is an object array, stored as a pickle, which could run any code"
            " and is refused. Save numbers (or text labels): make all rows equally long, then"
            " np.savez(file, x=np.asarray(x, 'float32'), y=y)."
        )
    with _member(path, member) as stream:
        return npy.read_array(stream, allow_pickle=False)


def read_sequences(path: Path, member: str) -> np.ndarray:
    """Returns an object array of lists of numbers, as Reuters and IMDB are stored.

    Returns:
        Object array ``[num_examples]`` of lists of int.
    """
    with _member(path, member) as stream:
        _header(stream, path, member)
        return read_pickle(stream, f"{path}: '{member}'")


def _header(stream: IO[bytes], path: Path, member: str) -> tuple[tuple[int, ...], np.dtype]:
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise DatasetError(
            f"{path}: '{member}' has npy format version {version}; versions 1.0 and 2.0 are read."
            " Save a plain array of numbers with np.savez."
        )
    shape, _, dtype = _HEADERS[version](stream)
    return shape, dtype


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        raise DatasetError(
            f"{path} cannot be read as a .npz archive ({error}). Expected a file written by"
            " np.savez or np.savez_compressed; write or copy it again."
        ) from error


@contextmanager
def _member(path: Path, member: str) -> Iterator[IO[bytes]]:
    with _archive(path) as archive:
        if f"{member}.npy" not in archive.namelist():
            raise DatasetError(f"{path} has no array '{member}'; it has {list(members(path))}.")
        with archive.open(f"{member}.npy") as stream:
            yield stream
