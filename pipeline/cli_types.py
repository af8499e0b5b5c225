"""Defines the types that read the values of the options of ``pipeline``; imports nothing heavy."""

from __future__ import annotations

import csv
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from pipeline.option_values import AUTO, parse_duration, parse_size

Parameter: TypeAlias = click.Parameter | None
Context: TypeAlias = click.Context | None


class Auto(click.ParamType[Any, Any]):
    """A type that also takes ``auto``, which becomes None."""

    def __init__(self, inner: click.ParamType[Any, Any]) -> None:
        self.inner = inner
        self.name = inner.name

    def convert(self, value: Any, param: Parameter, ctx: Context) -> Any:
        """Returns None for ``auto`` and the empty text, else the inner type's value."""
        return None if value in (AUTO, "") else self.inner.convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Completes what the inner type completes, such as paths."""
        return self.inner.shell_complete(ctx, param, incomplete)


class StudyName(click.ParamType[Any, Any]):
    """A study's name; ``auto`` becomes None, and nothing is no name."""

    name = "name"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> Any:
        """Returns the name as it is."""
        if not str(value).strip():
            self.fail("it is empty; give a name, or leave the option out", param, ctx)
        return None if value == AUTO else value


class Duration(click.ParamType[Any, Any]):
    """A duration such as ``90s``, ``30m`` or ``1h30m``; a plain number means seconds."""

    name = "duration"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> float:
        """Returns seconds."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class WorkerCount(click.ParamType[Any, Any]):
    """A number of workers, or the word ``auto``; nothing means the default, 1."""

    name = "workers"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> int | str:
        """Returns the number, or ``auto``."""
        if value == AUTO:
            return AUTO
        return 1 if value == "" else int(click.IntRange(min=1).convert(value, param, ctx))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Completes the word."""
        return [CompletionItem(AUTO)] if AUTO.startswith(incomplete) else []


class Address(click.ParamType[Any, Any]):
    """The address of a store, whose password is shown nowhere from now on."""

    name = "address"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> Any:
        """Returns it as it is."""
        from pipeline.redaction import remember

        remember(str(value))
        return value


class Names(click.ParamType[Any, Any]):
    """Names separated by commas; one that holds a comma stands in double quotes."""

    name = "names"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> tuple[str, ...]:
        """Returns the names without blanks around them."""
        if isinstance(value, tuple):
            return value
        found = next(csv.reader([str(value)], skipinitialspace=True), [])
        return tuple(name.strip() for name in found)


class Separator(click.ParamType[Any, Any]):
    """What separates the columns of a text: one sign; a tab may be spelled ``tab``."""

    name = "separator"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """Returns the sign."""
        sign = "\t" if value in ("\\t", "tab") else str(value)
        if len(sign) != 1 or not sign.isascii() or sign in '"\r\n':
            self.fail(f"'{value}' separates no columns; expected one sign, such as ;", param, ctx)
        return sign


class ImageSize(click.ParamType[Any, Any]):
    """Height and width of pictures, such as ``32x32``."""

    name = "size"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> tuple[int, int]:
        """Returns height and width in pixels."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
