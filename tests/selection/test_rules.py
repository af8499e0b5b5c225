"""Constants of rules: which rule has which, their defaults and ranges, and where they turn up."""

import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import RuleError
from pipeline.selection.candidates import study_candidates
from pipeline.selection.records import ALPHA, WEIGHT, Constant, RuleSettings
from pipeline.selection.rules import (
    RULES,
    Ranking,
    Rule,
    check_settings,
    constants,
    rule_settings,
)


def test_every_constant_is_a_setting_with_its_default_and_belongs_to_a_rule():
    values = RuleSettings().as_dict()
    assert ["name", *(one.name for one in constants()), "seeds", "finalists", "deliver"] == list(
        values
    )
    assert all(values[one.name] == one.default for one in constants())
    for one in constants():
        assert one.low <= one.default <= one.high
        assert one.meaning.endswith(".") and one.expected


@pytest.mark.parametrize("name", RULES)
def test_a_rule_lists_exactly_the_constants_that_change_its_answer(name, make_study, make_trial):
    """A rule that reads a constant which it does not list would have no option for it."""
    read = set()

    class Watched(RuleSettings):
        def __getattribute__(self, key):
            read.add(key)
            return super().__getattribute__(key)

    study = make_study(make_trial(0), make_trial(1, val_ce=0.31, gap_ce=0.02))
    candidates, _ = study_candidates(study)
    RULES[name].rank(candidates, Watched(name=name))
    listed = {one.name for one in RULES[name].constants}
    # `one_se` replaces the margins by its own; `alpha` is read by the guard before any rule.
    own = set() if name == "one_se" else read & {one.name for one in constants()}
    assert listed == own | {"alpha"}


def test_what_is_not_given_is_as_the_rule_has_it():
    found = rule_settings("least_overfit", {"tau": 0.02}, seeds=2, finalists=4)
    assert found == RuleSettings(tau=0.02, seeds=2, finalists=4)


def test_a_rule_may_have_a_default_and_a_range_of_its_own(monkeypatch):
    def heaviest(candidates, settings):
        """The most parameters."""
        order = np.argsort(-candidates.num_parameters)
        return Ranking(tuple(candidates.numbers[order].tolist()), settings)

    mine = replace(WEIGHT, default=3.0, high=9.0, expected="0 to 9")
    monkeypatch.setitem(RULES, "heaviest", Rule(heaviest, (mine, ALPHA)))
    assert rule_settings("heaviest", {}, seeds=1, finalists=2).weight == 3.0
    assert rule_settings("heaviest", {"weight": 9.0}, seeds=1, finalists=2).weight == 9.0
    with pytest.raises(RuleError, match=r"cannot use weight = 9.5; expected 0 to 9\."):
        rule_settings("heaviest", {"weight": 9.5}, seeds=1, finalists=2)
    with pytest.raises(RuleError, match=r"no constant --k\. It has --weight \(3\), --alpha"):
        rule_settings("heaviest", {"k": 2.0}, seeds=1, finalists=2)


def test_a_rule_may_have_a_constant_that_no_other_has(monkeypatch):
    def nearest(candidates, settings):
        """The gap that is nearest to beta."""
        return Ranking((), settings)

    beta = Constant("beta", 0.2, 0.0, 5.0, "a gap in nats, 0 to 5", "The wanted gap, nats.")
    monkeypatch.setitem(RULES, "nearest", Rule(nearest, (beta, ALPHA)))
    found = rule_settings("nearest", {}, seeds=1, finalists=2)
    assert (found.beta, found.more) == (0.2, (("beta", 0.2),))
    assert rule_settings("nearest", {"beta": 4.0, "alpha": 0.1}, 1, 2).beta == 4.0
    assert list(found.as_dict())[-5:] == ["epsilon", "beta", "seeds", "finalists", "deliver"]
    assert constants()[-1] == beta
    with pytest.raises(RuleError, match=r"cannot use beta = 9.0; expected a gap in nats, 0 to 5\."):
        rule_settings("nearest", {"beta": 9.0}, seeds=1, finalists=2)
    told = r"'best_val' has no constant --beta\. It has --k .*; --beta belongs to nearest\."
    with pytest.raises(RuleError, match=told):
        rule_settings("best_val", {"beta": 1.0}, seeds=1, finalists=2)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(AttributeError, match="the rule 'least_overfit' has no constant 'beta'"):
        _ = RuleSettings().beta


@pytest.mark.parametrize(("name", "value"), [("seeds", 0), ("finalists", 1)])
def test_too_few_seeds_or_finalists_are_refused(name, value):
    with pytest.raises(RuleError, match=rf"cannot use {name} = {value}; expected a number of"):
        check_settings(replace(RuleSettings(), **{name: value}))


def test_the_page_about_measurement_lists_the_constants_of_each_rule():
    page = (Path(__file__).parents[2] / "docs" / "measurement.md").read_text(encoding="utf-8")
    for name, rule in RULES.items():
        options = {one.option for one in rule.constants}
        (told,) = re.findall(rf"^\| `{name}` \|.*\| (.*) \|$", page, re.M) or [
            page.partition("## The rule `least_overfit`")[2].partition("1. ")[0]
        ]
        assert set(re.findall(r"`(--[a-z-]+)`", told)) == options, name
