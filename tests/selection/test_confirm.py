"""Several seeds together: means and standard errors, the median seed, the confirmed choice."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.records import Probabilities
from pipeline.search.study import trial_seed
from pipeline.selection.averages import average, mean_log
from pipeline.selection.candidates import finalist_candidates
from pipeline.selection.confirm import ONE_SEED, average_seeds, confirm, median_index
from pipeline.selection.records import RuleSettings
from pipeline.selection.rules import widened
from pipeline.selection.select import select
from pipeline.selection.shortlist import finalist_seeds, finalist_trainings, shortlist
from pipeline.selection.statistics import gap_standard_error, seeds_gap_standard_error


def study_of(make_study, *trials):
    return replace(make_study(*trials), definition={"seed": 7})


def trained(make_trial, study, settings, **changes):
    """Trainings of every finalist: by default with the figures that their trial had."""
    trials = {trial.number: trial for trial in study.trials}
    found = {}
    for place, (number, seed) in enumerate(finalist_trainings(study, select(study, settings))):
        own = trials[number].measurement
        figures = {"val_ce": own.val_ce, "gap_ce": own.gap_ce}
        figures |= {
            key: values[place % settings.seeds]
            for key, values in changes.get(f"trial{number}", {}).items()
        }
        found[number, seed] = make_trial(number, mlflow_run_id=f"{number}/{seed}", **figures)
    return found


THREE = RuleSettings(seeds=3, deliver="median")
"""Three seeds each, as older versions judged and delivered them."""


# Seeds and who gets them


def test_a_longer_list_of_seeds_begins_with_the_shorter_and_has_no_seed_of_a_trial():
    seeds = finalist_seeds(3, 5)
    assert len(set(seeds)) == 5
    assert finalist_seeds(3, 3) == seeds[:3]
    assert finalist_seeds(4, 3) != seeds[:3]
    assert not set(seeds) & {trial_seed(3, number) for number in range(2_000)}


def test_finalists_are_the_smallest_gaps_among_the_eligible_and_the_best_trial(
    make_trial, make_study
):
    gaps = {0: 0.20, 1: 0.05, 2: 0.04, 3: 0.03, 4: 0.02, 5: 0.01}
    trials = [make_trial(n, val_ce=0.3 if n == 0 else 0.305, gap_ce=gap) for n, gap in gaps.items()]
    bad = make_trial(6, val_ce=0.9, gap_ce=0.0)
    study = study_of(make_study, *trials, bad)
    assert shortlist(study, select(study, RuleSettings(finalists=5))) == (5, 4, 3, 2, 0)
    assert shortlist(study, select(study, RuleSettings(finalists=2))) == (5, 0)
    assert finalist_trainings(study, select(study, replace(THREE, finalists=2))) == tuple(
        (number, seed) for number in (5, 0) for seed in finalist_seeds(7, 3)
    )
    assert finalist_trainings(study, select(study, RuleSettings(seeds=1))) == ()


@pytest.mark.parametrize("rule", ["best_val", "one_se", "penalised", "constraint", "fewest_params"])
def test_the_finalists_of_any_rule_contain_its_own_choice(rule, make_trial, make_study):
    trials = [
        make_trial(n, val_ce=0.300 + 0.001 * n, gap_ce=0.15 - 0.01 * n, num_parameters=1000 + n)
        for n in range(10)
    ]
    junk = [make_trial(10 + n, val_ce=2.0, gap_ce=0.0, accuracy=0.3) for n in range(5)]
    study = study_of(make_study, *trials, *junk)
    settings = RuleSettings(name=rule, seeds=3, epsilon=0.1)
    chosen = shortlist(study, select(study, settings))
    assert select(study, settings).winner in chosen
    assert len(chosen) <= 5
    assert not {*chosen} & {10, 11, 12, 13, 14}


def test_a_rule_without_a_winner_has_no_finalists(make_trial, make_study):
    study = study_of(make_study, make_trial(0), make_trial(1))
    assert shortlist(study, select(study, RuleSettings(name="pareto"))) == ()
    empty = study_of(make_study)
    assert shortlist(empty, select(empty, RuleSettings())) == ()


# Figures over seeds


def test_the_standard_error_of_a_gap_contains_the_variance_between_seeds():
    nll = np.array([[0.0, 2.0], [0.0, 4.0], [0.0, 6.0]])
    gaps = [0.10, 0.20, 0.30]
    # Means over seeds 0 and 4: s^2 = 8, n = 2. Between seeds s^2 = 0.01, K = 3.
    alone = [gap_standard_error(row, [0.0], 1) for row in nll]
    expected = np.sqrt(8 / 2 + 0.01 / 3)
    assert seeds_gap_standard_error(nll, gaps, alone) == pytest.approx(expected)
    assert seeds_gap_standard_error(nll, [0.2] * 3, alone) == pytest.approx(2.0)


def test_the_standard_error_keeps_the_part_of_the_training_examples():
    nll, train = np.array([[0.0, 2.0], [0.0, 2.0]]), [0.0, 0.0, 1.0, 1.0]
    error = gap_standard_error(nll[0], train, 40)
    together = seeds_gap_standard_error(nll, [0.5, 0.5], [error, error])
    assert together == pytest.approx(error)
    assert error**2 > 1.0  # more than validation alone


def test_one_seed_has_the_standard_error_of_its_own_gap():
    assert seeds_gap_standard_error([[0.0, 2.0]], [0.3], [1.5]) == pytest.approx(1.5)


def test_seeds_and_errors_have_to_be_as_many():
    with pytest.raises(ValueError, match="expected one per seed, got 1, 2 and 1"):
        seeds_gap_standard_error([[0.0, 1.0]], [0.1, 0.2], [1.0])


@pytest.mark.parametrize(
    ("values", "place"),
    [([3.0, 1.0, 2.0], 2), ([1.0], 0), ([2.0, 1.0], 1), ([4.0, 1.0, 3.0, 2.0], 3)],
)
def test_the_median_seed_and_of_an_even_number_the_lower_in_the_middle(values, place):
    assert median_index(values) == place


def test_a_finalist_is_the_mean_over_its_seeds_and_its_median_seed(make_trial):
    runs = [
        make_trial(4, val_ce=ce, gap_ce=gap, accuracy=hits, best_epoch=epoch, ece=None)
        for ce, gap, hits, epoch in [(0.5, 0.2, 0.8, 3), (0.3, 0.1, 0.9, 5), (0.4, 0.3, 0.7, 6)]
    ]
    found = average_seeds(4, runs)
    assert (found.number, found.median) == (4, 2)
    mean = found.measurement
    assert mean.val_ce == pytest.approx(0.4)
    assert mean.gap_ce == pytest.approx(0.2)
    assert mean.train_ce == pytest.approx(0.2)
    assert mean.val_accuracy == pytest.approx(0.8)
    assert (mean.best_epoch, mean.diverged, mean.ece) == (6, False, None)
    # s^2 of the gaps is 0.01, over 3 seeds.
    assert mean.gap_ce_se > np.sqrt(0.01 / 3)


# What they confirm


def test_finalists_confirm_a_choice_and_the_median_seed_is_delivered(make_trial, make_study):
    study = study_of(make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1))
    first = select(study, THREE)
    spread = {"trial1": {"val_ce": [0.30, 0.29, 0.31]}}
    chosen = confirm(study, first, trained(make_trial, study, THREE, **spread))
    assert (first.winner, chosen.winner) == (1, 1)
    found = chosen.confirmation
    assert [entry.number for entry in found.finalists] == [1, 0]
    assert (found.first_choice, found.seeds) == (1, finalist_seeds(7, 3))
    assert found.finalists[0].median == 0
    assert chosen.rule.seeds == 3
    assert not [note for note in chosen.notes if "By one seed" in note]


def test_over_its_seeds_a_lucky_trial_loses(make_trial, make_study):
    study = study_of(
        make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1), make_trial(2, gap_ce=0.15)
    )
    unlucky = {"trial1": {"val_ce": [0.5, 0.5, 0.5]}}
    chosen = confirm(study, select(study, THREE), trained(make_trial, study, THREE, **unlucky))
    assert (chosen.winner, chosen.eligible) == (2, (2, 0))
    assert chosen.excluded[1].startswith("over 3 seeds: cross-entropy 0.5000 worse than the")
    assert "By one seed each the rule chose trial 1; over 3 seeds each it is trial 2." in (
        chosen.notes
    )


def test_who_was_eligible_and_is_no_finalist_is_told_why(make_trial, make_study):
    trials = [make_trial(n, gap_ce=0.2 - 0.01 * n) for n in range(4)]
    study = study_of(make_study, make_trial(9, val_ce=0.29, gap_ce=0.2), *trials)
    two = replace(THREE, finalists=2)
    chosen = confirm(study, select(study, two), trained(make_trial, study, two))
    assert [entry.number for entry in chosen.confirmation.finalists] == [3, 9]
    for number in (0, 1, 2):
        assert chosen.excluded[number].startswith("no finalist: ")
        assert number not in chosen.eligible


def test_the_variance_between_seeds_widens_the_margin(make_trial, make_study):
    """The same mean difference to the best one is a finding or noise, by how the seeds vary."""
    study = study_of(
        make_study,
        make_trial(0, gap_ce=0.2, noise=0.001),
        make_trial(1, gap_ce=0.1, noise=0.001),
    )
    strict = RuleSettings(seeds=3, tau=0.0, deliver="median")
    worse = {"steady": [0.33, 0.33, 0.33], "varying": [0.29, 0.29, 0.41]}
    winners = {
        name: confirm(
            study,
            select(study, strict),
            trained(make_trial, study, strict, trial1={"val_ce": values}),
        ).winner
        for name, values in worse.items()
    }
    assert winners == {"steady": 0, "varying": 1}


def test_a_finalist_that_failed_with_a_seed_is_dropped_with_the_reason(make_trial, make_study):
    study = study_of(make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1))
    found = trained(make_trial, study, THREE)
    seed = finalist_seeds(7, 3)[1]
    found[1, seed] = replace(found[1, seed], state="FAIL", measurement=None, cause="out of memory")
    chosen = confirm(study, select(study, THREE), found)
    assert chosen.winner == 0
    assert chosen.excluded[1] == f"with seed {seed}: failed: out of memory"
    assert chosen.dropped == {1: chosen.excluded[1]}


def test_where_all_finalists_failed_one_seed_decides_and_it_is_said(make_trial, make_study):
    study = study_of(make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1))
    found = {
        key: replace(run, state="FAIL", measurement=None, cause="out of memory")
        for key, run in trained(make_trial, study, THREE).items()
    }
    chosen = confirm(study, select(study, THREE), found)
    assert chosen.confirmation is None
    assert (chosen.winner, chosen.rule.seeds) == (1, 1)
    assert chosen.notes[-1].startswith(
        "None of the 2 finalists could be used (trial 1 with seed "
        f"{finalist_seeds(7, 3)[0]}: failed: out of memory): the choice "
        "rests on one training per trial"
    )


def test_one_seed_says_what_it_costs(make_trial, make_study):
    study = study_of(make_study, make_trial(0))
    chosen = confirm(study, select(study, RuleSettings(seeds=1)), {})
    assert chosen.notes[-1] == ONE_SEED
    assert "the luck of its seed is part of the choice" in ONE_SEED


def test_finalists_at_chance_are_not_delivered(make_trial, make_study):
    study = study_of(make_study, make_trial(0))
    guessing = {"trial0": {"val_ce": [2.5, 2.5, 2.5], "accuracy": [0.1, 0.1, 0.1]}}
    chosen = confirm(study, select(study, THREE), trained(make_trial, study, THREE, **guessing))
    assert (chosen.status, chosen.winner) == ("no_skill", None)


# The mean of the seeds' probabilities


ENSEMBLES = RuleSettings(seeds=3)


def probabilities(nll, labels, train):
    """What a training says of two classes, with these cross-entropies of the true ones."""

    def logs(values):
        values = np.asarray(values, float)
        both = np.stack([-values, np.log(-np.expm1(-values))], axis=1)
        return np.where(labels[:, None] == np.arange(2), both[:, :1], both[:, 1:]).astype("f4")

    return Probabilities(logs(nll), labels, logs(train), labels, len(labels))


def test_the_mean_of_probabilities_is_measured_as_one_model():
    labels = np.array([0, 1, 0, 1], np.int32)
    true = np.array([[0.9, 0.8, 0.6, 0.3], [0.9, 0.4, 0.2, 0.9]])
    members = [probabilities(-np.log(row), labels, -np.log(row)) for row in true]
    found = average(members).validation
    np.testing.assert_allclose(np.exp(-found.nll), true.mean(axis=0), atol=1e-6)
    # The second seed is wrong on two examples, the mean on one: it is no mean of accuracies.
    assert found.correct.tolist() == [True, True, False, True]
    np.testing.assert_allclose(found.confidence, [0.9, 0.6, 0.6, 0.6], atol=1e-6)
    assert found.predicted.tolist() == [0, 1, 1, 1]
    with pytest.raises(ValueError, match="measured on different examples"):
        average([members[0], probabilities(-np.log(true[0]), 1 - labels, -np.log(true[0]))])


def test_probabilities_too_small_for_a_float_have_a_mean():
    tiny = np.array([[-200.0, 0.0]])
    assert mean_log([tiny, tiny])[0, 0] == pytest.approx(-200.0)
    assert mean_log([tiny, np.array([[-np.inf, 0.0]])])[0, 0] == pytest.approx(-200.0 - np.log(2))
    assert mean_log([np.array([[-np.inf, 0.0]])] * 2)[0, 0] == -np.inf


def averages_of(study, found):
    """The means of trainings that say of ten classes what their results say of one."""
    runs = {}
    for (number, _), run in found.items():
        runs.setdefault(number, []).append(run)
    labels = np.arange(1000, dtype=np.int32) % 2

    def of(run):
        nll = np.maximum(run.validation.nll, 1e-3)
        return probabilities(nll, labels, np.maximum(nll - run.measurement.gap_ce, 1e-4))

    return {number: average([of(run) for run in its_runs]) for number, its_runs in runs.items()}


def test_what_is_judged_is_the_mean_with_the_seeds_in_its_error(make_trial, make_study):
    study = study_of(make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1))
    spread = {"trial1": {"val_ce": [0.30, 0.40, 0.50], "gap_ce": [0.05, 0.10, 0.15]}}
    found = trained(make_trial, study, ENSEMBLES, **spread)
    averages = averages_of(study, found)
    chosen = confirm(study, select(study, ENSEMBLES), found, averages)
    finalist = next(f for f in chosen.confirmation.finalists if f.number == 1)
    mean = averages[1]
    assert finalist.measurement.val_ce == mean.validation.nll.mean()
    assert finalist.measurement.gap_ce == mean.validation.nll.mean() - mean.train.nll.mean()
    alone = gap_standard_error(mean.validation.nll, mean.train.nll, mean.num_train)
    seeds = np.var([0.05, 0.10, 0.15], ddof=1) / 3
    assert finalist.measurement.gap_ce_se == pytest.approx(np.sqrt(alone**2 + seeds))
    assert finalist.measurement.num_parameters == 3000
    assert finalist.place is None and finalist.delivered.mlflow_run_id is None
    assert [run.mlflow_run_id for run in finalist.parts] == [r.mlflow_run_id for r in finalist.runs]
    # Differences are those of the means by example; their spread is that of the seeds.
    rows = finalist_candidates(chosen.confirmation.finalists).nll[1]
    np.testing.assert_allclose(rows.mean(axis=0), mean.validation.nll)
    levels = [run.validation.nll.mean() for run in finalist.runs]
    np.testing.assert_allclose(np.diff(rows.mean(axis=1)), np.diff(levels))


def test_a_finalist_whose_probabilities_are_missing_is_no_silent_candidate(make_trial, make_study):
    study = study_of(make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1))
    found = trained(make_trial, study, ENSEMBLES)
    averages = averages_of(study, found)
    del averages[1]
    chosen = confirm(study, select(study, ENSEMBLES), found, averages)
    assert chosen.winner == 0
    assert chosen.excluded[1] == "the probabilities of its seeds are missing"


def test_of_single_seeds_the_best_is_delivered_and_the_means_are_judged(make_trial, make_study):
    study = study_of(make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1))
    single = replace(ENSEMBLES, deliver="single")
    spread = {"trial1": {"val_ce": [0.31, 0.29, 0.30]}}
    found = trained(make_trial, study, single, **spread)
    chosen = confirm(study, select(study, single), found, averages_of(study, found))
    winner = chosen.confirmation.finalists[0]
    assert (winner.number, winner.place) == (1, 1)
    assert winner.measurement.val_ce == pytest.approx(0.30)
    assert winner.delivered is winner.runs[1] and winner.parts == (winner.runs[1],)


# Wider margins for who becomes a finalist


def test_one_lucky_seed_of_the_best_does_not_exclude_all_others(make_trial, make_study):
    """By one training trial 0 is alone; over its seeds it is no better than trial 1."""
    trials = [make_trial(0, val_ce=0.30, gap_ce=0.2), make_trial(1, val_ce=0.325, gap_ce=0.1)]
    study = study_of(make_study, *trials, make_trial(2, val_ce=0.35, gap_ce=0.01))
    first = select(study, ENSEMBLES)
    assert (first.winner, first.eligible) == (0, (0,))
    assert shortlist(study, first) == (1, 0)
    assert shortlist(study, select(study, THREE)) == (0,), "as older versions"
    usual = {"trial0": {"val_ce": [0.325, 0.326, 0.324]}}
    found = trained(make_trial, study, ENSEMBLES, **usual)
    chosen = confirm(study, first, found, averages_of(study, found))
    assert chosen.winner == 1 and 1 not in chosen.excluded
    assert "By one seed each the rule chose trial 0; over 3 seeds each it is trial 1." in (
        chosen.notes
    )


def test_the_choice_by_the_rules_own_margins_is_always_a_finalist(make_trial, make_study):
    worse = [make_trial(n, val_ce=0.325, gap_ce=0.01 * n) for n in range(2, 6)]
    study = study_of(make_study, make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1), *worse)
    first = select(study, replace(ENSEMBLES, finalists=3))
    assert first.winner == 1
    assert shortlist(study, first) == (2, 1, 0)


@pytest.mark.parametrize(
    ("rule", "name", "margins"),
    [
        (RuleSettings(), "least_overfit", (2.0, 0.10, 0.02)),
        (RuleSettings(k=3.0, tau=0.2), "least_overfit", (3.0, 0.2, 0.02)),
        (RuleSettings("best_val"), "best_val", (2.0, 0.10, 0.02)),
        (RuleSettings("one_se", tau=0.0), "least_overfit", (2.0, 0.10, 0.02)),
        (RuleSettings("penalised"), "penalised", (1.0, 0.05, 0.01)),
    ],
)
def test_the_wide_margins_widen_what_has_margins(rule, name, margins):
    found = widened(rule)
    assert (found.name, (found.k, found.tau, found.tau_accuracy)) == (name, margins)


def test_what_is_only_compared_is_trained_with_the_same_seeds_and_never_wins(
    make_trial, make_study
):
    trials = [make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.1), make_trial(2, val_ce=0.6)]
    study = study_of(make_study, *trials, make_trial(3, val_ce=0.32, gap_ce=0.15))
    two = replace(ENSEMBLES, finalists=2)
    first = select(study, two)
    keys = finalist_trainings(study, first, (2, 3, 0))
    assert [number for number, _ in keys] == [1] * 3 + [0] * 3 + [2] * 3 + [3] * 3
    # Trial 2 would have the smallest gap over its seeds, and is far from the best.
    figures = {2: {"val_ce": 0.6, "gap_ce": 0.0}, 3: {"val_ce": 0.32, "gap_ce": 0.15}}
    found = {
        (number, seed): make_trial(
            number,
            mlflow_run_id=f"{number}/{seed}",
            **figures.get(number, {"gap_ce": 0.2 - 0.1 * number}),
        )
        for number, seed in keys
    }
    chosen = confirm(study, first, found, averages_of(study, found), (2, 3, 0))
    # Trial 3 is as good by the wide margins: it may win, and costs no training more.
    assert {f.number for f in chosen.confirmation.finalists} == {0, 1, 3}
    assert [f.number for f in chosen.confirmation.others] == [2]
    assert chosen.winner == 1
