"""What finished studies say: paired differences with 95% intervals, as Markdown tables.

In: ``(problem, mode, seed) -> Finished`` of ``studies.py``. Out, on stdout: (1) modes against each
other by what their studies select, (2) what pruning costs and saves, (3) what each rule buys. The
same seed means the same data, split and first random trials, so differences are paired by seed.
Cross-entropies and gaps are compared in percent of the base's mean over the problem's seeds, so
that problems can be pooled; accuracies in points.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from pipeline.records import StudyRecord, TrialRecord
from pipeline.selection.records import RuleSettings
from pipeline.selection.rules import RULES
from pipeline.selection.select import select

Key = tuple[str, str, int]
Measures = dict[str, float]
POINTS = {"val accuracy", "test accuracy"}
SHOWN = ("val CE", "J", "best J", "gap", "test CE", "test accuracy", "test gap")
BASES = ("single", "rounds")
CONSTANTS = {
    "as shipped: k 1, tau 0.05, tau_accuracy 0.01": {},
    "k 0": {"k": 0.0},
    "k 0.5": {"k": 0.5},
    "tau 0.02": {"tau": 0.02},
    "tau_accuracy 0": {"tau_accuracy": 0.0},
    "k 0.5, tau 0.02, tau_accuracy 0.005": {"k": 0.5, "tau": 0.02, "tau_accuracy": 0.005},
    "k 1, tau 0, tau_accuracy 0 (one_se)": {"tau": 0.0, "tau_accuracy": 0.0},
    "k 2": {"k": 2.0},
}
KEPT_AFTER_ONE_EPOCH = (5, 10, 20)


def print_tables(studies: Mapping[Key, Any]) -> None:
    """Prints every table for which there are studies."""
    modes = list(dict.fromkeys(mode for _, mode, _ in studies))
    problems = list(dict.fromkeys(problem for problem, _, _ in studies))
    for mode in modes:
        counts = [sum(key[:2] == (problem, mode) for key in studies) for problem in problems]
        print(f"{mode}: " + ", ".join(map("{} {}".format, problems, counts)))
    picks = {key: picked(study, RuleSettings()) for key, study in studies.items()}
    for mode, base in itertools.permutations(modes, 2):
        if base in BASES and (mode, base) != ("single", "rounds"):
            title = f"{mode} - {base}: what `least_overfit` picks"
            print_differences(title, paired(picks, mode, base), problems, SHOWN)
    print_costs(studies, picks)
    print_one_epoch(studies, picks)
    for mode in modes:
        print_rules(studies, mode, problems)
        print_constants(studies, mode)


def picked(study: Any, settings: RuleSettings, only: Iterable[int] | None = None) -> Measures:
    """Returns what the trial that a rule picks is worth; empty where it picks none.

    Args:
        study: A finished study.
        settings: The rule.
        only: Numbers of the trials that may be picked; None for all.
    """
    record: StudyRecord = study.record
    if only is not None:
        kept = set(only)
        record = replace(record, trials=tuple(t for t in record.trials if t.number in kept))
    choice = select(record, settings)
    trials = {trial.number: trial for trial in record.trials}
    if choice.winner is None:
        return {}
    winner = trials[choice.winner].measurement
    assert winner is not None
    complete = [trial.measurement for trial in record.trials if trial.measurement is not None]
    test_ce = study.test_ce[choice.winner]
    return {
        "number": choice.winner,
        "val CE": winner.val_ce,
        "val accuracy": winner.val_accuracy,
        "gap": winner.gap_ce,
        "J": winner.objective,
        "best J": min(measurement.objective for measurement in complete),
        "test CE": test_ce,
        "test accuracy": study.test_accuracy[choice.winner],
        "test gap": test_ce - winner.train_ce,
        "best test CE": min(study.test_ce[number] for number in trials if number in study.test_ce),
        "epochs": sum(map(epochs_of, record.trials)),
        "pruned": share_pruned(record),
        "eligible": len(choice.eligible),
    }


def epochs_of(trial: TrialRecord) -> int:
    """Returns the epochs that a trial trained."""
    return len(trial.curves.get("val_ce", ()))


def share_pruned(record: StudyRecord) -> float:
    """Returns the share of the searched trials that were pruned; references never are."""
    searched = [trial for trial in record.trials if trial.name is None]
    return sum(trial.state == "PRUNED" for trial in searched) / max(len(searched), 1)


Pairs = dict[str, list[tuple[Measures, Measures]]]
"""Problem -> (mode's pick, base's pick) per seed."""


def paired(picks: Mapping[Key, Measures], mode: str, base: str) -> Pairs:
    """Returns the picks of two modes, by problem, where both have a pick."""
    pairs: Pairs = {}
    for (problem, name, seed), measures in picks.items():
        other = picks.get((problem, base, seed))
        if name == mode and measures and other:
            pairs.setdefault(problem, []).append((measures, other))
    return pairs


def relative(pairs: Sequence[tuple[Measures, Measures]], measure: str) -> np.ndarray:
    """Returns the differences, [num_seeds]: percent of the base's mean, or points."""
    values = np.array([[one[measure], other[measure]] for one, other in pairs])
    scale = 1.0 if measure in POINTS else values[:, 1].mean()
    return 100.0 * (values[:, 0] - values[:, 1]) / scale


def interval(differences: np.ndarray) -> str:
    """Returns mean and 95% interval (Student's t over the pairs)."""
    if len(differences) < 2:
        return "-"
    mean, error = differences.mean(), stats.sem(differences)
    half = stats.t.ppf(0.975, len(differences) - 1) * error
    return f"{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})"


def pooled(pairs: Pairs, measure: str) -> str:
    """Returns mean and interval over the seeds of all problems."""
    return interval(np.concatenate([relative(found, measure) for found in pairs.values()]))


def print_differences(
    title: str, pairs: Pairs, problems: Sequence[str], shown: Sequence[str]
) -> None:
    """Prints a row per problem and one for all of them."""
    if sum(map(len, pairs.values())) < 2:
        return
    print(f"\n### {title} (in %, accuracy in points)\n")
    print(f"| problem | n | {' | '.join(shown)} |\n|{'---|' * (len(shown) + 2)}")
    present = [problem for problem in problems if problem in pairs]
    for problem in present:
        cells = [interval(relative(pairs[problem], measure)) for measure in shown]
        print(f"| {problem} | {len(pairs[problem])} | {' | '.join(cells)} |")
    cells = [pooled(pairs, measure) for measure in shown]
    print(f"| all | {sum(map(len, pairs.values()))} | {' | '.join(cells)} |")


def print_costs(studies: Mapping[Key, Any], picks: Mapping[Key, Measures]) -> None:
    """Prints what each mode trains: epochs, seconds and pruned trials, means over the seeds."""
    print("\n### what a study trains (means over its seeds)\n")
    names = ("share of searched trials pruned", "epochs of all trials", "seconds", "eligible")
    print(f"| problem | mode | n | {' | '.join(names)} | test CE | best test CE of any trial |")
    print(f"|{'---|' * (len(names) + 5)}")
    for problem, mode in dict.fromkeys(key[:2] for key in studies):
        own = [key for key in studies if key[:2] == (problem, mode) and picks[key]]
        means = {name: np.mean([picks[key][name] for key in own]) for name in picks[own[0]]}
        seconds = np.mean([studies[key].seconds for key in own])
        print(
            f"| {problem} | {mode} | {len(own)} | {means['pruned']:.0%} | {means['epochs']:.0f} | "
            f"{seconds:.1f} | {means['eligible']:.1f} | {means['test CE']:.4f} | "
            f"{means['best test CE']:.4f} |"
        )


def print_one_epoch(studies: Mapping[Key, Any], picks: Mapping[Key, Measures]) -> None:
    """Prints what training every trial for one epoch and keeping the best few would give.

    Replayed on studies without pruning, whose sampler learned from all trials trained to their end:
    a favour to it.
    """
    problems = list(dict.fromkeys(problem for problem, _, _ in studies))
    for few in KEPT_AFTER_ONE_EPOCH:
        pairs: Pairs = {}
        for key, study in studies.items():
            if key[1] == "rounds-unpruned":
                pairs.setdefault(key[0], []).append((one_epoch(study, few), picks[key]))
        shown = ("epochs", *SHOWN)
        print_differences(f"one epoch, best {few} kept - rounds-unpruned", pairs, problems, shown)


def one_epoch(study: Any, few: int) -> Measures:
    """Returns the pick among the few trials that are best after one epoch, and epochs spent."""
    trained = [trial for trial in study.record.trials if trial.measurement is not None]
    first = sorted(trained, key=lambda trial: trial.curves["val_ce"][0])[:few]
    found = picked(study, RuleSettings(), (trial.number for trial in first))
    return found | {"epochs": len(trained) + sum(epochs_of(trial) - 1 for trial in first)}


def print_rules(studies: Mapping[Key, Any], mode: str, problems: Sequence[str]) -> None:
    """Prints what each rule's pick is worth on the test part, against the best validation."""
    own = {key: study for key, study in studies.items() if key[1] == mode}
    picks = {
        (problem, name, seed): picked(study, RuleSettings(name))
        for (problem, _, seed), study in own.items()
        for name in RULES
        if name != "pareto"
    }
    print(f"\n### rules on `{mode}`: means of what they pick\n")
    print("| problem | rule | n | test gap | test CE | test accuracy | same pick as best_val |")
    print("|---|---|---|---|---|---|---|")
    for problem, rule in dict.fromkeys(key[:2] for key in picks):
        chosen = {key: value for key, value in picks.items() if key[:2] == (problem, rule)}
        found = [value for value in chosen.values() if value]
        if not found:
            print(f"| {problem} | {rule} | 0 of {len(chosen)} | - | - | - | - |")
            continue
        means = [np.mean([value[name] for value in found]) for name in ("test gap", "test CE")]
        accuracy = np.mean([value["test accuracy"] for value in found])
        same = np.mean(
            [
                value["number"] == picks[key[0], "best_val", key[2]]["number"]
                for key, value in chosen.items()
                if value
            ]
        )
        print(
            f"| {problem} | {rule} | {len(found)} of {len(chosen)} | {means[0]:.4f} | "
            f"{means[1]:.4f} | {accuracy:.4f} | {same:.0%} |"
        )
    for rule in dict.fromkeys(key[1] for key in picks if key[1] != "best_val"):
        rows = paired(picks, rule, "best_val")
        shown = ("gap", "test gap", "test CE", "test accuracy", "val CE", "val accuracy")
        print_differences(f"{rule} - best_val on `{mode}`", rows, problems, shown)


def print_constants(studies: Mapping[Key, Any], mode: str) -> None:
    """Prints what other constants of the default rule would give, against the best validation."""
    shown = ("gap", "test gap", "test CE", "test accuracy")
    print(f"\n### constants of `least_overfit` on `{mode}`, against best_val (%, points)\n")
    print(f"| constants | n | {' | '.join(shown)} |\n|{'---|' * (len(shown) + 2)}")
    own = {key: study for key, study in studies.items() if key[1] == mode}
    for name, constants in CONSTANTS.items():
        pairs: Pairs = {}
        for (problem, _, _), study in own.items():
            found = picked(study, RuleSettings(**constants))
            pairs.setdefault(problem, []).append((found, picked(study, RuleSettings("best_val"))))
        cells = [pooled(pairs, measure) for measure in shown]
        print(f"| {name} | {len(own)} | {' | '.join(cells)} |")
