"""Gives MLflow's client one method per thing that a study writes or reads.

In: an address. Out: :class:`StudyRun` for a search, ``StudyRecord`` and a dozen short methods for a
report. Most methods are functions of the module that does the work; they take the store as client.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.errors import TrackingError
from pipeline.tracking import (
    deleted,
    finalist_runs,
    parent_run,
    publication,
    queries,
    read,
    report_run,
    selection_record,
    study_run,
)
from pipeline.tracking.client import Client
from pipeline.tracking.codec import WEIGHTS_FILE, unpack_weights
from pipeline.tracking.delivery import child_runs
from pipeline.tracking.models import champion, registry
from pipeline.tracking.npz import readable


class Tracking(Client):
    """A tracking store that has answered. Made by ``pipeline.tracking.connect``.

    Attributes:
        tracking_uri: Its address, credentials included: show :attr:`address` instead.
    """

    # What a search writes.
    open_study = study_run.open_study
    study_run_id = queries.study_run_id
    deliver_waiting = child_runs.deliver_waiting

    # What a report reads.
    read_study = read.read_study
    is_searched_by_several = queries.is_searched_by_several
    deleted_trials = deleted.deleted_trials
    read_finalists = finalist_runs.read_finalists
    read_averages = finalist_runs.read_averages
    read_selection = selection_record.read_selection
    test_reads = selection_record.test_reads
    read_test_result = selection_record.read_test_result
    read_test_examples = selection_record.read_test_examples

    # What a report writes.
    check_report_files = parent_run.check_report_files
    open_finalists = finalist_runs.open_finalists
    lock_selection = selection_record.lock_selection
    count_test_read = selection_record.count_test_read
    reads_by_other_studies = selection_record.reads_by_other_studies
    log_test_result = selection_record.log_test_result
    keep_test_examples = selection_record.keep_test_examples
    log_report = selection_record.log_report
    set_verdicts = selection_record.set_verdicts
    mark_winner = selection_record.mark_winner
    adopt_report_run = report_run.adopt_report_run
    mark_reported_well = report_run.mark_reported_well
    check_registry = registry.check_registry
    register_model = registry.register_model
    publish = publication.publish
    settle_champion = champion.settle_champion
    promote = champion.promote
    standing_of = champion.standing_of

    @property
    def moved_note(self) -> str:
        """Says that the store's folder was moved and its paths follow."""
        return (
            f"the folder of MLflow's store was moved here from {self.moved_from}: its paths now "
            "lead here"
        )

    def tags(self, run_id: str) -> dict[str, str]:
        """Returns all tags of a run."""
        client = self.doing(f"read the tags of run {run_id}")
        return dict(client.get_run(run_id).data.tags)

    def tag(self, run_id: str, name: str) -> str | None:
        """Returns a tag of a run; None where it is not set."""
        return self.tags(run_id).get(name)

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        """Sets a tag of a run."""
        self.doing(f"tag run {run_id}").set_tag(run_id, name, value)

    def log_files(self, run_id: str, files: Mapping[str, str | bytes]) -> None:
        """Writes files of a run; existing ones are replaced."""
        client = self.doing(f"keep {', '.join(files)}")
        client.write_artifacts(client.get_run(run_id).info.artifact_uri, files)

    def read_file(self, run_id: str, name: str) -> bytes | None:
        """Returns a file of a run; None where there is none."""
        client = self.doing(f"read {name} of run {run_id}")
        return client.read_artifact(client.get_run(run_id).info.artifact_uri, name)

    def keeps_weights(self, run_id: str) -> bool:
        """Returns whether a trial's run keeps its weights."""
        client = self.doing(f"look for the weights of run {run_id}")
        return any(entry.path == WEIGHTS_FILE for entry in client.list_artifacts(run_id))

    def load_weights(self, run_id: str) -> tuple[np.ndarray, ...]:
        """Returns the weights kept on a trial's run, in the order they were given.

        Raises:
            TrackingError: None are kept there.
        """
        client = self.doing(f"read the weights of run {run_id}")
        data = client.read_artifact(client.get_run(run_id).info.artifact_uri, WEIGHTS_FILE)
        if data is None:
            raise TrackingError(
                f"run {run_id} at {self.address} keeps no weights: they were dropped when the "
                "trial was no longer as good as the best, or never kept; train its configuration "
                "again"
            )
        with readable(WEIGHTS_FILE, run_id, "train its configuration again"):
            return unpack_weights(data)
