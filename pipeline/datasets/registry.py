"""Finds datasets by name or path: a :class:`DatasetSpec` in, a split and sealed dataset out.

To add a dataset, add one file to this folder that defines ``SOURCE``; it is found by that name,
split, standardized, sealed, listed and shown like the others::

    def read(files):                 # finds and verifies the official files
        return RawData("features", ("no", "yes"), inputs, labels)

    SOURCE = Source("mine", "where it comes from, in a sentence", read)

The user's own data are given by path (``user.paths``). Official files come first from the data
directory, then from Keras's cache, then by download; Keras is imported only for that last step.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.datasets.dataset import Dataset, Source
from pipeline.datasets.official_files import Fetch, OfficialFiles, keras_fetch
from pipeline.datasets.preprocessing import assemble
from pipeline.datasets.user import paths
from pipeline.errors import DatasetError, SplitMismatchError, closest, printable
from pipeline.records import DataOptions, DatasetSpec

IN_DATA_DIR = "in data directory"


def catalogue() -> dict[str, Source]:
    """Returns every dataset that can be loaded by name, by name, sorted.

    Raises:
        DatasetError: Two files of this folder give the same name.
    """
    package = sys.modules[__package__]
    sources: dict[str, Source] = {}
    for module in pkgutil.iter_modules(package.__path__):
        source = getattr(importlib.import_module(f"{__package__}.{module.name}"), "SOURCE", None)
        if not isinstance(source, Source):
            continue
        if source.name in sources:
            raise DatasetError(
                f"Two files in datasets/ are named '{source.name}'; one is {module.name}.py."
                " Give each SOURCE a name of its own."
            )
        sources[source.name] = source
    return dict(sorted(sources.items()))


def names() -> tuple[str, ...]:
    """Returns the names of the datasets that can be loaded by name."""
    return tuple(catalogue())


def is_path(name: str) -> bool:
    """Whether a dataset's name means a file or folder: it has a slash or an ending, or is there."""
    return (
        bool(name)
        and name not in names()
        and ("/" in name or "\\" in name or bool(Path(name).suffix) or paths.exists(Path(name)))
    )


def load(spec: DatasetSpec, fetch: Fetch = keras_fetch, *, examined: bool = True) -> Dataset:
    """Returns a dataset, split, with its preprocessing fitted and its test part sealed.

    Args:
        spec: Name or path, data directory, seed and number of training examples. Equal specs on
            equal files give equal datasets, and so equal ``split_id``.
        fetch: Downloads an official file that is not on this machine.
        examined: Whether a user's own data are examined for findings; who only trains or measures
            on what a search has told of already saves half of the time.

    Raises:
        DatasetError: The dataset is unknown, missing, broken or unusable.
    """
    if is_path(spec.name):
        path = Path(spec.name)
        with paths.errors_in_one_line(path):
            valid_names = f"{', '.join(names())}{closest(path.stem, names())}"
            raw = paths.read(path, spec.options, valid_names)
            return assemble(paths.name_of(path), raw, spec, own=True, examined=examined)
    source = _source(spec.name)
    paths.check_fitting(source.name, spec.options, "dataset")
    return assemble(source.name, source.read(_files(source, spec.data_dir, fetch)), spec)


def availability(name: str, data_dir: Path | None) -> str:
    """Returns where a dataset would come from, in a few words; opens no file.

    Returns:
        ``in data directory``, ``in the Keras cache``, ``with scikit-learn`` (or another library)
        or ``to be downloaded``.

    Raises:
        DatasetError: There is no dataset of this name.
    """
    source = _source(name)
    if not source.layouts:
        return f"with {source.ships_with}" if source.ships_with else "on this machine"
    files = _files(source, data_dir)
    if files.in_data_dir():
        return IN_DATA_DIR
    return "in the Keras cache" if files.in_cache() else "to be downloaded"


def spec_of(definition: Mapping[str, Any], data_dir: Path | None) -> DatasetSpec:
    """Returns how the dataset of a study's definition is loaded on this machine.

    A file that is no longer where it was is looked for in the working folder, which may have been
    moved with it: whether it is the same one is checked by the split.
    """
    source = str(definition["source"])
    beside = Path(source).name
    if is_path(source) and not Path(source).exists() and Path(beside).exists():
        source = str(Path(beside).resolve())
    return DatasetSpec(
        source,
        data_dir,
        int(definition["seed"]),
        definition["train_examples"],
        DataOptions.of(definition.get("data", {})),
    )


def reload(spec: DatasetSpec, split_id: str, made: str, purpose: str) -> Dataset:
    """Loads once more the dataset that a study was made on; its test part is sealed.

    Args:
        spec: How it is loaded.
        split_id: The split that it had.
        made: What was made on it, for the message: ``study 'x' was made``.
        purpose: What it is needed for, for the message.

    Raises:
        DatasetError: It cannot be loaded.
        SplitMismatchError: The data on this machine are not the same.
    """
    dataset = load(spec, examined=False)
    if dataset.split_id != split_id:
        raise SplitMismatchError(
            f"{made} on split {split_id}, but {spec.name} now gives {dataset.split_id}: the data "
            f"changed. Restore them to {purpose}"
        )
    return dataset


def _files(source: Source, data_dir: Path | None, fetch: Fetch = keras_fetch) -> OfficialFiles:
    return OfficialFiles(source.name, source.page, source.layouts, data_dir, fetch)


def _source(name: str) -> Source:
    sources = catalogue()
    if name not in sources:
        raise DatasetError(
            f"There is no dataset '{printable(name)}'{closest(name, sources)}. Known are"
            f" {', '.join(sources)}; your own data are given by path, such as my.npz, my.csv or a"
            " folder of pictures or texts."
        )
    return sources[name]
