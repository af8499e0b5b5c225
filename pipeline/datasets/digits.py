"""Reads ``digits``: 1,797 grey images of handwritten digits, 8x8, values 0 to 16; no download.

Source: scikit-learn's ``load_digits``, the test part of the UCI ML hand-written digits data.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import RawData, Source
from pipeline.datasets.official_files import OfficialFiles

FILE = "datasets/data/digits.csv.gz"


def read(files: OfficialFiles) -> RawData:
    """Returns all images, uint8 ``[1797, 8, 8, 1]``; there is no official test part."""
    rows = _rows()
    return RawData(
        kind="image",
        class_names=tuple("0123456789"),
        inputs=rows[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1),
        labels=rows[:, -1].astype(np.int32),
    )


def _rows() -> np.ndarray:
    """Returns scikit-learn's table [1797, 65]: 64 pixels and the digit.

    Its file is read where it is: importing scikit-learn takes seconds, here and in every worker.
    """
    found = find_spec("sklearn")
    file = Path(found.origin).parent / FILE if found and found.origin else Path(FILE)
    if file.exists():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


SOURCE = Source(
    name="digits",
    summary="1,797 grey images of handwritten digits, 8x8, 10 classes",
    read=read,
    ships_with="scikit-learn",
)
