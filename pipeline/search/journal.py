"""Appends to Optuna's journal; what a power loss may take back is not forced to the disk.

Optuna's own backend forces every record to the disk and waits for it: some thirty times a trial.
Here only those records wait that something outside the file relies on: that a trial was made or
ended, and what is said of the study. Records of the other kinds are in the file at once, too, where
any process reads them, and a later record that waits takes them along. Without them a trial that a
power loss cut short is asked for again, as after any kill (``study``).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

PARAM, EPOCH, USER_ATTRIBUTE, SYSTEM_ATTRIBUTE = 5, 7, 8, 9
"""Kinds of a trial's records, as Optuna's journals have them (``op_code``)."""
NOT_WAITED_FOR = frozenset((PARAM, EPOCH, USER_ATTRIBUTE, SYSTEM_ATTRIBUTE))


class Journal(JournalFileBackend):
    """Optuna's journal file, with fewer waits for the disk.

    Args:
        path: The file; made where it is missing.
        lock: Optuna's own: other processes append under it, too.
    """

    def __init__(self, path: Path, lock: JournalFileSymlinkLock) -> None:
        super().__init__(str(path), lock)
        self._path, self._append_lock = path, lock

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends records, a line each."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        waits = any(log["op_code"] not in NOT_WAITED_FOR for log in logs)
        self._append_lock.acquire()
        try:
            with self._path.open("ab") as file:
                file.write(lines.encode())
                file.flush()
                if waits:
                    os.fsync(file.fileno())
        finally:
            self._append_lock.release()
