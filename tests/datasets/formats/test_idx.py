"""idx files: what the header announces is what comes out."""

import gzip

import numpy as np
import pytest

from pipeline.datasets.formats.idx import read_idx
from pipeline.errors import DatasetError


def idx(array):
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes()


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_arrays_come_back(tmp_path, shape):
    array = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz"), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"plain", "is no readable gzip file"),
        (gzip.compress(idx(np.zeros(500, np.uint8)))[:-9], "is no readable gzip file"),
        (gzip.compress(b"\0\0\x0d\x01"), "is no idx file of bytes: it begins with 00000d01"),
        (gzip.compress(b""), "begins with nothing"),
        (
            gzip.compress(idx(np.zeros(7, np.uint8))[:-2]),
            r"cut short: its header announces \(7,\), but 5 values",
        ),
    ],
)
def test_broken_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"a\.gz.*{message}"):
        read_idx(tmp_path / "a.gz")
