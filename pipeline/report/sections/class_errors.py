"""Shows how often the delivered model is wrong on each class of the test part."""

from __future__ import annotations

from pipeline.formatting import percent, with_interval
from pipeline.report.content import Column, Table, tabulate
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.class_errors import ClassError
from pipeline.report.report import Report

UNBALANCED = 2.0
"""The largest class of the test part has so many times the examples of the smallest."""
NUM_ROWS = 10
"""Classes that the short pages show."""


def table(report: Report) -> Table | None:
    """Returns the errors per class, highest rate first; None while the test part is unread."""
    found = evidence_of(report).class_errors
    if found is None:
        return None
    return tabulate("Errors per class on the test part", COLUMNS, found.classes)


def short_table(report: Report) -> Table | None:
    """Returns the classes with the highest rates and the macro-F1, where classes are unbalanced.

    Where they are as frequent as each other, accuracy says as much in one number.
    """
    found = evidence_of(report).class_errors
    if found is None or not found.classes:
        return None
    sizes = [entry.num_examples for entry in found.classes]
    if max(sizes) < UNBALANCED * min(sizes):
        return None
    left = len(found.classes) - NUM_ROWS
    more = f"{left} classes more, with lower rates, are on the HTML page. " if left > 0 else ""
    macro_f1 = with_interval(found.macro_f1, *found.macro_f1_interval)
    note = (
        f"{more}Macro-F1, the mean over the classes that the test part has: {macro_f1}, 95% in "
        "brackets."
    )
    return tabulate("Errors per class on the test part", COLUMNS, found.classes[:NUM_ROWS], note)


def finding(report: Report) -> str:
    """Returns the class with the most errors, in a few words; empty while the part is unread."""
    found = evidence_of(report).class_errors
    if found is None or not found.classes:
        return ""
    first = found.classes[0]
    if not first.rate:
        return "on no test example"
    return f"most often on {first.name}: {percent(first.rate)} of {first.num_examples}"


def _taken_for(entry: ClassError) -> str:
    return f"{entry.taken_for} ({entry.times})" if entry.taken_for is not None else ""


COLUMNS: tuple[Column[ClassError], ...] = (
    Column("class", lambda entry: entry.name, align="left"),
    Column("test examples", lambda entry: str(entry.num_examples)),
    Column("error rate (95%)", lambda entry: with_interval(entry.rate, *entry.interval)),
    Column("most often taken for", _taken_for, align="left"),
)
