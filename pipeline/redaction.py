"""Keeps secrets and control characters out of whatever a user, a log or MLflow is shown.

Text in, the same text without secrets out: messages, tracebacks and log lines of libraries go
through :func:`redacted`. :func:`masked` knows secrets by their place (before the ``@`` of an
address, behind ``password=``) and by their value: those of the environment, and of every address
that was given to :func:`remember`, because a library may quote a part of one where no pattern
would find it.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from pipeline.errors import printable

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
_PACKAGE = Path(__file__).parent
_NO_PLACE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
    errno.ENAMETOOLONG, errno.EEXIST,
}  # fmt: skip


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


def redacted(text: str) -> str:
    """Returns the text as it may be shown: credentials masked, control characters as ``?``."""
    return "\n".join(printable(line) for line in masked(text).split("\n"))


def unexpected_error(error: Exception) -> tuple[str, int]:
    """Returns one line about an exception that nobody foresaw, and the exit code.

    A file or folder that cannot be used is the user's to change; else it says where it happened.
    """
    if isinstance(error, OSError) and error.filename is not None and error.errno in _NO_PLACE:
        place = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "a file"
        return redacted(f"{place} cannot be used: {error.strerror}. Change it, or name another"), 2
    words = " ".join(str(error).split())
    what = f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    place = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    return redacted(
        f"{what}{place}: this was not foreseen; `pipeline --debug ...` shows all of it, and "
        "`pipeline doctor` checks this machine"
    ), 1


def mask_tracebacks() -> None:
    """Has tracebacks that end the process show no secrets: libraries quote whole addresses."""

    def tell(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, at))))

    sys.excepthook = tell


def mask_logs() -> None:
    """Has log lines show no secrets, whichever library writes them to whichever handler."""
    logging.setLogRecordFactory(MaskedRecord)


class MaskedRecord(logging.LogRecord):
    """A log record whose message, and traceback where it has one, went through :func:`redacted`."""

    def getMessage(self) -> str:  # noqa: N802 - the name is logging's
        """Returns the message with its arguments put in."""
        if self.exc_info and not self.exc_text:
            # A formatter takes a text that is there instead of making it from the exception.
            self.exc_text = redacted("".join(traceback.format_exception(*self.exc_info)).rstrip())
        return redacted(super().getMessage())
