"""``hubbub demo``: the whole chain on the clips in the repository, each step the command a user would type."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options
from .evaluate import evaluate
from .features import features
from .index import index
from .label import label
from .mix import mix
from .report import report
from .train import train

_DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "esc10-mini"
_SCENES, _EVENTS, _SNR_DB = 3, (5, 8), (5.0, 20.0)

_THRESHOLD = ("0.3",)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all results.", metavar="DIR")] = Path(
        "demo"
    ),
    data: Annotated[
        Path, typer.Option(help="Folder with esc10.csv and audio/; default: the repository's own.", metavar="DIR")
    ] = _DATA,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of the training; fewer for a quick look.", metavar="N")] = 60,
    seed: Annotated[int, typer.Option(help="Of the training and of the soundscapes.", metavar="N")] = 0,
    debug: options.Debug = False,
) -> None:
    """Run the whole chain on 100 real clips: index, features, train, evaluate, mix, label, report.

    Trains a detector on four folds, tests it on the fifth, then mixes the fifth's clips into three soundscapes of a
    minute and labels them, with one threshold for all labels: a bundle's own rules are for archives in which most
    minutes hold nothing. A second run repeats no finished step.

    Example: hubbub demo -o demo --epochs 5
    """
    from hubbub.pipelines.demo import HELD_OUT_FOLD, describe_results
    from hubbub.pipelines.quantities import format_duration

    from .console import reporter

    source = _find_source(data)
    started = time.monotonic()
    clips, store, bundle = output / "clips.parquet", output / "store", output / "bundle"
    evaluation, soundscapes, labels = output / "evaluation", output / "soundscapes", output / "labels"
    truth, page = soundscapes / "truth.csv", output / "report.html"
    spread = {"cluster": cluster, "workers": workers}

    _run_step(index, source, output=clips)
    _run_step(features, clips, output=store, **spread)
    _run_step(train, store, output=bundle, model="detector", test_fold=HELD_OUT_FOLD, epochs=epochs, seed=seed)
    _run_step(evaluate, bundle, store, output=evaluation)
    _run_step(
        mix, clips, output=soundscapes, scenes=_SCENES, events=_EVENTS, snr=_SNR_DB, fold=HELD_OUT_FOLD, seed=seed
    )
    _run_step(label, soundscapes, model=bundle, output=labels, threshold=_THRESHOLD, **spread)
    _run_step(report, [evaluation, labels], output=page, truth=truth, title="hubbub demo")
    took = {"time": format_duration(time.monotonic() - started)}
    reporter.show_table("demo: done", describe_results(evaluation, labels, truth) | took)
    reporter.say(f"report: {page.resolve()}")


def _find_source(data: Path) -> Path:
    from hubbub.errors import UsageError

    source = data / "esc10.csv"
    if not source.exists():
        raise UsageError(
            f"the demo's clips are not at {data}: they come with the repository, not with the installed package; "
            "run hubbub demo in a clone, or give --data a folder with esc10.csv and audio/"
        )
    return source


def _run_step(job: Callable[..., None], *arguments: Any, **named: Any) -> None:
    """Print a job as it would be typed, and run it; any failure ends the demo."""
    from .console import reporter

    reporter.say("")
    reporter.say("$ " + shlex.join(_command_line(job.__name__, arguments, named)))
    try:
        job(*arguments, **named)
    except typer.Exit as done:
        if done.exit_code:
            raise


def _command_line(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[str]:
    words = ["hubbub", name]
    for value in arguments:
        words += map(str, value if isinstance(value, list) else [value])
    for option, value in named.items():
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + option.replace("_", "-"), *map(str, values)]
    return words
