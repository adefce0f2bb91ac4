"""Steps of the demo beside the commands: soundscapes mixed from held-out clips, and the scores of the labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hubbub.clips.sources.csv import read_frame
from hubbub.clips.table import ClipTable, read_table
from hubbub.io.paths import is_local
from hubbub.io.text import count_noun
from hubbub.labels.event_metrics import event_metrics
from hubbub.labels.tables import open_labels
from hubbub.pipelines.reporting import Reporter

HELD_OUT_FOLD = 5
_SOUNDSCAPES = 3
_SOUNDSCAPE_S = 60.0
_SOUNDSCAPE_RATE = 44_100


def mix_soundscapes(clips: Path, folder: Path, seed: int, reporter: Reporter) -> None:
    """Mix the held-out clips into soundscapes, and write the true events into ``truth.csv``; once only."""
    import pandas as pd
    import soundfile

    from hubbub.audio.soundscape import mix_soundscape

    truth = folder / "truth.csv"
    if truth.exists():
        reporter.say(f"soundscapes: made already ({folder})")
        return
    folder.mkdir(parents=True, exist_ok=True)
    held_out = _load_held_out(read_table(clips))
    events = []
    with reporter.show_progress("soundscapes", _SOUNDSCAPES, "files") as advance:
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
    reporter.say(
        f"soundscapes: {count_noun(len(events), 'event')} in {count_noun(_SOUNDSCAPES, 'file')} of "
        f"{_SOUNDSCAPE_S:g} s ({truth})"
    )


def _load_held_out(table: ClipTable) -> list[tuple[str, Any]]:
    """Load label and samples of the held-out clips, ordered so that every third has many classes."""
    from hubbub.audio import decode

    root = table.root
    assert is_local(root)  # the clips of this repository
    rows = [row for row in table.rows.to_pylist() if row["fold"] == HELD_OUT_FOLD]
    rows.sort(key=lambda row: (row["labels"][0], row["uri"]))
    return [(row["labels"][0], decode.load_audio(root / row["uri"], sample_rate=_SOUNDSCAPE_RATE)) for row in rows]


def describe_results(evaluation: Path, labels: Path, truth: Path) -> dict[str, str]:
    """Describe the scores of clips and of events, as names and values for people."""
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
