"""Finds NVIDIA's GPUs of this machine, without a backend: what a worker may be shown, and is.

``nvidia-smi -L`` lists them, and their MIG instances; where it is missing, the driver's files in
``/proc`` do. CUDA_VISIBLE_DEVICES decides which of them a process sees, in which order: what the
user set is honoured as CUDA reads it, and one entry of it is what a worker gets.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
TOOL = "nvidia-smi"
TOOL_SECONDS = 30.0
"""Without its persistence daemon a driver takes seconds to wake each GPU up."""
DRIVER_FILES = Path("/proc/driver/nvidia/gpus")

_GPU = re.compile(r"^GPU (?P<index>\d+): (?P<name>.*) \(UUID: (?P<uuid>\S+)\)$")
_INSTANCE = re.compile(r"^\s+MIG (?P<name>\S+)\s+Device\s+(?P<index>\d+): \(UUID: (?P<uuid>\S+)\)$")


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG instance of one: as much as one worker can be shown.

    Attributes:
        index: The GPU's number, as ``nvidia-smi`` counts; None where it is not listed there.
        name: What it calls itself; of an instance with its profile.
        uuid: ``GPU-...`` or ``MIG-...``.
        entry: What CUDA_VISIBLE_DEVICES names it by.
        instance: Number of the instance on its GPU; None for a whole GPU.
        whole: The UUID of the GPU that an instance is on; empty for a whole GPU.
    """

    index: int | None
    name: str
    uuid: str
    entry: str
    instance: int | None = None
    whole: str = ""

    def __str__(self) -> str:
        if self.index is None:
            return f"{self.name} {self.entry}"
        part = "" if self.instance is None else f", instance {self.instance}"
        return f"GPU {self.index}{part} ({self.name})"


def installed() -> tuple[Gpu, ...]:
    """Returns the GPUs of this machine, those with MIG instances as these; none for no driver."""
    return _listed(_answer("-L")) or _of_driver_files()


def visible() -> tuple[Gpu, ...]:
    """Returns the GPUs that CUDA shows this process, in its order."""
    everything = installed()
    setting = os.environ.get(VISIBLE)
    if setting is None:
        return everything
    shown: dict[str, Gpu] = {}
    for entry in setting.split(","):
        found = _named(entry.strip(), everything)
        if found is None:
            break  # as CUDA does: what stands behind an entry that names nothing is not seen
        shown.setdefault(found.uuid, found)
    return tuple(shown.values())


def are_hidden() -> bool:
    """Whether CUDA_VISIBLE_DEVICES names no GPU at all, as ``""`` and ``-1`` do."""
    setting = os.environ.get(VISIBLE)
    return setting is not None and re.match(r"\s*(\d|GPU-|MIG-)", setting) is None


def free_bytes() -> float | None:
    """Returns the free memory of the first GPU that CUDA shows this process.

    Where it cannot be told which of several that is, the smallest; None where nobody knows.
    """
    entry = os.environ.get(VISIBLE, "").split(",")[0].strip()
    everything = installed()
    if not entry and not everything:
        return _free("")
    found = _named(entry, everything) if entry else everything[0]
    if found is None:
        return None
    if (not entry or entry.isdigit()) and not _order_is_known(everything):
        known = [free for gpu in everything if (free := free_bytes_of(gpu)) is not None]
        return min(known, default=None)
    return free_bytes_of(found)


def free_bytes_of(gpu: Gpu) -> float | None:
    """Returns the free memory of a GPU or an instance; None where the driver does not say."""
    if gpu.instance is not None:
        return _free_of_instance(gpu)
    return _free(gpu.uuid) if gpu.index is not None else None


def _named(entry: str, everything: Sequence[Gpu]) -> Gpu | None:
    """Returns what an entry of CUDA_VISIBLE_DEVICES names, under that name; None for nothing."""
    # A GPU with instances stands for the first of them. Of a UUID its beginning is enough, where it
    # is that of one alone.
    if entry.isdigit():
        fitting = [gpu for gpu in everything if gpu.index == int(entry)][:1]
    elif entry.startswith("MIG-"):
        fitting = [gpu for gpu in everything if gpu.uuid.startswith(entry)]
    elif entry.startswith("GPU-"):
        beginning = [gpu for gpu in everything if (gpu.whole or gpu.uuid).startswith(entry)]
        fitting = list({gpu.index: gpu for gpu in reversed(beginning)}.values())
    else:
        fitting = []
    if not fitting and entry.startswith("MIG-"):
        # Older drivers' names of instances, MIG-GPU-.../1/0, are still understood, not listed.
        return Gpu(None, "MIG instance", entry, entry)
    if len(fitting) != 1:
        return None
    return replace(fitting[0], entry=entry)


def _order_is_known(everything: Sequence[Gpu]) -> bool:
    """Whether CUDA counts as ``nvidia-smi`` does: it puts the fastest first unless told not to."""
    return os.environ.get(ORDER) == "PCI_BUS_ID" or len({gpu.name for gpu in everything}) == 1


def _listed(text: str) -> tuple[Gpu, ...]:
    """Returns what ``nvidia-smi -L`` lists; a GPU with instances is only seen through these."""
    found: list[Gpu] = []
    parent: Gpu | None = None
    for line in text.splitlines():
        if match := _GPU.match(line):
            parent = Gpu(int(match["index"]), match["name"], match["uuid"], match["uuid"])
            found.append(parent)
        elif parent is not None and (match := _INSTANCE.match(line)):
            if found[-1] is parent:
                found.pop()
            name = f"{parent.name} MIG {match['name']}"
            uuid, instance = match["uuid"], int(match["index"])
            found.append(Gpu(parent.index, name, uuid, uuid, instance, parent.uuid))
    return tuple(found)


def _of_driver_files() -> tuple[Gpu, ...]:
    """Returns the GPUs by the files of the driver, in the order of their place on the bus."""
    found = []
    for place, folder in enumerate(sorted(DRIVER_FILES.glob("*"))):
        try:
            lines = (folder / "information").read_text(errors="replace").splitlines()
        except OSError:
            continue
        told = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
        if uuid := told.get("GPU UUID"):
            found.append(Gpu(place, told.get("Model", "NVIDIA GPU"), uuid, uuid))
    return tuple(found)


def _free(uuid: str) -> float | None:
    words = ["--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    answer = _answer(*words, *([f"--id={uuid}"] if uuid else []))
    try:
        return float(answer.split()[0]) * 2**20
    except (ValueError, IndexError):
        return None


def _free_of_instance(gpu: Gpu) -> float | None:
    """Returns the free memory of a MIG instance: only the XML has it, by GPU and number."""
    try:
        root = ElementTree.fromstring(_answer("-q", "-x", f"--id={gpu.index}"))
        for instance in root.iterfind("./gpu/mig_devices/mig_device"):
            if int(instance.findtext("index", "")) == gpu.instance:
                amount, unit = instance.findtext("fb_memory_usage/free", "").split()
                return float(amount) * 2**20 if unit == "MiB" else None
    except (ElementTree.ParseError, ValueError):
        return None
    return None


def _answer(*words: str) -> str:
    """Returns what ``nvidia-smi`` says; nothing where it is not there or does not answer."""
    try:
        done = subprocess.run(
            [TOOL, *words], capture_output=True, timeout=TOOL_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
