"""Says which models a report measures on the test part, and whether their weights were kept.

In: a report, and the choice by one training per trial. Out: :class:`Compared`, what each of the
models is made of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.records import StudyRecord, TrialRecord
from pipeline.report.evidence.techniques import isolation
from pipeline.report.report import Report
from pipeline.selection.baseline import baseline_of
from pipeline.selection.records import MEDIAN, RuleSettings, Selection
from pipeline.training.techniques import used

if TYPE_CHECKING:
    from pipeline.tracking import Tracking


@dataclass(frozen=True)
class Compared:
    """A model that belongs on the test part: what stands for a trial.

    Attributes:
        number: The trial's.
        trainings: Those whose probabilities are averaged; one for a single training.
        seeds: The trial's trainings with the finalists' seeds, each measured by itself, too.
        search: The trial's training in the search, measured by itself, too; None where it is not.
    """

    number: int
    trainings: tuple[TrialRecord, ...]
    seeds: tuple[TrialRecord, ...] = ()
    search: TrialRecord | None = None

    @property
    def all_trainings(self) -> tuple[TrialRecord, ...]:
        """Every training once whose weights it takes."""
        more = (self.search,) if self.search is not None else ()
        found = {run.mlflow_run_id: run for run in (*self.trainings, *self.seeds, *more)}
        return tuple(found.values())


def compared_trials(study: StudyRecord) -> tuple[int, ...]:
    """Returns the trials that are always trained with the finalists' seeds.

    The unregularized baseline and the best trial of each technique alone: so that what a technique
    buys is no luck of one seed. None where there is no baseline.
    """
    baseline = baseline_of(study, used)
    if baseline is None:
        return ()
    alone = [effect.trial.number for effect in isolation(study, baseline).alone if effect.trial]
    return tuple(dict.fromkeys((baseline.number, *alone)))


def compared_models(report: Report, first: Selection) -> list[Compared]:
    """Returns the models that belong on the test part, in the order of their numbers.

    The winner, the best on validation (of the finalists, and of the search) and the unregularized
    baseline. The search's best is measured as other tuners deliver it, too: its own one training.
    """
    roles = (report.winner, report.best, report.trial(first.reference), report.baseline)
    numbers = sorted({trial.number for trial in roles if trial is not None})
    return [_compared(report, number, first) for number in numbers]


def _compared(report: Report, number: int, first: Selection) -> Compared:
    several = report.several_seeds(number)
    if several is None or several.deliver == MEDIAN:
        return Compared(number, report.parts(number))
    search = report.trial(number) if number == first.reference else None
    return Compared(number, several.parts, several.runs, search)


def restorable(store: Tracking, report: Report, first: Selection) -> list[Compared]:
    """Returns the winner, and of the other compared models what has its weights.

    A model is left out where one of its trainings does not keep them, and so is the search's
    training of one.
    """
    found = []
    for model in compared_models(report, first):
        if model.search is not None and not _keeps_weights(store, model.search):
            model = replace(model, search=None)
        winner = model.number == report.selection.winner
        if winner or all(_keeps_weights(store, run) for run in model.trainings):
            found.append(model)
    return found


def check_winner(store: Tracking, report: Report, asked: RuleSettings) -> None:
    """Checks that the winner can be delivered.

    Raises:
        InputError: Its weights were not kept.
    """
    winner = report.winner
    assert winner is not None, "a choice with a winner is checked"
    if all(_keeps_weights(store, run) for run in report.parts(winner.number)):
        return
    helps = (
        "Report with --seeds 2 or more, which trains the choice again"
        if asked.seeds == 1
        else "The same report again trains the finalists that failed again"
    )
    raise InputError(
        f"the rule '{asked.name}' chooses trial {winner.number}, whose weights were not kept: a "
        f"search keeps those that the rule '{RuleSettings().name}' may choose with its default "
        f"constants. {helps}; nothing was locked"
    )


def _keeps_weights(store: Tracking, trial: TrialRecord) -> bool:
    return store.keeps_weights(str(trial.mlflow_run_id))
