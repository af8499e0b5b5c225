"""Foresees the memory of a space's trials, and refuses a search of which one cannot be trained.

A trial that alone takes more than there is would only get its worker killed, one after the other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.datasets.splits import num_measured
from pipeline.datasets.summary import DatasetSummary
from pipeline.datasets.user.image_folders import proposed_size
from pipeline.errors import InputError
from pipeline.records import TrialConfig
from pipeline.training.memory_model import DataShape, MemoryNeed, memory_need

KFD = Path("/dev/kfd")
"""Is there where the driver of AMD's GPUs is."""


def may_use_gpu(device: str) -> bool:
    """Whether workers may train on a GPU; where that is unsure, they may.

    Args:
        device: ``auto``, ``cpu`` or ``gpu``.
    """
    there = sys.platform == "darwin" or any(Path("/dev").glob("nvidia[0-9]*")) or KFD.exists()
    return device == "gpu" or (device == "auto" and there)


def memory_needs(configs: Iterable[TrialConfig], dataset: DatasetSummary) -> tuple[MemoryNeed, ...]:
    """Returns what trials of these configs take while they train."""
    sizes = dataset.split_sizes
    measured = num_measured(sizes["train"], sizes["validation"])
    num_scored = sizes["validation"] + measured
    shape = DataShape(dataset.input_shape, dataset.num_classes, num_scored)
    return tuple(memory_need(config, shape) for config in configs)


def check_each_fits(
    configs: Mapping[str, TrialConfig], dataset: DatasetSummary, source: str, memory: float
) -> None:
    """Checks that each of these configs can be trained alone.

    Args:
        configs: What a config is, for the message -> the config.
        dataset: What it is trained on.
        source: Name or path of the dataset.
        memory: Bytes that there are for each worker.

    Raises:
        InputError: One cannot; the message says which, what it needs, and what would mend it.
    """
    needs = memory_needs(configs.values(), dataset)
    largest = max(range(len(needs)), key=lambda place: needs[place].bytes(1), default=None)
    if largest is None or needs[largest].bytes(1) <= memory:
        return
    shown = " x ".join(str(length) for length in dataset.input_shape)
    raise InputError(
        f"{dataset.name}: a network of {list(configs)[largest]} on inputs of {shown} needs about"
        f" {needs[largest].bytes(1) / 2**30:,.1f} GiB to train, and each worker has"
        f" {memory / 2**30:,.1f} GiB. {_remedy(dataset, source)}, or give a search space with"
        " smaller networks (width, dense_width, pooling, batch_size)"
    )


def _remedy(dataset: DatasetSummary, source: str) -> str:
    if dataset.kind != "image":
        return "Give fewer --workers or inputs with fewer columns"
    height, width = dataset.input_shape[:2]
    option = proposed_size(height, width)
    if option == f"--image-size {height}x{width}":
        return "Give fewer --workers"
    if Path(source).is_dir():
        return f"Scale the pictures: {option}"
    return f"Scale the pictures to {option.removeprefix('--image-size ')} pixels or so"
