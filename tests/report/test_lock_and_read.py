"""Choose, confirm, lock, read once, show again: the order of a report, on a scripted study."""

import hashlib
import json

import numpy as np
import pytest
from scripted_studies import as_older_versions

from pipeline.datasets import SealedTest
from pipeline.errors import InputError, TrackingError
from pipeline.report import finalists, test_part
from pipeline.report import run as module
from pipeline.report.evidence import evidence_of
from pipeline.report.render.json import as_json
from pipeline.report.render.text import as_text
from pipeline.search.study_lock import study_locked
from pipeline.selection.confirm import ONE_SEED
from pipeline.tracking import artifacts


def locked_of(study):
    return study.store.read_selection(study.record.run_id)


def reads_of(study):
    return study.store.test_reads(study.record.run_id), len(study.locks)


@pytest.fixture
def refuse(monkeypatch):
    """Makes training, loading data or both an error from now on."""

    def from_now_on(*what):
        def refused(*arguments):
            raise AssertionError("this was not to be done")

        for place, name in what:
            monkeypatch.setattr(place, name, refused)

    return from_now_on


TRAINING, LOADING = (finalists, "train"), (module, "load_dataset")


def test_the_first_report_trains_finalists_locks_and_reads_once(scripted_study):
    first, said = scripted_study.report(seeds=3, finalists=3)
    # The baseline, too, which is always compared with the same seeds.
    assert said[0].startswith(
        "training 4 configurations again with other seeds, the finalists and what they are "
        "compared with: 12 trainings in 1 cohort (--seeds 1 skips it); their probabilities take "
    )
    assert said[-4:] == [
        f"restoring {3 * len(first.tested) + 1} models and checking them on validation",
        "reading the test part", "registering the model", "writing the pages",
    ]  # fmt: skip
    assert reads_of(scripted_study) == (1, 1)
    record, locked = scripted_study.record, locked_of(scripted_study)
    assert scripted_study.locks[0].record_hash == (
        scripted_study.store.tag(record.run_id, "selection_locked")
    )
    assert (first.selection.rule.seeds, first.selection.rule.finalists) == (3, 3)
    assert locked["winner"] == first.selection.winner
    assert set(first.tested) >= {first.selection.winner, first.selection.reference, 0}
    assert first.test == first.tested[first.selection.winner]


def test_the_mean_of_the_winners_seeds_is_measured_registered_and_tagged(scripted_study):
    first, _ = scripted_study.report(seeds=4, finalists=3)
    winner = first.finalist(first.selection.winner)
    runs = [run.mlflow_run_id for run in winner.runs]
    assert scripted_study.registered == [runs]
    assert set(runs) <= set(scripted_study.restored)
    tagged = {r.info.run_id for r in scripted_study.finalist_runs() if "delivered" in r.data.tags}
    assert tagged == set(runs)
    store, run_id = scripted_study.store, scripted_study.record.run_id
    assert store.tag(run_id, "delivered_run") == ",".join(runs)
    # What it is judged by is that mean, not the mean of the seeds' figures.
    nll = np.stack([run.validation.nll for run in winner.runs]).astype(float)
    mean = -np.log(np.exp(-nll).mean(axis=0)).mean()
    assert first.delivered.measurement.val_ce == pytest.approx(mean, abs=1e-6)
    assert mean < nll.mean() - 1e-7
    assert first.delivered.mlflow_run_id is None
    # Each of its seeds is measured alone in the same reading, and the search's best training.
    best = evidence_of(first).best_of_search
    assert {*runs, best.mlflow_run_id} <= set(first.tested_trainings)
    delivered = as_json(first)["delivered"]
    assert delivered["deliver"] == "ensemble" and len(delivered["seeds"]) == 4
    assert delivered["val_ce"] == first.delivered.measurement.val_ce
    assert (delivered["num_parameters"], delivered["milliseconds_per_example"]) == (400, 2.0)
    assert delivered["one_training"] == {"num_parameters": 100, "milliseconds_per_example": 0.5}


def test_the_seed_with_the_best_validation_is_delivered_where_one_is_asked_for(scripted_study):
    first, _ = scripted_study.report(seeds=3, finalists=3, deliver="single")
    winner = first.finalist(first.selection.winner)
    best = min(winner.runs, key=lambda run: run.measurement.val_ce)
    assert first.delivered.mlflow_run_id == best.mlflow_run_id
    assert scripted_study.registered == [[best.mlflow_run_id]]
    assert locked_of(scripted_study)["delivered_run"] == best.mlflow_run_id
    delivered = as_json(first)["delivered"]
    assert delivered["deliver"] == "single"
    assert delivered["seeds"] == [first.seeds_of(winner)[winner.place]]
    # It is reported by the means over the seeds: the best of three looks better than it is.
    means = [run.measurement.val_ce for run in winner.runs]
    assert delivered["val_ce"] == pytest.approx(np.mean(means))
    again, said = scripted_study.report()
    assert said == [] and as_json(again) == as_json(first)
    other, _ = scripted_study.report(deliver="ensemble")
    assert "made with --deliver single;" in other.selection.notes[-1]


def test_a_choice_that_an_older_version_locked_stands_as_it_was(scripted_study, refuse):
    """The seed of the median, by the margins of then, from runs without probabilities."""
    with as_older_versions():
        first, _ = scripted_study.report(seeds=3, finalists=3)
    locked = locked_of(scripted_study)
    assert "deliver" not in locked["rule"] and "deliver" not in locked["asked"]
    winner = first.finalist(first.selection.winner)
    median = sorted(winner.runs, key=lambda run: run.measurement.val_ce)[1]
    assert locked["delivered_run"] == median.mlflow_run_id
    assert scripted_study.registered == [[median.mlflow_run_id]]
    refuse(TRAINING, LOADING)
    again, said = scripted_study.report()
    assert said == [] and reads_of(scripted_study) == (1, 1)
    assert again.test == first.test and again.test is not None
    assert set(again.tested) == set(first.tested) and not again.tested_trainings
    assert again.delivered.mlflow_run_id == median.mlflow_run_id
    assert "deliver" not in as_json(again)["rule"]
    assert as_json(again)["delivered"]["deliver"] == "median"
    assert again.selection.notes[-1].startswith(
        "this choice was locked by an older version, which delivered the winner's seed with the "
        "median validation cross-entropy: it stands as it was. --read-test-again"
    )
    other, _ = scripted_study.report(deliver="ensemble")
    assert other.test is None
    assert "which delivered the seed with the median val CE;" in other.selection.notes[-1]


def test_an_older_versions_finalists_are_trained_again_where_they_are_averaged(scripted_study):
    with as_older_versions():
        scripted_study.report(seeds=2, finalists=2)
    before = len(scripted_study.finalist_runs())
    report, said = scripted_study.report(seeds=2, finalists=2, read_test_again=True)
    assert "6 trainings" in said[0] and len(scripted_study.finalist_runs()) == before + 6
    assert report.test.reads == 2 and len(report.parts(report.selection.winner)) == 2


def test_the_locked_record_says_what_the_choice_rests_on(scripted_study):
    first, _ = scripted_study.report(seeds=3, finalists=3)
    locked = locked_of(scripted_study)
    assert locked["asked"] == {
        "k": 1.0, "tau": 0.05, "tau_accuracy": 0.01, "alpha": 0.05, "seeds": 3, "finalists": 3,
        "deliver": "ensemble",
    }  # fmt: skip
    assert locked["seeds"] == list(first.confirmation.seeds)
    assert locked["first_choice"] == first.confirmation.first_choice
    winner = first.finalist(first.selection.winner)
    assert locked["delivered_run"] == [run.mlflow_run_id for run in winner.runs]
    assert [entry["number"] for entry in locked["finalists"]] == [
        finalist.number for finalist in first.confirmation.finalists
    ]
    runs = [run for entry in locked["finalists"] for run in entry["runs"]]
    assert {run["run_id"] for run in runs} == {
        run.info.run_id for run in scripted_study.finalist_runs()
    }
    assert all(len(locked[key]) == 64 for key in ("source_sha256", "data_sha256"))
    assert locked["split_id"] == scripted_study.record.split_id
    space = json.dumps(scripted_study.record.definition["space"], sort_keys=True)
    assert locked["search_space_sha256"] == hashlib.sha256(space.encode()).hexdigest()
    assert set(locked) >= {"version", "commit", "excluded", "dropped", "eligible", "reference"}


def test_a_second_report_shows_the_same_trains_nothing_and_reads_nothing(scripted_study, refuse):
    first, _ = scripted_study.report(seeds=2, finalists=3)
    refuse(TRAINING, LOADING)
    again, said = scripted_study.report()
    assert (said, reads_of(scripted_study)) == ([], (1, 1))
    assert as_json(again) == as_json(first)
    kept = scripted_study.store.read_file(scripted_study.record.run_id, "report/report.json")
    assert as_json(again) == json.loads(kept)
    assert again.test_examples.class_names == tuple("0123456789")
    assert set(again.test_examples.results) == set(first.tested) == set(again.tested)
    for number, result in again.test_examples.results.items():
        assert result.nll == pytest.approx(np.full(359, np.log(10)))
        assert first.tested[number].ce == pytest.approx(np.log(10))
        assert np.array_equal(result.correct, result.predicted == again.test_examples.labels)


def test_nothing_touches_the_test_part_before_the_lock(scripted_study, monkeypatch):
    """A test part whose every access raises: finalists and selection come to the lock."""
    touched = []

    def sealed_away(part, *arguments):
        touched.append(locked_of(scripted_study))
        raise RuntimeError("the test part was touched")

    for name in ("read", "__len__", "__iter__", "__getitem__", "__array__", "__getattr__"):
        monkeypatch.setattr(SealedTest, name, sealed_away)
    with pytest.raises(RuntimeError, match="the test part was touched"):
        scripted_study.report(seeds=2, finalists=2)
    assert [record is not None for record in touched] == [True]
    assert len(scripted_study.finalist_runs()) == 6


def test_a_report_that_was_killed_while_it_read_ends_what_is_left(scripted_study, refuse):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_part, "read_once", killed)
        with pytest.raises(KeyboardInterrupt):
            scripted_study.report(seeds=2, finalists=2)
    refuse(TRAINING)
    again, said = scripted_study.report()
    assert "reading the test part" in said
    # The first reading was counted before it began: whether it saw anything nobody knows.
    assert again.test.reads == 2
    assert scripted_study.report()[0].test.reads == 2


def killed(*arguments, **options):
    raise KeyboardInterrupt


def test_a_report_that_was_killed_before_it_registered_only_registers(scripted_study):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scripted_study.store), "register_model", killed)
        with pytest.raises(KeyboardInterrupt):
            scripted_study.report(seeds=1)
    again, said = scripted_study.report()
    assert "reading the test part" not in said and "registering the model" in said
    assert (again.test.reads, again.model_uri) == (1, "models:/digits/1")


@pytest.mark.parametrize("step", ["log_report", "mark_winner", "set_verdicts"])
def test_a_report_that_was_killed_after_it_registered_writes_its_pages(scripted_study, step):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scripted_study.store), step, killed)
        with pytest.raises(KeyboardInterrupt):
            scripted_study.report(seeds=1)
    again, said = scripted_study.report()
    assert "reading the test part" not in said and "registering the model" not in said
    assert said[-1] == "writing the pages"
    assert len(scripted_study.registered) == 1 and again.model_uri == "models:/digits/1"
    assert scripted_study.report()[1] == []


def test_a_replaced_choice_never_shows_the_test_result_of_the_one_before(scripted_study):
    before, _ = scripted_study.report(seeds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_part, "read_once", killed)
        with pytest.raises(KeyboardInterrupt):
            scripted_study.report(rule="fewest_params", seeds=1, read_test_again=True)
    again, said = scripted_study.report(rule="fewest_params", seeds=1)
    assert "reading the test part" in said and "registering the model" in said
    assert again.test.reads == 3 and again.model_uri == "models:/digits/2"
    assert before.test.reads == 1


def test_a_model_that_cannot_be_restored_locks_nothing(scripted_study):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_part, "restore", killed)
        with pytest.raises(KeyboardInterrupt):
            scripted_study.report(seeds=1)
    assert locked_of(scripted_study) is None and reads_of(scripted_study) == (0, 0)


def unwritable(*arguments):
    raise PermissionError(13, "Permission denied", "mlartifacts")


@pytest.mark.parametrize("place", ["the report keeps its files", "the report will keep its model"])
def test_an_unwritable_folder_is_refused_before_anything_is_done(scripted_study, place, refuse):
    """As it becomes between search and report; once it is writable, the report is made."""
    write = artifacts.write

    def partly(artifact_uri, *arguments):
        return (unwritable if artifact_uri.endswith("models") else write)(artifact_uri, *arguments)

    before = scripted_study.store.tags(scripted_study.record.run_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "write", partly if place.endswith("model") else unwritable)
        with pytest.raises(TrackingError) as caught:
            scripted_study.report(seeds=2, finalists=2)
    told = str(caught.value)
    assert "could not write in " in told and "mlartifacts" in told and f", where {place}: " in told
    assert told.endswith("[Errno 13] Permission denied: 'mlartifacts'") and "\n" not in told
    assert locked_of(scripted_study) is None and reads_of(scripted_study) == (0, 0)
    assert scripted_study.finalist_runs() == [] and scripted_study.registered == []
    assert scripted_study.store.tags(scripted_study.record.run_id) == before
    again, said = scripted_study.report(seeds=2, finalists=2)
    assert "reading the test part" in said and again.test.reads == 1
    run = scripted_study.store.get_run(scripted_study.record.run_id)
    assert "writable" not in scripted_study.store.artifact_names(run.info.artifact_uri)


@pytest.mark.parametrize("step", ["selection", "selection.json", "test.json", "report.json"])
def test_a_folder_that_becomes_unwritable_amid_a_report_ends_it_in_one_line(scripted_study, step):
    """What was done before stands: the test part is not read for nothing, and the next goes on."""
    write = artifacts.write

    def until(artifact_uri, tracking_uri, files):
        chosen = unwritable if any(step in name for name in files) else write
        return chosen(artifact_uri, tracking_uri, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "write", until)
        with pytest.raises(TrackingError) as caught:
            scripted_study.report(seeds=2, finalists=2)
    assert str(caught.value).endswith("[Errno 13] Permission denied: 'mlartifacts'")
    assert "\n" not in str(caught.value)
    assert (locked_of(scripted_study) is None) is (step == "selection")
    again, _ = scripted_study.report(seeds=2, finalists=2)
    assert again.test is not None and again.model_uri == "models:/digits/1"
    assert len(scripted_study.registered) == 1
    assert scripted_study.report()[1] == []


def test_a_second_report_at_the_same_time_is_told(scripted_study):
    with (
        study_locked("digits", [scripted_study.store.tracking_uri], "pipeline report"),
        pytest.raises(InputError, match=r"^another `pipeline report` \(process \d+\) is running"),
    ):
        scripted_study.report(seeds=1)
    assert locked_of(scripted_study) is None and reads_of(scripted_study) == (0, 0)


def test_a_locked_study_that_goes_on_is_a_what_if_with_the_locked_result(scripted_study):
    first, _ = scripted_study.report(seeds=1)
    run_id = scripted_study.record.trials[-1].mlflow_run_id
    scripted_study.store.update_run(run_id, status="RUNNING")
    report, said = scripted_study.report(seeds=1)
    assert said == [] and report.test is None
    assert any("made before the study went on" in note for note in report.selection.notes)
    assert f"Test, locked trial {first.selection.winner}" in report.extras


def test_a_rule_that_picks_none_is_a_what_if_on_a_locked_study(scripted_study):
    first, _ = scripted_study.report(seeds=1)
    report, _ = scripted_study.report(rule="pareto", seeds=1)
    assert any("made by the rule least_overfit" in note for note in report.selection.notes)
    assert f"Test, locked trial {first.selection.winner}" in report.extras


def test_a_report_that_was_killed_among_its_finalists_trains_the_missing_ones(scripted_study):
    end, ended = finalists.FinalistTraining._track, []

    def dies_at_the_third(rounds, outcome):
        if len(ended) == 2:
            raise KeyboardInterrupt
        ended.append(outcome)
        end(rounds, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finalists.FinalistTraining, "_track", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            scripted_study.report(seeds=2, finalists=3)
    assert locked_of(scripted_study) is None
    kept = {r.info.run_id for r in scripted_study.finalist_runs() if r.info.status == "FINISHED"}
    states = [run.data.tags["state"] for run in scripted_study.finalist_runs()]
    assert sorted(states) == ["COMPLETE"] * 2 + ["FAIL"] * 6
    resumed, said = scripted_study.report(seeds=2, finalists=3)
    assert "6 trainings in 1 cohort" in said[0]
    confirmation = resumed.confirmation
    several = (*confirmation.finalists, *confirmation.others)
    used = {run.mlflow_run_id for f in several for run in f.runs}
    assert kept < used and len(used) == 8


def test_more_seeds_train_only_the_further_ones(scripted_study):
    scripted_study.report(seeds=2, finalists=2)
    _, said = scripted_study.report(seeds=3, finalists=2, read_test_again=True)
    assert "3 trainings in 1 cohort" in said[0]
    assert reads_of(scripted_study) == (2, 2)


def test_one_seed_trains_nothing_and_says_what_it_costs(scripted_study, refuse):
    refuse(TRAINING)
    only, _ = scripted_study.report(seeds=1)
    assert not scripted_study.finalist_runs()
    assert only.confirmation is None
    assert ONE_SEED in only.selection.notes
    assert only.selection.rule.seeds == 1
    again, _ = scripted_study.report()  # the locked number of seeds, without being asked
    assert as_json(again) == as_json(only)


def test_a_what_if_trains_nothing_and_reads_nothing(scripted_study, refuse):
    locked, _ = scripted_study.report(seeds=2, finalists=3)
    refuse(TRAINING, LOADING)
    for other in ({"rule": "best_val"}, {"seeds": 3}, {"seeds": 1}, {"finalists": 6}):
        what_if, said = scripted_study.report(**other)
        assert (what_if.test, what_if.tested, what_if.model_uri, said) == (None, {}, None, [])
        assert what_if.selection.notes[-1].startswith(
            f"what-if: the choice is locked on trial {locked.selection.winner}, made "
        )
    assert reads_of(scripted_study) == (1, 1)


@pytest.mark.parametrize(
    ("other", "made"),
    [
        ({"rule": "best_val"}, "made by the rule least_overfit;"),
        ({"seeds": 1}, "made with --seeds 2;"),
        ({"constants": {"k": 0.0}}, "made with --k 1;"),
        ({"constants": {"tau_accuracy": 0.5}}, "made with --tau-accuracy 0.01;"),
    ],
)
def test_a_what_if_says_in_what_the_locked_choice_differs(scripted_study, other, made):
    scripted_study.report(seeds=2, finalists=3)
    assert made in scripted_study.report(**other)[0].selection.notes[-1]


def test_a_what_if_uses_finalists_only_where_all_of_its_own_were_trained(scripted_study):
    scripted_study.report(seeds=3, finalists=6)
    fewer, _ = scripted_study.report(seeds=2)
    assert [len(f.runs) for f in fewer.confirmation.finalists] == [2] * 6
    more, _ = scripted_study.report(seeds=4)
    assert more.confirmation is None
    assert more.selection.rule.seeds == 1
    assert "by one seed each: not all of its finalists were trained" in more.selection.notes[-2]


def test_where_every_finalist_fails_one_seed_decides_and_it_stays_so(scripted_study, refuse):
    store = scripted_study.store
    store.set_tag(scripted_study.record.run_id, "executor", "poisoned")
    first, _ = scripted_study.report(seeds=2, finalists=2)
    assert first.confirmation is None and first.test is not None
    assert first.selection.notes[-1].startswith("None of the 3 finalists could be used")
    refuse(TRAINING)
    assert as_json(scripted_study.report()[0]) == as_json(first)


def test_a_study_that_grew_is_a_what_if_until_its_finalists_are_trained_again(scripted_study):
    scripted_study.report(seeds=2, finalists=3)
    scripted_study.search(trials=9)
    grown, said = scripted_study.report()
    assert (grown.test, said) == (None, [])
    assert "made when the study had 6 trials" in grown.selection.notes[-1]
    forced, _ = scripted_study.report(seeds=2, finalists=3, read_test_again=True)
    assert (forced.test.reads, reads_of(scripted_study)) == (2, (2, 2))
    assert len(locked_of(scripted_study)["candidates"]) == 9
    assert as_json(scripted_study.report()[0])["test"]["reads"] == 2


def test_a_study_without_skill_trains_no_finalist_and_locks_nothing(scripted_study, refuse):
    refuse(TRAINING, LOADING)
    scripted_study.search(study="hopeless", executor="hopeless")
    report, said = scripted_study.report(study="hopeless")
    assert (report.selection.status, report.test, said) == ("no_skill", None, [])
    assert (scripted_study.locks, scripted_study.registered) == ([], [])


def test_finalists_whose_runs_are_gone_are_no_silent_change(scripted_study):
    scripted_study.report(seeds=2, finalists=2)
    for run in scripted_study.finalist_runs():
        scripted_study.store.delete_run(run.info.run_id)
    report, _ = scripted_study.report()
    assert report.test is None
    one_seed, what_if, deleted = report.selection.notes[-3:]
    assert "by one seed each: not all of its finalists were trained" in one_seed
    assert "made with finalists whose runs are no longer in MLflow;" in what_if
    assert deleted.startswith("6 runs of this study (of trial ")
    assert reads_of(scripted_study) == (1, 1)


def test_a_second_study_on_the_same_data_says_who_read_the_test_part_before(scripted_study):
    scripted_study.report(seeds=1)
    # Fewer training examples: another split, the same test part.
    scripted_study.search(study="again", trials=3, train_examples=500)
    second, _ = scripted_study.report(study="again", seeds=1)
    assert second.study.split_id != scripted_study.record.split_id
    assert second.other_reads == {"digits": 1} and second.test.reads == 1
    assert "Other studies read the same test part: 'digits'; 2 times" in as_text(second)
    assert scripted_study.report(seeds=1)[0].other_reads == {"again": 1}
    # Another seed splits off another test part.
    scripted_study.search(study="other", trials=3, seed=1)
    assert scripted_study.report(study="other", seeds=1)[0].other_reads == {}
