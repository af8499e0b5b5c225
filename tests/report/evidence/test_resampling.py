"""Bootstrap frequencies: the same as applying the rule to really resampled examples."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.evidence.resampling import frequencies, picks
from pipeline.selection.candidates import Candidates
from pipeline.selection.records import Confirmation, Finalist, RuleSettings
from pipeline.selection.rules import RULES


def candidates(num_seeds, num=12, num_examples=200):
    """Trials of mixed quality, some far off, whose example noise makes the choice unstable."""
    rng = np.random.default_rng(num_seeds)
    hardness = rng.exponential(size=num_examples)
    level = 0.3 + np.abs(rng.normal(size=(num, 1, 1))) * 0.01
    level[-2:] += 2.0
    nll = level + 0.3 * hardness + 0.1 * rng.normal(size=(num, num_seeds, num_examples))
    # A little noise keeps accuracy off exact ties, which rounding would decide.
    correct = (nll < 1.0) + 1e-4 * rng.random(nll.shape)
    gap = 0.1 + 0.005 * rng.normal(size=num)
    sizes, unknown = np.full(num, 10), np.full(num, np.nan)
    return Candidates(
        np.arange(num), nll, correct, gap, np.full(num, 0.01), sizes, np.ones(num), unknown
    )


def by_hand(given, settings, repeats, seed):
    """Every trial, every example, no shortcut."""
    num = given.nll.shape[2]
    won = Counter()
    for examples in np.random.default_rng(seed).integers(num, size=(repeats, num)):
        again = replace(given, nll=given.nll[..., examples], correct=given.correct[..., examples])
        again = replace(again, gap_ce=given.gap_ce + again.val_ce - given.val_ce)
        won.update(
            filter(lambda n: n is not None, [RULES[settings.name].rank(again, settings).winner])
        )
    return {number: count / repeats for number, count in won.items()}


@pytest.mark.parametrize("num_seeds", [1, 3])
@pytest.mark.parametrize("rule", RULES)
def test_shortcuts_and_screens_change_no_answer(rule, num_seeds):
    given, settings = candidates(num_seeds), RuleSettings(name=rule, epsilon=0.1)
    found = picks(given, settings, repeats=40, seed=5)
    assert found == by_hand(given, settings, 40, 5)
    assert rule == "pareto" or len(found) > 1
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_the_same_seed_gives_the_same_shares_and_another_one_others():
    given = candidates(1)
    first, again, other = (picks(given, RuleSettings(), 50, seed) for seed in (0, 0, 1))
    assert first == again != other


def test_a_loss_of_exactly_the_margin_is_within_it():
    correct = np.ones((2, 1, 100))
    correct[1, 0, :1] = 0.0
    given = Candidates(
        np.arange(2), np.full((2, 1, 100), 0.5), correct, np.array([0.1, 0.0]), np.ones(2),
        np.ones(2), np.ones(2), np.full(2, np.nan),
    )  # fmt: skip
    loss_of_one = RuleSettings(k=0.0, tau_accuracy=0.01)
    drawn = np.random.default_rng(0).integers(100, size=(200, 100))
    # Drawn once or never, the lost example is within one in a hundred.
    within = float((np.count_nonzero(drawn == 0, axis=1) <= 1).mean())
    assert picks(given, loss_of_one, 200, 0)[1] == within


def test_a_study_without_skill_has_no_frequencies(make_trial, make_study):
    study = make_study(make_trial(0, val_ce=2.4, accuracy=0.1))
    assert frequencies(study, RuleSettings()) == {}


def test_clear_winners_are_always_picked(make_trial, make_study):
    study = make_study(
        make_trial(0, gap_ce=0.2), make_trial(1, gap_ce=0.01), make_trial(2, val_ce=1.0)
    )
    assert frequencies(study, RuleSettings()) == {1: 1.0}


def test_with_finalists_the_choice_is_among_them(make_trial, make_study):
    trials = [make_trial(n, gap_ce=n / 10 + 0.1) for n in range(3)]
    finalists = tuple(Finalist(t.number, (t, t), t.measurement, 0) for t in trials[1:])
    shares = frequencies(make_study(*trials), RuleSettings(), Confirmation((1, 2), finalists, 1))
    assert shares == {1: 1.0}
    lost = replace(trials[1], validation=None)
    broken = Confirmation((1,), (Finalist(1, (lost,), lost.measurement, 0),), 1)
    assert frequencies(make_study(*trials), RuleSettings(), broken) == {}
