"""A technique is one entry and a family one file: each is searched and reported without more."""

import importlib
import json
import sys

import pytest
from added_technique import MIN_NORM
from click.testing import CliRunner
from mlflow import MlflowClient

from pipeline.cli import main
from pipeline.records import TrialConfig
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.importance import _columns
from pipeline.report.evidence.place import places
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select
from pipeline.tracking import connect
from pipeline.tracking.views import tried
from pipeline.training import models
from pipeline.training.techniques import TECHNIQUES

pytestmark = pytest.mark.filterwarnings(
    # As in tests/training/conftest.py: Keras 3.15 saves a model by copies that NumPy warns of.
    "ignore:__array__ implementation:DeprecationWarning",
)

SPACE = """\
family: {family}
trials: 24
epochs: 2
patience: 2
fixed: {{width: 16, batch_size: 64, learning_rate: 0.01}}
search: {{{search}}}
references:
  baseline: {{}}
  {reference}
"""

HOURGLASS = '''
"""Hourglass: a wide layer, a narrow one, a wide one."""

from pipeline.training.architecture import Dense, Flatten
from pipeline.training.techniques import regularized_layers

HYPERPARAMETERS = ("width",)


def layers(config, input_shape):
    """Returns the hidden layers."""
    stack = [Flatten()] if len(input_shape) > 1 else []
    for units in (config.width, config.width // 4, config.width):
        stack += regularized_layers(Dense(units), config, normalized=config.batch_norm)
    return tuple(stack)
'''


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs a command in this process, in a folder of its own; returns its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)

    def command(*arguments):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    return command


def search(call, tmp_path, **texts):
    """Searches a small space on digits with real training; returns the report as JSON."""
    (tmp_path / "space.yaml").write_text(SPACE.format(**texts))
    call("search", "--dataset", "digits", "--train-examples", "300", "--executor", "inline",
         "--search-space", "space.yaml", "--study", "extended", "--device", "cpu")  # fmt: skip
    return json.loads(call("report", "--seeds", "1", "--format", "json"))


def test_a_technique_added_as_one_entry_is_searched_and_reported(call, tmp_path, monkeypatch):
    monkeypatch.setitem(TECHNIQUES, "min_norm", MIN_NORM)
    told = search(
        call,
        tmp_path,
        family="mlp",
        search="min_norm: {low: 0.5, high: 3.0}",
        reference="small: {min_norm: 0.75}",
    )
    configs = [trial["config"] for trial in told["trials"]]
    assert "min_norm" not in configs[0] and configs[1]["min_norm"] == 0.75
    assert sum("min_norm" in config for config in configs) == 23

    study = connect("sqlite:///mlflow.db").read_study("extended")
    assert [trial.config.as_dict() for trial in study.trials] == configs
    report = Report(study, select(study, RuleSettings()))
    evidence = evidence_of(report)
    (effect,) = (e for e in evidence.isolation.effects if e.technique == "min_norm")
    assert (effect.num_trials, effect.differs) == (23, ())
    assert "weight_decay" not in [effect.technique for effect in evidence.isolation.effects]
    text = call("report", "--seeds", "1")
    assert "\nmin norm " in text.partition("What each technique buys")[2]
    assert "min norm " in call("report", "--seeds", "1", "--format", "markdown")
    assert list(_columns(study.trials)) == ["min_norm"]
    (place,) = places(study, TrialConfig(min_norm=3.0))
    assert (place.name, place.edge) == ("min_norm", "high")
    client = MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_run(study.run_id).info.experiment_id
    columns = tried(client, experiment)
    assert "min_norm" in columns and "weight_decay" not in columns


@pytest.fixture
def hourglass(tmp_path, monkeypatch):
    folder = tmp_path / "families"
    folder.mkdir()
    (folder / "hourglass.py").write_text(HOURGLASS)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])
    importlib.invalidate_caches()
    yield
    sys.modules.pop("pipeline.training.models.hourglass", None)
    vars(models).pop("hourglass", None)


@pytest.mark.usefixtures("hourglass")
def test_a_family_added_as_one_file_is_searched_and_reported(call, tmp_path):
    told = search(
        call,
        tmp_path,
        family="hourglass",
        search="dropout_rate: {low: 0.0, high: 0.5}",
        reference="decay: {weight_decay: 0.01}",
    )
    assert {trial["config"]["family"] for trial in told["trials"]} == {"hourglass"}
    assert told["status"] == "ok" and told["model_uri"]
    assert "hourglass" in call("report", "--seeds", "1", "--format", "markdown")
    (tmp_path / "deep.yaml").write_text((tmp_path / "space.yaml").read_text().replace(
        "fixed: {", "fixed: {depth: 2, "))  # fmt: skip
    refused = CliRunner().invoke(main, ["search", "--dataset", "digits", "--search-space",
                                        "deep.yaml", "--dry-run"])  # fmt: skip
    assert "the family hourglass has no depth; expected one of width, " in refused.stderr
