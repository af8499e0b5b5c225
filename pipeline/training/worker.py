"""Says what the supervisor tells a worker, and how the worker opens up; no Keras until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import datasets
from pipeline.records import DatasetSpec
from pipeline.training import backend

if TYPE_CHECKING:
    from pipeline.training.cohort import CohortTrainer


@dataclass(frozen=True)
class WorkerSpec:
    """How a worker sets itself up; small enough to send to another machine.

    Attributes:
        dataset: The dataset to load.
        device: ``auto``, ``cpu`` or ``gpu``.
        precision: ``float32`` or ``mixed_bfloat16``.
        num_threads: Threads that share one operation on the CPU; None for one per core.
    """

    dataset: DatasetSpec
    device: str = "auto"
    precision: str = "float32"
    num_threads: int | None = None

    def open(self) -> CohortTrainer:
        """Returns a trainer in this process: sets the backend up, imports Keras, loads the data.

        Raises:
            DeviceError: The device that was asked for is not there.
            DatasetError: The dataset cannot be loaded.
        """
        device = backend.prepare(self.device, self.precision, self.num_threads)
        from pipeline.training.cohort import CohortTrainer

        return CohortTrainer(datasets.load(self.dataset, examined=False), device)
