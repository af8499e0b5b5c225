import hashlib
import math
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest
from mlflow import MlflowClient
from tracking_samples import complete, per_example

from pipeline.errors import TrackingError
from pipeline.records import TestExamples, TestResult, TrialConfig

RECORD = {"status": "ok", "winner": 3, "gap": 1 / 3, "eligible": [3, 1]}


@pytest.fixture
def client(tracking):
    return MlflowClient(tracking.tracking_uri)


@pytest.fixture
def study(open_study):
    run = open_study()
    for number in range(3):
        run.trial_started(number, None, TrialConfig())
        run.trial_finished(complete(number))
    run.study_finished()
    return run


def folder_of(client, run_id):
    return Path(url2pathname(urlparse(client.get_run(run_id).info.artifact_uri).path))


def selection_file(client, run_id):
    digest = client.get_run(run_id).data.tags["selection_locked"]
    return folder_of(client, run_id) / f"selection-{digest[:12]}.json"


def test_the_selection_is_locked_once_with_its_hash(tracking, client, study):
    assert tracking.read_selection(study.run_id) is None
    digest = tracking.lock_selection(study.run_id, RECORD)
    written = selection_file(client, study.run_id).read_bytes()
    assert digest == hashlib.sha256(written).hexdigest()
    assert (folder_of(client, study.run_id) / "selection.json").read_bytes() == written
    assert client.get_run(study.run_id).data.tags["selection_locked"] == digest
    assert tracking.read_selection(study.run_id) == RECORD


def test_the_same_selection_again_is_no_error_another_one_is(tracking, study):
    digest = tracking.lock_selection(study.run_id, RECORD)
    reordered = dict(reversed(RECORD.items()))
    assert tracking.lock_selection(study.run_id, reordered) == digest
    with pytest.raises(TrackingError, match=r"is locked .* start a new study \(--study NAME\)"):
        tracking.lock_selection(study.run_id, RECORD | {"winner": 1})
    assert tracking.read_selection(study.run_id) == RECORD


def test_a_changed_record_is_refused(tracking, client, study):
    tracking.lock_selection(study.run_id, RECORD)
    path = selection_file(client, study.run_id)
    path.write_text(path.read_text().replace('"winner": 3', '"winner": 1'))
    with pytest.raises(
        TrackingError, match=r"selection-\w{12}\.json of run .* was changed after it was locked"
    ):
        tracking.read_selection(study.run_id)


def test_a_lost_record_is_refused(tracking, client, study):
    tracking.lock_selection(study.run_id, RECORD)
    selection_file(client, study.run_id).unlink()
    with pytest.raises(TrackingError, match=r"its selection-\w{12}\.json is gone"):
        tracking.read_selection(study.run_id)


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_replacement_that_is_cut_off_anywhere_leaves_one_valid_lock(
    tracking, client, study, fake_mlflow, survived
):
    """Its steps: the new file, the tag, the copy. Whatever was done, reading finds a record."""
    tracking.lock_selection(study.run_id, RECORD)
    other, steps = RECORD | {"winner": 1}, []

    def dies(call):
        if call.name in ("write", "set_tag"):
            if len(steps) == survived:
                raise KeyboardInterrupt
            steps.append(call)
        return call.forward()

    fake_mlflow.handler = dies
    with pytest.raises(KeyboardInterrupt):
        tracking.lock_selection(study.run_id, other, replace=True)
    fake_mlflow.reset()
    assert tracking.read_selection(study.run_id) == (other if survived == 2 else RECORD)
    tracking.lock_selection(study.run_id, other, replace=True)
    assert tracking.read_selection(study.run_id) == other
    copy = folder_of(client, study.run_id) / "selection.json"
    assert copy.read_bytes() == selection_file(client, study.run_id).read_bytes()
    names = {path.name for path in folder_of(client, study.run_id).glob("selection*")}
    assert len(names) == 3  # both records stay, and the copy


def test_results_per_test_example_read_back_exactly(tracking, study):
    assert tracking.read_test_examples(study.run_id) is None
    labels = np.arange(40, dtype=np.int32) % 3
    examples = TestExamples(labels, {0: per_example(), 12: per_example()}, ("a", "b:1", "ü"))
    tracking.keep_test_examples(study.run_id, examples)
    found = tracking.read_test_examples(study.run_id)
    assert found.class_names == examples.class_names
    assert found.labels.dtype == np.int32 and np.array_equal(found.labels, labels)
    assert list(found.results) == [0, 12]
    for name in ("nll", "correct", "predicted", "confidence"):
        kept, read = getattr(per_example(), name), getattr(found.results[12], name)
        assert kept.dtype == read.dtype and np.array_equal(kept, read)


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_a_record_that_is_no_strict_json_is_refused(tracking, study, value):
    with pytest.raises(TrackingError, match="use None for numbers that are not finite"):
        tracking.lock_selection(study.run_id, {"gap": value})
    assert tracking.read_selection(study.run_id) is None


def test_reads_of_the_test_part_are_counted(tracking, client, study):
    assert tracking.test_reads(study.run_id) == 0
    assert [tracking.count_test_read(study.run_id) for _ in range(3)] == [1, 2, 3]
    assert client.get_run(study.run_id).data.tags["test_reads"] == "3"


def test_other_studies_that_read_the_same_test_part_are_known(tracking, open_study):
    runs = {name: open_study(study=name).run_id for name in ("one", "two", "three", "none")}
    for name, reads, part in (("one", 1, "c3"), ("two", 2, "c3"), ("three", 1, "d4")):
        for _ in range(reads):
            tracking.count_test_read(runs[name])
        tracking.set_tag(runs[name], "test_part", part)
    found = {name: tracking.reads_by_other_studies(run_id) for name, run_id in runs.items()}
    assert found == {"one": {"two": 2}, "two": {"one": 1}, "three": {}, "none": {}}


def test_the_test_result_reads_back_exactly_and_the_last_one_counts(tracking, client, study):
    assert tracking.read_test_result(study.run_id) is None
    first = TestResult(*(n / 7 for n in range(9)), reads=1)
    second = TestResult(*(n / 11 for n in range(9)), reads=2)
    for result in (first, second):
        tracking.log_test_result(study.run_id, result)
        assert tracking.read_test_result(study.run_id) == result
    assert client.get_run(study.run_id).data.metrics["test_accuracy"] == second.accuracy


def test_pages_lie_under_report_and_markdown_describes_the_run(tracking, client, study):
    tracking.log_report(
        study.run_id, {"report.md": "# The winner\n", "figures/gap.png": b"\x89PNG"}
    )
    assert {entry.path for entry in client.list_artifacts(study.run_id, "report")} == {
        "report/report.md", "report/figures",
    }  # fmt: skip
    assert client.get_run(study.run_id).data.tags["mlflow.note.content"] == "# The winner\n"
    tracking.log_report(study.run_id, {"report.md": "a line of a long page\n" * 2_000})
    note = client.get_run(study.run_id).data.tags["mlflow.note.content"]
    assert len(note) <= 8_000
    assert note.endswith(
        "a line of a long page\n\n(continued in `report/report.md` among the artifacts)\n"
    )


def test_verdicts_become_tags_and_cost_nothing_the_second_time(
    tracking, client, study, fake_mlflow
):
    record = tracking.read_study("first")
    because = {2: "gap 0.5 nats"}
    tracking.set_verdicts(record, {0: "healthy", 2: "overfit"}, because)
    assert client.get_run(record.trials[2].mlflow_run_id).data.tags["verdict_because"] == because[2]
    verdicts = [client.get_run(t.mlflow_run_id).data.tags.get("verdict") for t in record.trials]
    assert verdicts == ["healthy", None, "overfit"]
    fake_mlflow.names.clear()
    tracking.set_verdicts(record, {0: "healthy", 2: "overfit"}, because)
    assert set(fake_mlflow.names) <= {"get_run", "search_experiments", "search_runs"}


def test_there_is_one_winner(tracking, client, study):
    record = tracking.read_study("first")
    tracking.mark_winner(record, 0)
    tracking.mark_winner(record, 2)
    winners = [
        client.get_run(trial.mlflow_run_id).data.tags.get("winner") for trial in record.trials
    ]
    assert winners == [None, None, "true"]
    assert client.get_run(study.run_id).data.tags["winner"] == "2"
