"""Says what is installed, so that machines that would train otherwise are found out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pipeline

DISTRIBUTION = "least-overfit"


def installed() -> dict[str, str]:
    """Returns the versions of what decides numbers, and a hash of this package's sources."""
    found = {DISTRIBUTION: sources_hash()}
    for name in ("keras", os.environ.get("KERAS_BACKEND") or "tensorflow", "numpy", "scipy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def sources_hash() -> str:
    """Returns 12 digits of a hash of this package's sources, which change between versions."""
    folder = Path(pipeline.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def differences(wanted: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Returns in words what another machine has otherwise; empty where it has the same."""
    return ", ".join(
        f"{name} {there.get(name, 'not installed')} instead of {version}"
        for name, version in wanted.items()
        if there.get(name) != version
    )
