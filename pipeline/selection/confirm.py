"""From finalists that were trained to a :class:`Confirmation` and what the rule says about it.

In: a study, the first choice, and trainings by trial number and seed. Out: means over the seeds,
with the variance between seeds in their standard errors, the seed to deliver, and the confirmed
:class:`Selection`. Pure functions: what trains is ``finalists``.

The seed delivered is the one with the median ``val_ce``, not the best: the best of K seeds looks
better than the configuration is, and its validation figures would say so nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.records import Measurement, StudyRecord, TrialRecord
from pipeline.selection.candidates import of_finalists, unfit
from pipeline.selection.records import Confirmation, Finalist, Selection
from pipeline.selection.rules import by_gap
from pipeline.selection.select import confirm, shortlist
from pipeline.selection.statistics import seeds_gap_standard_error

Trained = Mapping[tuple[int, int], TrialRecord]
"""Trainings of finalists by trial number and seed."""

SEED_STREAM = 2**30
"""Trials' seeds come from the study's seed and their number, all far below this."""

ONE_SEED = (
    "One training per trial decided (--seeds 1): the luck of its seed is part of the choice, and "
    "the standard errors do not contain it. Without the option, finalists are trained again with "
    "3 seeds each."
)


@dataclass(frozen=True)
class Decision:
    """What a report rests on: the selection and, where there are any, its finalists.

    Attributes:
        selection: Confirmed where there are finalists; its ``rule.seeds`` is 1 where there are not.
        confirmation: The finalists; None for none.
        dropped: Finalists that could not be chosen -> why.
    """

    selection: Selection
    confirmation: Confirmation | None = None
    dropped: Mapping[int, str] | None = None


def seed_list(seed: int, count: int) -> tuple[int, ...]:
    """Returns the seeds of a study's finalists, 32 bits each, that none of its trials had.

    A longer list begins with the shorter one, so that more seeds need only the further ones.
    """
    streams = (np.random.SeedSequence([seed, SEED_STREAM + place]) for place in range(count))
    return tuple(int(stream.generate_state(1)[0]) for stream in streams)


def wanted(study: StudyRecord, first: Selection) -> tuple[tuple[int, int], ...]:
    """Returns trial number and seed of every training that confirms a choice; empty for one seed.

    Args:
        study: The study; its definition has the seed.
        first: The choice by one seed each.
    """
    if first.rule.seeds == 1:
        return ()
    seeds = seed_list(int(study.definition["seed"]), first.rule.seeds)
    return tuple((number, seed) for number in shortlist(study, first.rule) for seed in seeds)


def confirmed(study: StudyRecord, first: Selection, trained: Trained) -> Decision:
    """Returns the choice that finalists confirm or change; a choice by one seed says so.

    Args:
        study: The study.
        first: The choice by one seed each, with a winner.
        trained: Every training that :func:`wanted` names.
    """
    keys = wanted(study, first)
    if not keys or first.winner is None:
        return Decision(by_one_seed(first, ONE_SEED))
    seeds = tuple(dict.fromkeys(seed for _, seed in keys))
    runs = {
        number: [trained[number, seed] for seed in seeds]
        for number in dict.fromkeys(number for number, _ in keys)
    }
    dropped = {number: why for number, found in runs.items() if (why := _why_dropped(found, seeds))}
    finalists = [finalist(n, found) for n, found in runs.items() if n not in dropped]
    if not finalists:
        number, why = next(iter(dropped.items()))
        note = (
            f"None of the {len(runs)} finalists could be used (trial {number} {why}): the choice "
            "rests on one training per trial, and the luck of its seed is part of it."
        )
        return Decision(by_one_seed(first, note), dropped=dropped)
    order = by_gap(of_finalists(finalists))
    finalists.sort(key=lambda entry: entry.number)
    confirmation = Confirmation(seeds, tuple(finalists[place] for place in order), first.winner)
    return Decision(confirm(study, first, confirmation, dropped), confirmation, dropped)


def by_one_seed(selection: Selection, note: str = "") -> Selection:
    """Returns a selection that no finalists confirm, with a note about it."""
    notes = (*selection.notes, note) if note else selection.notes
    return replace(selection, rule=replace(selection.rule, seeds=1), notes=notes)


def _why_dropped(runs: Sequence[TrialRecord], seeds: Sequence[int]) -> str | None:
    """Returns why a finalist cannot be chosen: the first of its seeds without usable measures."""
    reasons = ((seed, unfit(run)) for seed, run in zip(seeds, runs, strict=True))
    return next((f"with seed {seed}: {why}" for seed, why in reasons if why), None)


def finalist(number: int, runs: Sequence[TrialRecord]) -> Finalist:
    """Returns a trial's trainings with several seeds together.

    Args:
        number: The trial's.
        runs: One per seed, all measured.
    """
    measured = [run.measurement for run in runs if run.measurement is not None]
    median = median_of([one.val_ce for one in measured])
    nll = [run.validation.nll for run in runs if run.validation is not None]
    error = seeds_gap_standard_error(
        nll, [one.gap_ce for one in measured], [one.gap_ce_se for one in measured]
    )
    return Finalist(number, tuple(runs), _mean(measured, median, error), median)


def median_of(values: Sequence[float]) -> int:
    """Returns the index of the median; of an even number the lower of the two in the middle."""
    return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])


def _mean(measured: Sequence[Measurement], median: int, gap_ce_se: float) -> Measurement:
    """Returns the mean over seeds; what cannot be averaged (epochs, size) is the median seed's."""
    averaged = (
        "val_ce", "val_accuracy", "train_ce", "train_accuracy", "gap_ce", "gap_accuracy",
        "penalty", "history_gap",
    )  # fmt: skip
    means: dict[str, Any] = {
        name: float(np.mean([getattr(one, name) for one in measured])) for name in averaged
    }
    errors = [one.ece for one in measured if one.ece is not None]
    return replace(
        measured[median],
        **means,
        gap_ce_se=gap_ce_se,
        diverged=any(one.diverged for one in measured),
        ece=float(np.mean(errors)) if errors else None,
    )
