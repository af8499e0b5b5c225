"""Shows the trials of a study: their table, short or whole, and why each one was not chosen.

A new column is one entry of :data:`COLUMNS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.formatting import MISSING, decimal, with_interval
from pipeline.records import Measurement, TrialRecord
from pipeline.report.configurations import trial_label, varying_keys
from pipeline.report.content import LONG_FORMATS, SHORT_FORMATS, Column, Table, Text, tabulate
from pipeline.report.report import Report
from pipeline.selection.records import Verdict
from pipeline.selection.verdicts import gap_interval_of
from pipeline.training.descriptions import describe

NUM_ROWS = 15
"""Trials in the short table, besides the winner, the best one and the named references."""

NUM_REASONS = 5
"""Trials whose reason for losing is listed."""


@dataclass(frozen=True)
class _Row:
    """A trial, the report that it is part of, and the hyperparameters that vary there."""

    report: Report
    trial: TrialRecord
    keys: set[str]

    @property
    def verdict(self) -> Verdict | None:
        return self.report.selection.verdicts.get(self.trial.number)


def short_table(report: Report) -> Table | None:
    """Returns the first trials by rank, always with the winner, the best one and the references."""
    roles = {report.selection.winner, report.selection.reference}
    trials = [
        trial
        for place, trial in enumerate(ranked(report))
        if place < NUM_ROWS or trial.number in roles or trial.name
    ]
    return _table(report, "Trials", trials) if trials else None


def full_table(report: Report) -> Table | Text:
    """Returns all trials by rank, each with the reasons for its verdict and for not being chosen.

    Without trials it is a sentence that says so.
    """
    trials = ranked(report)
    title = "Every trial"
    if not trials:
        return Text(("The study has no trials.",), title, style="paragraphs")
    table = _table(report, title, trials)
    return replace(table, note=f"{table.note}.")


def finding(report: Report) -> str:
    """Returns how many trials have which verdict, in a few words."""
    words = Counter(verdict.name for verdict in report.selection.verdicts.values())
    return ", ".join(f"{count} {name}" for name, count in words.most_common())


def reasons(report: Report) -> Text:
    """Returns why the trials next to the winner lost, closest first."""
    others = [trial for trial in ranked(report) if trial.number != report.selection.winner]
    lost = [(trial, why_not_chosen(report, trial)) for trial in others]
    lines = [f"Trial {trial_name(trial)}: {why}." for trial, why in lost if why]
    rest = len(lines) - NUM_REASONS
    more = [f"... {rest} more; the JSON report has every trial's reason."] if rest > 0 else []
    title = "Why not" if report.selection.winner is None else "Why not the others"
    return Text((*lines[:NUM_REASONS], *more), title)


def ranked(report: Report) -> list[TrialRecord]:
    """Returns the trials: eligible first by gap, then the rest by val_ce, unmeasured ones last."""
    rank = {number: place for place, number in enumerate(report.selection.eligible)}

    def key(trial: TrialRecord) -> tuple[int, float, int]:
        if trial.number in rank:
            return 0, rank[trial.number], trial.number
        if trial.state == "COMPLETE" and trial.measurement and trial.measurement.finite:
            return 1, trial.measurement.val_ce, trial.number
        return 2, 0.0, trial.number

    return sorted(report.study.trials, key=key)


def trial_name(trial: TrialRecord) -> str:
    """Returns a trial's number, with its name where it is a reference configuration."""
    return f"{trial.number} ({trial.name})" if trial.name else str(trial.number)


def why_not_chosen(report: Report, trial: TrialRecord) -> str:
    """Returns why a trial was not chosen; empty for the winner and where no trial was."""
    if trial.number == report.selection.winner:
        return ""
    excluded = report.selection.excluded.get(trial.number)
    own, winners = report.judged(trial.number), report.judged(report.selection.winner)
    if excluded or own is None or winners is None:
        return excluded or ""
    worse = []
    if own.gap_ce > winners.gap_ce:
        worse.append(f"gap ({decimal(own.gap_ce)} against {decimal(winners.gap_ce)})")
    if own.val_ce > winners.val_ce:
        worse.append(f"cross-entropy ({decimal(own.val_ce)} against {decimal(winners.val_ce)})")
    if own.num_parameters > winners.num_parameters:
        worse.append(f"parameters ({own.num_parameters:,} against {winners.num_parameters:,})")
    winner = report.selection.winner
    return f"eligible, but trial {winner} is better in {', '.join(worse) or 'its number'}"


def _table(report: Report, title: str, trials: Sequence[TrialRecord]) -> Table:
    keys, eligible = varying_keys(report.study), set(report.selection.eligible)
    table = tabulate(title, COLUMNS, [_Row(report, trial, keys) for trial in trials])
    places = {trial.number: place for place, trial in enumerate(trials)}
    last = max((places[number] for number in eligible & places.keys()), default=None)
    winner = report.selection.winner
    return replace(
        table,
        note=_legend(report) + _omissions(report, len(trials)),
        winner=places.get(winner) if winner is not None else None,
        # Below the last table row there is nothing to set apart.
        line_after=last if last != len(trials) - 1 else None,
    )


def _legend(report: Report) -> str:
    """Returns what the first column and the units of the table mean."""
    over = " (of the finalists, over their seeds)" if report.confirmation else ""
    return (
        f"> winner, b best validation cross-entropy{over}; cross-entropies (CE) and gaps "
        "(validation minus training CE) in nats"
    )


def _omissions(report: Report, num_shown: int) -> str:
    """Returns how many trials the table leaves out, and that its rows are of one seed each."""
    rest = len(report.study.trials) - num_shown
    hidden = f"; ... {rest} more" if rest else ""
    if report.confirmation is None:
        return hidden
    return f"{hidden}; one seed each; finalists have a table of their own"


def _role(row: _Row) -> str:
    """Returns ``>`` for the winner, ``b`` for the best-validation trial, ``>b`` for both."""
    selection, number = row.report.selection, row.trial.number
    winner = ">" if number == selection.winner else ""
    return winner + ("b" if number == selection.reference else "")


def _name_and_configuration(row: _Row) -> str:
    config = describe(row.trial.config, row.keys) or "plain"
    return f"{row.trial.name}: {config}" if row.trial.name else config


def _number(value: Callable[[Measurement], float]) -> Callable[[_Row], str]:
    """Returns a column's cell: a number of the measurement, if there is one."""
    return lambda row: decimal(value(row.trial.measurement) if row.trial.measurement else None)


def _gap(row: _Row) -> str:
    measured = row.trial.measurement
    if measured is None or not measured.finite:
        return MISSING
    return with_interval(measured.gap_ce, *gap_interval_of(measured))


def _epoch(row: _Row) -> str:
    measured = row.trial.measurement
    return f"{measured.best_epoch}/{measured.epochs}" if measured else MISSING


COLUMNS: tuple[Column[_Row], ...] = (
    Column("", _role, align="left"),
    Column("trial", lambda row: str(row.trial.number)),
    Column(
        "configuration",
        lambda row: trial_label(row.trial, row.keys),
        align="left",
        shortened=True,
        formats=SHORT_FORMATS,
    ),
    Column("configuration", _name_and_configuration, align="left", formats=LONG_FORMATS),
    Column("verdict", lambda row: row.verdict.name if row.verdict else MISSING, align="left"),
    Column("val gap (95%)", _gap),
    Column("val acc", _number(lambda measured: measured.val_accuracy)),
    Column("val CE", _number(lambda measured: measured.val_ce)),
    Column("train CE", _number(lambda measured: measured.train_ce)),
    Column("epoch", _epoch, formats=LONG_FORMATS),
    Column(
        "why not chosen",
        lambda row: why_not_chosen(row.report, row.trial),
        align="left",
        formats=LONG_FORMATS,
    ),
    Column(
        "why this verdict",
        lambda row: row.verdict.because if row.verdict else "",
        align="left",
        formats=LONG_FORMATS,
    ),
)
