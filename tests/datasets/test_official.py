"""The loaders against the official files: known shapes, balances and first labels."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pipeline.datasets import SelectionLock, availability, load
from pipeline.datasets.cifar10 import CLASS_NAMES as CIFAR10_NAMES
from pipeline.datasets.formats.pickles import read_pickle
from pipeline.datasets.reuters import CLASS_NAMES as REUTERS_NAMES
from pipeline.datasets.reuters import read_tokens
from pipeline.records import DatasetSpec

pytestmark = pytest.mark.data
LOCK = SelectionLock("r")


def official_order(dataset, num_examples):
    """The labels and inputs of train and validation, back in the official order."""
    indices = np.concatenate([dataset.split.train, dataset.split.validation])
    position = np.argsort(indices)
    assert np.array_equal(indices[position], np.arange(num_examples))
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    return labels[position]


@pytest.mark.slow
def test_cifar10(official_file, data_dir, no_network):
    meta = official_file("cifar-10-batches-py/batches.meta")
    dataset = load(DatasetSpec("cifar10", data_dir), fetch=no_network)
    assert dataset.split_sizes == {"train": 40_000, "validation": 10_000, "test": 10_000}
    assert (dataset.input_shape, dataset.train.inputs.dtype) == ((32, 32, 3), np.uint8)
    assert set(np.bincount(dataset.train.labels)) == {4000}
    assert set(np.bincount(dataset.validation.labels)) == {1000}
    assert official_order(dataset, 50_000)[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    first = np.concatenate([dataset.split.train, dataset.split.validation]).tolist().index(0)
    inputs = dataset.train.inputs if first < 40_000 else dataset.validation.inputs
    assert inputs[first % 40_000][0, 0].tolist() == [59, 62, 63]
    assert len(dataset.measured) == 10_000
    assert 60 < dataset.deviation.mean() < 70
    test = dataset.test.read(LOCK)
    assert test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert set(np.bincount(test.labels)) == {1000}
    with meta.open("rb") as stream:
        names = read_pickle(stream, "batches.meta")[b"label_names"]
    assert tuple(name.decode() for name in names) == CIFAR10_NAMES


def test_fashion_mnist(official_file, data_dir, no_network):
    official_file("fashion-mnist")
    assert availability("fashion_mnist", data_dir) == "in data directory"
    dataset = load(DatasetSpec("fashion_mnist", data_dir), fetch=no_network)
    assert dataset.split_sizes == {"train": 50_000, "validation": 10_000, "test": 10_000}
    assert dataset.input_shape == (28, 28, 1)
    assert set(np.bincount(dataset.train.labels)) == {5000}
    assert official_order(dataset, 60_000)[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    test = dataset.test.read(LOCK)
    assert test.labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert test.inputs.shape == (10_000, 28, 28, 1)


def test_reuters(official_file, data_dir, no_network):
    official_file("reuters.npz")
    dataset = load(DatasetSpec("reuters", data_dir), fetch=no_network)
    assert dataset.split_sizes == {"train": 7_186, "validation": 1_796, "test": 2_246}
    assert (dataset.kind, dataset.input_shape) == ("multi_hot", (10_000,))
    labels = official_order(dataset, 8_982)
    assert labels[:10].tolist() == [3, 4, 3, 4, 4, 4, 4, 3, 3, 16]
    assert np.bincount(labels).argmax() == 3
    assert np.bincount(labels)[3] == 3159
    assert np.bincount(dataset.train.labels, minlength=46).min() > 0
    assert 0.34 < dataset.chance.accuracy < 0.36
    assert dataset.mean is None
    assert dataset.deviation is None
    assert len(dataset.test.read(LOCK)) == 2_246


KERAS_REUTERS = """
import sys
import numpy as np
from keras.datasets import reuters
parts = reuters.load_data(num_words=10000)
saved = {}
for name, (rows, labels) in zip(("train", "test"), parts):
    saved[name] = np.concatenate([np.asarray(row) for row in rows])
    saved[name + "_lengths"] = np.array([len(row) for row in rows])
    saved[name + "_labels"] = labels
np.savez(sys.argv[1], names=np.array(reuters.get_label_names()), **saved)
"""


@pytest.mark.slow
def test_reuters_equals_keras_own_loader(official_file, tmp_path):
    path = official_file("reuters.npz")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "reuters.npz").symlink_to(path)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-c", KERAS_REUTERS, str(tmp_path / "keras.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    keras = np.load(tmp_path / "keras.npz")
    for name, part in (("train", slice(0, 8982)), ("test", slice(8982, None))):
        tokens, labels = read_tokens(path, part, 10_000)
        np.testing.assert_array_equal(labels, keras[f"{name}_labels"])
        np.testing.assert_array_equal([len(row) for row in tokens], keras[f"{name}_lengths"])
        np.testing.assert_array_equal(np.concatenate(tokens), keras[name])
    assert tuple(keras["names"]) == REUTERS_NAMES
