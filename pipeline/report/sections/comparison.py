"""Shows the winner beside the other models: the best score and the unregularized baseline.

Their figures on the test part stand here where they were tested. Another model to compare with is
an entry of :func:`others`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from pipeline.formatting import MISSING, decimal, signed, with_interval
from pipeline.records import Measurement, TestResult, TrialRecord
from pipeline.report.content import (
    EVERY_FORMAT,
    LONG_FORMATS,
    SHORT_FORMATS,
    Column,
    Table,
    Text,
    tabulate,
)
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.differences import Difference, Differences
from pipeline.report.report import BEST_SCORE, NO_REGULARIZATION, WINNER, Report
from pipeline.report.sections import test_results
from pipeline.selection.records import Verdict

BEST_SINGLE = "best single training of the search"


@dataclass(frozen=True)
class _Row:
    """A model, what it is to the report, its verdict and its result on the test part."""

    role: str
    model: TrialRecord
    verdict: Verdict | None
    test: TestResult | None


@dataclass(frozen=True)
class _Cost:
    """Another model than the winner, and the winner's results minus its own."""

    role: str
    model: TrialRecord
    found: Differences


def introduction(report: Report) -> Text:
    """Returns the winner's verdict, what became of the search's best, and the optimism."""
    lines = [_verdict(report), _best_of_search(report), test_results.optimism(report)]
    return Text(tuple(line for line in lines if line), style="paragraphs")


def validation(report: Report) -> Text:
    """Returns the delivered model's figures on validation, for pages whose table lacks them."""
    delivered = report.delivered
    measured = delivered.measurement if delivered else None
    if measured is None or report.test is None:
        return Text(())
    line = (
        f"Validation{_which_seed(report)}: accuracy {decimal(measured.val_accuracy)}, "
        f"cross-entropy {decimal(measured.val_ce)} nats, gap to training "
        f"{decimal(measured.gap_ce)} (selected on)."
    )
    return Text((line,), style="paragraphs")


def table(report: Report) -> Table | None:
    """Returns winner, best score and baseline side by side; None without a winner."""
    delivered = report.delivered
    if delivered is None or delivered.measurement is None:
        return None
    models = [(WINNER, delivered), *others(report)]
    rows = [
        _Row(
            role,
            model,
            report.selection.verdicts.get(model.number),
            report.tested.get(model.number, report.test if role == WINNER else None),
        )
        for role, model in models
    ]
    note = "Cross-entropies (CE) and gaps in nats; validation figures are those selected on."
    if report.finalist(report.selection.winner):
        note = (
            "Cross-entropies (CE) and gaps in nats. Of finalists the seed with the median val CE; "
            "selected on were the means over seeds, verdicts are on the training in the search."
        )
    tested = any(row.test is not None for row in rows)
    columns = COLUMNS if tested else (*ROLE_COLUMNS, *validation_columns(EVERY_FORMAT))
    return replace(tabulate("Side by side", columns, rows, note), winner=0)


def costs(report: Report) -> Table | None:
    """Returns what the winner's smaller gap costs in quality; None where no test tells."""
    found = evidence_of(report).test_differences
    rows = [
        _Cost(role, model, found[model.number])
        for role, model in others(report)
        if model.number in found
    ]
    note = "The winner minus the other model, on the same test examples; 95% in brackets."
    return tabulate("What the choice costs", COSTS, rows, note) if rows else None


def others(report: Report) -> list[tuple[str, TrialRecord]]:
    """Returns the models to compare the winner with: the best ones, the unregularized baseline."""
    winner, best, baseline = report.selection.winner, report.best, report.baseline
    roles: dict[int, list[str]] = {}
    if best is not None and best.number != winner:
        roles[best.number] = [BEST_SCORE]
    overtaken = _overtaken(report)
    if overtaken is not None and overtaken.number != winner:
        roles[overtaken.number] = [BEST_SINGLE]
    if baseline is not None and baseline.number != winner:
        roles.setdefault(baseline.number, []).append(NO_REGULARIZATION)
    models = [(", ".join(words), report.measured(number)) for number, words in roles.items()]
    return [(words, model) for words, model in models if model is not None]


def _verdict(report: Report) -> str:
    verdict = report.selection.verdicts.get(-1 if report.winner is None else report.winner.number)
    if verdict is None:
        return ""
    where = " on its training in the search" if report.confirmation else ""
    return f"The winner's verdict{where}: {verdict.name} - {verdict.because}."


def _which_seed(report: Report) -> str:
    finalist = report.finalist(report.selection.winner)
    if finalist is None:
        return ""
    seed = report.seeds_of(finalist)[finalist.median]
    named = f"seed {seed}, " if seed is not None else ""
    return f" of the delivered model ({named}the median of {len(finalist.runs)})"


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
        f"The {BEST_SINGLE} was trial {best.number}, validation cross-entropy "
        f"{decimal(best.measurement.val_ce)}; {then}."
    )


def _overtaken(report: Report) -> TrialRecord | None:
    """Returns the search's best trial where over seeds another is best; None where they agree."""
    if report.confirmation is None:
        return None
    best = evidence_of(report).best_of_search
    return best if best is not None and best.number != report.selection.reference else None


def _validation(value: Callable[[Measurement], float]) -> Callable[[_Row], str]:
    """Returns a column's cell: a number on validation, if the model was measured."""
    return lambda row: decimal(value(row.model.measurement) if row.model.measurement else None)


def _test(words: Callable[[TestResult], str]) -> Callable[[_Row], str]:
    """Returns a column's cell: something of the test part, if the model was tested."""
    return lambda row: words(row.test) if row.test is not None else MISSING


def _test_accuracy(test: TestResult) -> str:
    return with_interval(test.accuracy, test.accuracy_low, test.accuracy_high)


def _test_gap(test: TestResult) -> str:
    return with_interval(test.gap_ce, test.gap_ce_low, test.gap_ce_high)


def _change(difference: Difference) -> str:
    return f"{signed(difference.value)} ({signed(difference.low)} to {signed(difference.high)})"


def validation_columns(formats: Collection[str]) -> tuple[Column[_Row], ...]:
    """Returns the columns of figures on validation, which appear in these formats."""
    values: dict[str, Callable[[Measurement], float]] = {
        "val gap": lambda measured: measured.gap_ce,
        "val acc": lambda measured: measured.val_accuracy,
        "val CE": lambda measured: measured.val_ce,
    }
    return tuple(
        Column(name, _validation(value), formats=formats) for name, value in values.items()
    )


ROLE_COLUMNS: tuple[Column[_Row], ...] = (
    Column("model", lambda row: row.role, align="left"),
    Column("trial", lambda row: str(row.model.number)),
    Column("verdict", lambda row: row.verdict.name if row.verdict else MISSING, align="left"),
)

COLUMNS: tuple[Column[_Row], ...] = (
    *ROLE_COLUMNS,
    Column("test gap (95%)", _test(_test_gap)),
    Column("test acc", _test(lambda test: decimal(test.accuracy)), formats=SHORT_FORMATS),
    Column("test acc (95%)", _test(_test_accuracy), formats=LONG_FORMATS),
    Column("test CE", _test(lambda test: decimal(test.ce))),
    *validation_columns(LONG_FORMATS),
)

COSTS: tuple[Column[_Cost], ...] = (
    Column("against", lambda row: row.role, align="left"),
    Column("trial", lambda row: str(row.model.number)),
    Column("accuracy difference", lambda row: _change(row.found.accuracy)),
    Column("CE difference, nats", lambda row: _change(row.found.ce)),
)
