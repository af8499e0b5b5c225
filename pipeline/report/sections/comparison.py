"""Shows the winner beside the other models: the best on validation and the unregularized baseline.

Their figures on the test part stand here where they were tested. Another model to compare with is
an entry of :func:`others`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.formatting import MISSING, between, decimal, signed
from pipeline.records import Measurement, TestResult, TrialRecord
from pipeline.report.content import Column, Table, tabulate
from pipeline.report.evidence import evidence_of
from pipeline.report.report import Report
from pipeline.selection.statistics import normal_interval, paired_standard_error


@dataclass(frozen=True)
class _Row:
    """A model, what it is to the report, and its result on the test part."""

    role: str
    model: TrialRecord
    test: TestResult | None


def sentences(report: Report) -> list[str]:
    """Returns how the best-validation trial and the baseline compare with the winner."""
    winner = report.selection.winner
    if winner is None:
        return []
    lines = [_best_of_search(report)]
    lines += [_comparison(report, role, trial) for role, trial in others(report)]
    if winner == report.selection.reference:
        over = ", by the means over seeds" if report.confirmation else ""
        lines.insert(0, f"It is the best-validation trial, too{over}.")
    return [line for line in lines if line]


def table(report: Report) -> Table | None:
    """Returns winner, best-validation trial and baseline side by side; None without a winner."""
    delivered = report.delivered
    if delivered is None or delivered.measurement is None:
        return None
    tested = report.tested.get(delivered.number, report.test)
    rows = [_Row("winner", delivered, tested)]
    rows += [_Row(role, model, report.tested.get(model.number)) for role, model in others(report)]
    note = "The validation gap is what was selected on; the test gap is test minus train."
    if report.finalist(report.selection.winner):
        note = (
            "Of finalists the seed with the median val CE; the mean gap over seeds is what was "
            "selected on. The test gap is test minus train."
        )
    return replace(tabulate("Side by side", COLUMNS, rows, note), winner=0)


def others(report: Report) -> list[tuple[str, TrialRecord]]:
    """Returns the models to compare the winner with: the best ones, the unregularized baseline."""
    winner, best, baseline = report.selection.winner, report.best, report.baseline
    roles: dict[int, list[str]] = {}
    if best is not None and best.number != winner:
        roles[best.number] = ["best on validation"]
    overtaken = _overtaken(report)
    if overtaken is not None and overtaken.number != winner:
        roles[overtaken.number] = ["best single training of the search"]
    if baseline is not None and baseline.number != winner:
        roles.setdefault(baseline.number, []).append("unregularized baseline")
    models = [(" and ".join(words), report.measured(number)) for number, words in roles.items()]
    return [(words, model) for words, model in models if model is not None]


def _best_of_search(report: Report) -> str:
    """Returns what became of the search's best trial where, over seeds, another one is the best."""
    best = _overtaken(report)
    if best is None or best.measurement is None:
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
    """Returns the search's best trial where over seeds another is best; None where they agree."""
    if report.confirmation is None:
        return None
    best = evidence_of(report).best_of_search
    return best if best is not None and best.number != report.selection.reference else None


def _comparison(report: Report, role: str, model: TrialRecord) -> str:
    """Returns a model's figures: on the test part where both were tested, else on validation."""
    winners = report.tested.get(int(report.selection.winner or 0))
    own = report.tested.get(model.number)
    name = f"Beside it, the {role}, trial {model.number}"
    if winners is not None and own is not None and report.test is not None:
        return f"{name}: test {_test_words(own)}{_paired_difference(report, model.number)}."
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


def _paired_difference(report: Report, number: int) -> str:
    """Returns by how much the winner's accuracy differs on the same test examples, if kept."""
    test, winner = report.test_examples, report.selection.winner
    if test is None or winner is None or not {winner, number} <= test.results.keys():
        return ""
    winners, own = test.results[winner].correct, test.results[number].correct
    if np.array_equal(winners, own):
        return "; the winner is right on the same examples"
    value = float(winners.mean() - own.mean())
    low, high = normal_interval(value, paired_standard_error(winners, own))
    return f"; the winner's accuracy differs by {signed(value)}, 95% {between(low, high)}"


def _validation(value: Callable[[Measurement], float]) -> Callable[[_Row], str]:
    """Returns a column's cell: a number on validation, if the model was measured."""
    return lambda row: decimal(value(row.model.measurement) if row.model.measurement else None)


def _test(words: Callable[[TestResult], str]) -> Callable[[_Row], str]:
    """Returns a column's cell: something of the test part, if the model was tested."""
    return lambda row: words(row.test) if row.test is not None else MISSING


COLUMNS: tuple[Column[_Row], ...] = (
    Column("model", lambda row: row.role, align="left"),
    Column("trial", lambda row: str(row.model.number)),
    Column("val acc", _validation(lambda measured: measured.val_accuracy)),
    Column("val CE", _validation(lambda measured: measured.val_ce)),
    Column("val gap", _validation(lambda measured: measured.gap_ce)),
    Column("test acc", _test(lambda test: decimal(test.accuracy))),
    Column("95%", _test(lambda test: between(test.accuracy_low, test.accuracy_high))),
    Column("test CE", _test(lambda test: decimal(test.ce))),
    Column("test gap", _test(lambda test: decimal(test.gap_ce))),
    Column("95%", _test(lambda test: between(test.gap_ce_low, test.gap_ce_high))),
)
