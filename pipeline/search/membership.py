"""Says which searches are at work on a shared study: each gives signs of life in it.

In: Optuna's study. Every search has an attribute of the study, ``search:TOKEN``, as ``heartbeat``
has its one; every trial that it asks for carries the token. Who gave no sign of life for
:data:`~pipeline.search.heartbeat.STALE_SECONDS`, or is a process of this machine that is gone, is
dead: another search takes its trials over, and writes into its attribute who did. A thread gives
the signs, so that a search that asks, opens, delivers or starts workers for long is not taken over.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.errors import InputError, PipelineError
from pipeline.search import heartbeat
from pipeline.search.heartbeat import (
    alive,
    is_fresh,
    is_here,
    place_of,
    process_exists,
    refusal,
    sign_of_life,
)
from pipeline.search.storage import storage_errors

PREFIX = "search:"
TAKEN_BY = "taken_by"
_AT_WORK: set[str] = set()
"""The tokens of the searches of this process: threads may work on one study, too."""


class Membership:
    """This process's place among the searches of a study.

    Args:
        study: Optuna's.

    Attributes:
        token: This search's name; unlike any other's.
        rejoined: How often this search was taken for dead and joined again.
    """

    def __init__(self, study: Any) -> None:
        self._study = study
        self.token = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.rejoined = 0
        self._written = float("-inf")
        self._left = False
        self._writing = threading.Lock()

    def announce(self) -> int:
        """Says that this search is to come; returns how many have come before it."""
        before = sum(1 for key in self._study.user_attrs if key.startswith(PREFIX))
        self._study.set_user_attr(self._key, {})
        return before

    def join(self) -> None:
        """Gives the first sign of life.

        Raises:
            InputError: A search of an older version works on the study, which shares with nobody.
        """
        other = self._study.user_attrs.get(heartbeat.ATTRIBUTE)
        if alive(other):
            raise InputError(refusal(self._study.study_name, other))
        _AT_WORK.add(self.token)
        self._write()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Has a thread give signs of life while the context lasts, whatever this one does.

        That another search took this one for dead is seen by :meth:`beat` and :meth:`check` alone.
        """
        over = threading.Event()

        def beat_on() -> None:
            while not over.wait(heartbeat.BEAT_SECONDS):
                # A database that is away stops the search where the search needs it.
                with suppress(Exception):
                    self.renew()

        # Optuna's sessions are each thread's own.
        threading.Thread(target=beat_on, name="signs of life", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def renew(self) -> None:
        """Gives a sign of life if this search has neither left nor been taken for dead."""
        with self._writing:
            if not self._left and self._is_own(self._study.user_attrs.get(self._key)):
                self._study.set_user_attr(self._key, sign_of_life(self.token))

    def beat(self, *, trains: bool) -> bool:
        """Gives a sign of life, if the last one is some time ago; returns whether it did.

        Args:
            trains: Whether this search has trials that others may have taken over.

        Raises:
            PipelineError: This search was taken for dead, with its trials.
        """
        if time.monotonic() - self._written < heartbeat.BEAT_SECONDS:
            return False
        self.check(trains=trains)
        with storage_errors():
            self._write()
        return True

    def check(self, *, trains: bool) -> None:
        """Checks that nobody has taken this search for dead; one without trials joins again.

        Args:
            trains: Whether this search has trials that others may have taken over.

        Raises:
            PipelineError: Another one has, and took over its trials.
        """
        with storage_errors():
            entry = self._study.user_attrs.get(self._key)
        if self._is_own(entry):
            return
        if trains:
            raise self.taken_over(entry)
        with storage_errors():
            self._write()
        self.rejoined += 1

    def taken_over(self, entry: Any = None) -> PipelineError:
        """Returns the message to a search that was taken for dead.

        Args:
            entry: What its attribute holds; None to look.
        """
        with storage_errors():
            entry = entry or self._study.user_attrs.get(self._key)
        taker = entry.get(TAKEN_BY) if isinstance(entry, dict) else None
        who = place_of(taker) if taker else "another `pipeline search`"
        return PipelineError(
            f"{who} has taken over what this search trained of study '{self._study.study_name}', "
            "because it gave no sign of life: what ended is kept; this one stops. The same command "
            "joins the study again"
        )

    def others(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the signs of life of the other searches by their tokens: the living, the dead.

        One that has left, or was taken over before, is neither.
        """
        living: dict[str, Any] = {}
        dead: dict[str, Any] = {}
        for key, entry in self._study.user_attrs.items():
            if not key.startswith(PREFIX) or key == self._key or "token" not in entry:
                continue
            (living if at_work(entry) else dead)[key.removeprefix(PREFIX)] = entry
        return living, dead

    def bury(self, dead: Mapping[str, Any]) -> None:
        """Writes into the attributes of dead searches who took them over."""
        own = {key: value for key, value in sign_of_life(self.token).items() if key != "token"}
        for token in dead:
            self._study.set_user_attr(f"{PREFIX}{token}", {TAKEN_BY: own})

    def end(self) -> None:
        """Leaves; one that was taken for dead stays so."""
        # Before the database is asked: where it is gone, the process that lives on blocks nobody.
        _AT_WORK.discard(self.token)
        with self._writing:
            self._left = True
            if self._is_own(self._study.user_attrs.get(self._key)):
                self._study.set_user_attr(self._key, {})

    def _is_own(self, entry: Any) -> bool:
        return isinstance(entry, dict) and entry.get("token") == self.token

    @property
    def _key(self) -> str:
        return f"{PREFIX}{self.token}"

    def _write(self) -> None:
        self._written = time.monotonic()
        self._study.set_user_attr(self._key, sign_of_life(self.token))


def at_work(entry: Any) -> bool:
    """Whether the search of an entry is alive: its process is, and gives signs of life.

    Of a process of this machine neither is enough: one that lives may have lost its search, such as
    a notebook. When it started is not asked: a step of the clock would change it.
    """
    try:
        if not is_fresh(entry):
            return False
        if not is_here(entry):
            return True
        pid = int(entry["process"])
        return entry["token"] in _AT_WORK if pid == os.getpid() else process_exists(pid)
    except (TypeError, KeyError, ValueError):
        return False
