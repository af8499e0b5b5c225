"""Says which trials are trained again with several seeds, and with which.

In: a study and the choice by one training per trial. Out: the finalists, which the rule chooses
from, and the configurations that they are only compared with.

One training says little about a configuration, and the best of many is partly the luck of its
seed. So a trial becomes a finalist by wider margins than those of the rule (``rules.widened``); the
rule's own are applied to what the seeds say together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.records import StudyRecord
from pipeline.selection.records import MEDIAN, Selection
from pipeline.selection.rules import widened
from pipeline.selection.select import select

SEED_STREAM = 2**30
"""Trials' seeds come from the study's seed and their number, all far below this."""


def finalist_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Returns the seeds of a study's finalists, 32 bits each, that none of its trials had.

    A longer list begins with the shorter one, so that more seeds need only the further ones.
    """
    streams = (np.random.SeedSequence([seed, SEED_STREAM + place]) for place in range(count))
    return tuple(int(stream.generate_state(1)[0]) for stream in streams)


def shortlist(study: StudyRecord, first: Selection) -> tuple[int, ...]:
    """Returns the trials to train again and to choose from; empty where the rule chooses none.

    At most ``finalists`` of the rule's settings: those that the rule with wider margins prefers
    (``least_overfit``: the smallest gaps), its choice by its own margins among them, and the
    best-validation trial last. What an older version locked had the rule's own margins.
    """
    if first.winner is None or first.reference is None:
        return ()
    order = first.order if first.rule.deliver == MEDIAN else _wide(study, first).order
    others = [number for number in order if number != first.reference]
    chosen = others[: first.rule.finalists - 1]
    if first.winner != first.reference and first.winner not in chosen:
        chosen[-1] = first.winner
    return (*chosen, first.reference)


def candidates_among(
    study: StudyRecord, first: Selection, compared: Sequence[int]
) -> tuple[int, ...]:
    """Returns the shortlist, and of those compared with it who is as good by the wider margins."""
    listed = shortlist(study, first)
    if not listed or first.rule.deliver == MEDIAN:
        return listed
    eligible = _wide(study, first).eligible
    return (*listed, *(n for n in compared if n in eligible and n not in listed))


def finalist_trainings(
    study: StudyRecord, first: Selection, compared: Sequence[int] = ()
) -> tuple[tuple[int, int], ...]:
    """Returns trial number and seed of every training that confirms a choice; empty for one seed.

    Args:
        study: The study; its definition has the seed.
        first: The choice by one seed each.
        compared: Trials that are trained with the same seeds to be compared with.
    """
    listed = shortlist(study, first)
    if first.rule.seeds == 1 or not listed:
        return ()
    seeds = finalist_seeds(int(study.definition["seed"]), first.rule.seeds)
    more = () if first.rule.deliver == MEDIAN else compared
    return tuple((number, seed) for number in dict.fromkeys((*listed, *more)) for seed in seeds)


def _wide(study: StudyRecord, first: Selection) -> Selection:
    return select(study, widened(first.rule))
