"""``digits``: 1,797 grey images of handwritten digits, 8x8, values 0 to 16; no download.

Source: scikit-learn's ``load_digits``, the test part of the UCI ML hand-written digits data.
"""

import numpy as np

from pipeline.datasets.files import Shelf
from pipeline.datasets.source import RawData, Source


def read(shelf: Shelf) -> RawData:
    """Returns all images, uint8 ``[1797, 8, 8, 1]``; there is no official test part."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return RawData(
        kind="image",
        class_names=tuple(str(name) for name in digits.target_names),
        inputs=digits.images.astype(np.uint8)[..., None],
        labels=digits.target.astype(np.int32),
    )


SOURCE = Source(
    name="digits",
    summary="1,797 grey images of handwritten digits, 8x8, 10 classes",
    read=read,
    ships_with="scikit-learn",
)
