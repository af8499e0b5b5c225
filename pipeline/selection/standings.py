"""Keeps up, while a study goes on, what the default rule would say of the trials that ended.

In: trials, as they end. Out: which one is the best, which are as good, which of them wins: what
``select`` says of all of them, at the cost of the new ones. A trial is held against the best one
once; all are held against it again only where another one becomes the best, which happens ever
more rarely. The functions are those of ``select``; a test compares the two trial by trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.records import StudyRecord, TrialRecord
from pipeline.selection.candidates import (
    TOGETHER,
    Candidates,
    best_of,
    check_splits,
    stacked,
    why_unusable,
    worse_than_best,
)
from pipeline.selection.records import RuleSettings, Verdict
from pipeline.selection.rules import gap_order
from pipeline.selection.skill import Evidence, evidence_of
from pipeline.selection.verdicts import verdict_of


class Standings:
    """What the default rule says of the trials so far.

    Args:
        study: Its split and its chance level count; its trials have to be added.

    Attributes:
        reference: The best-validation trial of the skilled, without those of all; None for none.
        eligible: Numbers of the trials that are as good as the best.
        winner: Of them, the one with the smallest gap; None while there is none.
    """

    def __init__(self, study: StudyRecord) -> None:
        self.reference: int | None = None
        self.eligible: frozenset[int] = frozenset()
        self.winner: int | None = None
        self._study, self._settings = study, RuleSettings()
        self._trials: list[TrialRecord] = []
        self._places: dict[int, int] = {}
        self._marks = np.zeros((0, 3))
        self._evidence: Evidence | None = None
        self._skilled = np.zeros(0, dtype=bool)
        self._best: int | None = None

    def add(self, ended: Iterable[TrialRecord]) -> None:
        """Adds trials, each of which comes once.

        Raises:
            SplitMismatchError: One was not measured on the study's split.
        """
        new = [trial for trial in ended if why_unusable(trial) is None]
        if not new:
            return
        check_splits(self._study, [*self._trials[:1], *new])
        for trial in new:
            self._places[trial.number] = len(self._trials)
            self._trials.append(trial)
        candidates = stacked(new)
        self._take(candidates)
        self._stand(set(candidates.numbers.tolist()))

    def verdict(self, trial: TrialRecord) -> Verdict:
        """Returns the verdict on a trial, by all that ended so far."""
        place = self._places.get(trial.number)
        best = None if self.reference is None else self._trials[self._places[self.reference]]
        return verdict_of(trial, best, place is None or bool(self._skilled[place]))

    def _take(self, new: Candidates) -> None:
        """Appends the figures of new candidates."""
        evidence = evidence_of(new, self._study.chance)
        marks = np.stack([new.num_parameters, new.val_ce, new.gap_ce], axis=1)
        self._marks = np.concatenate([self._marks, marks])
        self._evidence = evidence if self._evidence is None else self._evidence.with_more(evidence)
        chance, alpha = self._study.chance, self._settings.alpha
        self._skilled = ~self._evidence.no_better_than_chance(chance, alpha)

    def _stand(self, new: set[int]) -> None:
        """Finds the best, those as good and the winner anew; of the known only what changed."""
        numbers = np.array([trial.number for trial in self._trials])
        parameters, val_ce, gap_ce = self._marks.T
        skilled = np.flatnonzero(self._skilled)
        among = skilled if skilled.size else np.arange(len(numbers))
        best = int(among[best_of(numbers[among], parameters[among], val_ce[among])])
        self.reference = int(numbers[best])
        if not skilled.size:
            self._best, self.eligible, self.winner = None, frozenset(), None
            return
        # The level of skill falls with every trial: one that had it may have it no more.
        kept = self.eligible.intersection(numbers[skilled].tolist())
        if self.reference == self._best:
            asked = [place for place in skilled.tolist() if int(numbers[place]) in new]
            kept |= self._as_good(best, asked)
        else:
            kept = self._as_good(best, skilled.tolist())
        self._best, self.eligible = self.reference, kept
        places = np.array(sorted(self._places[number] for number in kept))
        order = gap_order(numbers[places], parameters[places], val_ce[places], gap_ce[places])
        self.winner = int(numbers[places[order[0]]])

    def _as_good(self, best: int, places: Sequence[int]) -> frozenset[int]:
        """Returns the numbers of those of these trials that are as good as the best, itself too."""
        good = {self._trials[best].number}
        others = [place for place in places if place != best]
        for start in range(0, len(others), TOGETHER):
            part = [self._trials[place] for place in (best, *others[start : start + TOGETHER])]
            worse = worse_than_best(stacked(part), self._settings)
            good.update(trial.number for trial in part if trial.number not in worse)
        return frozenset(good)
