"""Says whether validation flattered the delivered model, and warns of repeated readings."""

from __future__ import annotations

from pipeline.formatting import decimal, signed
from pipeline.report.evidence import evidence_of
from pipeline.report.report import Report
from pipeline.selection.statistics import Z_95

MOST_STUDIES = 5
"""Names of other studies that a line shows."""


def optimism(report: Report) -> str:
    """Returns how much better the delivered model looked on validation; empty while unread."""
    found = evidence_of(report).optimism
    if found is None:
        return ""
    return (
        "Optimism, by which validation flatters: the delivered model's figures there minus those "
        f"on the test part. Cross-entropy {signed(found.ce)} (below 0 is flattered), standard "
        f"error {decimal(found.ce_se)}; accuracy {signed(found.accuracy)} (above 0 is), standard "
        f"error {decimal(found.accuracy_se)}."
    )


def warnings(report: Report) -> list[str]:
    """Returns that validation was optimistic beyond chance, and that the part was read again."""
    found, lines = evidence_of(report).optimism, []
    # One-sided on purpose: a model that does better on the test part needs no warning.
    if found is not None and found.ce < -Z_95 * found.ce_se:
        lines.append(
            f"Validation was optimistic: the test cross-entropy is {decimal(-found.ce)} nats "
            "higher, more than chance explains. Trust the test figures."
        )
    if report.test is not None and report.test.reads > 1:
        lines.append(
            f"The test part was read {report.test.reads} times: each reading after the first "
            "weakens its figures."
        )
    if report.test is not None and report.other_reads:
        by = ", ".join(
            f"'{study}'" + (f" ({reads} times)" if reads > 1 else "")
            for study, reads in list(report.other_reads.items())[:MOST_STUDIES]
        )
        rest = len(report.other_reads) - MOST_STUDIES
        total = report.test.reads + sum(report.other_reads.values())
        more = f" and {rest} more" if rest > 0 else ""
        lines.append(
            f"Other studies read the same test part: {by}{more}; {total} times in all. Whoever "
            "compares studies by it, or searched on with what it said, finds its figures too good."
        )
    return lines
