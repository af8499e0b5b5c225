"""The examples for clusters are well formed, show no password, and their commands run, here.

What a cluster has and this machine lacks is stood in for by small scripts (``STANDINS``): sbatch,
srun and scontrol, and the image's programs. Nothing of a Job or script is left out but the numbers.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from kubernetes_schema import SCHEMAS
from postgres import postgres
from ruamel.yaml import YAML

from pipeline import tracking
from pipeline.search import executors, storage

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SHELL_SCRIPTS = sorted(path.relative_to(ROOT).as_posix() for path in EXAMPLES.rglob("*.sh"))
ADDRESSES = (
    "PIPELINE_STORAGE", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)  # fmt: skip
AT_ONCE = hasattr(storage, "several_may_search")
"""Whether several searches may work on one study at the same time."""
SMALL = {"search": "--epochs 1 --train-examples 300 --no-references", "report": "--seeds 1"}

STANDINS = {
    # The installed command, with less to train, and a note of what it was called with.
    "pipeline": """#!/bin/bash
words="$*"; echo "$words" >> "$NOTES/pipeline"  # in one piece: two may write at once
case "$1" in search) more="{search}" ;; report) more="{report}" ;; esac
exec "{python}" -m pipeline "$@" $more
""",
    "python": '#!/bin/bash\nexec "{python}" "$@"\n',
    # A job runs at once, two members of an array where {at_once} says that they may.
    "sbatch": """#!/bin/bash
words="$*"; echo "$words" >> "$NOTES/sbatch"
script=${{!#}}
export SLURM_SUBMIT_DIR=$PWD SLURM_JOB_ID=77 SLURM_JOB_NUM_NODES=1 SLURM_CPUS_PER_TASK=2
export SLURM_JOB_NODELIST=node SLURM_ARRAY_TASK_ID
members=$(grep -q '^#SBATCH --array=' "$script" && echo 1 2 || echo 1)
for SLURM_ARRAY_TASK_ID in $members; do
    bash "$script" >> "$NOTES/log" 2>&1 & running="$running $!"
    [ "{at_once}" = True ] || wait $! || exit
done
for one in $running; do wait "$one" || exit; done
echo "$SLURM_JOB_ID;cluster"
""",
    "srun": """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
""",
    "scontrol": "#!/bin/bash\necho 127.0.0.1\n",
    # `ray symmetric-run` by its own three steps: its `ray stop` would end every Ray of the machine.
    "ray": """#!/bin/bash
[ "$1" = symmetric-run ] || exec "{ray}" "$@"
"{python}" -c 'import sys
from ray.scripts.symmetric_run import curate_and_validate_ray_start_args as check
check(sys.argv[2:sys.argv.index("--")])' "$@" || exit
while [ "$1" != -- ]; do [ "$1" != --address ] || address=$2; shift; done
shift
folder=$(mktemp -d {short}/XXX)
end() {{
    "{python}" -c 'import os, psutil
for process in psutil.process_iter(["environ"]):
    mark = (process.info["environ"] or {{}}).get("RAY_OF_THE_TEST")
    if mark == os.environ["RAY_OF_THE_TEST"] and process.pid != os.getpid():
        process.kill()'
    rm -rf "$folder"
}}
trap end EXIT
export RAY_USAGE_STATS_ENABLED=0 RAY_OF_THE_TEST=$folder
"{ray}" start --head --node-ip-address=127.0.0.1 --port="${{address#*:}}" --temp-dir="$folder" \
    --num-cpus 2 --include-dashboard=false --object-store-memory 100000000 >&2 || exit
"$@"
""",
}


def yaml(name):
    return YAML(typ="safe").load((EXAMPLES / name).read_text("utf-8"))


def addresses():
    lines = (EXAMPLES / "addresses.env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


# Form


@pytest.mark.parametrize("name", SHELL_SCRIPTS)
def test_a_script_passes_the_linter_and_stops_at_a_failure(name):
    linter = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [linter, "-x", "-o", "all", "-e", "SC2250", name], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert (ROOT / name).stat().st_mode & 0o111
    assert "\nset -euo pipefail\n" in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("name", ["secret", "search", "report"])
def test_a_kubernetes_file_has_the_fields_of_its_kind_and_no_others(name):
    document = yaml(f"kubernetes/{name}.yaml")
    jsonschema.validate(document, SCHEMAS[document["kind"]])
    document["spec"] = {"replicas": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMAS[document["kind"]])


def test_what_a_pod_names_is_there():
    secret = yaml("kubernetes/secret.yaml")["metadata"]["name"]
    for name in ("search", "report"):
        pod = yaml(f"kubernetes/{name}.yaml")["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert [entry["secretRef"]["name"] for entry in container["envFrom"]] == [secret]
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


def test_the_cluster_of_ray_is_one_by_rays_own_schema_and_preparation():
    import ray
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster = json.loads(json.dumps(yaml("ray/cluster.yaml")))
    schema = Path(ray.__file__).with_name("autoscaler") / "ray-schema.json"
    jsonschema.validate(cluster, json.loads(schema.read_text("utf-8")))
    prepared = prepare_config(cluster)
    validate_config(prepared)
    assert prepared["max_workers"] == len(cluster["provider"]["worker_ips"])
    # What is copied is here, but for what is the user's alone.
    own = ("~/addresses.env", "~/.ray/auth_token")
    assert [path for path in cluster["file_mounts"].values() if path not in own] == ["."]
    for line in (*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]):
        assert line.endswith("ray stop") or "RAY_AUTH_MODE=token " in line
    for line in cluster["setup_commands"]:
        for path in re.findall(r"~/least-overfit/(\S+)", line):
            assert (ROOT / path).is_file(), line


def test_the_image_is_made_of_files_that_are_here_and_of_the_lock():
    text = (EXAMPLES / "docker" / "Dockerfile").read_text("utf-8")
    ignored = (EXAMPLES / "docker" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)", text, re.M)
        for source in line.split()[:-1]
    ]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, "the rest is not sent to the daemon"
    assert len(sources) == sum(line.startswith("!") for line in ignored)
    syncs = re.findall(r"uv sync ([^\n]*)", text)
    assert len(syncs) == 2 and all(sync.startswith("--frozen") for sync in syncs)
    extras = set(re.findall(r"--extra (\w+)", text))
    assert extras == {"gpu", "postgresql", "ray"}
    lock = (ROOT / "uv.lock").read_text("utf-8")
    assert all(f"extra == '{extra}'" in lock for extra in extras)


def test_secrets_are_in_the_environment_alone():
    assert tuple(addresses()) == ADDRESSES
    assert yaml("kubernetes/secret.yaml")["stringData"] == addresses()
    for path in EXAMPLES.rglob("*"):
        if path.is_file() and path.name not in ("addresses.env", "secret.yaml", "README.md"):
            text = path.read_text("utf-8")
            assert "--storage" not in text and "CHANGE-ME" not in text, path
            assert not re.search(r"(echo|printf).*(PIPELINE_STORAGE|MLFLOW_)", text), path


# Runs


@pytest.fixture(scope="module")
def database():
    with postgres() as server:
        yield server


@pytest.fixture
def site(tmp_path, migrated, tmp_path_factory):
    """A place with the examples, and with stand-ins for what this machine lacks."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    shutil.copy(migrated, tmp_path / "mlflow.db")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    # Ray's sockets lie below it, and their paths must not be long.
    short = Path("/tmp" if Path("/tmp").is_dir() else tmp_path)
    words = {
        **SMALL,
        "python": sys.executable,
        "ray": Path(sys.executable).with_name("ray"),
        "at_once": AT_ONCE,
        "short": short,
    }
    for name, text in STANDINS.items():
        (programs / name).write_text(text.format(**words))
        (programs / name).chmod(0o755)
    return Site(tmp_path, programs)


class Site:
    def __init__(self, folder, programs):
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "RAY_"))}
        self.environment = kept | {
            "NOTES": str(folder),
            "HOME": str(folder),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "KERAS_BACKEND": "jax",
        }

    def write_addresses(self, storage):
        store = f"sqlite:///{self.folder / 'mlflow.db'}"
        text = f"PIPELINE_STORAGE={storage}\nMLFLOW_TRACKING_URI={store}\n"
        (self.folder / "addresses.env").write_text(text)
        return {"PIPELINE_STORAGE": storage, "MLFLOW_TRACKING_URI": store}

    def run(self, *words, **variables):
        return subprocess.run(
            words, cwd=self.folder, env=self.environment | variables, capture_output=True,
            text=True, timeout=500,
        )  # fmt: skip

    def notes(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def check_study(self, study, number):
        store = tracking.connect(f"sqlite:///{self.folder / 'mlflow.db'}")
        trials = store.read_study(study=study).trials
        assert [trial.number for trial in trials] == list(range(number)), "none lost, none twice"
        assert {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}


def test_the_readme_keeps_the_addresses_for_their_owner(site):
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```sh\n(cp .*?)^```", readme, re.M | re.S)
    assert site.run("bash", "-ec", block).returncode == 0
    copied = site.folder / "addresses.env"
    assert copied.read_text() == (EXAMPLES / "addresses.env").read_text("utf-8")
    assert copied.stat().st_mode & 0o777 == 0o600


def test_without_addresses_nothing_is_submitted(site):
    done = site.run("examples/slurm/submit.sh")
    assert done.returncode == 2
    assert done.stderr == (
        f"examples/slurm/submit.sh: there is no {site.folder}/addresses.env: copy "
        "examples/addresses.env there, fill it in, chmod 600\n"
    )
    assert site.notes("sbatch") == []


@pytest.mark.slow
def test_an_array_of_searches_and_its_report(site, database):
    address = database.database()
    site.write_addresses(address)
    done = site.run("examples/slurm/submit.sh", TRIALS="4", STUDY="array")
    assert done.returncode == 0, done.stderr + "\n".join(site.notes("log"))
    assert done.stdout == "search: job array 77; report: job 77, its page in report-array/\n"
    array, report = map(shlex.split, site.notes("sbatch"))
    assert array == ["--parsable", "examples/slurm/search_array.sh"]
    assert report[1:] == [
        "--dependency=afterok:77", "--kill-on-invalid-dep=yes", "examples/slurm/report.sh",
    ]  # fmt: skip
    searches = [line for line in site.notes("pipeline") if line.startswith("search ")]
    assert len(searches) == 2
    assert not any(address in line for line in site.notes("pipeline") + site.notes("sbatch"))
    site.check_study("array", 4)
    assert (site.folder / "report-array" / "report.html").is_file()


@pytest.mark.slow
def test_the_jobs_of_kubernetes_wait_for_the_database_search_and_report(site, database):
    secret = site.write_addresses(database.database())

    def run(name, kind="containers", **changed):
        (container,) = yaml(f"kubernetes/{name}.yaml")["spec"]["template"]["spec"][kind]
        words = [*container["command"], *container["args"]]
        own = {entry["name"]: entry["value"] for entry in container.get("env", ())}
        assert own in ({}, {"HOME": "/work"})
        words = ["4" if word == "200" else word for word in words]
        return site.run(*words, **(secret | changed))

    assert run("search", "initContainers").returncode == 0
    for name in ("search", "report"):
        done = run(name)
        assert done.returncode in (0, 3), done.stderr
    site.check_study("digits", 4)


def test_a_database_that_does_not_answer_ends_the_waiting_without_its_password(site):
    pod = yaml("kubernetes/search.yaml")["spec"]["template"]["spec"]
    (program,) = pod["initContainers"][0]["args"]
    assert "range(120)" in program and "sleep(5)" in program
    program = program.replace("range(120)", "range(2)").replace("sleep(5)", "sleep(0)")
    done = site.run(
        "python", "-c", program,
        PIPELINE_STORAGE="postgresql+psycopg://me:hush-hush@127.0.0.1:9/studies",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == "the database does not answer yet\n" * 2
    assert done.stderr == (
        "the database did not answer for ten minutes: look at PIPELINE_STORAGE\n"
    )


@pytest.mark.slow
@pytest.mark.skipif("ray" not in executors.names(), reason="the executor ray is not here")
def test_one_search_on_the_nodes_of_a_job_and_on_a_cluster(site):
    site.write_addresses(site.folder / "studies.journal")
    small = {"TRIALS": "4", "STUDY": "spread", "WORKERS": "1"}
    done = site.run("sbatch", "examples/slurm/ray_symmetric_run.sh", **small)
    assert done.returncode == 0, done.stderr + "\n".join(site.notes("log"))
    site.check_study("spread", 4)
    assert (site.folder / "report-spread" / "report.html").is_file()
    # The cluster launcher's script does the same where Ray is already: the study is done.
    done = site.run(
        "ray", "symmetric-run", "--address", "127.0.0.1:20078", "--",
        "examples/ray/search.sh", **small, RAY_ADDRESS="127.0.0.1:20078",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "4 complete of 4 trials" in done.stdout
