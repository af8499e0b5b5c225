"""What a forked process of the tests leaves alone."""

import gc
import os

from forks import forked


class Fragile:
    """A cycle that ends a process other than its own in which it is destroyed."""

    def __init__(self):
        self.itself, self.home = self, os.getpid()

    def __del__(self):
        if os.getpid() != self.home:
            os._exit(7)


def test_a_fork_does_not_destroy_what_its_parent_left():
    gc.disable()
    try:
        Fragile()
        process = forked(gc.collect)
        process.join()
    finally:
        gc.enable()
    assert process.exitcode == 0
