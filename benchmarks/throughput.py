"""Trials per minute: this project, the script a user would write, and KerasTuner, side by side.

One command sets the peers up (an environment of their own in .benchmarks/), runs everything in turn
and prints a table of medians and ranges for each dataset; start-up is included. All get the same
arrays, space (the shipped one of the dataset, or with ``--one-structure`` the one of fixed depth in
``benchmarks/spaces``), epochs, patience and cores, and the same number of trials: as peers need the
same time for every trial, each is timed with few and with more, and the time for as many as ours
follows from its start-up and its time a trial. Where there is a GPU, cohorts of 1, 4, 16 and 64 are
compared on it, too. Datasets other than digits are read from PIPELINE_DATA_DIR or downloaded.

A second table says where the time of ours went.

Run: python benchmarks/throughput.py
     python benchmarks/throughput.py --dataset digits --trials 64 --repeats 1
     python benchmarks/throughput.py --dataset reuters --one-structure
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import make_classification

from pipeline import datasets
from pipeline.records import DatasetSpec
from pipeline.search.space import space

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".benchmarks"
PEERS = {"script": "script.py", "kerastuner": "kerastuner_search.py"}
GPU_COHORTS = (1, 4, 16, 64)


@dataclass(frozen=True)
class Contest:
    """What is run for a dataset unless the command line says otherwise.

    Attributes:
        trials: Ours runs with each of these numbers of trials.
        peer_trials: Each peer is timed with these two numbers.
        train_examples: As of ``pipeline search``; None for all.
        ours: Options of ours, each a contestant.
    """

    trials: tuple[int, ...]
    peer_trials: tuple[int, int]
    train_examples: int | None = None
    ours: tuple[str, ...] = ("",)


CONTESTS = {
    "digits": Contest((64, 256), (4, 32)),
    "reuters": Contest((32, 128), (4, 32), ours=("", "--workers 2")),
    "table": Contest((64,), (3, 11)),
    "cifar10": Contest(
        (16,), (3, 12), 8_000, ours=("--workers 2", "--workers 2 --precision mixed_bfloat16")
    ),
}
"""The most expensive one last: on two cores the whole takes hours."""


TABLE = "table"
"""A user's own table instead of a dataset by name: a CSV of 20,000 rows and 30 columns."""


def space_of(dataset: str, one_structure: bool) -> Path:
    """Returns the file of the space that all search."""
    folder = HERE / "spaces" if one_structure else HERE.parent / "search_spaces"
    return folder / ("default_features.yaml" if dataset == TABLE else f"{dataset}.yaml")


def source_of(dataset: str) -> str:
    """Returns what ``--dataset`` is given; the table is made anew, always the same."""
    if dataset != TABLE:
        return dataset
    inputs, labels = make_classification(
        20_000, 30, n_informative=12, n_redundant=6, n_classes=4, flip_y=0.1, random_state=0
    )
    names = ",".join(f"feature_{index}" for index in range(30))
    rows = np.column_stack([inputs, labels])
    path = CACHE / "table.csv"
    np.savetxt(path, rows, "%.6g", ",", header=f"{names},label", comments="")
    return str(path)


def export(dataset: str, contest: Contest, path: Path, folder: Path) -> None:
    """Writes the task that the peers read: standardized dense arrays and the space's settings."""
    folder_given = os.environ.get("PIPELINE_DATA_DIR")
    data_dir = Path(folder_given) if folder_given else None
    spec = DatasetSpec(source_of(dataset), data_dir, 0, contest.train_examples)
    loaded, chosen = datasets.load(spec), space.load(path)
    arrays = {}
    for name, part in (("train", loaded.train), ("val", loaded.validation)):
        inputs = part.inputs.toarray() if sparse.issparse(part.inputs) else part.inputs
        if loaded.mean is not None and chosen.constants.get("standardize", True):
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
    environment = CACHE / "kerastuner"
    python, complete = environment / "bin" / "python", environment / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        packages = ["keras-tuner", "tensorflow", "keras", "tensorboard"]
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        subprocess.run([python, "-m", "compileall", "-q", environment], check=False)
        complete.touch()
    return python


def ours(dataset: str, contest: Contest, path: Path) -> dict[tuple[str, int], list[str]]:
    """Returns our contestants: options and number of trials -> command."""
    command = [sys.executable, "-m", "pipeline", "search", "-v", "--dataset", source_of(dataset)]
    command += ["--search-space", str(path)]
    if contest.train_examples:
        command += ["--train-examples", str(contest.train_examples)]
    return {
        (more, trials): [*command, "--trials", str(trials), *more.split()]
        for trials in contest.trials
        for more in contest.ours
    }


def peer_seconds(peer: str, task: Path, sizes: tuple[int, int]) -> tuple[float, float]:
    """Returns a peer's start-up and its time a trial, from two runs."""
    python = kerastuner_python() if peer == "kerastuner" else Path(sys.executable)
    command = [str(python), str(HERE / "peers" / PEERS[peer]), str(task)]
    few, more = (timed([*command, str(trials)]) for trials in sizes)
    each = (more - few) / (sizes[1] - sizes[0])
    return few - sizes[0] * each, each


def has_gpu() -> bool:
    """Whether a search would train on a GPU here; asked in a process of its own."""
    code = "from pipeline.training import backend; print(backend.prepare('auto', 'float32', None))"
    return bool(said([sys.executable, "-c", code])[0].strip() != "cpu")


def timed(command: list[str]) -> float:
    """Returns the wall seconds of a command in a folder of its own.

    Raises:
        SystemExit: It failed; its last lines are printed.
    """
    return watched(command)[0]


def watched(command: list[str]) -> tuple[float, str]:
    """Returns the same, and what the command wrote to stderr.

    Raises:
        SystemExit: It failed; its last lines are printed.
    """
    start = time.perf_counter()
    written = said(command)[1]
    return time.perf_counter() - start, written


def said(command: list[str]) -> tuple[str, str]:
    """Returns what a command prints and what it writes to stderr, run in a folder of its own.

    Raises:
        SystemExit: It failed; its last lines are printed.
    """
    others = ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI")
    environment = {k: v for k, v in os.environ.items() if k not in others}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout, done.stderr


STARTED = re.compile(r"\[ *([\d.]+) s\] cohort \d+ starts: trials ([\d, ]+);")
SET_UP = re.compile(r"cohort \d+: ([\d.]+) s to its first step")
ENDED = re.compile(r"\[ *([\d.]+) s\] cohort \d+ ended after ([\d.]+) s")
COMPILED = 0.3
"""Seconds to a first step from which a program was compiled for it."""


@dataclass(frozen=True)
class Shares:
    """Where the seconds of a search went; with several workers cohorts overlap.

    Attributes:
        cohorts: How many trained.
        programs: For how many of them a program was compiled.
        start: Until the first cohort started: imports, data, stores.
        compile: Until the cohorts' first steps.
        train: The cohorts' other time: training and scoring.
        rest: Asking, tracking, waiting and ending.
    """

    cohorts: int
    programs: int
    start: float
    compile: float
    train: float
    rest: float

    @classmethod
    def of(cls, written: str, seconds: float) -> Shares:
        """Reads them from what ``pipeline search -v`` writes."""
        starts = [float(at) for at, _ in STARTED.findall(written)]
        setups = [float(setup) for setup in SET_UP.findall(written)]
        cohorts = [float(took) for _, took in ENDED.findall(written)]
        first, trained = starts[0], sum(cohorts)
        return cls(
            len(cohorts),
            sum(setup > COMPILED for setup in setups),
            first,
            sum(setups),
            trained - sum(setups),
            seconds - first - trained,
        )


def main() -> None:
    """Runs the contestants in turn and prints a table for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=list(CONTESTS), choices=list(CONTESTS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    only = parser.add_argument_group("instead of what is run by default for each dataset")
    only.add_argument("--trials", type=int, nargs="+")
    only.add_argument("--peer-trials", type=int, nargs=2)
    only.add_argument("--train-examples", type=int)
    only.add_argument("--ours", nargs="+", help="options of ours, each a contestant")
    parser.add_argument("--one-structure", action="store_true", help="spaces of fixed depth")
    options = parser.parse_args()
    if options.one_structure and TABLE in options.dataset:
        parser.error("--one-structure: the table has no such space; give --dataset without it")
    chosen = {name: getattr(options, name) for name in Contest.__dataclass_fields__}
    gpu = not options.ours and has_gpu()
    CACHE.mkdir(exist_ok=True)
    for dataset in options.dataset:
        contest = replace(CONTESTS[dataset], **{k: v for k, v in chosen.items() if v is not None})
        path = space_of(dataset, options.one_structure)
        show(dataset, *measured(dataset, contest, path, options.peers, options.repeats))
        if gpu:
            cohorts = tuple(f"--cohort-size {size}" for size in GPU_COHORTS)
            contest = replace(contest, trials=(max(GPU_COHORTS),), ours=cohorts)
            taken, shares, _ = measured(dataset, contest, path, [], options.repeats)
            first = taken[cohorts[0], max(GPU_COHORTS)]
            show(dataset, taken, shares, {"one by one": [(seconds, 0.0) for seconds in first]})


Taken = dict[tuple[str, int], list[float]]
"""(options of ours, trials) -> seconds of the whole command, one figure per repeat."""
Peers = dict[str, list[tuple[float, float]]]
"""Peer -> seconds of start-up and of a trial, one pair per repeat."""


Spent = dict[tuple[str, int], list[Shares]]
"""The same -> where the time went."""


def measured(
    dataset: str, contest: Contest, path: Path, peers: list[str], repeats: int
) -> tuple[Taken, Spent, Peers]:
    """Runs ours and the peers in turn; every repeat has all of them."""
    contestants = ours(dataset, contest, path)
    taken: Taken = {name: [] for name in contestants}
    spent: Spent = {name: [] for name in contestants}
    others: Peers = {name: [] for name in peers}
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        task = Path(folder)
        export(dataset, contest, path, task)
        for repeat in range(1, repeats + 1):
            for name, command in contestants.items():
                seconds, written = watched(command)
                taken[name].append(seconds)
                spent[name].append(Shares.of(written, seconds))
                print(f"{dataset} {repeat}: ours {name} {seconds:.1f} s", file=sys.stderr)
            for peer in peers:
                others[peer].append(peer_seconds(peer, task, contest.peer_trials))
                start, each = others[peer][-1]
                print(f"{dataset} {repeat}: {peer} {start:.1f} + {each:.2f} n s", file=sys.stderr)
    return taken, spent, others


def show(dataset: str, taken: Taken, spent: Spent, peers: Peers) -> None:
    """Prints ours in trials per minute, how many times a peer's, and where our time went."""
    repeats = len(next(iter(taken.values())))
    print(f"{dataset}, {repeats} repeats, whole commands, trials a minute, median (range)")
    print(f"{'':<48}{'ours':>28}" + "".join(f"{'/ ' + peer:>28}" for peer in peers))
    for (more, trials), seconds in taken.items():
        line = f"{f'{trials} trials {more}':<48}{spread([60 * trials / s for s in seconds]):>28}"
        for lines in peers.values():
            paired = zip(seconds, lines, strict=True)
            ratios = [(start + trials * each) / ours for ours, (start, each) in paired]
            line += f"{spread(ratios):>28}"
        print(line, flush=True)
    names = ("cohorts", "programs", "start", "compile", "train", "rest")
    print(f"{'where it went, s (medians)':<48}" + "".join(f"{name:>12}" for name in names))
    for (more, trials), shares in spent.items():
        medians = (statistics.median(getattr(one, name) for one in shares) for name in names)
        figures = "".join(f"{median:>12.1f}" for median in medians)
        print(f"{f'{trials} trials {more}':<48}{figures}", flush=True)


def spread(values: list[float]) -> str:
    """Returns the median and the range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
