"""Reads ``cifar10``: 60,000 colour images, 32x32, 10 classes; 10,000 are the official test part.

Split: 40,000 train, 10,000 validation, 10,000 test.

Source: https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky 2009); MD5 of the batches as
published, SHA-256 of the archive as in Keras's loader.
"""

from functools import partial

from pipeline.datasets.dataset import Part, RawData, Source
from pipeline.datasets.formats.cifar import read_batches
from pipeline.datasets.official_files import Layout, OfficialFile, OfficialFiles

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = ("test_batch",)
CLASS_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
UNPACKED: Layout = tuple(
    OfficialFile(name, md5, FOLDER, folder_only=True, cached_as=f"{FOLDER}-target/{FOLDER}/{name}")
    for name, md5 in _MD5.items()
)
PACKED: Layout = (
    OfficialFile(
        ARCHIVE,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        url=f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",
        cached_as=f"{FOLDER}-target_archive",
    ),
)


def read(files: OfficialFiles) -> RawData:
    """Returns the 50,000 training images, uint8 ``[50000, 32, 32, 3]``, in the files' order."""
    paths = files.paths()
    inputs, labels = read_batches(files.verified(paths, *TRAIN, ARCHIVE), TRAIN, "labels")
    return RawData(
        kind="image",
        class_names=CLASS_NAMES,
        inputs=inputs,
        labels=labels,
        num_validation=10_000,
        num_test=10_000,
        read_test=partial(_read_test, files, paths),
    )


def _read_test(files: OfficialFiles, paths: dict) -> Part:
    return Part(*read_batches(files.verified(paths, *TEST, ARCHIVE), TEST, "labels"))


SOURCE = Source(
    name="cifar10",
    summary="60,000 colour images of animals and vehicles, 32x32, 10 classes",
    read=read,
    layouts=(UNPACKED, PACKED),
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
)
