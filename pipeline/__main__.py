"""``python -m pipeline``: the command without an installed script, as MLproject calls it."""

import sys

if __name__ == "__main__":
    try:
        from pipeline.cli import main

        main(prog_name="pipeline")
    except KeyboardInterrupt:
        # Before the command itself looks after it.
        sys.exit(130)
