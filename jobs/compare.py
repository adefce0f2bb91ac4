"""``hubbub compare``: two evaluations, or two sets of label tables, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options

if TYPE_CHECKING:
    from hubbub.pipelines.compare import Comparison


def compare(
    first: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path, help="A folder made by hubbub evaluate, crossval or label.", metavar="RUN|LABELS"
        ),
    ],
    second: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path, help="Another of that kind: the same clips, the same archive.", metavar="RUN|LABELS"
        ),
    ],
    output: Annotated[
        StoragePath | None,
        typer.Option(
            "--output",
            "-o",
            parser=parse_path,
            help="Of label tables: write appeared.csv, vanished.csv and changed.csv.",
            metavar="DIR",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Of label tables: events to show that appeared, and that vanished.", metavar="N")
    ] = 3,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Compare two models on the clips that both tested, or what two label tables say of one archive.

    Example: hubbub compare evaluation-a evaluation-b
    """
    from hubbub.pipelines.compare import compare as compare_runs
    from hubbub.pipelines.compare_labels import LabelComparison, show_comparison

    from .console import reporter

    found = compare_runs(first, second, output, reporter=reporter)
    if isinstance(found, LabelComparison):
        show_comparison(found, samples, reporter)
    else:
        reporter.show_table("compare: done", {"first": first, "second": second, **_describe_models(found)})


def _describe_models(found: Comparison) -> dict[str, object]:
    one, two, test = found.first, found.second, found.test
    by_label = {
        f"F1 of {a.label}": f"{a.f1:.3f}, {b.f1:.3f}" for a, b in zip(one.per_class, two.per_class, strict=True)
    }
    return {
        "clips": found.clips,
        "accuracy": f"{one.accuracy:.1%}, {two.accuracy:.1%}",
        "macro F1": f"{one.macro_f1:.3f}, {two.macro_f1:.3f}",
        **by_label,
        "only one is right": f"first {test.only_first}, second {test.only_second} (McNemar's p {test.p_value:.3f})",
        "second less first": f"{100 * (two.accuracy - one.accuracy):+.1f} points of accuracy "
        f"(95 %: {100 * test.difference.low:+.1f} to {100 * test.difference.high:+.1f})",
    }
