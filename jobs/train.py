"""``hubbub train``: a feature store to a model bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def train(
    store: Annotated[
        StoragePath,
        typer.Argument(parser=parse_path, help="A store made by hubbub features or hubbub embed.", metavar="STORE"),
    ],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="The bundle to make.", metavar="BUNDLE")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="default, detector (says when, for labelling) or another; hubbub models lists them. Default: default, "
            "or linear for a store of embeddings.",
            metavar="NAME",
        ),
    ] = None,
    weights: options.Weights = None,
    test_fold: Annotated[int | None, typer.Option(help="Fold to keep out and test on.", metavar="K")] = None,
    split_by: Annotated[
        str | None,
        typer.Option(help="fold, split (the data set's own) or group. Default: what the clips have.", metavar="HOW"),
    ] = None,
    settings: options.RecipeFile = None,
    set_: options.RecipeSet = None,
    epochs: Annotated[
        int | None, typer.Option(help="Short for --set train.epochs=N. Default: what suits the data.", metavar="N")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides weights, order and augmentation.", metavar="N")] = 0,
    backgrounds: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path, help="detector: recordings without any label to mix events into.", metavar="FOLDER|STORE"
        ),
    ] = None,
    negatives: Annotated[
        StoragePath | None,
        typer.Option(parser=parse_path, help="detector: sounds that carry none of the labels.", metavar="FOLDER|STORE"),
    ] = None,
    unlabelled: Annotated[
        StoragePath | None,
        typer.Option(parser=parse_path, help="detector: recordings that --teacher labels.", metavar="FOLDER|STORE"),
    ] = None,
    teacher: Annotated[
        StoragePath | None,
        typer.Option(parser=parse_path, help="A detector trained before, for --unlabelled.", metavar="BUNDLE"),
    ] = None,
    allow_leakage: Annotated[
        bool, typer.Option("--allow-leakage", help="Train although a recording is on both sides of the split.")
    ] = False,
    log_json: options.LogJson = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Train a model. After a kill, the same command resumes at the last whole epoch.

    Example: hubbub train store -o bundle --test-fold 1 --set model.learning_rate=0.001
    """
    from hubbub.config.recipes import load_recipe_settings
    from hubbub.pipelines.inputs import choose_model
    from hubbub.pipelines.quantities import format_duration
    from hubbub.pipelines.train import as_output_folder
    from hubbub.pipelines.train import train as train_model

    from .console import reporter

    as_output_folder(output)  # before the store is opened
    model = choose_model(store, model, reporter.say)
    result = train_model(
        store,
        output,
        model=model,
        test_fold=test_fold,
        split_by=split_by,
        settings=load_recipe_settings(model, settings, set_ or []),
        weights=weights,
        epochs=epochs,
        seed=seed,
        backgrounds=backgrounds,
        negatives=negatives,
        unlabelled=unlabelled,
        teacher=teacher,
        allow_leakage=allow_leakage,
        log_json=log_json,
        reporter=reporter,
    )
    kept = result.history[result.kept_epoch - 1]
    validated = f", validation accuracy {kept['val_accuracy']:.1%}" if "val_accuracy" in kept else ""
    reporter.show_table(
        "train: was done already" if result.was_done else "train: done",
        {
            "model": result.model,
            "labels": ", ".join(result.labels),
            "rows": ", ".join(f"{name} {count}" for name, count in result.rows.items()),
            "epochs": f"{len(result.history)}, kept number {result.kept_epoch}{validated}",
            **({"resumed": f"after epoch {result.resumed_epoch}"} if result.resumed_epoch else {}),
            "time": format_duration(result.seconds),
            "result": result.bundle,
        },
    )
