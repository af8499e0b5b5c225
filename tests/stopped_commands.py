"""A command that stops itself at a line of its own: what is killed there was nowhere else."""

import sys

PROGRAM = """
import os, signal, sys
from pipeline.cli import main


class Stopping:
    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, text):
        written = self.file.write(text)
        if sys.argv[1] in text:
            self.file.flush()
            os.kill(os.getpid(), signal.SIGSTOP)
        return written


# Of its own: the command has what libraries write to the other one go nowhere for a while.
sys.stderr = Stopping(os.fdopen(os.dup(2), "w", buffering=1))
main(sys.argv[2:], prog_name="pipeline")
"""


def stopped_at(words: str, *command: str) -> list[str]:
    """Returns how ``pipeline`` is started that stops at a line with these words on stderr."""
    return [sys.executable, "-c", PROGRAM, words, *command]
