"""CIFAR batches from a folder and from the archive."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from pipeline.datasets.formats.cifar import read_batches
from pipeline.errors import DatasetError


def pack(path, contents):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"cifar/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_channels_move_to_the_end(tmp_path):
    data = np.arange(3072, dtype=np.int64).astype(np.uint8)[None]
    (tmp_path / "b").write_bytes(pickle.dumps({b"data": data, b"labels": [7]}, protocol=4))
    images, labels = read_batches({"b": tmp_path / "b"}, ("b",), "labels")
    assert images.shape == (1, 32, 32, 3)
    assert labels.tolist() == [7]
    for channel in range(3):
        np.testing.assert_array_equal(
            images[0, :, :, channel].ravel(), data[0, channel * 1024 : (channel + 1) * 1024]
        )


def test_archive_and_folder_give_the_same_in_the_order_asked(tmp_path, cifar_batch):
    contents = {"two": cifar_batch([3, 4]), "test": b"not even opened", "one": cifar_batch([1])}
    paths = {}
    for name, content in contents.items():
        paths[name] = tmp_path / name
        paths[name].write_bytes(content)
    packed = {"a.tar.gz": pack(tmp_path / "a.tar.gz", contents)}
    for one in (paths, packed):
        images, labels = read_batches(one, ("one", "two"), "labels")
        assert labels.tolist() == [1, 3, 4]
        assert images[:, 5, 6, 2].tolist() == [1, 3, 4]


def test_a_missing_batch_in_the_archive_is_named(tmp_path, cifar_batch):
    path = pack(tmp_path / "a.tar.gz", {"one": cifar_batch([1])})
    with pytest.raises(DatasetError, match=r"a.tar.gz lacks \['two'\]"):
        read_batches({"a.tar.gz": path}, ("one", "two"), "labels")


def test_a_broken_archive_says_so(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"cannot be read as a .tar.gz archive"):
        read_batches({"a.tar.gz": tmp_path / "a.tar.gz"}, ("one",), "labels")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a dict with 'data' and 'labels'"),
        ({b"data": np.zeros((1, 5), np.uint8), b"labels": [1]}, r"uint8 of shape \(1, 3072\)"),
        ({b"data": np.zeros((1, 3072), float), b"labels": [1]}, r"uint8 of shape \(1, 3072\)"),
    ],
)
def test_another_pickle_is_no_batch(tmp_path, content, message):
    (tmp_path / "b").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(DatasetError, match=message):
        read_batches({"b": tmp_path / "b"}, ("b",), "labels")
