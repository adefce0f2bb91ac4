"""``hubbub demo``: the whole chain on the sounds in the repository, each step the command a user would type."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .evaluate import evaluate
from .features import features
from .index import index
from .label import label
from .report import report
from .train import train

if TYPE_CHECKING:
    from hubbub.clips.table import ClipTable

_DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "esc10-mini"
_HELD_OUT_FOLD = 5
_SOUNDSCAPES = 3
_SOUNDSCAPE_S = 60.0
_SOUNDSCAPE_RATE = 44_100
_HOP_S = 0.5


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all results.", metavar="DIR")] = Path(
        "demo"
    ),
    data: Annotated[
        Path, typer.Option(help="Folder with esc10.csv and audio/; default: the repository's own.", metavar="DIR")
    ] = _DATA,
    cluster: options.Cluster = "local",
    workers: options.Workers = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Default: what suits the model; fewer for a quick look.", metavar="N")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the training and of the soundscapes.", metavar="N")] = 0,
    debug: options.Debug = False,
) -> None:
    """Run the whole chain on 100 real clips: index, features, train, evaluate, label, report.

    Trains on four folds, tests on the fifth, then mixes the fifth's clips into three soundscapes of a minute and labels
    them. What an earlier run has done is not done again.
    """
    from . import console

    source = _source(data)
    started = time.monotonic()
    clips, store, bundle = output / "clips.parquet", output / "store", output / "bundle"
    evaluation, sounds, labels = output / "evaluation", output / "soundscapes", output / "labels"
    truth, page = sounds / "truth.csv", output / "report.html"
    spread = {"cluster": cluster, "workers": workers}

    _step(index, source, output=clips)
    _step(features, clips, output=store, **spread)
    _step(train, store, output=bundle, test_fold=_HELD_OUT_FOLD, epochs=epochs, seed=seed)
    _step(evaluate, bundle, store, output=evaluation)
    _mix(clips, sounds, seed)
    _step(label, sounds, model=bundle, output=labels, hop=_HOP_S, **spread)
    _step(report, [evaluation, labels], output=page, truth=truth, title="hubbub demo")
    console.summary(
        "demo: done", _results(evaluation, labels, truth) | {"time": console.duration(time.monotonic() - started)}
    )
    console.say(f"report: {page.resolve()}")


def _source(data: Path) -> Path:
    from hubbub.errors import UsageError

    source = data / "esc10.csv"
    if not source.exists():
        raise UsageError(
            f"the demo's sounds are not at {data}: they come with the repository, not with the installed package; "
            "run it in a clone, or give --data a folder with esc10.csv and audio/"
        )
    return source


def _step(job: Callable[..., None], *arguments: Any, **named: Any) -> None:
    """Print a job as it would be typed, and run it; any failure ends the demo."""
    from . import console

    console.say("")
    console.say("$ " + shlex.join(_typed(job.__name__, arguments, named)))
    try:
        job(*arguments, **named)
    except typer.Exit as done:
        if done.exit_code:
            raise


def _typed(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[str]:
    words = ["hubbub", name]
    for value in arguments:
        words += map(str, value if isinstance(value, list) else [value])
    for option, value in named.items():
        if value is not None:
            words += ["--" + option.replace("_", "-"), str(value)]
    return words


def _mix(clips: Path, folder: Path, seed: int) -> None:
    """Mix the held-out clips into soundscapes, and write down what sounds when."""
    import pandas as pd
    import soundfile

    from hubbub.audio.soundscape import mix_soundscape
    from hubbub.clips.table import read_table

    from . import console

    console.say("")
    truth = folder / "truth.csv"
    if truth.exists():
        console.say(f"soundscapes: there already ({folder})")
        return
    folder.mkdir(parents=True, exist_ok=True)
    held_out = _held_out(read_table(clips))
    events = []
    with console.progress("soundscapes", _SOUNDSCAPES, "files") as advance:
        for number in range(_SOUNDSCAPES):
            name = f"soundscape-{number + 1}.flac"
            mixed = mix_soundscape(
                held_out[number::_SOUNDSCAPES],
                duration_s=_SOUNDSCAPE_S,
                sample_rate=_SOUNDSCAPE_RATE,
                seed=seed * _SOUNDSCAPES + number,
            )
            soundfile.write(folder / name, mixed.samples, _SOUNDSCAPE_RATE)
            events += [{"uri": name, **vars(event)} for event in mixed.events]
            advance(1)
    pd.DataFrame(events).to_csv(truth, index=False)
    console.say(f"soundscapes: {len(events)} events in {_SOUNDSCAPES} files of {_SOUNDSCAPE_S:g} s ({truth})")


def _held_out(table: ClipTable) -> list[tuple[str, Any]]:
    """Label and samples of the held-out fold's clips, ordered so that every third of them has many classes."""
    from hubbub.audio import decode
    from hubbub.io.paths import is_local

    root = table.root
    assert is_local(root)  # the clips of this repository
    rows = [row for row in table.rows.to_pylist() if row["fold"] == _HELD_OUT_FOLD]
    rows.sort(key=lambda row: (row["labels"][0], row["uri"]))
    return [(row["labels"][0], decode.load_audio(root / row["uri"], sample_rate=_SOUNDSCAPE_RATE)) for row in rows]


def _results(evaluation: Path, labels: Path, truth: Path) -> dict[str, str]:
    import json

    from hubbub.clips.sources.csv import read_frame
    from hubbub.labels.metrics import event_metrics
    from hubbub.labels.tables import open_labels

    scores = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))
    found, true = open_labels(labels).events(), read_frame(truth)
    events = event_metrics(true, found)
    return {
        "clips tested": f"{scores['clips']} of fold {scores['fold']}, accuracy {scores['accuracy']:.1%}, "
        f"macro F1 {scores['macro_f1']:.3f}",
        "soundscapes": f"{len(true)} true events, {len(found)} labelled",
        "segments of 1 s": f"F1 {events.segment.f1:.3f}",
        "events": f"F1 {events.event.f1:.3f}",
    }
