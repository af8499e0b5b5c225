"""The head of the page: who wins and with which figures, or why nobody does and what to do."""

import json
import re

import pytest

from pipeline.records import TrialConfig
from pipeline.report.configurations import describe
from pipeline.report.render.json import as_json
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import as_text
from pipeline.report.sections import overview
from pipeline.selection.rules import RULES


def flat(text):
    return re.sub(r"\s+", " ", text)


def test_the_first_line_names_the_winner_and_its_configuration(every_state):
    first, *_ = as_text(every_state).splitlines()
    assert first.startswith("Trial 1 ")
    assert "mlp, depth 2, width 64, l1_l2(1e-05, 0.000314), dropout 0.25" in first


def test_the_first_line_leaves_out_what_every_model_has(make_trial, report_on):
    """What the study varies in other trials is no news of the winner."""
    others = TrialConfig(first_activation="linear", standardize=False, learning_rate_decay=0.1)
    report = report_on(
        make_trial(0, config=TrialConfig()), make_trial(1, config=others, val_ce=0.9)
    )
    assert overview.headline(report).lines == (
        "Trial 0 overfits least on digits: mlp, depth 2, width 64.",
    )


@pytest.mark.parametrize("page", [as_text, as_markdown])
@pytest.mark.parametrize(
    ("trials", "constants", "expected"),
    [
        ([], {}, ["no trials", "`pipeline search --dataset digits --study digits-a1`"]),
        (
            [{"state": "RUNNING", "measurement": None}],
            {},
            ["No trial of study 'digits-a1' has ended", "`pipeline search --dataset digits "],
        ),
        (
            [{"state": "FAIL", "cause": "killed"}, {"state": "PRUNED"}, {"state": "PRUNED"}],
            {},
            ["None of the 3 trials", "(1 FAIL, 2 PRUNED)", "What to do: "],
        ),
        (
            [{"val_ce": 2.4, "accuracy": 0.11}],
            {},
            [
                "accuracy 0.1000, cross-entropy 2.3026 from the class shares",
                "trial 0, reaches accuracy 0.1100 and cross-entropy 2.4000",
                "What to do: ",
            ],
        ),
        (
            [{}],
            {"name": "constraint", "epsilon": 0.01},
            ["a gap of at most 0.0100 nats: the smallest is 0.1000 (trial 0). Allow"],
        ),
    ],
)
def test_no_recommendation_says_why_and_what_to_do(
    make_trial, report_on, page, trials, constants, expected
):
    report = report_on(*(make_trial(n, **wanted) for n, wanted in enumerate(trials)), **constants)
    text = flat(page(report))
    assert [text.count(words) for words in expected] == [1] * len(expected)
    assert f"(status {report.selection.status})" in text
    assert "verdict:" not in text


def test_pareto_lists_its_front(make_trial, report_on):
    report = report_on(make_trial(0), make_trial(1, val_ce=0.31, gap_ce=0.01), name="pareto")
    assert "'pareto'" in overview.headline(report).lines[0]
    assert "trials 1, 0." in overview.problems(report).lines[0]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_pages_that_say_what_it_chooses(make_trial, report_on, rule):
    report = report_on(make_trial(0, gap_ce=0.01), make_trial(1, val_ce=0.31), name=rule)
    doc = RULES[rule].summary.rstrip(".")
    used = report.selection.rule
    constants = [f"{one.name} {getattr(used, one.name):g}" for one in RULES[rule].constants]
    expected = f"Rule {rule}: {doc[0].lower()}{doc[1:]} ({', '.join(constants)})."
    assert expected in flat(as_text(report))
    assert expected in flat(as_markdown(report))
    json.dumps(as_json(report), allow_nan=False)


def test_a_configuration_names_what_is_on():
    config = TrialConfig(regularizer="l1", lambda_l1=0.01, batch_norm=True, dropout_rate=0.0)
    keys = {"depth", "lambda_l1", "batch_norm", "dropout_rate", "max_norm"}
    assert describe(config, keys) == "depth 2, l1(0.01), batch norm"
