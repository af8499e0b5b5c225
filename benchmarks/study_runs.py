"""One study, searched by the project's own parts in this process and measured on the test part.

In: a problem's name, a seed and a :class:`Mode`. Out: a :class:`Finished`. Supervisor, sampler,
pruner, executor, training and selection are the product's; a log in memory stands in MLflow's
place, Optuna's storage is in memory, and a problem's compiled networks serve all its seeds, so that
a study of 40 trials costs seconds. To search in another way: an entry in MODES.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
from problems import PROBLEMS, archive

from pipeline import datasets
from pipeline.datasets import Dataset, DatasetSummary, Part, SelectionLock
from pipeline.records import DatasetSpec, StudyRecord, TrialOutcome
from pipeline.search import executors
from pipeline.search.cohort_sizing import Sizing, fixed
from pipeline.search.cost import Estimate
from pipeline.search.options import SearchOptions, data_size
from pipeline.search.plan import SearchPlan, cohort_sizing
from pipeline.search.progress import Snapshot
from pipeline.search.space import space
from pipeline.search.space.space import SearchSpace
from pipeline.search.study import Study, open_study, trial_seed
from pipeline.search.supervisor import Supervisor
from pipeline.training import backend

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".benchmarks"


@dataclass(frozen=True)
class Mode:
    """How a study is searched.

    Attributes:
        sizing: Trials asked for at once; None for what the product chooses.
        pruned: Whether trials are pruned.
        sampler: Options of Optuna's TPE that differ from the product's.
    """

    sizing: Sizing | None = None
    pruned: bool = True
    sampler: tuple[tuple[str, Any], ...] = ()


MODES = {
    "rounds": Mode(),
    "single": Mode(Sizing()),
    "rounds-unpruned": Mode(pruned=False),
    "single-unpruned": Mode(Sizing(), pruned=False),
    "rounds-small": Mode(Sizing(10, 3, 256)),
    "rounds-large": Mode(Sizing(10, 10, 256)),
    "rounds-of-20": Mode(fixed(20)),
    "rounds-truthful": Mode(sampler=(("constant_liar", False),)),
    "one-round": Mode(Sizing(256, 256, 256)),
    "random": Mode(sampler=(("n_startup_trials", 10_000),)),
}


@dataclass(frozen=True)
class Finished:
    """A study and what its trials are worth on the test part.

    Attributes:
        record: The study, as selection sees it.
        test_ce: Trial number -> mean cross-entropy on the test part, nats.
        test_accuracy: Trial number -> accuracy on it.
        seconds: Wall time of the search.
    """

    record: StudyRecord
    test_ce: dict[int, float]
    test_accuracy: dict[int, float]
    seconds: float


class MemoryLog:
    """Stands in for ``tracking.StudyRun``: keeps every complete trial's weights."""

    next_cohort = 0

    def __init__(self) -> None:
        self.weights: dict[int, tuple[np.ndarray, ...]] = {}

    def trial_started(self, *_: Any) -> None:
        """Nothing to write."""

    def trial_epochs(self, *_: Any) -> None:
        """Nothing to write: the outcome has the curves."""

    def trial_finished(self, outcome: TrialOutcome, verdict: str, *, keep_weights: bool) -> None:
        """Keeps the weights, whether they may win or not."""
        if outcome.weights is not None:
            self.weights[outcome.number] = outcome.weights

    def run_ids(self, numbers: Sequence[int]) -> dict[int, str]:
        """There are no runs."""
        return {}

    def drop_weights(self, *_: Any) -> None:
        """All are kept anyway."""

    def kept_weights(self) -> tuple[int, ...]:
        """Nothing that the supervisor would have to drop."""
        return ()


class SilentView:
    """Stands in for the progress view; failures are said."""

    def note(self, message: str) -> None:
        """Prints what failed."""
        if "failed" in message:
            print(f"  {message}", flush=True)

    warn = note

    def detail(self, message: str) -> None:
        """Nothing to show."""

    def show(self, snapshot: Snapshot) -> None:
        """Nothing to show."""


class Bench:
    """One process's trainers: a problem's compiled networks serve all its seeds."""

    def __init__(self) -> None:
        self.device = backend.prepare("cpu", "float32", None)
        self.trainers: dict[str, Any] = {}

    def trainer(self, problem: str, dataset: Dataset) -> Any:
        """Returns the problem's trainer, holding this dataset."""
        from pipeline.training.cohort import CohortTrainer

        if problem not in self.trainers:
            self.trainers[problem] = CohortTrainer(dataset, self.device)
        trainer = self.trainers[problem]
        refill(trainer, dataset)
        return trainer


def refill(trainer: Any, dataset: Dataset) -> None:
    """Puts another dataset of equal shape on the device; nothing is compiled again.

    Holds where no statistics of the data are part of the program (``standardize: false``). A
    table of another shape is refused by its ``assign``.
    """
    parts = (dataset.train, dataset.validation)
    labels = np.concatenate([part.labels for part in parts]).astype(np.int32)
    data = trainer.data
    data.inputs.table.assign(np.concatenate([part.inputs for part in parts]))
    data.labels.labels.assign(labels)
    data.host_labels, data.measured = labels, dataset.measured.astype(np.int32)
    data.dataset = trainer.dataset = dataset


@dataclass(frozen=True)
class InProcess:
    """Opens the trainer that is already there."""

    trainer: Any

    def open(self) -> Any:
        """Returns it."""
        return self.trainer


def search_space(trials: int | None) -> SearchSpace:
    """Returns the space of these studies."""
    chosen = space.load(HERE / "spaces" / "studies.yaml")
    return chosen if trials is None else replace(chosen, trials=trials)


@contextmanager
def in_memory() -> Iterator[None]:
    """Lets ``open_study`` make the product's own study, in memory: a journal syncs every report."""
    storage = optuna.storages.InMemoryStorage()
    with mock.patch("pipeline.search.study.open_storage", lambda *_: storage):
        yield


def open_with(mode: Mode, chosen: SearchSpace, seed: int) -> Study:
    """Returns a new study, the product's but for what the mode changes."""
    with in_memory():
        study = open_study(None, "study", chosen, {}, seed)
    inner = study._study
    if not mode.pruned:
        inner.pruner = optuna.pruners.NopPruner()
    if mode.sampler:
        options = {"multivariate": True, "group": True, "constant_liar": True} | dict(mode.sampler)
        inner.sampler = optuna.samplers.TPESampler(seed=trial_seed(seed, 2**20), **options)
    study.resume(references=True)
    return study


def load(problem: str, seed: int) -> Dataset:
    """Returns a problem's data, split by the seed."""
    examples = PROBLEMS[problem].train_examples
    path = archive(problem, seed, CACHE / "problems")
    return datasets.load(DatasetSpec(str(path), None, seed, examples))


def run_study(bench: Bench, problem: str, seed: int, mode: Mode, trials: int | None) -> Finished:
    """Searches, then measures every complete trial on the test part."""
    dataset = load(problem, seed)
    trainer = bench.trainer(problem, dataset)
    chosen = search_space(trials)
    sizing = mode.sizing or cohort_sizing(SearchOptions(), chosen, DatasetSummary.of(dataset))
    plan = SearchPlan(chosen, chosen.trials, seed, sizing)
    study, log = open_with(mode, chosen, seed), MemoryLog()
    start = time.perf_counter()
    empty = StudyRecord(problem, dataset.name, dataset.split_id, None, dataset.chance, {}, ())
    with executors.start("inline", InProcess(trainer), 1) as executor:
        estimate = Estimate(data_size(DatasetSummary.of(dataset)), chosen.epochs)
        view: Any = SilentView()
        record = Supervisor(plan, study, executor, log, view, empty, estimate).run()
    seconds = time.perf_counter() - start
    return measured(record, log.weights, dataset, seconds)


def measured(
    record: StudyRecord, weights: dict[int, Any], dataset: Dataset, seconds: float
) -> Finished:
    """Returns the study with the test results of its trials, each checked on validation."""
    # No rule sees what is read here: selections are made from the record alone.
    test = dataset.test.read(SelectionLock(dataset.split_id))
    test_ce, test_accuracy = {}, {}
    for trial in record.trials:
        if trial.measurement is None:
            continue
        again, _ = scores(weights[trial.number], dataset.validation)
        if not abs(again - trial.measurement.val_ce) <= 1e-4 * max(again, 0.1):
            raise RuntimeError(
                f"trial {trial.number}: its weights give a validation cross-entropy of {again}, "
                f"recorded is {trial.measurement.val_ce}"
            )
        test_ce[trial.number], test_accuracy[trial.number] = scores(weights[trial.number], test)
    return Finished(record, test_ce, test_accuracy, seconds)


def scores(weights: tuple[np.ndarray, ...], part: Part) -> tuple[float, float]:
    """Returns cross-entropy and accuracy of an mlp (kernel, bias, ...) on a part."""
    found = log_probabilities(weights, part.inputs)
    nll = -found[np.arange(len(part)), part.labels]
    return float(nll.mean()), float((found.argmax(axis=1) == part.labels).mean())


def log_probabilities(weights: tuple[np.ndarray, ...], inputs: np.ndarray) -> np.ndarray:
    """Returns what an mlp (kernel, bias, ...) predicts, float64 [num_examples, num_classes]."""
    values = inputs
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        values = np.maximum(values @ kernel + bias, 0.0)
    logits = (values @ weights[-2] + weights[-1]).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
