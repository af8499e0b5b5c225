"""Reads the arrays of an npz file fast: a study has one of a few KB per trial, all much alike.

NumPy parses the header of every array as a Python expression, which takes most of the time. Equal
headers are parsed once here, and an archive's members are decompressed from the bytes in memory:
``ZipFile`` opens a file object for each. Whatever is out of the ordinary is left to the two;
NumPy is told to unpickle nothing.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from pipeline.errors import TrackingError

FAULTS = (
    BadZipFile, zlib.error, ValueError, LookupError, EOFError, NotImplementedError, RuntimeError,
    TypeError,
)  # fmt: skip
"""What reading a damaged file raises: RuntimeError where the archive claims to be encrypted,
LookupError and TypeError where arrays are missing or further ones are there."""

_MAGIC, _PREFIX = b"\x93NUMPY\x01\x00", 10
"""How an array of NumPy's first format begins, and where its header does, after its length."""
_UNUSUAL = 0x1 | 0x20 | 0x40
"""Flags of a member that is encrypted or patched."""
_PARSING = threading.Lock()


@contextmanager
def readable(file: str, run_id: str | None, remedy: str) -> Iterator[None]:
    """Turns what a damaged npz file raises into one line.

    Args:
        file: Its name.
        run_id: Of the run that has it.
        remedy: What to do beside restoring it; empty for nothing.

    Raises:
        TrackingError: It could not be read.
    """
    try:
        yield
    except FAULTS as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        beside = f", or {remedy}" if remedy else ""
        raise TrackingError(
            f"{file} of run {run_id} cannot be read, it is damaged ({reason}): restore the file"
            f"{beside}"
        ) from error


def unpacked(data: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of an npz file by name.

    Raises:
        ValueError: An array is cut short, or would have to be unpickled.
    """
    with ZipFile(BytesIO(data)) as archive:
        return {
            member.filename.removesuffix(".npy"): _array(_content(data, member, archive))
            for member in archive.infolist()
        }


def _content(data: bytes, member: ZipInfo, archive: ZipFile) -> bytes:
    """Returns what a member of an archive holds, its checksum checked.

    Raises:
        BadZipFile: It is damaged.
    """
    if member.compress_type != ZIP_DEFLATED or member.flag_bits & _UNUSUAL:
        return archive.read(member)
    begin = member.header_offset
    name, extra = data[begin + 26 : begin + 28], data[begin + 28 : begin + 30]
    start = begin + 30 + int.from_bytes(name, "little") + int.from_bytes(extra, "little")
    try:
        content = zlib.decompress(data[start : start + member.compress_size], -zlib.MAX_WBITS)
    except zlib.error as error:
        raise BadZipFile(f"{member.filename} cannot be decompressed: {error}") from error
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
    return content


def _array(stored: bytes) -> np.ndarray:
    """Returns the array that a ``.npy`` file holds."""
    if stored.startswith(_MAGIC):
        start = _PREFIX + int.from_bytes(stored[_PREFIX - 2 : _PREFIX], "little")
        dtype, shape, by_columns = _header(stored[:start])
        if not by_columns and not dtype.hasobject and 0 not in shape:
            count = math.prod(shape)
            # A copy, as NumPy gives: what lies in bytes cannot be written.
            return np.frombuffer(stored, dtype, count, start).reshape(shape).copy()
    with _PARSING:
        found: np.ndarray = np.lib.format.read_array(BytesIO(stored), allow_pickle=False)
    return found


@lru_cache(maxsize=256)
def _header(stored: bytes) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Returns type, shape and order of an array."""
    # NumPy parses it with ``ast``, which Python 3.11 cannot do in two threads at once
    # (SystemError: AST constructor recursion depth mismatch); trials are read in several.
    with _PARSING:
        file = BytesIO(stored)
        np.lib.format.read_magic(file)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    return dtype, shape, by_columns
