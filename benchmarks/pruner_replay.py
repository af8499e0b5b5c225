"""Pruners replayed on recorded curves: what each would have pruned, saved and lost.

In: finished studies that were searched without pruning (the mode ``rounds-unpruned``).
Out: per pruner the share of searched trials it prunes, epochs spent, and what the default rule then
picks, against the pick without pruning. The sampler's reaction is left out: the same trials are
judged by each pruner. ``check`` replays the product's pruner on studies that it did prune and
counts decisions that differ from Optuna's own: that must be none.

To add a pruner: an entry in PRUNERS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from study_tables import Key, Pairs, epochs_of, picked, pooled

from pipeline.records import TrialRecord
from pipeline.selection.records import RuleSettings
from pipeline.training.techniques import structure

FIRST_ROUND, LATER_ROUND = 10, 5
"""Rounds of a study of 40 trials, as the product sizes them."""


@dataclass(frozen=True)
class Percentile:
    """Optuna's PercentilePruner, reports being at every epoch from 0.

    Attributes:
        percentile: A trial is kept while its best value is within this part of the others'.
        startup: Complete trials before anything is pruned.
        warmup: Epochs before the first check.
        every: Epochs between checks.
        best_so_far: Whether the others are taken at their best so far, ended ones included,
            not at their value of that epoch.
        pruned_count: Whether pruned trials remain among the others.
    """

    percentile: float = 75.0
    startup: int = 5
    warmup: int = 10
    every: int = 1
    best_so_far: bool = False
    pruned_count: bool = False

    def prunes_after(self, curve: np.ndarray, others: Sequence[np.ndarray]) -> int | None:
        """Returns after how many epochs it prunes a trial; None for never.

        Args:
            curve: The trial's ``val_ce`` per epoch.
            others: Curves of the trials it is compared with.
        """
        if len(others) < self.startup:
            return None
        # After its last epoch there is nothing left to prune.
        for step in range(self.warmup, len(curve) - 1, self.every):
            if self.best_so_far:
                values = [np.nanmin(other[: step + 1]) for other in others]
            else:
                values = [other[step] for other in others if len(other) > step]
            if values and np.nanmin(curve[: step + 1]) > np.nanpercentile(values, self.percentile):
                return step + 1
        return None


PRUNERS = {
    "75, as shipped": Percentile(),
    "75, every 5 epochs": Percentile(every=5),
    "75, every 10 epochs": Percentile(every=10),
    "75, at epoch 11 only": Percentile(every=10_000),
    "75, at epoch 21 only": Percentile(warmup=20, every=10_000),
    "75, startup 10": Percentile(startup=10),
    "90": Percentile(90.0),
    "90, every 10 epochs": Percentile(90.0, every=10),
    "75, pruned ones count": Percentile(pruned_count=True),
    "75, best so far": Percentile(best_so_far=True),
    "75, best so far, pruned ones count": Percentile(best_so_far=True, pruned_count=True),
    "90, best so far, pruned ones count": Percentile(90.0, best_so_far=True, pruned_count=True),
    "50 (median), no warm-up": Percentile(50.0, warmup=0),
}


def curve_of(trial: TrialRecord) -> np.ndarray:
    """Returns a trial's ``val_ce`` per epoch."""
    return np.array(trial.curves["val_ce"])


def replayed(trials: Sequence[TrialRecord], pruner: Percentile, rounds: Sequence[int]) -> list[int]:
    """Returns after how many epochs each trial ends; trials of a round do not see each other.

    Args:
        trials: By number, all trained to their end.
        pruner: The pruner.
        rounds: First trial of each round.
    """
    ends: list[int] = []
    others: list[np.ndarray] = []
    for first, last in zip(rounds, [*rounds[1:], len(trials)], strict=True):
        met = []
        for trial in trials[first:last]:
            curve = curve_of(trial)
            end = None if trial.name else pruner.prunes_after(curve, others)
            ends.append(end or len(curve))
            if end is None or pruner.pruned_count:
                met.append(curve[:end])
        others += met
    return ends


def print_pruners(studies: Mapping[Key, Any]) -> None:
    """Prints a row per pruner, over all problems, against no pruning."""
    shown = ("epochs", "best J", "val CE", "test CE", "test accuracy", "test gap")
    print("\n### pruners replayed, against none (in %, accuracy in points)\n")
    print(f"| pruner | n | pruned | another pick | {' | '.join(shown)} |")
    print(f"|{'---|' * (len(shown) + 4)}")
    for name, pruner in PRUNERS.items():
        pairs, shares = outcomes(studies, pruner)
        every = [pair for found in pairs.values() for pair in found]
        lost = np.mean([one["number"] != other["number"] for one, other in every])
        cells = [pooled(pairs, measure) for measure in shown]
        print(f"| {name} | {len(every)} | {np.mean(shares):.0%} | {lost:.0%} | ", end="")
        print(f"{' | '.join(cells)} |")


def outcomes(studies: Mapping[Key, Any], pruner: Percentile) -> tuple[Pairs, list[float]]:
    """Returns the pick with the pruner and without, and the share of trials that it prunes."""
    pairs: Pairs = {}
    shares = []
    for (problem, mode, _), study in studies.items():
        if mode != "rounds-unpruned":
            continue
        trials = study.record.trials
        ends = replayed(trials, pruner, [0, *range(FIRST_ROUND, len(trials), LATER_ROUND)])
        lengths = [
            (trial.number, end, epochs_of(trial)) for trial, end in zip(trials, ends, strict=True)
        ]
        kept = [number for number, end, epochs in lengths if end == epochs]
        searched = sum(trial.name is None for trial in trials)
        shares.append((len(trials) - len(kept)) / searched)
        found = picked(study, RuleSettings(), kept) | {"epochs": sum(ends)}
        pairs.setdefault(problem, []).append((found, picked(study, RuleSettings())))
    return pairs, shares


def print_cohorts(studies: Mapping[Key, Any]) -> None:
    """Prints how long cohorts train: as long as their longest member, whoever is pruned."""
    print("\n### epochs of a study in rounds (means over its seeds)\n")
    print("| problem | mode | n | of trials | of cohorts |\n|---|---|---|---|---|")
    for problem, mode in dict.fromkeys(key[:2] for key in studies if "rounds" in key[1]):
        found = [studies[key].record.trials for key in studies if key[:2] == (problem, mode)]
        trials = np.mean([sum(map(epochs_of, record)) for record in found])
        cohorts = np.mean([sum(longest_members(record)) for record in found])
        print(f"| {problem} | {mode} | {len(found)} | {trials:.0f} | {cohorts:.0f} |")


def longest_members(trials: Sequence[TrialRecord]) -> list[int]:
    """Returns the epochs of the longest member of each cohort: a round's trials of a structure."""
    longest: dict[Any, int] = {}
    for trial in trials:
        later = max(trial.number - FIRST_ROUND + LATER_ROUND, 0) // LATER_ROUND
        cohort = (later, structure(trial.config))
        longest[cohort] = max(longest.get(cohort, 0), epochs_of(trial))
    return list(longest.values())


def check(studies: Mapping[Key, Any]) -> int:
    """Returns how many pruning decisions of one-by-one studies the replay makes differently."""
    different = 0
    for (_, mode, _), study in studies.items():
        if mode != "single":
            continue
        others: list[np.ndarray] = []
        for trial in study.record.trials:
            curve = curve_of(trial)
            # One more epoch, so that a decision after the last recorded one is seen.
            seen = np.append(curve, np.inf) if trial.state == "PRUNED" else curve
            end = None if trial.name else Percentile().prunes_after(seen, others)
            different += end != (len(curve) if trial.state == "PRUNED" else None)
            if trial.state == "COMPLETE":
                others.append(curve)
    return different
