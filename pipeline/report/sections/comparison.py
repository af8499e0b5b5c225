"""Shows the winner beside the other models: the best score and the unregularized baseline.

Their figures on the test part stand here where they were tested. Another model to compare with is
an entry of :func:`others`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

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
from pipeline.report.report import BEST_SCORE, NO_REGULARIZATION, WINNER, Report, Size
from pipeline.report.sections import test_results
from pipeline.selection.confirm import mean_measurement
from pipeline.selection.records import ENSEMBLE, MEDIAN, SINGLE, Verdict

BEST_SINGLE = "best of the search"
ONE_TRAINING = f"{BEST_SINGLE}, one training"
"""What other tuners deliver."""
SEEDS_ALONE = "its seeds alone, on average"


@dataclass(frozen=True)
class Row:
    """A model, what it is to the report, its verdict and its result on the test part.

    Attributes:
        role: What it is to the report.
        model: The model.
        verdict: Of its training in the search.
        test: On the test part; None where it was not measured there.
        trainings: Those whose mean it is.
        on_average: Whether its figures are means over several models, not those of one.
    """

    role: str
    model: TrialRecord
    verdict: Verdict | None
    test: TestResult | None
    trainings: int = 1
    on_average: bool = False


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
    lines = [
        f"Validation{_which_seed(report)}: accuracy {decimal(measured.val_accuracy)}, "
        f"cross-entropy {decimal(measured.val_ce)} nats, gap to training "
        f"{decimal(measured.gap_ce)} (selected on).",
        size(report),
    ]
    return Text(tuple(line for line in lines if line), style="paragraphs")


def size_alone(report: Report) -> Text:
    """Returns size and speed for a page whose numbers and tables have the validation figures."""
    line = size(report)
    return Text((line,) if line else (), style="paragraphs")


def size(report: Report) -> str:
    """Returns size and speed of the delivered model and of one training; empty while unknown."""
    whole, alone = report.sizes.get("delivered"), report.sizes.get("one training")
    if whole is None or alone is None:
        return ""
    line = f"Size of what is delivered: {_size(whole)}"
    return f"{line}; of one seed alone {_size(alone)}." if whole != alone else f"{line}."


def _size(one: Size) -> str:
    milliseconds = f"{one.milliseconds_per_example:.3g}"
    return f"{one.num_parameters:,} parameters, {milliseconds} ms per example in batches"


def table(report: Report) -> Table | None:
    """Returns winner, best score and baseline side by side; None without a winner."""
    delivered = report.delivered
    if delivered is None or delivered.measurement is None:
        return None
    shown = rows(report)
    note = "Cross-entropies (CE) and gaps in nats; validation figures are those selected on."
    finalist = report.finalist(report.selection.winner)
    if finalist is not None:
        note = f"{_HOW[finalist.deliver]} Verdicts are on the training in the search."
    if any(row.role == ONE_TRAINING for row in shown):
        note += f" '{ONE_TRAINING}' is what other tuners deliver."
    tested = any(row.test is not None for row in shown)
    columns = COLUMNS if tested else (*ROLE_COLUMNS, *validation_columns(EVERY_FORMAT))
    return replace(tabulate("Side by side", columns, shown, note), winner=0)


_NATS = "Cross-entropies (CE) and gaps in nats."
_HOW = {
    ENSEMBLE: (
        f"{_NATS} A model of several seeds is the mean of their probabilities; so it is judged, "
        "delivered and measured."
    ),
    SINGLE: f"{_NATS} Of several seeds the best; selected on were the means over seeds.",
    MEDIAN: (
        f"{_NATS} Of finalists the seed with the median val CE; selected on were the means over "
        "seeds."
    ),
}


def rows(report: Report) -> list[Row]:
    """Returns the models side by side, the winner first; it has to be there.

    The winner as delivered and its seeds alone, the best-validation ones delivered the same way,
    the search's best training as other tuners deliver it, and no regularization.
    """
    delivered = report.delivered
    assert delivered is not None, "there is a winner"
    found = [_row(report, WINNER, delivered)]
    runs = report.seeds_behind(delivered.number)
    if runs:
        mean = replace(delivered, measurement=mean_measurement(runs), validation=None)
        tested = [report.tested_trainings.get(str(run.mlflow_run_id)) for run in runs]
        found.append(Row(SEEDS_ALONE, mean, None, mean_result(tested), on_average=True))
    found += [_row(report, role, model) for role, model in others(report)]
    best = evidence_of(report).best_of_search
    if runs and best is not None:
        verdict = report.selection.verdicts.get(best.number)
        alone = report.tested_trainings.get(str(best.mlflow_run_id))
        found.insert(
            -1 if _has_baseline_last(report, found) else len(found),
            Row(ONE_TRAINING, best, verdict, alone),
        )
    return found


def _has_baseline_last(report: Report, found: Sequence[Row]) -> bool:
    return len(found) > 1 and found[-1].role == NO_REGULARIZATION


def _row(report: Report, role: str, model: TrialRecord) -> Row:
    number = model.number
    return Row(
        role,
        model,
        report.selection.verdicts.get(number),
        report.tested.get(number, report.test if role == WINNER else None),
        len(report.parts(number)),
    )


def mean_result(results: Sequence[TestResult | None]) -> TestResult | None:
    """Returns the means of several models' results; None where one of them is missing."""
    found = [one for one in results if one is not None]
    if not found or len(found) < len(results):
        return None
    means: dict[str, Any] = {
        entry.name: float(np.mean([getattr(one, entry.name) for one in found]))
        for entry in fields(TestResult)
    }
    return TestResult(**means | {"reads": found[0].reads})


def costs(report: Report) -> Table | None:
    """Returns what the winner's smaller gap costs in quality; None where no test tells."""
    found = evidence_of(report).test_differences
    shown = [
        _Cost(role, model, found[model.number])
        for role, model in others(report)
        if model.number in found
    ]
    alone = evidence_of(report).one_training_difference
    best = evidence_of(report).best_of_search
    if alone is not None and best is not None:
        shown.append(_Cost(ONE_TRAINING, best, alone))
    # What it costs most comes first.
    shown.sort(key=lambda row: -row.found.ce.value)
    note = "The winner minus the other model, on the same test examples; 95% in brackets."
    if report.seeds_behind(report.selection.winner):
        note += " They contain the luck of the seeds."
    return tabulate("What the choice costs", COSTS, shown, note) if shown else None


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
    count = len(finalist.runs)
    if finalist.place is None:
        return f" of the delivered model (the mean of {count} seeds)"
    seed = report.seeds_of(finalist)[finalist.place]
    named = f"seed {seed}, " if seed is not None else ""
    which = "the median" if finalist.deliver == MEDIAN else "the best"
    return f" of the delivered model ({named}{which} of {count})"


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


def _validation(value: Callable[[Measurement], float]) -> Callable[[Row], str]:
    """Returns a column's cell: a number on validation, if the model was measured."""
    return lambda row: decimal(value(row.model.measurement) if row.model.measurement else None)


def _test(words: Callable[[TestResult], str]) -> Callable[[Row], str]:
    """Returns a column's cell: something of the test part, if the model was tested."""
    return lambda row: words(row.test) if row.test is not None else MISSING


def _test_accuracy(row: Row) -> str:
    test = row.test
    if test is None or row.on_average:
        return MISSING if test is None else decimal(test.accuracy)
    return with_interval(test.accuracy, test.accuracy_low, test.accuracy_high)


def _test_gap(row: Row) -> str:
    test = row.test
    if test is None or row.on_average:
        return MISSING if test is None else decimal(test.gap_ce)
    return with_interval(test.gap_ce, test.gap_ce_low, test.gap_ce_high)


def _change(difference: Difference) -> str:
    return f"{signed(difference.value)} ({signed(difference.low)} to {signed(difference.high)})"


def validation_columns(formats: Collection[str]) -> tuple[Column[Row], ...]:
    """Returns the columns of figures on validation, which appear in these formats."""
    values: dict[str, Callable[[Measurement], float]] = {
        "val gap": lambda measured: measured.gap_ce,
        "val acc": lambda measured: measured.val_accuracy,
        "val CE": lambda measured: measured.val_ce,
    }
    return tuple(
        Column(name, _validation(value), formats=formats) for name, value in values.items()
    )


ROLE_COLUMNS: tuple[Column[Row], ...] = (
    Column("model", lambda row: row.role, align="left"),
    Column("trial", lambda row: str(row.model.number)),
    Column("seeds", lambda row: str(row.trainings)),
    Column("verdict", lambda row: row.verdict.name if row.verdict else MISSING, align="left"),
)

COLUMNS: tuple[Column[Row], ...] = (
    *ROLE_COLUMNS,
    Column("test gap (95%)", _test_gap),
    Column("test acc", _test(lambda test: decimal(test.accuracy)), formats=SHORT_FORMATS),
    Column("test acc (95%)", _test_accuracy, formats=LONG_FORMATS),
    Column("test CE", _test(lambda test: decimal(test.ce))),
    *validation_columns(LONG_FORMATS),
)

COSTS: tuple[Column[_Cost], ...] = (
    Column("against", lambda row: row.role, align="left"),
    Column("trial", lambda row: str(row.model.number)),
    Column("accuracy difference", lambda row: _change(row.found.accuracy)),
    Column("CE difference, nats", lambda row: _change(row.found.ce)),
)
