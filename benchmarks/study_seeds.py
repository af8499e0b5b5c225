"""Trains a finished study's configurations with five seeds each and keeps what they predict.

In: a study of ``study_runs.py``. Out: a :class:`Repeated`, from which any rule, margin, number of
finalists or of seeds, and any delivery can be judged afterwards (``study_deliveries.py``) without
training again. Trained are the finalists of a wide margin, those of the strict one, the
best-validation trial and the unregularized baseline; the seeds are the product's own for finalists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from study_runs import Bench, Finished, load, log_probabilities, search_space

from pipeline.datasets import Dataset, Part, SelectionLock
from pipeline.records import Cohort, Measurement, StudyRecord, Trial, TrialConfig
from pipeline.search.merging import alike
from pipeline.selection.records import MEDIAN, RuleSettings
from pipeline.selection.select import select
from pipeline.selection.shortlist import finalist_seeds, shortlist
from pipeline.training.techniques import structure

SEEDS = 5
WIDE = RuleSettings(k=2.0, tau=0.10, tau_accuracy=0.02, finalists=9, deliver=MEDIAN)
"""Margins of the first stage: a lucky training must not exclude all others unrepeated."""
STRICT = RuleSettings(k=1.0, tau=0.05, tau_accuracy=0.01, finalists=5, deliver=MEDIAN)
"""What was shipped before: its finalists are trained, too, so that it can be compared."""
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Predicted:
    """What the trainings of a configuration, one per seed, predict on a part.

    Attributes:
        nll: float32 [num_seeds, num_examples], cross-entropy of each example, nats.
        probabilities: float16 [num_seeds, num_examples, num_classes], to tell which class an
            average of them takes for the most probable.
    """

    nll: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Repeated:
    """A study's configurations, each trained with several seeds.

    Attributes:
        wide: Finalists of the wide margin: smallest gap in the search first, the best one last.
        strict: The same of the strict margin.
        baseline: Number of the unregularized trial; None where it failed.
        labels: Part -> int [num_examples], the measured training examples for ``train``.
        predicted: Trial number -> part -> what its trainings predict.
        measurements: Trial number -> the measurement of each seed's training.
    """

    wide: tuple[int, ...]
    strict: tuple[int, ...]
    baseline: int | None
    labels: dict[str, np.ndarray]
    predicted: dict[int, dict[str, Predicted]]
    measurements: dict[int, tuple[Measurement, ...]]


def repeat_study(
    bench: Bench, problem: str, seed: int, study: Finished, finalists: int = WIDE.finalists
) -> Repeated | None:
    """Trains and keeps; None where no trial has skill, or a training ends without a measurement."""
    record = replace(study.record, definition={"seed": seed})
    wider = replace(WIDE, finalists=finalists)
    wide, strict = (shortlist(record, select(record, settings)) for settings in (wider, STRICT))
    if not wide:
        return None
    baseline = next((trial.number for trial in record.trials if trial.name == "baseline"), None)
    numbers = dict.fromkeys((*wide, *strict, *(() if baseline is None else (baseline,))))
    dataset = load(problem, seed)
    parts = {
        "train": measured_part(dataset),
        "validation": dataset.validation,
        # No rule sees what is read here: selections are made from validation and train alone.
        "test": dataset.test.read(SelectionLock(dataset.split_id)),
    }
    trained = train(bench, problem, record, tuple(numbers), dataset)
    if trained is None:
        return None
    predicted = {
        number: {name: predict([weights for _, weights in runs], parts[name]) for name in PARTS}
        for number, runs in trained.items()
    }
    measurements = {
        number: tuple(measurement for measurement, _ in runs) for number, runs in trained.items()
    }
    check(measurements, predicted)
    labels = {name: np.asarray(part.labels) for name, part in parts.items()}
    return Repeated(wide, strict, baseline, labels, predicted, measurements)


def measured_part(dataset: Dataset) -> Part:
    """Returns the training examples on which every trial is measured."""
    return Part(dataset.train.inputs[dataset.measured], dataset.train.labels[dataset.measured])


Run = tuple[Measurement, tuple[np.ndarray, ...]]
"""A training's measurement and weights."""


def train(
    bench: Bench, problem: str, record: StudyRecord, numbers: tuple[int, ...], dataset: Dataset
) -> dict[int, list[Run]] | None:
    """Returns the trainings of each configuration in the order of the seeds; None if one failed."""
    seed = int(record.definition["seed"])
    space, trainer = search_space(None), bench.trainer(problem, dataset)
    configs: dict[int, TrialConfig] = {trial.number: trial.config for trial in record.trials}
    keys = [(number, own) for number in numbers for own in finalist_seeds(seed, SEEDS)]
    trials = [Trial(place, configs[key[0]], key[1]) for place, key in enumerate(keys)]
    runs: dict[int, Run] = {}
    for group in alike(trials, lambda trial: structure(trial.config)):
        cohort = Cohort(0, tuple(group), space.epochs, space.patience, seed)
        for outcome in trainer(cohort, lambda _: None, tuple):
            if outcome.measurement is None or outcome.weights is None:
                print(f"  trial {keys[outcome.number][0]} failed: {outcome.cause}", flush=True)
                return None
            runs[outcome.number] = outcome.measurement, outcome.weights
    found: dict[int, list[Run]] = {number: [] for number in numbers}
    for place, (number, _) in enumerate(keys):
        found[number].append(runs[place])
    return found


def predict(weights: list[tuple[np.ndarray, ...]], part: Part) -> Predicted:
    """Returns what some trainings predict on a part."""
    logs = np.stack([log_probabilities(own, part.inputs) for own in weights])
    nll = -logs[:, np.arange(len(part)), part.labels]
    return Predicted(nll.astype(np.float32), np.exp(logs).astype(np.float16))


def check(
    measurements: dict[int, tuple[Measurement, ...]], predicted: dict[int, dict[str, Predicted]]
) -> None:
    """Raises where what is kept differs from what the product measured."""
    for number, runs in measurements.items():
        for name, attribute in (("validation", "val_ce"), ("train", "train_ce")):
            kept = predicted[number][name].nll.mean(axis=1, dtype=np.float64)
            said = np.array([getattr(run, attribute) for run in runs])
            if not np.allclose(kept, said, rtol=1e-4, atol=1e-5):
                raise RuntimeError(f"trial {number}, {attribute}: kept {kept}, measured {said}")
