"""Which weights a search keeps: of trials that may win, and of what a report compares them with."""

from types import SimpleNamespace

import pytest

from pipeline.records import TrialConfig, TrialOutcome
from pipeline.search.leaderboard import Leaderboard

NAN = float("nan")
DROPOUT = TrialConfig(dropout_rate=0.3)


@pytest.fixture
def ended(make_trial, make_study):
    """Returns the leaderboard after these trials ended one by one, and whose weights it kept."""

    def after(*trials):
        board, kept = Leaderboard(make_study()), []
        for trial in trials:
            suggestion = SimpleNamespace(config=trial.config, name=trial.name)
            outcome = TrialOutcome(trial.number, trial.state, trial.measurement, trial.validation)
            board.add([(suggestion, outcome)])
            kept = [number for number in [*kept, trial.number] if board.needs_weights(number)]
        return kept

    return after


def test_the_best_plain_trial_so_far_keeps_its_weights(ended, make_trial):
    """Without a reference `baseline` it is what a report compares with, eligible or not."""
    good = make_trial(0, config=DROPOUT, val_ce=0.1)
    plain = [
        make_trial(number, config=TrialConfig(), val_ce=val_ce)
        for number, val_ce in ((1, 0.9), (2, 0.8), (3, 0.85))
    ]
    assert ended(good, plain[0]) == [0, 1]
    assert ended(good, *plain[:2]) == [0, 2]
    assert ended(good, *plain) == [0, 2]


def test_the_reference_baseline_takes_the_place_of_other_plain_trials(ended, make_trial):
    good = make_trial(0, config=DROPOUT, val_ce=0.1)
    plain = make_trial(1, config=TrialConfig(), val_ce=0.8)
    baseline = make_trial(2, name="baseline", config=TrialConfig(), val_ce=0.9)
    assert ended(good, plain, baseline) == [0, 2]


def test_a_baseline_that_diverged_leaves_its_place_to_the_best_plain_trial(ended, make_trial):
    good = make_trial(0, config=DROPOUT, val_ce=0.1)
    diverged = make_trial(1, name="baseline", config=TrialConfig(), val_ce=NAN)
    plain = make_trial(2, name="plain", config=TrialConfig(), val_ce=0.8)
    assert ended(diverged, good, plain) == [0, 2]
