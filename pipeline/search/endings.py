"""What is written and said about a trial's end, and about a study that takes long.

Outcomes of workers in; records for selection, attributes for Optuna's dashboard and lines for the
user out.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pipeline.formatting import decimal
from pipeline.records import TrialOutcome, TrialRecord
from pipeline.search.cost import spoken
from pipeline.search.space.space import SearchSpace
from pipeline.search.study import Suggestion


def as_pruned(outcome: TrialOutcome, epoch: int) -> TrialOutcome:
    """Returns a trial's outcome as of the epoch after which it was to be pruned."""
    curves = {name: values[:epoch] for name, values in outcome.curves.items()}
    return replace(
        outcome, state="PRUNED", measurement=None, validation=None, weights=None, curves=curves
    )


def as_record(suggestion: Suggestion, outcome: TrialOutcome, split_id: str) -> TrialRecord:
    """Returns the trial as tracking would read it back."""
    return TrialRecord(
        number=outcome.number,
        state=outcome.state,
        config=suggestion.config,
        split_id=split_id,
        name=suggestion.name,
        measurement=outcome.measurement,
        validation=outcome.validation,
        curves=outcome.curves,
        cause=outcome.cause,
        seconds=outcome.seconds,
    )


def attributes_of(outcome: TrialOutcome, verdict: str, run_id: str | None) -> dict[str, Any]:
    """Returns what Optuna's dashboard shows with a trial: verdict, MLflow run, figures.

    While MLflow is away the run is not known; its tag ``trial`` tells which one it is.
    """
    attributes: dict[str, Any] = {"verdict": verdict}
    if run_id is not None:
        attributes["mlflow_run_id"] = run_id
    measured = outcome.measurement
    if measured is not None and math.isfinite(measured.gap_ce):
        attributes |= {"gap_ce": measured.gap_ce, "val_accuracy": measured.val_accuracy}
    if outcome.cause:
        attributes["cause"] = outcome.cause
    return attributes


def told(suggestion: Suggestion, outcome: TrialOutcome) -> str:
    """Returns a line about a trial's end."""
    start = f"trial {suggestion.number}" + (f" ({suggestion.name})" if suggestion.name else "")
    measured = outcome.measurement
    if outcome.state == "FAIL":
        return f"{start} failed: {outcome.cause}"
    if measured is None:
        return f"{start} pruned after {len(outcome.curves.get('val_ce', ()))} epochs"
    return (
        f"{start}: val accuracy {decimal(measured.val_accuracy)}, val CE "
        f"{decimal(measured.val_ce)}, gap {decimal(measured.gap_ce)}, best epoch "
        f"{measured.best_epoch} of {measured.epochs}, {spoken(outcome.seconds)}"
    )


def shortcuts(space: SearchSpace) -> str:
    """Returns what makes a long study shorter, with this space's numbers."""
    references = (
        f", --no-references (leaves out {len(space.references)})" if space.references else ""
    )
    return (
        f". To cut it: --train-examples N, --epochs N (now {space.epochs}), --trials N"
        f"{references}, --timeout 30m, --precision mixed_bfloat16, --workers N, or a GPU"
    )
