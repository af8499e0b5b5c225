"""Reads ``mnist``: 70,000 grey images of handwritten digits, 28x28; 10,000 official test ones.

Split: 50,000 train, 10,000 validation, 10,000 test. Read from Keras's ``mnist.npz`` or from the
four official idx files.

Source: LeCun, Cortes, Burges; MD5 of the idx files as torchvision publishes them, SHA-256 of the
archive as in Keras's loader.
"""

from functools import partial

from pipeline.datasets.dataset import Part, RawData, Source
from pipeline.datasets.formats.idx import read_idx
from pipeline.datasets.formats.npz import read_array
from pipeline.datasets.official_files import Layout, OfficialFile, OfficialFiles

ARCHIVE = "mnist.npz"
IDX = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
PACKED: Layout = (
    OfficialFile(
        ARCHIVE,
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    ),
)
IDX_FILES: Layout = tuple(
    # Fashion-MNIST's files have the same names: only a folder of their own tells them apart.
    OfficialFile(name, md5, "mnist", folder_only=True, cached_as=f"mnist/{name}")
    for name, md5 in _MD5.items()
)


def read(files: OfficialFiles) -> RawData:
    """Returns the 60,000 training images, uint8 ``[60000, 28, 28, 1]``, in the files' order."""
    paths = files.paths()
    train = _read_part(files, paths, "train")
    return RawData(
        kind="image",
        class_names=tuple(str(digit) for digit in range(10)),
        inputs=train.inputs,
        labels=train.labels,
        num_validation=10_000,
        num_test=10_000,
        read_test=partial(_read_part, files, paths, "test"),
    )


def _read_part(files: OfficialFiles, paths: dict, part: str) -> Part:
    if ARCHIVE in paths:
        path = files.verified(paths, ARCHIVE)[ARCHIVE]
        images, labels = (read_array(path, f"{letter}_{part}") for letter in "xy")
    else:
        images, labels = (read_idx(files.verified(paths, name)[name]) for name in IDX[part])
    return Part(images[..., None], labels.astype("int32"))


SOURCE = Source(
    name="mnist",
    summary="70,000 grey images of handwritten digits, 28x28, 10 classes",
    read=read,
    layouts=(PACKED, IDX_FILES),
    page="https://keras.io/api/datasets/mnist/",
)
