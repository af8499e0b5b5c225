"""All commands through a team's MLflow server: PostgreSQL, artifact proxy, names and passwords."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import requests
import sqlalchemy
from click.testing import CliRunner
from mlflow_servers import served_model, team_server
from postgres import postgres

from pipeline import datasets
from pipeline.cli import main
from pipeline.records import DatasetSpec

pytestmark = pytest.mark.slow

NAME, PASSWORD, ENCODED = "ada", "S3cr3t/Pw of Ada", "S3cr3t%2FPw%20of%20Ada"
SPACE = """\
family: mlp
trials: 4
epochs: 12
patience: 12
fixed: {depth: 1, width: 32, learning_rate: 0.01}
search:
  dropout_rate: {low: 0.0, high: 0.5}
references:
  baseline: {}
"""
MODEL = "models:/digits-least-overfit@champion"


@pytest.fixture(scope="module")
def database():
    with postgres() as server:
        yield server.database()


@pytest.fixture(scope="module")
def port(tmp_path_factory, database):
    with team_server(tmp_path_factory.mktemp("team"), database, f"{NAME}:{PASSWORD}") as port:
        yield port


@pytest.fixture
def by_variables(port):
    """Name and password as MLflow's variables give them."""
    return {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
        "MLFLOW_TRACKING_USERNAME": NAME,
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }


@pytest.fixture
def by_address(port):
    """The same as parts of the address."""
    return {"MLFLOW_TRACKING_URI": f"http://{NAME}:{ENCODED}@127.0.0.1:{port}"}


def run(folder, credentials, *arguments):
    environment = os.environ | credentials | {"XDG_STATE_HOME": str(folder / "state")}
    if find_spec("jax"):
        environment["KERAS_BACKEND"] = "jax"
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_all_commands_work_through_a_teams_server(
    tmp_path, by_address, by_variables, database, monkeypatch
):
    (tmp_path / "space.yaml").write_text(SPACE)
    search = ("search", "--dataset", "digits", "--study", "team", "--search-space", "space.yaml")
    said = [run(tmp_path, by_address, *search)]
    report = ("report", "--study", "team", "--seeds", "1", "--output", "pages")
    said.append(run(tmp_path, by_variables, *report, "--format", "json"))
    again = run(tmp_path, by_address, *report[:3], "--format", "json")
    said.append(again)
    assert json.loads(again.stdout)["winner"] == json.loads(said[1].stdout)["winner"]
    assert json.loads(again.stdout)["model_uri"] == "models:/digits-least-overfit/1"

    images = datasets.load(DatasetSpec("digits")).raw_example()
    np.savez(tmp_path / "new.npz", x=images)
    predict = ("predict", "--model", MODEL, "--input", "new.npz", "--probabilities")
    for credentials in (by_address, by_variables):
        said.append(run(tmp_path, credentials, *predict))
    assert said[-1].stdout == said[-2].stdout
    local = np.loadtxt(said[-1].stdout.splitlines(), delimiter=",", skiprows=1)[:, 3:]
    assert local.shape == (len(images), 10)
    for name, value in by_variables.items():
        monkeypatch.setenv(name, value)
    with served_model(tmp_path, MODEL, monkeypatch, by_variables["MLFLOW_TRACKING_URI"]) as address:
        body = {"inputs": images.tolist()}
        answer = requests.post(f"{address}/invocations", json=body, timeout=60)
    np.testing.assert_allclose(np.array(answer.json()["predictions"]), local, atol=1e-5)

    texts = [(str(done.args), done.stdout + done.stderr) for done in said]
    texts += [
        (str(p), p.read_bytes().decode("latin-1")) for p in tmp_path.rglob("*") if p.is_file()
    ]
    texts.append(("MLflow's tables", tables_of(database)))
    for secret in (PASSWORD, ENCODED):
        assert [place for place, text in texts if secret in text] == []


def tables_of(database):
    """Returns the rows of all tables that hold words of ours."""
    engine = sqlalchemy.create_engine(database)
    with engine.connect() as connection:
        names = ("tags", "params", "experiment_tags", "model_version_tags", "registered_model_tags")
        rows = [connection.execute(sqlalchemy.text(f"SELECT * FROM {n}")).all() for n in names]
    engine.dispose()
    assert rows[0]
    return repr(rows)


@pytest.mark.parametrize(("name", "password"), [(NAME, "an0ther"), ("eve", PASSWORD), (None, None)])
@pytest.mark.parametrize("command", ["search", "report"])
def test_a_wrong_password_is_told_in_a_line(tmp_path, port, monkeypatch, command, name, password):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    if name:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    result = CliRunner().invoke(main, [command, "--study", "x"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: MLflow at http://127.0.0.1:{port} does not let this user in (401, wrong name or "
        "password): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        "MLFLOW_TRACKING_TOKEN, to what the server knows\n"
    )
