"""What holds for every test: the caller's MLflow is not reached, and a test with the mark ``data``
is skipped, visibly, where PIPELINE_DATA_DIR names no folder with official files.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before any of them is imported. pytest rewrites the asserts of tests and of `conftest`s alone:
# one that fails in a helper beside them would say nothing but its line.
HELPERS = [
    path.stem
    for path in Path(__file__).parent.rglob("*.py")
    if path.stem != "conftest" and not path.stem.startswith("test_")
]
pytest.register_assert_rewrite(*HELPERS)

from made_studies import build_study, build_trial  # noqa: E402
from postgres import Server, postgres  # noqa: E402

from pipeline.records import StudyRecord, TrialRecord  # noqa: E402

# Before anything imports TensorFlow: its greetings are not what a failing test should show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

MLFLOW_ADDRESSES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder that a test works in, without official files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh store: migrating one takes longer than a search by script."""
    from pipeline import tracking

    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        for name in MLFLOW_ADDRESSES:
            patch.delenv(name, raising=False)
        # MLflow puts the files of its own default experiment under the folder it is called in.
        patch.chdir(path.parent)
        tracking.connect(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL of the tests' own."""
    with postgres() as server:
        yield server


@pytest.fixture
def database(postgres_server: Server) -> str:
    """The address of an empty database of PostgreSQL."""
    return postgres_server.database()


@pytest.fixture(autouse=True)
def _no_mlflow_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*MLFLOW_ADDRESSES, "PIPELINE_STORAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_state_of_the_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="module")
def ray_instance() -> Iterator[None]:
    """Ray on this machine, which executors of the module join: starting it takes seconds."""
    ray = pytest.importorskip("ray")
    from pipeline.search.executors.ray.cluster import make_own_token

    # Outside the patch: Ray remembers it for as long as this process lives.
    make_own_token()
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        # What its processes inherit, and no worker may see.
        patch.setenv("MLFLOW_TRACKING_URI", "http://user:pass@nowhere")
        ray.init(
            "local",
            # More than there are: one stays with an executor that tests of a module share.
            num_cpus=4,
            num_gpus=1,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
        )
    yield
    ray.shutdown()


@pytest.fixture
def make_trial() -> Callable[..., TrialRecord]:
    return build_trial


@pytest.fixture
def make_study() -> Callable[..., StudyRecord]:
    return build_study


def pytest_runtest_setup(item: pytest.Item) -> None:
    folder = os.environ.get("PIPELINE_DATA_DIR")
    if item.get_closest_marker("data") and not (folder and Path(folder).is_dir()):
        pytest.skip("PIPELINE_DATA_DIR is not set to a folder with the official files")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write the golden pages anew")
