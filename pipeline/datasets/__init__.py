"""Datasets by name or path: a :class:`DatasetSpec` in, a split and sealed :class:`Dataset` out.

:func:`load` is the door. A dataset is a file in this folder with a ``SOURCE`` (see
``datasets.source``); adding the file is all there is to do. The user's own data are given by path
(see ``datasets.paths``). Official files come first from the data directory, then from Keras's
cache, then by download; Keras is imported only for that last step.

The way through: ``<source>.py`` reads, ``splits`` cuts, ``fitting`` standardizes on train,
``assembly`` seals the test part.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from pipeline.datasets.assembly import assemble
from pipeline.datasets.dataset import Dataset, Part, SealedTest, SelectionLock
from pipeline.datasets.listing import describe, status
from pipeline.datasets.official_files import Fetch, Shelf, keras_fetch
from pipeline.datasets.pictures import sample_grid
from pipeline.datasets.source import RawData, Source
from pipeline.datasets.user.paths import PATH_READERS, exists, load_path, name_of
from pipeline.errors import DatasetError, closest, printable
from pipeline.records import DatasetSpec

__all__ = [
    "PATH_READERS",
    "Dataset",
    "Part",
    "RawData",
    "SealedTest",
    "SelectionLock",
    "Source",
    "availability",
    "catalogue",
    "describe",
    "is_path",
    "load",
    "name_of",
    "names",
    "sample_grid",
]


def catalogue() -> dict[str, Source]:
    """Returns every dataset that can be loaded by name, by name, sorted.

    Raises:
        DatasetError: Two files of this folder give the same name.
    """
    sources: dict[str, Source] = {}
    for module in pkgutil.iter_modules(__path__):
        source = getattr(importlib.import_module(f"{__name__}.{module.name}"), "SOURCE", None)
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
        and ("/" in name or "\\" in name or bool(Path(name).suffix) or exists(Path(name)))
    )


def load(spec: DatasetSpec, fetch: Fetch = keras_fetch) -> Dataset:
    """Returns a dataset, split, with its preprocessing fitted and its test part sealed.

    Args:
        spec: Name or path, data directory, seed and number of training examples. Equal specs on
            equal files give equal datasets, and so equal ``split_id``.
        fetch: Downloads an official file that is not on this machine.

    Raises:
        DatasetError: The dataset is unknown, missing, broken or unusable.
    """
    if is_path(spec.name):
        path = Path(spec.name)
        return load_path(path, spec, f"{', '.join(names())}{closest(path.stem, names())}")
    source = _source(spec.name)
    shelf = Shelf(source.name, source.page, source.layouts, spec.data_dir, fetch)
    return assemble(source.name, source.read(shelf), spec)


def availability(name: str, data_dir: Path | None) -> str:
    """Returns where a dataset would come from, in a few words; opens no file.

    Returns:
        ``in data directory``, ``in the Keras cache``, ``with scikit-learn`` (or another library)
        or ``to be downloaded``.

    Raises:
        DatasetError: There is no dataset of this name.
    """
    return status(_source(name), data_dir)


def _source(name: str) -> Source:
    sources = catalogue()
    if name not in sources:
        raise DatasetError(
            f"There is no dataset '{printable(name)}'{closest(name, sources)}. Known are"
            f" {', '.join(sources)}; your own data are given by path, such as my.npz, my.csv or a"
            " folder of pictures."
        )
    return sources[name]
