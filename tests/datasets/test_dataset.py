"""The test part is sealed until the selection is locked (acceptance test 8)."""

import copy
import pickle

import numpy as np
import pytest

from pipeline.datasets import Part, SealedTest, SelectionLock, describe
from pipeline.errors import DatasetError, SealedTestError

PART = Part(np.zeros((3, 2), np.float32), np.array([0, 1, 0], np.int32))
LOCK = SelectionLock("3f2a")


class Bomb:
    """A loader that fails when it is called, and counts."""

    calls = 0

    def __call__(self):
        self.calls += 1
        raise AssertionError("the test part was read")


def keep():
    return PART


@pytest.mark.parametrize(
    ("touch", "what"),
    [
        (lambda test: test.inputs, "'inputs'"),
        (lambda test: test.labels, "'labels'"),
        (lambda test: test.take([0]), "'take'"),
        (lambda test: test.shape, "'shape'"),
        (len, r"len\(\)"),
        (list, r"iteration"),
        (bool, r"len\(\)"),
        (lambda test: test[0], "indexing"),
        (np.asarray, "conversion to an array"),
        (lambda test: np.asarray(test, dtype=float), "conversion to an array"),
    ],
)
def test_touching_the_sealed_part_raises(touch, what):
    test = SealedTest("digits", 3, Bomb())
    with pytest.raises(SealedTestError) as caught:
        touch(test)
    caught.match(
        f"test part of 'digits' is sealed \\({what} was refused\\): it is read once, after"
    )


@pytest.mark.parametrize("lock", [None, SelectionLock(""), object(), "abc", True])
def test_reading_without_a_lock_raises_and_loads_nothing(lock):
    bomb = Bomb()
    with pytest.raises(SealedTestError, match="without a locked selection"):
        SealedTest("digits", 3, bomb).read(lock)
    assert bomb.calls == 0


def test_reading_with_a_lock_gives_the_part():
    assert SealedTest("digits", 3, keep).read(LOCK) is PART


def test_a_part_of_another_size_is_refused():
    with pytest.raises(DatasetError, match="has 3 examples, but 4 were expected"):
        SealedTest("digits", 4, keep).read(LOCK)


def test_the_seal_survives_printing_copying_and_pickling():
    test = SealedTest("digits", 3, keep)
    assert repr(test) == "<SealedTest of 'digits', 3 examples>"
    for other in (copy.copy(test), copy.deepcopy(test), pickle.loads(pickle.dumps(test))):
        assert len(other.read(LOCK)) == 3
        with pytest.raises(SealedTestError):
            _ = other.inputs


def test_everything_but_read_leaves_the_test_part_alone(two_blobs):
    bomb = Bomb()
    dataset = two_blobs(num_test=30, read_test=bomb)
    describe(dataset)
    dataset.raw_example()
    dataset.raw_tensor()
    repr(dataset)
    assert dataset.split_sizes == {"train": 80, "validation": 20, "test": 30}
    assert bomb.calls == 0
    with pytest.raises(AssertionError, match="the test part was read"):
        dataset.test.read(LOCK)
    assert bomb.calls == 1


def test_a_split_off_test_part_holds_the_right_examples(two_blobs):
    inputs = np.arange(300, dtype=np.float32).reshape(100, 3)
    dataset = two_blobs(inputs=inputs)
    part = dataset.test.read(LOCK)
    np.testing.assert_array_equal(part.inputs, inputs[dataset.split.test])
    np.testing.assert_array_equal(dataset.train.inputs, inputs[dataset.split.train])
    np.testing.assert_array_equal(dataset.validation.inputs, inputs[dataset.split.validation])


def test_a_raw_tensor_is_described_in_plain_values(two_blobs):
    dataset = two_blobs()
    inputs = dataset.train.inputs
    assert dataset.raw_tensor() == {
        "kind": dataset.kind,
        "shape": list(dataset.input_shape),
        "dtype": "float32",
        "lowest": float(inputs.min()),
        "highest": float(inputs.max()),
    }


def test_raw_example_is_raw(two_blobs):
    dataset = two_blobs()
    np.testing.assert_array_equal(dataset.raw_example(3), dataset.train.inputs[:3])
