"""What is locked before the test part is read: the choice, what it rests on, and hashes of it.

A study, a :class:`Decision` and the dataset in, JSON values out. A second report compares its own
choice with the locked one by :data:`DECISIVE`; a difference makes it a what-if.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import pipeline
from pipeline.datasets import Dataset
from pipeline.records import StudyRecord, TrialRecord
from pipeline.report.finalist_json import finalist_json
from pipeline.selection.confirm import Decision
from pipeline.selection.records import Finalist, RuleSettings

DECISIVE = (
    "rule", "candidates", "eligible", "reference", "winner", "delivered_run", "split_id",
    "search_space_sha256",
)  # fmt: skip
"""What of a locked record has to be the same for a report to show it again; the rest informs."""

_FINALIST_KEYS = ("number", "val_ce", "val_accuracy", "gap_ce", "gap_ce_se", "median_seed")
_RUN_KEYS = {"seed": "seed", "run_id": "mlflow_run_id", "val_ce": "val_ce", "gap_ce": "gap_ce"}
"""Key of a finalist's run in the locked record -> its key in ``finalist_json``."""


def decisive(study: StudyRecord, decision: Decision) -> dict[str, Any]:
    """Returns the part of the record that decides."""
    selection = decision.selection
    space = json.dumps(study.definition.get("space"), sort_keys=True)
    chosen = delivered(study, decision)
    return {
        "rule": asdict(selection.rule),
        "candidates": [trial.number for trial in study.trials],
        "eligible": list(selection.eligible),
        "reference": selection.reference,
        "winner": selection.winner,
        "delivered_run": chosen.mlflow_run_id if chosen else None,
        "split_id": study.split_id,
        "search_space_sha256": hashlib.sha256(space.encode()).hexdigest(),
    }


def selection_record(
    study: StudyRecord, decision: Decision, asked: RuleSettings, dataset: Dataset
) -> dict[str, Any]:
    """Returns what is locked: rule, candidates with reasons, finalists, the choice, and hashes.

    Args:
        study: The study.
        decision: The choice, with a winner.
        asked: The rule as asked for: its seeds and finalists, whatever came of them.
        dataset: The study's, its test part sealed.
    """
    found = decision.confirmation
    return decisive(study, decision) | {
        "asked": {"seeds": asked.seeds, "finalists": asked.finalists},
        "excluded": {str(n): why for n, why in decision.selection.excluded.items()},
        "first_choice": found.first_choice if found else decision.selection.winner,
        "seeds": list(found.seeds) if found else [],
        "finalists": [_locked_finalist(entry, found.seeds) for entry in found.finalists]
        if found
        else [],
        "dropped": {str(number): why for number, why in (decision.dropped or {}).items()},
        "data_sha256": dataset.fingerprint,
        **code(),
    }


def delivered(study: StudyRecord, decision: Decision, number: int | None = None) -> TrialRecord:
    """Returns the training that stands for a trial (the winner): a finalist's median seed, else it.

    Args:
        study: The study.
        decision: The choice, with a winner.
        number: Another trial than the winner.
    """
    number = decision.selection.winner if number is None else number
    finalists = decision.confirmation.finalists if decision.confirmation else ()
    for finalist in finalists:
        if finalist.number == number:
            return finalist.runs[finalist.median]
    return next(trial for trial in study.trials if trial.number == number)


def difference(
    locked: Mapping[str, Any], own: Mapping[str, Any], asked: RuleSettings
) -> str | None:
    """Returns in which circumstances the locked choice was made otherwise; None for the same.

    Args:
        locked: The locked record.
        own: What :func:`decisive` says of the present choice.
        asked: The rule as asked for now.
    """
    if all(locked.get(key) == own[key] for key in DECISIVE):
        return None
    if locked["rule"]["name"] != own["rule"]["name"]:
        return f"by the rule {locked['rule']['name']}"
    if locked["candidates"] != own["candidates"]:
        return f"when the study had {len(locked['candidates'])} trials"
    for name, value in locked["asked"].items():
        if value != getattr(asked, name):
            return f"with --{name} {value}"
    if locked["rule"]["seeds"] != own["rule"]["seeds"]:
        return "with finalists whose runs are no longer in MLflow"
    if locked["rule"] != own["rule"]:
        return "with other constants of the rule"
    return f"by version {locked['version']}"


def _locked_finalist(finalist: Finalist, seeds: tuple[int, ...]) -> dict[str, Any]:
    values = finalist_json(finalist, seeds)
    runs = [{key: run[name] for key, name in _RUN_KEYS.items()} for run in values["runs"]]
    return {key: values[key] for key in _FINALIST_KEYS} | {"runs": runs}


def code() -> dict[str, str | None]:
    """Returns which code chose: its version, commit (None outside git) and the sources' hash."""
    # It imports MLflow, which is there when a choice is locked.
    from pipeline.tracking.parent_run import git_commit

    folder = Path(pipeline.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return {
        "version": version(),
        "commit": git_commit(folder),
        "source_sha256": digest.hexdigest(),
    }


def version() -> str:
    """Returns this package's version; in a conda environment only its dependencies are there."""
    try:
        return metadata.version("least-overfit")
    except metadata.PackageNotFoundError:
        return "not installed"
