"""Records what is locked before the test part is read, and shows it again.

A :class:`Report` on a choice becomes a JSON record: the choice, what it rests on, and hashes. A
later report compares its own choice with the locked one by :data:`DECISIVE`: the same one is shown
with its test results, another one as a what-if, without. Nothing is trained or measured here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipeline
from pipeline.formatting import between, decimal
from pipeline.records import TestResult, TestResults
from pipeline.report.finalist_json import finalist_json
from pipeline.report.render.kept import kept_page
from pipeline.report.report import Report, Size
from pipeline.selection.records import MEDIAN, Finalist, RuleSettings
from pipeline.selection.rules import find_rule
from pipeline.tracking.codec import (
    LOCK_TAG,
    MODEL_TAG,
    REGISTERED_TAG,
    SIZE_FILE,
    TEST_FILE,
    TESTED_TAG,
    TOTAL_TAG,
)

if TYPE_CHECKING:
    from pipeline.datasets import Dataset
    from pipeline.tracking import Tracking

_OLD = (
    "this choice was locked by an older version, which delivered the winner's seed with the median "
    "validation cross-entropy: it stands as it was. --read-test-again chooses by the mean of the "
    "seeds, delivers that, and the reading is counted"
)

DECISIVE = (
    "rule", "candidates", "eligible", "reference", "winner", "delivered_run", "split_id",
    "search_space_sha256",
)  # fmt: skip
"""What of a locked record has to be the same for a report to show it again; the rest informs."""

_FINALIST_KEYS = ("number", "val_ce", "val_accuracy", "gap_ce", "gap_ce_se")
_RUN_KEYS = {"seed": "seed", "run_id": "mlflow_run_id", "val_ce": "val_ce", "gap_ce": "gap_ce"}
"""Key of a finalist's run in the locked record -> its key in ``finalist_json``."""


def decisive_part(report: Report) -> dict[str, Any]:
    """Returns the part of the record that decides."""
    study, selection = report.study, report.selection
    space = json.dumps(study.definition.get("space"), sort_keys=True)
    return {
        "rule": selection.rule.as_dict(),
        "candidates": [trial.number for trial in study.trials],
        "eligible": list(selection.eligible),
        "reference": selection.reference,
        "winner": selection.winner,
        "delivered_run": _delivered_run(report),
        "split_id": study.split_id,
        "search_space_sha256": hashlib.sha256(space.encode()).hexdigest(),
    }


def _delivered_run(report: Report) -> str | list[str | None] | None:
    """Returns the run whose weights are delivered; of an ensemble the list of all of them."""
    runs = [run.mlflow_run_id for run in report.parts(report.selection.winner)]
    return runs if len(runs) > 1 else next(iter(runs), None)


def selection_record(report: Report, asked: RuleSettings, dataset: Dataset) -> dict[str, Any]:
    """Returns what is locked: rule, candidates with reasons, finalists, the choice, and hashes.

    Args:
        report: The choice, with a winner.
        asked: The rule as asked for: its constants, seeds and finalists, whatever came of them.
        dataset: The study's, its test part sealed.
    """
    selection, found = report.selection, report.selection.confirmation
    finalists = [_locked_finalist(entry, found.seeds) for entry in found.finalists] if found else []
    return decisive_part(report) | {
        "asked": asked_for(asked),
        "excluded": {str(number): why for number, why in selection.excluded.items()},
        "first_choice": found.first_choice if found else selection.winner,
        "seeds": list(found.seeds) if found else [],
        "finalists": finalists,
        "dropped": {str(number): why for number, why in selection.dropped.items()},
        "data_sha256": dataset.fingerprint,
        **code(),
    }


def asked_for(settings: RuleSettings) -> dict[str, float | str]:
    """Returns the constants that this rule has, its seeds, finalists and delivery, by name."""
    own = [constant.name for constant in find_rule(settings.name).constants]
    deliver = ["deliver"] if settings.deliver != MEDIAN else []
    return {name: getattr(settings, name) for name in (*own, "seeds", "finalists", *deliver)}


def difference(
    locked: Mapping[str, Any], own: Mapping[str, Any], asked: RuleSettings
) -> str | None:
    """Returns in which circumstances the locked choice was made otherwise; None for the same.

    Args:
        locked: The locked record.
        own: The decisive part of the present choice.
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
            shown = value if isinstance(value, str) else f"{value:g}"
            return f"with --{name.replace('_', '-')} {shown}"
    if "deliver" not in locked["rule"] and asked.deliver != MEDIAN:
        return f"by version {locked['version']}, which delivered the seed with the median val CE"
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


def locked_report(store: Tracking, report: Report) -> Report:
    """Returns the report on a locked choice, with the test results that tracking holds."""
    study, run_id = report.study, str(report.study.run_id)
    tags = store.tags(run_id)
    total, ended = tags.get(TOTAL_TAG), len(report.selection.verdicts)
    if total is not None and ended < int(total):
        note = (
            f"the study has {ended} of {total} trials: the choice is locked on these. A longer "
            "study is another choice (--read-test-again)"
        )
        report = with_note(report, note)
    report = with_deleted(store, report)
    tested = _done_for_lock(tags, TESTED_TAG)
    results = _test_results(store, run_id) if tested else TestResults()
    for number, result in results.models.items():
        if result is None:
            note = f"trial {number} is not measured on the test part: its weights were not kept"
            report = with_note(report, note)
    if report.confirmation is not None and report.selection.rule.deliver == MEDIAN:
        report = with_note(report, _OLD)
    registered = _done_for_lock(tags, REGISTERED_TAG)
    shown = Report(
        study,
        report.selection,
        test=store.read_test_result(run_id) if tested else None,
        model_uri=tags.get(MODEL_TAG) if registered else None,
        extras=_provenance(store.read_selection(run_id), tags.get(LOCK_TAG)),
        confirmation=report.confirmation,
        tested=_measured(results.models),
        tested_trainings=_measured(results.trainings),
        sizes=_sizes(store, run_id) if registered else {},
        test_examples=store.read_test_examples(run_id) if tested else None,
        other_reads=store.reads_by_other_studies(run_id) if tested else {},
        kept=kept_pages(store, run_id),
    )
    return shown if shown.model_uri is None else with_alias(store, shown)


def kept_pages(store: Tracking, run_id: str) -> Callable[[Report, str], str | None]:
    """Returns what finds a page that MLflow keeps of a report, for ``Report.kept``."""

    def kept(report: Report, page: str) -> str | None:
        return kept_page(report, page, lambda name: store.read_file(run_id, f"report/{name}"))

    return kept


def with_alias(store: Tracking, report: Report) -> Report:
    """Returns the report with what its registered model is now: champion, challenger, neither."""
    standing = store.standing_of(str(report.model_uri))
    because = f": {standing.because}" if standing.because else ""
    line = f"{standing.alias or 'no alias'}{because}"
    extras = {"Alias of the model": line} | {
        label: text for label, text in report.extras.items() if label != "Alias of the model"
    }
    return replace(report, alias=standing.alias, alias_because=standing.because, extras=extras)


def what_if_report(
    store: Tracking, report: Report, locked: Mapping[str, Any], change: str
) -> Report:
    """Returns a report on another choice than the locked one, with that one's test result.

    Args:
        store: The study's.
        report: The other choice.
        locked: The locked record.
        change: In which circumstances the locked choice was made otherwise.
    """
    run_id = str(report.study.run_id)
    tags = store.tags(run_id)
    tested = _done_for_lock(tags, TESTED_TAG)
    results = _measured(_test_results(store, run_id).models) if tested else {}
    extras = {
        f"Test, locked trial {number}": _test_line(result)
        for number, result in results.items()
        if number == locked["winner"]
    }
    if _done_for_lock(tags, REGISTERED_TAG):
        extras["Model of the locked trial"] = tags[MODEL_TAG]
    note = (
        f"what-if: the choice is locked on trial {locked['winner']}, made {change}; this one "
        "cannot read the test part. --read-test-again locks it anew, and the reading is counted"
    )
    return replace(with_deleted(store, with_note(report, note)), extras=extras)


def with_deleted(store: Tracking, report: Report) -> Report:
    """Returns the report with a note on the study's runs that were deleted in MLflow, if any."""
    note = store.deleted_trials(str(report.study.run_id))
    return report if note is None else with_note(report, note)


def with_note(report: Report, note: str) -> Report:
    """Returns the report with one more note on its selection."""
    selection = replace(report.selection, notes=(*report.selection.notes, note))
    return replace(report, selection=selection)


def _done_for_lock(tags: Mapping[str, str], step: str) -> bool:
    """Whether a step was done for the choice that is locked, not for one that it replaced."""
    return LOCK_TAG in tags and tags.get(step) == tags[LOCK_TAG]


def _test_results(store: Tracking, run_id: str) -> TestResults:
    """Returns what is kept of the results on the test part."""
    kept = json.loads(store.read_file(run_id, TEST_FILE) or "{}")
    # Older versions kept one model per trial, and nothing else.
    models, trainings = (kept["models"], kept["trainings"]) if "models" in kept else (kept, {})
    return TestResults(
        {int(number): values and TestResult(**values) for number, values in models.items()},
        {run: values and TestResult(**values) for run, values in trainings.items()},
    )


def _measured(results: Mapping[Any, TestResult | None]) -> dict[Any, TestResult]:
    return {key: result for key, result in results.items() if result is not None}


def _sizes(store: Tracking, run_id: str) -> dict[str, Size]:
    kept = json.loads(store.read_file(run_id, SIZE_FILE) or "{}")
    return {name: Size(**values) for name, values in kept.items()}


def _provenance(locked: Mapping[str, Any] | None, digest: str | None) -> dict[str, str]:
    """Returns a line on what was locked, by which code, on which data; hashes cut short."""
    if locked is None:
        return {}
    commit = f", commit {locked['commit'][:12]}" if locked["commit"] else ""
    text = (
        f"selection {str(digest)[:12]}, by version {locked['version']}{commit}, sources "
        f"{locked['source_sha256'][:12]}, data {locked['data_sha256'][:12]}, split "
        f"{locked['split_id']}"
    )
    return {"Locked": text}


def _test_line(result: TestResult) -> str:
    return (
        f"accuracy {decimal(result.accuracy)}, cross-entropy {decimal(result.ce)}, gap "
        f"{decimal(result.gap_ce)} ({between(result.gap_ce_low, result.gap_ce_high)})"
    )
