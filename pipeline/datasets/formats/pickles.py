"""Reads official files that are pickles, without running anything that a pickle may ask for.

Only numpy arrays, bytes, text, numbers, lists and dicts come out; any other request is refused,
even though the files' checksums are verified before.
"""

from __future__ import annotations

import pickle
from typing import IO, Any

import numpy as np

from pipeline.errors import DatasetError

# Asked from an array, since numpy moved the function and warns at the old place.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_pickle(stream: IO[bytes], origin: str) -> Any:
    """Returns the object of a pickle that holds arrays and plain values only.

    Args:
        stream: Binary stream at the start of the pickle; text of Python 2 becomes bytes.
        origin: File it comes from, for messages.

    Raises:
        DatasetError: The pickle is broken or asks for anything but numpy arrays.
    """
    try:
        return _ArraysOnly(stream, encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        IndexError,
        TypeError,
        ValueError,
    ) as error:
        raise DatasetError(
            f"{origin} was refused: {error or 'it is cut short'}. Expected a pickle of numpy"
            " arrays and plain values; download the official file again."
        ) from error
