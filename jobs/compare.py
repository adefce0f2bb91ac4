"""``hubbub compare``: two evaluations side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def compare(
    first: Annotated[
        StoragePath,
        typer.Argument(parser=parse_path, help="A folder made by hubbub evaluate or crossval.", metavar="RUN"),
    ],
    second: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="Another one, on the same clips.", metavar="RUN")
    ],
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Compare two models on the clips that both tested, with a paired test.

    Example: hubbub compare evaluation-a evaluation-b
    """
    from hubbub.pipelines.compare import compare as compare_runs

    from .console import reporter

    found = compare_runs(first, second, reporter=reporter)
    one, two, test = found.first, found.second, found.test
    by_label = {
        f"F1 of {a.label}": f"{a.f1:.3f}, {b.f1:.3f}" for a, b in zip(one.per_class, two.per_class, strict=True)
    }
    reporter.show_table(
        "compare: first, second",
        {
            "clips": found.clips,
            "accuracy": f"{one.accuracy:.1%}, {two.accuracy:.1%}",
            "macro F1": f"{one.macro_f1:.3f}, {two.macro_f1:.3f}",
            **by_label,
            "only one is right": f"first {test.only_first}, second {test.only_second} (McNemar's p {test.p_value:.3f})",
            "second less first": f"{100 * (two.accuracy - one.accuracy):+.1f} points of accuracy "
            f"(95 %: {100 * test.difference.low:+.1f} to {100 * test.difference.high:+.1f})",
        },
    )
