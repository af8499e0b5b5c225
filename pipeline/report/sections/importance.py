"""Says which hyperparameter matters most; the pictures show how much each one does."""

from __future__ import annotations

from pipeline.report.configurations import in_words
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.importance import TARGET_WORDS
from pipeline.report.report import Report


def finding(report: Report) -> str:
    """Returns what matters most for quality and for the gap; empty where nobody can tell."""
    ranking = evidence_of(report).importances.ranking
    first = {target: ranked[0].name for target, ranked in ranking.items()}
    words = [f"{in_words(name)} for the {TARGET_WORDS[target]}" for target, name in first.items()]
    return f"most important: {', '.join(words)}" if words else ""
