"""Shows how often the delivered model is wrong on each class of the test part."""

from __future__ import annotations

from pipeline.formatting import between, decimal
from pipeline.report.content import Column, Table, tabulate
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.class_errors import ClassError
from pipeline.report.report import Report


def table(report: Report) -> Table | None:
    """Returns the errors per class, highest rate first; None while the test part is unread."""
    found = evidence_of(report).class_errors
    if found is None:
        return None
    note = f"Macro-F1 {decimal(found.macro_f1)}, 95% {between(*found.macro_f1_interval)}."
    return tabulate("Errors per class on the test part", COLUMNS, found.classes, note)


def _taken_for(entry: ClassError) -> str:
    return f"{entry.taken_for} ({entry.times})" if entry.taken_for is not None else ""


COLUMNS: tuple[Column[ClassError], ...] = (
    Column("class", lambda entry: entry.name, align="left"),
    Column("test examples", lambda entry: str(entry.num_examples)),
    Column("error rate", lambda entry: decimal(entry.rate)),
    Column("95%", lambda entry: between(*entry.interval)),
    Column("most often taken for", _taken_for, align="left"),
)
