"""Checks before a search that the disk has room for the weights that it and its report keep."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.datasets.summary import DatasetSummary
from pipeline.errors import InputError
from pipeline.search.options import every_config
from pipeline.search.space.space import SearchSpace
from pipeline.training import models
from pipeline.training.architecture import num_parameters
from pipeline.training.memory_model import FLOAT_BYTES

KEPT_MODELS = 30
"""Weights that are on disk at once, usually: of trials that may still win, of the finalists."""
OTHER_BYTES = 50 * 2**20
"""What a study writes besides: results, pages, MLflow's and Optuna's databases."""


def check_disk(chosen: SearchSpace, dataset: DatasetSummary, folders: set[Path]) -> None:
    """Checks that each of these folders has room for what a study writes.

    Raises:
        InputError: One has not; the message says how much is needed.
    """
    needed = needed_bytes(chosen, dataset)
    for folder in sorted(folders):
        existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise InputError(
                f"{existing} has {free / 2**30:.2f} GiB free; this study needs about "
                f"{needed / 2**30:.2f} GiB for the weights of its models: free some, call it in "
                "another folder, or search smaller networks"
            )


def needed_bytes(chosen: SearchSpace, dataset: DatasetSummary) -> int:
    """Returns about how much a study writes, by the largest network that may be suggested."""
    configs = every_config(chosen)
    shape = dataset.input_shape
    largest = max(num_parameters(models.layers_of(config, shape), shape) for config in configs)
    kept = min(chosen.trials, KEPT_MODELS)
    return FLOAT_BYTES * largest * kept + OTHER_BYTES
