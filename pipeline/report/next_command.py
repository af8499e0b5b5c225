"""Says which command follows a report: to use its model, or to see the choice that is locked."""

from __future__ import annotations

from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings


def next_command(report: Report) -> list[str]:
    """Returns the words of the command to type after a report; none where it says what to do."""
    if report.model_uri is not None:
        name, _, _ = report.model_uri.rpartition("/")
        model = f"{name}@{report.alias}" if report.alias else report.model_uri
        return ["pipeline", "predict", "--model", model, "--input", "FILE"]
    is_what_if = report.selection.rule.name != RuleSettings().name
    if report.selection.status == "ok" and is_what_if:
        return ["pipeline", "report", "--study", report.study.study]
    return []
