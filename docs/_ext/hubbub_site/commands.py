"""The command reference, written from the Typer app: every command with arguments, options, defaults and example."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import typer.main

from hubbub.jobs.cli import JOBS, app  # type: ignore[import-not-found]
from hubbub_site.markdown import as_code, as_text, write_table


def list_commands() -> dict[str, Any]:
    """Return the commands by name, in the order of the work."""
    group: Any = typer.main.get_command(app)
    return {name: group.commands[name] for name in JOBS}


def write_commands() -> str:
    """Write a section for each command."""
    return "\n".join(_write_command(name, command) for name, command in list_commands().items())


def _write_command(name: str, command: Any) -> str:
    text, _, example = command.help.partition("\nExample: ")
    line, _, rest = example.partition("\n")
    shown, comma, after = line.partition(", ")
    parts = [as_text(text.strip()), f"```sh\n{shown}\n```", f"… {as_text(after)}" if comma else "", _write_file(rest)]
    visible = [param for param in command.params if not param.hidden]
    table = write_table(("", "what it is", "default"), map(_describe, visible))
    usage = "\n\n".join(part for part in parts if part)
    return f"(command-{name})=\n## hubbub {name}\n\n{usage}\n\n{table}"


def _write_file(text: str) -> str:
    """What a file of the example holds: ``with grid.yaml: …``."""
    words, colon, content = text.strip().partition(": ")
    return f"{as_text(words)}:\n\n```yaml\n{content}\n```" if colon else as_text(words)


def _describe(param: Any) -> tuple[str, str, str]:
    """One line of the table."""
    notes = [as_text(param.help or ""), *_list_notes(param)]
    return as_code(_write_name(param)), " ".join(note for note in notes if note), _write_default(param)


def _write_name(param: Any) -> str:
    metavar = param.metavar or ("" if getattr(param, "is_flag", False) else param.name.upper())
    if param.param_type_name == "argument":
        return metavar
    names = ", ".join([*param.opts, *param.secondary_opts])
    return names if getattr(param, "is_flag", False) else f"{names} {metavar}"


def _list_notes(param: Any) -> Iterator[str]:
    if param.min is not None or param.max is not None:
        ends = (("at least", param.min), ("at most", param.max))
        yield f"({', '.join(f'{words} {end:,}' for words, end in ends if end is not None)})"
    if param.envvar:
        yield f"Environment: {as_code(param.envvar)}."


def _write_default(param: Any) -> str:
    if param.required:
        return "required"
    value = param.default
    # The text of an option says what happens without it where there is no value to show.
    if value is None or value is False or "Default:" in (param.help or ""):
        return ""
    if value is True:
        return as_code(param.opts[0])
    if isinstance(value, os.PathLike) and os.path.isabs(value):
        return ""  # where this repository lies is nobody's default
    return as_code(" ".join(map(str, value)) if isinstance(value, tuple) else value)


def find_example(command: Any) -> str:
    """Return the command line of a command's example."""
    found = re.search(r"^Example: (hubbub [^,\n]*)", command.help, re.MULTILINE)
    if found is None:
        raise ValueError(f"hubbub {command.name} --help shows no example; expected a line 'Example: hubbub …'")
    return found[1]
