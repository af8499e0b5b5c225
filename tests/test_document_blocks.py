"""Every block of code in README and docs is executed by a test, or says here why it is not."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.search.space import space

ROOT = Path(__file__).parents[1]
PARSED = "parsed: test_documents.py::test_commands_in_the_documents_parse; not run, because "
TESTED = "executed: "
BLOCKS = {
    ("README.md", "scripts/demo "): PARSED + "CI is that very test command; "
    "test_cli.py runs the demo's commands",
    ("README.md", "Study 'demo'"): "output, not code",
    ("README.md", "source .venv"): TESTED + "test_document_blocks.py::"
    "test_the_readme_s_commands_for_a_table_of_one_s_own",
    ("README.md", "from pipeline"): TESTED + "test_document_blocks.py::"
    "test_the_readme_s_python_for_a_data_frame",
    ("examples/README.md", "cp "): TESTED + "test_examples.py::"
    "test_the_readme_keeps_the_addresses_for_their_owner",
    ("examples/README.md", "scripts/install --extra postgresql"): PARSED + "it installs; "
    "test_examples.py runs submit.sh and what it submits",
    (
        "examples/README.md",
        "scripts/install --extra ray --extra",
    ): "it installs; test_examples.py runs the script, SLURM stood in for",
    ("examples/README.md", "docker "): "there is no Docker where the tests run",
    ("examples/README.md", "kubectl "): "a cluster; test_examples.py runs the Jobs' containers",
    (
        "examples/README.md",
        "scripts/install --extra ray &&",
    ): "machines reached by SSH; test_examples.py runs search.sh",
    ("docs/architecture.md", "__init__.py"): "the tree of files, which test_documents.py writes",
    ("docs/commands.md", "source .venv"): PARSED + "it trains for hours, on data that a test lacks",
    ("docs/commands.md", "eval "): TESTED + "test_cli_completion.py::"
    "test_the_script_for_a_shell_is_printed",
    ("docs/data.md", "pipeline search --dataset my.npz"): PARSED
    + "test_cli.py searches .npz files",
    ("docs/data.md", "pipeline datasets show"): PARSED + "the file is a reader's; "
    "the same four commands run for README",
    (
        "docs/data.md",
        "model = keras",
    ): "a fragment; tests/predict/test_raw_tables.py loads such a model",
    ("docs/data.md", "pipeline search --dataset visits"): PARSED + "the file is a reader's",
    ("docs/experiments.md", "## YYYY"): "the form of an entry, not code",
    ("docs/faults.md", ".venv/bin/python"): PARSED + "hours; tests/faults runs smaller counts",
    ("docs/mlflow-ui.md", ".venv/bin/mlflow"): "a server; browser.py starts it for the pictures",
    ("docs/mlflow-ui.md", "pipeline predict"): PARSED + "the file is a reader's",
    ("docs/mlflow-ui.md", "export "): "a server; tests/tracking/models serves a model over HTTP",
    ("docs/mlflow-ui.md", "optuna-dashboard"): "a package of its own, which is not a dependency",
    ("docs/mlflow.md", ".venv/bin/mlflow"): "a server; browser.py starts it for the pictures",
    ("docs/mlflow.md", "pip install"): "it installs and serves to a network; "
    "tests/tracking/test_team_server.py starts such a server on this machine",
    ("docs/mlflow.md", "import mlflow"): TESTED + "test_document_blocks.py::"
    "test_the_readme_s_commands_for_a_table_of_one_s_own",
    ("docs/own-model.md", "pipeline space"): TESTED + "test_own_model_study.py::"
    "test_the_pages_commands_search_report_predict_and_serve",
    ("docs/own-model.md", "import keras"): TESTED + "test_own_model_study.py::"
    "test_the_pages_function_makes_a_model_for_each_of_its_references",
    ("docs/own-model.md", "family: own"): TESTED + "test_own_model_study.py::"
    "test_the_pages_function_makes_a_model_for_each_of_its_references",
    ("docs/own-model.md", "from pipeline"): TESTED + "test_own_model_study.py::"
    "test_a_mistake_fails_its_trial_and_the_pages_python_goes_on",
    ("docs/scale.md", "# one machine"): PARSED + "the machines are a reader's; "
    "tests/search/test_ray_cluster.py searches on a cluster",
    ("docs/scale.md", "export MLFLOW_TRACKING_URI"): PARSED + "the servers are a reader's; "
    "tests/test_shared_commands.py runs these commands on servers of its own",
    ("docs/scale.md", ".venv/bin/python tests/faults"): PARSED + "minutes; "
    "tests/faults/test_shared_faults.py kills a few",
    ("docs/search-spaces.md", "pipeline space"): PARSED + "tests/search/test_proposal.py proposes "
    "spaces, and test_cli.py searches with one",
    ("docs/search-spaces.md", "sampler: tpe"): TESTED + "test_document_blocks.py::"
    "test_the_page_s_sampler_and_pruner_are_valid_in_a_space",
}
"""(page, how the block begins) -> where it is executed, or why it is not."""


def blocks() -> list[tuple[str, str]]:
    """Returns the blocks of all pages: the page's name and the text."""
    pages = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
    pages = ["README.md", "examples/README.md", *pages]
    return [
        (page, found)
        for page in pages
        for found in re.findall(
            r"^```\w*\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S
        )
    ]


def block(page: str, beginning: str) -> str:
    (found,) = (text for name, text in blocks() if name == page and text.startswith(beginning))
    return found


def test_every_block_says_where_it_is_executed_or_why_it_is_not():
    known = set()
    for page, text in blocks():
        fitting = [key for key in BLOCKS if key[0] == page and text.startswith(key[1])]
        assert len(fitting) == 1, f"{page}: {text[:60]!r}"
        known.update(fitting)
    assert known == set(BLOCKS), "a block that is named here is gone"


def test_the_tests_that_execute_blocks_are_there():
    for reason in BLOCKS.values():
        if reason.startswith(TESTED):
            name, _, test = reason.removeprefix(TESTED).partition("::")
            assert f"def {test}(" in (ROOT / "tests" / name).read_text("utf-8"), reason


def test_the_page_s_sampler_and_pruner_are_valid_in_a_space(tmp_path):
    shipped = (ROOT / "search_spaces" / "digits.yaml").read_text("utf-8")
    chosen = space.parse((block("docs/search-spaces.md", "sampler") + shipped).encode(), tmp_path)
    assert (chosen.sampler, chosen.pruner) == ("tpe", "percentile")


def flowers(num: int) -> pd.DataFrame:
    """Returns a table of two numbers and a word that tell two kinds apart."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, num)
    return pd.DataFrame(
        {
            "length": (kind + rng.normal(0, 0.4, num)).round(2),
            "width": rng.normal(0, 1, num).round(2),
            "place": np.where(rng.random(num) < 0.5, "dune", "wood"),
            "kind": np.where(kind == 1, "rose", "tulip"),
        }
    )


def output_of(command: str, *, code: bool = False) -> str:
    """Returns what a page's ``pipeline ...``, or its Python, prints where this process is."""
    words = ["-c", command] if code else ["-m", *command.split()]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_readme_s_commands_for_a_table_of_one_s_own(tmp_path, monkeypatch):
    flowers(240).rename(columns={"kind": "label"}).to_csv(tmp_path / "my.csv", index=False)
    flowers(5).drop(columns="kind").to_csv(tmp_path / "new.csv", index=False)
    activate, *commands = block("README.md", "source .venv").splitlines()
    assert activate == "source .venv/bin/activate"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    outputs = [output_of(command) for command in commands]
    assert "of 30 trials" in outputs[0]
    assert len(outputs[2].splitlines()) == 6
    code = block("docs/mlflow.md", "import mlflow").replace("digits-least", "my-least")
    assert output_of(f"{code}print(model.output_shape)", code=True) == "(None, 2)\n"


@pytest.mark.slow
def test_the_readme_s_python_for_a_data_frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flowers(240).to_csv(tmp_path / "flowers.csv", index=False)
    frame = "import pandas\nframe = pandas.read_csv('flowers.csv')\n"
    code = frame + block("README.md", "from pipeline")
    assert output_of(f"{code}print(len(study.trials))", code=True).endswith("30\n")
