"""``python -m pipeline``: the command without an installed script, as MLproject calls it."""

from pipeline.cli import main

if __name__ == "__main__":
    main(prog_name="pipeline")
