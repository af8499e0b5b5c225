"""Made-up reports with everything on them: finalists, test results, curves, a search space."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from pipeline.records import DataNotes, PerExample, TestExamples, TestResult, TrialConfig
from pipeline.report.report import Report, Size
from pipeline.selection.records import Confirmation, Finalist, RuleSettings
from pipeline.selection.select import select
from pipeline.selection.statistics import mean_interval, wilson_interval

SPACE = {
    "epochs": 6,
    "search": {
        "depth": {"low": 1, "high": 3, "step": 1, "log": False},
        "regularizer": {"choices": ["none", "l1", "l2", "l1_l2"]},
        "lambda_l2": {"low": 1e-6, "high": 1e-1, "log": True},
        "dropout_rate": {"low": 0.0, "high": 0.7, "log": False},
        "max_norm": {"choices": [None, 1.0, 2.0, 3.0]},
    },
}
CURVES = {
    "val_ce": (0.9, 0.5, 0.4, 0.3, 0.32, 0.35),
    "train_ce": (0.8, 0.4, 0.3, 0.2, 0.15, 0.1),
    "val_accuracy": (0.6, 0.7, 0.8, 0.9, 0.9, 0.9),
}
NOTES = DataNotes(
    about=("label 'species' (10 classes); features (2): length, depth",),
    findings=(
        ("groups", "rows of one 'nest' stay in one part; groups: train 60, validation 20, test 20"),
        ("rare", "classes with fewer than 10 training and validation examples: 'a|b', '<i>'"),
    ),
)
CONFIGS = (
    TrialConfig(),
    TrialConfig(regularizer="l2", lambda_l2=0.099, depth=3),
    TrialConfig(dropout_rate=0.3),
    TrialConfig(regularizer="l2", lambda_l2=1e-4, dropout_rate=0.2, max_norm=2.0),
)


def searched_study(make_trial, make_study, num=26, definition=None):
    """A study of 26 measured trials in which depth decides val_ce and dropout the gap."""
    rng = np.random.default_rng(0)
    trials = [
        make_trial(0, name="baseline", config=CONFIGS[0], gap_ce=0.2, curves=CURVES),
        make_trial(1, config=CONFIGS[1], val_ce=0.2998, gap_ce=0.15, curves=CURVES),
        make_trial(2, config=CONFIGS[2], val_ce=0.305, gap_ce=0.05, curves=CURVES),
        make_trial(3, config=CONFIGS[3], val_ce=0.35, gap_ce=0.04, curves=CURVES),
    ]
    for number in range(len(trials), num):
        depth, rate = int(rng.integers(1, 4)), float(rng.uniform(0, 0.7))
        config = TrialConfig(depth=depth, dropout_rate=rate, regularizer="l2", lambda_l2=1e-3)
        wanted = {"val_ce": 0.4 + 0.1 * depth, "gap_ce": 0.3 - 0.3 * rate}
        trials.append(make_trial(number, config=config, **wanted))
    asked = {"source": "digits", "seed": 3, "train_examples": None, "space": SPACE}
    return replace(make_study(*trials), definition=asked | (definition or {}), data=NOTES)


@lru_cache
def full_report(make_trial, make_study, num_test=1200, names=None, num_classes=10):
    """A report with finalists of three seeds, and winner, best and baseline on the test part.

    Delivered is the mean of the winner's seeds; older versions delivered the median one.
    """
    study = searched_study(make_trial, make_study)
    selection = select(study, RuleSettings(seeds=3))
    report = Report(study, selection, confirmation=_confirmation(study, selection))
    names = tuple(names or (f"class {label}" for label in range(num_classes)))
    labels = np.arange(num_test, dtype=np.int32) % len(names)
    numbers = {selection.winner, selection.reference, 0}
    results = {number: _on_test(report.measured(number), labels, len(names)) for number in numbers}
    tested = {number: _result(report.measured(number), part) for number, part in results.items()}
    best = report.trial(selection.reference)
    alone = {best.mlflow_run_id: _on_test(best, labels, len(names), worse=0.02)}
    seeds = report.parts(selection.winner)
    trainings = {run.mlflow_run_id: _on_test(run, labels, len(names), worse=0.01) for run in seeds}
    by_run = {run.mlflow_run_id: run for run in (best, *seeds)}
    return replace(
        report,
        test=tested[selection.winner],
        tested=tested,
        tested_trainings={
            run: _result(by_run[run], part) for run, part in (trainings | alone).items()
        },
        sizes={"delivered": Size(14_022, 0.0216), "one training": Size(4_674, 0.0093)},
        test_examples=TestExamples(labels, results, names, trainings=alone),
        model_uri="models:/digits-least-overfit/1",
        extras={"MLflow version": "3.17"},
    )


def _confirmation(study, selection):
    finalists = []
    for number in selection.eligible[:5]:
        trial = next(trial for trial in study.trials if trial.number == number)
        runs = tuple(_run(trial, shift) for shift in (0.004, -0.003, 0.001))
        measured = trial.measurement
        judged = replace(measured, gap_ce_se=0.0123, num_parameters=3 * measured.num_parameters)
        mean = replace(trial, measurement=judged, mlflow_run_id=None)
        finalists.append(Finalist(number, runs, judged, 2, mean, "ensemble"))
    return Confirmation((11, 12, 13), tuple(finalists), selection.winner)


def _run(trial, shift):
    measured = trial.measurement
    return replace(
        trial,
        measurement=replace(measured, val_ce=measured.val_ce + shift),
        validation=replace(trial.validation, nll=trial.validation.nll + shift),
        mlflow_run_id=f"run{trial.number}-{shift}",
    )


def _on_test(trial, labels, num_classes, worse=0.0):
    rng = np.random.default_rng(trial.number)
    right = rng.random(labels.size) < 0.9
    predicted = np.where(right, labels, (labels + 1) % num_classes).astype(np.int32)
    nll = trial.measurement.val_ce + 0.02 + worse + 0.1 * (rng.random(labels.size) - 0.5)
    confidence = rng.uniform(0.5, 1.0, labels.size).astype(np.float32)
    return PerExample(nll, predicted == labels, predicted, confidence)


def _result(trial, part):
    ce, train = float(part.nll.mean()), trial.measurement.train_ce
    low, high = mean_interval(part.nll)
    accuracy = float(part.correct.mean())
    interval = wilson_interval(int(part.correct.sum()), part.correct.size)
    return TestResult(ce, low, high, accuracy, *interval, ce - train, low - train, high - train, 1)
