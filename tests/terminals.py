"""A real terminal: an interactive shell on a pseudo-terminal, whose Ctrl-C the kernel sends."""

import contextlib
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import psutil

CTRL_C = b"\x03"
PROMPT = "ready> "
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """A shell in a folder, what it printed, and what runs below it.

    Args:
        folder: Where it works; whatever else works there is taken to be started by it.
        environment: Its variables.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.text = folder, ""
        self._master, slave = pty.openpty()
        own = environment | {"PS1": PROMPT, "TERM": "xterm", "COLUMNS": "100"}
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"], cwd=folder, env=own,
            stdin=slave, stdout=slave, stderr=slave, preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(slave)
        self.wait_for(PROMPT)

    def type(self, keys: bytes) -> None:
        """Types keys; what came before is forgotten."""
        self._read(0.0)
        self.text = ""
        os.write(self._master, keys)

    def wait_for(self, pattern: str, seconds: float = 120.0) -> str:
        """Returns what was printed, once the pattern is in it."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} within {seconds} s in:\n{self.text[-5000:]}"
            self._read(min(left, 0.2))
        return self.text

    def status(self) -> int:
        """Returns the exit code of the last command."""
        self.type(b"echo code=$?.\n")
        return int(re.search(r"code=(\d+)\.", self.wait_for(r"code=\d+\.")).group(1))

    def running(self, worked: float = 0.0) -> list[str]:
        """Returns the commands that work in the folder, the shell left out.

        Args:
            worked: Seconds of a processor that they must have had.
        """
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                here = process.cwd() == str(self.folder) and process.pid != self._shell.pid
                times = process.cpu_times()
                if (
                    here
                    and process.status() != psutil.STATUS_ZOMBIE
                    and times.user + times.system >= worked
                ):
                    found.append(" ".join(process.cmdline())[:200])
        return found

    def wait_until_running(self, words: str, worked: float = 0.0, seconds: float = 120.0) -> None:
        """Returns once a command with these words has worked in the folder for so long.

        The echo of what was typed says nothing: the shell may not have made it, and takes what is
        typed meanwhile for itself. Nor does the time since: a busy machine gives it none.
        """
        deadline = time.monotonic() + seconds
        while not any(words in command for command in self.running(worked)):
            assert time.monotonic() < deadline, f"no {words!r} runs:\n{self.text[-5000:]}"
            self._read(0.1)

    def wait_until_idle(self, seconds: float) -> float:
        """Returns after how many seconds nothing works in the folder any more."""
        begun = time.monotonic()
        while left := self.running():
            assert time.monotonic() - begun < seconds, f"{left} still run:\n{self.text[-5000:]}"
            self._read(0.1)
        return time.monotonic() - begun

    def close(self) -> None:
        """Ends the shell and whatever it left behind."""
        for process in psutil.Process(self._shell.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._shell.kill()
        self._shell.wait()
        os.close(self._master)

    def _read(self, seconds: float) -> None:
        while select.select([self._master], [], [], seconds)[0]:
            try:
                new = os.read(self._master, 65536)
            except OSError:
                return
            self.text += _CONTROL.sub("", new.decode(errors="replace"))
            seconds = 0.0


def _take_terminal() -> None:
    """Makes the terminal the new session's own, so that its Ctrl-C goes to what it runs."""
    os.setsid()
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
