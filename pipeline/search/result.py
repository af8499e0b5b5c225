"""Says how a search ended: three lines for people, one object for programs.

In: the study with all its trials. Out: what was trained, the best trial, and what the rule would
choose by one training each, which is preliminary: the report trains its finalists again.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.formatting import between, decimal, duration
from pipeline.records import StudyRecord, TrialRecord
from pipeline.redaction import masked
from pipeline.search.progress import in_short
from pipeline.search.space.space import SearchSpace
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select
from pipeline.selection.verdicts import gap_interval_of

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
"""State of a trial -> its word here."""


@dataclass(frozen=True)
class SearchResult:
    """How a search ended.

    Attributes:
        study: The study with all its trials.
        space: What may vary.
        seconds: How long this search took.
        storage: Optuna's storage; its address may hold a password.
        tracking_uri: MLflow's store; its address may hold a password.
        next_command: The words of the command to type next.
    """

    study: StudyRecord
    space: SearchSpace
    seconds: float
    storage: str
    tracking_uri: str
    next_command: Sequence[str]

    def as_lines(self) -> list[str]:
        """Returns three lines: how it ended, the best and the rule's choice, what to type next."""
        return [self._ended(), self._chosen(), f"Next: {shlex.join(self.next_command)}"]

    def as_json(self) -> dict[str, Any]:
        """Returns the same and more as JSON values; the keys are in docs/command-json.md."""
        selection = select(self.study, RuleSettings())
        counts = self._counts()
        trials = {word: counts[state] for state, word in STATES.items()}
        return {
            "study": self.study.study,
            "dataset": self.study.dataset,
            "split_id": self.study.split_id,
            "trials": {"asked": self.space.trials} | trials,
            "status": selection.status,
            "best": self._trial(selection.reference),
            "preliminary_choice": self._trial(selection.winner),
            "eligible": list(selection.eligible),
            "rule": selection.rule.name,
            "seconds": round(self.seconds, 1),
            "storage": masked(self.storage),
            "tracking_uri": masked(self.tracking_uri),
            "mlflow_run_id": self.study.run_id,
            "next": shlex.join(self.next_command),
        }

    def _counts(self) -> Counter[str]:
        return Counter(trial.state for trial in self.study.trials)

    def _ended(self) -> str:
        counts = self._counts()
        words = [f"{counts[state]} {word}" for state, word in STATES.items() if counts[state]]
        return (
            f"Study '{self.study.study}' has {', '.join(words) or 'nothing'} of "
            f"{self.space.trials} trials; this search took {duration(self.seconds)}."
        )

    def _chosen(self) -> str:
        selection = select(self.study, RuleSettings())
        best, chosen = self._record(selection.reference), self._record(selection.winner)
        if chosen is None or best is None:
            reasons = {"no_skill": "no trial is better than guessing"}
            why = reasons.get(selection.status, "no trial ended with usable measures")
            return f"Nothing can be recommended so far: {why}."
        start = (
            f"Best validation cross-entropy: {self._named(best)}, {decimal(_val_ce(best))}; by one "
            f"training each the rule {selection.rule.name} would choose "
        )
        choice = "it" if chosen.number == best.number else self._named(chosen)
        return f"{start}{choice}{_judged(chosen)}"

    def _record(self, number: int | None) -> TrialRecord | None:
        return next((trial for trial in self.study.trials if trial.number == number), None)

    def _named(self, trial: TrialRecord) -> str:
        words = trial.name or in_short(trial.config, self.space)
        return f"trial {trial.number} ({words})" if words else f"trial {trial.number}"

    def _trial(self, number: int | None) -> dict[str, Any] | None:
        trial = self._record(number)
        if trial is None or trial.measurement is None:
            return None
        measured = trial.measurement
        return {
            "number": trial.number,
            "name": trial.name,
            "configuration": in_short(trial.config, self.space),
            "val_ce": measured.val_ce,
            "val_accuracy": measured.val_accuracy,
            "gap_ce": measured.gap_ce,
            "gap_ce_se": measured.gap_ce_se,
        }


def _val_ce(trial: TrialRecord) -> float | None:
    return trial.measurement.val_ce if trial.measurement else None


def _judged(trial: TrialRecord) -> str:
    """Returns gap and accuracy of a trial, as the end of a sentence."""
    measured = trial.measurement
    if measured is None:
        return "."
    return (
        f": gap {decimal(measured.gap_ce)} nats (95% {between(*gap_interval_of(measured))}), val "
        f"accuracy {decimal(measured.val_accuracy)}."
    )
