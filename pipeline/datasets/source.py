"""What a dataset file in this folder provides: a module with a :class:`Source` named ``SOURCE``.

To add a dataset, add one file here that defines ``SOURCE``; it is found by that name, split,
standardized, sealed, listed and shown like the others::

    def read(shelf):                 # the shelf finds and verifies official files
        return RawData("features", ("no", "yes"), inputs, labels)

    SOURCE = Source("mine", "where it comes from, in a sentence", read)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.datasets.dataset import Kind, Part
from pipeline.datasets.official_files import Layout, Shelf


@dataclass(frozen=True, eq=False)
class RawData:
    """A dataset as it comes, before any split.

    Attributes:
        kind: ``image``, ``features`` or ``multi_hot``.
        class_names: Names of the classes, by class number.
        inputs: ``[num_examples, ...]`` as in :class:`~pipeline.datasets.dataset.Part`; all
            examples, or all but those of an official test part.
        labels: int32 ``[num_examples]``.
        num_validation: Size of the validation part; None for 20%.
        num_test: Published size of the official test part; None where there is none.
        read_test: Reads the official test part; None where there is none. Must not have opened
            its file before it is called, where it is a file of its own.
    """

    kind: Kind
    class_names: tuple[str, ...]
    inputs: Any
    labels: np.ndarray
    num_validation: int | None = None
    num_test: int | None = None
    read_test: Callable[[], Part] | None = None


@dataclass(frozen=True)
class Source:
    """A dataset that can be loaded by name.

    Attributes:
        name: What the user types.
        summary: What it is, in a sentence.
        read: Reads everything but an official test part.
        layouts: Its official files (see :class:`~pipeline.datasets.official_files.Shelf`);
            empty where it comes with a library.
        page: Where a person gets the files.
        ships_with: The library it comes with; empty where it has files.
    """

    name: str
    summary: str
    read: Callable[[Shelf], RawData]
    layouts: tuple[Layout, ...] = ()
    page: str = ""
    ships_with: str = ""
