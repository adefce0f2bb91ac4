"""``hubbub models``: which models can be trained, what each costs, and where it is from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from hubbub.pipelines.models import ModelFacts


def models(
    name: Annotated[
        str | None, typer.Argument(help="Show this one only, with its features and its recipe.", metavar="NAME")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """List the models that hubbub train can train: parameters, multiply-adds, source, licence of weights.

    Example: hubbub models cnn-128
    """
    from hubbub.pipelines.models import N_LABELS, describe_model, list_models

    from .console import reporter

    with reporter.show_waiting("building networks"):
        known = list_models() if name is None else (describe_model(name),)
    if name is None:
        _print_table(known)
    else:
        reporter.show_table(f"models: {name}", _describe(known[0]))
    reporter.say(
        f"Counted from each network as it is built for its own features (hubbub settings --for NAME) and {N_LABELS} "
        "labels, windows side by side. Multiply-adds are those of convolutions, dense and recurrent layers."
        + (" All of a model: hubbub models NAME." if name is None else "")
    )


def _print_table(known: Iterable[ModelFacts]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from .console import out

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True, style="cyan")
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("multiply-adds\na second", justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    table.add_column("licence of\nweights", no_wrap=True)
    for facts in known:
        counts = (f"{facts.parameters:,}", _format_count(facts.multiply_adds_per_s))
        licence = (facts.weights_licence or "–").partition(";")[0]  # the rest stands with the model alone
        table.add_row(facts.name, *counts, escape(facts.source), escape(licence))
    out.print(table)


def _describe(facts: ModelFacts) -> dict[str, str]:
    """Names and values of the table of one model."""
    frontend, windows, recipe = facts.features.frontend, facts.features.windows, facts.settings
    frames, bands = facts.shape
    return {
        "what it is": facts.summary,
        "source": facts.source,
        "licence of weights": facts.weights_licence or "– (training begins with random weights)",
        "parameters": f"{facts.parameters:,}",
        "multiply-adds": f"{_format_count(facts.multiply_adds_per_s)} a second of sound",
        "scores": {"softmax": "one label a clip", "sigmoid": "each label alone, so that several or none may fit"}[
            facts.activation
        ],
        "features": f"embeddings, counted for {bands:,} values: hubbub embed"
        if frontend.name == "embedding"
        else f"{frontend.name}, {frontend.sample_rate:,} Hz, {frames} frames x {bands} bands of "
        f"{windows.input_s:g} s: hubbub settings --for {facts.name}",
        "training": f"{facts.optimizer}, learning rate {recipe.model.learning_rate:g}, weight decay "
        f"{recipe.model.weight_decay:g}, dropout {recipe.model.dropout:g}, batches of {facts.batch_rows} rows, up to "
        f"{facts.most_epochs} epochs, {'augmented' if recipe.train.augment else 'not augmented'}: "
        f"hubbub settings --model {facts.name}",
    }


def _format_count(count: float) -> str:
    """Write a large number with three digits: ``18.8 M``, ``1.24 G``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count:.3g}"
