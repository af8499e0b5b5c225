"""Small problems with a large sealed test part, a fresh one per seed, as ``.npz`` files.

A seed and a folder go in; the path of an archive that the ordinary dataset loader reads comes out.
Inputs are scaled by constants, not by fitted statistics, so that one compiled program serves every
seed of a problem. Clothes and newswires are official files, found in ``PIPELINE_DATA_DIR`` or in
Keras's cache, or downloaded; where none of these works, the message says what is missing. To add a
problem: a function from a seed to arrays, and an entry in PROBLEMS.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from pipeline import datasets
from pipeline.datasets import Dataset, Part, SelectionLock
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """What is searched on.

    Attributes:
        make: Seed -> ``x_train``, ``y_train`` (80/20 into train and validation), ``x_test``,
            ``y_test``.
        train_examples: Training examples used.
    """

    make: Callable[[int], Arrays]
    train_examples: int


def parted(inputs: np.ndarray, labels: np.ndarray, num_open: int, seed: int) -> Arrays:
    """Returns the first ``num_open`` examples of a seeded shuffle for training, the rest sealed."""
    order = np.random.default_rng([seed, 1]).permutation(len(labels))
    known, sealed = order[:num_open], order[num_open:]
    return {
        "x_train": inputs[known].astype(np.float32),
        "y_train": labels[known],
        "x_test": inputs[sealed].astype(np.float32),
        "y_test": labels[sealed],
    }


def digits(seed: int) -> Arrays:
    """Returns 8x8 digits: 300 to train, 180 to validate, 897 to test; no label is wrong."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return parted((images - 5.0) / 6.0, labels, 900, seed)


def noisy(seed: int) -> Arrays:
    """Returns a new problem per seed, a quarter of all labels drawn at random.

    4 classes, 40 features of which 10 say something; 500 to train, 250 to validate, 5,000 to test.
    """
    from sklearn.datasets import make_classification

    inputs, labels = make_classification(
        6250, 40, n_informative=10, n_redundant=5, n_classes=4, flip_y=0.25, random_state=seed
    )
    return parted(inputs / 2.0, labels, 1250, seed)


def fashion(seed: int) -> Arrays:
    """Returns pictures of clothes, halved to 14x14: 2,000 to train, 500 to validate.

    The official 10,000 are the test part; pixels are averaged two by two, which makes a study four
    times as fast.
    """
    inputs, labels, test_inputs, test_labels = _clothes()
    known = np.random.default_rng([seed, 1]).permutation(len(labels))[:2500]
    return {
        "x_train": inputs[known],
        "y_train": labels[known],
        "x_test": test_inputs,
        "y_test": test_labels,
    }


@cache
def _clothes() -> tuple[np.ndarray, ...]:
    dataset, test = official("fashion_mnist")
    scaled = [halved(part.inputs) for part in (dataset.train, test)]
    return scaled[0], dataset.train.labels, scaled[1], test.labels


def official(name: str) -> tuple[Dataset, Part]:
    """Returns an official dataset with its test part.

    What a selection here must not see is sealed again by the archive made of it.

    Raises:
        SystemExit: Its files are not on this machine and cannot be had.
    """
    folder = os.environ.get("PIPELINE_DATA_DIR")
    try:
        dataset = datasets.load(DatasetSpec(name, Path(folder) if folder else None))
    except DatasetError as error:
        raise SystemExit(f"{error} Or leave the problem out with --problems.") from error
    return dataset, dataset.test.read(SelectionLock("benchmarks/problems.py"))


def halved(images: np.ndarray) -> np.ndarray:
    """Returns images [n, 28, 28, 1] of 0 to 255 at half the size, scaled, float32 [n, 196]."""
    means = images.reshape(len(images), 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32)
    return ((means / 255.0 - 0.286) / 0.353).reshape(len(images), -1).astype(np.float32)


def clothes(seed: int) -> Arrays:
    """Returns ``fashion`` with half the training and test examples: 1,000, 500 and 5,000.

    Twice as fast, for experiments with many trainings.
    """
    drawn = fashion(seed)
    return drawn | {name: drawn[name][:5000] for name in ("x_test", "y_test")}


def newswires(seed: int) -> Arrays:
    """Returns Reuters newswires of ten topics: 500 to train, 250 to validate, 4,000 to test.

    Inputs say which of the 300 most frequent words occur. The topics are the ten most frequent, as
    unbalanced as they are (earnings 42%, ship 2%); a seed draws from all newswires about them.
    """
    drawn = parted(*_newswires(), 1250, seed)
    return drawn | {name: drawn[name][:4000] for name in ("x_test", "y_test")}


@cache
def _newswires() -> tuple[np.ndarray, np.ndarray]:
    dataset, test = official("reuters")
    parts = (dataset.train, dataset.validation, test)
    labels = np.concatenate([part.labels for part in parts])
    topics = np.argsort(-np.bincount(labels), kind="stable")[:10]
    # Word ids are frequency ranks; the first three are reserved.
    words = np.concatenate([part.inputs[:, 3:303].toarray() for part in parts])
    known = np.isin(labels, topics)
    places = {topic: place for place, topic in enumerate(topics.tolist())}
    return words[known], np.array([places[topic] for topic in labels[known].tolist()])


PROBLEMS = {
    "digits": Problem(digits, 300),
    "noisy": Problem(noisy, 500),
    "fashion": Problem(fashion, 2000),
    "clothes": Problem(clothes, 1000),
    "newswires": Problem(newswires, 500),
}


def archive(name: str, seed: int, folder: Path) -> Path:
    """Returns the file of a problem, written at the first call and when this module changes."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    path = folder / f"{name}-{seed}-{version}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, **PROBLEMS[name].make(seed))
    return path
