"""Writes a study's definition as YAML, and in sentences how two of them differ.

In: ``SearchSpace.definition()``, JSON values (maybe read back from a storage). Out: the resolved
search space that is kept with a study, and the message where a study cannot be continued.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import printable
from pipeline.search.space.hyperparameters import formatted


def as_yaml(definition: Mapping[str, Any], trials: int, source: Path) -> str:
    """Returns a search space file with this definition; values are JSON, which YAML includes."""
    lines = [f"# Resolved from {printable(source.stem)}: defaults are written out."]
    lines += [f"{key}: {json.dumps(definition[key])}" for key in ("family", "epochs", "patience")]
    lines.append(f"trials: {trials}")
    lines += [f"{key}: {definition[key]}" for key in ("sampler", "pruner") if key in definition]
    for section in ("fixed", "search", "references"):
        lines.append(f"{section}:" if definition[section] else f"{section}: {{}}")
        for key, value in definition[section].items():
            shown = value.get("choices", value) if isinstance(value, Mapping) else value
            lines.append(f"  {key}: {json.dumps(shown)}")
    return "\n".join(lines) + "\n"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns what differs between two definitions, a sentence each; empty if nothing does.

    Example:
        ``search.dropout_rate: high was 0.7, is 0.5``.
    """
    return _changes(old, new, "")


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> list[str]:
    found: list[str] = []
    for key in dict.fromkeys([*old, *new]):
        place = f"{where}.{key}" if where else str(key)
        before, after = old.get(key), new.get(key)
        start = f"{where}: {key}" if where else f"{key}:"
        if key not in old:
            found.append(f"{place} was added: {_sentence(after)}")
        elif key not in new:
            found.append(f"{place} was removed: it was {_sentence(before)}")
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _changes(before, after, place)
        elif before != after:
            found.append(f"{start} was {_sentence(before)}, is {_sentence(after)}")
    return found


def _sentence(value: Any) -> str:
    return formatted(value) if isinstance(value, float) else json.dumps(value, default=str)
