"""Turns what a command raises into one message on stderr and an exit code; ends it on Ctrl-C.

It also has what the help of every command shows: whole summaries, and examples at the end.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import click


def examples(*commands: str) -> str:
    """Returns the end of a command's help: what to type, a command per line, never wrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def say_next(words: Sequence[str]) -> None:
    """Says on stderr which command is the next one to type; nothing where ``--quiet`` was given."""
    context = click.get_current_context(silent=True)
    if context is None or not context.params.get("quiet"):
        from pipeline.redaction import redacted

        click.echo(redacted(next_line(words)), err=True)


def next_line(words: Sequence[str]) -> str:
    """Returns the line that names the next command to type."""
    return f"Next: {shlex.join(words)}"


def next_of(words: Sequence[str]) -> str:
    """Returns the next command to type, for JSON."""
    from pipeline.redaction import redacted

    return redacted(shlex.join(words))


class Group(click.Group):
    """A group of commands whose help shows each summary as a whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands, each with the first sentence of its help, wrapped and never cut."""
        rows = [(name, _summary(self.commands[name])) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _summary(command: click.Command) -> str:
    paragraph = " ".join((command.help or "").split("\n\n")[0].split())
    return paragraph if paragraph.endswith(".") else f"{paragraph}."


def typed(ctx: click.Context) -> list[str]:
    """Returns the words of the command as it was typed, its name first."""
    return ["pipeline", *ctx.find_root().meta.get(_TYPED, ctx.command_path.split()[1:])]


_TYPED = "pipeline.typed"


class Commands(Group):
    """A group whose commands turn the project's exceptions into one message and an exit code."""

    group_class = Group

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps the words that were typed, for commands that name a following one by them."""
        ctx.meta[_TYPED] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        from pipeline.redaction import mask_logs
        from pipeline.search.interrupts import EXIT_CODE, owns_terminal, signals_end_it
        from pipeline.tracking.command_run import command_run_ended

        mask_logs()
        try:
            with signals_end_it(), command_run_ended():
                return self._invoke(ctx)
        except KeyboardInterrupt:
            if owns_terminal():
                click.echo("Stopped. What had ended is kept; the same command continues.", err=True)
            ctx.exit(EXIT_CODE)

    def _invoke(self, ctx: click.Context) -> Any:
        """Runs the command; says in one line what went wrong."""
        from pipeline.errors import PipelineError, StoppedError
        from pipeline.redaction import mask_tracebacks, redacted, unexpected_error
        from pipeline.search.interrupts import was_broken_off

        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except click.UsageError as error:
            raise click.UsageError(redacted(error.format_message()), error.ctx) from error
        except Exception as error:
            if was_broken_off():
                # An error on the way out, or a library's in place of Ctrl-C: the user did it.
                raise KeyboardInterrupt from error
            if isinstance(error, click.ClickException | click.Abort):
                raise
            if ctx.params.get("debug"):
                mask_tracebacks()
                raise
            message, code = unexpected_error(error)
            start = "Error: "
            if isinstance(error, PipelineError):
                # That it was stopped is no error: the user did it.
                start = "" if isinstance(error, StoppedError) else start
                message, code = redacted(str(error)), error.exit_code
            click.echo(f"{start}{message}", err=True)
            ctx.exit(code)
