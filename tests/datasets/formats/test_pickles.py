"""Pickles: arrays come out, nothing else is run."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.formats.pickles import read_pickle
from pipeline.errors import DatasetError


def test_arrays_and_plain_values_come_out():
    value = {b"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"labels": [1, 2], "n": 1.5}
    read = read_pickle(io.BytesIO(pickle.dumps(value, protocol=4)), "batch")
    np.testing.assert_array_equal(read.pop(b"data"), value.pop(b"data"))
    assert read == value


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_is_refused_and_not_run(tmp_path, protocol):
    content = pickle.dumps([Attack(tmp_path / "ran")], protocol=protocol)
    with pytest.raises(DatasetError, match=r"batch was refused: it asks for \w+\.\w+"):
        read_pickle(io.BytesIO(content), "batch")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps(np.eye(3), protocol=4)[:-20]])
def test_what_is_no_pickle_or_cut_short_is_refused(content):
    with pytest.raises(
        DatasetError, match=r"batch was refused: .*download the official file again"
    ):
        read_pickle(io.BytesIO(content), "batch")
