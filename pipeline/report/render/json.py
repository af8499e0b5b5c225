"""The report as pages: ``render`` by name, and the JSON that programs read.

A :class:`Report` in, a page out. ``as_json`` is the contract for programs (stable keys, full
precision); text (``terminal``), Markdown (``markdown``) and HTML (``html``) show the same sentences
and tables. A new format is one more function over a Report and an entry in ``FORMATS``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pipeline.errors import InputError
from pipeline.records import TestResult, TrialRecord
from pipeline.report.evidence import evidence_of
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import WIDTH, as_text
from pipeline.report.report import Report
from pipeline.report.sections import claims
from pipeline.report.sections.wording import seed_of
from pipeline.selection.records import Finalist

__all__ = ["FORMATS", "WIDTH", "as_json", "as_markdown", "as_text", "render"]

FORMATS = {"text": "txt", "json": "json", "markdown": "md", "html": "html"}
"""Name of a format -> ending of its file."""

_MEASURES = (
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

_TEST = (
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

_RULE = ("name", "k", "tau", "tau_accuracy", "alpha", "weight", "epsilon", "seeds", "finalists")
_OPTIMISM = ("ce", "ce_se", "accuracy", "accuracy_se")
_SEEDED = ("val_ce", "val_accuracy", "gap_ce")


def as_json(report: Report) -> dict[str, Any]:
    """Returns the page for programs: JSON values only, keys in a fixed order, full precision.

    Numbers are the records' own; one that is not finite becomes None.
    """
    study, selection, evidence = report.study, report.selection, evidence_of(report)
    trials = sorted(study.trials, key=lambda trial: trial.number)
    finalists = report.confirmation.finalists if report.confirmation else ()
    return {
        "status": selection.status,
        "dataset": study.dataset,
        "study": study.study,
        "split_id": study.split_id,
        "rule": _picked(selection.rule, _RULE),
        "winner": selection.winner,
        "reference": selection.reference,
        "eligible": [int(number) for number in selection.eligible],
        "trials": [_trial_json(report, trial) for trial in trials],
        "test": _test_json(report.test),
        "model_uri": report.model_uri,
        "notes": list(selection.notes),
        "finalists": [_finalist_json(report, finalist) for finalist in finalists],
        "frequencies": _by_name(evidence.frequencies),
        "frequencies_search": _by_name(evidence.frequencies_search),
        "optimism": _picked(evidence.optimism, _OPTIMISM) if evidence.optimism else None,
        "compared": {str(n): _test_json(test) for n, test in sorted(report.tested.items())},
        "warnings": claims.warnings(report),
    }


def render(report: Report, page: str, color: bool = False) -> str:
    """Returns a page by its name: ``text``, ``json``, ``markdown`` or ``html``.

    Raises:
        InputError: There is no such format.
    """
    if page == "text":
        return as_text(report, color)
    if page == "json":
        return json.dumps(as_json(report), indent=2) + "\n"
    if page == "markdown":
        return as_markdown(report)
    if page == "html":
        # Drawing is slow to import, and the other pages do without.
        from pipeline.report.render.html import as_html

        return as_html(report)
    raise InputError(f"unknown format '{page}'; expected one of {', '.join(FORMATS)}")


def _trial_json(report: Report, trial: TrialRecord) -> dict[str, Any]:
    measured, verdict = trial.measurement, report.selection.verdicts.get(trial.number)
    return {
        "number": trial.number,
        "state": trial.state,
        "name": trial.name,
        "config": {key: _plain(value) for key, value in trial.config.as_dict().items()},
        **_picked(measured, _MEASURES),
        "seconds": _plain(trial.seconds),
        "verdict": verdict.name if verdict else None,
        "diverged": bool(measured.diverged) if measured else None,
        "excluded_because": report.selection.excluded.get(trial.number),
        "mlflow_run_id": trial.mlflow_run_id,
    }


def _test_json(test: TestResult | None) -> dict[str, Any] | None:
    return None if test is None else _picked(test, _TEST)


def _finalist_json(report: Report, finalist: Finalist) -> dict[str, Any]:
    runs = [
        {
            "seed": seed_of(report, finalist, place),
            **_picked(run.measurement, _SEEDED),
            "mlflow_run_id": run.mlflow_run_id,
        }
        for place, run in enumerate(finalist.runs)
    ]
    return {
        "number": finalist.number,
        "seeds": len(runs),
        **_picked(finalist.measurement, (*_SEEDED, "gap_ce_se")),
        "runs": runs,
        "delivered": finalist.median if finalist.number == report.selection.winner else None,
    }


def _by_name(shares: Mapping[int, float]) -> dict[str, float]:
    return {str(number): share for number, share in shares.items()}


def _picked(record: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """These attributes of a record as JSON values; None for each where there is no record."""
    return {name: _plain(getattr(record, name, None)) for name in names}


def _plain(value: Any) -> Any:
    """A JSON value: numpy's numbers become Python's, those that are not finite None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
