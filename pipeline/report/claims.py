"""What the evidence says, in words and tables: the same for terminal, Markdown and HTML.

A :class:`Report` in; sentences and :class:`Table` objects of strings out, numbers through
``rounding``. The evidence comes from ``evidence.evidence_of``, computed once per report. A new
claim is one function here, placed by the pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.records import Finalist, TestResult, TrialRecord
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.place import Place
from pipeline.report.evidence.resampling import REPEATS
from pipeline.report.evidence.techniques import Difference, Effect
from pipeline.report.rounding import MISSING, between, decimal, percent, signed
from pipeline.report.rows import Report
from pipeline.report.statistics import Z_95, normal_interval, paired_standard_error

STABLE = 0.5
"""Share of resamples below which a winner is called unstable."""

TECHNIQUES_TITLE = "What each technique buys on its own"

_MOST_PICKS = 6


@dataclass(frozen=True)
class Table:
    """A table of a page, as strings.

    Attributes:
        title: Its heading.
        columns: Names of the columns; the first holds names, the others numbers or remarks.
        rows: As many cells each.
        note: A sentence below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def comparisons(report: Report) -> list[str]:
    """Returns how the best-validation trial and the baseline compare with the winner."""
    winner = report.selection.winner
    if winner is None:
        return []
    lines = [_comparison(report, role, trial) for role, trial in rivals(report)]
    if winner == report.selection.reference:
        lines.insert(0, "It is the best-validation trial, too.")
    return lines


def rivals(report: Report) -> list[tuple[str, TrialRecord]]:
    """Returns the models to compare the winner with: best validation, unregularized baseline."""
    winner, reference = report.selection.winner, report.selection.reference
    baseline = evidence_of(report).isolation.baseline
    roles: dict[int, list[str]] = {}
    if reference is not None and reference != winner:
        roles[reference] = ["best on validation"]
    if baseline is not None and baseline.number != winner:
        roles.setdefault(baseline.number, []).append("unregularized baseline")
    models = [(" and ".join(words), report.measured(number)) for number, words in roles.items()]
    return [(words, model) for words, model in models if model is not None]


def optimism(report: Report) -> str:
    """Returns how much better the delivered model looked on validation; empty while unread."""
    found = evidence_of(report).optimism
    if found is None:
        return ""
    return (
        f"Optimism (validation - test of the delivered model): cross-entropy {signed(found.ce)}, "
        f"standard error {decimal(found.ce_se)}; accuracy {signed(found.accuracy)}, standard error "
        f"{decimal(found.accuracy_se)}."
    )


def frequencies(report: Report) -> str:
    """Returns how often the rule picks each trial under resampling; empty without a choice."""
    shares = evidence_of(report).frequencies
    if len(shares) == 0 or len(report.study.trials) < 2:
        return ""
    told = [f"trial {number} in {percent(share)}" for number, share in shares.items()]
    more = f", {len(told) - _MOST_PICKS} others in the rest" if len(told) > _MOST_PICKS else ""
    seeds = " (the finalists' seeds unchanged)" if report.confirmation else ""
    return (
        f"Stability: of {REPEATS} resamples of the validation examples{seeds} the rule picks "
        f"{', '.join(told[:_MOST_PICKS])}{more}."
    )


def compared(report: Report) -> Table | None:
    """Returns winner, best-validation trial and baseline side by side; None without a winner."""
    delivered = report.delivered
    if delivered is None or delivered.measurement is None:
        return None
    validation, test = ("val acc", "val CE", "val gap"), ("test acc", "95%", "test CE")
    columns = ("model", "trial", *validation, *test, "test gap", "95%")
    models = [("winner", delivered), *rivals(report)]
    rows = tuple(_compared_cells(report, role, model) for role, model in models)
    note = "The validation gap is what was selected on; the test gap is test minus train."
    return Table("Side by side", columns, rows, note)


def finalists(report: Report) -> Table | None:
    """Returns the finalists with their seeds; None where none were trained."""
    confirmation = report.confirmation
    if confirmation is None or not confirmation.finalists:
        return None
    rows = tuple(_finalist_cells(report, finalist) for finalist in confirmation.finalists)
    columns = ("trial", "seeds", "val acc", "val CE", "gap", "95% of the gap", "val CE by seed")
    note = "Means over the seeds; > winner, of which the seed with the median val CE is delivered."
    return Table("Finalists", columns, rows, note)


def techniques(report: Report) -> Table | None:
    """Returns what each technique buys on its own; None where nothing was measured."""
    view = evidence_of(report).isolation
    if view.baseline is None or all(effect.trial is None for effect in view.effects):
        return None
    columns = ("technique", "trial", "of", "val CE", "95%", "val acc", "gap", "95%")
    rows = tuple(_technique_cells(effect) for effect in view.effects)
    differs = [effect for effect in view.effects if effect.differs and effect.trial is not None]
    note = (
        f"Differences to trial {view.baseline.number}, the unregularized baseline (cross-entropy "
        "and gap: below 0 is better), of the best of so many trials with this technique alone"
    )
    if differs:
        others = ", ".join(f"{e.technique} in {' and '.join(e.differs)}" for e in differs)
        note += f". Part of the effect may be due to other differences: {others}"
    lacking: dict[str, list[str]] = {}
    for effect in view.effects:
        if effect.missing:
            lacking.setdefault(effect.missing, []).append(effect.technique)
    told = [f" {why.capitalize()}: {', '.join(names)}." for why, names in lacking.items()]
    return Table(TECHNIQUES_TITLE, columns, rows, f"{note}.{''.join(told)}")


def warnings(report: Report) -> list[str]:
    """Returns what should make a reader careful: edges, instability, optimism, repeated reading."""
    if report.selection.winner is None:
        return []
    found = [_edge_warning(place) for place in evidence_of(report).places if place.edge]
    shares, winner = evidence_of(report).frequencies, report.selection.winner
    if shares and shares.get(winner, 0.0) < STABLE and len(report.selection.eligible) > 1:
        found.append(
            f"The choice is not stable: the winner is picked in {percent(shares.get(winner, 0.0))} "
            "of the resamples. The eligible set is the finding, not its first member."
        )
    optimistic = evidence_of(report).optimism
    if optimistic is not None and optimistic.ce < -Z_95 * optimistic.ce_se:
        found.append(
            f"Validation was optimistic: the test cross-entropy is {decimal(-optimistic.ce)} nats "
            "higher, more than chance explains. Trust the test figures."
        )
    if report.test is not None and report.test.reads > 1:
        found.append(
            f"The test part was read {report.test.reads} times: each reading after the first "
            "weakens its figures."
        )
    return found


def _comparison(report: Report, role: str, model: TrialRecord) -> str:
    mine = report.tested.get(int(report.selection.winner or 0))
    its = report.tested.get(model.number)
    name = f"Beside it, the {role}, trial {model.number}"
    if mine is not None and its is not None and report.test is not None:
        return f"{name}: test {_test_words(its)}{_paired(report, model.number)}."
    measured = model.measurement
    if measured is None:
        return f"{name}: not measured."
    return (
        f"{name}: validation accuracy {decimal(measured.val_accuracy)}, cross-entropy "
        f"{decimal(measured.val_ce)}, gap {decimal(measured.gap_ce)}."
    )


def _test_words(test: TestResult) -> str:
    return (
        f"accuracy {decimal(test.accuracy)}, 95% {between(test.accuracy_low, test.accuracy_high)}; "
        f"cross-entropy {decimal(test.ce)}; gap {decimal(test.gap_ce)}, 95% "
        f"{between(test.gap_ce_low, test.gap_ce_high)}"
    )


def _paired(report: Report, number: int) -> str:
    """The winner's advantage in accuracy on the same test examples, where they were kept."""
    test, winner = report.test_examples, report.selection.winner
    if test is None or winner is None or not {winner, number} <= test.results.keys():
        return ""
    mine, its = test.results[winner].correct, test.results[number].correct
    if np.array_equal(mine, its):
        return "; the winner is right on the same examples"
    value = float(mine.mean() - its.mean())
    low, high = normal_interval(value, paired_standard_error(mine, its))
    return f"; the winner's accuracy differs by {signed(value)}, 95% {between(low, high)}"


def _compared_cells(report: Report, role: str, model: TrialRecord) -> tuple[str, ...]:
    measured, test = model.measurement, report.tested.get(model.number)
    if test is None and role == "winner":
        test = report.test
    values = (measured.val_accuracy, measured.val_ce, measured.gap_ce) if measured else (None,) * 3
    first = (role, str(model.number), *map(decimal, values))
    if test is None:
        return *first, *[MISSING] * 5
    return (
        *first,
        decimal(test.accuracy),
        between(test.accuracy_low, test.accuracy_high),
        decimal(test.ce),
        decimal(test.gap_ce),
        between(test.gap_ce_low, test.gap_ce_high),
    )


def _finalist_cells(report: Report, finalist: Finalist) -> tuple[str, ...]:
    measured = finalist.measurement
    won = "> " if finalist.number == report.selection.winner else ""
    interval = normal_interval(measured.gap_ce, measured.gap_ce_se)
    return (
        f"{won}{finalist.number}",
        str(len(finalist.runs)),
        decimal(measured.val_accuracy),
        decimal(measured.val_ce),
        decimal(measured.gap_ce),
        between(*interval),
        ", ".join(decimal(run.measurement.val_ce) for run in finalist.runs if run.measurement),
    )


def _technique_cells(effect: Effect) -> tuple[str, ...]:
    if effect.trial is None:
        return effect.technique, *[MISSING] * 7
    first = (effect.technique, str(effect.trial.number), str(effect.num_trials))
    ce, accuracy, gap = effect.val_ce, effect.accuracy, effect.gap_ce
    if ce is None or accuracy is None or gap is None:
        return *first, *[MISSING] * 5
    return *first, *_cells(ce), signed(accuracy.value), *_cells(gap)


def _cells(found: Difference) -> Sequence[str]:
    return signed(found.value), between(found.low, found.high)


def _edge_warning(place: Place) -> str:
    """Returns what an edge means and what to do about it."""
    end, verb = ("smallest", "lower") if place.edge == "low" else ("largest", "raise")
    limit = place.low if place.edge == "low" else place.high
    where = "beyond" if not 0 <= (place.position or 0.0) <= 1 else "at the edge of"
    return (
        f"The winner's {place.name} ({place.value:.4g}) lies {where} the search space, whose {end} "
        f"value is {limit:.4g}: better ones may lie outside. {verb.capitalize()} the limit and "
        "search again."
    )
