"""What is said of a user's data before training: a stable code and a sentence each.

A finding refuses nothing; ``--ignore CODE`` keeps it from being told. What makes data unusable
is an error instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that a user should know of their data.

    Attributes:
        code: A key of :data:`CODES`.
        message: What was found, in a sentence; names columns, classes or numbers.
    """

    code: str
    message: str


CODES: dict[str, str] = {
    "constant": "A column has one value in every row and is left out.",
    "id": "A column names the rows (distinct whole numbers in steps, or distinct words) and is left"
    " out; --ignore id keeps numbers as a feature.",
    "text": "A column holds texts and is left out; --text makes features of its words.",
    "dropped": "Columns are left out because --drop names them.",
    "case": "Classes differ in capitals or blanks only and stay apart.",
}
"""Code of a finding -> what it means; the page on data lists them."""


def told(findings: Iterable[Finding], ignored: Sequence[str]) -> tuple[Finding, ...]:
    """Returns the findings whose codes are not ignored."""
    return tuple(finding for finding in findings if finding.code not in ignored)
