"""Trials per minute: this project, the script a user would write, and KerasTuner, side by side.

One command sets the peers up (an environment of their own in .benchmarks/), runs everything in
turn and prints a table of medians and ranges; start-up is included. All get the same arrays,
space, epochs, patience and cores. Peers need the same time for every trial: with --peer-trials they
run fewer, and trials per minute are compared.

Run: python benchmarks/throughput.py --dataset digits --trials 64 256 --peer-trials 24 --repeats 3
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
from pathlib import Path

import numpy as np
from scipy import sparse

from pipeline import datasets
from pipeline.records import DatasetSpec
from pipeline.search import space

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".benchmarks"


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


def commands(options: argparse.Namespace, task: Path) -> dict[str, tuple[int, list[str]]]:
    """Returns the contestants: name -> number of trials and command, run in an empty folder."""
    ours = [sys.executable, "-m", "pipeline", "search", "--dataset", options.dataset]
    ours += ["--search-space", str(HERE / "spaces" / f"{options.dataset}.yaml")]
    if options.train_examples:
        ours += ["--train-examples", str(options.train_examples)]
    found = {
        f"ours{' ' if more else ''}{more}, {trials}": (
            trials,
            [*ours, "--trials", str(trials), *more.split()],
        )
        for trials in options.trials
        for more in options.ours
    }
    fewer = options.peer_trials or max(options.trials)
    script = [sys.executable, str(HERE / "peers" / "script.py"), str(task), str(fewer)]
    peers = {"script": script}
    if "kerastuner" in options.peers:
        tuner = str(HERE / "peers" / "kerastuner_search.py")
        peers["kerastuner"] = [str(kerastuner_python()), tuner, str(task), str(fewer)]
    return found | {f"{name}, {fewer}": (fewer, peers[name]) for name in options.peers}


def timed(command: list[str]) -> float:
    """Returns the wall seconds of a command in a folder of its own.

    Raises:
        SystemExit: It failed; its last lines are printed.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds


def main() -> None:
    """Runs the contestants in turn and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits", choices=["digits", "reuters", "cifar10"])
    parser.add_argument("--trials", type=int, nargs="+", default=[64])
    parser.add_argument("--peer-trials", type=int, help="default: the most of --trials")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train-examples", type=int)
    parser.add_argument("--peers", nargs="*", default=["script", "kerastuner"])
    parser.add_argument(
        "--ours", nargs="+", default=[""], help="options of ours, each a contestant"
    )
    options = parser.parse_args()
    data_dir = os.environ.get("PIPELINE_DATA_DIR")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        task = Path(folder)
        export(options.dataset, Path(data_dir) if data_dir else None, options.train_examples, task)
        contestants = commands(options, task)
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(options.repeats):
            for name, (trials, command) in contestants.items():
                rates[name].append(60 * trials / timed(command))
                print(f"{name}: {rates[name][-1]:.1f} trials a minute", file=sys.stderr)
    show(options, rates)


def show(options: argparse.Namespace, rates: dict[str, list[float]]) -> None:
    """Prints trials per minute, and how many times each peer's each of ours reaches."""
    peers = [name for name in rates if not name.startswith("ours")]
    print(f"{options.dataset}, {options.repeats} repeats, whole commands, trials a minute")
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
