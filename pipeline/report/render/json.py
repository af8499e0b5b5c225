"""Writes a report as JSON, the contract for programs: stable keys, full precision.

Each table below names the keys of one JSON object, in their order, with how a value is found;
``docs/report-json.md`` explains every one of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.records import TestResult, TrialRecord
from pipeline.report.evidence import evidence_of
from pipeline.report.finalist_json import finalist_json
from pipeline.report.report import Report
from pipeline.report.sections import comparison
from pipeline.report.sections.data import findings_json
from pipeline.report.sections.notes import warnings
from pipeline.selection.records import SINGLE, Finalist

MEASUREMENT_KEYS = (
    "val_ce",
    "val_accuracy",
    "train_ce",
    "train_accuracy",
    "gap_ce",
    "gap_ce_se",
    "gap_accuracy",
    "penalty",
    "best_epoch",
    "epochs",
    "num_parameters",
)

TEST_KEYS = (
    "ce",
    "ce_low",
    "ce_high",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "gap_ce",
    "gap_ce_low",
    "gap_ce_high",
    "reads",
)

OPTIMISM_KEYS = ("ce", "ce_se", "accuracy", "accuracy_se")

FINALIST_KEYS = (
    "number",
    "seeds",
    "val_ce",
    "val_accuracy",
    "gap_ce",
    "gap_ce_se",
    "runs",
    "delivered",
)
RUN_KEYS = ("seed", "val_ce", "val_accuracy", "gap_ce", "mlflow_run_id")


def _verdict(report: Report, trial: TrialRecord) -> str | None:
    verdict = report.selection.verdicts.get(trial.number)
    return verdict.name if verdict else None


def _measured(key: str) -> Callable[[Report, TrialRecord], Any]:
    """Returns the field of a trial that holds this number of its measurement."""
    return lambda report, trial: getattr(trial.measurement, key, None)


TRIAL_FIELDS: dict[str, Callable[[Report, TrialRecord], Any]] = {
    "number": lambda report, trial: trial.number,
    "state": lambda report, trial: trial.state,
    "name": lambda report, trial: trial.name,
    "config": lambda report, trial: trial.config.as_dict(),
    **{key: _measured(key) for key in MEASUREMENT_KEYS},
    "seconds": lambda report, trial: trial.seconds,
    "verdict": _verdict,
    "diverged": lambda report, trial: (
        bool(trial.measurement.diverged) if trial.measurement else None
    ),
    "excluded_because": lambda report, trial: report.selection.excluded.get(trial.number),
    "mlflow_run_id": lambda report, trial: trial.mlflow_run_id,
}

REPORT_FIELDS: dict[str, Callable[[Report], Any]] = {
    "status": lambda report: report.selection.status,
    "dataset": lambda report: report.study.dataset,
    "study": lambda report: report.study.study,
    "split_id": lambda report: report.study.split_id,
    "validation_per_epoch": lambda report: report.study.validation_per_epoch,
    "rule": lambda report: report.selection.rule.as_dict(),
    "winner": lambda report: report.selection.winner,
    "reference": lambda report: report.selection.reference,
    "eligible": lambda report: report.selection.eligible,
    "trials": lambda report: [_trial(report, trial) for trial in _by_number(report)],
    "delivered": lambda report: _delivered(report),
    "test": lambda report: _test(report.test),
    "test_reads_by_other_studies": lambda report: dict(report.other_reads),
    "model_uri": lambda report: report.model_uri,
    "alias": lambda report: report.alias,
    "alias_because": lambda report: report.alias_because or None,
    "notes": lambda report: report.selection.notes,
    "finalists": lambda report: [_finalist(report, finalist) for finalist in _finalists(report)],
    "frequencies": lambda report: evidence_of(report).frequencies,
    "frequencies_search": lambda report: evidence_of(report).frequencies_search,
    "optimism": lambda report: _attributes(evidence_of(report).optimism, OPTIMISM_KEYS),
    "compared": lambda report: {n: _test(test) for n, test in sorted(report.tested.items())},
    "side_by_side": lambda report: _side_by_side(report),
    "warnings": warnings,
    "data_findings": findings_json,
}


def as_json(report: Report) -> dict[str, Any]:
    """Returns the page for programs: JSON values only, keys in a fixed order, full precision.

    Numbers are the records' own; one that is not finite becomes None.
    """
    return {key: _plain(field(report)) for key, field in REPORT_FIELDS.items()}


def as_json_text(report: Report) -> str:
    """Returns the page for programs as text."""
    return json.dumps(as_json(report), indent=2) + "\n"


def _by_number(report: Report) -> list[TrialRecord]:
    return sorted(report.study.trials, key=lambda trial: trial.number)


def _trial(report: Report, trial: TrialRecord) -> dict[str, Any]:
    return {key: field(report, trial) for key, field in TRIAL_FIELDS.items()}


def _test(test: TestResult | None) -> dict[str, Any] | None:
    return _attributes(test, TEST_KEYS)


BESIDE_KEYS = ("val_ce", "val_accuracy", "gap_ce")
DELIVERED_KEYS = ("val_ce", "val_accuracy", "train_ce", "gap_ce", "gap_ce_se")


def _delivered(report: Report) -> dict[str, Any] | None:
    """Returns what is delivered and what it was judged by; None without a winner."""
    number = report.selection.winner
    judged, finalist = report.judged(number), report.several_seeds(number)
    if number is None or judged is None:
        return None
    parts = report.parts(number)
    seeds: list[int | None] = [None]
    if finalist is not None:
        all_seeds = report.seeds_of(finalist)
        seeds = list(all_seeds) if finalist.place is None else [all_seeds[finalist.place]]
    size, alone = report.sizes.get("delivered"), report.sizes.get("one training")
    parameters = sum(run.measurement.num_parameters for run in parts if run.measurement)
    return {
        "deliver": finalist.deliver if finalist is not None else SINGLE,
        "seeds": seeds,
        **{key: getattr(judged, key) for key in DELIVERED_KEYS},
        "num_parameters": size.num_parameters if size else parameters,
        "milliseconds_per_example": size.milliseconds_per_example if size else None,
        "one_training": alone
        and {
            "num_parameters": alone.num_parameters,
            "milliseconds_per_example": alone.milliseconds_per_example,
        },
        "mlflow_run_ids": [run.mlflow_run_id for run in parts],
    }


def _side_by_side(report: Report) -> list[dict[str, Any]]:
    """Returns the models of the table of that name; none without a winner."""
    delivered = report.delivered
    if delivered is None or delivered.measurement is None:
        return []
    return [
        {
            "model": row.role,
            "trial": row.model.number,
            "seeds": row.trainings,
            **{key: getattr(row.model.measurement, key, None) for key in BESIDE_KEYS},
            "test": _test(row.test),
        }
        for row in comparison.rows(report)
    ]


def _finalists(report: Report) -> Iterable[Finalist]:
    return report.confirmation.finalists if report.confirmation else ()


def _finalist(report: Report, finalist: Finalist) -> dict[str, Any]:
    values = finalist_json(finalist, report.seeds_of(finalist))
    is_winner = finalist.number == report.selection.winner
    values["runs"] = [{key: run[key] for key in RUN_KEYS} for run in values["runs"]]
    values["delivered"] = finalist.place if is_winner else None
    return {key: values[key] for key in FINALIST_KEYS}


def _attributes(record: Any, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """Returns these attributes of a record; None where there is no record."""
    return None if record is None else {key: getattr(record, key) for key in keys}


def _plain(value: Any) -> Any:
    """Returns a JSON value: numpy's numbers become Python's, those that are not finite None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
