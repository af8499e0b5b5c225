"""Memory: what a search holds while it runs, and what a cohort takes against what is foreseen.

``search`` runs a whole search as a user would and follows supervisor and workers; ``repeat``
trains the same cohorts over and over in one process; ``cohorts`` trains single cohorts of growing
size, each in a fresh process, and compares their high-water marks with what
``pipeline.training.memory_model`` foresees. Figures: docs/experiments.md.

Run: nice python benchmarks/memory.py search --trials 200 --backend tensorflow
     nice python benchmarks/memory.py repeat
     nice python benchmarks/memory.py cohorts --case digits reuters-like cifar-like
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import psutil

MB = 2**20
SAMPLE_SECONDS = 0.2
ENDED = re.compile(r"^trial \d+\b")


# A whole search


@dataclass(frozen=True)
class Sample:
    """What a search holds at an instant.

    Attributes:
        ended: Trials that ended before it.
        supervisor: Bytes resident in the supervisor.
        workers: Bytes resident per worker process, by process id.
    """

    ended: int
    supervisor: int
    workers: dict[int, int]


def follow(process: psutil.Process, ended: int) -> Sample | None:
    """Returns what a search holds now; None when it is over."""
    try:
        children = process.children(recursive=True)
        workers = {
            child.pid: child.memory_info().rss
            for child in children
            if "spawn_main" in " ".join(child.cmdline())
        }
        return Sample(ended, process.memory_info().rss, workers)
    except psutil.Error:
        return None


def searched(arguments: argparse.Namespace, folder: str) -> list[Sample]:
    """Runs a search in a folder; returns what it held, sampled all the time."""
    command = [sys.executable, "-m", "pipeline", "search", "--dataset", arguments.dataset]
    command += ["--trials", str(arguments.trials), *arguments.options.split()]
    environment = os.environ | {"KERAS_BACKEND": arguments.backend}
    environment.pop("MLFLOW_TRACKING_URI", None)
    child = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    lines: list[str] = []
    assert child.stderr is not None
    reader = threading.Thread(target=lines.extend, args=(child.stderr,), daemon=True)
    reader.start()
    process, samples = psutil.Process(child.pid), []
    while child.poll() is None:
        ended = sum(1 for line in list(lines) if ENDED.match(line))
        sample = follow(process, ended)
        samples += [sample] if sample else []
        time.sleep(SAMPLE_SECONDS)
    if child.returncode:
        raise SystemExit("the search failed:\n" + "".join(lines[-20:]))
    return samples


def table_of_search(samples: list[Sample], total: int, rows: int = 10) -> str:
    """Returns the largest that supervisor and workers held in each tenth of the trials."""
    lines = ["| trials ended | supervisor, MB | workers, MB each |", "|---|---|---|"]
    edges = [round(total * row / rows) for row in range(rows + 1)]
    for low, high in pairwise(edges):
        within = [s for s in samples if low <= s.ended < high or s.ended == high == total]
        if not within:
            continue
        workers: dict[int, int] = {}
        for sample in within:
            for pid, held in sample.workers.items():
                workers[pid] = max(held, workers.get(pid, 0))
        held = " + ".join(f"{value / MB:.0f}" for value in workers.values())
        supervisor = max(sample.supervisor for sample in within) / MB
        lines.append(f"| {low} to {high} | {supervisor:.0f} | {held} |")
    return "\n".join(lines)


def search(arguments: argparse.Namespace) -> None:
    """Runs a search and prints what it held."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        samples = searched(arguments, folder)
    print(f"{arguments.dataset}, {arguments.trials} trials, {arguments.backend}: ", end="")
    print(f"{time.monotonic() - start:.0f} s")
    print(table_of_search(samples, arguments.trials))


# One worker


def trained(trainer: Any, configs: list[Any], epochs: int) -> None:
    """Trains these configs as one cohort."""
    from pipeline.records import Cohort, Trial

    trials = tuple(Trial(number, config, number) for number, config in enumerate(configs))
    trainer(Cohort(0, trials, epochs, epochs), lambda told: None, lambda: ())


def repeat(arguments: argparse.Namespace) -> None:
    """Trains the same cohorts of six structures over and over; prints what the process holds."""
    os.environ["KERAS_BACKEND"] = arguments.backend
    from pipeline.records import DatasetSpec, TrialConfig
    from pipeline.training.worker import WorkerSpec

    trainer = WorkerSpec(DatasetSpec("digits"), device="cpu").open()
    structures = [TrialConfig(depth=d, batch_norm=b) for d in (1, 2, 3) for b in (False, True)]
    print(f"digits, {arguments.backend}, cohorts of 8, six structures, 3 epochs")
    print("| trials | MB |\n|---|---|")
    for turn in range(arguments.turns + 1):
        if turn % 5 == 0:
            held = psutil.Process().memory_info().rss / MB
            print(f"| {turn * 48} | {held:.0f} |", flush=True)
        for config in structures:
            trained(trainer, [replace(config, dropout_rate=0.1 * k) for k in range(8)], 3)


# Cohorts of growing size


def reuters_like(num_words: int = 10_000) -> Any:
    """Returns 2,000 rows of some 80 of 10,000 words, 46 classes."""
    from pipeline import datasets
    from pipeline.datasets.formats.tokens import multi_hot
    from pipeline.datasets.preprocessing import assemble
    from pipeline.records import DatasetSpec

    rows = np.random.default_rng(0).integers(1, num_words, (2_000, 80))
    labels = (np.arange(len(rows)) % 46).astype(np.int32)
    names = tuple(f"topic {number}" for number in range(46))
    raw = datasets.RawData("multi_hot", names, multi_hot(rows, num_words), labels)
    return assemble("made", raw, DatasetSpec("made"))


def cifar_like() -> Any:
    """Returns 1,000 pictures of noise, 32x32x3, 10 classes."""
    from pipeline import datasets
    from pipeline.datasets.preprocessing import assemble
    from pipeline.records import DatasetSpec

    inputs = np.random.default_rng(0).integers(0, 256, (1_000, 32, 32, 3)).astype(np.uint8)
    labels = (np.arange(len(inputs)) % 10).astype(np.int32)
    raw = datasets.RawData("image", tuple("abcdefghij"), inputs, labels)
    return assemble("made", raw, DatasetSpec("made"))


def digits() -> Any:
    """Returns the dataset."""
    from pipeline import datasets
    from pipeline.records import DatasetSpec

    return datasets.load(DatasetSpec("digits"))


CASES: dict[str, tuple[Any, dict[str, Any], tuple[int, ...]]] = {
    "digits": (digits, {"dropout_rate": 0.3}, (16, 64, 256)),
    "digits-wide": (digits, {"width": 512, "dropout_rate": 0.3}, (16, 32, 48)),
    "digits-wide-rmsprop": (
        digits,
        {"width": 512, "dropout_rate": 0.3, "optimizer": "rmsprop"},
        (16, 48),
    ),
    "digits-wide-sgd": (
        digits,
        {"width": 512, "dropout_rate": 0.3, "optimizer": "sgd"},
        (16, 48),
    ),
    "reuters-like": (
        reuters_like,
        {"batch_size": 512, "optimizer": "rmsprop", "standardize": False, "dropout_rate": 0.3},
        (4, 12, 24),
    ),
    "cifar-like": (
        cifar_like,
        {"family": "cnn", "depth": 3, "width": 32, "dense_width": 256, "batch_size": 128}
        | {"pooling": True, "dropout_rate": 0.3},
        (1, 2, 4),
    ),
    "cifar-like-notebook": (
        cifar_like,
        {"family": "cnn", "depth": 3, "width": 32, "dense_width": 1024, "batch_size": 128},
        (1, 2),
    ),
}
"""Name -> the data, the configuration, the cohort sizes."""


def one_cohort(arguments: argparse.Namespace) -> None:
    """Trains one cohort in this process; prints its high-water mark and what was foreseen."""
    from pipeline.records import TrialConfig
    from pipeline.training import backend
    from pipeline.training.memory_model import DataShape, memory_need

    load, options, _ = CASES[arguments.case]
    config, dataset = TrialConfig(**options), load()
    backend.prepare("cpu", "float32", None)
    from pipeline.training.cohort import CohortTrainer

    trainer = CohortTrainer(dataset)
    # What a process holds that has trained: libraries, threads, compilers.
    trained(trainer, [replace(TrialConfig(width=4), batch_size=32)], 1)
    base = psutil.Process().memory_info().rss
    trained(trainer, [config] * arguments.size, 2)
    num_scored = len(trainer.data.validation) + len(trainer.data.measured)
    data = DataShape(dataset.input_shape, dataset.num_classes, num_scored)
    high = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    foreseen = memory_need(config, data).bytes(arguments.size)
    print(json.dumps([arguments.case, arguments.size, base, high - base, foreseen]))


def cohorts(arguments: argparse.Namespace) -> None:
    """Trains cohorts of growing size, each in a process of its own; prints the table."""
    print(f"{arguments.backend}: above what a process holds that has trained a small network")
    print("| case | trials | held, MB | foreseen, MB |\n|---|---|---|---|")
    environment = os.environ | {"KERAS_BACKEND": arguments.backend}
    for case in arguments.case:
        for size in CASES[case][2]:
            command = [sys.executable, __file__, "one", "--case", case, "--size", str(size)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            _, _, _, held, foreseen = json.loads(done.stdout.splitlines()[-1])
            print(f"| {case} | {size} | {held / MB:.0f} | {foreseen / MB:.0f} |", flush=True)


def main() -> None:
    """Runs one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.set_defaults(backend="tensorflow")
    actions = parser.add_subparsers(required=True)
    one = actions.add_parser("search", help="a whole search over time")
    one.add_argument("--dataset", default="digits")
    one.add_argument("--trials", type=int, default=200)
    one.add_argument("--options", default="", help="more options of pipeline search")
    one.set_defaults(action=search)
    two = actions.add_parser("repeat", help="a worker that has compiled what it needs")
    two.add_argument("--turns", type=int, default=25)
    two.set_defaults(action=repeat)
    three = actions.add_parser("cohorts", help="cohorts of growing size against the estimate")
    three.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    three.set_defaults(action=cohorts)
    single = actions.add_parser("one", help="one of those cohorts")
    single.add_argument("--case", required=True, choices=list(CASES))
    single.add_argument("--size", type=int, required=True)
    single.set_defaults(action=one_cohort)
    for action in (one, two, three):
        action.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax"])
    arguments = parser.parse_args()
    arguments.action(arguments)


if __name__ == "__main__":
    main()
