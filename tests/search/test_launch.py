"""A search is put together as asked, runs against real Optuna and MLflow, and ends in good order.

The trials follow a script (``scripted_trainer``) through an executor that is one more file.
"""

import os
import re
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripted_trainer import write_executor
from told_lines import Notes

from pipeline import datasets, tracking
from pipeline.errors import (
    DatasetError,
    InputError,
    PipelineError,
    SearchSpaceError,
    StoppedError,
    TrackingError,
)
from pipeline.records import DataOptions, DatasetSpec, TrialConfig, TrialOutcome
from pipeline.search import executors
from pipeline.search.interrupts import STOPPING, signals_end_it, stopping_softly
from pipeline.search.opening import first_line, plan_lines
from pipeline.search.options import SearchOptions, data_size, prepare, source_of
from pipeline.search.plan import plan_of, usable_workers
from pipeline.search.run import run_search
from pipeline.search.space import space
from pipeline.search.study import open_study

SPACE = """\
family: mlp
trials: 6
epochs: 3
patience: 3
search:
  depth: {low: 1, high: 3}
  dropout_rate: {low: 0.0, high: 0.7}
references:
  baseline: {}
"""
SCRIPTS = {
    "scripted": {},
    "poisoned": {"poison": tuple(range(99))},
    "slow": {"step_seconds": 1000.0},
}


@pytest.fixture
def folder(tmp_path, monkeypatch, migrated):
    """A working folder with a store, a search space and executors that follow scripts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    shutil.copy(migrated, tmp_path / "mlflow.db")
    (tmp_path / "small.yaml").write_text(SPACE)
    (tmp_path / "executors").mkdir()
    for name, arguments in SCRIPTS.items():
        write_executor(tmp_path / "executors", name, **arguments)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path / "executors")])
    yield tmp_path
    for name in SCRIPTS:
        sys.modules.pop(f"pipeline.search.executors.{name}", None)


def options(**changes):
    return SearchOptions(**{"search_space": "small.yaml", "executor": "scripted"} | changes)


def launched(**changes):
    """Runs a search; returns its record and what the user was told."""
    chosen, notes = options(**changes), Notes()
    return run_search(chosen, prepare(chosen), notes), notes.lines


def parent_run(study="digits"):
    store = tracking.connect()
    return store.get_run(store.read_study(study=study).run_id)


def features(path, num_examples=60, **arrays):
    labels = np.arange(num_examples) % 2
    inputs = np.random.default_rng(0).normal(labels[:, None], 1.0, (num_examples, 4))
    np.savez(path, **({"x": inputs.astype(np.float32), "y": labels} | arrays))


# What is prepared


def test_a_dataset_is_searched_in_its_own_space(folder):
    prepared = prepare(SearchOptions("digits"))
    assert prepared.space.name == "digits"
    assert prepared.study == "digits"
    assert (prepared.space.trials, prepared.space.epochs) == (30, 30)


def test_a_file_without_a_space_gets_the_default_for_its_kind(folder):
    features("mine.npz")
    prepared = prepare(SearchOptions("mine.npz"))
    assert (prepared.space.name, prepared.study) == ("default_features", "mine")


def test_a_file_named_like_a_shipped_space_still_gets_the_default(folder):
    features("digits.npz")
    assert prepare(SearchOptions("digits.npz")).space.name == "default_features"


def test_a_space_may_be_given_by_file_or_by_name(folder):
    assert prepare(options()).space.path == Path("small.yaml")
    assert prepare(SearchOptions("digits", search_space="default_image")).space.family == "cnn"


def test_options_override_the_space_and_become_part_of_the_definition(folder):
    prepared = prepare(options(epochs=7, trials=3, study="mine", seed=5, train_examples=500))
    assert (prepared.space.epochs, prepared.space.trials, prepared.study) == (7, 3, "mine")
    assert prepared.definition == {
        "dataset": "digits",
        "split_id": datasets.load(DatasetSpec("digits", None, 5, 500)).split_id,
        "seed": 5,
        "train_examples": 500,
        "precision": "float32",
        "space": prepared.space.definition(),
    }
    assert prepared.definition["space"]["epochs"] == 7
    assert "trials" not in prepared.definition["space"]


def test_fewer_epochs_than_trials_have_of_their_own_are_refused(folder):
    text = (folder / "small.yaml").read_text()
    (folder / "small.yaml").write_text(text.replace("search:\n", "search:\n  epochs: [1, 3]\n"))
    assert prepare(options(epochs=9)).space.epochs == 9
    with pytest.raises(InputError) as caught:
        prepare(options(epochs=2))
    assert str(caught.value) == (
        "--epochs 2: small.yaml gives trials up to 3 epochs of their own; give --epochs 3 or more, "
        "or a search space with fewer"
    )


def test_how_a_study_is_run_is_no_part_of_its_definition(folder):
    one = prepare(options(executor="inline", workers=1, device="cpu", trials=3, references=False))
    assert one.definition == prepare(options(cohort_size=8, timeout_seconds=5.0)).definition


def test_preparing_writes_nothing(folder):
    def files():
        return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)

    before = files()
    prepare(options())
    assert files() == before


def test_what_cannot_be_prepared_is_told(folder):
    with pytest.raises(DatasetError, match=r"^There is no dataset 'digit' \(did you mean 'digits"):
        prepare(SearchOptions("digit"))
    with pytest.raises(SearchSpaceError, match=r"^cannot read the search space 'smal.yaml': "):
        prepare(options(search_space="smal.yaml"))


CNN = """\
family: cnn
trials: 2
epochs: 1
patience: 1
fixed: {width: 2, dense_width: 4}
search:
  depth: {low: 1, high: %d}
references:
  deep: {depth: %d}
"""


@pytest.mark.parametrize(
    ("high", "reference", "what"), [(4, 1, "depth 4"), (2, 4, "reference 'deep'")]
)
def test_networks_that_do_not_fit_the_images_are_told_before_anything_starts(
    folder, high, reference, what
):
    Path("deep.yaml").write_text(CNN % (high, reference))
    with pytest.raises(InputError) as caught:
        prepare(options(search_space="deep.yaml"))
    assert str(caught.value) == (
        f"deep.yaml: {what} does not fit digits (inputs of shape [8, 8, 1]): a 3x3 convolution "
        "does not fit on 2x2 feature maps: use a smaller depth, or pooling: false"
    )


def test_a_cnn_on_what_is_no_image_is_told(folder):
    features("mine.npz")
    Path("deep.yaml").write_text(CNN % (2, 1))
    with pytest.raises(InputError, match=r"the family cnn needs images .* use family: mlp"):
        prepare(SearchOptions("mine.npz", search_space="deep.yaml"))


def test_a_plan_says_what_would_be_done(folder):
    chosen = options(workers=2, executor="processes")
    prepared = prepare(chosen)
    lines = plan_lines(chosen, prepared)
    (told,) = (line for line in lines if line.startswith("time: "))
    lines.remove(told)
    assert re.fullmatch(
        r"time: search [\dsmin ]+ to [\dsmin ]+, its report with finalists [\dsmin ]+ to "
        r"[\dsmin ]+; a rough guess before this machine's first search; a search says it again",
        told,
    )
    assert lines == [
        "study: digits",
        f"dataset: digits (train 1,079, validation 359, test 359), split "
        f"{prepared.definition['split_id']}",
        "search space: small.yaml",
        "  depth: 1 to 3",
        "  dropout_rate: 0 to 0.7",
        "references, trained first: baseline",
        "trials: 1 reference + 5 searched = 6 trials of at most 3 epochs, patience 3",
        "sampler: tpe, pruner: percentile",
        "executor: processes, 2 worker(s), device auto, float32",
        "dry run: nothing was trained or written",
    ]
    without = plan_lines(options(references=False), prepared)
    assert "references, trained first: none" in without
    assert "trials: 6 trials of at most 3 epochs, patience 3" in without


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trials": 6}, None),
        (
            {"trials": 5},
            "--trials 5 leaves 4 to the search beside the references: give --trials 6 or more, or "
            "--no-references",
        ),
        (
            {"trials": 1},
            "--trials 1 leaves 0 to the search beside the references: give --trials 6 or more, or "
            "--no-references",
        ),
        ({"trials": 5, "references": False}, None),
        (
            {"trials": 3, "references": False},
            "--trials 3 leaves 3 to the search: give --trials 5 or more",
        ),
    ],
)
def test_a_total_that_leaves_nothing_to_the_search_is_told_and_taken(changes, told, folder):
    chosen = options(**changes)
    lines = plan_lines(chosen, prepare(chosen))
    assert [line for line in lines if line.startswith("--trials")] == ([told] if told else [])


def test_a_search_begins_by_saying_how_many_trials_are_references(folder):
    record, lines = launched(trials=2)
    assert lines[0].startswith("study 'digits': 1 reference + 1 searched = 2 trials on digits (")
    assert lines[1].startswith("--trials 2 leaves 1 to the search beside the references: give")
    assert len(record.trials) == 2


WATCHED = (
    "after each epoch 2,000 of the 2,400 validation examples are scored; what a trial is measured "
    "and chosen by is all of them, at its best epoch"
)


def watched(**changes):
    """A search whose validation part is large beside its training part."""
    return options(dataset="large.npz", train_examples=300, **changes)


def test_a_part_of_validation_is_told_and_part_of_the_definition(folder):
    features("large.npz", 12_000)
    prepared = prepare(watched())
    assert prepared.definition["validation_per_epoch"] == 2_000
    assert data_size(prepared.dataset).num_validation == 2_000
    assert plan_of(watched(), prepared, None).cohort_settings.validation_per_epoch == 2_000
    assert WATCHED in plan_lines(watched(), prepared)
    record, lines = launched(dataset="large.npz", train_examples=300)
    assert WATCHED in lines
    assert record.validation_per_epoch == 2_000
    assert tracking.connect().read_study(study="large").validation_per_epoch == 2_000
    whole = prepare(options(dataset="large.npz"))
    assert "validation_per_epoch" not in whole.definition
    assert plan_of(options(), whole, None).cohort_settings.validation_per_epoch is None


@pytest.mark.parametrize(
    ("begun_with", "told"), [(None, "all 2,400"), (2_200, "2,200 of the 2,400")]
)
def test_a_study_that_another_version_began_goes_on_as_it_was_begun(
    folder, monkeypatch, begun_with, told
):
    features("large.npz", 12_000)
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.search.options.validation_per_epoch", lambda *_: begun_with)
        patched.setattr("pipeline.search.opening.validation_per_epoch", lambda *_: begun_with)
        launched(dataset="large.npz", train_examples=300, trials=3)
    record, lines = launched(dataset="large.npz", train_examples=300, trials=6)
    assert len(record.trials) == 6
    assert (
        f"this study was begun with another version: after each epoch {told} validation examples "
        "are scored, as in its earlier trials"
    ) in lines
    assert WATCHED not in lines
    assert record.validation_per_epoch == begun_with
    assert tracking.connect().read_study(study="large").validation_per_epoch == begun_with


def test_a_files_source_is_its_absolute_path_and_a_names_its_name(folder):
    features("mine.npz")
    assert source_of(SearchOptions("mine.npz")) == str((folder / "mine.npz").resolve())
    assert source_of(SearchOptions("digits")) == "digits"


def test_the_opening_hides_the_storages_password(folder):
    chosen = options(storage="postgresql://me:secret@host/x")
    line = first_line(chosen, prepare(chosen), 2, "sqlite:///here")
    assert "Optuna: postgresql://***@host/x" in line
    assert "1 reference + 5 searched = 6 trials, 2 of them done on digits" in line


# What is launched


def test_sampler_and_pruner_are_params_where_they_are_not_the_default(folder):
    launched(trials=2)
    assert not {"sampler", "pruner"} & parent_run().data.params.keys()
    launched(trials=2, study="other", sampler="random", pruner="none")
    params = parent_run("other").data.params
    assert (params["sampler"], params["pruner"]) == ("random", "none")


def test_a_search_is_in_mlflow_and_in_optuna(folder):
    record, lines = launched()
    assert [trial.state for trial in record.trials] == ["COMPLETE"] * 6
    store = tracking.connect()
    kept = store.read_study(study="digits")
    assert [t.config for t in kept.trials] == [t.config for t in record.trials]
    assert [t.measurement for t in kept.trials] == [t.measurement for t in record.trials]
    assert kept.trials[0].name == "baseline"
    assert kept.definition["source"] == "digits"
    assert kept.chance == datasets.load(DatasetSpec("digits")).chance
    run = parent_run()
    assert run.info.status == "FINISHED"
    children = [store.get_run(trial.mlflow_run_id) for trial in kept.trials]
    assert all(child.info.status == "FINISHED" for child in children)
    assert all(child.data.tags["verdict"] for child in children)
    assert "kept" in {child.data.tags.get("weights") for child in children}
    assert (folder / "studies.journal").is_file()
    text = store.read_file(kept.run_id, "search_space.yaml")
    assert (
        space.parse(text, Path("small.yaml")).definition() == prepare(options()).space.definition()
    )
    assert lines[0].startswith(
        "study 'digits': 1 reference + 5 searched = 6 trials on digits (1,079 training and 359 "
        "validation examples; 359 test examples sealed); MLflow: sqlite:///"
    )
    assert lines[0].endswith("; Optuna: studies.journal")


def test_running_again_trains_nothing_and_a_larger_total_continues(folder):
    first, _ = launched(trials=4)
    same, lines = launched(trials=4)
    assert len(same.trials) == 4
    assert lines[0].startswith(
        "study 'digits': 1 reference + 3 searched = 4 trials, 4 of them done on digits"
    )
    assert not any(line.startswith("trial ") for line in lines)
    more, lines = launched(trials=6)
    assert [t.measurement for t in more.trials[:4]] == [t.measurement for t in first.trials]
    assert [line.split(":")[0] for line in lines if line.startswith("trial ")] == [
        "trial 4",
        "trial 5",
    ]


def test_the_same_seed_gives_the_same_study(folder):
    one, two = (
        launched(study=name, storage=f"{name}.journal", seed=1, trials=4)[0]
        for name in ("one", "two")
    )
    assert [(t.config, t.measurement) for t in one.trials] == [
        (t.config, t.measurement) for t in two.trials
    ]


def test_a_killed_search_is_mended_and_reaches_its_total(folder):
    before, _ = launched(trials=3)
    chosen = options()
    prepared = prepare(chosen)
    # What a killed search leaves: trial 3, which runs in both books and trains nowhere, and trial
    # 4, whose end MLflow has and Optuna was not told.
    study = open_study(None, "digits", prepared.space, prepared.definition, 0)
    log = tracking.connect().open_study("digits", "digits", {}, {})
    started = [study.ask() for _ in range(2)]
    for suggestion in started:
        log.trial_started(suggestion.number, suggestion.name, suggestion.config, {})
    log.trial_finished(TrialOutcome(4, "COMPLETE", before.trials[0].measurement), "healthy")

    record, lines = launched()
    states = {trial.number: trial.state for trial in record.trials}
    assert list(states) == list(range(8))
    assert [number for number, state in states.items() if state == "FAIL"] == [3, 4]
    assert set(states.values()) == {"COMPLETE", "FAIL"}
    assert [t.config for t in record.trials[5:7]] == [s.config for s in started]
    assert record.trials[3].cause == "the search was killed while it ran"
    assert "6 trials, 3 of them done" in lines[0]
    store = tracking.connect()
    runs = [store.get_run(t.mlflow_run_id) for t in store.read_study().trials]
    assert [run.info.status for run in runs] == ["FINISHED"] * 3 + ["FAILED"] * 2 + ["FINISHED"] * 3


def test_another_definition_is_refused_before_mlflow_is_touched(folder):
    launched()
    opened = parent_run().data.tags["opened_at"]
    with pytest.raises(InputError, match=r"another definition \(space: epochs was 3, is 4\)"):
        launched(epochs=4)
    assert parent_run().data.tags["opened_at"] == opened


def test_a_study_that_mlflow_knows_and_the_storage_does_not_is_refused(folder):
    before, _ = launched()
    with pytest.raises(InputError) as caught:
        launched(storage="other.journal")
    assert str(caught.value) == (
        "MLflow holds 6 trials of study 'digits' that Optuna's storage other.journal does not "
        "know: give the --storage of the earlier searches to continue them, or --study NAME to "
        "start another study"
    )
    after = tracking.connect().read_study(study="digits")
    assert [t.config for t in after.trials] == [t.config for t in before.trials]


def test_too_many_failures_leave_the_study_failed(folder):
    with pytest.raises(PipelineError, match=r"^5 trials failed in a row"):
        launched(executor="poisoned", cohort_size=1)
    assert parent_run().info.status == "FAILED"
    states = [trial.state for trial in tracking.connect().read_study().trials]
    assert states == ["FAIL"] * 5


def test_a_search_that_fails_leaves_no_run_running(folder):
    with pytest.raises(PipelineError, match=r"^5 trials failed in a row"):
        launched(executor="poisoned", cohort_size=8)
    trials = tracking.connect().read_study().trials
    assert len(trials) > 5
    assert {trial.state for trial in trials} == {"FAIL"}
    assert trials[-1].cause == "the search stopped while it ran"


def test_a_store_that_does_not_answer_leaves_no_study_behind(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(TrackingError):
        launched()
    assert not Path("studies.journal").exists()


def test_the_parent_run_says_how_the_search_ran(folder):
    launched(trials=2)
    tags = parent_run().data.tags
    assert (tags["device"], tags["executor"], tags["trials_total"]) == ("auto", "scripted", "2")
    assert tags["storage"] == "studies.journal"


def test_an_unknown_executor_is_told_before_anything_is_loaded(folder):
    with pytest.raises(InputError, match=r"^unknown executor 'scriptd' \(did you mean 'scripted"):
        prepare(options(dataset="nothing", executor="scriptd"))


def test_an_executor_that_cannot_start_leaves_nothing_behind(folder):
    with pytest.raises(InputError, match=r"^--executor inline has one worker, this process; 2"):
        launched(executor="scripted", workers=2)
    with pytest.raises(InputError, match=r"^there is no study 'digits'"):
        tracking.connect().read_study("digits")


def test_without_references_none_is_trained_and_none_is_foreseen(folder):
    record, lines = launched(references=False, trials=2, executor="slow")
    assert [trial.name for trial in record.trials] == [None] * 2
    (estimate,) = [line for line in lines if "To cut it" in line]
    assert "--no-references" not in estimate


def test_the_config_of_a_reference_reaches_mlflow(folder):
    launched(trials=1)
    (baseline,) = tracking.connect().read_study().trials
    assert baseline.config == TrialConfig()


def test_workers_that_would_have_nothing_to_do_are_not_started(folder, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    chosen = options(executor="processes", workers=6, trials=1)
    assert usable_workers(chosen, prepare(chosen)) == (
        1,
        "--workers 6: 1 is used; this machine has 16 cores, and this study makes 1 cohort",
    )
    one_by_one = replace(chosen, trials=6, cohort_size=1)
    assert usable_workers(one_by_one, prepare(one_by_one)) == (6, "")
    together = replace(chosen, trials=40, workers=3)
    assert usable_workers(together, prepare(together)) == (3, "")
    # One that is no process here is the executor's own matter.
    scripted = options(workers=99)
    assert usable_workers(scripted, prepare(scripted)) == (99, "")


# Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_softly_the_second_at_once(number):
    asked, notes = [], Notes()
    before = signal.getsignal(number)
    with (
        pytest.raises(KeyboardInterrupt),
        stopping_softly(lambda: asked.append(1), notes.note),
    ):
        os.kill(os.getpid(), number)
        assert (asked, notes.lines) == ([1], [STOPPING])
        os.kill(os.getpid(), number)
    assert asked == [1]
    assert signal.getsignal(number) == before


def test_the_sigterm_that_mlflow_run_sends_after_ctrl_c_is_no_second_wish():
    asked, notes = [], Notes()
    with stopping_softly(lambda: asked.append(1), notes.note):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [1]


def test_where_nothing_trains_the_first_signal_ends_the_command():
    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt), signals_end_it():
            os.kill(os.getpid(), number)


def test_an_interrupted_search_is_killed_in_mlflow_and_continues(folder):
    class Impatient(Notes):
        def note(self, message):
            super().note(message)
            if message.startswith("trial 1"):
                os.kill(os.getpid(), signal.SIGINT)

    chosen, notes = options(cohort_size=1), Impatient()
    with pytest.raises(
        StoppedError, match=r"^stopped with 2 of \d+ trials ended; the same command"
    ):
        run_search(chosen, prepare(chosen), notes)
    assert len(tracking.connect().read_study().trials) == 2
    assert notes.lines[-1].startswith("stopping: what is training is finished first")
    assert parent_run().info.status == "KILLED"
    again, _ = launched()
    assert len(again.trials) == 6
    assert parent_run().info.status == "FINISHED"


def test_a_search_stopped_at_once_is_killed_in_mlflow_and_continues(folder):
    class VeryImpatient(Notes):
        def note(self, message):
            super().note(message)
            if message.startswith("trial 1"):
                raise KeyboardInterrupt

    chosen = options()
    with pytest.raises(KeyboardInterrupt):
        run_search(chosen, prepare(chosen), VeryImpatient())
    assert parent_run().info.status == "KILLED"
    again, _ = launched()
    assert [trial.state for trial in again.trials].count("COMPLETE") == 6


def test_a_space_of_twelve_points_is_trained_once_each(folder):
    few = SPACE.replace("dropout_rate: {low: 0.0, high: 0.7}", "max_norm: [null, 1, 2, 3]")
    (folder / "few.yaml").write_text(few.replace("trials: 6", "trials: 30"))
    record, lines = launched(search_space="few.yaml")
    assert len(record.trials) == len({trial.config for trial in record.trials}) == 12
    told = "few.yaml has 12 different points: 12 trials are trained instead of 30, each point once"
    assert told in lines
    again, lines = launched(search_space="few.yaml", trials=50)
    assert len(again.trials) == 12
    assert not any(line.startswith("trial ") for line in lines)
    asked = options(search_space="few.yaml")
    assert told in plan_lines(asked, prepare(asked))


def test_what_is_found_in_the_data_stays_with_the_study(folder):
    rng = np.random.default_rng(0)
    np.savez(folder / "mine.npz", x=rng.normal(size=(60, 3)), y=np.arange(60) % 2)
    record, lines = launched(dataset="mine.npz")
    (finding,) = record.data.findings
    assert finding[0] == "small_validation"
    assert f"{finding[1]} [small_validation]" in lines
    silent = DataOptions(ignore=("small_validation",))
    again, lines = launched(dataset="mine.npz", data=silent)
    assert len(again.trials) == len(record.trials)
    assert tracking.connect().read_study(study="mine").data.findings == ()
    assert not any("small_validation" in line for line in lines)
