"""Keeps data that a program holds in memory as a file, which a search and its workers can read.

In: a data frame, or arrays. Out: the path of a ``.parquet`` or ``.npz`` file in a folder of the
working directory, named after what it holds, so that the same data again are the same file.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError

FOLDER = "given-data"
"""In the working directory, beside what else a run writes there."""
LONGEST_NAME = 60
"""Characters; a file system takes 255 bytes, up to three for each."""
LIST = "expected a dataset's name, a path, a data frame, a pair (x, y), or the arrays x_train, "


def path_of(data: Any, name: str | None = None) -> str:
    """Returns a name or path as it is, and the path of the file that everything else is kept in.

    Args:
        data: A dataset's name, a path, a pandas or polars data frame, a pair ``(x, y)`` of arrays,
            or a mapping of the arrays of a ``.npz`` (``x``, ``y``; or ``x_train``, ``y_train``,
            ``x_test``, ``y_test``) to their values.
        name: What the file is called, and so the dataset; None for what it holds.

    Raises:
        InputError: It is none of these, or cannot be written as a file.
    """
    if isinstance(data, str | Path):
        return str(data)
    if hasattr(data, "to_parquet") or hasattr(data, "write_parquet"):
        return _kept(_parquet(data), name or "table", "parquet")
    if isinstance(data, tuple) and len(data) == 2:
        data = dict(zip(("x", "y"), data, strict=True))
    if not isinstance(data, Mapping):
        raise InputError(
            f"a {type(data).__name__} is no dataset: {LIST}y_train, x_test and y_test by name"
        )
    return _kept(_npz(data), name or "arrays", "npz")


def _parquet(frame: Any) -> bytes:
    """Returns a data frame as a Parquet file, without its index."""
    buffer = io.BytesIO()
    try:
        if hasattr(frame, "to_parquet"):
            frame.to_parquet(buffer, index=False)
        else:
            frame.write_parquet(buffer)
    except (TypeError, ValueError) as error:  # pyarrow's errors are these
        raise InputError(f"the data frame cannot be kept as Parquet: {error}") from error
    return buffer.getvalue()


def _npz(arrays: Mapping[str, Any]) -> bytes:
    """Returns arrays as a ``.npz`` file; objects are written as text where they are."""
    values = {name: _plain(str(name), value) for name, value in arrays.items()}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **values)
    return buffer.getvalue()


def _plain(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype != object:
        return array
    if all(isinstance(entry, str) for entry in array.ravel()):
        return array.astype(str)
    kinds = sorted({type(entry).__name__ for entry in array.ravel()})
    raise InputError(
        f"the array '{name}' holds objects ({', '.join(kinds)}): expected numbers, booleans or "
        "text alone"
    )


def _kept(content: bytes, stem: str, ending: str) -> str:
    digest = hashlib.sha256(content).hexdigest()[:12]
    named = re.sub(r"[^\w.-]+", "-", stem)[:LONGEST_NAME]
    path = Path(FOLDER, f"{named}-{digest}.{ending}")
    try:
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_bytes(content)
            partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    return str(path)
