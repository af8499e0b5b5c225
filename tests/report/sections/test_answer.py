"""The answer in the first lines: numbers of the test part, differences, and what is proven."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.formatting import between, decimal
from pipeline.records import PerExample, TrialConfig
from pipeline.report.evidence import evidence_of
from pipeline.report.render.json import as_json
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import as_text
from pipeline.report.sections import answer
from pipeline.selection.statistics import paired_standard_error


def flat(text):
    return re.sub(r"\s+", " ", text)


def labels(report):
    return [entry.label for entry in answer.numbers(report).entries]


def with_results(report, **by_number):
    """The report with other results on the test part: trial number -> (nll, correct)."""
    examples = report.test_examples
    results = dict(examples.results)
    for number, (nll, correct) in by_number.items():
        old = results[int(number[1:])]
        results[int(number[1:])] = PerExample(nll, correct, old.predicted, old.confidence)
    return replace(report, test_examples=replace(examples, results=results))


def test_the_first_lines_are_the_answer(with_finalists):
    first, second, third, fourth, *_ = as_text(with_finalists).splitlines()
    assert first == (
        "Trial 2 overfits least on digits: mlp, depth 2, width 64, dropout 0.3 (the mean of 3 "
        "seeds)."
    )
    assert second.startswith(
        "On new data it overfits 59% less than the best score (trial 1; proven"
    )
    assert "than no regularization (trial 0; proven)." in flat(f"{second} {third} {fourth}")
    assert "63% less than what other tuners deliver (trial 1's one training; proven)" in flat(
        f"{second} {third}"
    )


def test_the_numbers_are_those_of_the_json_rounded(with_finalists):
    test = as_json(with_finalists)["test"]
    found = {entry.label: entry for entry in answer.numbers(with_finalists).entries}
    assert list(found) == [
        "Test accuracy",
        "Gap on new data",
        "Gap against the best score (trial 1)",
        "Gap against no regularization (trial 0)",
    ]
    accuracy, gap = found["Test accuracy"], found["Gap on new data"]
    assert accuracy.value == decimal(test["accuracy"])
    assert accuracy.interval == between(test["accuracy_low"], test["accuracy_high"])
    assert gap.value == decimal(test["gap_ce"])
    assert gap.interval == between(test["gap_ce_low"], test["gap_ce_high"])
    for page in (as_text, as_markdown):
        text = flat(page(with_finalists))
        for entry in found.values():
            places = [text.index(words) for words in (entry.label, entry.value, entry.interval)]
            assert places == sorted(places)
        assert "Test part (read once): 1,200 new examples." in text


def test_the_difference_of_gaps_is_paired_by_example(with_finalists):
    results, compared = with_finalists.test_examples.results, as_json(with_finalists)["compared"]
    found = evidence_of(with_finalists).test_differences[1].gap_ce
    expected = compared["2"]["gap_ce"] - compared["1"]["gap_ce"]
    assert found.value == pytest.approx(expected, abs=1e-6)
    models = [with_finalists.measured(number) for number in (2, 1)]
    train = [
        m.measurement.gap_ce_se**2 - np.var(m.validation.nll, ddof=1) / m.validation.nll.size
        for m in models
    ]
    error = np.sqrt(paired_standard_error(results[2].nll, results[1].nll) ** 2 + sum(train))
    assert found.high - found.value == pytest.approx(1.96 * error, rel=1e-3)
    assert found.proven


def test_what_is_proven_worse_is_said_with_it(with_finalists):
    right = np.ones(1200, bool)
    winners = with_finalists.test_examples.results[2]
    report = with_results(with_finalists, n0=(winners.nll - 0.1, right), n1=(winners.nll, right))
    (line,) = answer.conclusion(report).lines
    assert line.endswith(
        "Proven worse: accuracy by 0.1133 (against the best score); accuracy by 0.1133, "
        "cross-entropy by 0.1000 nats (against no regularization)."
    )
    same = with_results(report, n0=(winners.nll, right), n1=(winners.nll, winners.correct))
    assert "accuracy by 0.1133 (against no regularization)" in answer.conclusion(same).lines[0]
    none = with_results(report, n0=(winners.nll, ~right), n1=(winners.nll, ~right))
    assert "Proven worse" not in answer.conclusion(none).lines[0]


def test_a_difference_within_chance_is_not_proven(with_finalists):
    winners = with_finalists.test_examples.results[2]
    noise = np.random.default_rng(0).normal(0, 3, 1200)
    report = with_results(with_finalists, n1=(winners.nll + noise, winners.correct))
    assert "the best score (trial 1; not proven)" in answer.conclusion(report).lines[0]
    assert answer.numbers(report).entries[2].remark == "no proven difference"


def test_a_winner_with_the_best_score_is_compared_with_the_baseline_only(make_trial, report_on):
    report = report_on(make_trial(0, name="baseline", gap_ce=0.2), make_trial(1, val_ce=0.29))
    (line,) = answer.conclusion(report).lines
    told = (
        "It has the best score on validation, too. On validation data it overfits 50% less than no "
    )
    assert line == f"{told}regularization (trial 0)."
    assert labels(report)[2:] == ["Gap against no regularization (trial 0)"]


def test_a_winner_without_regularization_says_that_nothing_is_better(make_trial, report_on):
    plain = make_trial(0, name="baseline", config=TrialConfig(), gap_ce=0.01)
    report = report_on(plain, make_trial(1, config=TrialConfig(dropout_rate=0.5), val_ce=0.9))
    assert answer.conclusion(report).lines == (
        "It uses no regularization: nothing as good overfits less.",
    )


def test_the_best_score_may_be_the_one_without_regularization(make_trial, report_on):
    report = report_on(
        make_trial(0, name="baseline", gap_ce=0.2), make_trial(1, val_ce=0.301, gap_ce=0.1)
    )
    assert labels(report)[2:] == ["Gap against the best score, no regularization (trial 0)"]


def test_while_the_test_part_is_sealed_the_numbers_are_of_validation(make_trial, report_on):
    numbers = answer.numbers(report_on(make_trial(0)))
    assert numbers.note.startswith("Test part: not read for this choice; these are validation")
    assert [entry.label for entry in numbers.entries] == ["Validation accuracy", "Gap"]
    assert [entry.value for entry in numbers.entries] == ["0.9000", "0.1000"]


def test_readings_are_counted(every_state):
    read = replace(every_state, test=replace(every_state.test, reads=3))
    assert answer.numbers(read).note.startswith("Test part (read 3 times)")


def test_without_a_winner_there_is_no_answer(make_trial, report_on):
    report = report_on(make_trial(0, val_ce=2.4, accuracy=0.1))
    assert answer.numbers(report) is None
    assert answer.conclusion(report).lines == ()
