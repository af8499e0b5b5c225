"""Writes a commented model file for a user who brings a Keras model, and the search space to it."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.datasets import summarize
from pipeline.datasets.option_words import option_words
from pipeline.errors import InputError, printable
from pipeline.search.options import SearchOptions
from pipeline.search.proposal import size_for, write
from pipeline.training.own.template import MODEL, SPACE

TRIALS = 20
FUNCTION = "build"


def write_own(
    options: SearchOptions, family_file: Path, output: Path | None
) -> tuple[list[str], Path]:
    """Writes both files; returns the words of the command that searches, and the space's path.

    Args:
        options: The dataset, and how it is read.
        family_file: Where the model goes.
        output: Where the space goes; None for beside the model.

    Raises:
        InputError: A file is there already or cannot be written, or the dataset cannot be used.
    """
    if family_file.suffix != ".py":
        raise InputError(f"--family-file {family_file}: expected a name that ends in .py")
    dataset = summarize(options.spec)
    space = output or family_file.with_suffix(".yaml")
    for path in (family_file, space):
        if path.exists():
            raise InputError(f"{path} is there already: give another name, or move it")
    words = ["pipeline", "search", "--dataset", options.dataset, *option_words(options.data)]
    words += ["--family", f"{family_file}:{FUNCTION}"]
    if output is not None:
        words += ["--search-space", str(output)]
    size, command = size_for(dataset, "mlp"), printable(shlex.join(words))
    write(MODEL.format(command=command, space=printable(space.name)), family_file)
    text = SPACE.format(
        dataset=printable(dataset.name),
        command=command,
        trials=f"trials: {TRIALS}",
        epochs=f"epochs: {size.epochs}",
        patience=f"patience: {max(size.epochs // 8, 3)}",
        batch_size=size.batch_size,
        width=size.width,
        half=size.width // 2,
    )
    write(text, space)
    return words, space
