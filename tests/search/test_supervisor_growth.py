"""What a trial costs the supervisor does not grow with the study: calls are counted, not time."""

from collections import Counter

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from scripted_trainer import Script
from small_space import NO_REFERENCES, small_space
from test_supervisor import ONE_DEPTH, Search

from pipeline.search import cost, leaderboard, supervisor
from pipeline.search.cohort_sizing import Sizing
from pipeline.search.samplers import LenientPruner, pruner_of
from pipeline.selection import select, standings

EPOCHS = 24


def searched(trials, cohort_size, monkeypatch):
    """Returns how often what used to grow was called in a search of so many trials."""
    calls = Counter()

    def count(owner, name, size=lambda *arguments: 1):
        asked = getattr(owner, name)

        def counting(*arguments, **options):
            calls[name] += size(*arguments)
            return asked(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    with monkeypatch.context() as monkeypatch:
        count(standings, "verdict_of")
        count(select, "verdict_of")
        count(standings, "worse_than_best", lambda candidates, _: len(candidates) - 1)
        count(leaderboard, "select")
        count(leaderboard, "used")
        count(cost, "step_work")
        count(optuna.Study, "_get_trials")
        space = small_space(NO_REFERENCES, ONE_DEPTH, ("epochs: 4", f"epochs: {EPOCHS}"))
        storage = InMemoryStorage()
        made = Search(storage, None, space, trials=trials, cohort_size=cohort_size)
        made.study._study.pruner = pruner_of("percentile")
        assert len(made.run().trials) == trials
    return calls, len(made.cohorts)


@pytest.mark.parametrize("cohort_size", [1, 8])
def test_calls_per_trial_do_not_grow(monkeypatch, cohort_size):
    few, _ = searched(16, cohort_size, monkeypatch)
    many, cohorts = searched(96, cohort_size, monkeypatch)
    # A verdict for each trial at its end: the command asks once for all, when the study ended.
    assert (few["verdict_of"], many["verdict_of"]) == (16, 96)
    assert many["select"] == 0
    assert many["worse_than_best"] <= 96 * np.log(96)  # a new best comes ever more rarely
    # Each configuration is costed once, and those that stand for what is to come.
    assert many["step_work"] <= 96 + 3 * cost.SAMPLED_CONFIGS + cohorts
    assert many["_get_trials"] / 96 <= 1.5 * few["_get_trials"] / 16
    # A trial's pruning is decided at two of its epochs; the study is read for those alone.
    assert many["_get_trials"] <= 96 * 4


def test_what_is_shown_is_not_made_anew_at_every_event_of_many_trials(monkeypatch):
    monkeypatch.setattr(supervisor, "REFRESH_SECONDS", 1e9)
    spans, asked = [], supervisor.search_span
    monkeypatch.setattr(supervisor, "search_span", lambda *given: spans.append(0) or asked(*given))
    space = small_space(NO_REFERENCES, ONE_DEPTH)
    trials = 3 * supervisor.CROWDED
    sizing = Sizing(trials, trials, 1)
    script = Script(step_seconds=0.001)
    made = Search(InMemoryStorage(), script, space, trials=trials, sizing=sizing)
    assert len(made.run().trials) == trials
    # At most at the first timing, and twice for each of the last trials: its timing and its end.
    assert 0 < len(spans) <= 4 + 2 * supervisor.CROWDED


def test_the_pruner_decides_as_optunas_does_and_reads_the_study_for_decisions_only(monkeypatch):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ours = LenientPruner()
    optunas = optuna.pruners.PercentilePruner(
        90, n_startup_trials=5, n_warmup_steps=10, interval_steps=10
    )
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    rng, decisions, reads = np.random.default_rng(0), Counter(), []
    monkeypatch.setattr(study, "get_trials", reading(study.get_trials, reads))
    for _ in range(40):
        trial, level = study.ask(), rng.uniform(0.2, 1.0)
        for step in range(35):
            if rng.random() < 0.1:
                continue  # an epoch whose loss is not finite is not reported
            trial.report(level + 0.3 / (1 + step) + rng.normal(0, 0.01), step)
            frozen = study._storage.get_trial(trial._trial_id)
            before = len(reads)
            decided = ours.prune(study, frozen)
            read = len(reads) - before
            assert decided == optunas.prune(study, frozen)
            decisions[decided, bool(read)] += 1
        study.tell(trial, level)
    assert decisions[True, True] > 5
    assert decisions[True, False] == 0
    assert decisions[False, True] + decisions[True, True] <= 3 * 40


def reading(get_trials, reads):
    def counted(*arguments, **options):
        reads.append(1)
        return get_trials(*arguments, **options)

    return counted
