"""The acceptance tests of selection: who wins, who cannot, and what is said about it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RuleError, SplitMismatchError
from pipeline.records import (
    ChanceLevel,
    Measurement,
    PerExample,
    StudyRecord,
    TrialConfig,
    TrialRecord,
)
from pipeline.selection.candidates import Candidates, worse_than_best
from pipeline.selection.confirm import average_seeds
from pipeline.selection.records import ALPHA, RuleSettings
from pipeline.selection.rules import RULES, Ranking, Rule, least_overfit
from pipeline.selection.select import select
from pipeline.selection.statistics import paired_standard_error

LEAST = RuleSettings()


@pytest.fixture
def pick(make_study):
    """Selects among trials; keywords are constants of the rule."""

    def select_among(*trials, chance=None, **constants):
        return select(make_study(*trials, chance=chance), RuleSettings(**constants))

    return select_among


# Acceptance 1: an underfit trial without a gap never wins.


def test_twenty_underfit_trials_without_gap_change_nothing(make_trial, pick):
    good = [make_trial(n, val_ce=0.30 + n / 1000, gap_ce=0.1 - n / 100) for n in range(5)]
    idle = [make_trial(50 + n, val_ce=1.2, gap_ce=0.0, accuracy=0.6) for n in range(20)]
    alone, together = pick(*good), pick(*good, *idle)
    assert alone.winner == together.winner == 4
    assert together.eligible == alone.eligible == (4, 3, 2, 1, 0)
    assert together.verdicts[50].name == "underfit"
    assert together.excluded[50].startswith("cross-entropy 1.2000 worse than the best (0.3000) by")


def test_one_underfit_trial_without_gap_never_wins(make_trial, pick):
    found = pick(make_trial(0), make_trial(1, val_ce=1.0, gap_ce=0.0, accuracy=0.6))
    assert found.winner == 0


# Acceptance 2: of equally good trials the smaller gap; not at any price.


def test_of_two_equally_good_trials_the_smaller_gap_wins(make_trial, pick):
    found = pick(make_trial(0, gap_ce=0.10), make_trial(1, val_ce=0.304, gap_ce=0.02))
    assert (found.status, found.winner, found.reference) == ("ok", 1, 0)
    assert found.eligible == (1, 0)
    assert found.excluded == {}
    assert found.notes == ()


def test_a_quarter_more_cross_entropy_is_too_much(make_trial, pick):
    found = pick(make_trial(0, val_ce=0.25), make_trial(1, val_ce=0.3125, gap_ce=0.001))
    assert found.winner == 0
    assert found.excluded[1] == (
        "cross-entropy 0.3125 worse than the best (0.2500) by more than the margin 0.0125"
    )


def test_four_points_of_accuracy_are_too_much(make_trial, pick):
    found = pick(make_trial(0, accuracy=0.9), make_trial(1, accuracy=0.86, gap_ce=0.001))
    assert found.winner == 0
    assert found.excluded[1] == (
        "accuracy 0.8600 worse than the best (0.9000) by more than the margin 0.0100"
    )


def test_both_reasons_are_told(make_trial, pick):
    found = pick(make_trial(0), make_trial(1, val_ce=0.5, accuracy=0.7))
    assert "cross-entropy 0.5000 worse" in found.excluded[1]
    assert "; accuracy 0.7000 worse" in found.excluded[1]


def test_few_examples_widen_the_margin_by_the_paired_error(make_trial, pick):
    trials = [make_trial(0, num=60, noise=0.5), make_trial(1, num=60, val_ce=0.35, noise=0.5)]
    assert len(pick(*trials, k=1).eligible) == 2
    assert len(pick(*trials, k=0).eligible) == 1


# Acceptance 3: the loss against the best trial is bounded for any set of trials.

TRIAL = st.tuples(
    st.floats(0.05, 4.0), st.floats(-0.3, 2.0), st.floats(0.0, 1.0), st.integers(0, 1000)
)


def random_trial(number: int, drawn: tuple[float, float, float, int], num: int) -> TrialRecord:
    ce, gap, accuracy, seed = drawn
    rng = np.random.default_rng(seed)
    nll, correct = rng.exponential(ce, num), rng.uniform(size=num) < accuracy
    measured = Measurement(
        val_ce=float(nll.mean()),
        val_accuracy=float(correct.mean()),
        train_ce=float(nll.mean()) - gap,
        train_accuracy=accuracy,
        gap_ce=gap,
        gap_ce_se=0.05,
        gap_accuracy=0.0,
        penalty=0.0,
        best_epoch=1,
        epochs=1,
        num_parameters=seed,
    )
    nothing = np.zeros(num)
    return TrialRecord(
        number=number,
        state="COMPLETE",
        config=TrialConfig(),
        split_id="s",
        measurement=measured,
        validation=PerExample(nll, correct, nothing, nothing),
    )


@settings(max_examples=150, deadline=None)
@given(
    drawn=st.lists(TRIAL, min_size=1, max_size=12),
    num=st.integers(1, 120),
    k=st.floats(0, 3),
    tau=st.floats(0, 0.3),
    tau_accuracy=st.floats(0, 0.1),
)
def test_the_loss_of_the_pick_is_bounded_for_any_trials(drawn, num, k, tau, tau_accuracy):
    trials = tuple(random_trial(number, values, num) for number, values in enumerate(drawn))
    study = StudyRecord("s", "d", "s", None, ChanceLevel(0.2, 3.0), {}, trials)
    found = select(study, RuleSettings(k=k, tau=tau, tau_accuracy=tau_accuracy))
    assert set(found.verdicts) == {trial.number for trial in trials}
    if found.status != "ok":
        assert found.status == "no_skill"
        assert found.winner is None
        return
    assert {found.winner, found.reference} <= set(found.eligible)
    assert set(found.eligible) | set(found.excluded) == set(found.verdicts)
    pick, best = trials[found.winner].validation, trials[found.reference].validation
    assert best.nll.mean() <= min(trials[n].validation.nll.mean() for n in found.eligible) + 1e-12
    for mine, its, floor in (
        (pick.nll, best.nll, tau * best.nll.mean()),
        (1.0 - pick.correct, 1.0 - best.correct, tau_accuracy),
    ):
        error = paired_standard_error(mine, its)
        allowed = max(k * error if num > 1 else 0.0, floor)
        assert (mine - its).mean() <= allowed + 1e-9


# Acceptance 10: the skill guard.


def guessing_trials(rng, num_trials, num, chance, guess):
    for number in range(num_trials):
        drawn = (1.0, 0.0, 0.0, int(rng.integers(1 << 30)))
        trial = random_trial(number, drawn, num)
        # Just below the prior's cross-entropy, so that only the binomial tail stands guard.
        validation = replace(
            trial.validation, nll=np.full(num, chance.ce - 0.01), correct=guess(rng, num)
        )
        yield replace(trial, validation=validation)


@pytest.mark.parametrize("accuracy", [0.1, 0.5])
def test_a_hundred_guessing_trials_have_no_skill(accuracy):
    rng, chance = np.random.default_rng(0), ChanceLevel(accuracy, 0.7)
    statuses = []
    for _ in range(100):
        trials = tuple(
            guessing_trials(rng, 100, 200, chance, lambda r, n: r.uniform(size=n) < accuracy)
        )
        study = StudyRecord("s", "d", "s", None, chance, {}, trials)
        statuses.append(select(study, LEAST).status)
    assert statuses.count("no_skill") >= 95


def test_a_majority_predictor_on_unbalanced_classes_has_no_skill(make_trial, pick):
    chance = ChanceLevel(accuracy=0.7, ce=0.6109)
    found = pick(make_trial(0, val_ce=0.6, accuracy=0.7), chance=chance)
    assert (found.status, found.winner, found.reference) == ("no_skill", None, 0)
    assert {n: verdict.name for n, verdict in found.verdicts.items()} == {0: "no_skill"}
    assert found.excluded[0].startswith(
        "no better than chance: 700 or more of 1000 right happen by guessing (accuracy 0.7000)"
    )


def test_right_answers_with_worse_cross_entropy_than_the_prior_have_no_skill(make_trial, pick):
    found = pick(make_trial(0, val_ce=2.4, accuracy=0.5))
    assert found.status == "no_skill"
    assert found.excluded[0] == (
        "no better than chance: cross-entropy 2.4000 is not below 2.3026, that of predicting the "
        "class shares"
    )


def test_the_guard_is_shared_among_all_candidates(make_trial, pick):
    # P(X >= 122 | 1000, 0.1) = 0.013: convincing for one trial, not for the best of ten.
    lucky = make_trial(0, val_ce=2.2, accuracy=0.122)
    others = [make_trial(n, val_ce=2.25, accuracy=0.1) for n in range(1, 10)]
    assert pick(lucky).status == "ok"
    assert pick(lucky, *others).status == "no_skill"


def test_the_skilled_are_compared_with_the_best_of_the_skilled(make_trial, pick):
    sharp_guess = make_trial(0, val_ce=0.2, accuracy=0.1)
    found = pick(sharp_guess, make_trial(1, val_ce=0.3))
    assert (found.winner, found.reference) == (1, 1)
    assert found.excluded[0].startswith("no better than chance")


# Acceptance 11: degenerate cases.

NAN = float("nan")


def test_no_trials(pick):
    found = pick()
    assert (found.status, found.winner, found.reference) == ("empty", None, None)


def test_nothing_has_ended_yet(make_trial, pick):
    found = pick(make_trial(0, state="RUNNING", measurement=None, validation=None))
    assert found.status == "empty"
    assert found.excluded == {0: "still running"}


def test_nothing_usable_and_why(make_trial, pick):
    found = pick(
        make_trial(0, val_ce=NAN),
        make_trial(1, state="PRUNED"),
        make_trial(2, state="FAIL", measurement=None, cause="worker killed (SIGKILL)"),
        make_trial(3, gap_ce_se=float("inf")),
        make_trial(4, measurement=None),
        make_trial(5, validation=None, gap_ce=0.01),
    )
    assert (found.status, found.winner) == ("no_finite", None)
    assert found.excluded == {
        0: "not finite: val_ce, train_ce",
        1: "pruned",
        2: "failed: worker killed (SIGKILL)",
        3: "not finite: gap_ce_se",
        4: "failed: it ended without a measurement",
        5: "its per-example validation results are missing",
    }
    assert [verdict.name for verdict in found.verdicts.values()] == [
        "diverged",
        "pruned",
        "failed",
        "diverged",
        "failed",
        "healthy",
    ]


def test_one_infinite_example_is_not_finite(make_trial, pick):
    trial = make_trial(0)
    nll = trial.validation.nll.copy()
    nll[3] = np.inf
    broken = replace(trial, validation=replace(trial.validation, nll=nll))
    assert pick(broken).excluded[0] == "not finite: cross-entropy of single validation examples"


def test_one_trial_that_is_not_finite_leaves_the_others_alone(make_trial, pick):
    found = pick(make_trial(0, val_ce=NAN), make_trial(1), make_trial(2, gap_ce=0.05))
    assert (found.status, found.winner) == ("ok", 2)


def test_a_pruned_trial_is_never_chosen(make_trial, pick):
    assert pick(make_trial(0), make_trial(1, state="PRUNED", gap_ce=0.0)).winner == 0


def test_a_single_trial_is_returned_with_a_note(make_trial, pick):
    found = pick(make_trial(7), make_trial(8, state="FAIL"))
    assert (found.status, found.winner) == ("ok", 7)
    assert found.notes[0] == "Only one trial could be chosen: no selection took place."
    assert not any("traded" in note for note in found.notes)


@pytest.mark.parametrize("other", [{"val_ce": 0.6}, {"val_ce": 0.2, "accuracy": 0.1}])
def test_the_best_alone_is_returned_with_a_note(make_trial, pick, other):
    found = pick(make_trial(0, gap_ce=0.05), make_trial(1, **other))
    assert found.eligible == (0,)
    assert found.notes == (
        "No other trial is as good as the best: nothing was there to trade for a smaller gap.",
    )


def test_diverged_then_restored_may_win_and_is_flagged(make_trial, pick):
    found = pick(make_trial(0), make_trial(1, gap_ce=0.01, diverged=True))
    assert (found.winner, found.verdicts[1].name) == (1, "diverged")
    assert "The winner, trial 1, diverged during training" in found.notes[0]


def test_a_negative_gap_counts_as_zero(make_trial, pick):
    found = pick(make_trial(0, val_ce=0.300, gap_ce=0.0), make_trial(1, val_ce=0.301, gap_ce=-0.01))
    assert found.winner == 0
    assert found.notes == ()


def test_a_gap_below_minus_two_standard_errors_is_a_warning(make_trial, pick):
    found = pick(make_trial(0), make_trial(1, gap_ce=-0.02))
    assert found.notes[0].startswith(
        "Better on validation than on train by more than 1.96 standard errors: trial 1."
    )


def test_an_overfitting_winner_is_said(make_trial, pick):
    found = pick(make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.25))
    assert "The winner, trial 0, still overfits" in found.notes[0]


# Acceptance 12: order, ties, splits.


def test_the_order_of_trials_does_not_matter(make_trial, make_study):
    trials = [
        make_trial(n, val_ce=0.3 + (n % 3) / 200, gap_ce=(n % 4) / 20, state=state)
        for n, state in enumerate(["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "FAIL"] * 3)
    ]
    for rule in RULES:
        chosen = RuleSettings(name=rule)
        expected = select(make_study(*trials), chosen)
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(len(trials))
            assert select(make_study(*(trials[i] for i in order)), chosen) == expected


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ({"gap_ce": 0.0504}, {"gap_ce": 0.0496, "val_ce": 0.301}, 0),  # one step: smaller val_ce
        ({"gap_ce": 0.0516}, {"gap_ce": 0.0496, "val_ce": 0.301}, 1),  # two steps: smaller gap
        ({"num_parameters": 500}, {"num_parameters": 400}, 1),
        ({"num_parameters": 500}, {"num_parameters": 400, "val_ce": 0.301}, 0),
        ({}, {}, 0),
    ],
)
def test_ties(make_trial, make_study, first, second, winner):
    # The same noise for both, so that equal means are equal to the last bit.
    trials = [make_trial(n, noise=0.0, **wanted) for n, wanted in enumerate((first, second))]
    assert select(make_study(*trials), LEAST).winner == winner


def test_trials_of_another_split_are_an_error(make_trial, make_study):
    study = make_study(make_trial(0), make_trial(1, split_id="split-b"))
    with pytest.raises(SplitMismatchError, match=r"'split-a', but trial 1 on 'split-b'.*--study"):
        select(study, LEAST)


def test_a_failed_trial_without_a_split_is_no_error(make_trial, pick):
    assert pick(make_trial(0), make_trial(1, state="FAIL", split_id="")).winner == 0


def test_results_of_different_lengths_are_an_error(make_trial, make_study):
    study = make_study(make_trial(0), make_trial(1, num=900))
    with pytest.raises(SplitMismatchError, match=r"different lengths \(900, 1000 examples\)"):
        select(study, LEAST)


# The other rules, and acceptance 15.


@pytest.fixture
def four(make_trial):
    """Best; as good with less gap; as good with fewer parameters; worse with the least gap."""
    return (
        make_trial(0, val_ce=0.300, gap_ce=0.10, num_parameters=900),
        make_trial(1, val_ce=0.310, gap_ce=0.05, num_parameters=800),
        make_trial(2, val_ce=0.312, gap_ce=0.08, num_parameters=100),
        make_trial(3, val_ce=0.340, gap_ce=0.01, num_parameters=950),
    )


@pytest.mark.parametrize(
    ("constants", "winner", "eligible"),
    [
        ({"name": "least_overfit"}, 1, (1, 2, 0)),
        ({"name": "best_val"}, 0, (1, 2, 0)),
        ({"name": "one_se"}, 0, (0,)),
        ({"name": "fewest_params"}, 2, (1, 2, 0)),
        ({"name": "penalised", "weight": 0.1}, 0, (3, 1, 2, 0)),
        ({"name": "penalised", "weight": 1.0}, 3, (3, 1, 2, 0)),
        ({"name": "constraint", "epsilon": 0.08}, 1, (3, 1, 2)),
        ({"name": "constraint", "epsilon": 0.02}, 3, (3,)),
        ({"name": "pareto"}, None, (3, 1, 0)),
    ],
)
def test_each_rule_chooses_what_it_says(four, pick, constants, winner, eligible):
    found = pick(*four, **constants)
    assert (found.status, found.winner, found.eligible) == ("ok", winner, eligible)
    assert set(found.excluded) == {0, 1, 2, 3} - set(eligible)


def test_one_se_reports_the_constants_that_it_used(four, pick):
    rule = pick(*four, name="one_se", k=3, tau=0.2).rule
    assert (rule.name, rule.k, rule.tau, rule.tau_accuracy) == ("one_se", 1.0, 0.0, 0.0)


def test_pareto_lists_the_front_and_says_that_it_picks_nothing(four, pick):
    found = pick(*four, name="pareto")
    assert found.front == (3, 1, 0)
    assert "lists the trials" in found.notes[0]
    assert "picks none" in found.notes[0]
    assert found.excluded[2] == "trial 1 is no worse in cross-entropy and gap, better in one"


def test_no_trial_within_the_constraint_is_a_clear_answer(four, pick):
    found = pick(*four, name="constraint", epsilon=0.005)
    assert (found.status, found.winner, found.reference) == ("empty", None, 0)
    assert found.excluded[0] == "gap 0.1000 above the limit 0.0050"
    assert found.notes[0].startswith(
        "No trial has a gap of at most 0.0050 nats: the smallest is 0.0100 (trial 3). Allow a "
        "larger epsilon"
    )


@pytest.mark.parametrize("rule", [name for name in RULES if name != "pareto"])
def test_every_rule_names_an_eligible_winner_with_skill(make_trial, pick, rule):
    idle = make_trial(9, val_ce=2.31, gap_ce=0.0, accuracy=0.1)
    found = pick(make_trial(0, gap_ce=0.04), make_trial(1, gap_ce=0.03), idle, name=rule)
    assert found.winner in found.eligible
    assert found.winner != 9
    assert found.excluded[9].startswith("no better than chance")


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"name": "penalised", "weight": 2.0}, r"cannot use weight = 2.0; expected 0 to 1: above"),
        ({"name": "penalised", "weight": NAN}, r"weight = nan"),
        ({"k": -1.0}, r"'least_overfit' cannot use k = -1.0; expected a number of standard"),
        ({"tau": float("inf")}, r"tau = inf"),
        ({"alpha": 5.0}, r"alpha = 5.0; expected a probability, 0 to 1"),
        ({"name": "least_overfitt"}, r"Unknown.*did you mean 'least_overfit'.*Valid rules: least_"),
        ({"name": "xyz"}, r"Unknown selection rule 'xyz'\. Valid rules: least_overfit, best_val"),
        ({"name": "smallest_gap"}, r"'smallest_gap' is not offered.*learned nothing.*least_over"),
        ({"name": "gap"}, r"'gap' is not offered"),
    ],
)
def test_what_a_rule_refuses_even_without_trials(pick, constants, message):
    with pytest.raises(RuleError, match=message):
        pick(**constants)


def test_adding_a_rule_is_one_entry(four, pick, monkeypatch):
    def most_parameters(candidates: Candidates, chosen: RuleSettings) -> Ranking:
        """The most parameters."""
        order = np.argsort(-candidates.num_parameters)
        return Ranking(tuple(candidates.numbers[order].tolist()), chosen)

    monkeypatch.setitem(RULES, "most_parameters", Rule(most_parameters, (ALPHA,)))
    found = pick(*four, name="most_parameters")
    assert (found.winner, found.rule.name) == (3, "most_parameters")
    with pytest.raises(RuleError, match="did you mean 'most_parameters'"):
        pick(name="most_parameter")


# The arrays alone, as finalists with several seeds will use them.


def candidates_of_seeds(shifts):
    base = np.random.default_rng(0).exponential(0.3, (1, 1, 400))
    nll = np.concatenate([np.repeat(base, len(shifts), axis=1), base + shifts[:, None]])
    return Candidates(
        numbers=np.array([0, 1]),
        nll=nll,
        correct=np.ones_like(nll),
        gap_ce=np.array([0.1, 0.05]),
        gap_ce_se=np.array([0.01, 0.01]),
        num_parameters=np.array([10, 10]),
        epochs=np.ones(2),
        log10_p_guessing=np.full(2, np.nan),
    )


def test_the_margin_over_seeds_includes_their_variance():
    # The mean difference is 0.05, its standard error over the seeds 0.06 or 0.
    strict = RuleSettings(tau=0.0)
    differing = candidates_of_seeds(np.array([[0.15], [0.05], [-0.05]])[:, 0])
    equal = candidates_of_seeds(np.array([0.05, 0.05, 0.05]))
    assert worse_than_best(differing, strict) == {}
    assert set(worse_than_best(equal, strict)) == {1}
    assert least_overfit(differing, strict).winner == 1


def test_a_single_example_leaves_only_the_fixed_margin():
    single = Candidates(
        numbers=np.array([0, 1]),
        nll=np.array([[[0.3]], [[0.4]]]),
        correct=np.ones((2, 1, 1)),
        gap_ce=np.array([0.1, 0.05]),
        gap_ce_se=np.array([0.01, 0.01]),
        num_parameters=np.array([10, 10]),
        epochs=np.ones(2),
        log10_p_guessing=np.full(2, np.nan),
    )
    assert set(worse_than_best(single, LEAST)) == {1}
    assert worse_than_best(single, RuleSettings(tau=0.5)) == {}


# The guard where trials carry a bound of the probability of guessing.


def test_the_bound_is_held_against_all_trials_and_their_epochs(make_trial, pick):
    # alpha / (10 trials x 6 epochs) = 8.3e-4, log -3.08.
    trials = [make_trial(n, log10_p_guessing=-3.0) for n in range(9)]
    found = pick(*trials, make_trial(9, log10_p_guessing=-3.1))
    assert (found.status, found.winner) == ("ok", 9)
    assert found.excluded[0] == (
        "no better than chance: 0.001 bounds the probability that guessing by class shares looks "
        "as good on 1000 examples, allowed is 0.00083"
    )


def test_hits_above_chance_prove_nothing_where_the_bound_says_otherwise(make_trial, pick):
    assert pick(make_trial(0, accuracy=0.9, log10_p_guessing=0.0)).status == "no_skill"


def test_more_trials_do_not_hide_the_skill_of_a_clear_one(make_trial, pick):
    chance = ChanceLevel(0.99, 0.056, log10_p_all_right=-12.2)
    clear = [make_trial(n, val_ce=0.01, accuracy=0.998, log10_p_guessing=-9.0) for n in range(100)]
    for num in (1, 16, 100):
        assert pick(*clear[:num], chance=chance).status == "ok"


def test_a_part_too_small_to_prove_anything_is_said(make_trial, pick):
    chance = ChanceLevel(0.5, 0.69, log10_p_all_right=-1.8)
    found = pick(make_trial(0, val_ce=0.01, accuracy=1.0, log10_p_guessing=-1.8), chance=chance)
    assert found.status == "no_skill"
    assert found.notes == (
        "The validation part, 1000 examples, is too small to tell skill from chance: guessing by "
        "class shares gets all of them right with probability 0.016, and after so many trials and "
        "epochs 0.0083 is allowed. With about 1,156 validation examples of the same classes, or "
        "fewer trials, a good model could show its skill.",
    )


def test_finalists_are_as_skilled_as_their_least_convincing_seed(make_trial):
    runs = [make_trial(n, log10_p_guessing=p) for n, p in enumerate((-9.0, -2.0, -5.0))]
    assert average_seeds(0, runs).measurement.log10_p_guessing == -2.0
    runs[1] = make_trial(1)
    assert average_seeds(0, runs).measurement.log10_p_guessing is None
