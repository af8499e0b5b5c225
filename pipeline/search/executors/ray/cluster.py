"""Connects to a Ray cluster, or starts Ray on this machine, and counts what the cluster has.

The address: ``--ray-address``, else ``RAY_ADDRESS``, else a local instance, which ends with this
process. Ray keeps quiet, its handlers of signals are taken back, and the words of the command,
which may hold a password, are not told to the cluster.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.environment import handlers_restored, variables_set
from pipeline.errors import InputError, PipelineError
from pipeline.library_messages import VARIABLE, are_shown
from pipeline.processors import usable_cores
from pipeline.redaction import masked
from pipeline.search.executors.interface import Placement

LOCAL = "local"
REMEDY = "pip install 'least-overfit[ray]'"
ANSWER_SECONDS = 10.0
"""A cluster that takes no connection by then is not there."""
TO_WORKERS = (
    "JAX_PLATFORMS",
    "KERAS_BACKEND",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "XLA_FLAGS",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    VARIABLE,
)
"""Environment variables that go along with a worker, where they are set; no others do."""
TOKEN = "RAY_AUTH_TOKEN"
ABOUT_TOKENS = ("RAY_AUTH_MODE", TOKEN, "RAY_AUTH_TOKEN_PATH")
TOKEN_FILE = ".ray/auth_token"


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, as Ray knows it.

    Attributes:
        identity: Ray's own name of it.
        host: Its name.
        cpus: Processors.
        gpus: GPUs.
        memory: Bytes that Ray gives to workers.
    """

    identity: str
    host: str
    cpus: float
    gpus: float
    memory: float = math.inf


@dataclass(frozen=True)
class Share:
    """What a worker takes of a machine.

    Attributes:
        cpus: Processors.
        gpus: GPUs; a part of one is shared.
    """

    cpus: int
    gpus: float

    def in_words(self) -> str:
        """Returns it as ``2 CPUs and 0.5 GPU``."""
        return in_words(self.cpus, self.gpus)

    def fitting(self, node: Node) -> int:
        """Returns how many workers a machine holds."""
        by_cpus = int(node.cpus // self.cpus)
        # Thirds and tenths of a GPU are no binary numbers.
        return min(by_cpus, int((node.gpus + 1e-6) / self.gpus)) if self.gpus else by_cpus

    def neighbours(self, node: Node) -> int:
        """Returns how many workers share a machine's memory, or that of a GPU."""
        if self.gpus:
            return max(int((1 + 1e-6) / self.gpus), 1)
        return max(self.fitting(node), 1)


def in_words(cpus: float, gpus: float) -> str:
    """Returns processors and GPUs in words."""
    parts = [f"{cpus:g} CPU{'' if cpus == 1 else 's'}"]
    if gpus:
        parts.append(f"{gpus:g} GPU{'' if gpus <= 1 else 's'}")
    return " and ".join(parts)


def is_installed() -> bool:
    """Whether Ray can be imported."""
    return find_spec("ray") is not None


def address_of(asked: str | None) -> str:
    """Returns the address of the cluster; :data:`LOCAL` for one that is started here.

    Raises:
        InputError: It cannot be one.
    """
    address = asked or os.environ.get("RAY_ADDRESS") or LOCAL
    named = "--ray-address" if asked else "RAY_ADDRESS"
    if "://" in address:
        raise InputError(
            f"{named} {masked(address)}: expected HOST:PORT of a cluster that this machine is part "
            "of (ray start --address=HOST:PORT, or run the command there), or local"
        )
    if address not in (LOCAL, "auto"):
        _check_answers(address, named)
    return address


def _check_answers(address: str, named: str) -> None:
    """Checks that a machine takes connections: Ray itself would try for a minute.

    Raises:
        InputError: It does not.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"{named} {address}: expected HOST:PORT or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{named} {address}: no Ray cluster answers there ({reason}); start one with ray start "
            "--head, or leave the address out to use this machine alone"
        ) from error


class Connection:
    """This process's connection to a cluster, for as long as an executor runs.

    Args:
        asked: Address that was asked for; None for the environment's, or a local instance.

    Attributes:
        address: Where it is; :data:`LOCAL` for an instance of this process.
        seconds: How long it took.

    Raises:
        InputError: There is no cluster at the address.
        PipelineError: Ray does not start.
    """

    def __init__(self, asked: str | None) -> None:
        begun = time.monotonic()
        import ray

        self._is_ours = not ray.is_initialized()
        self.address = address_of(asked) if self._is_ours else "the program's own"
        if not self._is_ours and asked:
            raise InputError(
                f"--ray-address {asked}: this program has called ray.init already; call "
                "ray.shutdown first, or leave the address out"
            )
        if self._is_ours:
            _initialize(self.address)
        self.seconds = time.monotonic() - begun

    @property
    def is_local(self) -> bool:
        """Whether Ray was started by this process, and nothing but this machine is in it."""
        return self.address == LOCAL

    def close(self) -> None:
        """Ends the connection, and Ray where this process started it."""
        import ray

        if self._is_ours:
            with handlers_kept():
                ray.shutdown()


def _initialize(address: str) -> None:
    import ray

    here: dict[str, Any] = {}
    if address == LOCAL:
        # Nobody else is to reach it, and a job scheduler may have given us a few cores only.
        here = {"num_cpus": usable_cores(), "_node_ip_address": "127.0.0.1"}
        here["include_dashboard"] = False
        make_own_token()
    level = logging.INFO if are_shown() else logging.ERROR
    try:
        with handlers_kept(), discreet(), variables_set({"RAY_USAGE_STATS_ENABLED": "0"}):
            ray.init(address, log_to_driver=False, logging_level=level, **here)
    except Exception as error:  # Ray raises plain ones, too
        text = " ".join(str(error).split())[:300]
        if address == LOCAL:
            raise PipelineError(
                f"--executor ray: Ray does not start here: {text} Try again on a machine that is "
                "less busy, or use --executor processes"
            ) from error
        raise InputError(
            f"--ray-address {address}: this machine cannot join that cluster: {text}{_token_hint()}"
        ) from error


def make_own_token() -> None:
    """Has Ray here protected by a token that ends with this process.

    Without one, ray.init would write one into the user's home, and from then on every
    ``ray start --head`` of this user would ask the other machines for it.
    """
    if not any(name in os.environ for name in ABOUT_TOKENS) and not _has_token_file():
        os.environ[TOKEN] = secrets.token_hex(32)


def _has_token_file() -> bool:
    return (Path.home() / TOKEN_FILE).exists()


def _token_hint() -> str:
    """Returns what a user may have to set: to an address that is named Ray brings no token."""
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return f". It may have another token than this machine (~/{TOKEN_FILE})"
    found = "is one" if _has_token_file() else "is none yet"
    return (
        ". If the cluster asks for a token (ray start --head does where it finds one), set "
        f"RAY_AUTH_MODE=token here and have its ~/{TOKEN_FILE}; here there {found}"
    )


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Gives back the handlers of signals that Ray replaces by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handlers_restored((signal.SIGINT, signal.SIGTERM)):
        yield


@contextmanager
def discreet() -> Iterator[None]:
    """Changes three things that Ray does while it starts and connects, and has no option for.

    It would tell every machine, and its dashboard, how this program was called, with a storage's
    password in it; it would print what it thinks of a lost machine to stdout, where results go; and
    a signal for the whole process group, such as a scheduler's SIGTERM, would end Ray before what
    trains is finished.
    """
    from ray._private import services, utils, worker

    started: list[subprocess.Popen[Any]] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        # They end with this process all the same: the kernel sees to it.
        started.append(subprocess.Popen(*arguments, process_group=0, **options))
        return started[-1]

    changes: list[tuple[Any, str, Any]] = [
        (utils, "get_entrypoint_name", lambda: "pipeline"),
        (worker, "listen_error_messages", lambda worker, threads_stopped: None),
        (services, "ConsolePopen", start),
    ]
    before = [(module, name, getattr(module, name, None)) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    except BaseException:
        for process in started:  # Ray leaves a half of itself behind
            process.kill()
            process.wait()
        raise
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def nodes() -> list[Node]:
    """Returns the machines of the cluster that live."""
    import ray

    found = []
    for entry in ray.nodes():
        if entry["Alive"]:
            has = entry.get("Resources", {})
            host = entry.get("NodeManagerHostname") or entry["NodeManagerAddress"]
            cpus, gpus = (float(has.get(name, 0.0)) for name in ("CPU", "GPU"))
            memory = float(has.get("memory", math.inf))
            found.append(Node(entry["NodeID"], host, cpus, gpus, memory))
    return found


def share_of(placement: Placement, workers: int, there: Sequence[Node]) -> Share:
    """Returns what each worker takes: as asked, else a GPU where there are any, and equal cores.

    Cores are shared so that all workers have room at once; where they have not, a worker takes one
    and the others wait for machines that join.
    """
    gpus = placement.gpus_per_worker
    if gpus is None:
        some = placement.device == "gpu" or any(node.gpus for node in there)
        gpus = 1.0 if some and placement.device != "cpu" else 0.0
    if placement.cpus_per_worker is not None:
        return Share(placement.cpus_per_worker, gpus)
    most = max((int(node.cpus) for node in there), default=1)
    for cpus in range(most, 1, -1):
        if num_workers(there, Share(cpus, gpus)) >= workers:
            return Share(cpus, gpus)
    return Share(1, gpus)


def num_workers(there: Sequence[Node], share: Share) -> int:
    """Returns how many workers of this size the cluster holds."""
    return sum(share.fitting(node) for node in there)


def room_of(placement: Placement, worker_bytes: float) -> int:
    """Returns how many workers a cluster holds now, of one processor each where nothing is said.

    Args:
        placement: Where they would be placed.
        worker_bytes: Memory that each takes, where it has no GPU.

    Raises:
        PipelineError: There is no cluster at the address.
    """
    each = replace(placement, cpus_per_worker=placement.cpus_per_worker or 1)
    connection = Connection(placement.ray_address)
    try:
        there = nodes()
        share = share_of(each, 1, there)
        most = [math.inf if share.gpus else node.memory // worker_bytes for node in there]
        held = (min(share.fitting(node), fit) for node, fit in zip(there, most, strict=True))
        return max(int(sum(held)), 1)
    finally:
        with suppress(Exception):
            connection.close()


def sum_in_words(there: Sequence[Node]) -> str:
    """Returns what the cluster has, in words."""
    count = len(there)
    total = in_words(sum(node.cpus for node in there), sum(node.gpus for node in there))
    if count <= 1:
        return f"{count} machine{'s' * (count != 1)} with {total}"
    largest = max(there, key=lambda node: (node.gpus, node.cpus))
    return f"{count} machines with {total}, {in_words(largest.cpus, largest.gpus)} in the largest"


def environment() -> dict[str, str]:
    """Returns the environment variables that go along with a worker."""
    found = {name: os.environ[name] for name in TO_WORKERS if name in os.environ}
    # Ray divides a GPU between workers, but keeps none of them to its part of the memory.
    return {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | found


def described(asked: str | None) -> str:
    """Returns what cluster is there, in words, for ``pipeline doctor``; it is left at once.

    Raises:
        PipelineError: There is none at the address.
    """
    connection = Connection(asked)
    try:
        return f"{connection.address}: {sum_in_words(nodes())}"
    finally:
        with suppress(Exception):
            connection.close()
