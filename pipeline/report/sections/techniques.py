"""Shows what each technique buys on its own, against the unregularized baseline."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.formatting import MISSING, decimal, signed
from pipeline.report.configurations import in_words, technique_words
from pipeline.report.content import LONG_FORMATS, Column, Table, tabulate
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.differences import Difference
from pipeline.report.evidence.techniques import Effect, Isolation
from pipeline.report.report import Report


def table(report: Report) -> Table | None:
    """Returns the effect of each technique; None where nothing was measured."""
    view = evidence_of(report).isolation
    if view.baseline is None or all(effect.trial is None for effect in view.effects):
        return None
    note = f"{_meaning(view, view.baseline.number)}.{_without_numbers(view)}"
    return tabulate("What each technique buys on its own", COLUMNS, view.effects, note)


def finding(report: Report) -> str:
    """Returns which technique alone lowers the gap most, in a few words; empty where none does."""
    effects = [e for e in evidence_of(report).isolation.effects if e.gap_ce is not None]
    least = min(effects, key=lambda e: e.gap_ce.value if e.gap_ce else 0.0, default=None)
    if least is None or least.gap_ce is None:
        return ""
    change = signed(least.gap_ce.value)
    return f"{technique_words(least.technique)} changes the gap most: {change} nats"


def _meaning(view: Isolation, baseline: int) -> str:
    """Returns what the numbers are, and what else may have a share in them."""
    note = (
        f"Changes against trial {baseline}, no regularization, on validation (cross-entropy and "
        "gap: below 0 is better), of the best of so many settings with this technique alone"
    )
    several = [effect for effect in view.effects if effect.seeds > 1]
    if several:
        alone = [e for e in view.effects if e.seeds == 1 and e.trial is not None]
        but = f" (but one training each of {_names(alone)})" if alone else ""
        note += (
            f". Compared are the means of {several[0].seeds} seeds each{but}: the intervals "
            "contain the luck of the seeds"
        )
    differing = [effect for effect in view.effects if effect.differs and effect.trial is not None]
    if not differing:
        return note
    others = ", ".join(
        f"{technique_words(e.technique)} in {' and '.join(map(in_words, e.differs))}"
        for e in differing
    )
    return f"{note}. Part of the effect may be due to other differences: {others}"


def _names(effects: Sequence[Effect]) -> str:
    return ", ".join(technique_words(effect.technique) for effect in effects)


def _without_numbers(view: Isolation) -> str:
    """Returns why some techniques have no numbers, those with the same reason together."""
    names_by_reason: dict[str, list[str]] = {}
    for effect in view.effects:
        if effect.missing:
            names_by_reason.setdefault(effect.missing, []).append(technique_words(effect.technique))
    lines = [f" {why.capitalize()}: {', '.join(names)}." for why, names in names_by_reason.items()]
    return "".join(lines)


def _trial(effect: Effect) -> str:
    return str(effect.trial.number) if effect.trial is not None else MISSING


def _num_settings(effect: Effect) -> str:
    return str(effect.num_trials) if effect.trial is not None else MISSING


def _change(found: Difference | None) -> str:
    """Returns a difference to the baseline with its 95% interval, if there is one."""
    if found is None:
        return MISSING
    return f"{signed(found.value)} ({decimal(found.low)} to {decimal(found.high)})"


COLUMNS: tuple[Column[Effect], ...] = (
    Column("technique", lambda effect: technique_words(effect.technique), align="left"),
    Column("trial", _trial),
    Column("settings", _num_settings),
    Column(
        "seeds",
        lambda effect: str(effect.seeds) if effect.trial is not None else MISSING,
        formats=LONG_FORMATS,
    ),
    Column("gap change (95%)", lambda effect: _change(effect.gap_ce)),
    Column("CE change (95%)", lambda effect: _change(effect.val_ce)),
    Column(
        "acc change", lambda effect: signed(effect.accuracy.value) if effect.accuracy else MISSING
    ),
)
