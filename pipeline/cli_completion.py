"""Completes the values of options in a shell: datasets, rules, executors, search spaces, studies.

A shell asks with every press of Tab, so this opens no data and imports neither Keras, MLflow nor
Optuna: names of studies are read straight from the files of the two stores in this folder, or where
options and variables say. Whatever goes wrong, nothing is completed and nothing is said.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_SOURCE = re.compile(r"^SOURCE = Source\(\s*(?:name=)?\"(\w+)\"", re.MULTILINE)


def _completing(names: Callable[[click.Context], Iterable[str]], kind: str = "") -> Complete:
    """Returns a function that completes these names; of the kind ``file`` it lists files, too."""

    def complete(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
        try:
            fitting = (name for name in names(ctx) if name.startswith(start))
            found = dict.fromkeys(name for name in fitting if name.isprintable())
        except Exception:  # a Tab never shows a traceback, whatever lies in the folder
            found = {}
        items = [CompletionItem(_typed(name)) for name in found]
        return [*items, CompletionItem(start, type=kind)] if kind else items

    return complete


def _typed(name: str) -> str:
    """Returns a name as the shell needs it typed; zsh and fish quote it themselves."""
    asked_by_bash = os.environ.get("_PIPELINE_COMPLETE", "").startswith("bash")
    return shlex.quote(name) if asked_by_bash else name


def _datasets(ctx: click.Context) -> list[str]:
    # Their names as they stand in the files: importing the packages takes longer than a Tab may.
    folder = Path(__file__).with_name("datasets")
    found = (_SOURCE.search(path.read_text(encoding="utf-8")) for path in folder.glob("*.py"))
    return sorted(match[1] for match in found if match)


def _rules(ctx: click.Context) -> list[str]:
    from pipeline.selection.rules import RULES

    return list(RULES)


def _executors(ctx: click.Context) -> tuple[str, ...]:
    from pipeline.search import executors

    return executors.names()


def _spaces(ctx: click.Context) -> tuple[str, ...]:
    from pipeline.search.space import space

    return space.names()


def _studies(ctx: click.Context) -> Iterator[str]:
    from pipeline.search.study_names import studies_in_storage
    from pipeline.tracking.address import tracking_address
    from pipeline.tracking.study_names import studies_in_store

    # One that cannot be read hides nothing of the other.
    with suppress(Exception):
        yield from studies_in_storage(ctx.params.get("storage"))
    with suppress(Exception):
        yield from studies_in_store(tracking_address())


complete_dataset = _completing(_datasets, "file")
complete_known_dataset = _completing(_datasets)
complete_rule = _completing(_rules)
complete_executor = _completing(_executors)
complete_space = _completing(_spaces, "file")
complete_file = _completing(lambda ctx: (), "file")
complete_study = _completing(_studies)
