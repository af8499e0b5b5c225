"""``digits`` is scikit-learn's, read without importing it, or by it where its file has moved."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pipeline.datasets import digits


@pytest.mark.parametrize("file", [digits.FILE, "datasets/data/moved.csv.gz"])
def test_the_images_are_those_of_scikit_learn(file, monkeypatch):
    monkeypatch.setattr(digits, "FILE", file)
    read, expected = digits.read(None), load_digits()
    np.testing.assert_array_equal(read.inputs[..., 0], expected.images)
    np.testing.assert_array_equal(read.labels, expected.target)
    assert (read.inputs.dtype, read.labels.dtype) == (np.uint8, np.int32)
    assert read.class_names == tuple(str(name) for name in expected.target_names)


def test_scikit_learn_is_not_imported():
    code = (
        "import sys; from pipeline.datasets import digits; digits.read(None); "
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
