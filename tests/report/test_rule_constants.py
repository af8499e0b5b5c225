"""Constants of a rule on the command line: in the choice, in the lock, and in what-ifs."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.report.render.json import as_json
from pipeline.selection.records import ALPHA, WEIGHT, Constant
from pipeline.selection.rules import RULES, Ranking, Rule


@pytest.fixture
def nearest(monkeypatch):
    """A rule of one's own: one function, and one entry with a constant."""

    def nearest(candidates, settings):
        """The gap that is nearest to a wanted one."""
        order = np.argsort(np.abs(candidates.gap_ce - settings.weight), kind="stable")
        return Ranking(tuple(candidates.numbers[order].tolist()), settings)

    wanted = replace(WEIGHT, default=0.2, high=5.0, expected="a gap in nats, 0 to 5")
    monkeypatch.setitem(RULES, "nearest", Rule(nearest, (wanted, ALPHA)))


def reported(*arguments):
    """Calls the command; returns its JSON and what it said."""
    words = ["report", "--study", "digits", "--rule", "nearest", "--format", "json", *arguments]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), done.stderr


def test_a_rule_of_ones_own_is_reported_with_its_constant(scripted_study, nearest):
    gaps = {trial.number: trial.measurement.gap_ce for trial in scripted_study.record.trials}
    smallest, largest = min(gaps, key=gaps.get), max(gaps, key=gaps.get)
    assert gaps[smallest] != gaps[largest]

    first, said = reported("--weight", "4.5", "--seeds", "1")
    assert (first["winner"], first["rule"]["name"]) == (largest, "nearest")
    assert first["rule"]["weight"] == 4.5
    assert "reading the test part" in said
    locked = scripted_study.store.read_selection(scripted_study.record.run_id)
    assert locked["asked"] == {
        "weight": 4.5, "alpha": 0.05, "seeds": 1, "finalists": 5, "deliver": "ensemble"
    }  # fmt: skip

    # Left out, a constant is as locked; another one is a what-if.
    assert reported() == (first, "")
    other, said = reported("--weight", "0")
    assert (other["winner"], other["test"], said) == (smallest, None, "")
    assert "made with --weight 4.5; this one cannot read" in other["notes"][-1]


def test_a_constant_that_no_other_rule_has_is_chosen_by_shown_and_locked(
    scripted_study, monkeypatch
):
    def nearest(candidates, settings):
        """The gap that is nearest to beta."""
        order = np.argsort(np.abs(candidates.gap_ce - settings.beta), kind="stable")
        return Ranking(tuple(candidates.numbers[order].tolist()), settings)

    beta = Constant("beta", 0.2, 0.0, 5.0, "a gap in nats, 0 to 5", "The wanted gap, nats.")
    monkeypatch.setitem(RULES, "nearest", Rule(nearest, (beta, ALPHA)))
    gaps = {trial.number: trial.measurement.gap_ce for trial in scripted_study.record.trials}
    first, _ = scripted_study.report(rule="nearest", seeds=1, constants={"beta": 4.5})
    assert first.selection.winner == max(gaps, key=gaps.get)
    assert as_json(first)["rule"]["beta"] == 4.5
    locked = scripted_study.store.read_selection(scripted_study.record.run_id)
    assert locked["asked"] == {
        "beta": 4.5, "alpha": 0.05, "seeds": 1, "finalists": 5, "deliver": "ensemble"
    }  # fmt: skip
    assert locked["rule"]["beta"] == 4.5
    again, said = scripted_study.report(rule="nearest")
    assert (as_json(again), said) == (as_json(first), [])
    other, _ = scripted_study.report(rule="nearest", constants={"beta": 0.0})
    assert other.selection.winner == min(gaps, key=gaps.get)
    assert "made with --beta 4.5; this one cannot read" in other.selection.notes[-1]
    assert "beta" not in as_json(scripted_study.report()[0])["rule"]


ENTRY = """
from pipeline.selection.records import ALPHA, Constant
from pipeline.selection.rules import RULES, Ranking, Rule
def nearest(candidates, settings):
    return Ranking((), settings)
beta = Constant("beta", 0.2, 0.0, 5.0, "a gap in nats, 0 to 5", "The wanted gap, nats.")
RULES["nearest"] = Rule(nearest, (beta, ALPHA))
from pipeline.cli import main
main()
"""


def test_an_entry_with_a_constant_of_its_own_is_an_option(tmp_path):
    def call(*arguments):
        words = [sys.executable, "-c", ENTRY, "report", *arguments]
        return subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)

    shown = call("--help")
    assert "--beta X" in shown.stdout and "The wanted gap, nats. Default: 0.2" in shown.stdout
    refused = call("--rule", "nearest", "--beta", "9")
    assert refused.returncode == 2
    assert "'nearest' cannot use beta = 9.0; expected a gap in nats, 0 to 5." in refused.stderr


def test_constants_are_those_of_the_lock_only_for_its_own_rule(scripted_study):
    first, _ = scripted_study.report(seeds=1, constants={"tau": 0.5, "alpha": 0.01})
    assert first.selection.rule.tau == 0.5
    again, said = scripted_study.report()
    assert (as_json(again), said) == (as_json(first), [])
    other, _ = scripted_study.report(rule="best_val")
    assert (other.selection.rule.tau, other.selection.rule.alpha) == (0.05, 0.05)
    assert "made by the rule least_overfit;" in other.selection.notes[-1]


def test_a_lock_without_constants_was_made_with_the_defaults(scripted_study):
    """Records from before constants could be asked for name seeds and finalists alone."""
    first, _ = scripted_study.report(seeds=1)
    store, run_id = scripted_study.store, scripted_study.record.run_id
    record = store.read_selection(run_id)
    record["asked"] = {"seeds": 1, "finalists": 5}
    del record["rule"]["deliver"]
    store.lock_selection(run_id, record, replace=True)
    again, _ = scripted_study.report()
    older = replace(first.selection.rule, deliver="median")
    assert again.selection == replace(first.selection, rule=older)
