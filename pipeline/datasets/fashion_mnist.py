"""Reads ``fashion_mnist``: 70,000 grey images of clothes, 28x28; 10,000 are the official test part.

Split: 50,000 train, 10,000 validation, 10,000 test.

Source: https://github.com/zalandoresearch/fashion-mnist (Xiao et al. 2017, MIT licence), with
the MD5s published there.
"""

from functools import partial

from pipeline.datasets.dataset import Part, RawData, Source
from pipeline.datasets.formats.idx import read_idx
from pipeline.datasets.official_files import Layout, OfficialFile, OfficialFiles

FOLDER = "fashion-mnist"
URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_MD5 = {
    TRAIN[0]: "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    TRAIN[1]: "25c81989df183df01b3e8a0aad5dffbe",
    TEST[0]: "bef4ecab320f06d8554ea6380940ec79",
    TEST[1]: "bb300cfdad3c16e7a12a480ee83cd310",
}
FILES: Layout = tuple(
    OfficialFile(name, md5, FOLDER, url=f"{URL}/{name}", cached_as=f"{FOLDER}/{name}")
    for name, md5 in _MD5.items()
)


def read(files: OfficialFiles) -> RawData:
    """Returns the 60,000 training images, uint8 ``[60000, 28, 28, 1]``, in the file's order."""
    paths = files.paths()
    train = _read_part(files, paths, TRAIN)
    return RawData(
        kind="image",
        class_names=CLASS_NAMES,
        inputs=train.inputs,
        labels=train.labels,
        num_validation=10_000,
        num_test=10_000,
        read_test=partial(_read_part, files, paths, TEST),
    )


def _read_part(files: OfficialFiles, paths: dict, names: tuple[str, str]) -> Part:
    images, labels = (read_idx(files.verified(paths, name)[name]) for name in names)
    return Part(images[..., None], labels.astype("int32"))


SOURCE = Source(
    name="fashion_mnist",
    summary="70,000 grey images of clothes, 28x28, 10 classes",
    read=read,
    layouts=(FILES,),
    page="https://github.com/zalandoresearch/fashion-mnist",
)
