"""Reads ``reuters``: 11,228 newswires as multi-hot words, 46 unbalanced topics.

The 10,000 most frequent words (three ids are reserved, see ``formats.tokens``). Keras's official
shuffle and 80/20 cut: 8,982 examples, of which 20% are validation, and 2,246 for test.

Source: ``keras.datasets.reuters.load_data(num_words=10000)``, reproduced exactly; checksum and
class names as there. The largest topic holds about 35%, the rarest 0.1%.
"""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import Part, RawData, Source
from pipeline.datasets.formats.npz import read_array, read_sequences
from pipeline.datasets.formats.tokens import keras_tokens, multi_hot
from pipeline.datasets.official_files import Layout, OfficialFile, OfficialFiles

NUM_WORDS = 10_000
SHUFFLE_SEED = 113
NUM_TRAIN, NUM_TEST = 8_982, 2_246
_NAMES = """
cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship
cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin
strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr
gas silver wpi hog lead
"""
CLASS_NAMES = tuple(_NAMES.split())
FILES: Layout = (
    OfficialFile(
        "reuters.npz",
        "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
        url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/reuters.npz",
    ),
)


def read(files: OfficialFiles) -> RawData:
    """Returns the 8,982 official training examples, csr ``[8982, 10000]``, in Keras's order."""
    paths = files.paths()
    train = _read_part(files, paths, slice(0, NUM_TRAIN))
    return RawData(
        kind="multi_hot",
        class_names=CLASS_NAMES,
        inputs=train.inputs,
        labels=train.labels,
        num_test=NUM_TEST,
        read_test=partial(_read_part, files, paths, slice(NUM_TRAIN, None)),
    )


def read_tokens(path: Path, part: slice, num_words: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns token ids and labels of a part of the file, as Keras's loader gives them.

    Args:
        path: The official ``reuters.npz``.
        part: Which examples of the shuffled order.
        num_words: Size of the vocabulary.

    Returns:
        A list of int32 ``[num_tokens]``, and int32 labels.
    """
    sequences, labels = read_sequences(path, "x"), read_array(path, "y")
    order = np.arange(len(sequences))
    np.random.RandomState(SHUFFLE_SEED).shuffle(order)
    order = order[part]
    tokens = [keras_tokens(sequences[index], num_words) for index in order]
    return tokens, labels[order].astype(np.int32)


def _read_part(files: OfficialFiles, paths: dict, part: slice) -> Part:
    path = files.verified(paths, "reuters.npz")["reuters.npz"]
    tokens, labels = read_tokens(path, part, NUM_WORDS)
    return Part(multi_hot(tokens, NUM_WORDS), labels)


SOURCE = Source(
    name="reuters",
    summary="11,228 newswires as multi-hot words (10,000), 46 unbalanced topics",
    read=read,
    layouts=(FILES,),
    page="https://keras.io/api/datasets/reuters/",
)
