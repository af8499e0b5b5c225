"""Shows the finalists: the means over their seeds, and the cross-entropy of each seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.formatting import decimal, with_interval
from pipeline.report.content import Column, Table, tabulate
from pipeline.report.report import Report
from pipeline.selection.records import ENSEMBLE, MEDIAN, SINGLE, Finalist
from pipeline.selection.verdicts import gap_interval_of


@dataclass(frozen=True)
class _Row:
    finalist: Finalist
    is_winner: bool


def table(report: Report) -> Table | None:
    """Returns the finalists with their seeds; None where none were trained."""
    finalists = report.confirmation.finalists if report.confirmation else ()
    if not finalists:
        return None
    rows = [_Row(entry, entry.number == report.selection.winner) for entry in finalists]
    how = _HOW[rows[0].finalist.deliver]
    note = f"Finalists: {how}"
    winner = next((place for place, row in enumerate(rows) if row.is_winner), None)
    return replace(tabulate("Finalists", COLUMNS, rows, note), winner=winner)


_HOW = {
    ENSEMBLE: (
        "judged is the mean of the seeds' probabilities as one model, an ensemble. > winner, "
        "whose ensemble is delivered."
    ),
    SINGLE: "means over the seeds. > winner, of which the seed with the best val CE is delivered.",
    MEDIAN: (
        "means over the seeds. > winner, of which the seed with the median val CE is delivered."
    ),
}


def _gap(row: _Row) -> str:
    measured = row.finalist.measurement
    return with_interval(measured.gap_ce, *gap_interval_of(measured))


def _by_seed(row: _Row) -> str:
    runs = row.finalist.runs
    return ", ".join(decimal(run.measurement.val_ce) for run in runs if run.measurement)


COLUMNS: tuple[Column[_Row], ...] = (
    Column("trial", lambda row: f"{'> ' if row.is_winner else ''}{row.finalist.number}"),
    Column("seeds", lambda row: str(len(row.finalist.runs))),
    Column("val gap (95%)", _gap),
    Column("val acc", lambda row: decimal(row.finalist.measurement.val_accuracy)),
    Column("val CE", lambda row: decimal(row.finalist.measurement.val_ce)),
    Column("val CE by seed", _by_seed),
)
