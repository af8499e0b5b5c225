"""Holds rows of a table as they were read, a column each; an encoding is fitted on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Words:
    """A column of words, each distinct one kept once.

    Attributes:
        codes: int32 ``[num_rows]``, each row's position in ``distinct``.
        distinct: The words; the empty one stands for a missing value.
    """

    codes: np.ndarray
    distinct: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, indices: np.ndarray | slice) -> Words:
        return Words(self.codes[indices], self.distinct)

    def as_strings(self) -> np.ndarray:
        """Returns the word of each row, an object array ``[num_rows]`` of ``str``."""
        # Not numpy's own type, which takes as much for each word as for the longest.
        return np.array(self.distinct, dtype=object)[self.codes]


RawColumnValues = np.ndarray | Words


@dataclass(frozen=True, eq=False)
class RawRows:
    """Rows of a table.

    Attributes:
        columns: Name of a column -> its values: float64 ``[num_rows]`` with NaN for a missing
            value; or :class:`Words`; or texts, an object array ``[num_rows]`` of ``str``.
    """

    columns: Mapping[str, RawColumnValues]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, indices: np.ndarray | slice) -> RawRows:
        """Returns the rows at these positions, in this order."""
        return RawRows({name: values[indices] for name, values in self.columns.items()})

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return len(self), len(self.columns)

    def arrays(self) -> Iterator[np.ndarray]:
        """Yields arrays of numbers that are equal only where the rows are: for a fingerprint."""
        for name, values in self.columns.items():
            yield _as_bytes([name])
            if isinstance(values, Words):
                yield values.codes.astype(np.int32)
                yield _as_bytes(values.distinct)
            else:
                yield _as_bytes(values) if values.dtype == object else values


def input_names(columns: Sequence[str]) -> list[str]:
    """Returns what the inputs for columns are called: as they are, without the ``/`` Keras forbids.

    Args:
        columns: Distinct names of columns.
    """
    taken = {name for name in columns if "/" not in name}
    found = []
    for column in columns:
        name = column.replace("/", "|")
        while name != column and name in taken:
            name += "|"
        taken.add(name)
        found.append(name)
    return found


def _as_bytes(texts: np.ndarray | tuple[str, ...] | list[str]) -> np.ndarray:
    encoded = [str(text).encode() for text in texts]
    lengths = np.array([len(text) for text in encoded], dtype=np.int64)
    return np.frombuffer(lengths.tobytes() + b"".join(encoded), dtype=np.uint8)
