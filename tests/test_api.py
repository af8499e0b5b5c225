"""The Python interface: the options of the commands as arguments, data in memory, notebooks."""

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from real_studies import REAL_STUDY

import pipeline
from pipeline import api, arguments, notebook, report, search
from pipeline.cli import main
from pipeline.cli_study import report as report_command
from pipeline.cli_study import run as run_command
from pipeline.cli_study import search as search_command
from pipeline.datasets.given import path_of
from pipeline.errors import InputError
from pipeline.records import DataOptions
from pipeline.report.options import ReportOptions
from pipeline.search.options import SearchOptions
from pipeline.search.progress import Snapshot
from pipeline.selection.rules import constants

ROOT = Path(__file__).parents[1]
SHOWN_ONLY = {
    "dry_run", "format_", "output", "max_gap", "min_accuracy", "quiet", "verbose",
}  # fmt: skip
"""What a command shows or checks of a result that a program has in its hands."""
OF_RUN = {"seeds", "finalists"}
"""What a search knows of the report that follows in `pipeline run`, for the time that it tells."""


CHOSEN = {"auto_workers", "workers_per_gpu"}
"""What `--workers` and the machine's GPUs come to."""


def frame(n=120):
    values = np.random.default_rng(0).normal(size=(n, 3))
    table = pd.DataFrame(values, columns=["a", "b", "c"])
    table["kind"] = pd.Categorical(np.where(values[:, 2] > 0, "u", "v"))
    return table.assign(label=np.where(values[:, 0] > 0, "yes", "no"))


@pytest.mark.parametrize(
    ("function", "command", "record"),
    [
        (api.search, search_command, SearchOptions),
        (api.report, report_command, ReportOptions),
    ],
)
def test_every_option_is_an_argument_and_the_reverse(function, command, record):
    names = set(inspect.signature(function).parameters) - {"progress", "constants"}
    options = {option.name for option in command.params} - SHOWN_ONLY
    assert names == options - {constant.name for constant in constants()}
    # And each goes into the record that the search or the report is made by, under its name.
    kept = {field.name.removesuffix("_seconds") for field in fields(record)}
    kept -= {"constants", "data"} | CHOSEN
    kept |= {field.name for field in fields(DataOptions)} if record is SearchOptions else set()
    assert names == kept - (OF_RUN if record is SearchOptions else set())


def test_run_has_the_options_of_both():
    names = {option.name for option in run_command.params}
    both = {option.name for one in (search_command, report_command) for option in one.params}
    assert both - names == {"read_test_again"}
    assert names <= both


def argument_defaults(function):
    parameters = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is not one.VAR_KEYWORD}


def test_defaults_are_those_of_the_command(folder):
    assert arguments.search_options(argument_defaults(api.search)) == SearchOptions()
    asked = arguments.report_options(argument_defaults(api.report) | {"constants": {}})
    assert asked == ReportOptions()


def test_the_environment_may_name_the_storage(monkeypatch):
    given = argument_defaults(api.search)
    monkeypatch.setenv("PIPELINE_STORAGE", "named.journal")
    assert arguments.search_options(given).storage == "named.journal"
    mine = arguments.search_options(given | {"storage": "mine.journal"})
    assert mine.storage == "mine.journal"


class NotedError(Exception):
    """Stops a command where it would begin to work."""


CASES = {
    "search": [
        (
            "--dataset my.csv --label kind --drop a,b --categorical c --text t --group g "
            "--order-by o --split s --delimiter ; --decimal , --classes --image-size 8x9 "
            "--color rgb --ignore x --search-space my.yaml --family my.py:build --trials 3 "
            "--timeout 1h --trial-timeout 90s --max-failures 2 --epochs 4 --train-examples 50 "
            "--seed 7 --study first --storage my.journal --no-references --sampler grid "
            "--pruner none --executor ray --workers 2 --cohort-size 6 --device cpu "
            "--precision mixed_bfloat16 --data-dir . "
            "--ray-address head:6379 --cpus-per-worker 3 --gpus-per-worker 0.25",
            {
                "dataset": Path("my.csv"), "label": "kind", "drop": ["a", "b"],
                "categorical": ["c"], "text": "t", "group": "g", "order_by": "o", "split": "s",
                "delimiter": ";", "decimal": ",", "classes": True, "image_size": (8, 9),
                "color": "rgb", "ignore": ["x"], "search_space": Path("my.yaml"),
                "family": "my.py:build", "trials": 3, "timeout": 3600, "trial_timeout": "90s",
                "max_failures": 2, "epochs": 4, "train_examples": 50, "seed": 7,
                "study": "first", "storage": "my.journal", "references": False,
                "sampler": "grid", "pruner": "none", "executor": "ray", "workers": 2,
                "ray_address": "head:6379", "cpus_per_worker": 3, "gpus_per_worker": 0.25,
                "cohort_size": 6, "device": "cpu", "precision": "mixed_bfloat16",
                "data_dir": ".",
            },
        ),
        ("--epochs auto --study auto --timeout auto", {}),
        ("--workers auto", {"workers": "auto"}),
    ],
    "report": [
        (
            "--study first --dataset digits --rule best_val --k 2 --epsilon 0.5 --seeds 4 "
            "--finalists 3 --deliver single --trial-timeout 2m --data-dir . --family my.py:build "
            "--workers 2 --ray-address head:6379 --cpus-per-worker 3 --gpus-per-worker 0.25 "
            "--read-test-again --promote",
            {
                "study": "first", "dataset": "digits", "rule": "best_val", "k": 2.0,
                "epsilon": 0.5, "seeds": 4, "finalists": 3, "deliver": "single",
                "trial_timeout": 120, "data_dir": Path(), "family": "my.py:build", "workers": 2,
                "ray_address": "head:6379", "cpus_per_worker": 3, "gpus_per_worker": 0.25,
                "read_test_again": True, "promote": True,
            },
        ),
        ("--seeds auto --tau auto", {}),
        ("--workers auto", {"workers": "auto"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words", "given"),
    [(name, *case) for name, cases in CASES.items() for case in cases],
)
def test_a_command_and_its_function_ask_for_the_same(folder, monkeypatch, name, words, given):
    asked = []

    def note(options, *_):
        asked.append(options)
        raise NotedError

    monkeypatch.setattr("pipeline.prepared_search.prepare", note)
    monkeypatch.setattr("pipeline.report.run.make_report", note)
    with pytest.raises(NotedError):
        main(["--debug", name, *words.split()], standalone_mode=False)
    with pytest.raises(NotedError):
        getattr(api, name)(**given, progress=False)
    first, second = asked
    assert first == second
    if len(given) > 1:
        usual = type(first)()
        same = {o.name for o in fields(first) if getattr(first, o.name) == getattr(usual, o.name)}
        assert same == {"auto_workers"} | (OF_RUN | CHOSEN if name == "search" else set())


def test_the_packages_of_these_names_are_the_functions_too(monkeypatch):
    from pipeline.search import study  # binds the package's name to the package

    assert study.__name__ == "pipeline.search.study"
    monkeypatch.setattr(api, "search", lambda *args, **options: ("search", args, options))
    monkeypatch.setattr(api, "report", lambda *args, **options: ("report", args, options))
    assert search("digits", trials=3) == ("search", ("digits",), {"trials": 3})
    assert report(seeds=1) == ("report", (), {"seeds": 1})
    assert pipeline.load_study is api.load_study
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'tune'"):
        pipeline.tune  # noqa: B018


def test_a_light_import():
    code = "import sys, pipeline.api; print({'optuna', 'mlflow', 'keras'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"timeout": "soon"},
            "timeout: 'soon' is no duration; expected 90s, 30m, 1h30m or",
        ),
        ({"trial_timeout": 0}, "trial_timeout: '0' is no duration; expected 90s"),
        ({"image_size": "32"}, "image_size: '32' is no size; expected HEIGHTxWIDTH, such as 32x32"),
        ({"drop": "a,b"}, "drop='a,b' is a text; expected a list of names"),
        ({"data_dir": "nowhere"}, "data_dir: nowhere is no folder"),
        ({"dataset": 3}, "a int is no dataset: expected a dataset's name, a path, a data frame"),
        ({"dataset": "digitz"}, "did you mean 'digits'?"),
        ({"dataset": ([["b", "a"]], [1])}, "'x' has dtype <U1; expected numbers"),
        (
            {"dataset": {"x": [None, 2.0], "y": [0, 1]}},
            "the array 'x' holds objects (None",
        ),
        ({"executor": "ray2"}, "ray2"),
        ({"trials": 0}, "trials=0: expected at least 1"),
        ({"workers": 0}, "workers=0: expected at least 1"),
        ({"workers": "aut"}, "workers='aut': expected a whole number or 'auto' (did you mean 'au"),
        ({"workers": True}, "workers=True: expected a whole number"),
        ({"epochs": 2.5}, "epochs=2.5: expected a whole number"),
        ({"device": "tpu"}, "device='tpu': expected one of auto, cpu, gpu"),
        ({"sampler": "cma"}, "sampler='cma': expected one of tpe, random, grid, qmc"),
        ({"seed": -1}, "seed=-1: expected a number from 0 to 2147483647"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(folder, wrong, told):
    with pytest.raises(InputError) as caught:
        api.search(**wrong, progress=False)
    assert told in str(caught.value)
    assert not (folder / "studies.journal").exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"seeds": 0}, "seeds=0: expected at least 1"),
        ({"finalists": 1}, "finalists=1: expected at least 2"),
        ({"workers": "2"}, "workers='2': expected a whole number or 'auto'"),
        ({"rule": "smallest_gap"}, "smallest_gap"),
        ({"kappa": 2.0}, "kappa"),
        ({"trial_timeout": "x"}, "trial_timeout: 'x' is no duration"),
    ],
)
def test_a_wrong_argument_of_a_report_is_refused_in_one_line(folder, wrong, told):
    with pytest.raises(InputError, match=told):
        api.report("nothing", **wrong, progress=False)


def test_data_in_memory_are_kept_once_and_read_back_the_same(folder):
    first = path_of(frame(), "my study/1")
    assert first == path_of(frame(), "my study/1")
    assert Path(first).name.startswith("my-study-1-")
    assert path_of(frame(121)) != path_of(frame())
    assert pd.read_parquet(first).astype({"kind": "category"}).equals(frame())
    inputs, labels = np.eye(4, dtype=np.float32), np.array(["a", "b", "a", "b"], dtype=object)
    with np.load(path_of((inputs, labels))) as arrays:
        assert arrays["x"].tolist() == inputs.tolist()
        assert arrays["y"].tolist() == ["a", "b", "a", "b"]
    assert sorted(Path("given-data").glob("*.partial")) == []
    assert path_of("digits") == "digits"
    assert path_of(Path("my.csv")) == "my.csv"


def test_a_frame_of_mixed_objects_is_refused(folder):
    with pytest.raises(InputError, match="the data frame cannot be kept as Parquet"):
        path_of(pd.DataFrame({"a": [1, "b", 2.0]}))


class Display:
    """Stands in for IPython's: keeps what was shown."""

    def __call__(self, page, display_id):
        assert display_id
        self.shown = [page._repr_html_()]
        return self

    def update(self, page):
        self.shown.append(page._repr_html_())


def test_a_notebook_shows_a_bar_and_the_newest_lines():
    display = Display()
    view = notebook.NotebookView(display, lines=2)
    for line in ("one", "<b>two</b>", "three"):
        view.note(line)
    view.show(Snapshot(8, 3, 0, 1, (), "trial 2 <l2>", 20.0, None))
    shown = display.shown[-1]
    assert '<progress max="8" value="3"></progress> <b>3/8 trials, 1 failed</b>, 20 s' in shown
    assert "best so far: trial 2 &lt;l2&gt;" in shown
    assert "&lt;b&gt;two&lt;/b&gt;<br>three" in shown
    assert "one" not in shown


def test_no_notebook_no_display():
    assert notebook.display_of() is None


def test_a_page_in_a_frame_stays_apart():
    framed = notebook.framed('<p title="x">&</p>')
    assert 'srcdoc="&lt;p title=&quot;x&quot;&gt;&amp;&lt;/p&gt;"' in framed


def outputs(cell):
    return [entry["data"] for entry in cell.outputs if "data" in entry]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook of the docs after all its cells ran, and the folder that it ran in."""
    where = tmp_path_factory.mktemp("notebook")
    document = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("IPYTHONDIR", str(where / "ipython"))
        client = NotebookClient(document, timeout=600, resources={"metadata": {"path": str(where)}})
        client.execute()
    return document, where


class TestNotebook:
    pytestmark = REAL_STUDY

    def test_every_cell_shows_what_it_promises(self, executed):
        document, _ = executed
        cells = [cell for cell in document.cells if cell.cell_type == "code"]
        shown = "".join(str(data.get("text/html", "")) for data in outputs(cells[1]))
        assert "<progress" in shown
        assert "12/12 trials" in shown
        assert "study &#x27;wine&#x27; on wine-" in shown
        (page,) = [data for data in outputs(cells[3]) if "<iframe" in data.get("text/html", "")]
        assert "overfits least" in page["text/plain"]
        assert "'ok'" in outputs(cells[4])[0]["text/plain"]
        assert outputs(cells[6])[-1]["text/plain"] == "True"

    def test_the_study_continues_on_the_command_line(self, executed):
        _, where = executed

        def pipeline_says(*words):
            command = [sys.executable, "-m", "pipeline", *words]
            done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        found = json.loads(pipeline_says("report", "--study", "wine", "--format", "json"))
        assert (found["status"], found["test"]["reads"]) == ("ok", 1)
        (data,) = (where / "given-data").glob("wine-*.parquet")
        continued = ("--study", "wine", "--label", "target", "--epochs", "12", "--trials", "13")
        pipeline_says("search", "--dataset", str(data.relative_to(where)), *continued)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(where)
            assert len(api.load_study("wine").trials) == 13
