"""Reads ``imdb``: 50,000 film reviews as multi-hot words; half are the official test part.

The 10,000 most frequent words (three ids are reserved, see ``formats.tokens``). Split: 20,000
train, 5,000 validation, 25,000 test.

Source: ``keras.datasets.imdb.load_data(num_words=10000)`` and its checksum (Maas et al. 2011).
"""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import Part, RawData, Source
from pipeline.datasets.formats.npz import read_array, read_header, read_sequences
from pipeline.datasets.formats.tokens import keras_tokens, multi_hot
from pipeline.datasets.official_files import Layout, OfficialFile, OfficialFiles

NUM_WORDS = 10_000
SHUFFLE_SEED = 113
FILES: Layout = (
    OfficialFile(
        "imdb.npz",
        "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
        url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb.npz",
    ),
)


def read(files: OfficialFiles) -> RawData:
    """Returns the 25,000 official training reviews, csr ``[25000, 10000]``, in Keras's order."""
    paths = files.paths()
    train = _read_part(files, paths, "train")
    return RawData(
        kind="multi_hot",
        class_names=("negative", "positive"),
        inputs=train.inputs,
        labels=train.labels,
        num_test=25_000,
        read_test=partial(_read_part, files, paths, "test"),
    )


def read_tokens(path: Path, part: str, num_words: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns token ids and labels of ``train`` or ``test``, as Keras's loader gives them."""
    rng = np.random.RandomState(SHUFFLE_SEED)
    # One stream shuffles train, then test, so test's order needs train's length first.
    for name in ("train", "test"):
        (length,), _ = read_header(path, f"y_{name}")
        order = np.arange(length)
        rng.shuffle(order)
        if name == part:
            break
    sequences, labels = read_sequences(path, f"x_{part}"), read_array(path, f"y_{part}")
    tokens = [keras_tokens(sequences[index], num_words) for index in order]
    return tokens, labels[order].astype(np.int32)


def _read_part(files: OfficialFiles, paths: dict, part: str) -> Part:
    path = files.verified(paths, "imdb.npz")["imdb.npz"]
    tokens, labels = read_tokens(path, part, NUM_WORDS)
    return Part(multi_hot(tokens, NUM_WORDS), labels)


SOURCE = Source(
    name="imdb",
    summary="50,000 film reviews as multi-hot words (10,000), negative or positive",
    read=read,
    layouts=(FILES,),
    page="https://keras.io/api/datasets/imdb/",
)
