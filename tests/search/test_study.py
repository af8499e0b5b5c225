"""What is asked and in which order, what is pruned; a killed search loses and repeats nothing."""

import json
import math
import sys
from dataclasses import replace

import optuna
import pytest
from mortal_study import Killed, Mortal
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from small_space import NO_REFERENCES, small_space

from pipeline.errors import InputError, StudyChangedError
from pipeline.records import Measurement, TrialOutcome
from pipeline.search.space.points import num_points
from pipeline.search.space.sequences import grid_of
from pipeline.search.study import Study, open_study, trial_seed

SPACE = small_space()
BASE = Measurement(0.5, 0.9, 0.4, 0.95, 0.1, 0.01, 0.05, 0.0, 2, 4, 100)


@pytest.fixture
def journal(tmp_path):
    return str(tmp_path / "studies.journal")


def opened(storage, space=SPACE, *, name="first", seed=3, references=True, **definition):
    definition = {"seed": seed, "space": space.definition()} | definition
    study = open_study(storage, name, space, definition, seed)
    study.resume(references=references)
    return study


def in_optuna(storage, name="first"):
    store = JournalStorage(JournalFileBackend(storage))
    return optuna.load_study(study_name=name, storage=store)


def ended(number, val_ce=0.5, gap_ce=0.1):
    values = BASE.__dict__ | {"val_ce": val_ce, "gap_ce": gap_ce, "train_ce": val_ce - gap_ce}
    return TrialOutcome(number, "COMPLETE", Measurement(**values))


def played(study, count):
    """Asks for trials and tells each a result that depends on its config alone."""
    suggestions = []
    for _ in range(count):
        suggestion = study.ask()
        config = suggestion.config
        study.tell(ended(suggestion.number, 0.3 + 0.1 * config.depth + config.dropout_rate), {})
        suggestions.append(suggestion)
    return suggestions


def test_references_come_first_under_their_names_with_their_configs(journal):
    study = opened(journal)
    asked = [study.ask() for _ in range(5)]
    assert [s.name for s in asked] == ["baseline", "wide", "l2", None, None]
    assert [s.number for s in asked] == [0, 1, 2, 3, 4]
    assert [s.config for s in asked[:3]] == [entry.config for entry in SPACE.references]


def test_a_reference_in_the_space_teaches_the_sampler_and_one_outside_does_not(journal):
    played(opened(journal), 3)
    baseline, wide, l2 = in_optuna(journal).trials
    assert baseline.params == {"depth": 2, "regularizer": "none", "dropout_rate": 0.0}
    assert wide.params == {}
    assert l2.params == baseline.params | {"regularizer": "l2", "lambda_l2": 0.01}


def test_without_references_the_first_trial_is_searched(journal):
    assert opened(journal, references=False).ask().name is None


def test_lambda_is_asked_only_with_its_regularizer(journal):
    space = small_space(NO_REFERENCES)
    found = played(opened(journal, space), 12)
    kinds = {suggestion.config.regularizer for suggestion in found}
    assert kinds == {"none", "l2"}
    for trial, suggestion in zip(in_optuna(journal).trials, found, strict=True):
        assert ("lambda_l2" in trial.params) == (suggestion.config.regularizer == "l2")
        assert (suggestion.config.lambda_l2 is not None) == ("lambda_l2" in trial.params)


def test_each_trial_has_its_own_seed_made_from_the_studys(journal, tmp_path):
    study = opened(journal, seed=3)
    asked = [study.ask() for _ in range(4)]
    assert [s.seed for s in asked] == [trial_seed(3, number) for number in range(4)]
    other = opened(str(tmp_path / "other.journal"), seed=4)
    assert len({s.seed for s in asked} | {other.ask().seed}) == 5


def test_the_objective_is_told_and_not_the_cross_entropy_alone(journal):
    study = opened(journal)
    study.tell(ended(study.ask().number, 0.5, gap_ce=0.2), {"verdict": "healthy"})
    study.tell(ended(study.ask().number, 0.5, gap_ce=-0.2), {})
    trials = in_optuna(journal).trials
    assert [trial.value for trial in trials[:2]] == pytest.approx([0.6, 0.5])
    assert trials[0].user_attrs["verdict"] == "healthy"


def test_states_are_told_as_they_are(journal):
    study = opened(journal)
    outcomes = [
        TrialOutcome(study.ask().number, "FAIL", cause="diverged"),
        TrialOutcome(study.ask().number, "PRUNED"),
        TrialOutcome(study.ask().number, "COMPLETE", None),
    ]
    assert study.num_running == 3
    for outcome in outcomes:
        study.tell(outcome, {})
    states = [trial.state for trial in in_optuna(journal).trials]
    assert states == [TrialState.FAIL, TrialState.PRUNED, TrialState.FAIL]
    assert (study.num_running, study.num_ended) == (0, 3)


def warmed_up(journal, space):
    """A study in which six trials have reported twelve epochs of val_ce around 0.5."""
    study = opened(journal, space)
    for offset in range(6):
        number = study.ask().number
        for epoch in range(1, 13):
            study.report(number, epoch, 0.5 + offset / 100)
        study.tell(ended(number, 0.5), {})
    return study


def test_a_clearly_bad_trial_is_pruned_after_the_warm_up_and_not_before(journal):
    study = warmed_up(journal, small_space(NO_REFERENCES))
    number = study.ask().number
    decisions = [study.report(number, epoch, 5.0) for epoch in range(1, 13)]
    assert decisions == [False] * 10 + [True, False], "one look in ten epochs"


def test_a_middling_trial_is_not_pruned(journal):
    study = warmed_up(journal, small_space(NO_REFERENCES))
    number = study.ask().number
    assert not any(study.report(number, epoch, 0.53) for epoch in range(1, 13))


def test_nothing_is_pruned_before_five_trials_ended(journal):
    study = opened(journal, small_space(NO_REFERENCES))
    for _ in range(4):
        number = study.ask().number
        assert not any(study.report(number, epoch, 0.5) for epoch in range(1, 13))
        study.tell(ended(number), {})
    number = study.ask().number
    assert not any(study.report(number, epoch, 9.0) for epoch in range(1, 13))


def test_a_reference_is_never_pruned(journal):
    plain = small_space(NO_REFERENCES)
    study = warmed_up(journal, plain)
    again = Study(study._study, SPACE, seed=3)
    again.resume(references=True)
    suggestion = again.ask()
    assert suggestion.name == "baseline"
    assert not any(again.report(suggestion.number, epoch, 9.0) for epoch in range(1, 13))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_report_that_is_no_number_is_ignored(journal, value):
    study = warmed_up(journal, small_space(NO_REFERENCES))
    number = study.ask().number
    assert not any(study.report(number, epoch, value) for epoch in range(1, 13))
    assert in_optuna(journal).trials[number].intermediate_values == {}


def test_the_same_seed_suggests_the_same_and_another_does_not(tmp_path):
    storages = [str(tmp_path / f"{name}.journal") for name in "abc"]
    one, two, other = (
        [s.config for s in played(opened(storage, seed=seed), 9)]
        for storage, seed in zip(storages, (3, 3, 4), strict=True)
    )
    assert one == two
    assert one[:3] == other[:3]
    assert one[3:] != other[3:]


def test_a_continued_study_does_not_repeat_its_suggestions(journal):
    space = small_space(NO_REFERENCES)
    before = [s.config for s in played(opened(journal, space), 4)]
    again = opened(journal, space)
    assert again.num_ended == 4
    after = [s.config for s in played(again, 4)]
    assert not {c.dropout_rate for c in before} & {c.dropout_rate for c in after}


def test_references_are_not_trained_again(journal):
    played(opened(journal), 2)
    assert [s.name for s in played(opened(journal), 3)] == ["l2", None, None]
    assert [s.name for s in played(opened(journal), 1)] == [None]


def test_what_was_running_is_closed_and_asked_again_once(journal):
    killed = opened(journal)
    running = [killed.ask() for _ in range(5)]
    killed.tell(ended(0), {})

    again = opened(journal)
    assert again.stale == (1, 2, 3, 4)
    assert again.num_ended == 1
    states = [trial.state for trial in in_optuna(journal).trials]
    assert states == [TrialState.COMPLETE, *[TrialState.FAIL] * 4, *[TrialState.WAITING] * 4]
    # Killed before tracking had heard of it: the next command says so again.
    assert opened(journal).stale == (1, 2, 3, 4)
    repeated = [again.ask() for _ in range(4)]
    assert [s.number for s in repeated] == [5, 6, 7, 8]
    for first, second in zip(running[1:], repeated, strict=True):
        assert (first.name, first.seed, first.config) == (second.name, second.seed, second.config)


def test_what_was_asked_for_and_not_trained_is_put_back_when_the_search_ends(journal):
    study = opened(journal)
    asked = [study.ask() for _ in range(4)]
    study.tell(ended(0), {})
    study.return_unfinished()
    states = [trial.state for trial in in_optuna(journal).trials]
    assert states == [TrialState.COMPLETE, *[TrialState.FAIL] * 3]
    assert study.num_running == 0

    again = opened(journal)
    assert (again.stale, again.num_ended) == ((1, 2, 3), 1)
    repeated = [again.ask() for _ in range(3)]
    assert [(s.name, s.seed, s.config) for s in repeated] == [
        (s.name, s.seed, s.config) for s in asked[1:]
    ]


def test_a_trial_killed_twice_is_asked_a_third_time(journal):
    space = small_space(NO_REFERENCES)
    configs = [opened(journal, space).ask().config for _ in range(3)]
    last = opened(journal, space)
    assert configs[0] == configs[1] == configs[2] == last.ask().config
    assert last.num_ended == 0
    assert len(in_optuna(journal).trials) == 4


def test_a_kill_at_any_step_of_resuming_loses_and_repeats_nothing(tmp_path):
    after = []
    for steps in range(30):
        journal = str(tmp_path / f"{steps}.journal")
        dying = opened(journal)
        wanted = sorted((str(s.name), s.seed) for s in (dying.ask() for _ in range(5)))
        try:
            Study(Mortal(in_optuna(journal), steps), SPACE, seed=3).resume(references=True)
            survived = True
        except Killed:
            survived = False
        again = opened(journal)
        trials = in_optuna(journal).trials
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        found = sorted((str(t.user_attrs.get("name")), t.user_attrs["seed"]) for t in waiting)
        assert found == wanted, f"killed before step {steps}"
        assert again.num_ended == 0
        assert all(trial.state == TrialState.FAIL for trial in trials[:5])
        after.append(survived)
        if survived:
            break
    assert after == [False] * 11 + [True]  # one note, five ends, five repetitions


def test_resuming_twice_changes_nothing(journal):
    study = opened(journal)
    for _ in range(4):
        study.ask()
    opened(journal)
    before = [(t.state, t.params, t.user_attrs) for t in in_optuna(journal).trials]
    opened(journal)
    assert [(t.state, t.params, t.user_attrs) for t in in_optuna(journal).trials] == before


def test_a_retried_reference_outside_the_space_keeps_its_config(journal):
    study = opened(journal)
    study.ask(), study.ask()
    study.tell(ended(0), {})
    again = opened(journal)
    names = {s.name: s.config for s in (again.ask() for _ in range(2))}
    assert names["wide"].width == 512


def test_a_reference_killed_while_it_was_asked_for_keeps_its_config(journal):
    opened(journal)
    in_optuna(journal).ask()  # taken, and nothing suggested yet
    assert opened(journal).stale == (0,)
    asked = {s.name: s.config for s in played(opened(journal), 3)}
    assert asked == {entry.name: entry.config for entry in SPACE.references}


def test_a_changed_definition_is_refused_and_said(journal):
    opened(journal)
    narrower = small_space(("high: 0.7", "high: 0.5"), ("epochs: 4", "epochs: 5"))
    with pytest.raises(StudyChangedError) as caught:
        opened(journal, narrower)
    assert str(caught.value) == (
        "study 'first' exists with another definition (space: epochs was 4, is 5; "
        "space.search.dropout_rate: high was 0.7, is 0.5): its trials would not be comparable. "
        "Use --study NAME to start another study, or the earlier settings to continue this one"
    )


def test_another_total_and_another_name_are_no_change(journal):
    opened(journal)
    opened(journal, small_space(("trials: 8", "trials: 80")))
    opened(journal, small_space(("epochs: 4", "epochs: 5")), name="second")


def test_the_definition_in_the_storage_is_json(journal):
    opened(journal)
    kept = in_optuna(journal).user_attrs["definition"]
    assert json.loads(json.dumps(kept)) == {"seed": 3, "space": SPACE.definition()}


def test_a_database_is_a_storage(tmp_path):
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    played(opened(storage), 4)
    assert opened(storage).num_ended == 4
    assert optuna.load_study(study_name="first", storage=storage).trials[0].user_attrs == {
        "name": "baseline",
        "seed": trial_seed(3, 0),
    }


def test_a_database_that_does_not_open_is_told_without_its_password(tmp_path):
    missing = tmp_path / "no" / "folder" / "studies.db"
    with pytest.raises(InputError) as caught:
        opened(f"sqlite:///{missing}")
    assert str(caught.value).startswith(
        "--storage: the sqlite database cannot be opened: unable to open database file; expected "
    )
    assert "sqlite:///studies.db or postgresql://user@host/name, or the path" in str(caught.value)
    reasons = {
        "odd://me:secret@host/x": "the odd database cannot be opened: no such kind of database is",
        "mysql+nosuch_driver://me:secret@host/x": "cannot be opened: no such kind of database is",
    }
    for storage, reason in reasons.items():
        with pytest.raises(InputError, match=reason) as caught:
            opened(storage)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("scheme", "module", "package", "asked"),
    [
        ("postgresql+psycopg2", "psycopg2", "psycopg2-binary", "psycopg2-binary"),
        ("postgresql+psycopg", "psycopg", "psycopg[binary]", "least-overfit[postgresql]"),
        ("postgresql", "psycopg", "psycopg[binary]", "least-overfit[postgresql]"),
        ("mysql", "MySQLdb", "mysqlclient", "mysqlclient"),
        ("mysql+pymysql", "pymysql", "pymysql", "pymysql"),
    ],
)
def test_a_missing_package_is_named_as_the_index_knows_it(
    scheme, module, package, asked, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as caught:
        opened(f"{scheme}://me:secret@host/x")
    assert str(caught.value).startswith(
        f"--storage: the {scheme} database cannot be opened: it needs the Python package "
        f"'{package}': install it, `pip install '{asked}'`; expected"
    )


def test_a_journal_in_a_missing_folder_is_told(tmp_path):
    path = tmp_path / "gone" / "studies.journal"
    with pytest.raises(InputError) as caught:
        opened(str(path))
    assert str(caught.value) == (
        f"--storage {path}: there is no folder {path.parent}; create it, or give another path"
    )


@pytest.mark.parametrize("content", [b"these are notes\n", b"SQLite format 3\0\xff\n", b"5\n"])
def test_a_file_that_is_no_journal_is_told_and_left_alone(tmp_path, content):
    path = tmp_path / "studies.db"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        opened(str(path))
    assert str(caught.value) == (
        f"--storage {path}: this is no journal file of Optuna's; expected one that a search made, "
        f"or a new path (a database is given as sqlite:///{path})"
    )
    assert path.read_bytes() == content


def test_a_folder_is_no_journal_and_an_empty_file_may_become_one(tmp_path):
    with pytest.raises(InputError, match=r"this is no journal file of Optuna's"):
        opened(str(tmp_path))
    (tmp_path / "empty").touch()
    assert opened(str(tmp_path / "empty")).num_ended == 0


FEW = small_space(
    NO_REFERENCES,
    ("  regularizer: [none, l2]\n  lambda_l2: {low: 1e-6, high: 1e-1, log: true}\n", ""),
    ("dropout_rate: {low: 0.0, high: 0.7}", "batch_norm: [false, true]\n  width: [8, 24]"),
    ("width: 16, ", ""),
)


def test_no_point_is_asked_for_twice_even_across_commands(journal):
    first = played(opened(journal, FEW), 7)
    again = opened(journal, FEW)
    assert again.num_ended == 7
    found = {suggestion.config for suggestion in (*first, *played(again, 5))}
    assert len(found) == 12
    assert again.num_ended == 12
    assert len(again.ended) == 12
    assert again.num_trials >= 12  # Optuna keeps those that would have repeated a point


def test_a_point_that_was_killed_is_trained_again_once(journal):
    study = opened(journal, FEW)
    killed = study.ask()
    again = opened(journal, FEW)
    assert again.ask().config == killed.config
    assert killed.config not in {s.config for s in played(again, 11)}


def test_a_reference_is_trained_under_its_name_whatever_was_tried(journal):
    study = opened(journal, references=False)
    study._tried.update(entry.config for entry in SPACE.references)
    study.return_unfinished()
    assert [opened(journal).ask().name] == ["baseline"]


NOT_LEARNING = ("random", "grid", "qmc")


def sampled_space(sampler, pruner="percentile"):
    return replace(small_space(NO_REFERENCES), sampler=sampler, pruner=pruner)


@pytest.mark.parametrize("sampler", NOT_LEARNING)
def test_a_sampler_that_does_not_learn_suggests_the_same_whatever_came_out(journal, sampler):
    first, second = (
        opened(journal, sampled_space(sampler), name=name, references=False)
        for name in ("first", "second")
    )
    found = [suggestion.config for suggestion in played(first, 20)]
    asked = [second.ask() for _ in range(20)]
    for suggestion in asked:
        second.tell(ended(suggestion.number, 1.0 / (1 + suggestion.number)), {})
    assert [suggestion.config for suggestion in asked] == found
    assert len(set(found)) == 20


@pytest.mark.parametrize("sampler", ["grid", "qmc"])
def test_a_killed_search_goes_on_in_the_list_of_points(journal, sampler):
    chosen = sampled_space(sampler)
    whole = opened(journal, chosen, name="whole", references=False)
    points = [suggestion.config for suggestion in played(whole, 12)]
    killed = opened(journal, chosen, references=False)
    played(killed, 5)
    killed.ask(), killed.ask()
    again = opened(journal, chosen, references=False)
    assert [suggestion.config for suggestion in played(again, 7)] == points[5:]


def test_a_grid_is_gone_through_and_then_repeats_itself_as_any_exhausted_space(journal):
    chosen = sampled_space("grid")
    count = int(num_points(grid_of(chosen)))
    found = [suggestion.config for suggestion in played(opened(journal, chosen), count)]
    assert len(set(found)) == count


def test_a_study_of_another_sampler_is_refused(journal):
    opened(journal, sampled_space("tpe"))
    with pytest.raises(StudyChangedError, match=r'space\.sampler was added: "grid"'):
        opened(journal, sampled_space("grid"))


@pytest.mark.parametrize(("pruner", "stops"), [("percentile", True), ("none", False)])
def test_a_pruner_may_be_none(journal, pruner, stops):
    study = opened(journal, sampled_space("random", pruner), references=False)
    for _ in range(10):
        number = study.ask().number
        for epoch in range(1, 22):
            study.report(number, epoch, 0.1)
        study.tell(ended(number, 0.1), {})
    number = study.ask().number
    assert any(study.report(number, epoch, 5.0) for epoch in range(1, 22)) is stops
