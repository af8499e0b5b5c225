"""Sends a worker's opener to another machine, with what it needs of this one.

In: a ``WorkerSpec``. Out: a :class:`PortableSpec` that opens the same trainer where neither the
user's data nor the user's model file need be. The rule: a dataset whose official files are in
``--data-dir`` is read there, on a disk that the machines share; every other one is loaded here,
once, and sent along without its test part.
"""

from __future__ import annotations

import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import datasets
from pipeline.datasets import Dataset
from pipeline.datasets.registry import IN_DATA_DIR
from pipeline.errors import DatasetError, InputError
from pipeline.records import DatasetSpec
from pipeline.training.own.registry import OwnFamily

if TYPE_CHECKING:
    from pipeline.training.cohort import CohortTrainer
    from pipeline.training.worker import WorkerSpec


@dataclass(frozen=True)
class PortableSpec:
    """Opens up a worker on another machine.

    Attributes:
        spec: How the worker sets itself up.
        dataset: The loaded dataset; None where it is read there.
        code: The user's model file and the modules that it imports from its folder, by their paths
            below it; empty for families of ours.
    """

    spec: WorkerSpec
    dataset: Dataset | None = field(default=None, compare=False, repr=False)
    code: dict[str, bytes] = field(default_factory=dict, repr=False)

    def open(self) -> CohortTrainer:
        """Returns a trainer in this process, as ``WorkerSpec.open`` does.

        Raises:
            PipelineError: As there; or ``--data-dir`` is not on this machine.
        """
        spec = self.spec
        if self.dataset is None:
            check_data_dir(spec.dataset)
        if spec.own is not None:
            spec = replace(spec, own=family_here(spec.own, self.code))
        return spec.open(self.dataset)


def portable(spec: WorkerSpec, cpus: int) -> PortableSpec:
    """Returns what opens the same worker on another machine.

    Args:
        spec: The worker.
        cpus: Processors that it has there.

    Raises:
        PipelineError: The dataset or the user's model file cannot be read.
    """
    data = spec.dataset
    if data.data_dir is not None:
        # Relative to the folder of the command, which is not the worker's.
        data = replace(data, data_dir=data.data_dir.absolute())
    # Small networks are faster with one thread, wherever they are.
    threads = 1 if spec.num_threads == 1 else cpus
    sent = replace(spec, dataset=data, num_threads=threads)
    dataset = None if is_read_there(data) else datasets.load(data, examined=False).without_test()
    code = {} if spec.own is None else spec.own.contents()
    return PortableSpec(sent, dataset, code)


def is_read_there(spec: DatasetSpec) -> bool:
    """Whether every worker reads a dataset by itself: official files in ``--data-dir``."""
    if spec.data_dir is None or datasets.is_path(spec.name):
        return False
    return datasets.availability(spec.name, spec.data_dir) == IN_DATA_DIR


def check_data_dir(spec: DatasetSpec) -> None:
    """Checks that this machine has the folder that the user named.

    Raises:
        DatasetError: It has not.
    """
    if spec.data_dir is not None and not spec.data_dir.is_dir():
        raise DatasetError(
            f"--data-dir {spec.data_dir}: there is no such folder on {socket.gethostname()}; give "
            "one on a disk that all machines share, or leave it (and PIPELINE_DATA_DIR) out: the "
            "data are then loaded here and sent to them"
        )


def family_here(own: OwnFamily, code: dict[str, bytes]) -> OwnFamily:
    """Returns the user's family with a path of this machine, where its files are or are put."""
    with suppress(InputError):
        if own.contents() == code:
            return own  # a shared disk, or this machine
    folder = Path(tempfile.mkdtemp())
    for name, content in code.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return replace(own, path=str(folder / own.file))
