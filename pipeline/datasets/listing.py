"""What ``pipeline datasets`` tells: a dataset in numbers, and whether it is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from pipeline.datasets.dataset import Dataset, Part
from pipeline.datasets.official_files import Shelf
from pipeline.datasets.source import Source


def describe(dataset: Dataset) -> dict[str, Any]:
    """Returns a dataset in plain values, ready for JSON; nothing of the test part but its size.

    Returns:
        ``name``, ``kind``, ``input_shape``, ``dtype``, ``num_classes``, ``split_sizes``,
        ``split_id``, ``fingerprint``, ``num_measured``, ``classes`` (per class its name and number
        of train and validation examples), ``chance_accuracy``, ``chance_ce`` (nats) and
        ``memory_bytes`` of the train and validation parts.
    """
    train, validation = (_counts(dataset, part) for part in (dataset.train, dataset.validation))
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "input_shape": list(dataset.input_shape),
        "dtype": str(dataset.train.inputs.dtype),
        "num_classes": dataset.num_classes,
        "split_sizes": dict(dataset.split_sizes),
        "split_id": dataset.split_id,
        "fingerprint": dataset.fingerprint,
        "num_measured": len(dataset.measured),
        "classes": [
            {"name": name, "train": train[number], "validation": validation[number]}
            for number, name in enumerate(dataset.class_names)
        ],
        "chance_accuracy": dataset.chance.accuracy,
        "chance_ce": dataset.chance.ce,
        "memory_bytes": _num_bytes(dataset.train) + _num_bytes(dataset.validation),
    }


def as_lines(description: dict[str, Any]) -> list[str]:
    """Returns a description (:func:`describe`) in lines for a terminal."""
    sizes, classes = description["split_sizes"], description["classes"]
    lines = [
        f"{description['name']}: {description['kind']}, inputs {description['input_shape']} "
        f"({description['dtype']}), {description['num_classes']} classes",
        f"train {sizes['train']:,}, validation {sizes['validation']:,}, test {sizes['test']:,} "
        f"(sealed); split {description['split_id']}; "
        f"{description['memory_bytes'] / 2**20:.1f} MiB in memory",
        f"without skill: accuracy {description['chance_accuracy']:.3f}, cross-entropy "
        f"{description['chance_ce']:.3f}",
    ]
    width = max(len(entry["name"]) for entry in classes)
    lines.append(f"{'class':<{width}}  {'train':>8}  {'validation':>10}")
    lines += [
        f"{entry['name']:<{width}}  {entry['train']:>8,}  {entry['validation']:>10,}"
        for entry in classes
    ]
    return lines


def status(source: Source, data_dir: Path | None) -> str:
    """Returns where a source would be loaded from, in a few words; opens no file."""
    if not source.layouts:
        return f"with {source.ships_with}" if source.ships_with else "on this machine"
    shelf = Shelf(source.name, source.page, source.layouts, data_dir)
    if shelf.in_data_dir():
        return "in data directory"
    return "in the Keras cache" if shelf.in_cache() else "to be downloaded"


def _counts(dataset: Dataset, part: Part) -> list[int]:
    counts: list[int] = np.bincount(part.labels, minlength=dataset.num_classes).tolist()
    return counts


def _num_bytes(part: Part) -> int:
    arrays = [part.inputs]
    if sparse.issparse(part.inputs):
        arrays = [part.inputs.data, part.inputs.indices, part.inputs.indptr]
    return sum(int(array.nbytes) for array in arrays) + int(part.labels.nbytes)
