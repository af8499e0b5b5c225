"""What ``pipeline datasets`` tells."""

import json

import numpy as np

from pipeline.datasets import availability, describe, load
from pipeline.datasets.official_files import keras_cache
from pipeline.records import DatasetSpec


def test_describe_is_plain_and_counts_each_class():
    dataset = load(DatasetSpec("digits", train_examples=200))
    facts = json.loads(json.dumps(describe(dataset)))
    assert facts["input_shape"] == [8, 8, 1]
    assert facts["dtype"] == "uint8"
    assert facts["split_sizes"] == {"train": 200, "validation": 359, "test": 359}
    assert facts["split_id"] == dataset.split_id
    assert [one["name"] for one in facts["classes"]] == list("0123456789")
    assert [one["train"] for one in facts["classes"]] == np.bincount(dataset.train.labels).tolist()
    assert sum(one["validation"] for one in facts["classes"]) == 359
    assert facts["memory_bytes"] == (200 + 359) * (64 + 4)


def test_describe_knows_the_memory_of_sparse_inputs(tiny_reuters):
    dataset = tiny_reuters()
    train = dataset.train.inputs
    assert describe(dataset)["memory_bytes"] > train.data.nbytes + train.indices.nbytes


def test_availability_in_each_place(tmp_path):
    assert availability("digits", None) == "with scikit-learn"
    assert availability("reuters", tmp_path) == "to be downloaded"
    keras_cache().mkdir(parents=True)
    (keras_cache() / "reuters.npz").touch()
    assert availability("reuters", tmp_path) == "in the Keras cache"
    (tmp_path / "reuters.npz").touch()
    assert availability("reuters", tmp_path) == "in data directory"
    assert availability("reuters", tmp_path / "nowhere") == "in the Keras cache"


def test_keras_own_unpacked_cifar_is_found():
    folder = keras_cache() / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}").touch()
    assert availability("cifar10", None) == "to be downloaded"
    (folder / "test_batch").touch()
    assert availability("cifar10", None) == "in the Keras cache"
