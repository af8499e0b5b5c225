"""The loop of a search, with a trainer that follows a script and a log that notes every call."""

import itertools
import re
from dataclasses import replace

import optuna
import pytest
from optuna.storages import InMemoryStorage
from scripted_trainer import CohortTrainer, Script
from small_space import NO_REFERENCES, small_space

from pipeline.errors import PipelineError
from pipeline.records import (
    ChanceLevel,
    Measurement,
    StudyRecord,
    TrialConfig,
    TrialOutcome,
    TrialRecord,
)
from pipeline.search import executors, supervisor
from pipeline.search.cohort_sizing import Sizing, fixed
from pipeline.search.cost import UNTIMED_TRIALS, DataSize, Estimate
from pipeline.search.dashboard import user_attributes
from pipeline.search.plan import SearchPlan
from pipeline.search.progress import in_short, trial_line, ways_to_shorten
from pipeline.search.retries import MAX_FAILURES
from pipeline.search.study import Study, Suggestion
from pipeline.search.supervisor import Supervisor
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select
from pipeline.training.padding import stackable

EMPTY = StudyRecord("first", "digits", "split-a", "parent", ChanceLevel(0.1, 2.3026), {}, ())
ONE_DEPTH = ("  depth: {low: 1, high: 3}\n", "")
ONE_STRUCTURE = (ONE_DEPTH, NO_REFERENCES, ("trials: 8", "trials: 27"))
LONG = ("epochs: 4", "epochs: 14")


class FakeLog:
    """MLflow's side of a study: notes every call, with its trial."""

    next_cohort = 0

    def __init__(self, calls):
        self.calls, self.kept = calls, {}
        self.epochs = {}

    def trial_started(self, number, name, config, tags):
        self.calls.append(("started", number))

    def trial_epochs(self, number, epoch, curves):
        self.epochs.setdefault(number, []).append(epoch)

    def run_ids(self, numbers):
        return {number: f"run-{number}" for number in numbers}

    def trial_finished(self, outcome, verdict, *, keep_weights):
        self.calls.append(("finished", outcome.number))
        if keep_weights and outcome.weights is not None:
            self.calls.append(("kept", outcome.number))
            self.kept[outcome.number] = outcome.weights

    def drop_weights(self, number):
        self.calls.append(("dropped", number))
        del self.kept[number]

    def kept_weights(self):
        return tuple(self.kept)


class FakeView:
    def __init__(self):
        self.notes, self.snapshots = [], []
        self.on_note = None

    def note(self, message):
        self.notes.append(message)
        if self.on_note is not None:
            self.on_note(message)

    def warn(self, message):
        self.note(message)

    def detail(self, message):
        pass

    def show(self, snapshot):
        self.snapshots.append(snapshot)


class NotingStudy(Study):
    """Notes when Optuna is told."""

    calls: list

    def tell(self, outcome, attributes):
        self.calls.append(("told", outcome.number))
        super().tell(outcome, attributes)


class WatchedScript:
    """Opens one trainer in this process and shows what it was given."""

    def __init__(self, script):
        self.script = script
        self.trainer = CohortTrainer(script)

    def open(self):
        return self.trainer


def optuna_study(storage, seed):
    """Returns the study in a storage in memory: the loop does not care how trials are sampled."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=storage,
        study_name="first",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed),
        pruner=optuna.pruners.PercentilePruner(
            90, n_startup_trials=5, n_warmup_steps=10, interval_steps=10
        ),
    )


class Search:
    """One command: a supervisor over fakes, with a real executor and a real study."""

    def __init__(self, storage, script=None, space=None, *, seed=1, executor="inline", **plan):
        self.space = space or small_space()
        self.script = script or Script()
        self.calls, self.view = [], FakeView()
        self.log = FakeLog(self.calls)
        self.opener = WatchedScript(self.script) if executor == "inline" else self.script
        self.study = NotingStudy(optuna_study(storage, seed), self.space, seed)
        self.study.calls = self.calls
        self.study.resume(references=True)
        self.executor_name = executor
        plan.setdefault("sizing", fixed(plan.pop("cohort_size", 1)))
        self.plan = SearchPlan(self.space, plan.pop("trials", self.space.trials), **plan)

    def run(self, earlier=EMPTY):
        estimate = Estimate(DataSize((64,), 1000, 200), self.space.epochs)
        with executors.start(self.executor_name, self.opener, 1) as executor:
            self.supervisor = Supervisor(
                self.plan, self.study, executor, self.log, self.view, earlier, estimate
            )
            return self.supervisor.run()

    @property
    def cohorts(self):
        return [[t.number for t in cohort.trials] for cohort in self.opener.trainer.cohorts]


class Clock:
    """Stands in for the module ``time``: a cohort takes a second, whatever the machine does."""

    def __init__(self, made):
        self.made = made

    def monotonic(self):
        return float(len(self.made.opener.trainer.cohorts))


def search(script=None, space=None, *, storage=None, **options):
    return Search(storage or InMemoryStorage(), script, space, **options)


def states(record):
    return "".join(trial.state[0] for trial in record.trials)


def test_the_total_is_reached_and_every_trial_is_on_record():
    made = search()
    record = made.run()
    assert [trial.number for trial in record.trials] == list(range(8))
    assert states(record) == "C" * 8
    assert [trial.name for trial in record.trials] == ["baseline", "wide", "l2", *[None] * 5]
    assert {trial.split_id for trial in record.trials} == {"split-a"}
    assert made.cohorts == [[number] for number in range(8)]
    assert (made.study.num_ended, made.study.num_running) == (8, 0)
    assert made.view.snapshots[-1].counts == "8/8 trials"


def test_a_finished_study_trains_nothing_more():
    storage = InMemoryStorage()
    record = search(storage=storage).run()
    again = search(storage=storage)
    assert again.run(record) == record
    assert again.cohorts == []


def test_continuing_keeps_the_earlier_trials():
    storage = InMemoryStorage()
    first = search(Script(poison=(1,)), storage=storage, trials=4).run()
    second = search(storage=storage, seed=2)  # what is drawn twice is not trained twice
    record = second.run(first)
    assert record.trials[:4] == first.trials
    assert states(record) == "CFCCCCCC"
    assert second.cohorts == [[4], [5], [6], [7]]
    assert second.view.snapshots[0].counts == "4/8 trials, 1 failed"


def test_a_stale_trial_is_not_counted_as_failed():
    storage = InMemoryStorage()
    killed = search(storage=storage)
    killed.study.ask()
    stale = replace(EMPTY, trials=(failed_record(0),))
    again = search(storage=storage)
    record = again.run(stale)
    assert states(record) == "F" + "C" * 8
    assert again.view.snapshots[-1].counts == "8/8 trials"


def failed_record(number):
    return TrialRecord(number, "FAIL", TrialConfig(), "split-a", cause="killed")


def test_cohorts_hold_trials_that_share_a_program():
    made = search(space=small_space(("trials: 8", "trials: 15")), cohort_size=6)
    record = made.run()
    assert states(record) == "C" * 15
    structures = {trial.number: stackable(trial.config) for trial in record.trials}
    for cohort in made.cohorts:
        assert len({structures[number] for number in cohort}) == 1
    assert sorted(itertools.chain(*made.cohorts)) == list(range(15))
    assert max(len(cohort) for cohort in made.cohorts) > 1
    assert all(len(cohort) <= 6 for cohort in made.cohorts)


def test_the_next_trials_are_asked_for_while_the_last_cohort_trains():
    made = search(space=small_space(*ONE_STRUCTURE), sizing=Sizing(3, 8, 99, 4))
    asked = []
    ask = made.study.ask

    def noting():
        asked.append((made.study.num_ended, made.study.num_running))
        return ask()

    made.study.ask = noting
    assert states(made.run()) == "C" * 27
    # Nothing ahead of the first round; then half a round, as soon as the other half is known.
    assert [len(cohort) for cohort in made.cohorts[-6:]] == [4] * 6
    assert max(running for _, running in asked) == 7
    assert {ended for ended, _ in asked} == {0, 3, 7, 11, 15, 19}


def test_nothing_is_asked_ahead_of_a_stop():
    made = search(space=small_space(*ONE_STRUCTURE), sizing=Sizing(3, 8, 99, 4))

    def stop(message):
        if message.startswith("trial 4"):
            made.supervisor.stop()

    made.view.on_note = stop
    made.run()
    # The other half was training when it came.
    assert (made.study.num_ended, made.study.num_running) == (11, 0)


def test_groups_keep_the_order_of_asking():
    made = [
        Suggestion(number, TrialConfig(depth=depth), 0, None)
        for number, depth in enumerate([1, 2, 1, 3, 2])
    ]
    groups = [[s.number for s in group] for group in fixed(8).cohorts(made, 0)]
    assert groups == [[0, 2], [1, 4], [3]]


def test_a_poison_trial_is_found_and_its_company_survives():
    space = small_space(NO_REFERENCES, ONE_DEPTH)
    made = search(Script(poison=(2,)), space, cohort_size=4)
    record = made.run()
    assert states(record) == "CCFCCCCC"
    assert record.trials[2].cause == "RuntimeError: trial 2 is poison"
    assert made.cohorts == [[0, 1, 2, 3], [0], [1], [2], [3], [4, 5, 6, 7]]
    assert (
        "cohort 0 (4 trials) failed (RuntimeError: trial 2 is poison): its trials are tried one by "
        "one"
    ) in made.view.notes
    assert made.calls.count(("finished", 0)) == 1


def test_trials_tried_again_report_no_epoch_twice_and_get_the_same_numbers():
    space = small_space(NO_REFERENCES, ONE_DEPTH)
    disturbed = search(Script(poison=(2,), poison_after=3), space, cohort_size=4)
    calm = search(Script(), space, cohort_size=4)
    tried_again, never_disturbed = comparable(disturbed.run()), comparable(calm.run())
    assert tried_again.pop(2)[1] == "FAIL"
    assert never_disturbed.pop(2)[1] == "COMPLETE"
    assert tried_again == never_disturbed
    assert disturbed.log.epochs == {2: [1, 2, 3]} | {
        number: [1, 2, 3, 4] for number in (0, 1, 3, 4, 5, 6, 7)
    }


def test_a_trial_pruned_before_its_cohort_failed_stops_at_once_when_tried_again():
    space = small_space(NO_REFERENCES, ONE_DEPTH, LONG, ("trials: 8", "trials: 12"))
    made = search(Script(poison=(9,), poison_after=12, hopeless=(8,)), space, cohort_size=6)
    record = made.run()
    assert states(record)[6:10].endswith("PF")
    assert len(record.trials[8].curves["val_ce"]) == 11
    assert made.opener.trainer.epochs[8][-1] <= 12


def test_a_bad_trial_is_pruned_and_ends_at_the_decision_however_late_it_stops():
    space = small_space(NO_REFERENCES, LONG)
    prompt, late, deaf = (
        search(Script(hopeless=(7,), deaf_epochs=epochs), space) for epochs in (0, 2, 99)
    )
    records = [made.run() for made in (prompt, late, deaf)]
    pruned = records[0].trials[7]
    assert pruned.state == "PRUNED"
    assert {name: len(values) for name, values in pruned.curves.items()} == {
        "val_ce": 11,
        "train_ce": 11,
    }
    assert (pruned.measurement, pruned.validation) == (None, None)
    assert comparable(records[0]) == comparable(records[1]) == comparable(records[2])
    assert [made.log.epochs[7] for made in (prompt, late, deaf)] == [list(range(1, 12))] * 3
    assert all(7 not in made.log.kept for made in (prompt, late, deaf))
    assert re.fullmatch(r"trial 7: depth .* -> pruned after 11 epochs", prompt.view.notes[-1])
    num_pruned = states(records[0]).count("P")
    assert prompt.view.snapshots[-1].counts == f"8/8 trials, {num_pruned} pruned"


def test_a_trial_is_not_pruned_after_its_own_last_epoch_and_its_cohort_ends_with_the_last_trial():
    epochs = ("search:\n", "search:\n  epochs: [11]\n")
    for change, state, last in ((epochs, "C", 11), (("search:\n", "search:\n"), "P", 14)):
        made = search(Script(hopeless=(7,)), small_space(NO_REFERENCES, LONG, change))
        assert states(made.run())[7] == state
        assert {cohort.epochs for cohort in made.opener.trainer.cohorts} == {last}
    mixed = ("search:\n", "search:\n  epochs: {low: 2, high: 5}\n")
    made = search(None, small_space(NO_REFERENCES, ONE_DEPTH, LONG, mixed), cohort_size=8)
    record = made.run()
    own = [trial.config.epochs for trial in record.trials]
    assert len(set(own)) > 1
    assert [trial.measurement.epochs for trial in record.trials] == own
    assert [len(made.log.epochs[number]) for number in range(8)] == own
    (cohort,) = made.opener.trainer.cohorts
    assert cohort.epochs == max(own)


def test_mlflow_has_a_trials_end_before_optuna_is_told():
    made = search()
    record = made.run()
    for number in range(len(record.trials)):
        own = [what for what, of in made.calls if of == number and what != "dropped"]
        assert [what for what in own if what != "kept"] == ["started", "finished", "told"]
        assert own[-1] == "told"


def test_weights_are_kept_for_what_may_win_and_the_baseline_only():
    deeper = ("wide: {", "wide: {depth: 3, "), ("  l2: {", "  l2: {depth: 1, ")
    made = search(Script(hopeless=(0,)), small_space(*deeper, ("trials: 8", "trials: 14")))
    record = made.run()
    selection = select(record, RuleSettings())
    wanted = {*selection.eligible, selection.reference, 0}
    assert set(made.log.kept) == wanted
    assert 0 < len(wanted) < 14
    assert made.calls.index(("kept", 1)) < made.calls.index(("dropped", 1))
    assert made.calls.index(("dropped", 1)) < made.calls.index(("told", 2))
    assert all(made.log.kept[number][0][0, 0] == number for number in wanted)


def test_every_trial_has_a_verdict():
    made = search(Script(poison=(3,), hopeless=(4,)))
    made.run()
    verdicts = made.supervisor.verdicts
    assert list(verdicts) == list(range(8))
    assert (verdicts[3].name, verdicts[4].name) == ("failed", "no_skill")


def test_too_many_failures_in_a_row_stop_the_search():
    made = search(Script(poison=tuple(range(99))))
    with pytest.raises(PipelineError) as caught:
        made.run()
    assert str(caught.value) == (
        "5 trials failed in a row, the last one with: RuntimeError: trial 4 is poison. The search "
        "stops here (--max-failures 5); what was trained is kept. Mend the cause and run the same "
        "command again; it goes on regardless with a larger --max-failures"
    )
    assert made.study.num_ended == MAX_FAILURES == 5
    assert made.calls[-1] == ("told", 4)


def test_failures_that_are_not_in_a_row_do_not():
    record = search(Script(poison=(0, 1, 2, 3, 5, 6, 7))).run()
    assert states(record) == "FFFFCFFF"


def test_no_trial_starts_after_the_timeout(monkeypatch):
    made = search(timeout_seconds=1.0)
    monkeypatch.setattr(supervisor, "time", Clock(made))
    record = made.run()
    assert states(record) == "CC", "one began before the limit, one at it"
    assert made.view.notes.count("--timeout 1 s is over: no more trials are started") == 1


def test_with_a_timeout_a_cohort_is_no_larger_than_the_time_left_allows(monkeypatch):
    space = small_space(*ONE_STRUCTURE)
    script = Script(step_seconds=0.1)
    made = search(script, space, cohort_size=27, timeout_seconds=3.0)
    monkeypatch.setattr(supervisor, "time", Clock(made))
    made.run()
    first, *later = [len(cohort.trials) for cohort in made.opener.trainer.cohorts]
    assert first == UNTIMED_TRIALS, "how long it takes is not known yet"
    assert later and sum((first, *later)) < 27 and all(size < first for size in later)
    whole = search(script, space, cohort_size=27)
    whole.run()
    assert [len(cohort.trials) for cohort in whole.opener.trainer.cohorts] == [27]


def test_a_round_of_several_structures_stops_between_its_cohorts(monkeypatch):
    space = small_space(("trials: 8", "trials: 15"))
    made = search(space=space, cohort_size=15, timeout_seconds=0.5)
    monkeypatch.setattr(supervisor, "time", Clock(made))
    record = made.run()
    begun = len(record.trials)
    assert 1 <= begun < 15
    assert made.study.num_running == 15 - begun
    # What was asked for and not begun has no run, and comes again when the study continues.
    assert {call[1] for call in made.calls if call[0] == "told"} == {
        t.number for t in record.trials
    }


def test_stopping_finishes_what_is_training():
    made = search()

    def stop(message):
        made.supervisor.stop()

    made.view.on_note = stop
    record = made.run()
    assert states(record) == "C"
    assert made.study.num_running == 0
    assert made.view.snapshots[-1].seconds_left == 0.0, "what is not started takes no time"


def test_the_same_seed_gives_the_same_numbers_in_any_executor():
    space = small_space(NO_REFERENCES, LONG, ("trials: 8", "trials: 9"))
    script = Script(hopeless=(6,), poison=(2,))
    one, two, apart, other = (
        search(script, space, **options).run()
        for options in ({}, {}, {"executor": "processes"}, {"seed": 2})
    )
    assert comparable(one) == comparable(two) == comparable(apart)
    assert (one.trials[2].state, one.trials[6].state) == ("FAIL", "PRUNED")
    assert comparable(one) != comparable(other)


def comparable(record):
    return [
        (trial.number, trial.state, trial.config, trial.measurement, trial.curves, trial.cause)
        for trial in record.trials
    ]


def test_a_worker_that_is_killed_fails_its_trial_alone():
    record = search(Script(fatal=(3,)), executor="processes").run()
    assert states(record) == "CCCFCCCC"
    assert record.trials[3].cause.startswith("the worker process died (signal SIGKILL, as the")


def test_the_view_sees_the_running_trial_the_best_and_the_time_left():
    made = search()
    made.run()
    first = made.view.snapshots[0]
    assert (first.ended, first.total, first.best, first.seconds_left) == (0, 8, "", None)
    assert [(r.label, r.epoch, r.epochs) for r in first.running] == [("trial 0 (baseline)", 0, 4)]
    labels = {running.label for shot in made.view.snapshots for running in shot.running}
    assert "trial 1 (wide)" in labels
    assert any(label.startswith("trial 7 (depth ") for label in labels)
    epochs = [r.epoch for shot in made.view.snapshots for r in shot.running if "(wide)" in r.label]
    assert sorted(set(epochs)) == [0, 1, 2, 3, 4]
    assert epochs == sorted(epochs)
    last = made.view.snapshots[-1]
    assert last.best.startswith("trial ") and "as good as the best" in last.best
    left = [shot.seconds_left for shot in made.view.snapshots if shot.seconds_left is not None]
    assert left[0] > left[-1] >= 0


def test_the_first_timing_says_what_the_whole_will_take():
    made = search(Script(step_seconds=0.001))
    made.run()
    estimates = [note for note in made.view.notes if "the search takes" in note]
    assert len(estimates) == 1
    assert re.fullmatch(
        r"1 ms a step of trial 0 \(baseline\): the search takes \d+ to \d+ s on this machine, by "
        r"how early trials stop; its report with finalists \d+ s to \d+ min",
        estimates[0],
    )


def test_a_long_study_is_told_how_to_cut_it():
    made = search(Script(step_seconds=10.0))
    made.run()
    note = next(note for note in made.view.notes if "the search takes" in note)
    assert note.endswith(
        ". To cut it: --train-examples N, --epochs N (now 4), --trials N, "
        "--no-references (leaves out 3), --timeout 30m, --precision mixed_bfloat16, --workers N, "
        "or a GPU"
    )


def test_without_references_there_are_none_to_leave_out():
    assert "--no-references" not in ways_to_shorten(small_space(NO_REFERENCES))


def test_a_trials_end_is_told_in_a_line():
    failed = TrialOutcome(5, "FAIL", cause="diverged: no finite validation cross-entropy")
    assert trial_line(5, None, "depth 2, dropout 0.3", failed, "failed") == (
        "trial 5: depth 2, dropout 0.3 -> failed: diverged: no finite validation cross-entropy"
    )
    pruned = TrialOutcome(0, "PRUNED", curves={"val_ce": (1.0, 0.9)})
    assert trial_line(0, "baseline", "", pruned, "pruned") == (
        "trial 0 (baseline): pruned after 2 epochs"
    )
    measured = Measurement(0.5, 0.9, 0.4, 0.95, 0.1, 0.01, 0.05, 0.0, 2, 4, 100)
    ended = TrialOutcome(3, "COMPLETE", measured, seconds=2.0)
    assert trial_line(3, None, "l2(0.0001)", ended, "healthy") == (
        "trial 3: l2(0.0001) -> healthy, gap 0.1000, val CE 0.5000, val accuracy 0.9000, "
        "best epoch 2 of 4, 2 s"
    )


def test_a_trial_is_told_by_what_sets_it_apart_in_its_space():
    space = small_space()
    usual = {name: space.constants[name] for name in ("width", "batch_size")}
    penalized = TrialConfig(depth=2, regularizer="l2", lambda_l2=1e-4, **usual)
    assert in_short(penalized, space) == "depth 2, l2(0.0001)"
    assert in_short(replace(penalized, width=8), space) == "depth 2, width 8, l2(0.0001)"


def test_a_pruned_outcome_keeps_its_curves_up_to_the_decision_and_no_weights():
    late = TrialOutcome(1, "COMPLETE", curves={"val_ce": (3.0, 2.0, 1.0)}, weights=())
    assert late.pruned_after(2) == TrialOutcome(1, "PRUNED", curves={"val_ce": (3.0, 2.0)})


def test_optuna_is_shown_the_verdict_and_the_cause():
    failed = TrialOutcome(1, "FAIL", cause="diverged")
    shown = {"verdict": "failed", "mlflow_run_id": "abc", "cause": "diverged"}
    assert user_attributes(failed, "failed", "abc") == shown
    del shown["mlflow_run_id"]
    assert user_attributes(failed, "failed", None) == shown


def test_a_search_that_came_back_has_the_studys_run_go_on(monkeypatch):
    made = search(trials=1)
    came = iter([True])
    monkeypatch.setattr(made.study, "came_back", lambda: next(came, False))
    went_on = []
    monkeypatch.setattr(made.log, "set_running", lambda: went_on.append(True), raising=False)
    made.run()
    assert went_on == [True]
