"""Shows what each technique buys on its own, against the unregularized baseline."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.formatting import MISSING, between, signed
from pipeline.report.content import Column, Table, tabulate
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.techniques import Difference, Effect, Isolation
from pipeline.report.report import Report


def table(report: Report) -> Table | None:
    """Returns the effect of each technique; None where nothing was measured."""
    view = evidence_of(report).isolation
    if view.baseline is None or all(effect.trial is None for effect in view.effects):
        return None
    note = f"{_meaning(view, view.baseline.number)}.{_without_numbers(view)}"
    return tabulate("What each technique buys on its own", COLUMNS, view.effects, note)


def _meaning(view: Isolation, baseline: int) -> str:
    """Returns what the numbers are, and what else may have a share in them."""
    note = (
        f"Differences to trial {baseline}, the unregularized baseline (cross-entropy "
        "and gap: below 0 is better), of the best of so many trials with this technique alone"
    )
    differing = [effect for effect in view.effects if effect.differs and effect.trial is not None]
    if not differing:
        return note
    others = ", ".join(f"{e.technique} in {' and '.join(e.differs)}" for e in differing)
    return f"{note}. Part of the effect may be due to other differences: {others}"


def _without_numbers(view: Isolation) -> str:
    """Returns why some techniques have no numbers, those with the same reason together."""
    names_by_reason: dict[str, list[str]] = {}
    for effect in view.effects:
        if effect.missing:
            names_by_reason.setdefault(effect.missing, []).append(effect.technique)
    lines = [f" {why.capitalize()}: {', '.join(names)}." for why, names in names_by_reason.items()]
    return "".join(lines)


def _trial(effect: Effect) -> str:
    return str(effect.trial.number) if effect.trial is not None else MISSING


def _num_settings(effect: Effect) -> str:
    return str(effect.num_trials) if effect.trial is not None else MISSING


def _value(difference: Callable[[Effect], Difference | None]) -> Callable[[Effect], str]:
    """Returns a column's cell: a difference to the baseline, if there is one."""

    def cell(effect: Effect) -> str:
        found = difference(effect)
        return signed(found.value) if found is not None else MISSING

    return cell


def _interval(difference: Callable[[Effect], Difference | None]) -> Callable[[Effect], str]:
    """Returns a column's cell: the 95% interval of a difference, if there is one."""

    def cell(effect: Effect) -> str:
        found = difference(effect)
        return between(found.low, found.high) if found is not None else MISSING

    return cell


COLUMNS: tuple[Column[Effect], ...] = (
    Column("technique", lambda effect: effect.technique, align="left"),
    Column("trial", _trial),
    Column("of", _num_settings),
    Column("val CE", _value(lambda effect: effect.val_ce)),
    Column("95%", _interval(lambda effect: effect.val_ce)),
    Column("val acc", _value(lambda effect: effect.accuracy)),
    Column("gap", _value(lambda effect: effect.gap_ce)),
    Column("95%", _interval(lambda effect: effect.gap_ce)),
)
