"""What rules, margins, finalists, seeds and deliveries are worth on the test part, all afterwards.

In: studies and what their finalists predict with several seeds (``study_seeds.py``). Out, on
stdout: paired differences with 95% intervals, as Markdown tables. The rule is the product's,
applied to what would be delivered: to the mean of the seeds' probabilities for an ensemble, to the
means of the seeds' measures otherwise. Its standard errors contain the variance between the seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from study_finalists import trained_in_search
from study_runs import Finished
from study_seeds import PARTS, Predicted, Repeated
from study_tables import Key, Measures, Pairs, pooled, print_differences

from pipeline.selection.candidates import Candidates
from pipeline.selection.confirm import median_index
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import choose, select

SHOWN = ("test gap", "test CE", "test accuracy")
DELIVERIES = ("ensemble", "median seed", "best seed", "mean of seeds")


@dataclass(frozen=True)
class Rule:
    """How a model is chosen and delivered.

    Attributes:
        seeds: Seeds per finalist.
        finalists: Finalists of the first stage, the best one included.
        margins: k, tau and tau_accuracy of the second stage.
        deliver: One of DELIVERIES.
        strict: Whether the first stage has the strict margins, too.
        name: A rule of the product.
    """

    seeds: int = 3
    finalists: int = 9
    margins: tuple[float, float, float] = (1.0, 0.05, 0.01)
    deliver: str = "ensemble"
    strict: bool = False
    name: str = "least_overfit"

    @property
    def settings(self) -> RuleSettings:
        """The product's settings of the second stage."""
        k, tau, tau_accuracy = self.margins
        return RuleSettings(self.name, k=k, tau=tau, tau_accuracy=tau_accuracy)

    def __str__(self) -> str:
        k, tau, tau_accuracy = self.margins
        stage = "strict " if self.strict else ""
        return (
            f"{self.deliver} of {self.seeds}; {self.name}, k {k:g}, tau {tau:g}, tau_accuracy "
            f"{tau_accuracy:g}; {stage}F {self.finalists}"
        )


class Configuration:
    """A trial's trainings with some seeds, alone and as the mean of their probabilities."""

    def __init__(self, repeated: Repeated, number: int, seeds: int) -> None:
        self.number, self.seeds = number, seeds
        self.measurements = repeated.measurements[number][:seeds]
        self.predicted = repeated.predicted[number]
        self.labels = repeated.labels

    def alone(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns each seed's nll and hits on a part, float64 [num_seeds, num_examples]."""
        found: Predicted = self.predicted[part]
        hits = found.probabilities[: self.seeds].argmax(axis=2) == self.labels[part]
        return found.nll[: self.seeds].astype(np.float64), hits.astype(np.float64)

    def together(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns nll and hits of the mean of the probabilities, float64 [num_examples]."""
        found = self.predicted[part]
        nll = -np.log(np.exp(-found.nll[: self.seeds].astype(np.float64)).mean(axis=0))
        # The sum in float64: halves would tie.
        summed = found.probabilities[: self.seeds].sum(axis=0, dtype=np.float64)
        return nll, (summed.argmax(axis=1) == self.labels[part]).astype(np.float64)

    @cached_property
    def rows(self) -> dict[bool, tuple[np.ndarray, np.ndarray]]:
        """Whether it is judged as an ensemble -> nll and hits on validation for the rule.

        Of an ensemble, each seed's row is the mean's, moved by how far that seed alone is from the
        others: so its standard errors contain the seeds, as the product has them.
        """
        alone, mean = self.alone("validation"), self.together("validation")
        levels = [rows.mean(axis=1, keepdims=True) for rows in alone]
        moved = tuple(
            own[None, :] + level - level.mean() for own, level in zip(mean, levels, strict=True)
        )
        return {False: alone, True: (moved[0], moved[1])}

    @cached_property
    def ensemble(self) -> Measures:
        """What the mean of the probabilities is worth."""
        return worth({part: self.together(part) for part in PARTS})

    @cached_property
    def single(self) -> tuple[Measures, ...]:
        """What each seed is worth."""
        alone = {part: self.alone(part) for part in PARTS}
        return tuple(
            worth({part: (nll[seed], hits[seed]) for part, (nll, hits) in alone.items()})
            for seed in range(self.seeds)
        )

    @cached_property
    def mean(self) -> Measures:
        """The mean of what its seeds are worth."""
        return {name: float(np.mean([one[name] for one in self.single])) for name in self.single[0]}

    def delivered(self, deliver: str) -> Measures:
        """Returns what a delivery of it is worth."""
        if deliver == "ensemble":
            return self.ensemble
        if deliver == "mean of seeds":
            return self.mean
        values = [one["val CE"] for one in self.single]
        place = median_index(values) if deliver == "median seed" else int(np.argmin(values))
        return self.single[place]


def worth(parts: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Measures:
    """Returns the measures of per-example results by part."""
    ce = {part: float(nll.mean()) for part, (nll, _) in parts.items()}
    return {
        "val CE": ce["validation"],
        "gap": ce["validation"] - ce["train"],
        "test CE": ce["test"],
        "test gap": ce["test"] - ce["train"],
        "test accuracy": float(parts["test"][1].mean()),
    }


@dataclass(frozen=True)
class Case:
    """A study with its repeated trainings.

    Attributes:
        study: As it was searched.
        repeated: What was trained with more seeds.
    """

    study: Finished
    repeated: Repeated

    @cached_property
    def _configurations(self) -> Callable[[int, int], Configuration]:
        return lru_cache(None)(lambda number, seeds: Configuration(self.repeated, number, seeds))

    def configuration(self, number: int, seeds: int) -> Configuration:
        """Returns a trial with so many seeds, computed once."""
        return self._configurations(number, seeds)

    @property
    def best(self) -> int:
        """The trial with the best validation cross-entropy in the search."""
        return self.repeated.wide[-1]

    def shortlist(self, rule: Rule) -> list[int]:
        """Returns the finalists of a rule, ascending."""
        *others, best = self.repeated.strict if rule.strict else self.repeated.wide
        return sorted({*others[: rule.finalists - 1], best})

    def chosen(self, rule: Rule) -> int:
        """Returns the finalist that a rule chooses."""
        together = rule.deliver == "ensemble"
        found = [self.configuration(number, rule.seeds) for number in self.shortlist(rule)]
        rows = [one.rows[together] for one in found]
        measured = [one.measurements[0] for one in found]
        judged = [one.ensemble if together else one.mean for one in found]
        candidates = Candidates(
            numbers=np.array([one.number for one in found]),
            nll=np.stack([nll for nll, _ in rows]),
            correct=np.stack([hits for _, hits in rows]),
            gap_ce=np.array([one["gap"] for one in judged]),
            gap_ce_se=np.zeros(len(found)),
            num_parameters=np.array([one.num_parameters for one in measured]),
            epochs=np.array([one.epochs for one in measured]),
            log10_p_guessing=np.full(len(found), -np.inf),
        )
        winner = choose(candidates, {}, rule.settings).winner
        assert winner is not None
        return winner

    def delivered(self, rule: Rule) -> Measures:
        """Returns what a rule delivers."""
        return self.configuration(self.chosen(rule), rule.seeds).delivered(rule.deliver)

    def tuner(self) -> Measures:
        """Returns what other tuners deliver: the best validation, as trained in the search."""
        return trained_in_search(self.study, self.best)

    def first_choice(self) -> Measures:
        """Returns what the default rule picks by one training each."""
        winner = select(self.study.record, RuleSettings()).winner
        assert winner is not None
        return trained_in_search(self.study, winner)


Deliver = Callable[[Case], Measures]


def of_best(seeds: int, deliver: str = "ensemble") -> Deliver:
    """Returns the delivery of the search's best validation with several seeds."""
    return lambda case: case.configuration(case.best, seeds).delivered(deliver)


def of_baseline(seeds: int) -> Deliver:
    """Returns the delivery of no regularization; of the best where that training failed."""
    return lambda case: case.configuration(
        case.best if case.repeated.baseline is None else case.repeated.baseline, seeds
    ).delivered("ensemble")


def by(rule: Rule) -> Deliver:
    """Returns the delivery of a rule."""
    return lambda case: case.delivered(rule)


def differences(cases: Mapping[Key, Case], deliver: Deliver, base: Deliver) -> Pairs:
    """Returns (delivered, base) of each study, by problem."""
    pairs: Pairs = {}
    for key, case in cases.items():
        pairs.setdefault(key[0], []).append((deliver(case), base(case)))
    return pairs


def print_rows(title: str, cases: Mapping[Key, Case], rows: Mapping[str, Deliver]) -> None:
    """Prints a row per delivery, against the best validation's single training."""
    print(f"\n### {title}, against the best validation's single training (%, points)\n")
    print(f"| delivered | {' | '.join(SHOWN)} |\n|{'---|' * (len(SHOWN) + 1)}")
    for name, deliver in rows.items():
        pairs = differences(cases, deliver, Case.tuner)
        print(f"| {name} | {' | '.join(pooled(pairs, measure) for measure in SHOWN)} |")


def grid() -> dict[str, Deliver]:
    """Returns the ensembles among which the defaults are chosen."""
    rules = (
        Rule(seeds, finalists, margins)
        for seeds, finalists in itertools.product((3, 5), (5, 9))
        for margins in itertools.product((0.0, 1.0, 2.0), (0.02, 0.05, 0.1), (0.005, 0.01, 0.02))
    )
    return {str(rule): by(rule) for rule in rules}


def deliveries(default: Rule) -> dict[str, Deliver]:
    """Returns every delivery that is told of, the default's neighbours among them."""
    rows: dict[str, Deliver] = {
        "rule by one training each, that training": Case.first_choice,
        "as before: strict margins, 5 finalists x 3, median seed": by(
            Rule(3, 5, deliver="median seed", strict=True)
        ),
        "strict margins, 5 finalists x 3, ensemble": by(Rule(3, 5, strict=True)),
    }
    for seeds, deliver in itertools.product((1, 3, 5), DELIVERIES):
        if seeds > 1 or deliver == "ensemble":
            rule = replace(default, seeds=seeds, deliver=deliver)
            rows[str(rule)] = by(rule)
    for finalists in (3, 5, 7, 9):
        rule = replace(default, finalists=finalists)
        rows[str(rule)] = by(rule)
    for margins in (
        (0.0, 0.05, 0.01), (1.0, 0.02, 0.005), (1.0, 0.05, 0.01), (1.0, 0.1, 0.01),
        (1.0, 0.1, 0.02), (2.0, 0.05, 0.01), (2.0, 0.1, 0.02),
    ):  # fmt: skip
        rule = replace(default, margins=margins)
        rows[str(rule)] = by(rule)
    for name in ("one_se", "best_val", "fewest_params"):
        rule = replace(default, name=name)
        rows[str(rule)] = by(rule)
    for seeds in (3, 5):
        rows[f"best validation of the search, ensemble of {seeds}"] = of_best(seeds)
        rows[f"best validation of the search, median of {seeds}"] = of_best(seeds, "median seed")
        rows[f"no regularization, ensemble of {seeds}"] = of_baseline(seeds)
    return rows


def print_deliveries(cases: Mapping[Key, Case], default: Rule, *, all_rules: bool) -> None:
    """Prints every table.

    Args:
        cases: The studies.
        default: How the product chooses and delivers.
        all_rules: Whether the grid of margins is printed, too.
    """
    problems = list(dict.fromkeys(problem for problem, _, _ in cases))
    if all_rules:
        print_rows("margins, finalists and seeds", cases, grid())
        return
    print_rows("rules and deliveries", cases, deliveries(default))
    for name, base in (
        ("the best validation's single training", Case.tuner),
        ("the best validation as the same ensemble", of_best(default.seeds)),
        ("no regularization as the same ensemble", of_baseline(default.seeds)),
    ):
        pairs = differences(cases, by(default), base)
        print_differences(f"{default}: against {name}", pairs, problems, SHOWN)
    changed = np.mean([case.chosen(default) != case.best for case in cases.values()])
    alone = np.mean([len(case.shortlist(default)) == 1 for case in cases.values()])
    print(f"\nanother than the search's best is delivered in {changed:.0%}; alone in {alone:.0%}")
