"""From a finished study to its report: choose, lock the choice, read the test part once, register.

In: the study as tracking holds it. Out: a :class:`Report` for the pages. The order is the point:
the selection record is written and hashed before the test part is opened, and every opening is
counted. A report on a locked study only shows again what is there; it imports no Keras.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import datasets, tracking
from pipeline.datasets import Dataset, SelectionLock
from pipeline.errors import SplitMismatchError
from pipeline.records import (
    DatasetSpec,
    RuleSettings,
    Selection,
    StudyRecord,
    TestResult,
    TrialRecord,
)
from pipeline.report.pages import render
from pipeline.report.rounding import between, decimal
from pipeline.report.rows import Report
from pipeline.report.selection import check_settings, select
from pipeline.tracking.spelling import MODEL_TAG, TEST_FILE, TOTAL_TAG

if TYPE_CHECKING:
    from pipeline.tracking import Tracking

Say = Callable[[str], None]
DECISIVE = (
    "rule", "candidates", "eligible", "reference", "winner", "split_id", "search_space_sha256",
)  # fmt: skip
"""What of a locked record has to be the same for a report to show it again; the rest informs."""


@dataclass(frozen=True)
class ReportOptions:
    """What ``pipeline report`` was asked for.

    Attributes:
        dataset: Report on the newest study of this dataset.
        study: Report on this study.
        rule: Selection rule.
        data_dir: Folder with official files, for the test part.
        read_test_again: Lock the present choice and read the test part once more.
    """

    dataset: str | None = None
    study: str | None = None
    rule: str = "least_overfit"
    data_dir: Path | None = None
    read_test_again: bool = False


def deliver(options: ReportOptions, say: Say) -> Report:
    """Returns the report; the first one on a study locks the choice and reads the test part.

    Raises:
        InputError: There is no such study or rule, or its data cannot be loaded.
        TrackingError: The locked record was tampered with.
        SplitMismatchError: The data are not those that the study was made on.
    """
    settings = RuleSettings(name=options.rule)
    check_settings(settings)
    store = tracking.connect()
    study = store.read_study(study=options.study, dataset=_name(options.dataset))
    selection = select(study, settings)
    run_id = str(study.run_id)
    locked = store.read_selection(run_id)
    refusal = _why_not_locked(study, selection)
    if refusal is not None:
        return Report(study, _noted(selection, refusal) if refusal else selection)
    record = selection_record(study, selection)
    if locked is None or options.read_test_again:
        digest = store.lock_selection(run_id, record, replace=options.read_test_again)
    elif all(locked.get(key) == record[key] for key in DECISIVE):
        digest = str(store.tag(run_id, "selection_locked"))
    else:
        return _what_if(store, study, selection, locked, record)
    unread = options.read_test_again or store.read_test_result(run_id) is None
    if unread or store.tag(run_id, MODEL_TAG) is None:
        lock = SelectionLock(digest) if unread else None
        _conclude(store, study, selection, load_dataset(study, options.data_dir), lock, say)
    return _finished(store, study, selection)


def selection_record(study: StudyRecord, selection: Selection) -> dict[str, Any]:
    """Returns what is locked: rule, candidates with reasons, the choice, and what it rests on."""
    space = json.dumps(study.definition.get("space"), sort_keys=True)
    return {
        "rule": asdict(selection.rule),
        "candidates": [trial.number for trial in study.trials],
        "excluded": {str(number): why for number, why in selection.excluded.items()},
        "eligible": list(selection.eligible),
        "reference": selection.reference,
        "winner": selection.winner,
        "split_id": study.split_id,
        "search_space_sha256": hashlib.sha256(space.encode()).hexdigest(),
        "version": _version(),
    }


def _why_not_locked(study: StudyRecord, selection: Selection) -> str | None:
    """Returns why the choice is not final, empty where its status says so; None if it is."""
    if selection.status != "ok" or selection.winner is None:
        return ""
    running = [trial.number for trial in study.trials if trial.state == "RUNNING"]
    if running:
        return (
            f"preliminary: trial {running[0]}{' and others' if running[1:] else ''} did not end, "
            "so nothing was locked and the test part was not read; run the same `pipeline search` "
            "again to finish the study"
        )
    return None


def _what_if(
    store: Tracking,
    study: StudyRecord,
    selection: Selection,
    locked: dict[str, Any],
    record: dict[str, Any],
) -> Report:
    """Returns a report on another choice than the locked one, with that one's test result."""
    if locked["rule"] != record["rule"]:
        change = f"by the rule {locked['rule']['name']}"
    elif locked["candidates"] != record["candidates"]:
        change = f"when the study had {len(locked['candidates'])} trials"
    else:
        change = f"by version {locked['version']}"
    note = (
        f"what-if: the choice is locked on trial {locked['winner']}, made {change}; this one "
        "cannot read the test part. --read-test-again locks it anew, and the reading is counted"
    )
    results = _test_results(store, str(study.run_id))
    extras = {
        f"Test, locked trial {number}": _in_words(result)
        for number, result in results.items()
        if number == locked["winner"]
    }
    if model := store.tag(str(study.run_id), MODEL_TAG):
        extras["Model of the locked trial"] = model
    return Report(study, _noted(selection, note), extras=extras)


def _noted(selection: Selection, note: str) -> Selection:
    return replace(selection, notes=(*selection.notes, note))


def _conclude(
    store: Tracking,
    study: StudyRecord,
    selection: Selection,
    dataset: Dataset,
    lock: SelectionLock | None,
    say: Say,
) -> None:
    """Reads the test part, where there is a lock to do so, registers the winner, writes the pages.

    The winner is read together with those it is compared with: the best on validation and the
    unregularized baseline.
    """
    from pipeline.report import sealed

    run_id, number = str(study.run_id), int(selection.winner or 0)
    shown = {number, selection.reference}
    compared = [t for t in study.trials if t.number in shown or _is_baseline(t)]
    say(f"restoring {len(compared)} models and checking them on validation")
    restored = sealed.restore(store, dataset, compared)
    if lock is not None:
        say("reading the test part")
        results = sealed.read_once(dataset, restored, lock, store.count_test_read(run_id))
        kept = {str(trial): asdict(result) for trial, result in results.items()}
        store.log_files(run_id, {TEST_FILE: json.dumps(kept)})
        store.log_test_result(run_id, results[number])
    say("registering the model")
    store.register_model(run_id, restored[number].model, dataset.raw_example())
    store.mark_winner(study, number)
    store.set_verdicts(study, selection.verdicts)
    finished = _finished(store, study, selection)
    pages = {"report.json": render(finished, "json"), "report.md": render(finished, "markdown")}
    store.log_report(run_id, pages)


def _is_baseline(trial: TrialRecord) -> bool:
    return trial.name == "baseline" and trial.state == "COMPLETE"


def load_dataset(study: StudyRecord, data_dir: Path | None) -> Dataset:
    """Returns the dataset of a study, its test part sealed.

    Raises:
        SplitMismatchError: The data on this machine are not those of the study.
    """
    definition = study.definition
    spec = DatasetSpec(
        str(definition["source"]),
        data_dir,
        int(definition["seed"]),
        definition["train_examples"],
    )
    dataset = datasets.load(spec)
    if dataset.split_id != study.split_id:
        raise SplitMismatchError(
            f"study '{study.study}' was made on split {study.split_id}, but {spec.name} now gives "
            f"{dataset.split_id}: the data changed. Restore them to read the test part"
        )
    return dataset


def _finished(store: Tracking, study: StudyRecord, selection: Selection) -> Report:
    """Returns the report of a locked study from what tracking holds."""
    run_id = str(study.run_id)
    total = store.tag(run_id, TOTAL_TAG)
    ended = len(selection.verdicts)
    if total is not None and ended < int(total):
        note = (
            f"the study has {ended} of {total} trials: the choice is locked on these. A longer "
            "study is another choice (--read-test-again)"
        )
        selection = _noted(selection, note)
    return Report(
        study,
        selection,
        test=store.read_test_result(run_id),
        model_uri=store.tag(run_id, MODEL_TAG),
        extras=_comparison(study, selection, _test_results(store, run_id)),
    )


def _test_results(store: Tracking, run_id: str) -> dict[int, TestResult]:
    """Returns the results on the test part, by trial number; empty before it was read."""
    kept = store.read_file(run_id, TEST_FILE)
    return {int(n): TestResult(**values) for n, values in json.loads(kept or "{}").items()}


def _comparison(
    study: StudyRecord, selection: Selection, results: dict[int, TestResult]
) -> dict[str, str]:
    """Returns lines that put the winner's test result beside the others'."""
    lines = {}
    for trial in study.trials:
        result = results.get(trial.number)
        if result is None or trial.number == selection.winner:
            continue
        best = "best validation" if trial.number == selection.reference else None
        titles = [title for title in (best, trial.name) if title]
        lines[f"Test, trial {trial.number} ({', '.join(titles)})"] = _in_words(result)
    return lines


def _in_words(result: TestResult) -> str:
    return (
        f"accuracy {decimal(result.accuracy)}, cross-entropy {decimal(result.ce)}, gap "
        f"{decimal(result.gap_ce)} ({between(result.gap_ce_low, result.gap_ce_high)})"
    )


def _version() -> str:
    """Returns this package's version; in a conda environment only its dependencies are there."""
    try:
        return metadata.version("least-overfit")
    except metadata.PackageNotFoundError:
        return "not installed"


def _name(dataset: str | None) -> str | None:
    """Returns the name under which a study has this dataset: of a file, its stem."""
    return Path(dataset).stem if dataset and datasets.is_path(dataset) else dataset
