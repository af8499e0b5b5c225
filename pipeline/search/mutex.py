"""Lets one search at a time do what several of a study must not do at once, on PostgreSQL.

In: an address and a study's name. Out: a context. The lock is one of PostgreSQL's advisory locks,
held by a transaction: the server releases it with the connection, however the process ends, so that
nothing has to be cleaned up. It also holds behind a pooler that shares connections by transactions.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.search.storage import (
    connect_arguments,
    opening_errors,
    storage_errors,
    with_driver,
)

PAUSE_SECONDS = 0.05
"""Between two looks whether a lock is free; a random part is added."""
WHILE_HELD = (
    "tcp_keepalives_idle = 30",
    "tcp_keepalives_interval = 10",
    "tcp_keepalives_count = 3",
    "idle_in_transaction_session_timeout = '15min'",
)
"""The server's settings for a transaction that holds a lock: it ends within a minute of a machine
that vanished, after a quarter of an hour of a process that is frozen, and not for the work that a
search has to do in the section."""


class Mutex:
    """The locks of one study; within a process they may be nested.

    Args:
        storage: The database's address.
        study: The study's name.

    Raises:
        InputError: The database cannot be opened.
    """

    def __init__(self, storage: str, study: str) -> None:
        self._study = study
        self._held: set[str] = set()
        with opening_errors(storage):
            import sqlalchemy

            # A connection per use: an idle one would count against the server's limit.
            self._engine = sqlalchemy.create_engine(
                with_driver(storage),
                poolclass=sqlalchemy.pool.NullPool,
                connect_args=connect_arguments(storage),
            )
            self._engine.connect().close()

    @contextmanager
    def held(self, section: str, waiting: Callable[[float], None]) -> Iterator[None]:
        """Keeps every other search out of this section of the study while the context lasts.

        Args:
            section: What is done; two sections do not exclude each other.
            waiting: Called again and again while another search is in it, with the seconds so far.

        Raises:
            StorageError: The database went away, before the context or in it.
        """
        if section in self._held:
            yield
            return
        with storage_errors():
            connection = self._engine.connect()
        try:
            self._acquire(connection, section, waiting)
            self._held.add(section)
            yield
            # It fails where the server has closed the connection, and with it the lock.
            with storage_errors():
                connection.commit()
        finally:
            self._held.discard(section)
            with suppress(Exception):
                connection.close()

    def _acquire(self, connection: Any, section: str, waiting: Callable[[float], None]) -> None:
        begun = time.monotonic()
        query = f"SELECT pg_try_advisory_xact_lock({lock_key(self._study, section)})"
        while True:
            with storage_errors():
                if connection.exec_driver_sql(query).scalar():
                    for setting in WHILE_HELD:
                        connection.exec_driver_sql(f"SET LOCAL {setting}")
                    return
                connection.rollback()
            waiting(time.monotonic() - begun)
            time.sleep(PAUSE_SECONDS * (1 + random.random()))


def lock_key(study: str, section: str) -> int:
    """Returns the number of an advisory lock: 64 bits with a sign."""
    digest = hashlib.sha256(f"least-overfit\n{section}\n{study}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
