"""Reads YAML as plain values and the line of every key; it is the one door to YAML.

YAML 1.2 by ruamel.yaml, composed to nodes only: no Python object is ever built from a tag, and what
a search space has no use for (aliases, tags, keys that are not text, a key given twice) is a
problem with its line, not a surprise. Size, values and levels are bounded: a hostile file costs
seconds at most. ``search.schema`` adds its own problems to the same document.

To extend: another plain scalar type is one entry in ``_SCALARS``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLWarning
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipeline.errors import SearchSpaceError, printable

KeyPath = tuple[str | int, ...]
"""Where a value stands, such as ``("search", "max_norm", 2)``."""

MAX_BYTES = 256 * 1024
_MAX_PROBLEMS = 20
_MAX_MESSAGE = 600
_MAX_INTEGER = 2**63
_MAX_VALUES = 5_000
_MAX_DEPTH = 8
_TAG = "tag:yaml.org,2002:"
_TRUTH = {"true": True, "false": False}


@dataclass
class Document:
    """A YAML file as plain values, and what is wrong with it so far.

    Attributes:
        path: The file, as the user named it.
        values: Dicts, lists, text, numbers, booleans and None.
        lines: Key path -> line, from 1.
        problems: Line and message of each problem found.
    """

    path: Path
    values: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def line(self, where: KeyPath) -> int:
        """Returns the line of this key, or of the closest enclosing one that is in the file."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def section(self, where: KeyPath) -> dict[str, Any]:
        """Returns the mapping at this place; an empty one where there is none."""
        values = self.values
        for key in where:
            values = values.get(key) if isinstance(values, dict) else None
        return values if isinstance(values, dict) else {}

    def problem(self, where: KeyPath, message: str, line: int | None = None) -> None:
        """Notes a problem at a key."""
        key = dotted(where)
        text = f"{key}: {message}" if key else message
        self.problems.append((self.line(where) if line is None else line, text))

    def raise_problems(self) -> None:
        """Raises SearchSpaceError with one line per problem, if there are any."""
        if not self.problems:
            return
        found = sorted(set(self.problems))
        rows = [_row(self.path, line, text) for line, text in found[:_MAX_PROBLEMS]]
        if len(found) > _MAX_PROBLEMS:
            rows.append(printable(f"{self.path}: and {len(found) - _MAX_PROBLEMS} more problems"))
        raise SearchSpaceError("\n".join(rows))


def read(content: bytes, path: Path) -> Document:
    """Returns the one YAML document in these bytes.

    Raises:
        SearchSpaceError: Not UTF-8, too large, empty, not YAML or not a mapping.
    """
    root = _compose(_decode(content, path), path)
    if root is None or (isinstance(root, ScalarNode) and not root.value):
        _refuse(path, 1, "the file is empty; expected keys such as `family:` and `search:`")
    if not isinstance(root, MappingNode):
        line = root.start_mark.line + 1
        _refuse(path, line, "not a mapping; expected `key: value` lines such as `family: mlp`")
    document = Document(path)
    document.values = _value(root, (), document, set())
    return document


def dotted(where: KeyPath) -> str:
    """Returns a key path as people write it: ``search.max_norm[2]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in where)
    return text.removeprefix(".")


def _refuse(path: Path, line: int, message: str) -> NoReturn:
    raise SearchSpaceError(_row(path, line, message))


def _row(path: Path, line: int, text: str) -> str:
    """Returns one printable line; names, keys and values may hold anything."""
    shown = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}..."
    return printable(f"{path}:{line}: {shown}")


def _decode(content: bytes, path: Path) -> str:
    if len(content) > MAX_BYTES:
        _refuse(
            path,
            1,
            f"the file is too large; expected at most {MAX_BYTES // 1024} KiB, one search space",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"not UTF-8 text (byte {content[error.start]:#04x}); save the file as UTF-8"
        _refuse(path, line, message)


def _compose(text: str, path: Path) -> Node | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", YAMLWarning)
            _check_size(text, path)
            return YAML(typ="safe", pure=True).compose(text)
    except SearchSpaceError:
        raise
    except Exception as error:  # on hostile text the parser fails in ways of its own, too
        mark = getattr(error, "problem_mark", None)
        position = getattr(error, "position", None)
        line = 1
        if mark is not None:
            line = mark.line + 1
        elif isinstance(position, int):
            line = text.count("\n", 0, position) + 1
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        _refuse(path, line, f"not valid YAML: {reason or type(error).__name__}")


def _check_size(text: str, path: Path) -> None:
    """Refuses what has too many values or levels, before the time it takes grows with it.

    Raises:
        SearchSpaceError: It is far larger than any search space.
    """
    depth = num_values = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line = event.start_mark.line + 1
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        num_values += isinstance(event, NodeEvent)
        if depth > _MAX_DEPTH:
            _refuse(path, line, "nested too deeply; a search space has at most four levels")
        if num_values > _MAX_VALUES:
            message = f"more than {_MAX_VALUES:,} keys and values; a search space has a few dozen"
            _refuse(path, line, message)


def _value(node: Node, where: KeyPath, document: Document, seen: set[int]) -> Any:
    """Returns the node's plain value; notes what a search space may not contain."""
    if id(node) in seen:
        document.problem(where, "aliases (*name) are not supported; write the value out")
        return None
    seen.add(id(node))
    kind = str(node.tag).removeprefix(_TAG)
    if isinstance(node, MappingNode) and kind == "map":
        return _mapping(node, where, document, seen)
    if isinstance(node, SequenceNode) and kind == "seq":
        items = []
        for index, item in enumerate(node.value):
            place = (*where, index)
            if id(item) not in seen:  # an alias has the line of its anchor
                document.lines[place] = item.start_mark.line + 1
            items.append(_value(item, place, document, seen))
        return items
    if isinstance(node, ScalarNode):
        return _scalar(node, kind, where, document)
    return _bad_tag(node, where, document)


def _mapping(node: MappingNode, where: KeyPath, document: Document, seen: set[int]) -> Any:
    values: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not _is_text(key):
            shown = f"'{key.value[:60]}'" if isinstance(key, ScalarNode) else "of a list or mapping"
            document.problem(where, f"the key {shown} is not text; expected a name", line)
            continue
        place = (*where, key.value)
        if key.value in values:
            document.problem(place, f"given twice, first on line {document.line(place)}", line)
            continue
        document.lines[place] = line
        values[key.value] = _value(item, place, document, seen)
    return values


def _is_text(key: Node) -> bool:
    textual = isinstance(key, ScalarNode) and str(key.tag) == _TAG + "str"
    return textual and key.value.isprintable()


def _scalar(node: ScalarNode, kind: str, where: KeyPath, document: Document) -> Any:
    convert = _SCALARS.get(kind)
    if convert is None:
        return _bad_tag(node, where, document)
    try:
        return convert(node.value)
    except (ValueError, KeyError):
        document.problem(where, f"{node.value[:40]!r} cannot be read as {_NAMES.get(kind, kind)}")
        return None


def _bad_tag(node: Node, where: KeyPath, document: Document) -> None:
    tag = str(node.tag).replace(_TAG, "!!")
    message = f"the type {tag} is not supported; expected plain text, numbers, lists or mappings"
    document.problem(where, message)


def _text(text: str) -> str:
    text.encode()  # half a surrogate pair, which an escape can make, is no text
    return text


def _integer(text: str) -> int:
    prefixed = text.lstrip("+-")[:2].lower() in ("0x", "0o", "0b")
    value = int(text, 0 if prefixed else 10)
    if abs(value) > _MAX_INTEGER:
        raise ValueError("larger than any hyperparameter")
    return value


def _number(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_NAMES = {"str": "text", "int": "an integer", "float": "a number", "bool": "true or false"}
_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": _text,
    "int": _integer,
    "float": _number,
    "bool": lambda text: _TRUTH[text.lower()],
    "null": lambda _: None,
}
