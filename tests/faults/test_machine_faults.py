"""Machines of a Ray cluster and searches on it that are killed at random instants."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_machines.py")


@pytest.mark.slow
def test_machines_and_searches_that_are_killed_at_random_instants_lose_nothing():
    pytest.importorskip("ray")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "3", "--seed", "2"],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("killed: ")
    assert done.stdout.endswith("nothing lost, nothing twice, same winner\n")
