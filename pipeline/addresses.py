"""Addresses of stores: which one is used, and how it is shown, without what must stay secret.

Text in, the same text without secrets out: whatever a user sees, a log keeps or MLflow stores goes
through :func:`masked`. It knows secrets by their place (before the ``@`` of an address, behind
``password=``) and by their value: those of the environment, and of every address that was given to
:func:`remember`, because a library may quote a part of one where no pattern would find it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

DATABASE_NAME = "mlflow.db"
HIDDEN = "***"
SHORTEST = 4
"""Characters below which a secret's value is not looked for: it would be found in every word."""

_NAMES = (
    r"(?:passw(?:or)?d|passphrase|pwd|token|secret|credentials?|signature|api_?key|access_?key)"
)
# What our own messages give as an example, and MLflow's models with an alias, hold no secret.
_USER = re.compile(r"(?i)\b(?!(?:models|runs):)([a-z][a-z0-9+.-]*:/{1,2})(?!user@host)[^/@]\S*@")
_SPACED = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/@\s'\"]+:[^/@'\"\n]*@")
_NAMED = re.compile(rf"(?i)\b([\w.-]*{_NAMES}|sig)=('[^']*'|\"[^\"]*\"|[^&\s'\"]*[^&\s'\".,:;)])")
_HEADER = re.compile(r"(?i)\b(basic|bearer) +[\w.~+/=-]{8,}")
_SECRET_VARIABLE = re.compile(rf"(?i){_NAMES}$")
_FOLDER_VARIABLES = ("PWD", "OLDPWD")
_ADDRESS_VARIABLE = re.compile(r"(?i)_(?:uri|url|storage)$")
_remembered: set[str] = set()


def tracking_address(given: str | None = None) -> str:
    """Returns MLflow's address: the given one, MLFLOW_TRACKING_URI, or SQLite in this folder.

    MLflow's own default is not asked: an old ``mlruns`` folder would switch it to a kind of store
    that it no longer writes.
    """
    chosen = given or os.environ.get("MLFLOW_TRACKING_URI")
    return chosen or f"sqlite:///{Path.cwd() / DATABASE_NAME}"


def masked(text: str) -> str:
    """Returns the text with credentials in it replaced by ``***``."""
    for secret in _known():
        text = text.replace(secret, HIDDEN)
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _SPACED.sub(rf"\1{HIDDEN}@", text)
    text = _HEADER.sub(rf"\1 {HIDDEN}", text)
    return _NAMED.sub(rf"\1={HIDDEN}", text)


def remember(address: str) -> None:
    """Has the secrets of an address hidden wherever they turn up from now on."""
    _remembered.update(_secrets_of(address))


def _known() -> list[str]:
    """Returns the values that are secret, longest first: one may hold another."""
    found = set(_remembered)
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and name not in _FOLDER_VARIABLES:
            found.add(value)
        elif _ADDRESS_VARIABLE.search(name):
            found.update(_secrets_of(value))
    return sorted((s for s in found if len(s) >= SHORTEST), key=lambda s: (-len(s), s))


def _secrets_of(address: str) -> Iterator[str]:
    """Yields the secret parts of an address, as they are written and as they are meant."""
    rest = address.partition("://")[2]
    user, at, _ = rest.rpartition("@")
    # A password with an unescaped @ or / is cut there by some readers, and quoted in pieces.
    password = user.partition(":")[2] or (user if at and not user.startswith("/") else "")
    values = [password, *re.split("[@/]", password)]
    values += [found[2].strip("'\"") for found in _NAMED.finditer(rest)]
    for value in values:
        yield value
        yield unquote(value)
