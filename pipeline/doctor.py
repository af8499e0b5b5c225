"""Looks at this machine as a search would and says what is ready and what is not; writes nothing.

In: options and environment. Out: a :class:`Finding` per thing, as soon as it is known; what takes
long (the backend) comes last. To check one more thing: a function that yields findings, and its
name in :func:`examine`.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, PipelineError
from pipeline.processors import usable_cores
from pipeline.redaction import masked, redacted
from pipeline.search.storage import DEFAULT_STORAGE, is_journal, with_driver
from pipeline.tracking.address import tracking_address

DISTRIBUTION = "least-overfit"
SHOWN = ("keras", "tensorflow", "jax", "optuna", "mlflow", "numpy", "scipy", "scikit-learn")
"""Packages that decide numbers or formats; others are listed only where they are wrong."""
BACKENDS = ("tensorflow", "jax")
LITTLE_DISK, NO_DISK = 2 * 2**30, 200 * 2**20
"""Bytes below which a long study may fill the disk, and below which none should start."""
LITTLE_MEMORY = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        status: ``ok``, ``warning`` (a search may run all the same) or ``problem``.
        subject: What was looked at.
        text: What was found.
        remedy: What to do about it; empty where there is nothing to do.
    """

    status: str
    subject: str
    text: str
    remedy: str = ""

    def as_line(self) -> str:
        """Returns it for a terminal."""
        end = f". {self.remedy}" if self.remedy else ""
        return redacted(f"{self.status:<8} {self.subject:<16} {self.text}{end}")


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Returns findings as JSON values: whether a search can start, and each of them."""
    counts = Counter(finding.status for finding in findings)
    shown = [{key: redacted(text) for key, text in asdict(one).items()} for one in findings]
    return {
        "ready": not counts["problem"],
        "problems": counts["problem"],
        "warnings": counts["warning"],
        "findings": shown,
    }


def examine(
    data_dir: Path | None,
    storage: str | None,
    say: Callable[[str], None],
    ray_address: str | None = None,
) -> Iterator[Finding]:
    """Yields what is found, in the order of cost.

    Args:
        data_dir: Folder with official files, or None.
        storage: Optuna's storage; None for the default.
        say: Takes a line about what takes long.
        ray_address: Address of a Ray cluster; None for the environment's.
    """
    yield from versions()
    yield from machine()
    yield from gpus_found()
    yield from folder(Path.cwd())
    yield from datasets_found(data_dir)
    yield storage_found(storage)
    yield tracking_found()
    yield cluster_found(ray_address)
    yield from backend_found(say)


def versions() -> Iterator[Finding]:
    """Yields Python's, this package's and its requirements' versions."""
    from packaging.requirements import Requirement

    python = f"{platform.python_version()} on {platform.platform()}"
    yield Finding("ok", "python", python)
    try:
        requirements = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
        yield Finding("ok", DISTRIBUTION, metadata.version(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        requirements = []
        yield Finding(
            "warning", DISTRIBUTION, "runs from its sources, not installed",
            "Versions of its requirements are not checked; scripts/install installs it",
        )  # fmt: skip
    needed = {r.name: r for r in requirements if r.marker is None or r.marker.evaluate()}
    for name in dict.fromkeys((*SHOWN, *needed)):
        installed = version_of(name)
        wanted = needed[name].specifier if name in needed else None
        if installed is None and wanted is not None:
            yield Finding("problem", name, "not installed", f"pip install '{name}{wanted}'")
        elif installed and wanted and not wanted.contains(installed, prereleases=True):
            fix = f"pip install '{name}{wanted}'"
            yield Finding("problem", name, f"{installed}; needed is {wanted}", fix)
        elif installed and name in SHOWN:
            yield Finding("ok", name, installed)


def version_of(package: str) -> str | None:
    """Returns an installed package's version; None where it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def machine() -> Iterator[Finding]:
    """Yields processors and memory, as far as this process may use them."""
    import psutil

    from pipeline.datasets.limits import available_bytes, container_memory

    cores, allowed = os.cpu_count() or 1, usable_cores()
    more = "" if allowed == cores else f" of {cores}"
    yield Finding("ok", "cpu", f"{allowed}{more} cores")
    memory = psutil.virtual_memory()
    container, free = container_memory(), available_bytes()
    limit = min(memory.total, container[0]) if container else memory.total
    text = f"{gibibytes(free)} free, {gibibytes(limit)} at most"
    if min(free, limit) < LITTLE_MEMORY:
        fix = "TensorFlow and a worker need about 2 GiB; --workers 1, or fewer --train-examples"
        yield Finding("warning", "memory", text, fix)
    else:
        yield Finding("ok", "memory", text)


def gpus_found() -> Iterator[Finding]:
    """Yields each of NVIDIA's GPUs, as the driver lists them, and whether CUDA shows it."""
    from pipeline.training import gpus

    shown = {gpu.uuid for gpu in gpus.visible()}
    for gpu in gpus.installed():
        free = gpus.free_bytes_of(gpu)
        memory = "" if free is None else f", {gibibytes(free)} free"
        hidden = (
            "" if gpu.uuid in shown else f", hidden by {gpus.VISIBLE}={os.environ[gpus.VISIBLE]}"
        )
        yield Finding("ok", "gpu", f"{gpu}{memory}{hidden}")


def folder(place: Path) -> Iterator[Finding]:
    """Yields whether a search may write into the folder it is called in, and how much."""
    if os.access(place, os.W_OK | os.X_OK):
        yield Finding("ok", "folder", f"{place} can be written")
    else:
        fix = "Call the search in a folder of your own; it keeps its results there"
        yield Finding("problem", "folder", f"{place} cannot be written", fix)
    free = shutil.disk_usage(place).free
    status = "ok" if free >= LITTLE_DISK else "warning" if free >= NO_DISK else "problem"
    fix = "" if status == "ok" else "Free some: weights and results of a study need space"
    yield Finding(status, "disk", f"{gibibytes(free)} free", fix)


def datasets_found(data_dir: Path | None) -> Iterator[Finding]:
    """Yields the data directory and where each dataset would come from; opens no file."""
    from pipeline.datasets import availability, names

    if data_dir is None:
        yield Finding("ok", "data directory", "none given (PIPELINE_DATA_DIR, --data-dir)")
    elif not data_dir.is_dir():
        fix = "Create it, or change PIPELINE_DATA_DIR or --data-dir"
        yield Finding("problem", "data directory", f"{data_dir} is no folder", fix)
        data_dir = None
    else:
        yield Finding("ok", "data directory", str(data_dir))
    places: dict[str, list[str]] = {}
    for name in names():
        places.setdefault(availability(name, data_dir), []).append(name)
    for place, found in places.items():
        yield Finding("ok", "datasets", f"{', '.join(found)}: {place}")


def storage_found(storage: str | None) -> Finding:
    """Returns whether Optuna's storage can be used."""
    address = storage or DEFAULT_STORAGE
    if "://" in address:
        return database_found(address)
    path = Path(address)
    if not path.parent.is_dir():
        fix = f"Create {path.parent}, or give another --storage"
        return Finding("problem", "storage", f"{path}: there is no folder {path.parent}", fix)
    if not path.exists():
        return Finding("ok", "storage", f"{path} is not there yet: the first search makes it")
    if not is_journal(path):
        fix = "Give the --storage of a search, or a new path"
        return Finding("problem", "storage", f"{path} is no journal file of Optuna's", fix)
    if not os.access(path, os.W_OK):
        fix = "Change its permissions, or copy it"
        return Finding("problem", "storage", f"{path} cannot be written", fix)
    return Finding("ok", "storage", f"{path}, {path.stat().st_size / 2**20:.1f} MiB")


def database_found(address: str) -> Finding:
    """Returns whether a database of Optuna's answers."""
    from pipeline.tracking.probe import probe_storage

    try:
        return Finding("ok", "storage", f"{masked(address)}: {probe_storage(with_driver(address))}")
    except PipelineError as error:
        return Finding("problem", "storage", str(error))


def tracking_found() -> Finding:
    """Returns whether MLflow's tracking store answers."""
    from pipeline.tracking.probe import probe_store

    try:
        return Finding("ok", "mlflow store", f"{masked(tracking_address())}: {probe_store()}")
    except PipelineError as error:
        fix = "Check MLFLOW_TRACKING_URI; unset it to use SQLite in the working folder"
        return Finding("problem", "mlflow store", str(error), fix)


def cluster_found(address: str | None) -> Finding:
    """Returns what Ray cluster ``--executor ray`` would use; one is joined only at an address."""
    from pipeline.search.executors.ray import cluster

    named = address or os.environ.get("RAY_ADDRESS")
    if not cluster.is_installed():
        text = "not installed; only --executor ray needs it"
        # A variable may be meant for other programs; an option is not.
        return Finding(_wrong(address, named), "ray", text, cluster.REMEDY)
    if not named or named == cluster.LOCAL:
        return Finding(
            "ok", "ray", f"{version_of('ray')}; --executor ray starts it on this machine alone, "
            "unless --ray-address or RAY_ADDRESS names a cluster",
        )  # fmt: skip
    try:
        return Finding("ok", "ray", f"{version_of('ray')}; cluster at {cluster.described(address)}")
    except PipelineError as error:
        fix = "Check --ray-address or RAY_ADDRESS; without them Ray is started here"
        return Finding(_wrong(address, named), "ray", str(error), fix)


def _wrong(asked: str | None, named: str | None) -> str:
    return "problem" if asked else "warning" if named else "ok"


def backend_chosen() -> str:
    """Returns Keras's backend as the environment names it; Keras is not imported.

    Raises:
        InputError: It is none that trains here, or is not installed.
    """
    chosen = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    if chosen not in BACKENDS:
        raise InputError(
            f"KERAS_BACKEND is '{chosen}': set KERAS_BACKEND to {' or '.join(BACKENDS)}, or unset "
            "it"
        )
    if version_of(chosen) is None and find_spec(chosen) is None:
        raise InputError(
            f"KERAS_BACKEND is '{chosen}', which is not installed: pip install {chosen}, or unset "
            "it"
        )
    return chosen


def backend_found(say: Callable[[str], None]) -> Iterator[Finding]:
    """Yields Keras's backend and what it would train on; imports it."""
    try:
        chosen = backend_chosen()
    except InputError as error:
        text, _, remedy = str(error).partition(": ")
        yield Finding("problem", "backend", text, remedy[0].upper() + remedy[1:])
        return
    say(f"importing Keras with {chosen} (may take half a minute)")
    from pipeline.training import backend

    try:
        device = backend.prepare("auto", "float32", None)
    except Exception as error:  # whatever a broken installation raises is what to show
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        fix = "Install it again (scripts/install), or try another KERAS_BACKEND"
        yield Finding("problem", "backend", f"{chosen} cannot be imported: {cause}", fix)
        return
    yield Finding("ok", "backend", f"{chosen}, trains on {device}")
    if device == "cpu" and shutil.which("nvidia-smi"):
        fix = f"pip install '{DISTRIBUTION}[gpu]' and check the driver with nvidia-smi"
        yield Finding("warning", "gpu", f"nvidia-smi is here, but {chosen} sees no GPU", fix)


def gibibytes(size: float) -> str:
    """Returns bytes as GiB."""
    return f"{size / 2**30:.1f} GiB"
