"""Turns what a command raises into one message on stderr and an exit code; ends it on Ctrl-C."""

from __future__ import annotations

from typing import Any

import click


class Commands(click.Group):
    """A group whose commands turn the project's exceptions into one message and an exit code."""

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
