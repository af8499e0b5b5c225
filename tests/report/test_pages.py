"""The pages: the JSON contract, and text and Markdown that say the same."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from full_reports import full_report

from pipeline.errors import InputError
from pipeline.formatting import between, decimal, probability
from pipeline.records import TestResult, TrialConfig
from pipeline.report.configurations import describe
from pipeline.report.render import render
from pipeline.report.render.json import as_json
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import WIDTH, as_text
from pipeline.report.report import Report
from pipeline.report.sections import comparison
from pipeline.report.sections.trials import NUM_ROWS
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import RULES, select

NAN = float("nan")
TEST = TestResult(0.31234567, 0.29, 0.33, 0.91, 0.89, 0.93, 0.06, 0.04, 0.08, 1)

KEYS = ["status", "dataset", "study", "split_id", "rule", "winner", "reference", "eligible"]
KEYS += ["trials", "test", "model_uri", "notes", "finalists", "frequencies"]
KEYS += ["frequencies_search", "optimism", "compared", "warnings"]
RULE_KEYS = ["name", "k", "tau", "tau_accuracy", "alpha", "seeds", "finalists"]
TRIAL_KEYS = ["number", "state", "name", "config", "val_ce", "val_accuracy", "train_ce"]
TRIAL_KEYS += ["train_accuracy", "gap_ce", "gap_ce_se", "gap_accuracy", "penalty", "best_epoch"]
TRIAL_KEYS += ["epochs", "num_parameters", "seconds", "verdict", "diverged", "excluded_because"]
TRIAL_KEYS += ["mlflow_run_id"]
TEST_KEYS = ["ce", "ce_low", "ce_high", "accuracy", "accuracy_low", "accuracy_high"]
TEST_KEYS += ["gap_ce", "gap_ce_low", "gap_ce_high", "reads"]


@pytest.fixture
def report_on(make_study):
    """A report on trials; keywords are constants of the rule."""

    def build(*trials, test=None, model_uri=None, **constants):
        study = make_study(*trials)
        selection = select(study, RuleSettings(**constants))
        return Report(study, selection, test, model_uri, {"MLflow run": "parent"})

    return build


@pytest.fixture
def full(make_trial, report_on):
    """A report with every kind of trial, a test result and a model."""
    elastic = TrialConfig(
        regularizer="l1_l2", lambda_l1=1e-5, lambda_l2=3.14159e-4, dropout_rate=0.25, max_norm=3.0
    )
    trials = [
        make_trial(0, name="baseline", gap_ce=0.2),
        make_trial(1, val_ce=0.301234567, gap_ce=0.0456789, config=elastic),
        make_trial(2, state="FAIL", measurement=None, validation=None, cause="no memory [OOM]"),
        make_trial(3, val_ce=NAN),
        make_trial(4, state="PRUNED"),
        make_trial(5, val_ce=2.4, accuracy=0.1),
        make_trial(6, state="RUNNING", measurement=None, validation=None),
        *(make_trial(number, val_ce=0.4 + number / 100) for number in range(7, 30)),
    ]
    return report_on(*trials, test=TEST, model_uri="models:/digits-least-overfit/1")


# JSON


def test_json_has_exactly_the_keys_of_the_contract_in_their_order(full):
    page = as_json(full)
    assert list(page) == KEYS
    assert list(page["rule"]) == RULE_KEYS
    assert list(page["test"]) == TEST_KEYS
    assert all(list(trial) == TRIAL_KEYS for trial in page["trials"])
    assert list(page["trials"][0]["config"]) == list(TrialConfig().as_dict())


def test_json_says_what_was_decided(full):
    page = as_json(full)
    assert [page[key] for key in KEYS[:4]] == ["ok", "digits", "digits-a1", "split-a"]
    assert (page["winner"], page["reference"], page["eligible"]) == (1, 0, [1, 0])
    assert page["model_uri"] == "models:/digits-least-overfit/1"
    assert page["rule"]["name"] == "least_overfit"
    assert [trial["number"] for trial in page["trials"]] == list(range(30))
    verdicts = [trial["verdict"] for trial in page["trials"][:7]]
    assert verdicts == [
        "overfit",
        "healthy",
        "failed",
        "diverged",
        "pruned",
        "no_skill",
        "running",
    ]
    assert page["trials"][2]["excluded_because"] == "failed: no memory [OOM]"
    assert page["trials"][1]["excluded_because"] is None


def test_json_carries_the_records_own_numbers(full):
    page = as_json(full)
    assert page["trials"][1]["val_ce"] == 0.301234567
    assert page["trials"][1]["gap_ce"] == 0.0456789
    assert page["test"]["ce"] == 0.31234567


def test_json_is_strict_json_with_null_for_what_is_not_there(full):
    page = json.loads(json.dumps(as_json(full), allow_nan=False))
    assert page["trials"][3]["val_ce"] is None
    assert page["trials"][3]["gap_ce"] == 0.1
    assert page["trials"][2]["val_ce"] is None
    assert page["trials"][2]["diverged"] is None


def test_json_turns_numpy_numbers_into_plain_ones(make_trial, report_on):
    trial = make_trial(0, val_ce=np.float32(0.25), num_parameters=np.int64(12))
    page = json.loads(json.dumps(as_json(report_on(trial))))
    assert page["trials"][0]["val_ce"] == 0.25
    assert page["trials"][0]["num_parameters"] == 12


def test_json_without_test_and_winner(report_on):
    page = as_json(report_on())
    assert list(page) == KEYS
    assert (page["status"], page["winner"], page["test"], page["trials"]) == (
        "empty",
        None,
        None,
        [],
    )


# Text


def test_text_says_the_winner_first(full):
    first, *_ = as_text(full).splitlines()
    assert first.startswith(
        "Trial 1 overfits least on digits: mlp, depth 2, width 64, l1_l2(1e-05, 0.000314), "
        "dropout 0.25"
    )


def flat(text):
    return re.sub(r"\s+", " ", text)


def test_text_has_the_winners_figures_rounded_from_the_json(full):
    text, page = flat(as_text(full)), as_json(full)
    trial, test = page["trials"][1], page["test"]
    low, high = (trial["gap_ce"] + z * trial["gap_ce_se"] for z in (-1.96, 1.96))
    for expected in (
        f"accuracy {decimal(trial['val_accuracy'])}, 95% 0.8798 to 0.9171",
        f"cross-entropy {decimal(trial['val_ce'])} nats",
        f"{decimal(trial['gap_ce'])} nats, 95% {between(low, high)}",
        f"Test part (read once): accuracy {decimal(test['accuracy'])}, 95% 0.8900 to 0.9300",
        "cross-entropy 0.3123, 95% 0.2900 to 0.3300; gap to train 0.0600, 95% 0.0400 to 0.0800",
        "Verdict: healthy - gap 0.0457 nats",
        "Rule least_overfit: the smallest gap among the trials that are as good as the best one "
        "(k 1, tau 0.05, tau_accuracy 0.01, alpha 0.05).",
        "Model: models:/digits-least-overfit/1",
        "MLflow run: parent",
    ):
        assert expected in text


def table_lines(text):
    lines = text.splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.lstrip().startswith("trial ")) :]


def test_text_table_is_sorted_marked_and_cut(full):
    lines = table_lines(as_text(full))
    rows = [line for line in lines if re.match(r"^(>b?|b)? +\d+  ?\S", line)]
    assert [int(re.search(r"\d+", row).group()) for row in rows] == [1, 0, *range(7, 20)]
    assert len(rows) == NUM_ROWS
    assert rows[0].startswith(">")
    assert rows[1].startswith("b")
    assert "baseline" in rows[1]
    assert re.search(r"healthy +0\.9000 +0\.3012 +0\.2556 +0\.0457 +0\.0261 to 0\.0653$", rows[0])
    assert "; ... 15 more" in as_text(full)


def test_text_table_is_aligned(full):
    lines = table_lines(as_text(full))
    rows = [line for line in lines if re.search(r" to -?\d\.\d{4}$", line)][:NUM_ROWS]
    assert {len(row) for row in rows} == {len(lines[0])}


def test_winner_best_and_references_are_always_in_the_table(make_trial, report_on):
    many = [make_trial(number, gap_ce=number / 1000) for number in range(20)]
    best = make_trial(30, val_ce=0.299, gap_ce=0.25)
    named = make_trial(31, name="notebook_l1", val_ce=2.0, accuracy=0.5)
    text = as_text(report_on(*many, best, named))
    assert re.search(r"^b +30 ", text, re.M)
    assert re.search(r"^ +31 +notebook_l1 ", text, re.M)
    assert "; ... 5 more" in text


def test_text_says_why_the_closest_lost(full):
    text = flat(as_text(full))
    assert (
        "Trial 0 (baseline): eligible, but trial 1 is better in gap (0.2000 against 0.0457)."
    ) in text
    assert "Trial 7: cross-entropy 0.4700 worse than the best (0.3000) by more than" in text
    assert "- ... 24 more; the JSON report has every trial's reason." in text


@pytest.mark.parametrize("color", [False, True])
def test_text_fits_the_columns_whatever_the_names(make_trial, report_on, color):
    long = TrialConfig(regularizer="l2", lambda_l2=1.23456e-4, dropout_rate=0.123, max_norm=3.25)
    report = report_on(
        make_trial(12345, config=long, gap_ce=-0.5),
        make_trial(1, name="a_reference_with_an_extraordinarily_long_name", val_ce=0.9),
        make_trial(2, val_ce=123.4567, accuracy=0.5, gap_ce=11.5),
        make_trial(3, state="FAIL", measurement=None, cause="x" * 300),
    )
    report = replace(report, study=replace(report.study, dataset="folder/of/" + "d" * 80))
    text = as_text(report, color=color)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()) <= WIDTH
    assert ("\x1b[" in text) is color


def test_text_is_plain_ascii_and_shows_brackets_as_they_are(make_trial, report_on):
    failed = make_trial(0, state="FAIL", measurement=None, cause="no memory [bold] [OOM]")
    text = as_text(report_on(failed, make_trial(1)))
    assert text.isascii()
    assert "failed: no memory [bold] [OOM]." in flat(text)


def test_text_without_a_test_result_says_that_the_part_is_sealed(make_trial, report_on):
    assert "Test part: not read for this choice." in as_text(report_on(make_trial(0)))


def test_text_counts_the_reads(make_trial, report_on):
    text = as_text(report_on(make_trial(0), test=replace(TEST, reads=3)))
    assert "Test part (read 3 times)" in text


def test_notes_are_shown(make_trial, report_on):
    text = as_text(report_on(make_trial(0)))
    assert "Notes\n- Only one trial could be chosen: no selection took place." in text


@pytest.mark.parametrize("page", [as_text, as_markdown])
@pytest.mark.parametrize(
    ("trials", "constants", "expected"),
    [
        (
            [],
            {},
            "Study 'digits-a1' has no trials. What to do: run "
            "`pipeline search --dataset digits --study digits-a1`.",
        ),
        (
            [{"state": "RUNNING", "measurement": None}],
            {},
            "No trial of study 'digits-a1' has ended yet. What to do: wait for the search or",
        ),
        (
            [{"state": "FAIL", "cause": "killed"}, {"state": "PRUNED"}, {"state": "PRUNED"}],
            {},
            "None of the 3 trials ended with usable measures (1 FAIL, 2 PRUNED). See the reasons",
        ),
        (
            [{"val_ce": 2.4, "accuracy": 0.11}],
            {},
            "No trial is better than guessing (accuracy 0.1000, cross-entropy 2.3026 from the "
            "class shares alone). The best, trial 0, reaches accuracy 0.1100 and cross-entropy "
            "2.4000; it is named as a diagnostic and not delivered. What to do: check that labels",
        ),
        (
            [{}],
            {"name": "constraint", "epsilon": 0.01},
            "No trial has a gap of at most 0.0100 nats: the smallest is 0.1000 (trial 0). Allow",
        ),
    ],
)
def test_no_recommendation_says_why_and_what_to_do(
    make_trial, report_on, page, trials, constants, expected
):
    report = report_on(*(make_trial(n, **wanted) for n, wanted in enumerate(trials)), **constants)
    text = flat(page(report))
    assert expected in text
    assert text.count(expected) == 1
    assert f"No model can be recommended for digits (status {report.selection.status})" in text
    assert "Verdict:" not in text


def test_pareto_lists_its_front(make_trial, report_on):
    text = as_text(report_on(make_trial(0), make_trial(1, val_ce=0.31, gap_ce=0.01), name="pareto"))
    assert text.startswith("No single winner on digits: the rule 'pareto' picks none.")
    assert "Pareto front, smallest gap first: trials 1, 0." in text


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_pages_that_say_what_it_chooses(make_trial, report_on, rule):
    report = report_on(make_trial(0, gap_ce=0.01), make_trial(1, val_ce=0.31), name=rule)
    doc = RULES[rule].__doc__.splitlines()[0].rstrip(".")
    expected = f"Rule {rule}: {doc[0].lower()}{doc[1:]} (k 1"
    assert expected in flat(as_text(report))
    assert expected in flat(as_markdown(report))
    json.dumps(as_json(report), allow_nan=False)


# Markdown


def test_markdown_has_the_same_table_as_the_text(full):
    part = as_markdown(full).split("## Trials")[1].split("## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    assert len(rows) == NUM_ROWS + 2
    assert {row.count("|") for row in rows} == {10}
    assert len({len(row) for row in rows}) == 1
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    text_row = next(line for line in as_text(full).splitlines() if line.startswith(">"))
    assert cells[0] == r"\>"
    assert cells[3:] == re.split(r" {2,}", text_row)[3:]


def test_markdown_begins_with_title_and_winner(full):
    title, _, winner, *_ = as_markdown(full).splitlines()
    assert title == "# digits: study digits-a1"
    assert winner.startswith("**Trial 1 overfits least on digits: mlp, depth 2")


def test_markdown_escapes_what_would_break_a_table(make_trial, report_on):
    page = as_markdown(report_on(make_trial(0, name="a|b*c")))
    assert r"| a\|b\*c " in page


# Wording


def test_a_configuration_names_what_is_on():
    config = TrialConfig(regularizer="l1", lambda_l1=0.01, batch_norm=True, dropout_rate=0.0)
    keys = {"depth", "lambda_l1", "batch_norm", "dropout_rate", "max_norm"}
    assert describe(config, keys) == "depth 2, l1(0.01), batch norm"


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.12345, "0.1235"), (-0.00001, "0.0000"), (NAN, "-"), (None, "-"), (123456.7, "1.235e+05")],
)
def test_one_rounding(value, written):
    assert decimal(value) == written


def test_small_probabilities_do_not_become_zero():
    assert probability(0.000512) == "0.00051"


# Evidence in JSON and text


@pytest.fixture
def backed(make_trial, make_study):
    return full_report(make_trial, make_study)


def test_json_lists_the_finalists_with_their_seeds(backed):
    page = as_json(backed)
    finalists = {entry["number"]: entry for entry in page["finalists"]}
    winner = finalists[page["winner"]]
    assert list(winner) == [
        "number", "seeds", "val_ce", "val_accuracy", "gap_ce", "gap_ce_se", "runs", "delivered",
    ]  # fmt: skip
    assert (winner["seeds"], winner["gap_ce_se"], winner["delivered"]) == (3, 0.0123, 2)
    assert [run["seed"] for run in winner["runs"]] == [11, 12, 13]
    assert winner["runs"][2]["mlflow_run_id"] == f"run{page['winner']}-0.001"
    assert {
        entry["delivered"] for number, entry in finalists.items() if number != page["winner"]
    } <= {None}


def test_json_carries_frequencies_optimism_and_the_compared_models(backed):
    page = json.loads(json.dumps(as_json(backed), allow_nan=False))
    assert sum(page["frequencies"].values()) == pytest.approx(1)
    validation = backed.delivered.validation.nll.mean()
    assert page["optimism"]["ce"] == pytest.approx(validation - page["test"]["ce"])
    assert page["compared"][str(page["winner"])] == page["test"]
    assert set(page["compared"]) == {str(number) for number in backed.tested}


def test_text_has_finalists_techniques_and_comparisons_within_the_columns(backed):
    text = as_text(backed)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert re.search(
        r"^> 2 +3 +0\.9000 +0\.3050 +0\.0500 +0\.0259 to 0\.0741 +0\.3090, 0\.3020, ", text, re.M
    )
    assert re.search(r"^dropout +2 +\d+ +\+0\.0050 ", text, re.M)
    assert "Beside it, the best on validation, trial 1: test accuracy" in flat(text)
    drawn = "of 200 resamples of the validation examples the rule picks trial 2 in"
    assert f"Among the 3 finalists, their seeds unchanged, {drawn}" in flat(text)
    assert f"Stability: among all candidates, by single trainings, {drawn}" in flat(text)
    assert "b best validation cross-entropy (of the finalists, over their seeds);" in flat(text)
    assert "Validation of the delivered model (seed 13, the median of 3): accuracy" in flat(text)


def test_why_a_finalist_lost_is_told_by_the_means_over_seeds(backed):
    changed = [
        replace(f, measurement=replace(f.measurement, gap_ce=0.1234 if f.number == 1 else 0.05))
        for f in backed.confirmation.finalists
    ]
    confirmation = replace(backed.confirmation, finalists=tuple(changed))
    text = flat(as_text(replace(backed, confirmation=confirmation)))
    assert "Trial 1: eligible, but trial 2 is better in gap (0.1234 against 0.0500)" in text


def test_optimism_beyond_chance_and_repeated_readings_are_warnings(backed):
    warned = as_json(replace(backed, test=replace(backed.test, reads=2)))["warnings"]
    assert any(line.startswith("The test part was read 2 times: ") for line in warned)
    assert any(
        line.startswith("Validation was optimistic: the test cross-entropy is 0.0")
        for line in warned
    )


def test_an_unknown_format_is_named(backed):
    with pytest.raises(InputError, match="unknown format 'pdf'; expected one of text, json"):
        render(backed, "pdf")


# The best single training of the search


def overtaken(backed, finalists):
    """The full report with the best mean on another finalist than on the search's best, trial 1."""
    confirmation = replace(backed.confirmation, finalists=tuple(finalists))
    selection = replace(backed.selection, reference=0)
    return replace(backed, confirmation=confirmation, selection=selection)


def test_a_best_single_training_that_seeds_do_not_confirm_is_named_and_compared(backed):
    finalists = [
        replace(f, measurement=replace(f.measurement, val_ce=0.4567)) if f.number == 1 else f
        for f in backed.confirmation.finalists
    ]
    report = overtaken(backed, finalists)
    told = (
        "The best single training of the search was trial 1, cross-entropy 0.2998; over 3 seeds "
        "it reaches 0.4567."
    )
    tested = decimal(report.tested[1].accuracy)
    for page in (as_text, as_markdown):
        assert told in flat(page(report))
        assert f"best single training of the search, trial 1: test accuracy {tested}" in flat(
            page(report)
        )
    rows = {row[0]: row for row in comparison.table(report).rows}
    assert rows["best single training of the search"][5] == tested
    assert "single training of the search" not in as_text(backed)


def test_a_best_single_training_that_is_no_finalist_is_told_as_such(backed):
    report = overtaken(backed, [f for f in backed.confirmation.finalists if f.number != 1])
    told = "was trial 1, cross-entropy 0.2998; it is not among the finalists."
    assert told in flat(as_text(report))


def test_one_finalist_says_nothing_of_stability_but_the_search_does(backed):
    only = [f for f in backed.confirmation.finalists if f.number == backed.selection.winner]
    confirmation = replace(backed.confirmation, finalists=tuple(only))
    report = replace(backed, confirmation=confirmation)
    data, text = as_json(report), flat(as_text(report))
    assert data["frequencies"] == {str(report.selection.winner): 1.0}
    assert data["frequencies_search"] == as_json(backed)["frequencies_search"]
    assert "Among the" not in text
    assert "Stability: among all candidates, by single trainings, of 200 resamples" in text


def test_the_warning_of_an_unstable_choice_rests_on_the_search(make_trial, make_study, backed):
    noisy = [make_trial(n, gap_ce=0.1 + n / 1000, noise=0.5) for n in range(8)]
    first = backed.confirmation.finalists[0]
    study = make_study(*noisy)
    selection = select(study, RuleSettings())
    winner = replace(first, number=selection.winner, runs=(noisy[selection.winner],) * 3)
    confirmation = replace(backed.confirmation, finalists=(winner,))
    report = Report(study, selection, confirmation=confirmation)
    data = as_json(report)
    share = data["frequencies_search"].get(str(selection.winner), 0.0)
    assert data["frequencies"] == {str(selection.winner): 1.0}
    assert share < 0.5
    assert data["warnings"][0].startswith(
        f"The choice is not stable: by single trainings the winner is picked in {share:.0%} of"
    )
