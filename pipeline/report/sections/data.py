"""Shows what was found in the data before the study was trained."""

from __future__ import annotations

from pipeline.report.content import Text
from pipeline.report.report import Report


def findings(report: Report) -> Text | None:
    """Returns what is known of the data, a line per finding; None where nothing was found."""
    notes = report.study.data
    if notes is None or not notes.findings:
        return None
    lines = (f"{_sentence(message)} [{code}]" for code, message in notes.findings)
    return Text((*map(_sentence, notes.about), *lines), "The data")


def findings_json(report: Report) -> list[dict[str, str]] | None:
    """Returns the findings for programs; None where nothing was written down."""
    notes = report.study.data
    if notes is None:
        return None
    return [{"code": code, "message": message} for code, message in notes.findings]


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:]}."
