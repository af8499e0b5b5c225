"""Choose, confirm, lock, read once, show again: the order of a report, on a scripted study."""

import hashlib
import json

import numpy as np
import pytest

from pipeline.datasets import SealedTest
from pipeline.errors import InputError
from pipeline.report import finalists, test_part
from pipeline.report import run as module
from pipeline.report.render.json import as_json
from pipeline.report.render.text import as_text
from pipeline.search.study_lock import study_locked
from pipeline.selection.confirm import ONE_SEED

pytestmark = pytest.mark.filterwarnings(
    # MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates, in every query of runs.
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"
)


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
    assert said[0].startswith(
        "training 3 finalists again with other seeds: 9 trainings in 1 cohort"
    )
    assert said[-4:] == [
        f"restoring {len(first.tested)} models and checking them on validation",
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


def test_the_median_seed_is_restored_registered_and_tagged(scripted_study):
    first, _ = scripted_study.report(seeds=4, finalists=3)
    (winner,) = (f for f in first.confirmation.finalists if f.number == first.selection.winner)
    values = [run.measurement.val_ce for run in winner.runs]
    assert winner.median != 0, "the script's seeds cannot tell the first from the median"
    assert (
        first.delivered.measurement.val_ce == sorted(values)[1]
    )  # of four, the lower in the middle
    delivered = first.delivered.mlflow_run_id
    assert scripted_study.registered == [delivered]
    assert delivered in scripted_study.restored
    tagged = [r.info.run_id for r in scripted_study.finalist_runs() if "delivered" in r.data.tags]
    assert tagged == [delivered]
    store, run_id = scripted_study.store, scripted_study.record.run_id
    assert store.tag(run_id, "delivered_run") == delivered
    # Of a finalist its median seed is restored, of the baseline (no finalist) its own training.
    numbers = {f.number for f in first.confirmation.finalists}
    trials = {t.mlflow_run_id for t in scripted_study.record.trials if t.number not in numbers}
    assert len(trials & set(scripted_study.restored)) == len(set(first.tested) - numbers)


def test_the_locked_record_says_what_the_choice_rests_on(scripted_study):
    first, _ = scripted_study.report(seeds=3, finalists=3)
    locked = locked_of(scripted_study)
    assert locked["asked"] == {
        "k": 1.0, "tau": 0.05, "tau_accuracy": 0.01, "alpha": 0.05, "seeds": 3, "finalists": 3
    }  # fmt: skip
    assert locked["seeds"] == list(first.confirmation.seeds)
    assert locked["first_choice"] == first.confirmation.first_choice
    assert locked["delivered_run"] == first.delivered.mlflow_run_id
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
    assert len(scripted_study.finalist_runs()) == 4


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
    assert sorted(states) == ["COMPLETE"] * 2 + ["FAIL"] * 4
    resumed, said = scripted_study.report(seeds=2, finalists=3)
    assert "4 trainings in 1 cohort" in said[0]
    used = {run.mlflow_run_id for f in resumed.confirmation.finalists for run in f.runs}
    assert kept < used and len(used) == 6


def test_more_seeds_train_only_the_further_ones(scripted_study):
    scripted_study.report(seeds=2, finalists=2)
    _, said = scripted_study.report(seeds=3, finalists=2, read_test_again=True)
    assert "2 trainings in 1 cohort" in said[0]
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
    assert first.selection.notes[-1].startswith("None of the 2 finalists could be used")
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
    assert deleted.startswith("4 runs of this study (of trial ")
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
