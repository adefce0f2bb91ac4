"""A synthesised scale: what is played when is known to the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 22_050
NOTES = ["C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"]
_MIDI = [60, 62, 64, 65, 67, 69, 71, 72]
_BEGIN_S, _NOTE_S, _END_S = 0.3, 0.5, 0.5
ONSETS_S = [_BEGIN_S + _NOTE_S * number for number in range(len(NOTES))]

_NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


def list_notes() -> list[str]:
    """Names of a piano's 88 keys, from A0 on."""
    return [f"{_NAMES[midi % 12]}{midi // 12 - 1}" for midi in range(21, 109)]


def write_scale(path: Path) -> Path:
    """Write a scale of C major: notes of six harmonics that fade, between silence."""
    time_s = np.arange(round(_NOTE_S * RATE)) / RATE
    envelope = np.minimum(time_s / 0.01, 1) * np.exp(-3 * time_s) * np.minimum((_NOTE_S - time_s) / 0.02, 1)
    parts = [np.zeros(round(_BEGIN_S * RATE))]
    for midi in _MIDI:
        phase = 2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * time_s
        parts.append(0.3 * envelope * sum(np.sin(order * phase) / order for order in range(1, 7)))
    soundfile.write(path, np.concatenate([*parts, np.zeros(round(_END_S * RATE))]), RATE)
    return path
