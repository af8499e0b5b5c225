"""Computes what backs a report up: pure functions over its records, each called at most once.

An :class:`Evidence` holds frequencies, optimism, effects of techniques, importances, places, class
errors and calibration of one report. It needs no MLflow, no Keras and no data. Every part is
computed when a page first asks for it: a text page never pays for the importances that only figures
show. A new kind of evidence is one file here and one property of :class:`Evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from pipeline.report.evidence.calibration import Calibration, calibration
from pipeline.report.evidence.class_errors import ClassErrors, class_errors
from pipeline.report.evidence.differences import Differences, Trained, on_test, on_validation
from pipeline.report.evidence.importance import Importances, importances
from pipeline.report.evidence.optimism import Optimism, optimism
from pipeline.report.evidence.place import Place, places
from pipeline.report.evidence.resampling import best_of_search, frequencies
from pipeline.report.evidence.techniques import Isolation, isolation

if TYPE_CHECKING:
    from pipeline.records import TrialRecord
    from pipeline.report.report import Report

__all__ = ["Evidence", "evidence_of"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence of one report, each part computed at its first use.

    Attributes:
        report: What it is about.
    """

    report: Report

    @cached_property
    def frequencies(self) -> dict[int, float]:
        """Trial number -> share of bootstrap resamples in which the rule picks it, largest first.

        Among the finalists where there are any; empty where the rule chose nobody.
        """
        report = self.report
        if report.selection.winner is None or report.confirmation is None:
            return self.frequencies_search
        return frequencies(report.study, report.selection.rule, report.confirmation)

    @cached_property
    def frequencies_search(self) -> dict[int, float]:
        """The same among all candidates of the search, by one training each."""
        report = self.report
        if report.selection.winner is None:
            return {}
        return frequencies(report.study, report.selection.rule)

    @cached_property
    def best_of_search(self) -> TrialRecord | None:
        """The trial with the best single training of the search, among those with skill."""
        return self.report.trial(best_of_search(self.report.study, self.report.selection.rule))

    @cached_property
    def optimism(self) -> Optimism | None:
        """Validation minus test of the delivered model; None while the test part is unread."""
        return optimism(self.report.delivered, self.report.test_examples)

    @cached_property
    def test_differences(self) -> dict[int, Differences]:
        """Trial number -> the delivered model minus that trial's model, on the test part.

        Of every other model that was measured there; empty while the test part is unread.
        """
        report, winner = self.report, self.report.selection.winner
        delivered = self._trained(winner)
        if delivered is None or report.test_examples is None:
            return {}
        others = {n: self._trained(n) for n in report.test_examples.results if n != winner}
        found = {n: on_test(delivered, m, report.test_examples) for n, m in others.items() if m}
        return {number: one for number, one in found.items() if one is not None}

    @cached_property
    def one_training_difference(self) -> Differences | None:
        """The delivered model minus the search's best training, as other tuners deliver it.

        On the test part; None where that training was not measured alone there.
        """
        report, best = self.report, self.best_of_search
        delivered = self._trained(report.selection.winner)
        examples = report.test_examples
        if delivered is None or best is None or examples is None:
            return None
        if best.mlflow_run_id not in examples.trainings:
            return None
        return on_test(delivered, Trained(best, report.seeds_behind(best.number)), examples)

    @cached_property
    def validation_differences(self) -> dict[int, Differences]:
        """The same on validation, of the best-validation trial and the baseline."""
        report, winner = self.report, self.report.selection.winner
        roles = {trial.number for trial in (report.best, report.baseline) if trial is not None}
        delivered = self._trained(winner)
        if delivered is None:
            return {}
        others = {number: self._trained(number) for number in sorted(roles - {winner})}
        found = {number: on_validation(delivered, m) for number, m in others.items() if m}
        return {number: one for number, one in found.items() if one is not None}

    def _trained(self, number: int | None) -> Trained | None:
        """Returns the model that stands for a trial, with the seeds behind it."""
        record = self.report.measured(number)
        return None if record is None else Trained(record, self.report.seeds_behind(number))

    @cached_property
    def isolation(self) -> Isolation:
        """What each technique buys on its own, over the seeds where both were trained so."""
        report = self.report
        found = report.confirmation
        several = (*found.finalists, *found.others) if found else ()
        means = {
            one.number: Trained(one.average, one.runs) for one in several if one.average is not None
        }
        return isolation(report.study, report.baseline, means)

    @cached_property
    def importances(self) -> Importances:
        """What each hyperparameter decides; slow (seconds), asked for by figures only."""
        return importances(self.report.study)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where the winner lies in the search space; empty without a winner."""
        winner = self.report.winner
        return places(self.report.study, winner.config) if winner else ()

    @cached_property
    def class_errors(self) -> ClassErrors | None:
        """Errors per class on the test part; None while it is unread."""
        delivered = self.report.delivered
        if delivered is None or self.report.test_examples is None:
            return None
        return class_errors(self.report.test_examples, delivered.number)

    @cached_property
    def calibration(self) -> Calibration | None:
        """How far confidences can be believed: on the test part, else on validation."""
        delivered, test = self.report.delivered, self.report.test_examples
        if delivered is None:
            return None
        if test is not None and delivered.number in test.results:
            return calibration(test.results[delivered.number], "test")
        return calibration(delivered.validation, "validation") if delivered.validation else None


@lru_cache(maxsize=2)
def evidence_of(report: Report) -> Evidence:
    """Returns the evidence of a report; the same object for the same report, which is frozen."""
    return Evidence(report)
