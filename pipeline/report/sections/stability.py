"""Shows how stable the choice is: how often the rule picks each trial under resampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.formatting import MISSING, percent
from pipeline.report.configurations import trial_label, varying_keys
from pipeline.report.content import Column, Table, Text, tabulate
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.resampling import REPEATS
from pipeline.report.report import Report

STABLE = 0.5
"""Share of resamples below which a winner is called unstable."""

_MAX_LISTED = 6
"""Trials whose share a sentence names; the rest are counted."""


@dataclass(frozen=True)
class _Row:
    """A trial that the rule picks or may pick, and the hyperparameters that vary in the study."""

    report: Report
    number: int
    keys: set[str]

    @property
    def is_winner(self) -> bool:
        return self.number == self.report.selection.winner


def sentences(report: Report) -> Text:
    """Returns how often the rule picks each trial under resampling; empty without a choice.

    The finalists are few and chosen: only the resampling of the whole search tells stability.
    """
    evidence, confirmation = evidence_of(report), report.confirmation
    if len(report.study.trials) < 2:
        return Text(())
    drawn = f"of {REPEATS} resamples of the validation examples"
    lines = []
    if confirmation is not None and len(confirmation.finalists) > 1 and evidence.frequencies:
        lines.append(
            f"Among the {len(confirmation.finalists)} finalists, their seeds unchanged, {drawn} "
            f"the rule picks {_shares(evidence.frequencies)}."
        )
    if evidence.frequencies_search:
        among = "among all candidates, by single trainings, " if confirmation else ""
        shares = _shares(evidence.frequencies_search)
        lines.append(f"Stability: {among}{drawn} the rule picks {shares}.")
    return Text(tuple(lines), style="paragraphs")


def warnings(report: Report) -> list[str]:
    """Returns that the choice is not stable, where it is not, judged by the whole search."""
    shares, winner = evidence_of(report).frequencies_search, report.selection.winner
    if winner is None or not shares:
        return []
    share, several = shares.get(winner, 0.0), len(report.selection.eligible) > 1
    if share >= STABLE or not (several or report.confirmation):
        return []
    by = "by single trainings " if report.confirmation else ""
    finding = (
        "The eligible set is the finding, not its first member."
        if several
        else "Other validation examples or seeds could make another trial the winner."
    )
    return [
        f"The choice is not stable: {by}the winner is picked in {percent(share)} of the resamples. "
        f"{finding}"
    ]


def finding(report: Report) -> str:
    """Returns how often the winner is picked, in a few words; empty without a choice."""
    winner, shares = report.selection.winner, evidence_of(report).frequencies_search
    if winner is None or len(report.study.trials) < 2 or not shares:
        return ""
    return f"the winner is picked in {percent(shares.get(winner, 0.0))} of resamples"


def table(report: Report) -> Table | None:
    """Returns how often the rule picks the eligible and every picked trial; None without picks."""
    samples = _samples(report)
    if not any(samples.values()):
        return None
    picked = [number for shares in samples.values() for number in shares]
    keys = varying_keys(report.study)
    numbers = dict.fromkeys([*report.selection.eligible, *picked])
    rows = [_Row(report, number, keys) for number in numbers]
    shares = [_share_column(heading, shares) for heading, shares in samples.items()]
    note = (
        f"Shares of {REPEATS} resamples of the validation examples; among the finalists their "
        "seeds stay as they are."
    )
    winner = next((place for place, row in enumerate(rows) if row.is_winner), None)
    shown = tabulate("How often the rule picks whom", [*COLUMNS, *shares], rows, note)
    return replace(shown, winner=winner)


def _shares(shares: Mapping[int, float]) -> str:
    words = [f"trial {number} in {percent(share)}" for number, share in shares.items()]
    rest = len(words) - _MAX_LISTED
    more = f", {rest} others in the rest" if rest > 0 else ""
    return f"{', '.join(words[:_MAX_LISTED])}{more}"


def _samples(report: Report) -> Mapping[str, Mapping[int, float]]:
    """Returns the columns of shares by their headings: with finalists two, else one."""
    evidence, confirmation = evidence_of(report), report.confirmation
    if confirmation is None:
        return {"picked in": evidence.frequencies_search}
    search = {"by single trainings": evidence.frequencies_search}
    if len(confirmation.finalists) > 1 and evidence.frequencies:
        return {"among the finalists": evidence.frequencies} | search
    return search


def _share_column(heading: str, shares: Mapping[int, float]) -> Column[_Row]:
    return Column(heading, lambda row: percent(shares.get(row.number, 0.0)))


def _label(row: _Row) -> str:
    trial = row.report.trial(row.number)
    return trial_label(trial, row.keys) if trial else MISSING


def _eligibility(row: _Row) -> str:
    return "eligible" if row.number in row.report.selection.eligible else "not eligible here"


COLUMNS: tuple[Column[_Row], ...] = (
    Column("trial", lambda row: f"{'> ' if row.is_winner else ''}{row.number}"),
    Column("configuration", _label, align="left", shortened=True),
    Column("in this study", _eligibility, align="left"),
)
