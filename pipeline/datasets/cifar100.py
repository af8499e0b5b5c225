"""Reads ``cifar100``: 60,000 colour images, 32x32, 100 fine classes; 10,000 official test ones.

Split: 40,000 train, 10,000 validation, 10,000 test.

Source: https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky 2009); MD5 of the files as
torchvision publishes them, SHA-256 of the archive as in Keras's loader.
"""

from functools import partial

from pipeline.datasets.dataset import Part, RawData, Source
from pipeline.datasets.formats.cifar import read_batches
from pipeline.datasets.official_files import Layout, OfficialFile, OfficialFiles

FOLDER = "cifar-100-python"
ARCHIVE = "cifar-100-python.tar.gz"
_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CLASS_NAMES = tuple(_NAMES.split())
_MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
}
UNPACKED: Layout = tuple(
    OfficialFile(name, md5, FOLDER, folder_only=True, cached_as=f"{FOLDER}-target/{FOLDER}/{name}")
    for name, md5 in _MD5.items()
)
PACKED: Layout = (
    OfficialFile(
        ARCHIVE,
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        url=f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",
        cached_as=f"{FOLDER}-target_archive",
    ),
)


def read(files: OfficialFiles) -> RawData:
    """Returns the 50,000 training images, uint8 ``[50000, 32, 32, 3]``, in the file's order."""
    paths = files.paths()
    training = files.verified(paths, "train", ARCHIVE)
    inputs, labels = read_batches(training, ("train",), "fine_labels")
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
    return Part(*read_batches(files.verified(paths, "test", ARCHIVE), ("test",), "fine_labels"))


SOURCE = Source(
    name="cifar100",
    summary="60,000 colour images, 32x32, 100 fine classes",
    read=read,
    layouts=(UNPACKED, PACKED),
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
)
