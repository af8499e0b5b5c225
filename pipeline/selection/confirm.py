"""Confirms a choice by finalists, which are trained again with several seeds each.

In: a study, the first choice, trainings by trial number and seed, and the means of their
probabilities. Out: the :class:`Selection` among the finalists, with the variance between seeds in
the standard errors. What trains them is ``report.finalists``.

What is judged is what is delivered: the mean of the seeds' probabilities as one model. Where one
seed is delivered (``single``), configurations are judged by the means of their seeds' measures,
because the best of K seeds looks better than the configuration is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.records import Measurement, StudyRecord, TrialRecord
from pipeline.selection.averages import Average, measure_average
from pipeline.selection.candidates import finalist_candidates, study_candidates, why_unusable
from pipeline.selection.records import (
    ENSEMBLE,
    MEDIAN,
    Confirmation,
    Finalist,
    RuleSettings,
    Selection,
)
from pipeline.selection.rules import by_gap
from pipeline.selection.select import NEGATIVE_GAP, choose, notes_on_winner
from pipeline.selection.shortlist import candidates_among, finalist_trainings
from pipeline.selection.skill import no_better_than_chance, too_small
from pipeline.selection.statistics import seeds_gap_standard_error

Trained = Mapping[tuple[int, int], TrialRecord]
"""Trainings of finalists by trial number and seed."""

Averages = Mapping[int, Average]
"""Trial number -> the mean of the probabilities of its trainings with all the seeds."""

ONE_SEED = (
    "One training per trial decided (--seeds 1): the luck of its seed is part of the choice, and "
    "the standard errors do not contain it; delivered is the search's own training. Without the "
    "option, finalists are trained again with 3 seeds each, and their mean is delivered."
)


def confirm(
    study: StudyRecord,
    first: Selection,
    trained: Trained,
    averages: Averages | None = None,
    compared: Sequence[int] = (),
) -> Selection:
    """Returns the choice that finalists confirm or change; a choice by one seed says so.

    Args:
        study: The study.
        first: The choice by one seed each, with a winner.
        trained: Every training that :func:`finalist_trainings` names.
        averages: The means of the trained ones' probabilities; an ensemble needs them.
        compared: Trials that were trained with the same seeds to be compared with.
    """
    keys = finalist_trainings(study, first, compared)
    if not keys or first.winner is None:
        return unconfirmed(first, ONE_SEED)
    seeds = tuple(dict.fromkeys(seed for _, seed in keys))
    runs = {
        number: [trained[number, seed] for seed in seeds]
        for number in dict.fromkeys(number for number, _ in keys)
    }
    found, dropped = _finalists(runs, seeds, averages or {}, first.rule)
    chosen_from = candidates_among(study, first, compared)
    finalists = [finalist for finalist in found if finalist.number in chosen_from]
    if not finalists:
        number, why = next((n, dropped[n]) for n in chosen_from if n in dropped)
        note = (
            f"None of the {len(chosen_from)} finalists could be used (trial {number} {why}): the "
            "choice rests on one training per trial, and the luck of its seed is part of it."
        )
        return replace(unconfirmed(first, note), dropped=dropped)
    order = by_gap(finalist_candidates(finalists))
    confirmation = Confirmation(
        seeds,
        tuple(finalists[place] for place in order),
        first.winner,
        tuple(finalist for finalist in found if finalist.number not in chosen_from),
    )
    chosen = replace(first, confirmation=confirmation, dropped=dropped)
    return _choose_among_finalists(study, chosen, confirmation)


def _finalists(
    runs: Mapping[int, Sequence[TrialRecord]],
    seeds: Sequence[int],
    averages: Averages,
    rule: RuleSettings,
) -> tuple[list[Finalist], dict[int, str]]:
    """Returns the finalists by number, and why each of the others cannot be used."""
    found, dropped = [], {}
    for number, its_runs in sorted(runs.items()):
        why = _why_dropped(its_runs, seeds)
        if why is None and rule.deliver == ENSEMBLE:
            why = _why_no_average(averages.get(number))
        if why is None:
            found.append(average_seeds(number, its_runs, averages.get(number), rule.deliver))
        else:
            dropped[number] = why
    return found, dropped


def _why_no_average(mean: Average | None) -> str | None:
    """Returns why a finalist cannot be judged by the mean of its probabilities; None if it can."""
    if mean is None:
        return "the probabilities of its seeds are missing"
    if not all(np.isfinite(part.nll).all() for part in (mean.validation, mean.train)):
        return "not finite: cross-entropy of the mean of its seeds"
    return None


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
    judged = {finalist.number for finalist in confirmation.finalists}
    # A finalist by the wider margins may have been excluded by its one training.
    reasons = {n: why for n, why in first.excluded.items() if n not in judged}
    reasons |= first.dropped
    finalists = judged | {*first.dropped}
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


def average_seeds(
    number: int,
    runs: Sequence[TrialRecord],
    mean: Average | None = None,
    deliver: str = MEDIAN,
) -> Finalist:
    """Returns a trial's trainings with several seeds together.

    Args:
        number: The trial's.
        runs: One per seed, all measured.
        mean: The mean of their probabilities; an ensemble is judged by it.
        deliver: What would be delivered of them.
    """
    measured = [run.measurement for run in runs if run.measurement is not None]
    median = median_index([one.val_ce for one in measured])
    average = None
    if mean is not None:
        average = replace(
            runs[median],
            measurement=measure_average(mean, measured, measured[median]),
            # Curves and epochs are a training's: those of the seed with the median val_ce.
            validation=mean.validation,
            seconds=sum(run.seconds for run in runs),
            mlflow_run_id=None,
        )
    if deliver == ENSEMBLE:
        assert average is not None and average.measurement is not None
        judged = average.measurement
    else:
        judged = mean_measurement(runs)
    return Finalist(number, tuple(runs), judged, median, average, deliver)


def median_index(values: Sequence[float]) -> int:
    """Returns the index of the median; of an even number the lower of the two in the middle."""
    return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])


def mean_measurement(runs: Sequence[TrialRecord]) -> Measurement:
    """Returns the mean of the measures of several trainings, all measured.

    What cannot be averaged (epochs, size) is that of the training with the median ``val_ce``; the
    standard error of the gap contains the variance between the seeds.
    """
    measured = [run.measurement for run in runs if run.measurement is not None]
    nll = [run.validation.nll for run in runs if run.validation is not None]
    gap_ce_se = seeds_gap_standard_error(
        nll, [one.gap_ce for one in measured], [one.gap_ce_se for one in measured]
    )
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
        measured[median_index([one.val_ce for one in measured])],
        **means,
        gap_ce_se=gap_ce_se,
        diverged=any(one.diverged for one in measured),
        ece=float(np.mean(errors)) if errors else None,
        # The least convincing seed's: a bound for each is one for the largest.
        log10_p_guessing=max(guessing) if len(guessing) == len(measured) else None,
    )
