"""The standings while a study goes on: what `select` says of all trials, at the cost of the new."""

import numpy as np
import pytest

from pipeline.errors import SplitMismatchError
from pipeline.records import TrialConfig
from pipeline.selection import standings as module
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select
from pipeline.selection.standings import Standings

NAN = float("nan")


def random_trials(make_trial, rng, count):
    """Trials of every kind: good, nearly as good, without skill, unusable; old ones and new."""
    kinds = rng.choice(["good", "near", "guess", "pruned", "failed", "nan"], count)
    level = rng.uniform(0.3, 0.9)
    for number, kind in enumerate(kinds):
        level -= rng.choice([0.0, 0.0, 0.02])
        wanted = {
            "val_ce": level + (kind == "near") * rng.uniform(0.0, 0.04),
            "gap_ce": round(float(rng.uniform(-0.02, 0.3)), 2),  # ties, too
            "accuracy": float(rng.uniform(0.85, 0.9)),
            "num_parameters": int(rng.choice([100, 200])),
            "epochs": int(rng.integers(1, 300)),
            "log10_p_guessing": rng.choice([None, -80.0, -4.0, -3.0]),
            "num": 100,
            "config": TrialConfig(),
        }
        if kind == "guess":
            wanted |= {"val_ce": 2.4, "accuracy": 0.1, "log10_p_guessing": rng.choice([None, 0.0])}
        if kind in ("pruned", "failed"):
            wanted["state"] = {"pruned": "PRUNED", "failed": "FAIL"}[kind]
        if kind == "nan":
            wanted["gap_ce"] = NAN
        yield make_trial(number, **wanted)


@pytest.mark.parametrize("seed", range(12))
def test_the_standings_are_what_select_says_after_every_end(make_trial, make_study, seed):
    rng = np.random.default_rng(seed)
    trials = list(random_trials(make_trial, rng, 40))
    if seed % 2:  # all begin without skill: the best of the unskilled is the reference
        trials = [t for t in trials if t.measurement.val_ce > 2] + trials[:20]
        trials = list({trial.number: trial for trial in trials}.values())
    held = Standings(make_study())
    done = []
    while len(done) < len(trials):
        ended = trials[len(done) : len(done) + int(rng.integers(1, 4))]
        held.add(ended)
        done += ended
        expected = select(make_study(*done), RuleSettings())
        assert held.reference == expected.reference
        assert held.eligible == frozenset(expected.eligible)
        assert held.winner == expected.winner
        assert {trial.number: held.verdict(trial) for trial in done} == expected.verdicts


def test_a_trial_of_another_split_is_refused(make_trial, make_study):
    held = Standings(make_study())
    held.add([make_trial(0)])
    with pytest.raises(SplitMismatchError, match="trial 1 on 'split-b'"):
        held.add([make_trial(1, split_id="split-b")])
    with pytest.raises(SplitMismatchError, match="results of different lengths"):
        held.add([make_trial(2, num=7)])


def test_a_trial_is_held_against_the_best_once(make_trial, make_study, monkeypatch):
    """All of them at every end made the supervisor slower with every trial."""
    asked = []

    def counting(candidates, settings):
        asked.append(len(candidates) - 1)  # without the best itself
        return judge(candidates, settings)

    judge = module.worse_than_best
    monkeypatch.setattr(module, "worse_than_best", counting)
    held = Standings(make_study())
    held.add([make_trial(0, val_ce=0.2)])
    for number in range(1, 101):
        held.add([make_trial(number, val_ce=0.2 + 0.001 * number)])
    assert sum(asked) == 100
    held.add([make_trial(101, val_ce=0.1)])
    assert sum(asked) == 201  # another best: once more, in parts that fit into memory
    assert max(asked) == module.TOGETHER
