"""Has the user's function make a few models in a process of its own, before a study begins.

The process that searches imports neither Keras nor the user's file; what the file does at import,
and how large its models are, is found here. A function that fails for a configuration is told; the
trial will say the same, with its line.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.errors import InputError, OwnModelError, printable
from pipeline.records import TrialConfig
from pipeline.training.architecture import Opaque
from pipeline.training.own.registry import OwnFamily

PROBED = 4
"""Configurations that are tried: the references first."""
SECONDS = 300.0
"""A function that takes longer than this is not waited for."""
REFUSED = "refused"


@dataclass(frozen=True)
class TriedOut:
    """What the user's function made.

    Attributes:
        size: The largest model.
        read_names: Hyperparameters that it read.
        notes: What went wrong.
    """

    size: Opaque
    read_names: frozenset[str]
    notes: tuple[str, ...]


def try_out(
    family: OwnFamily,
    configs: Sequence[TrialConfig],
    input_shape: tuple[int, ...],
    num_classes: int,
) -> TriedOut:
    """Returns what the function makes of these configurations.

    Raises:
        InputError: The file cannot be run, has no such function, or does not come to an end.
    """
    job = (family, list(configs), tuple(input_shape), num_classes)
    with TemporaryDirectory() as folder:
        asked, answer = Path(folder, "asked"), Path(folder, "answer")
        asked.write_bytes(pickle.dumps(job))
        words = [
            sys.executable,
            "-P",
            "-m",
            "pipeline.training.own.try_out",
            str(asked),
            str(answer),
        ]
        # Without a GPU: memory that is taken here would lack the workers.
        variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        package = str(Path(__file__).resolve().parents[3])
        variables["PYTHONPATH"] = os.pathsep.join(
            [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        try:
            done = subprocess.run(
                words, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"--family {family.option}: its models were not made within {SECONDS:g} s"
            ) from error
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise InputError(
                f"--family {family.option}: the process that runs the file ended (exit code "
                f"{done.returncode}): {printable(last)[:300]}"
            )
        said = json.loads(answer.read_text())
    if REFUSED in said:
        raise InputError(said[REFUSED])
    size = Opaque(said["parameters"], said["multiply_adds"])
    return TriedOut(size, frozenset(said["read"]), tuple(said["notes"]))


def main(asked: str, answer: str) -> None:
    """Runs in the process: writes down what the function makes."""
    family, configs, input_shape, num_classes = pickle.loads(Path(asked).read_bytes())
    from pipeline.training import backend
    from pipeline.training.own import registry
    from pipeline.training.own.loading import open_family

    registry.register(family)
    backend.prepare("cpu", "float32", None)
    try:
        open_family(family)
    except InputError as error:
        Path(answer).write_text(json.dumps({REFUSED: str(error)}))
        return
    from pipeline.training.own.making import made, size_of

    read: set[str] = set()
    sizes, notes = [Opaque()], []
    for config in configs:
        try:
            model, names = made(config, input_shape, num_classes)
        except OwnModelError as error:
            notes.append(f"trials will fail with: {error}")
            continue
        read |= names
        sizes.append(size_of(model)[0])
    largest = max(sizes, key=lambda size: size.num_parameters)
    found = {
        "parameters": largest.num_parameters,
        "multiply_adds": max(size.num_multiply_adds for size in sizes),
        "read": sorted(read),
        "notes": list(dict.fromkeys(notes)),
    }
    Path(answer).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
