"""Searches that share a study, killed at random instants: a few here, the full count by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_shared.py")


@pytest.mark.slow
def test_searches_that_are_killed_at_random_instants_lose_nothing_of_the_study_they_share():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "3", "--seed", "2", "--signals", "KILL", "INT"],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("3 x KILL/INT, "), done.stdout
    assert done.stdout.endswith("nothing lost, nothing twice\n")
