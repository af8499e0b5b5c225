"""Finalists of finished studies: trained again with several seeds, chosen again, then measured.

In: a study of ``study_runs.py``. Out: a :class:`Confirmed`. Shortlist, seeds, the second choice and
the median seed are those of the product before it delivered means; every training is measured on
the test part, which no choice sees. The table compares what is delivered with what a tuner would
deliver: the trial with the best validation cross-entropy, as it was trained in the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from study_runs import Bench, Finished, load, scores, search_space
from study_tables import Key, Measures, Pairs, picked, print_differences

from pipeline.datasets import SelectionLock
from pipeline.records import Cohort, StudyRecord, Trial, TrialRecord
from pipeline.search.leaderboard import as_record
from pipeline.search.study import Suggestion
from pipeline.selection.confirm import confirm
from pipeline.selection.records import MEDIAN, RuleSettings
from pipeline.selection.select import select
from pipeline.selection.shortlist import finalist_trainings
from pipeline.training.techniques import structure

SETTINGS = RuleSettings(seeds=3, deliver=MEDIAN)
SHOWN = ("gap", "test gap", "test CE", "test accuracy")


@dataclass(frozen=True)
class Confirmed:
    """What a report with finalists would deliver.

    Attributes:
        winner: Number of the trial chosen.
        reference: Number of the finalist with the best mean validation cross-entropy.
        first_choice: Number of the trial chosen by one seed each.
        runs: Trial number -> measures of each seed's training.
        medians: Trial number -> index of the seed that would be delivered.
    """

    winner: int
    reference: int
    first_choice: int
    runs: dict[int, tuple[Measures, ...]]
    medians: dict[int, int]


def confirm_study(bench: Bench, problem: str, seed: int, study: Finished) -> Confirmed | None:
    """Trains the finalists and chooses again; None where the rule picks no trial at all."""
    record = replace(study.record, definition={"seed": seed})
    first = select(record, SETTINGS)
    keys = finalist_trainings(record, first)
    if not keys or first.winner is None:
        return None
    trained, worth = train(bench, problem, record, keys)
    chosen = confirm(record, first, trained)
    confirmation, winner = chosen.confirmation, chosen.winner
    if confirmation is None or winner is None:
        return None
    return Confirmed(
        winner=winner,
        reference=chosen.reference or winner,
        first_choice=first.winner,
        runs={
            finalist.number: tuple(worth[finalist.number, key] for key in confirmation.seeds)
            for finalist in confirmation.finalists
        },
        medians={finalist.number: finalist.median for finalist in confirmation.finalists},
    )


def train(
    bench: Bench, problem: str, record: StudyRecord, keys: tuple[tuple[int, int], ...]
) -> tuple[dict[tuple[int, int], TrialRecord], dict[tuple[int, int], Measures]]:
    """Returns the trainings by trial number and seed, and what they are worth."""
    seed = int(record.definition["seed"])
    dataset, space = load(problem, seed), search_space(None)
    trainer = bench.trainer(problem, dataset)
    test = dataset.test.read(SelectionLock(dataset.split_id))
    configs = {trial.number: trial.config for trial in record.trials}
    groups: dict[Any, list[Trial]] = {}
    for place, (number, own) in enumerate(keys):
        config = configs[number]
        groups.setdefault(structure(config), []).append(Trial(place, config, own))
    trained, worth = {}, {}
    for group in groups.values():
        cohort = Cohort(0, tuple(group), space.epochs, space.patience, seed)
        for outcome in trainer(cohort, lambda _: None, tuple):
            key = keys[outcome.number]
            suggestion = Suggestion(key[0], configs[key[0]], key[1], None)
            trained[key] = as_record(suggestion, outcome, record.split_id)
            if outcome.measurement is not None and outcome.weights is not None:
                test_ce, test_accuracy = scores(outcome.weights, test)
                worth[key] = {
                    "gap": outcome.measurement.gap_ce,
                    "val CE": outcome.measurement.val_ce,
                    "test CE": test_ce,
                    "test accuracy": test_accuracy,
                    "test gap": test_ce - outcome.measurement.train_ce,
                }
    return trained, worth


def print_finalists(
    studies: Mapping[Key, Finished], confirmations: Mapping[Key, Confirmed | None]
) -> None:
    """Prints what finalists deliver against a tuner's pick, and against their own best."""
    problems = list(dict.fromkeys(problem for problem, _, _ in studies))
    for mode in dict.fromkeys(mode for _, mode, _ in confirmations):
        found = {
            key: one for key, one in confirmations.items() if one is not None and key[1] == mode
        }
        changed = np.mean([one.winner != one.first_choice for one in found.values()])
        print(f"\n{mode}: {len(found)} studies; finalists change the choice in {changed:.0%}")
        for name, deliver in DELIVERIES.items():
            delivered: Pairs = {}
            for key, one in found.items():
                tuner = picked(studies[key], RuleSettings("best_val"))
                delivered.setdefault(key[0], []).append((deliver(studies[key], one), tuner))
            title = f"{name} - best_val of the search, `{mode}`"
            print_differences(title, delivered, problems, SHOWN)
        averaged: Pairs = {}
        for key, one in found.items():
            pair = (mean_of(one.runs[one.winner]), mean_of(one.runs[one.reference]))
            averaged.setdefault(key[0], []).append(pair)
        title = f"winner - best finalist, means over 3 seeds each, `{mode}`"
        print_differences(title, averaged, problems, SHOWN)


def trained_in_search(study: Finished, number: int) -> Measures:
    """Returns the measures of a trial as the search trained it."""
    trial = next(trial for trial in study.record.trials if trial.number == number)
    assert trial.measurement is not None
    test_ce = study.test_ce[number]
    return {
        "gap": trial.measurement.gap_ce,
        "val CE": trial.measurement.val_ce,
        "test CE": test_ce,
        "test accuracy": study.test_accuracy[number],
        "test gap": test_ce - trial.measurement.train_ce,
    }


def best(runs: Sequence[Measures]) -> Measures:
    """Returns the training with the smallest validation cross-entropy."""
    return min(runs, key=lambda run: run["val CE"])


DELIVERIES: dict[str, Callable[[Finished, Confirmed], Measures]] = {
    "first choice, no finalists": lambda study, one: trained_in_search(study, one.first_choice),
    "finalists, median seed": lambda _, one: one.runs[one.winner][one.medians[one.winner]],
    "finalists, best seed": lambda _, one: best(one.runs[one.winner]),
    "finalists, best of the seeds and the search's training": lambda study, one: best(
        [*one.runs[one.winner], trained_in_search(study, one.winner)]
    ),
    "finalists, the search's training": lambda study, one: trained_in_search(study, one.winner),
    "best finalist, median seed": lambda _, one: one.runs[one.reference][
        one.medians[one.reference]
    ],
}
"""What is delivered -> its measures."""


def mean_of(runs: tuple[Measures, ...]) -> Measures:
    """Returns the mean measures over the seeds."""
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
