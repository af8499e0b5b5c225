"""From a finished study to its report: choose, confirm, lock, read the test part once, register.

In: the study as tracking holds it. Out: a :class:`Report` for the pages. The order is the point:
finalists are trained and the selection record is written and hashed before the test part is opened,
and every opening is counted. A report on a locked study only shows again what is there; it trains
nothing and imports no Keras.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import datasets, tracking
from pipeline.datasets import Dataset, SelectionLock
from pipeline.records import StudyRecord, TrialRecord
from pipeline.report import finalists
from pipeline.report.lock import decisive, delivered, difference, selection_record
from pipeline.report.publishing import pages_of
from pipeline.report.recall import locked_report, what_if
from pipeline.report.report import Report
from pipeline.search.study_lock import alone
from pipeline.selection.confirm import Decision, by_one_seed, confirmed, wanted
from pipeline.selection.records import RuleSettings, Selection
from pipeline.selection.select import check_settings, select
from pipeline.selection.verdicts import reasons
from pipeline.tracking.codec import LOCK_TAG, REGISTERED_TAG, REPORTED_TAG, TEST_FILE, TESTED_TAG

if TYPE_CHECKING:
    from pipeline.report.test_part import Restored
    from pipeline.tracking import Tracking

Say = Callable[[str], None]

SEEDS = 3
"""Seeds per finalist, where nothing else is asked for and nothing is locked."""
FINALISTS = 5


@dataclass(frozen=True)
class ReportOptions:
    """What ``pipeline report`` was asked for.

    Attributes:
        dataset: Report on the newest study of this dataset.
        study: Report on this study.
        rule: Selection rule.
        seeds: Seeds per finalist, 1 for no finalists; None as locked, else :data:`SEEDS`.
        finalists: Largest number of finalists; None as locked, else :data:`FINALISTS`.
        data_dir: Folder with official files, for training finalists and for the test part.
        read_test_again: Lock the present choice and read the test part once more.
    """

    dataset: str | None = None
    study: str | None = None
    rule: str = "least_overfit"
    seeds: int | None = None
    finalists: int | None = None
    data_dir: Path | None = None
    read_test_again: bool = False


def deliver(options: ReportOptions, say: Say) -> Report:
    """Returns the report; the first one on a study locks the choice and reads the test part.

    Raises:
        InputError: There is no such study or rule, or its data cannot be loaded.
        TrackingError: The locked record was tampered with.
        SplitMismatchError: The data are not those that the study was made on.
    """
    check_settings(_settings(options, {}))
    store = tracking.connect()
    study = store.read_study(study=options.study, dataset=_name(options.dataset))
    run_id = str(study.run_id)
    locked = None if options.read_test_again else store.read_selection(run_id)
    settings = _settings(options, (locked or {}).get("asked", {}))
    first = select(study, settings)
    refusal = _why_not_locked(study, first)
    if locked is not None:
        return _again(store, study, first, locked, options, say)
    if refusal is not None:
        report = Report(study, by_one_seed(first, refusal))
        if first.status in ("no_skill", "no_finite"):
            store.log_report(run_id, pages_of(report))
        return report
    # Two reports at once would both find the test part unread.
    with alone(study.study, [store.tracking_uri], "pipeline report"):
        if not options.read_test_again:
            locked = store.read_selection(run_id)
        if locked is None:
            return _lock_and_read(store, study, first, settings, options, say)
    return _again(store, study, first, locked, options, say)


def _lock_and_read(
    store: Tracking,
    study: StudyRecord,
    first: Selection,
    settings: RuleSettings,
    options: ReportOptions,
    say: Say,
) -> Report:
    """Confirms a choice that is not locked, locks it, reads the test part and registers."""
    dataset = load_dataset(study, options.data_dir)
    decision = _confirm(store, study, first, dataset, options, say)
    if decision.selection.status != "ok":
        return Report(study, decision.selection, confirmation=decision.confirmation)
    # Before the lock: a model that cannot be restored locks nothing.
    restored = _restored(store, study, decision, dataset, first, say)
    record = selection_record(study, decision, settings, dataset)
    digest = store.lock_selection(str(study.run_id), record, replace=options.read_test_again)
    lock = SelectionLock(digest)
    _conclude(Conclusion(store, study, decision, dataset, restored, lock), options, say)
    return locked_report(store, study, decision)


def _settings(options: ReportOptions, locked: dict[str, int]) -> RuleSettings:
    """Returns the rule asked for; seeds and finalists that were not named are the locked ones."""
    return RuleSettings(
        name=options.rule,
        seeds=options.seeds or locked.get("seeds", SEEDS),
        finalists=options.finalists or locked.get("finalists", FINALISTS),
    )


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


def _confirm(
    store: Tracking,
    study: StudyRecord,
    first: Selection,
    dataset: Dataset,
    options: ReportOptions,
    say: Say,
) -> Decision:
    """Trains the finalists that are missing or failed, and returns what they confirm."""
    keys = wanted(study, first)
    trained = store.read_finalists(study) if keys else {}
    missing = [key for key in keys if key not in trained or trained[key].state != "COMPLETE"]
    if missing:
        spec = datasets.spec_of(study.definition, options.data_dir)
        setup = finalists.setup_of(store, study, dataset, spec)
        finalists.train(store, study, missing, setup, say)
        trained = store.read_finalists(study)
    return confirmed(study, first, trained)


def _again(
    store: Tracking,
    study: StudyRecord,
    first: Selection,
    locked: dict[str, Any],
    options: ReportOptions,
    say: Say,
) -> Report:
    """Shows a locked choice again, and ends what an earlier report did not; another is a what-if.

    It trains nothing: a choice whose finalists were not all trained rests on one seed each.
    """
    refusal = _why_not_locked(study, first)
    if refusal is not None:
        same = locked["rule"]["name"] == first.rule.name
        change = "before the study went on" if same else f"by the rule {locked['rule']['name']}"
        return what_if(store, study, Decision(first), locked, change)
    run_id, keys = str(study.run_id), wanted(study, first)
    trained = store.read_finalists(study) if keys else {}
    if all(key in trained for key in keys):
        decision = confirmed(study, first, trained)
    else:
        note = "by one seed each: not all of its finalists were trained, and a what-if trains none"
        decision = Decision(by_one_seed(first, note))
    change_found = difference(locked, decisive(study, decision), first.rule)
    if change_found is not None:
        return what_if(store, study, decision, locked, change_found)
    digest = str(store.tag(run_id, LOCK_TAG))
    if store.tag(run_id, REPORTED_TAG) != digest:
        with alone(study.study, [store.tracking_uri], "pipeline report"):
            dataset = load_dataset(study, options.data_dir)
            restored = _restored(store, study, decision, dataset, first, say)
            lock = SelectionLock(digest)
            _conclude(Conclusion(store, study, decision, dataset, restored, lock), options, say)
    return locked_report(store, study, decision)


def _restored(
    store: Tracking,
    study: StudyRecord,
    decision: Decision,
    dataset: Dataset,
    first: Selection,
    say: Say,
) -> dict[int, Restored]:
    """Returns the models to measure on the test part, by trial number, checked on validation.

    The winner, the best on validation (of the finalists, and of the search) and the unregularized
    baseline; of finalists, the seed with the median stands for them.
    """
    from pipeline.report import test_part

    shown = {decision.selection.winner, decision.selection.reference, first.reference}
    compared = [t.number for t in study.trials if t.number in shown or _is_baseline(t)]
    say(f"restoring {len(compared)} models and checking them on validation")
    return test_part.restore(store, dataset, [delivered(study, decision, n) for n in compared])


@dataclass(frozen=True)
class Conclusion:
    """What a locked choice is concluded with."""

    store: Tracking
    study: StudyRecord
    decision: Decision
    dataset: Dataset
    restored: dict[int, Restored]
    lock: SelectionLock


def _conclude(found: Conclusion, options: ReportOptions, say: Say) -> None:
    """Reads the test part, registers the winner, writes the pages: what is not done of it yet.

    A tag with the lock's hash follows each step: whatever dies between two of them, the next report
    goes on there, and nothing of an earlier lock passes for this one's.
    """
    from pipeline.report import test_part

    store, study, digest = found.store, found.study, found.lock.record_hash
    run_id, winner = str(study.run_id), delivered(study, found.decision)
    if options.read_test_again or store.tag(run_id, TESTED_TAG) != digest:
        say("reading the test part")
        reads = store.count_test_read(run_id)
        results, examples = test_part.read_once(found.dataset, found.restored, found.lock, reads)
        kept = {str(number): asdict(result) for number, result in results.items()}
        store.log_files(run_id, {TEST_FILE: json.dumps(kept)})
        store.keep_test_examples(run_id, examples)
        store.log_test_result(run_id, results[winner.number])
        store.set_tag(run_id, TESTED_TAG, digest)
    if store.tag(run_id, REGISTERED_TAG) != digest:
        say("registering the model")
        model, classes = found.restored[winner.number].model, found.dataset.class_names
        example = found.dataset.raw_example()
        columns = found.dataset.columns
        names = columns.features if columns else ()
        store.register_model(run_id, model, example, class_names=classes, feature_names=names)
        store.set_tag(run_id, REGISTERED_TAG, digest)
    store.mark_winner(study, winner.number, winner.mlflow_run_id)
    selection = found.decision.selection
    because = reasons(study.trials, selection.verdicts, selection.reference)
    store.set_verdicts(study, selection.verdicts, because)
    say("writing the pages")
    store.log_report(run_id, pages_of(locked_report(store, study, found.decision)))
    store.set_tag(run_id, REPORTED_TAG, digest)


def _is_baseline(trial: TrialRecord) -> bool:
    return trial.name == "baseline" and trial.state == "COMPLETE"


def load_dataset(study: StudyRecord, data_dir: Path | None) -> Dataset:
    """Returns the dataset of a study, its test part sealed.

    Raises:
        SplitMismatchError: The data on this machine are not those of the study.
    """
    spec = datasets.spec_of(study.definition, data_dir)
    made = f"study '{study.study}' was made"
    return datasets.reload(spec, study.split_id, made, "read the test part")


def _name(dataset: str | None) -> str | None:
    """Returns the name under which a study has this dataset: of a path, what it is called by."""
    return datasets.name_of(Path(dataset)) if dataset and datasets.is_path(dataset) else dataset
