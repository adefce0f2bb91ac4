"""``hubbub settings``: every setting of `features` or of a recipe, with its default and meaning, as a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from hubbub.config import Settings


def settings(
    frontend: Annotated[
        str, typer.Argument(help="The frontend whose settings to show; --list names them.", metavar="FRONTEND")
    ] = "log-mel",
    for_: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="Print the settings of the features that a model is made for; hubbub models lists the models.",
            metavar="NAME",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Print the settings of a recipe, for hubbub train, instead.", metavar="NAME"),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the frontends, a line each.")] = False,
    debug: options.Debug = False,
) -> None:
    """Print the settings of features, or of a model's recipe, as YAML, with meanings.

    Example: hubbub settings --for cnn-128 > cnn-128.yaml, then --settings cnn-128.yaml with hubbub features
    """
    from hubbub.config import load_settings
    from hubbub.config.frontends import FRONTENDS
    from hubbub.config.network_features import HEADS, choose_features
    from hubbub.errors import UsageError, suggest_nearest

    if for_ is not None and model is not None:
        raise UsageError(
            f"--for {for_} prints the settings of features, --model {model} those of a recipe; give one of the two"
        )
    if for_ in HEADS:
        raise UsageError(f"{for_} trains on embeddings, which a model makes: hubbub embed CLIPS --model MODEL -o STORE")
    if list_:
        width = max(map(len, FRONTENDS))
        for name, kind in FRONTENDS.items():
            typer.echo(f"{name:<{width}}  {(kind.__doc__ or '').splitlines()[0]}")
        return
    if model is not None:
        for line in _recipe_lines(model):
            typer.echo(line)
        return
    if frontend not in FRONTENDS:
        raise UsageError(f"unknown frontend '{frontend}': {suggest_nearest(frontend, FRONTENDS)}")
    for line in _lines(load_settings(None, [f"frontend.name={frontend}"]) if for_ is None else choose_features(for_)):
        typer.echo(line)


def _lines(chosen: Settings) -> Iterator[str]:
    """One YAML file that gives these settings."""
    from hubbub.config import Settings

    for name in ("frontend", "windows", "layout"):
        values = getattr(chosen, name)
        yield f"{name}:"
        for key, field in _name_first(type(values).model_fields):
            yield _line("  ", key, getattr(values, key), field)
    for key in ("channels", "dtype"):
        yield _line("", key, getattr(chosen, key), Settings.model_fields[key])


def _recipe_lines(name: str) -> Iterator[str]:
    """One YAML file that gives the defaults of a recipe."""
    from hubbub.config.recipes import default_settings, sections_of

    chosen = default_settings(name)
    for section, kind in sections_of(name).items():
        yield f"{section}:"
        for key, field in kind.model_fields.items():
            yield _line("  ", key, getattr(getattr(chosen, section), key), field)


def _name_first(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(fields.items(), key=lambda item: item[0] != "name")


def _line(indent: str, key: str, value: Any, field: Any) -> str:
    written = f"{indent}{key}: {_yaml(value)}"
    return f"{written:<34}# {field.description}" if field.description else written


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    # YAML takes 1e-10 for text, and 1.0e-10 for a number.
    return f"{value:.1e}" if isinstance(value, float) and 0 < abs(value) < 1e-4 else str(value)
