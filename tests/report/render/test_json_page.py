"""The JSON page: the keys of the contract, strict JSON, and the records' own numbers."""

import json

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.records import TrialConfig
from pipeline.report.render import render
from pipeline.report.render.json import as_json

KEYS = [
    "status",
    "dataset",
    "study",
    "split_id",
    "validation_per_epoch",
    "rule",
    "winner",
    "reference",
    "eligible",
]
KEYS += [
    "trials",
    "delivered",
    "test",
    "test_reads_by_other_studies",
    "model_uri",
    "alias",
    "alias_because",
    "notes",
    "finalists",
    "frequencies",
]
KEYS += ["frequencies_search", "optimism", "compared", "side_by_side", "warnings", "data_findings"]
RULE_KEYS = ["name", "k", "tau", "tau_accuracy", "alpha", "weight", "epsilon", "seeds", "finalists"]
RULE_KEYS += ["deliver"]
TRIAL_KEYS = ["number", "state", "name", "config", "val_ce", "val_accuracy", "train_ce"]
TRIAL_KEYS += ["train_accuracy", "gap_ce", "gap_ce_se", "gap_accuracy", "penalty", "best_epoch"]
TRIAL_KEYS += ["epochs", "num_parameters", "seconds", "verdict", "diverged", "excluded_because"]
TRIAL_KEYS += ["mlflow_run_id"]
TEST_KEYS = ["ce", "ce_low", "ce_high", "accuracy", "accuracy_low", "accuracy_high"]
TEST_KEYS += ["gap_ce", "gap_ce_low", "gap_ce_high", "reads"]


def test_json_has_exactly_the_keys_of_the_contract_in_their_order(every_state):
    page = as_json(every_state)
    assert list(page) == KEYS
    assert list(page["rule"]) == RULE_KEYS
    assert list(page["test"]) == TEST_KEYS
    assert all(list(trial) == TRIAL_KEYS for trial in page["trials"])
    assert list(page["trials"][0]["config"]) == list(TrialConfig().as_dict())


def test_json_says_what_was_decided(every_state):
    page = as_json(every_state)
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


def test_json_carries_the_records_own_numbers(every_state):
    page = as_json(every_state)
    assert page["trials"][1]["val_ce"] == 0.301234567
    assert page["trials"][1]["gap_ce"] == 0.0456789
    assert page["test"]["ce"] == 0.31234567


def test_json_is_strict_json_with_null_for_what_is_not_there(every_state):
    page = json.loads(json.dumps(as_json(every_state), allow_nan=False))
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


def test_json_lists_the_finalists_with_their_seeds(with_finalists):
    page = as_json(with_finalists)
    finalists = {entry["number"]: entry for entry in page["finalists"]}
    winner = finalists[page["winner"]]
    assert list(winner) == [
        "number", "seeds", "val_ce", "val_accuracy", "gap_ce", "gap_ce_se", "runs", "delivered",
    ]  # fmt: skip
    assert list(winner["runs"][0]) == ["seed", "val_ce", "val_accuracy", "gap_ce", "mlflow_run_id"]
    assert (winner["seeds"], winner["gap_ce_se"], winner["delivered"]) == (3, 0.0123, None)
    assert [run["seed"] for run in winner["runs"]] == [11, 12, 13]
    assert winner["runs"][2]["mlflow_run_id"] == f"run{page['winner']}-0.001"
    assert {
        entry["delivered"] for number, entry in finalists.items() if number != page["winner"]
    } <= {None}


def test_json_carries_frequencies_optimism_and_the_compared_models(with_finalists):
    page = json.loads(json.dumps(as_json(with_finalists), allow_nan=False))
    assert sum(page["frequencies"].values()) == pytest.approx(1)
    validation = with_finalists.delivered.validation.nll.mean()
    assert page["optimism"]["ce"] == pytest.approx(validation - page["test"]["ce"])
    assert page["compared"][str(page["winner"])] == page["test"]
    assert set(page["compared"]) == {str(number) for number in with_finalists.tested}


def test_an_unknown_format_is_named(with_finalists):
    with pytest.raises(InputError, match="unknown format 'pdf'; expected one of text, json"):
        render(with_finalists, "pdf")
