"""Makes the report on a study: choose, confirm, lock, read the test part once, register.

In: the study as tracking holds it. Out: a :class:`Report` for the pages. The order keeps the test
figures honest: finalists are trained, and the selection record is written and hashed, before the
test part is opened, and every opening is counted. A report on a locked study only shows again what
is there; it trains nothing and imports no Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import datasets, tracking
from pipeline.records import StudyRecord, TrialRecord
from pipeline.report.compared import check_winner, compared_trials
from pipeline.report.completion import Completion
from pipeline.report.lock import (
    decisive_part,
    difference,
    locked_report,
    selection_record,
    what_if_report,
    with_alias,
    with_deleted,
)
from pipeline.report.options import ReportOptions, settings_for
from pipeline.report.render.files import pages_of
from pipeline.report.report import Report
from pipeline.search.study_lock import study_locked
from pipeline.selection.averages import Average
from pipeline.selection.confirm import Trained, confirm, unconfirmed
from pipeline.selection.records import ENSEMBLE, MEDIAN, RuleSettings, Selection
from pipeline.selection.select import select
from pipeline.selection.shortlist import finalist_trainings
from pipeline.tracking.codec import LOCK_TAG, REPORTED_TAG
from pipeline.training.own import registry

if TYPE_CHECKING:
    from pipeline.datasets import Dataset
    from pipeline.tracking import Tracking

Notify = Callable[[str], None]
"""Takes a line about what is being done."""


def make_report(options: ReportOptions, notify: Notify, warn: Notify | None = None) -> Report:
    """Returns the report; the first one on a study locks the choice and reads the test part.

    Args:
        options: What was asked for.
        notify: Takes a line about what is being done.
        warn: Takes a line that the user has to see; None for ``notify``.

    Raises:
        InputError: There is no such study or rule, or its data cannot be loaded.
        TrackingError: The locked record was tampered with.
        SplitMismatchError: The data are not those that the study was made on.
    """
    # Before any store is opened: a wrong rule or constant is an error at once.
    settings_for(options, None)
    store = tracking.connect()
    warn = warn or notify
    if store.moved_from is not None:
        warn(store.moved_note)
    report = report_on_study(store, options, notify, warn)
    return promoted(store, report, warn) if options.promote else report


def report_on_study(
    store: Tracking, options: ReportOptions, notify: Notify, warn: Notify
) -> Report:
    """Returns the report on the study that was asked for."""
    store.adopt_report_run()
    study = store.read_study(study=options.study, dataset=options.dataset_name)
    store.adopt_report_run(study)
    locked = None if options.read_test_again else store.read_selection(str(study.run_id))
    settings = settings_for(options, locked)
    run = ReportRun(store, study, options, settings, select(study, settings), notify, warn)
    if locked is not None:
        return run.show_locked(locked)
    if run.first.winner is None or run.running or run.searched_by_several():
        return run.show_preliminary()
    # Two reports at once would both find the test part unread.
    with run.locked_study():
        if not options.read_test_again:
            locked = store.read_selection(str(study.run_id))
        if locked is None:
            return run.lock_and_read()
    return run.show_locked(locked)


def promoted(store: Tracking, report: Report, notify: Notify) -> Report:
    """Returns the report after its registered model was made the champion, where there is one."""
    if report.model_uri is None:
        notify("--promote: this choice has no registered model, so the champion stays")
        return report
    store.promote(report.model_uri)
    return with_alias(store, report)


@dataclass(frozen=True)
class ReportRun:
    """One report on one study.

    Attributes:
        store: Where the study is tracked.
        study: The study.
        options: What was asked for.
        settings: The rule as asked for.
        first: The choice by one training per trial.
        notify: Takes a line about what is being done.
        warn: Takes a line that the user has to see.
    """

    store: Tracking
    study: StudyRecord
    options: ReportOptions
    settings: RuleSettings
    first: Selection
    notify: Notify
    warn: Notify

    @property
    def run_id(self) -> str:
        """The study's run in MLflow."""
        return str(self.study.run_id)

    @cached_property
    def compared(self) -> tuple[int, ...]:
        """Numbers of the trials that are trained with the finalists' seeds, whatever is chosen."""
        return compared_trials(self.study)

    @property
    def running(self) -> list[int]:
        """Numbers of the trials that did not end."""
        return [trial.number for trial in self.study.trials if trial.state == "RUNNING"]

    def locked_study(self) -> Any:
        """Returns a context in which no other report works on this study."""
        return study_locked(self.study.study, [self.store.tracking_uri], "pipeline report")

    def searched_by_several(self) -> bool:
        """Whether searches that share the study are at work on it.

        Between two of its trials it has none that runs, and is not complete.
        """
        return self.store.is_searched_by_several(self.run_id)

    def show_preliminary(self) -> Report:
        """Returns a report on a choice that is not final: nothing is locked or read."""
        note = ""
        if self.first.winner is not None and self.searched_by_several():
            note = (
                "preliminary: searches that share this study are at work on it (or all of them "
                "were killed), so nothing was locked and the test part was not read; give the same "
                "command again when they have ended. If none is alive, one `pipeline search` with "
                "the same --storage ends the study"
            )
        elif self.first.winner is not None:
            others = " and others" if self.running[1:] else ""
            note = (
                f"preliminary: trial {self.running[0]}{others} did not end, so nothing was locked "
                "and the test part was not read; run the same `pipeline search` again to finish "
                "the study"
            )
        report = with_deleted(self.store, Report(self.study, unconfirmed(self.first, note)))
        if self.first.status in ("no_skill", "no_finite"):
            self.store.log_report(self.run_id, pages_of(report))
        return report

    def lock_and_read(self) -> Report:
        """Confirms a choice that is not locked, locks it, reads the test part and registers."""
        self._check_code()
        # Before the finalists train: they would be for nothing.
        self.store.check_report_files(self.run_id)
        dataset = load_dataset(self.study, self.options.data_dir)
        report = self._report_on(self._confirm(dataset))
        if report.selection.status != "ok":
            return report
        # Before the lock: a model that cannot be restored locks nothing.
        check_winner(self.store, report, self.settings)
        restored = self._completion.restore(report, dataset)
        record = selection_record(report, self.settings, dataset)
        replace = self.options.read_test_again
        digest = self.store.lock_selection(self.run_id, record, replace=replace)
        self._completion.complete(report, dataset, restored, digest)
        self.store.mark_reported_well(self.run_id)
        return locked_report(self.store, report)

    def show_locked(self, locked: Mapping[str, Any]) -> Report:
        """Shows a locked choice again and ends what is left of it; another is a what-if.

        It trains nothing: a choice whose finalists were not all trained rests on one seed each.
        """
        if self.first.winner is None or self.running:
            same = locked["rule"]["name"] == self.first.rule.name
            change = "before the study went on" if same else f"by the rule {locked['rule']['name']}"
            return what_if_report(self.store, self._report_on(self.first), locked, change)
        report = self._report_on(self._confirm_without_training())
        change_found = difference(locked, decisive_part(report), self.settings)
        if change_found is not None:
            return what_if_report(self.store, report, locked, change_found)
        digest = str(self.store.tag(self.run_id, LOCK_TAG))
        if self.store.tag(self.run_id, REPORTED_TAG) != digest:
            self._check_code()
            with self.locked_study():
                dataset = load_dataset(self.study, self.options.data_dir)
                restored = self._completion.restore(report, dataset)
                self._completion.complete(report, dataset, restored, digest)
        self.store.mark_reported_well(self.run_id)
        return locked_report(self.store, report)

    @property
    def _completion(self) -> Completion:
        return Completion(self.store, self.study, self.options, self.first, self.notify)

    def _check_code(self) -> None:
        """Checks that the code of a model of the user's own may be run, where the study has one."""
        what = f"the report on study '{self.study.study}'"
        registry.checked_for(self.study.definition, self.options.family, what)

    def _report_on(self, selection: Selection) -> Report:
        return Report(self.study, selection, confirmation=selection.confirmation)

    def _confirm(self, dataset: Dataset) -> Selection:
        """Trains the finalists that are missing or failed, and returns what they confirm."""
        keys, trained, kept = self._trained()
        missing = [key for key in keys if not self._usable(trained.get(key), kept)]
        if missing:
            from pipeline.report import finalists

            spec = datasets.spec_of(self.study.definition, self.options.data_dir)
            limit, placement = self.options.trial_timeout, self.options.placement
            asked = None if self.options.auto_workers else self.options.workers
            setup = finalists.setup_of(
                self.store, self.study, dataset, spec, limit, asked, placement
            )
            finalists.train(self.store, self.study, missing, setup, self.notify, self.warn)
            keys, trained, kept = self._trained()
        return self._confirmed(keys, trained, kept)

    def _confirm_without_training(self) -> Selection:
        keys, trained, kept = self._trained()
        complete = [run for key in keys if (run := trained.get(key)) and run.state == "COMPLETE"]
        ensemble = self.settings.deliver == ENSEMBLE
        if all(key in trained for key in keys) and (
            not ensemble or all(run.mlflow_run_id in kept for run in complete)
        ):
            return self._confirmed(keys, trained, kept)
        note = "by one seed each: not all of its finalists were trained, and a what-if trains none"
        return unconfirmed(self.first, note)

    def _usable(self, run: TrialRecord | None, kept: Collection[str]) -> bool:
        """Whether a training need not be done again: it ended, and says all that is asked for."""
        if run is None or run.state != "COMPLETE":
            return False
        return self.settings.deliver == MEDIAN or run.mlflow_run_id in kept

    def _confirmed(
        self, keys: Sequence[tuple[int, int]], trained: Trained, kept: Collection[str]
    ) -> Selection:
        averages = self._averages(keys, trained, kept)
        return confirm(self.study, self.first, trained, averages, self.compared)

    def _averages(
        self, keys: Sequence[tuple[int, int]], trained: Trained, kept: Collection[str]
    ) -> Mapping[int, Average]:
        """Returns the mean of the probabilities of every trial all of whose seeds keep them."""
        groups: dict[int, list[TrialRecord]] = {}
        for number, seed in keys:
            groups.setdefault(number, []).append(trained[number, seed])
        usable = {n: runs for n, runs in groups.items() if all(self._usable(r, kept) for r in runs)}
        return {} if self.settings.deliver == MEDIAN else self.store.read_averages(usable)

    def _trained(self) -> tuple[Sequence[tuple[int, int]], Trained, Collection[str]]:
        """Returns what confirms the choice.

        Returns:
            Trial and seed of each training that it takes, the trainings that there are, and which
            of their runs keep the probabilities of every class.
        """
        keys = finalist_trainings(self.study, self.first, self.compared)
        if not keys:
            return keys, {}, ()
        found = self.store.read_finalists(self.study)
        return keys, found.trained, found.with_probabilities


def load_dataset(study: StudyRecord, data_dir: Path | None) -> Dataset:
    """Returns the dataset of a study, its test part sealed.

    Raises:
        SplitMismatchError: The data on this machine are not those of the study.
    """
    spec = datasets.spec_of(study.definition, data_dir)
    made = f"study '{study.study}' was made"
    return datasets.reload(spec, study.split_id, made, "read the test part")
