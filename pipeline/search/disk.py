"""Checks before a search that the disk has room for the weights that it and its report keep."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.datasets.splits import num_measured
from pipeline.datasets.summary import DatasetSummary
from pipeline.errors import InputError
from pipeline.search.options import every_config
from pipeline.search.space.space import SearchSpace
from pipeline.selection.records import SEEDS
from pipeline.training import models
from pipeline.training.architecture import num_parameters
from pipeline.training.memory_model import FLOAT_BYTES

KEPT_MODELS = 30
"""Weights of trials that are on disk at once, usually: of those that may still win."""
OTHER_BYTES = 50 * 2**20
"""What a study writes besides: results, pages, MLflow's and Optuna's databases."""


def check_disk(
    chosen: SearchSpace, dataset: DatasetSummary, folders: set[Path], trainings: int = 0
) -> None:
    """Checks that each of these folders has room for what a study and its report write.

    Args:
        chosen: The search space.
        dataset: What its networks take.
        folders: Where the stores keep their files.
        trainings: Of the report that follows, each of which keeps weights and probabilities.

    Raises:
        InputError: One has not; the message says how much is needed.
    """
    needed = needed_bytes(chosen, dataset, trainings)
    for folder in sorted(folders):
        existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise InputError(
                f"{existing} has {free / 2**30:.2f} GiB free; this study needs about "
                f"{needed / 2**30:.2f} GiB for the weights of its models: free some, call it in "
                "another folder, or search smaller networks"
            )


def needed_bytes(chosen: SearchSpace, dataset: DatasetSummary, trainings: int = 0) -> int:
    """Returns about how much study and report write, by the largest network that may be suggested.

    The registered model, which has the weights of several seeds, is counted beside them.
    """
    configs = every_config(chosen)
    shape = dataset.input_shape
    largest = max(num_parameters(models.layers_of(config, shape), shape) for config in configs)
    sizes = dataset.split_sizes
    examples = sizes["validation"] + num_measured(sizes["train"], sizes["validation"])
    probabilities = trainings * probabilities_bytes(examples, dataset.num_classes)
    kept = min(chosen.trials, KEPT_MODELS) + trainings + min(trainings, SEEDS)
    return FLOAT_BYTES * largest * kept + probabilities + OTHER_BYTES


def probabilities_bytes(num_examples: int, num_classes: int) -> int:
    """Returns how much a finalist's training keeps of what it says about every class.

    Args:
        num_examples: Of validation, and the measured training examples.
        num_classes: Classes; beside their log p the label of each example is kept.
    """
    return FLOAT_BYTES * num_examples * (num_classes + 1)
