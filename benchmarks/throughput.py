"""Trials per minute: this project, the script a user would write, and KerasTuner, side by side.

One command sets the peers up (an environment of their own in .benchmarks/), runs everything in
turn and prints a table of medians and ranges for each dataset; start-up is included. All get the
same arrays, space, epochs, patience and cores. Peers need the same time for every trial: they run
fewer, and trials per minute are compared. Where there is a GPU, cohorts of 1, 4, 16 and 64 are
compared on it, too. Datasets other than digits are read from PIPELINE_DATA_DIR or downloaded.

Run: python benchmarks/throughput.py
     python benchmarks/throughput.py --dataset digits --trials 64 --peer-trials 24 --repeats 1
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from pipeline import datasets
from pipeline.records import DatasetSpec
from pipeline.search import space

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".benchmarks"
PEERS = {"script": "script.py", "kerastuner": "kerastuner_search.py"}
GPU_COHORTS = (1, 4, 16, 64)


@dataclass(frozen=True)
class Contest:
    """What is run for a dataset unless the command line says otherwise.

    Attributes:
        trials: Ours runs with each of these numbers of trials.
        peer_trials: The peers run with this number.
        train_examples: As of ``pipeline search``; None for all.
        ours: Options of ours, each a contestant.
    """

    trials: tuple[int, ...]
    peer_trials: int
    train_examples: int | None = None
    ours: tuple[str, ...] = ("",)


CONTESTS = {
    "digits": Contest((64, 256), 24),
    "reuters": Contest((32, 128), 8, ours=("", "--workers 2")),
    "cifar10": Contest(
        (16,), 12, 8_000, ours=("--workers 2", "--workers 2 --precision mixed_bfloat16")
    ),
}
"""The most expensive one last: on two cores the whole takes hours."""


def export(dataset: str, data_dir: Path | None, train_examples: int | None, folder: Path) -> None:
    """Writes the task that the peers read: standardized dense arrays and the space's settings."""
    loaded = datasets.load(DatasetSpec(dataset, data_dir, 0, train_examples))
    chosen = space.load(HERE / "spaces" / f"{dataset}.yaml")
    arrays = {}
    for name, part in (("train", loaded.train), ("val", loaded.validation)):
        inputs = part.inputs.toarray() if sparse.issparse(part.inputs) else part.inputs
        if loaded.mean is not None:
            inputs = (inputs - loaded.mean) / loaded.deviation
        shape = (len(inputs), -1) if chosen.family == "mlp" else inputs.shape
        arrays[f"x_{name}"] = inputs.astype(np.float32).reshape(shape)
        arrays[f"y_{name}"] = part.labels
    np.savez(folder / "task.npz", **arrays)
    definition = chosen.definition()
    task = definition["fixed"] | {
        "family": chosen.family,
        "epochs": chosen.epochs,
        "patience": chosen.patience,
        "search": definition["search"],
        "num_classes": loaded.num_classes,
    }
    (folder / "task.json").write_text(json.dumps(task))


def kerastuner_python() -> Path:
    """Returns the Python of KerasTuner's environment, made at the first call."""
    python = CACHE / "kerastuner" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE / "kerastuner"], check=True)
        packages = ["keras-tuner", "tensorflow", "keras", "tensorboard"]
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        subprocess.run([python, "-m", "compileall", "-q", CACHE / "kerastuner"], check=False)
    return python


def commands(dataset: str, contest: Contest, peers: list[str], task: Path) -> dict[str, Any]:
    """Returns the contestants: name -> number of trials and command, run in an empty folder."""
    ours = [sys.executable, "-m", "pipeline", "search", "--dataset", dataset]
    ours += ["--search-space", str(HERE / "spaces" / f"{dataset}.yaml")]
    if contest.train_examples:
        ours += ["--train-examples", str(contest.train_examples)]
    found = {
        f"ours{' ' if more else ''}{more}, {trials}": (
            trials,
            [*ours, "--trials", str(trials), *more.split()],
        )
        for trials in contest.trials
        for more in contest.ours
    }
    for name in peers:
        python = kerastuner_python() if name == "kerastuner" else Path(sys.executable)
        command = [python, HERE / "peers" / PEERS[name], task, contest.peer_trials]
        found[f"{name}, {contest.peer_trials}"] = (contest.peer_trials, [str(c) for c in command])
    return found


def has_gpu() -> bool:
    """Whether a search would train on a GPU here; asked in a process of its own."""
    code = "from pipeline.training import backend; print(backend.prepare('auto', 'float32', None))"
    return bool(said([sys.executable, "-c", code]).strip() != "cpu")


def timed(command: list[str]) -> float:
    """Returns the wall seconds of a command in a folder of its own.

    Raises:
        SystemExit: It failed; its last lines are printed.
    """
    start = time.perf_counter()
    said(command)
    return time.perf_counter() - start


def said(command: list[str]) -> str:
    """Returns what a command prints, run in a folder of its own.

    Raises:
        SystemExit: It failed; its last lines are printed.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    """Runs the contestants in turn and prints a table for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=list(CONTESTS), choices=list(CONTESTS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    only = parser.add_argument_group("instead of what is run by default for each dataset")
    only.add_argument("--trials", type=int, nargs="+")
    only.add_argument("--peer-trials", type=int)
    only.add_argument("--train-examples", type=int)
    only.add_argument("--ours", nargs="+", help="options of ours, each a contestant")
    options = parser.parse_args()
    chosen = {name: getattr(options, name) for name in Contest.__dataclass_fields__}
    cohorts = [f"--cohort-size {size}" for size in GPU_COHORTS] if has_gpu() else []
    CACHE.mkdir(exist_ok=True)
    for dataset in options.dataset:
        contest = replace(CONTESTS[dataset], **{k: v for k, v in chosen.items() if v is not None})
        if not options.ours:
            contest = replace(contest, ours=(*contest.ours, *cohorts))
        show(dataset, options.repeats, rates(dataset, contest, options))


def rates(dataset: str, contest: Contest, options: argparse.Namespace) -> dict[str, list[float]]:
    """Returns trials a minute by contestant, one figure per repeat; all run in turn."""
    data_dir = os.environ.get("PIPELINE_DATA_DIR")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        task = Path(folder)
        export(dataset, Path(data_dir) if data_dir else None, contest.train_examples, task)
        contestants = commands(dataset, contest, options.peers, task)
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(options.repeats):
            for name, (trials, command) in contestants.items():
                found[name].append(60 * trials / timed(command))
                print(f"{dataset}, {name}: {found[name][-1]:.1f} a minute", file=sys.stderr)
    return found


def show(dataset: str, repeats: int, rates: dict[str, list[float]]) -> None:
    """Prints trials per minute, and how many times each peer's each of ours reaches."""
    peers = [name for name in rates if not name.startswith("ours")]
    print(f"{dataset}, {repeats} repeats, whole commands, trials a minute")
    heads = "".join(f"{'/ ' + name:>28}" for name in peers)
    print(f"{'':<44}{'median (range)':>28}{heads}")
    for name, values in rates.items():
        line = f"{name:<44}{spread(values):>28}"
        if name not in peers:
            for peer in peers:
                paired = zip(values, rates[peer], strict=True)
                line += f"{spread([ours / theirs for ours, theirs in paired]):>28}"
        print(line)


def spread(values: list[float]) -> str:
    """Returns the median and the range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
