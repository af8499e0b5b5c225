"""Does what follows the lock of a choice: reads the test part, registers the model, writes pages.

In: a report on a locked choice and its restored models. Out: all of it in MLflow. Each step is done
once: whatever dies between two of them, the next report goes on there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline import datasets
from pipeline.records import StudyRecord, TestResults
from pipeline.report.compared import compared_models, restorable
from pipeline.report.lock import locked_report
from pipeline.report.options import ReportOptions
from pipeline.report.render.files import pages_of
from pipeline.report.render.kept import KEPT_FILE, record_of
from pipeline.report.report import Report
from pipeline.selection.records import Selection
from pipeline.tracking.codec import (
    REGISTERED_TAG,
    REPORTED_TAG,
    SIZE_FILE,
    TEST_FILE,
    TEST_PART_TAG,
    TESTED_TAG,
)

if TYPE_CHECKING:
    from pipeline.datasets import Dataset, SelectionLock
    from pipeline.report.test_part import Restored
    from pipeline.tracking import Tracking


@dataclass(frozen=True)
class Completion:
    """What is done once for each lock of a study.

    Attributes:
        store: Where the study is tracked.
        study: The study.
        options: What was asked for.
        first: The choice by one training per trial.
        notify: Takes a line about what is being done.
    """

    store: Tracking
    study: StudyRecord
    options: ReportOptions
    first: Selection
    notify: Callable[[str], None]

    @property
    def run_id(self) -> str:
        """The study's run in MLflow."""
        return str(self.study.run_id)

    def restore(self, report: Report, dataset: Dataset) -> dict[int, Restored]:
        """Returns the models to measure on the test part, by trial number, checked on validation.

        One whose weights were not kept is left out, but never the winner.
        """
        from pipeline.report import test_part

        models = restorable(self.store, report, self.first)
        count = len({run.mlflow_run_id for model in models for run in model.all_trainings})
        self.notify(f"restoring {count} models and checking them on validation")
        return test_part.restore(self.store, dataset, models)

    def complete(
        self, report: Report, dataset: Dataset, restored: dict[int, Restored], digest: str
    ) -> None:
        """Reads the test part, registers the winner, writes the pages: what is not done of it yet.

        A tag with the lock's hash follows each step: whatever dies between two of them, the next
        report goes on there, and nothing of an earlier lock passes for this one's.
        """
        store, run_id = self.store, self.run_id
        winner = report.delivered
        assert winner is not None
        if self.options.read_test_again or store.tag(run_id, TESTED_TAG) != digest:
            self._read_test_part(report, dataset, restored, datasets.SelectionLock(digest))
        if store.tag(run_id, REGISTERED_TAG) != digest:
            self._register(restored[winner.number], dataset, digest)
        parts = [str(run.mlflow_run_id) for run in report.parts(winner.number)]
        store.mark_winner(self.study, winner.number, parts)
        verdicts = report.selection.verdicts
        because = {number: verdict.because for number, verdict in verdicts.items()}
        store.set_verdicts(self.study, {n: v.name for n, v in verdicts.items()}, because)
        self.notify("writing the pages")
        # It imports MLflow, which is there by now.
        from pipeline.report.publication import finding

        done = locked_report(store, report)
        pages = pages_of(done)
        store.log_report(run_id, pages | {KEPT_FILE: record_of(done, pages)})
        if (found := finding(done)) is not None:
            store.publish(run_id, found)
        store.set_tag(run_id, REPORTED_TAG, digest)

    def _register(self, restored: Restored, dataset: Dataset, digest: str) -> None:
        store, run_id = self.store, self.run_id
        self.notify("registering the model")
        uri = store.register_model(
            run_id,
            self._model_to_register(restored, dataset),
            dataset.raw_example(),
            class_names=dataset.class_names,
            feature_names=feature_names(dataset),
            columns=dataset.encoding.columns if dataset.encoding else (),
            pictures=dataset.pictures.as_dict() if dataset.pictures else None,
            decimal=decimal_of(dataset),
            tensor=dataset.raw_tensor(),
            locked=digest,
        )
        store.settle_champion(run_id, uri, promote=self.options.promote)
        store.set_tag(run_id, REGISTERED_TAG, digest)

    def _read_test_part(
        self, report: Report, dataset: Dataset, restored: dict[int, Restored], lock: SelectionLock
    ) -> None:
        from pipeline.report import test_part

        self.notify("reading the test part")
        store, run_id = self.store, self.run_id
        # Counted before it begins: a report that dies while it reads may have seen something.
        reads = store.count_test_read(run_id)
        results, examples = test_part.read_once(dataset, restored, lock, reads)
        store.log_files(run_id, {TEST_FILE: json.dumps(asdict(self._with_gaps(report, results)))})
        store.keep_test_examples(run_id, examples)
        store.set_tag(run_id, TEST_PART_TAG, examples.part_id)
        winner = results.models[int(report.selection.winner or 0)]
        assert winner is not None, "the winner is always measured"
        store.log_test_result(run_id, winner)
        store.set_tag(run_id, TESTED_TAG, lock.record_hash)

    def _with_gaps(self, report: Report, results: TestResults) -> TestResults:
        """Returns the results with None for what belongs there and whose weights were not kept."""
        compared = compared_models(report, self.first)
        searches = [model.search for model in compared if model.search is not None]
        return TestResults(
            {**dict.fromkeys(model.number for model in compared), **results.models},
            {**dict.fromkeys(str(run.mlflow_run_id) for run in searches), **results.trainings},
        )

    def _model_to_register(self, restored: Restored, dataset: Dataset) -> Any:
        """Returns what is delivered, and keeps its size and speed beside those of one training."""
        from pipeline.report import test_part

        model = test_part.delivered_model(restored, dataset)
        sizes = test_part.sizes(model, restored, dataset)
        self.store.log_files(self.run_id, {SIZE_FILE: json.dumps(sizes)})
        return model


def feature_names(dataset: Dataset) -> tuple[str, ...]:
    """Returns the columns that the delivered model takes, in its order; none for no table."""
    if dataset.encoding is not None:
        return tuple(column.name for column in dataset.encoding.columns)
    return dataset.columns.features if dataset.columns else ()


def decimal_of(dataset: Dataset) -> str | None:
    """Returns the decimal mark of the text file of a table; None where nothing says it."""
    written = dataset.columns.written if dataset.columns else None
    return written.decimal if written else None
