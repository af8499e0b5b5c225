"""The winner beside its rivals, in words and as a table: the best on validation, the baseline.

A :class:`Report` in, sentences and a :class:`Table` out; test figures where the models were tested.
A new rival is an entry in ``rivals``.
"""

from __future__ import annotations

import numpy as np

from pipeline.formatting import MISSING, between, decimal, signed
from pipeline.records import TestResult, TrialRecord
from pipeline.report.evidence import evidence_of
from pipeline.report.report import Report
from pipeline.report.sections.claims import Table
from pipeline.selection.statistics import normal_interval, paired_standard_error


def comparisons(report: Report) -> list[str]:
    """Returns how the best-validation trial and the baseline compare with the winner."""
    winner = report.selection.winner
    if winner is None:
        return []
    lines = [_best_single(report)]
    lines += [_comparison(report, role, trial) for role, trial in rivals(report)]
    if winner == report.selection.reference:
        over = ", by the means over seeds" if report.confirmation else ""
        lines.insert(0, f"It is the best-validation trial, too{over}.")
    return [line for line in lines if line]


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
    if report.finalist(report.selection.winner):
        note = (
            "Of finalists the seed with the median val CE; the mean gap over seeds is what was "
            "selected on. The test gap is test minus train."
        )
    return Table("Side by side", columns, rows, note)


def rivals(report: Report) -> list[tuple[str, TrialRecord]]:
    """Returns the models to compare the winner with: the best ones, the unregularized baseline."""
    winner, reference = report.selection.winner, report.selection.reference
    baseline = evidence_of(report).isolation.baseline
    roles: dict[int, list[str]] = {}
    if reference is not None and reference != winner:
        roles[reference] = ["best on validation"]
    overtaken = _overtaken(report)
    if overtaken is not None and overtaken.number != winner:
        roles[overtaken.number] = ["best single training of the search"]
    if baseline is not None and baseline.number != winner:
        roles.setdefault(baseline.number, []).append("unregularized baseline")
    models = [(" and ".join(words), report.measured(number)) for number, words in roles.items()]
    return [(words, model) for words, model in models if model is not None]


def _best_single(report: Report) -> str:
    """Returns what became of the search's best trial where, over seeds, another one is the best."""
    best = _overtaken(report)
    if best is None or best.measurement is None or report.confirmation is None:
        return ""
    finalist = report.finalist(best.number)
    then = (
        f"over {len(finalist.runs)} seeds it reaches {decimal(finalist.measurement.val_ce)}"
        if finalist
        else "it is not among the finalists"
    )
    return (
        f"The best single training of the search was trial {best.number}, cross-entropy "
        f"{decimal(best.measurement.val_ce)}; {then}."
    )


def _overtaken(report: Report) -> TrialRecord | None:
    """The search's best trial where the best one over seeds is another; None where they agree."""
    if report.confirmation is None:
        return None
    best = evidence_of(report).best_of_search
    return best if best is not None and best.number != report.selection.reference else None


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
