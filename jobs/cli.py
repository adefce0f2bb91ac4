"""The `hubbub` command: a table of jobs, and the one module where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING, Annotated

import typer

from hubbub import __version__
from hubbub.errors import HubbubError
from hubbub.io.storage_options import explain_storage_error
from hubbub.io.text import make_visible

from .options import DEBUG_VARIABLE, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = (
    *("index", "fetch", "settings", "features", "embed", "status", "verify", "compact", "info"),
    *(
        "models",
        "train",
        "evaluate",
        "crossval",
        "sweep",
        "compare",
        "mix",
        "label",
        "events",
        "score",
        "export",
        "export-model",
        "search",
        "suggest",
        "report",
        "browse",
        "try",
        "demo",
    ),
)
"""Commands in the order of the work; each is a function in a module of its name (`name_in_python`)."""

app = typer.Typer(
    help="hubbub labels the noise of a city: recordings in, labelled events out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all is done, 1 some clips failed or the run broke off, 2 the command was asked wrongly, "
    "130 stopped by Ctrl-C or SIGTERM.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"hubbub {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def name_in_python(job: str) -> str:
    """Return the name of a command's module and function: ``export_model`` of export-model, ``try_`` of try."""
    name = job.replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


for _name in JOBS:
    _function = name_in_python(_name)
    app.command(name=_name)(getattr(import_module(f".{_function}", __package__), _function))


@cache
def _build_command() -> Callable[[], None]:
    """All commands, read from their functions once a process: that takes longer than many a refusal."""
    return typer.main.get_command(app)


def main() -> None:
    """Run a command; no traceback reaches a user unless ``--debug``."""
    try:
        _build_command()()
    except HubbubError as error:
        _fail(error, str(error), error.exit_code)
    except SystemExit as done:  # Typer's own, after Ctrl-C too
        if done.code == INTERRUPTED:
            _fail(done, "stopped; what is committed is kept, and the same command resumes", INTERRUPTED)
        raise
    except BrokenPipeError:
        os._exit(141)  # whoever read our output has gone; nothing is left to say
    except Exception as error:
        if (why := explain_storage_error(error)) is not None:
            _fail(error, why, 2)
        _fail(error, f"this is a fault in hubbub: {type(error).__name__}: {error} (--debug shows where)", 1)


def _fail(error: BaseException, message: str, code: int) -> None:
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    print(f"hubbub: {make_visible(message)}", file=sys.stderr)
    sys.exit(code)
