"""Small problems with a large sealed test part, a fresh one per seed, as ``.npz`` files.

A seed and a folder go in; the path of an archive that the ordinary dataset loader reads comes out.
Inputs are scaled by constants, not by fitted statistics, so that one compiled program serves every
seed of a problem. To add a problem: a function from a seed to arrays, and an entry in PROBLEMS.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from pipeline import datasets
from pipeline.datasets import SelectionLock
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
    folder = os.environ.get("PIPELINE_DATA_DIR")
    spec = DatasetSpec("fashion_mnist", Path(folder) if folder else None)
    dataset = datasets.load(spec)
    # The official test part of the whole; what selection here sees is sealed again by its archive.
    test = dataset.test.read(SelectionLock("benchmarks/problems.py"))
    scaled = [halved(part.inputs) for part in (dataset.train, test)]
    return scaled[0], dataset.train.labels, scaled[1], test.labels


def halved(images: np.ndarray) -> np.ndarray:
    """Returns images [n, 28, 28, 1] of 0 to 255 at half the size, scaled, float32 [n, 196]."""
    means = images.reshape(len(images), 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32)
    return ((means / 255.0 - 0.286) / 0.353).reshape(len(images), -1).astype(np.float32)


PROBLEMS = {
    "digits": Problem(digits, 300),
    "noisy": Problem(noisy, 500),
    "fashion": Problem(fashion, 2000),
}


def archive(name: str, seed: int, folder: Path) -> Path:
    """Returns the file of a problem, written at the first call."""
    path = folder / f"{name}-{seed}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, **PROBLEMS[name].make(seed))
    return path
