"""The door: datasets by name and by path, and one file to add another."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from pipeline import datasets
from pipeline.datasets import SelectionLock, availability, load, names
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec

CIRCLES = '''
"""``circles``: a made-up dataset."""
import numpy as np
from pipeline.datasets.dataset import RawData, Source

def read(files):
    labels = np.arange(50, dtype=np.int32) % 2
    return RawData("features", ("in", "out"), labels[:, None].astype("float32"), labels)

SOURCE = Source("circles", "made up", read, ships_with="this test")
'''


@pytest.fixture
def add_file(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    added = []

    def add(module, text):
        (tmp_path / f"{module}.py").write_text(text)
        importlib.invalidate_caches()
        added.append(f"pipeline.datasets.{module}")

    yield add
    for module in added:
        sys.modules.pop(module, None)


def test_the_datasets_of_the_product():
    assert names() == (
        *("cifar10", "cifar100", "digits", "fashion_mnist"),
        *("imdb", "mnist", "reuters"),
    )


def test_to_add_a_dataset_is_to_add_one_file(add_file):
    add_file("circles", CIRCLES)
    assert "circles" in names()
    assert availability("circles", None) == "with this test"
    dataset = load(DatasetSpec("circles"))
    assert dataset.split_sizes == {"train": 30, "validation": 10, "test": 10}
    assert dataset.class_names == ("in", "out")


def test_two_files_of_one_name_are_refused(add_file):
    add_file("circles", CIRCLES)
    add_file("circles_again", CIRCLES)
    with pytest.raises(DatasetError, match=r"named 'circles'; one is circles_again.py"):
        names()


def test_an_unknown_name_lists_all_and_the_closest():
    with pytest.raises(DatasetError) as caught:
        load(DatasetSpec("cifar-10"))
    assert "There is no dataset 'cifar-10' (did you mean 'cifar10'?)" in str(caught.value)
    assert all(name in str(caught.value) for name in names())


def test_availability_of_an_unknown_name_says_so():
    with pytest.raises(DatasetError, match=r"There is no dataset 'nist' \(did you mean 'mnist'"):
        availability("nist", None)


@pytest.mark.parametrize("name", ["missing.npz", "some/where.npz"])
def test_a_missing_file_says_where_it_was_looked_for(name):
    with pytest.raises(DatasetError, match=rf"There is no file {name} \(looked in "):
        load(DatasetSpec(name))


def test_a_file_of_another_kind_lists_what_can_be_read(tmp_path):
    with pytest.raises(DatasetError, match=r"expected a file ending in .*\.npz"):
        load(DatasetSpec(str(tmp_path / "mine.xyz")))


def test_digits():
    dataset = load(DatasetSpec("digits"))
    assert (dataset.kind, dataset.input_shape, dataset.num_classes) == ("image", (8, 8, 1), 10)
    assert dataset.split_sizes == {"train": 1079, "validation": 359, "test": 359}
    assert dataset.train.inputs.dtype == np.uint8
    assert dataset.train.inputs.max() == 16
    assert len(dataset.measured) == 1079
    assert dataset.mean.shape == dataset.deviation.shape == (8, 8, 1)
    assert len(dataset.test.read(SelectionLock("r"))) == 359


def test_digits_again_is_the_same_and_with_another_seed_another():
    first, again, other = (load(DatasetSpec("digits", seed=seed)) for seed in (0, 0, 1))
    assert first.split_id == again.split_id != other.split_id
    assert first.fingerprint == again.fingerprint
    np.testing.assert_array_equal(first.train.inputs, again.train.inputs)


def test_train_examples_leave_validation_and_test_alone():
    everything = load(DatasetSpec("digits"))
    fewer = load(DatasetSpec("digits", train_examples=100))
    assert fewer.split_sizes == {"train": 100, "validation": 359, "test": 359}
    np.testing.assert_array_equal(fewer.validation.inputs, everything.validation.inputs)
    np.testing.assert_array_equal(fewer.split.test, everything.split.test)
    assert fewer.split_id != everything.split_id
    assert set(np.bincount(fewer.train.labels)) <= {9, 10, 11, 12}


def test_too_many_train_examples_name_the_dataset():
    with pytest.raises(DatasetError, match="Dataset 'digits': --train-examples is 5000, but"):
        load(DatasetSpec("digits", train_examples=5000))


def test_loading_what_is_here_imports_no_keras_and_no_matplotlib():
    code = (
        "import sys; from pipeline import datasets; from pipeline.records import DatasetSpec;"
        "datasets.load(DatasetSpec('digits')); datasets.availability('cifar10', None);"
        "print(sorted({'keras', 'tensorflow', 'optuna', 'mlflow', 'matplotlib'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
