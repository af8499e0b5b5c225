"""Says what the supervisor tells a worker, and how the worker opens up; no Keras until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import datasets
from pipeline.records import DatasetSpec
from pipeline.training import backend
from pipeline.training.own import registry
from pipeline.training.own.loading import open_family
from pipeline.training.own.registry import OwnFamily
from pipeline.training.portable import PortableSpec, portable

if TYPE_CHECKING:
    from pipeline.datasets import Dataset
    from pipeline.training.cohort import CohortTrainer


@dataclass(frozen=True)
class WorkerSpec:
    """How a worker sets itself up; small enough to send to another machine.

    Attributes:
        dataset: The dataset to load.
        device: ``auto``, ``cpu`` or ``gpu``.
        precision: ``float32`` or ``mixed_bfloat16``.
        num_threads: Threads that share one operation on the CPU; None for one per core.
        own: The user's own family, whose trials are trained; None for families of ours.
    """

    dataset: DatasetSpec
    device: str = "auto"
    precision: str = "float32"
    num_threads: int | None = None
    own: OwnFamily | None = None

    def portable(self, cpus: int) -> PortableSpec:
        """Returns what opens the same worker on another machine, with so many processors.

        Raises:
            PipelineError: The dataset or the user's model file cannot be read.
        """
        return portable(self, cpus)

    def open(self, dataset: Dataset | None = None) -> CohortTrainer:
        """Returns a trainer in this process: sets the backend up, imports Keras, loads the data.

        Args:
            dataset: The dataset where it is loaded already.

        Raises:
            DeviceError: The device that was asked for is not there.
            DatasetError: The dataset cannot be loaded.
            InputError: The user's file cannot be run, or was changed.
        """
        device = backend.prepare(self.device, self.precision, self.num_threads)
        if self.own is not None:
            # What is wrong with the file is known before any trial.
            registry.register(self.own)
            open_family(self.own)
        if dataset is None:
            dataset = datasets.load(self.dataset, examined=False)
        return trainer_of(dataset, device, self.own)


def trainer_of(dataset: Dataset, device: str, own: OwnFamily | None = None) -> CohortTrainer:
    """Returns what trains trials of the user's own family, or of ours; imports Keras."""
    if own is not None:
        from pipeline.training.own.trainer import OwnTrainer

        return OwnTrainer(dataset, device)
    from pipeline.training.cohort import CohortTrainer

    return CohortTrainer(dataset, device)
