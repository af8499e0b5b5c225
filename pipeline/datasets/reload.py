"""The dataset that a study was made on, loaded once more: for its report, or to reproduce a trial.

The study's definition says what to load; its ``split_id`` says whether it still is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import datasets
from pipeline.datasets.dataset import Dataset
from pipeline.errors import SplitMismatchError
from pipeline.records import DatasetSpec


def spec_of(definition: Mapping[str, Any], data_dir: Path | None) -> DatasetSpec:
    """Returns how the dataset of a study's definition is loaded on this machine."""
    return DatasetSpec(
        str(definition["source"]), data_dir, int(definition["seed"]), definition["train_examples"]
    )


def load_again(spec: DatasetSpec, split_id: str, made: str, purpose: str) -> Dataset:
    """Returns the dataset, its test part sealed.

    Args:
        spec: How it is loaded.
        split_id: The split that it had.
        made: What was made on it, for the message: ``study 'x' was made``.
        purpose: What it is needed for, for the message.

    Raises:
        DatasetError: It cannot be loaded.
        SplitMismatchError: The data on this machine are not the same.
    """
    dataset = datasets.load(spec)
    if dataset.split_id != split_id:
        raise SplitMismatchError(
            f"{made} on split {split_id}, but {spec.name} now gives {dataset.split_id}: the data "
            f"changed. Restore them to {purpose}"
        )
    return dataset
