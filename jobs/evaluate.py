"""``hubbub evaluate``: how good a bundle is on clips it has not seen."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def evaluate(
    bundle: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A model bundle, made by hubbub train.", metavar="BUNDLE")
    ],
    store: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A feature store with the same settings.", metavar="STORE")
    ],
    output: Annotated[
        StoragePath,
        typer.Option("--output", "-o", parser=parse_path, help="Folder for scores and report.", metavar="REPORT"),
    ],
    fold: Annotated[
        int | None, typer.Option(help="Fold to test on. Default: what training kept out.", metavar="K")
    ] = None,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Test a bundle, and write its scores, its predictions and a report."""
    from . import console

    folder = options.local_only(output, "evaluate into a folder here, then copy it there")
    with console.waiting("loading Keras"):
        from hubbub.models.bundle import import_keras

        import_keras()
        from hubbub.learn.evaluate import evaluate as evaluate_bundle
        from hubbub.learn.evaluate import held_out_fold
        from hubbub.models.bundle import load_bundle
        from hubbub.report import evaluation_section, write_report
        from hubbub.store.features import open_store
    with console.waiting("scoring test clips"):
        opened = load_bundle(bundle)
        metrics = evaluate_bundle(opened, open_store(store), folder, fold=fold)
    kept = held_out_fold(opened)
    if fold is not None and kept is not None and fold != kept:
        console.warn(f"fold {fold} was trained on, unless this is another data set: the model kept fold {kept} out")
    page = write_report([evaluation_section(folder)], folder / "report.html", title="hubbub evaluation")
    weakest = min(metrics.per_class, key=lambda score: score.f1)
    console.summary(
        "evaluate: done",
        {
            "accuracy": f"{metrics.accuracy:.1%}",
            "macro F1": f"{metrics.macro_f1:.3f}",
            "weakest label": f"{weakest.label} (F1 {weakest.f1:.2f})",
            "result": folder,
            "report": page,
        },
    )
