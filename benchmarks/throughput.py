"""Trials per minute: this project, the script a user would write, and KerasTuner, side by side.

One command sets the peers up (an environment of their own in .benchmarks/), runs everything in
turn and prints a table of medians and ranges; start-up is included. All get the same arrays,
space, epochs, patience and cores.

Run: python benchmarks/throughput.py --dataset digits --trials 64 --repeats 3
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
    arrays = {}
    for name, part in (("train", loaded.train), ("val", loaded.validation)):
        inputs = part.inputs.toarray() if sparse.issparse(part.inputs) else part.inputs
        if loaded.mean is not None:
            inputs = (inputs - loaded.mean) / loaded.deviation
        arrays[f"x_{name}"] = inputs.astype(np.float32)
        arrays[f"y_{name}"] = part.labels
    np.savez(folder / "task.npz", **arrays)
    chosen = space.load(HERE / "spaces" / f"{dataset}.yaml")
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
        packages = ["keras-tuner", "tensorflow", "keras"]
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        subprocess.run([python, "-m", "compileall", "-q", CACHE / "kerastuner"], check=False)
    return python


def commands(options: argparse.Namespace, task: Path) -> dict[str, list[str]]:
    """Returns the contestants: name -> command, run in an empty folder."""
    trials = str(options.trials)
    ours = [sys.executable, "-m", "pipeline", "search", "--dataset", options.dataset]
    ours += ["--search-space", str(HERE / "spaces" / f"{options.dataset}.yaml"), "--trials", trials]
    if options.train_examples:
        ours += ["--train-examples", str(options.train_examples)]
    found = {"ours": ours + options.ours.split()}
    peers = {
        "script": [sys.executable, str(HERE / "peers" / "script.py"), str(task), trials],
    }
    if "kerastuner" in options.peers:
        script = str(HERE / "peers" / "kerastuner_search.py")
        peers["kerastuner"] = [str(kerastuner_python()), script, str(task), trials]
    return found | {name: peers[name] for name in options.peers}


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
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train-examples", type=int)
    parser.add_argument("--peers", nargs="*", default=["script", "kerastuner"])
    parser.add_argument("--ours", default="", help="more options of our command")
    options = parser.parse_args()
    data_dir = os.environ.get("PIPELINE_DATA_DIR")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        task = Path(folder)
        export(options.dataset, Path(data_dir) if data_dir else None, options.train_examples, task)
        contestants = commands(options, task)
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(options.repeats):
            for name, command in contestants.items():
                seconds[name].append(timed(command))
    print(f"{options.dataset}, {options.trials} trials, {options.repeats} repeats, whole command")
    print(f"{'':<12} {'seconds: median (range)':<28} {'trials/min':>10} {'ours faster by':>16}")
    for name, values in seconds.items():
        median = statistics.median(values)
        ratios = [value / ours for value, ours in zip(values, seconds["ours"], strict=True)]
        spread = f"{median:.1f} ({min(values):.1f} to {max(values):.1f})"
        faster = f"{statistics.median(ratios):.1f}x" if name != "ours" else ""
        print(f"{name:<12} {spread:<28} {60 * options.trials / median:>10.1f} {faster:>16}")


if __name__ == "__main__":
    main()
