"""What a study may be called: checked before anything is written under its name."""

from __future__ import annotations

from pipeline.errors import InputError

MAX_LENGTH = 250
"""Characters; Optuna's databases keep 512 bytes."""


def check_name(name: str) -> None:
    """Checks that a name can be stored, looked up and shown wherever a study is.

    Raises:
        InputError: It cannot.
    """
    reason = None
    if not name.strip():
        reason = "is blank"
    elif len(name) > MAX_LENGTH:
        reason = f"has {len(name)} characters; expected at most {MAX_LENGTH}"
    elif not name.isprintable():
        reason = "holds signs that cannot be shown, such as line breaks or escape codes"
    elif "'" in name and '"' in name:
        reason = "holds both kinds of quotes, which MLflow cannot look up; use one kind"
    if reason is not None:
        raise InputError(f"the name of the study, {name[:60]!a}, {reason}: give --study NAME")
