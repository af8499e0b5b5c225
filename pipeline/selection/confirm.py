"""Confirms a choice by finalists, which are trained again with several seeds each.

In: a study, the first choice, and trainings by trial number and seed. Out: the
:class:`Selection` among the finalists, by their means over the seeds, with the variance between
seeds in the standard errors. What trains them is ``report.finalists``.

The seed delivered is the one with the median ``val_ce``, not the best: the best of K seeds looks
better than the configuration is, and its validation figures would say so nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.records import Measurement, StudyRecord, TrialRecord
from pipeline.selection.candidates import finalist_candidates, study_candidates, why_unusable
from pipeline.selection.records import Confirmation, Finalist, Selection
from pipeline.selection.rules import by_gap
from pipeline.selection.select import NEGATIVE_GAP, choose, notes_on_winner
from pipeline.selection.skill import no_better_than_chance, too_small
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


def finalist_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Returns the seeds of a study's finalists, 32 bits each, that none of its trials had.

    A longer list begins with the shorter one, so that more seeds need only the further ones.
    """
    streams = (np.random.SeedSequence([seed, SEED_STREAM + place]) for place in range(count))
    return tuple(int(stream.generate_state(1)[0]) for stream in streams)


def shortlist(first: Selection) -> tuple[int, ...]:
    """Returns the trials to train again: what the rule would choose first, and the best one.

    At most ``finalists`` of the rule's settings, in its order (for ``least_overfit`` by gap) with
    the best-validation trial last; empty where the rule chooses none.
    """
    if first.winner is None or first.reference is None:
        return ()
    others = [number for number in first.order if number != first.reference]
    return (*others[: first.rule.finalists - 1], first.reference)


def finalist_trainings(study: StudyRecord, first: Selection) -> tuple[tuple[int, int], ...]:
    """Returns trial number and seed of every training that confirms a choice; empty for one seed.

    Args:
        study: The study; its definition has the seed.
        first: The choice by one seed each.
    """
    if first.rule.seeds == 1:
        return ()
    seeds = finalist_seeds(int(study.definition["seed"]), first.rule.seeds)
    return tuple((number, seed) for number in shortlist(first) for seed in seeds)


def confirm(study: StudyRecord, first: Selection, trained: Trained) -> Selection:
    """Returns the choice that finalists confirm or change; a choice by one seed says so.

    Args:
        study: The study.
        first: The choice by one seed each, with a winner.
        trained: Every training that :func:`finalist_trainings` names.
    """
    keys = finalist_trainings(study, first)
    if not keys or first.winner is None:
        return unconfirmed(first, ONE_SEED)
    seeds = tuple(dict.fromkeys(seed for _, seed in keys))
    runs = {
        number: [trained[number, seed] for seed in seeds]
        for number in dict.fromkeys(number for number, _ in keys)
    }
    dropped = {number: why for number, found in runs.items() if (why := _why_dropped(found, seeds))}
    finalists = [average_seeds(n, found) for n, found in runs.items() if n not in dropped]
    if not finalists:
        number, why = next(iter(dropped.items()))
        note = (
            f"None of the {len(runs)} finalists could be used (trial {number} {why}): the choice "
            "rests on one training per trial, and the luck of its seed is part of it."
        )
        return replace(unconfirmed(first, note), dropped=dropped)
    finalists.sort(key=lambda finalist: finalist.number)
    order = by_gap(finalist_candidates(finalists))
    confirmation = Confirmation(seeds, tuple(finalists[place] for place in order), first.winner)
    chosen = replace(first, confirmation=confirmation, dropped=dropped)
    return _choose_among_finalists(study, chosen, confirmation)


def _choose_among_finalists(
    study: StudyRecord, first: Selection, confirmation: Confirmation
) -> Selection:
    """Returns what the rule chooses among the finalists, by what their seeds say together.

    Source: docs/measurement.md, the rule's step 6; the guard against chance, the best one, the
    margins and the choice are those of ``select``, with standard errors that contain the seeds'
    variance.
    """
    candidates = finalist_candidates(confirmation.finalists)
    unskilled = no_better_than_chance(candidates, study.chance, first.rule.alpha)
    chosen = replace(
        choose(candidates, unskilled, first.rule),
        verdicts=first.verdicts,
        confirmation=confirmation,
        dropped=first.dropped,
    )
    measured, _ = study_candidates(study)
    notes = [note for note in first.notes if note.startswith(NEGATIVE_GAP)]
    about = notes_on_winner(chosen, len(measured) if measured else 0)
    several = len(confirmation.finalists) > 1
    notes += [
        note.replace("No other trial", "No other finalist") if several else note for note in about
    ]
    if chosen.status == "no_skill":
        notes += too_small(candidates, study.chance, first.rule.alpha)
    elif chosen.winner != confirmation.first_choice:
        notes.append(
            f"By one seed each the rule chose trial {confirmation.first_choice}; over "
            f"{len(confirmation.seeds)} seeds each it is trial {chosen.winner}."
        )
    return replace(chosen, excluded=_reasons(first, chosen, confirmation), notes=tuple(notes))


def _reasons(first: Selection, chosen: Selection, confirmation: Confirmation) -> dict[int, str]:
    """Returns why each trial but the eligible is not chosen, before or over the seeds."""
    reasons = dict(first.excluded) | dict(first.dropped)
    finalists = {finalist.number for finalist in confirmation.finalists} | {*first.dropped}
    for number in first.eligible:
        if number not in finalists:
            reasons[number] = "no finalist: by one seed each, others come first by the rule"
    count = len(confirmation.seeds)
    return reasons | {n: f"over {count} seeds: {why}" for n, why in chosen.excluded.items()}


def unconfirmed(selection: Selection, note: str = "") -> Selection:
    """Returns a selection that no finalists confirm, with a note about it."""
    notes = (*selection.notes, note) if note else selection.notes
    return replace(selection, rule=replace(selection.rule, seeds=1), notes=notes)


def _why_dropped(runs: Sequence[TrialRecord], seeds: Sequence[int]) -> str | None:
    """Returns why a finalist cannot be chosen: the first of its seeds without usable measures."""
    reasons = ((seed, why_unusable(run)) for seed, run in zip(seeds, runs, strict=True))
    return next((f"with seed {seed}: {why}" for seed, why in reasons if why), None)


def average_seeds(number: int, runs: Sequence[TrialRecord]) -> Finalist:
    """Returns a trial's trainings with several seeds together.

    Args:
        number: The trial's.
        runs: One per seed, all measured.
    """
    measured = [run.measurement for run in runs if run.measurement is not None]
    median = median_index([one.val_ce for one in measured])
    nll = [run.validation.nll for run in runs if run.validation is not None]
    error = seeds_gap_standard_error(
        nll, [one.gap_ce for one in measured], [one.gap_ce_se for one in measured]
    )
    return Finalist(number, tuple(runs), _mean_measurement(measured, median, error), median)


def median_index(values: Sequence[float]) -> int:
    """Returns the index of the median; of an even number the lower of the two in the middle."""
    return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])


def _mean_measurement(
    measured: Sequence[Measurement], median: int, gap_ce_se: float
) -> Measurement:
    """Returns the mean over seeds; what cannot be averaged (epochs, size) is the median seed's."""
    averaged = (
        "val_ce", "val_accuracy", "train_ce", "train_accuracy", "gap_ce", "gap_accuracy",
        "penalty", "history_gap",
    )  # fmt: skip
    means: dict[str, Any] = {
        name: float(np.mean([getattr(one, name) for one in measured])) for name in averaged
    }
    errors = [one.ece for one in measured if one.ece is not None]
    guessing = [one.log10_p_guessing for one in measured if one.log10_p_guessing is not None]
    return replace(
        measured[median],
        **means,
        gap_ce_se=gap_ce_se,
        diverged=any(one.diverged for one in measured),
        ece=float(np.mean(errors)) if errors else None,
        # The least convincing seed's: a bound for each is one for the largest.
        log10_p_guessing=max(guessing) if len(guessing) == len(measured) else None,
    )
