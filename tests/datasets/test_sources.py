"""Each source reads its layouts, from tiny files made here; its test file stays closed."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from pipeline.datasets import catalogue
from pipeline.errors import DatasetError

SOURCES = catalogue()


def idx(array):
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    content = b"\0\0\x08" + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()
    return gzip.compress(content, mtime=0)


def idx_files(prefix):
    images = np.arange(5)[:, None, None] * np.ones((5, 4, 4))
    return {
        f"{prefix}train-images-idx3-ubyte.gz": idx(images),
        f"{prefix}train-labels-idx1-ubyte.gz": idx(np.arange(5)),
        f"{prefix}t10k-images-idx3-ubyte.gz": idx(images[:2] + 100),
        f"{prefix}t10k-labels-idx1-ubyte.gz": idx(np.array([8, 9])),
    }


def unpacked_cifar10(batch):
    files = {f"cifar-10-batches-py/data_batch_{n}": batch([n]) for n in range(1, 6)}
    return files | {"cifar-10-batches-py/test_batch": batch([9, 8])}


def unpacked_cifar100(batch):
    key = b"fine_labels"
    return {
        "cifar-100-python/train": batch([1, 2, 3, 4, 5], key),
        "cifar-100-python/test": batch([9, 8], key),
    }


def packed(files, name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return {name: buffer.getvalue()}


CIFAR_LAYOUTS = {
    "cifar10": lambda batch: unpacked_cifar10(batch),
    "cifar10 archive": lambda batch: packed(unpacked_cifar10(batch), "cifar-10-python.tar.gz"),
    "cifar100": lambda batch: unpacked_cifar100(batch),
    "cifar100 archive": lambda batch: packed(unpacked_cifar100(batch), "cifar-100-python.tar.gz"),
}


@pytest.mark.parametrize("layout", CIFAR_LAYOUTS)
def test_cifar_unpacked_and_packed(layout, tiny_files, cifar_batch):
    source = SOURCES[layout.split()[0]]
    raw = source.read(tiny_files(source, CIFAR_LAYOUTS[layout](cifar_batch)))
    assert raw.labels.tolist() == [1, 2, 3, 4, 5]
    assert raw.inputs.shape == (5, 32, 32, 3)
    assert raw.inputs[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert raw.read_test().labels.tolist() == [9, 8]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("fashion_mnist", "fashion-mnist/"), ("fashion_mnist", ""), ("mnist", "mnist/")],
)
def test_idx_files(name, prefix, tiny_files):
    raw = SOURCES[name].read(tiny_files(SOURCES[name], idx_files(prefix)))
    assert raw.inputs.shape == (5, 4, 4, 1)
    assert (raw.inputs.dtype, raw.labels.dtype) == (np.uint8, np.int32)
    assert raw.inputs[:, 1, 2, 0].tolist() == raw.labels.tolist() == [0, 1, 2, 3, 4]
    test = raw.read_test()
    assert test.labels.tolist() == [8, 9]
    assert test.inputs[:, 0, 0, 0].tolist() == [100, 101]


def test_a_test_file_is_not_opened_before_it_is_read(tiny_files, tmp_path):
    source = SOURCES["fashion_mnist"]
    files = tiny_files(source, idx_files(""))
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (tmp_path / name).write_bytes(b"destroyed")
    raw = source.read(files)
    with pytest.raises(DatasetError, match=r"t10k-images-idx3-ubyte.gz is not the official file"):
        raw.read_test()


def keras_npz(tiny_files, name, content):
    """A files whose layout has one file, with the checksum of this content (MD5 for SHA-256)."""
    return tiny_files(SOURCES[name], {f"{name}.npz": content})


def test_mnist_from_the_keras_archive(tiny_files):
    buffer = io.BytesIO()
    images = np.zeros((6, 28, 28), np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    np.savez(buffer, x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    raw = SOURCES["mnist"].read(keras_npz(tiny_files, "mnist", buffer.getvalue()))
    assert raw.inputs.shape == (6, 28, 28, 1)
    assert raw.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert raw.read_test().inputs.shape == (2, 28, 28, 1)


def keras_imdb(x_train, x_test, num_words=10_000):
    """The order and the ids of keras.datasets.imdb.load_data, as sets of tokens."""
    rng = np.random.RandomState(113)
    parts = []
    for rows in (x_train, x_test):
        order = np.arange(len(rows))
        rng.shuffle(order)
        shifted = [[1, *(word + 3 for word in rows[index])] for index in order]
        parts.append([{w if w < num_words else 2 for w in row} for row in shifted])
    return parts


def test_imdb_is_shuffled_and_encoded_as_keras_does(tiny_files, sequences_npz, words):
    x_train, x_test = words(30), words(20, seed=1)
    y_train, y_test = np.arange(30) % 2, np.arange(20) % 2
    content = sequences_npz(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    raw = SOURCES["imdb"].read(keras_npz(tiny_files, "imdb", content))
    for part, expected in zip((raw, raw.read_test()), keras_imdb(x_train, x_test), strict=True):
        found = [set(part.inputs[[row]].indices.tolist()) for row in range(len(expected))]
        assert found == expected


def test_reuters_keeps_the_first_8982_of_the_shuffle_for_the_search(
    tiny_files, sequences_npz, words
):
    content = sequences_npz(x=words(9000), y=np.arange(9000) % 46)
    raw = SOURCES["reuters"].read(keras_npz(tiny_files, "reuters", content))
    order = np.arange(9000)
    np.random.RandomState(113).shuffle(order)
    assert raw.labels.tolist() == (order[:8982] % 46).tolist()
    assert raw.read_test().labels.tolist() == (order[8982:] % 46).tolist()


@pytest.mark.parametrize(
    ("name", "num_classes"),
    [("cifar10", 10), ("cifar100", 100), ("fashion_mnist", 10), ("reuters", 46)],
)
def test_class_names_are_complete_and_distinct(name, num_classes):
    module = __import__(f"pipeline.datasets.{name}", fromlist=["CLASS_NAMES"])
    assert len(set(module.CLASS_NAMES)) == len(module.CLASS_NAMES) == num_classes
