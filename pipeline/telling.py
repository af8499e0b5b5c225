"""What a user is told of an error: no secret of an address, no sign that a terminal would obey.

An exception in, text out. The command line shows its errors, its tracebacks and the log lines of
libraries through here, whoever raised or wrote them.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

from pipeline.addresses import masked
from pipeline.errors import printable

_PACKAGE = Path(__file__).parent
_NO_PLACE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
    errno.ENAMETOOLONG, errno.EEXIST,
}  # fmt: skip


def shown(text: str) -> str:
    """Returns the text as it may be shown: credentials masked, control characters as ``?``."""
    return "\n".join(printable(line) for line in masked(text).split("\n"))


def unexpected(error: Exception) -> tuple[str, int]:
    """Returns one line about an exception that nobody foresaw, and the exit code.

    A file or folder that cannot be used is the user's to change; else it says where it happened.
    """
    if isinstance(error, OSError) and error.filename is not None and error.errno in _NO_PLACE:
        place = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "a file"
        return shown(f"{place} cannot be used: {error.strerror}. Change it, or name another"), 2
    words = " ".join(str(error).split())
    what = f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    place = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    return shown(
        f"{what}{place}: this was not foreseen; `pipeline --debug ...` shows all of it, and "
        "`pipeline doctor` checks this machine"
    ), 1


def mask_tracebacks() -> None:
    """Has tracebacks that end the process show no secrets: libraries quote whole addresses."""

    def tell(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        sys.stderr.write(shown("".join(traceback.format_exception(kind, error, at))))

    sys.excepthook = tell


def mask_logs() -> None:
    """Has log lines show no secrets, whichever library writes them to whichever handler."""
    logging.setLogRecordFactory(MaskedRecord)


class MaskedRecord(logging.LogRecord):
    """A log record whose message, and traceback where it has one, went through :func:`shown`."""

    def getMessage(self) -> str:  # noqa: N802 - the name is logging's
        """Returns the message with its arguments put in."""
        if self.exc_info and not self.exc_text:
            # A formatter takes a text that is there instead of making it from the exception.
            self.exc_text = shown("".join(traceback.format_exception(*self.exc_info)).rstrip())
        return shown(super().getMessage())
