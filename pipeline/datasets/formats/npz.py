"""Reads arrays of a ``.npz`` archive one by one; headers can be read without the contents.

What a header announces is compared with what is stored and with the memory there is before
anything is allocated; nothing is unpickled but official files (:func:`read_sequences`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from pipeline.datasets.formats.pickles import read_pickle
from pipeline.datasets.limits import check_memory
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
    """Returns shape and dtype of an array without reading its contents.

    Raises:
        DatasetError: The array is missing or broken, or larger than what is stored or fits.
    """
    with _member(path, member) as (stream, stored):
        shape, dtype = _header(stream, path, member)
        if not dtype.hasobject:
            _check_announced(path, member, shape, dtype, stored - stream.tell())
        return shape, dtype


def read_array(path: Path, member: str) -> np.ndarray:
    """Returns an array; pickled (object) arrays are refused.

    Raises:
        DatasetError: The array is missing, broken, too large, or an object array.
    """
    _, dtype = read_header(path, member)
    if dtype.hasobject:
        raise DatasetError(
            f"{path}: '{member}' is an object array, stored as a pickle, which could run any code"
            " and is refused. Save numbers (or text labels): make all rows equally long, then"
            " np.savez(file, x=np.asarray(x, 'float32'), y=y)."
        )
    with _member(path, member) as (stream, _):
        return npy.read_array(stream, allow_pickle=False)


def read_sequences(path: Path, member: str) -> np.ndarray:
    """Returns an object array of lists of numbers, as Reuters and IMDB are stored.

    Returns:
        Object array ``[num_examples]`` of lists of int.
    """
    with _member(path, member) as (stream, _):
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


def _check_announced(
    path: Path, member: str, shape: tuple[int, ...], dtype: np.dtype, stored: int
) -> None:
    # A dtype without bytes would let any number of values fit into nothing.
    announced = prod(shape) * max(dtype.itemsize, 1)
    if min(shape, default=0) < 0 or announced != stored:
        raise DatasetError(
            f"{path}: '{member}' announces shape {shape} of {dtype}, {announced:,} bytes, but"
            f" {stored:,} are stored: the file is damaged. Write or copy it again."
        )
    check_memory(f"{path}: '{member}', shape {shape} of {dtype},", announced)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (DatasetError, MemoryError):
        raise
    # On a damaged archive zipfile, its decompressors and numpy fail in many ways of their own.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DatasetError(
            f"{path} cannot be read as a .npz archive ({error!s:.200}). Expected a file written by"
            " np.savez or np.savez_compressed; write or copy it again."
        ) from error


@contextmanager
def _member(path: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yields an array's stream and the number of bytes that it announces."""
    with _archive(path) as archive:
        name = f"{member}.npy"
        found = archive.namelist().count(name)
        if found != 1:
            has = f"no array '{member}'" if not found else f"{found} arrays '{member}'"
            raise DatasetError(f"{path} has {has}; it has {list(members(path))[:20]}.")
        with archive.open(name) as stream:
            yield stream, archive.getinfo(name).file_size
