"""Says which models a report measures on the test part, and whether their weights were kept.

In: a report, and the choice by one training per trial. Out: the trials whose models are restored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.records import TrialRecord
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings, Selection

if TYPE_CHECKING:
    from pipeline.tracking import Tracking


def compared_models(report: Report, first: Selection) -> list[TrialRecord]:
    """Returns the models that belong on the test part, in the order of their numbers.

    The winner, the best on validation (of the finalists, and of the search) and the unregularized
    baseline; of finalists, the seed with the median stands for them.
    """
    best_of_search = report.trial(first.reference)
    roles = (report.winner, report.best, best_of_search, report.baseline)
    numbers = sorted({trial.number for trial in roles if trial is not None})
    return [trial for number in numbers if (trial := report.measured(number))]


def restorable(store: Tracking, report: Report, first: Selection) -> list[TrialRecord]:
    """Returns the winner, and those of the other compared models whose weights were kept."""
    return [
        trial
        for trial in compared_models(report, first)
        if trial.number == report.selection.winner or _keeps_weights(store, trial)
    ]


def check_winner(store: Tracking, report: Report, asked: RuleSettings) -> None:
    """Checks that the winner can be delivered.

    Raises:
        InputError: Its weights were not kept.
    """
    winner = report.delivered
    assert winner is not None, "a choice with a winner is checked"
    if _keeps_weights(store, winner):
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
