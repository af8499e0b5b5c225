"""What the evidence says, in words and tables: the same for terminal, Markdown and HTML.

A :class:`Report` in; sentences and :class:`Table` objects of strings out, numbers through
``rounding``. The evidence comes from ``evidence.evidence_of``, computed once per report. A new
claim is one function here, placed by the pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.formatting import MISSING, between, decimal, percent, signed
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.place import Place
from pipeline.report.evidence.resampling import REPEATS
from pipeline.report.evidence.techniques import Difference, Effect
from pipeline.report.report import Report
from pipeline.selection.records import Finalist
from pipeline.selection.statistics import Z_95, normal_interval

STABLE = 0.5
"""Share of resamples below which a winner is called unstable."""

TECHNIQUES_TITLE = "What each technique buys on its own"

_MOST_PICKS = 6


@dataclass(frozen=True)
class Table:
    """A table of a page, as strings.

    Attributes:
        title: Its heading.
        columns: Names of the columns; the first holds names, the others numbers or remarks.
        rows: As many cells each.
        note: A sentence below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def optimism(report: Report) -> str:
    """Returns how much better the delivered model looked on validation; empty while unread."""
    found = evidence_of(report).optimism
    if found is None:
        return ""
    return (
        f"Optimism (validation - test of the delivered model): cross-entropy {signed(found.ce)}, "
        f"standard error {decimal(found.ce_se)}; accuracy {signed(found.accuracy)}, standard error "
        f"{decimal(found.accuracy_se)}."
    )


def frequencies(report: Report) -> list[str]:
    """Returns how often the rule picks each trial under resampling; empty without a choice.

    The finalists are few and chosen: only the resampling of the whole search tells stability.
    """
    evidence, confirmation = evidence_of(report), report.confirmation
    if len(report.study.trials) < 2:
        return []
    drawn = f"of {REPEATS} resamples of the validation examples"
    found = []
    if confirmation is not None and len(confirmation.finalists) > 1 and evidence.frequencies:
        found.append(
            f"Among the {len(confirmation.finalists)} finalists, their seeds unchanged, {drawn} "
            f"the rule picks {_shares(evidence.frequencies)}."
        )
    if evidence.frequencies_search:
        among = "among all candidates, by single trainings, " if confirmation else ""
        told = _shares(evidence.frequencies_search)
        found.append(f"Stability: {among}{drawn} the rule picks {told}.")
    return found


def _shares(shares: Mapping[int, float]) -> str:
    told = [f"trial {number} in {percent(share)}" for number, share in shares.items()]
    more = f", {len(told) - _MOST_PICKS} others in the rest" if len(told) > _MOST_PICKS else ""
    return f"{', '.join(told[:_MOST_PICKS])}{more}"


def finalists(report: Report) -> Table | None:
    """Returns the finalists with their seeds; None where none were trained."""
    confirmation = report.confirmation
    if confirmation is None or not confirmation.finalists:
        return None
    rows = tuple(_finalist_cells(report, finalist) for finalist in confirmation.finalists)
    columns = ("trial", "seeds", "val acc", "val CE", "gap", "95% of the gap", "val CE by seed")
    note = "Means over the seeds; > winner, of which the seed with the median val CE is delivered."
    return Table("Finalists", columns, rows, note)


def techniques(report: Report) -> Table | None:
    """Returns what each technique buys on its own; None where nothing was measured."""
    view = evidence_of(report).isolation
    if view.baseline is None or all(effect.trial is None for effect in view.effects):
        return None
    columns = ("technique", "trial", "of", "val CE", "95%", "val acc", "gap", "95%")
    rows = tuple(_technique_cells(effect) for effect in view.effects)
    differs = [effect for effect in view.effects if effect.differs and effect.trial is not None]
    note = (
        f"Differences to trial {view.baseline.number}, the unregularized baseline (cross-entropy "
        "and gap: below 0 is better), of the best of so many trials with this technique alone"
    )
    if differs:
        others = ", ".join(f"{e.technique} in {' and '.join(e.differs)}" for e in differs)
        note += f". Part of the effect may be due to other differences: {others}"
    lacking: dict[str, list[str]] = {}
    for effect in view.effects:
        if effect.missing:
            lacking.setdefault(effect.missing, []).append(effect.technique)
    told = [f" {why.capitalize()}: {', '.join(names)}." for why, names in lacking.items()]
    return Table(TECHNIQUES_TITLE, columns, rows, f"{note}.{''.join(told)}")


def warnings(report: Report) -> list[str]:
    """Returns what should make a reader careful: edges, instability, optimism, repeated reading."""
    if report.selection.winner is None:
        return []
    found = [_edge_warning(place) for place in evidence_of(report).places if place.edge]
    found += _unstable(report, report.selection.winner)
    optimistic = evidence_of(report).optimism
    if optimistic is not None and optimistic.ce < -Z_95 * optimistic.ce_se:
        found.append(
            f"Validation was optimistic: the test cross-entropy is {decimal(-optimistic.ce)} nats "
            "higher, more than chance explains. Trust the test figures."
        )
    if report.test is not None and report.test.reads > 1:
        found.append(
            f"The test part was read {report.test.reads} times: each reading after the first "
            "weakens its figures."
        )
    return found


def _unstable(report: Report, winner: int) -> list[str]:
    """Returns that the choice is not stable, where it is not, judged by the whole search."""
    shares = evidence_of(report).frequencies_search
    share, several = shares.get(winner, 0.0), len(report.selection.eligible) > 1
    if not shares or share >= STABLE or not (several or report.confirmation):
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


def _finalist_cells(report: Report, finalist: Finalist) -> tuple[str, ...]:
    measured = finalist.measurement
    won = "> " if finalist.number == report.selection.winner else ""
    interval = normal_interval(measured.gap_ce, measured.gap_ce_se)
    return (
        f"{won}{finalist.number}",
        str(len(finalist.runs)),
        decimal(measured.val_accuracy),
        decimal(measured.val_ce),
        decimal(measured.gap_ce),
        between(*interval),
        ", ".join(decimal(run.measurement.val_ce) for run in finalist.runs if run.measurement),
    )


def _technique_cells(effect: Effect) -> tuple[str, ...]:
    if effect.trial is None:
        return effect.technique, *[MISSING] * 7
    first = (effect.technique, str(effect.trial.number), str(effect.num_trials))
    ce, accuracy, gap = effect.val_ce, effect.accuracy, effect.gap_ce
    if ce is None or accuracy is None or gap is None:
        return *first, *[MISSING] * 5
    return *first, *_cells(ce), signed(accuracy.value), *_cells(gap)


def _cells(found: Difference) -> Sequence[str]:
    return signed(found.value), between(found.low, found.high)


def _edge_warning(place: Place) -> str:
    """Returns what an edge means and what to do about it."""
    end, verb = ("smallest", "lower") if place.edge == "low" else ("largest", "raise")
    limit = place.low if place.edge == "low" else place.high
    where = "beyond" if not 0 <= (place.position or 0.0) <= 1 else "at the edge of"
    return (
        f"The winner's {place.name} ({place.value:.4g}) lies {where} the search space, whose {end} "
        f"value is {limit:.4g}: better ones may lie outside. {verb.capitalize()} the limit and "
        "search again."
    )
