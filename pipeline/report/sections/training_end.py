"""Warns where the delivered model was still improving when its training ended."""

from __future__ import annotations

from pipeline.report.report import Report


def warnings(report: Report) -> list[str]:
    """Returns that the winner needs more epochs, where its best epoch was the last allowed one."""
    winner, largest = report.selection.winner, epochs_allowed(report)
    stands_for_it = report.delivered
    measured = stands_for_it.measurement if stands_for_it else None
    if stands_for_it is None or measured is None or largest is None:
        return []
    limit = stands_for_it.config.limit("epochs", largest)
    if measured.best_epoch < limit:
        return []
    larger = f"with a larger limit, --epochs {2 * limit}"
    if limit < largest:
        larger = "with larger numbers of epochs in the search space"
    return [
        f"The winner, trial {winner}, was still improving when its training ended: its best epoch "
        f"is the last of the {limit} that were allowed. Search again {larger}, in another study "
        "(--study NAME)."
    ]


def epochs_allowed(report: Report) -> int | None:
    """Returns the largest number of epochs of the study's trials; None where it is not known."""
    space = report.study.definition.get("space")
    value = space.get("epochs") if isinstance(space, dict) else None
    return int(value) if value else None
