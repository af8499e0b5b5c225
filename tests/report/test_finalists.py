"""Finalists are trained once each, together, kept in MLflow, and go on after a kill."""

from dataclasses import replace

import pytest
from pretended_gpus import A100, UUIDS, pretend

from pipeline import processors
from pipeline.datasets import load
from pipeline.errors import InputError
from pipeline.records import DatasetSpec, Trial
from pipeline.report.finalists import cohort_settings, groups_of, setup_of, train
from pipeline.search import executors
from pipeline.search.executors.interface import Placement
from pipeline.search.executors.ray.executor import RayExecutor
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select
from pipeline.selection.shortlist import finalist_trainings
from pipeline.tracking.finalist_runs import CUT_OFF

SPEC = DatasetSpec("digits")


@pytest.fixture
def bench(scripted_study):
    """Trains finalists of the scripted study by an executor; returns what was said."""

    class Bench:
        study = scripted_study.record
        keys = finalist_trainings(study, select(study, RuleSettings(seeds=2, finalists=3)))

        def train(self, keys, executor="scripted", workers=1):
            store, said = scripted_study.store, []
            store.set_tag(self.study.run_id, "executor", executor)
            setup = setup_of(store, self.study, load(SPEC), SPEC, workers=workers)
            train(store, self.study, keys, setup, said.append)
            return said

        @property
        def trained(self):
            return scripted_study.store.read_finalists(self.study).trained

        @property
        def runs(self):
            return scripted_study.finalist_runs()

        @property
        def store(self):
            return scripted_study.store

    return Bench()


def test_finalists_of_one_structure_train_in_one_cohort_and_are_kept_as_trials_are(bench):
    said = bench.train(bench.keys)
    assert said[0].startswith(
        "training 3 configurations again with other seeds, the finalists and what they are "
        "compared with: 6 trainings in 1 cohort"
    )
    assert len(said) == 1 + 6
    found = bench.trained
    assert set(found) == set(bench.keys)
    trials = {trial.number: trial for trial in bench.study.trials}
    for (number, _), record in found.items():
        assert (record.number, record.state) == (number, "COMPLETE")
        assert record.config == trials[number].config
        assert record.name == trials[number].name
        assert record.split_id == bench.study.split_id
        assert len(record.curves["val_ce"]) == 3
        assert record.validation.nll.shape == (200,)
        assert bench.store.load_weights(record.mlflow_run_id)
    values = {record.measurement.val_ce for record in found.values()}
    assert len(values) == len(found)


def test_a_finalists_run_says_what_it_is_and_is_no_trial(bench):
    bench.train(bench.keys[:1])
    number, seed = bench.keys[0]
    (run,) = bench.runs
    expected = {
        "role": "finalist", "trial": str(number), "seed": str(seed),
        "study": "digits", "dataset": "digits", "split_id": bench.study.split_id,
        "name": f"finalist {number} seed {seed}", "state": "COMPLETE",
        "mlflow.parentRunId": bench.study.run_id,
    }  # fmt: skip
    assert expected.items() <= run.data.tags.items()
    assert {"val_ce", "gap_ce", "epoch/val_ce"} <= run.data.metrics.keys()
    assert run.data.params["dropout_rate"]
    again = bench.store.read_study(study="digits")
    assert [trial.number for trial in again.trials] == [t.number for t in bench.study.trials]
    assert [t.measurement for t in again.trials] == [t.measurement for t in bench.study.trials]


def test_the_order_of_examples_the_epochs_and_the_patience_are_the_searchs(bench):
    settings = cohort_settings(bench.study, None)
    space = bench.study.definition["space"]
    assert (settings.epochs, settings.patience) == (space["epochs"], space["patience"])
    assert settings.order_seed == bench.study.definition["seed"]


def test_trainings_of_every_depth_train_together_and_of_another_batch_size_apart(bench):
    config = bench.study.trials[0].config
    trials = [Trial(n, replace(config, depth=1 + n % 2, dropout_rate=n / 10), n) for n in range(4)]
    trials += [Trial(4, replace(config, batch_size=config.batch_size + 1), 4)]
    groups = groups_of(trials, load(SPEC), epochs=20)
    assert [[trial.number for trial in group] for group in groups] == [[0, 1, 2, 3], [4]]


def test_each_of_several_workers_gets_its_part_of_the_trainings(bench):
    config = bench.study.trials[0].config
    trials = [Trial(n, replace(config, dropout_rate=n / 10), n) for n in range(7)]
    for workers, sizes in ((1, [7]), (2, [4, 3]), (3, [3, 3, 1])):
        groups = groups_of(trials, load(SPEC), epochs=20, workers=workers)
        assert [len(group) for group in groups] == sizes


@pytest.mark.parametrize(
    ("asked", "count", "told"),
    [
        (None, 2, f"--workers auto: 2 workers, one per GPU: GPU 0 ({A100}), GPU 1 ({A100})"),
        (3, 3, f"3 workers: 2 on GPU 0 ({A100}), 1 on GPU 1 ({A100})"),
        (1, 1, None),
    ],
)
def test_finalists_are_spread_over_gpus_as_trials_are(
    bench, monkeypatch, tmp_path, asked, count, told
):
    pretend(monkeypatch, tmp_path, A100, A100)
    monkeypatch.setattr(processors, "container_cores", lambda: 8.0)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    started, start = [], executors.start

    def scripted(name, opener, workers, placement, voice, variables):
        started.append((name, workers, [each["CUDA_VISIBLE_DEVICES"] for each in variables]))
        return start("scripted", opener, 1)

    monkeypatch.setattr(executors, "start", scripted)
    said = bench.train(bench.keys, executor="processes", workers=asked)
    places = [UUIDS[place % 2] for place in range(count)] if told else []
    assert started == [("processes", count, places)]
    assert [line for line in said if "worker" in line] == ([told] if told else [])
    assert [bench.trained[key].state for key in bench.keys] == ["COMPLETE"] * 6


def test_more_workers_than_the_executor_of_the_study_has_are_processes(bench):
    for executor, workers, used in (("inline", 1, "inline"), ("inline", 2, "processes")):
        bench.store.set_tag(bench.study.run_id, "executor", executor)
        setup = setup_of(bench.store, bench.study, load(SPEC), SPEC, workers=workers)
        assert (setup.executor, setup.workers) == (used, workers)
    assert setup_of(bench.store, bench.study, load(SPEC), SPEC, workers=None).executor == "inline"


def test_what_a_kill_cut_off_is_closed_and_what_had_ended_stays(bench):
    first, second = bench.keys[:2]
    bench.train([first])
    config = bench.study.trials[0].config
    tags = {"trial": str(second[0]), "seed": str(second[1])}
    # As a report leaves it that is killed while it trains.
    bench.store.open_finalists(bench.study.run_id).trial_started(0, "cut off", config, tags)
    before = bench.trained[first]
    bench.train([second])
    found = bench.trained
    assert {key: record.state for key, record in found.items()} == {
        first: "COMPLETE", second: "COMPLETE",
    }  # fmt: skip
    assert found[first].mlflow_run_id == before.mlflow_run_id
    (stale,) = [run for run in bench.runs if run.data.tags["name"] == "cut off"]
    assert (stale.info.status, stale.data.tags["cause"]) == ("FAILED", CUT_OFF)


def test_a_member_that_fails_is_found_and_the_others_are_trained(bench):
    said = bench.train(bench.keys, executor="one_poisoned")
    assert any("a cohort of 6 failed (RuntimeError: trial 0 is poison)" in line for line in said)
    states = [bench.trained[key].state for key in bench.keys]
    assert states == ["FAIL", *["COMPLETE"] * 5]
    failed = bench.trained[bench.keys[0]]
    assert failed.cause == "RuntimeError: trial 0 is poison"
    assert len(bench.runs) == 6
    # One epoch was told before the failure; told again by those tried alone, it is known.
    for run in bench.runs:
        history = bench.store.get_metric_history(run.info.run_id, "epoch/val_ce")
        steps = sorted(point.step for point in history)
        assert steps == ([1] if run.info.status == "FAILED" else [1, 2, 3])


def test_finalists_that_run_out_of_memory_together_train_in_halves(bench):
    said = bench.train(bench.keys, executor="cramped")
    halved = [line for line in said if "tried in halves" in line]
    assert halved == [
        "finalists: a cohort of 6 failed (MemoryError: no room for 6 trials): its trials are tried "
        "in halves",
        "finalists: a cohort of 3 failed (MemoryError: no room for 3 trials): its trials are tried "
        "in halves",
    ]
    assert [bench.trained[key].state for key in bench.keys] == ["COMPLETE"] * 6


def test_a_study_of_ray_is_confirmed_where_it_was_searched_or_here_without_ray(bench, monkeypatch):
    bench.store.set_tag(bench.study.run_id, "executor", "ray")
    asked = Placement(ray_address="head:6379", gpus_per_worker=0.5)
    setup = setup_of(bench.store, bench.study, load(SPEC), SPEC, placement=asked)
    assert setup.executor == "ray"
    assert setup.placement == replace(asked, device=setup.opener.device)
    monkeypatch.setattr(RayExecutor, "missing", lambda: "pip install it")
    assert setup_of(bench.store, bench.study, load(SPEC), SPEC).executor == "processes"
    with pytest.raises(InputError, match=r"^--executor ray is not installed: pip install it$"):
        setup_of(bench.store, bench.study, load(SPEC), SPEC, placement=asked)


def test_a_placement_is_refused_where_the_study_was_searched_on_this_machine(bench):
    bench.store.set_tag(bench.study.run_id, "executor", "processes")
    with pytest.raises(InputError, match=r"^--ray-address: --executor processes runs on this mac"):
        setup_of(bench.store, bench.study, load(SPEC), SPEC, placement=Placement("head:6379"))


def test_a_time_limit_needs_an_executor_that_can_end_a_training(bench):
    study = bench.study
    with pytest.raises(InputError, match=r"^--trial-timeout: --executor scripted trains in this"):
        setup_of(bench.store, study, load(SPEC), SPEC, trial_timeout_seconds=60.0)
    bench.store.set_tag(study.run_id, "executor", "processes")
    setup = setup_of(bench.store, study, load(SPEC), SPEC, trial_timeout_seconds=60.0)
    assert cohort_settings(study, setup.trial_timeout_seconds).trial_timeout_seconds == 60.0


def test_a_failed_training_gives_way_to_a_later_complete_one(bench):
    key = bench.keys[0]
    bench.train([key], executor="poisoned")
    assert bench.trained[key].state == "FAIL"
    bench.train([key])
    complete = bench.trained[key]
    assert complete.state == "COMPLETE"
    bench.train([key], executor="poisoned")
    assert bench.trained[key].mlflow_run_id == complete.mlflow_run_id


def test_an_executor_or_device_that_is_not_here_becomes_one_that_is(bench):
    store = bench.store
    store.set_tag(bench.study.run_id, "executor", "cluster-of-somebody")
    store.set_tag(bench.study.run_id, "device", "gpu")
    setup = setup_of(store, bench.study, load(SPEC), SPEC)
    assert (setup.executor, setup.opener.device) == ("processes", "auto")
    assert setup.opener.precision == "float32"
