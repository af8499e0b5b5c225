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
        click.echo(next_line(words), err=True)


def next_line(words: Sequence[str]) -> str:
    """Returns the line that names the next command to type."""
    return f"Next: {shlex.join(words)}"


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


class Commands(Group):
    """A group whose commands turn the project's exceptions into one message and an exit code."""

    group_class = Group

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        from pipeline.errors import PipelineError, StoppedError
        from pipeline.redaction import mask_logs, mask_tracebacks, redacted, unexpected_error
        from pipeline.search.interrupts import EXIT_CODE, owns_terminal, signals_end_it

        mask_logs()
        try:
            with signals_end_it():
                return super().invoke(ctx)
        except PipelineError as error:
            if ctx.params.get("debug"):
                mask_tracebacks()
                raise
            # That it was stopped is no error: the user did it.
            start = "" if isinstance(error, StoppedError) else "Error: "
            click.echo(f"{start}{redacted(str(error))}", err=True)
            ctx.exit(error.exit_code)
        except click.UsageError as error:
            raise click.UsageError(redacted(error.format_message()), error.ctx) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                mask_tracebacks()
                raise
            message, code = unexpected_error(error)
            click.echo(f"Error: {message}", err=True)
            ctx.exit(code)
        except KeyboardInterrupt:
            if owns_terminal():
                click.echo("Stopped. What had ended is kept; the same command continues.", err=True)
            ctx.exit(EXIT_CODE)
