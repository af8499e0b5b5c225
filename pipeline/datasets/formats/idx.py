"""Reads gzipped idx files (MNIST, Fashion-MNIST) as uint8 arrays.

Source: the idx format of the MNIST page: two zero bytes, a type code (8 is uint8), the number of
dimensions, then each size as a big-endian uint32, then the values.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from pipeline.errors import DatasetError

_UINT8 = 8


def read_idx(path: Path) -> np.ndarray:
    """Returns the array of a gzipped idx file of bytes.

    Raises:
        DatasetError: The file is no gzipped idx file of bytes, or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path} is no readable gzip file ({error}). Expected an official idx .gz file;"
            " download it again."
        ) from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UINT8:
        raise DatasetError(
            f"{path} is no idx file of bytes: it begins with {content[:4].hex() or 'nothing'},"
            " expected 000008 and the number of dimensions. Download the official file again."
        )
    start = 4 + 4 * content[3]
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], dtype=">u4"))
    if len(shape) != content[3] or len(content) - start != math.prod(shape):
        raise DatasetError(
            f"{path} is cut short: its header announces {shape}, but {len(content) - start} values"
            " follow. Download the official file again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()
