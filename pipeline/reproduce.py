"""Trains a recorded trial again, alone, and says whether the numbers agree.

In: the id of a run in MLflow. Out: a :class:`Comparison` with a :class:`Row` per quantity. The
record alone decides: hyperparameters, seed, epochs, patience, order of examples, precision, and the
data, which have to be those of the study. Nothing is written.

Numbers agree up to the rounding of floats. It differs between a trial alone and in company, between
machines and backends, and grows with every step of training; so the tolerances are measured, not
derived (docs/mlflow-ui.md, "Is it true?").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import datasets
from pipeline.errors import InputError
from pipeline.formatting import decimal
from pipeline.records import Cohort, PerExample, Trial, TrialOutcome
from pipeline.selection.statistics import standard_error
from pipeline.training import backend
from pipeline.training.own import registry
from pipeline.training.worker import trainer_of

if TYPE_CHECKING:
    from pipeline.datasets import Dataset
    from pipeline.tracking.reproducible_run import ReproducibleRun

Notify = Callable[[str], None]
SE_SHARE = 0.25
"""Tolerance of a mean, in standard errors of it on the validation part."""
RELATIVE = 0.01
"""Tolerance of a mean, as a share of itself: standard errors vanish on large parts."""
SMALLEST = 1e-4
"""Nats, or share of examples, below which a difference never counts."""


@dataclass(frozen=True)
class Row:
    """One quantity, recorded and reproduced, and how far apart the two may be."""

    name: str
    recorded: float
    reproduced: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance; what is not finite never is."""
        return bool(abs(self.reproduced - self.recorded) <= self.tolerance)


@dataclass(frozen=True)
class Comparison:
    """What came of training a trial again.

    Attributes:
        title: Which trial, in a sentence.
        rows: The quantities that decide.
        notes: Sentences a reader should know.
        same_end: Whether it ended as before (measured, or diverged).
        study: Name of its study.
    """

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    same_end: bool = True
    study: str = ""

    @property
    def agrees(self) -> bool:
        """Whether it ended as before and every quantity agrees."""
        return self.same_end and all(row.agrees for row in self.rows)


def retrain(
    run_id: str, data_dir: Path | None, device: str, notify: Notify, family: str | None = None
) -> tuple[Comparison, ...]:
    """Trains a trial, a finalist or what a study delivered again, and compares.

    Args:
        run_id: Its run in MLflow.
        data_dir: Folder with official files.
        device: ``auto``, ``cpu`` or ``gpu``.
        notify: Takes a line about what is being done.
        family: File and function of the user's own model, where the run trained one.

    Returns:
        One comparison; of a study one for each training that is in what it delivered.

    Raises:
        InputError: There is no such run, or nothing in it to compare with.
        SplitMismatchError: The data are not those of the study.
        TrackingError: MLflow does not answer.
    """
    from pipeline.tracking.reproducible_run import read_reproducible_runs

    runs = read_reproducible_runs(run_id)
    for recorded in runs:
        check_comparable(recorded)
    first = runs[0]
    registry.checked_for(first.definition, family, f"reproducing run {first.run_id}")
    spec = datasets.spec_of(first.definition, data_dir)
    made = f"run {first.run_id} was measured"
    dataset = datasets.reload(spec, first.trial.split_id, made, "reproduce it")
    found = []
    for recorded in runs:
        used, outcome = train_again(recorded, dataset, device, notify)
        comparison = compare(recorded, replace(outcome, device=used))
        found.append(replace(comparison, study=recorded.study))
    return tuple(found)


def check_comparable(recorded: ReproducibleRun) -> None:
    """Checks that a run ended with numbers, or by diverging, which is an end to compare, too.

    Raises:
        InputError: It did not.
    """
    trial = recorded.trial
    cause = trial.cause or "no cause is recorded"
    if trial.state == "RUNNING" or not recorded.definition:
        raise InputError(f"run {recorded.run_id} has not ended: there is nothing to compare with")
    if trial.state == "FAIL" and not cause.startswith("diverged"):
        raise InputError(
            f"run {recorded.run_id} failed ({cause}): there are no numbers to compare with"
        )
    if trial.state != "FAIL" and not trial.curves.get("val_ce"):
        raise InputError(f"run {recorded.run_id} keeps no curves: there is nothing to compare with")


def train_again(
    recorded: ReproducibleRun, dataset: Dataset, device: str, notify: Notify
) -> tuple[str, TrialOutcome]:
    """Returns the device and what comes of the trial as a cohort of its own."""
    used = backend.prepare(device, str(recorded.definition["precision"]), None)
    trial, space = recorded.trial, recorded.definition["space"]
    # A pruned trial has nothing to compare beyond the epoch after which it was pruned.
    pruned = trial.state == "PRUNED"
    epochs = trial.config.limit("epochs", int(space["epochs"]))
    cohort = Cohort(
        number=0,
        trials=(Trial(trial.number, trial.config, recorded.seed),),
        epochs=len(trial.curves["val_ce"]) if pruned else epochs,
        patience=int(space["patience"]),
        order_seed=int(recorded.definition["seed"]),
        validation_per_epoch=recorded.definition.get("validation_per_epoch"),
        keep_weights=False,
    )
    notify(f"training trial {trial.number} again on {used}, at most {cohort.epochs} epochs")
    own = registry.known(trial.config.family)
    (outcome,) = trainer_of(dataset, used, own)(cohort, lambda report: None, lambda: ())
    return used, outcome


def compare(recorded: ReproducibleRun, outcome: TrialOutcome) -> Comparison:
    """Returns what is recorded beside what was reproduced."""
    trial = recorded.trial
    title = (
        f"Trial {trial.number} of study '{recorded.study}', seed {recorded.seed}, run "
        f"{recorded.run_id}: recorded on {recorded.device}, reproduced alone on {outcome.device}."
    )
    notes = [f"Recorded with {recorded.versions}; other versions are installed."]
    notes = notes if recorded.versions else []
    if "FAIL" in (trial.state, outcome.state):
        same = trial.state == outcome.state
        now = outcome.cause or "it was measured"
        notes.append(f"Recorded: {trial.cause or 'it was measured'}. Reproduced: {now}.")
        return Comparison(title, (), tuple(notes), same)
    if trial.state == "PRUNED" or trial.measurement is None:
        epochs = len(trial.curves["val_ce"])
        notes.append(f"It was pruned after epoch {epochs}: the curves up to there are compared.")
        return Comparison(title, curve_rows(recorded, outcome), tuple(notes))
    if agreement := same_classes(trial.validation, outcome.validation):
        notes.append(agreement)
    return Comparison(title, measured_rows(recorded, outcome), tuple(notes))


def measured_rows(recorded: ReproducibleRun, outcome: TrialOutcome) -> tuple[Row, ...]:
    """Returns the summary measures of a trial that was measured both times."""
    before, now = recorded.trial.measurement, outcome.measurement
    assert before is not None
    assert now is not None
    val_ce = tolerance_of(before.val_ce, outcome.validation)
    curve = tolerance_of(before.val_ce, outcome.validation, scored_share(recorded, outcome))
    limits = {
        "val_ce": val_ce,
        "val_accuracy": accuracy_tolerance(outcome),
        "train_ce": max(val_ce, RELATIVE * before.train_ce),
        "gap_ce": val_ce,
        "best_epoch": best_epoch_tolerance(recorded, outcome, curve),
    }
    return tuple(
        Row(name, float(getattr(before, name)), float(getattr(now, name)), limit)
        for name, limit in limits.items()
    )


def curve_rows(recorded: ReproducibleRun, outcome: TrialOutcome) -> tuple[Row, ...]:
    """Returns the curves of a pruned trial: at its last epoch, and where they differ most."""
    before, now = recorded.trial.curves, outcome.curves
    share = scored_share(recorded, outcome)
    epochs = min(len(before["val_ce"]), len(now["val_ce"]))
    apart = np.abs(np.subtract(before["val_ce"][:epochs], now["val_ce"][:epochs]))
    rows = []
    for name, epoch in [
        ("val_ce", int(np.argmax(apart)) + 1),
        *((name, epochs) for name in ("val_ce", "val_accuracy", "train_ce") if name in before),
    ]:
        recorded_value, value = before[name][epoch - 1], now[name][epoch - 1]
        limit = (
            accuracy_tolerance(outcome, share)
            if name == "val_accuracy"
            else tolerance_of(recorded_value, outcome.validation, share)
        )
        rows.append(Row(f"{name}, epoch {epoch}", recorded_value, value, limit))
    return tuple(dict.fromkeys(rows))


def scored_share(recorded: ReproducibleRun, outcome: TrialOutcome) -> float:
    """Returns the share of the validation part that the curves stand on, in (0, 1]."""
    part = recorded.definition.get("validation_per_epoch")
    whole = len(outcome.validation.nll) if outcome.validation else 0
    return min(part / whole, 1.0) if part and whole else 1.0


def tolerance_of(value: float, validation: PerExample | None, share: float = 1.0) -> float:
    """Returns how far a mean cross-entropy may be from another of the same training, nats.

    Args:
        value: One of them.
        validation: Results on the whole validation part; None where there are none.
        share: Share of it that the means stand on.
    """
    # One example says nothing about the spread: only the other tolerances count then.
    nll = validation.nll if validation is not None else ()
    error = standard_error(nll) / np.sqrt(share) if len(nll) > 1 else 0.0
    return max(SE_SHARE * error, RELATIVE * abs(value), SMALLEST)


def accuracy_tolerance(outcome: TrialOutcome, share: float = 1.0) -> float:
    """Returns how far the accuracy may be off: examples on the border change sides.

    Args:
        outcome: With results on the whole validation part.
        share: Share of it that the accuracy stands on.
    """
    if outcome.validation is None:
        return SMALLEST
    correct = outcome.validation.correct
    count = share * len(correct)
    spread = float(np.sqrt(correct.mean() * (1 - correct.mean()) / count))
    return max(SE_SHARE * spread, 1.0 / count, SMALLEST)


def best_epoch_tolerance(recorded: ReproducibleRun, outcome: TrialOutcome, curve: float) -> float:
    """Returns 0, or the distance of the best epochs where the curve is as low in both.

    A flat curve has its minimum where rounding puts it.
    """
    before, now = recorded.trial.measurement, outcome.measurement
    assert before is not None
    assert now is not None
    first, second = sorted((before.best_epoch, now.best_epoch))
    # The one that stopped later has both epochs in its curve.
    longer = max(recorded.trial.curves["val_ce"], outcome.curves["val_ce"], key=len)
    flat = abs(longer[second - 1] - longer[first - 1]) <= curve
    return float(second - first) if flat else 0.0


def same_classes(before: PerExample | None, now: PerExample | None) -> str:
    """Returns how many validation examples get the same class; empty where it is not known."""
    if before is None or now is None or len(before.predicted) != len(now.predicted):
        return ""
    same = int((before.predicted == now.predicted).sum())
    return f"The same class for {same:,} of {len(now.predicted):,} validation examples."


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Returns a comparison as JSON values; the keys are in docs/command-json.md."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "title": comparison.title,
        "agrees": comparison.agrees,
        "quantities": [
            {
                "quantity": row.name,
                "recorded": number(row.recorded),
                "reproduced": number(row.reproduced),
                "tolerance": number(row.tolerance),
                "within": row.agrees,
            }
            for row in comparison.rows
        ],
        "notes": list(comparison.notes),
    }


def as_text(comparison: Comparison) -> str:
    """Returns the comparison for a terminal."""
    table: list[list[Any]] = [["quantity", "recorded", "reproduced", "difference", "tolerance", ""]]
    for row in comparison.rows:
        numbers = (row.recorded, row.reproduced, row.reproduced - row.recorded, row.tolerance)
        mark = "" if row.agrees else "differs"
        table.append([row.name, *(f"{number:.6f}" for number in numbers), mark])
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = [
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in table
    ]
    shown = ["", *lines, ""] if comparison.rows else [""]
    tolerance = (
        f"Tolerance: {decimal(SE_SHARE)} standard errors or {RELATIVE:.0%} of the value, whichever "
        "is larger: what float rounding was measured to do."
    )
    end = "The numbers agree." if comparison.agrees else "The numbers do not agree."
    return "\n".join([comparison.title, *shown, *comparison.notes, tolerance, end]) + "\n"
