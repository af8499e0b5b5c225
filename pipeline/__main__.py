"""Runs the command as ``python -m pipeline``, without an installed script, as MLproject does."""

import sys

if __name__ == "__main__":
    try:
        from pipeline.cli import main

        main(prog_name="pipeline")
    except KeyboardInterrupt:
        # Before the command itself looks after it.
        sys.exit(130)
