"""``hubbub mix``: soundscapes with known events, from the clips of a table."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options


def mix(
    clips: Annotated[
        StoragePath, typer.Argument(parser=parse_path, help="A clip table with one label a clip.", metavar="CLIPS")
    ],
    output: Annotated[
        StoragePath, typer.Option("--output", "-o", parser=parse_path, help="The folder to make.", metavar="SCENES")
    ],
    scenes: Annotated[int, typer.Option(help="How many soundscapes.", metavar="N")] = 10,
    duration: Annotated[float, typer.Option(help="Seconds of each.", metavar="S")] = 60.0,
    events: Annotated[tuple[int, int], typer.Option(help="Fewest and most events of a soundscape.", metavar="N N")] = (
        4,
        8,
    ),
    snr: Annotated[
        tuple[float, float], typer.Option(help="Lowest and highest level over the background.", metavar="DB DB")
    ] = (0.0, 20.0),
    level: Annotated[
        tuple[float, float], typer.Option(help="Softest and loudest background, dBFS.", metavar="DB DB")
    ] = (-55.0, -35.0),
    fold: Annotated[int | None, typer.Option(help="Take the clips of this fold only.", metavar="K")] = None,
    backgrounds: Annotated[
        StoragePath | None,
        typer.Option(
            parser=parse_path,
            help="Recordings without events, under four of five soundscapes. Default: noise of random colours.",
            metavar="FOLDER",
        ),
    ] = None,
    negatives: Annotated[
        StoragePath | None,
        typer.Option(parser=parse_path, help="Recordings of no class, to mix in as well.", metavar="FOLDER"),
    ] = None,
    overlap: Annotated[bool, typer.Option(help="Let events overlap.")] = True,
    sample_rate: Annotated[int, typer.Option(min=1000, max=384_000, help="Of the soundscapes.", metavar="HZ")] = 44_100,
    seed: Annotated[int, typer.Option(help="Decides what is drawn.", metavar="N")] = 0,
    debug: options.Debug = False,
) -> None:
    """Mix soundscapes at known times and levels: FLAC files, and truth.csv beside them.

    The same command makes the same soundscapes; more of them change none.

    Example: hubbub mix clips.parquet -o scenes --fold 1 --scenes 50
    """
    from hubbub.pipelines.mix import MixSettings, describe_mix
    from hubbub.pipelines.mix import mix as mix_scenes

    from .console import reporter

    chosen = MixSettings(scenes, duration, sample_rate, events, snr, level, overlap, seed)
    result = mix_scenes(
        clips, output, settings=chosen, fold=fold, backgrounds=backgrounds, negatives=negatives, reporter=reporter
    )
    reporter.show_table("mix: was done already" if result.was_done else "mix: done", describe_mix(result, chosen))
    for line in result.skipped:
        reporter.warn(f"left out: {line}")
    if result.skipped:
        raise typer.Exit(1)
