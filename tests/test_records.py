"""The configuration of a trial: which names it takes, whatever was imported before."""

import subprocess
import sys

import pytest

BEFORE = "from pipeline.records import TrialConfig\n"
AFTER = "import pipeline.training.techniques\n" + BEFORE


def run(code: str) -> str:
    """Runs code in a fresh process; returns the last line of its output or of its error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return (done.stdout or done.stderr).splitlines()[-1]


@pytest.mark.parametrize("imported", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("made", ["TrialConfig(foo=1)", "TrialConfig.from_dict({'foo': 2})"])
def test_an_unknown_name_is_refused_in_a_fresh_process(imported, made):
    said = run(f"{imported}{made}")
    assert said.startswith("TypeError: a trial has no hyperparameter 'foo'")
    assert said.endswith("techniques is imported") == (imported == BEFORE)


def test_a_techniques_name_waits_for_its_table():
    """Its default is not known before, so two equal configs would differ."""
    said = run(f"{BEFORE}TrialConfig(weight_decay=0.0)")
    assert said == (
        "TypeError: a trial has no hyperparameter 'weight_decay': those of techniques are known "
        "once pipeline.training.techniques is imported"
    )
    assert run(f"{AFTER}print(TrialConfig(weight_decay=0.0) == TrialConfig())") == "True"


@pytest.mark.parametrize("module", ["tracking.codec", "search.space.space", "report.report"])
def test_whatever_makes_configs_has_the_table(module):
    code = f"import pipeline.{module}\n{BEFORE}print(TrialConfig(weight_decay=0.01).weight_decay)"
    assert run(code) == "0.01"


def test_a_config_arrives_in_a_process_without_the_table():
    code = (
        f"{AFTER}import pickle, subprocess, sys\n"
        "sent = pickle.dumps(TrialConfig(weight_decay=0.01)).hex()\n"
        "code = f'import pickle; print(pickle.loads(bytes.fromhex({sent!r})).weight_decay)'\n"
        "print(subprocess.check_output([sys.executable, '-c', code], text=True).strip())"
    )
    assert run(code) == "0.01"
