"""Self-training: stretches of an archive that nobody has labelled, with what a trained model hears in them.

The model that is taught sees them changed, with masks and another equalisation, and has to say what its teacher said
of them as they are: it learns the sound of the archive (Q. Xie et al., "Self-training with noisy student improves
ImageNet classification", 2020, arXiv 1911.04252).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hubbub.config import Settings, describe_difference
from hubbub.errors import BundleError, TrainingError
from hubbub.io.text import list_few
from hubbub.learn.augment import Features
from hubbub.learn.extra_sounds import ExtraSounds
from hubbub.models.bundle import load_bundle


@dataclass(frozen=True)
class Lesson:
    """A stretch of the archive: float32 [frame, band] in decibels, and float32 [score, label] of the teacher."""

    features: Features
    scores: npt.NDArray[np.float32]


def prepare_lessons(
    sounds: ExtraSounds, teacher: Path, settings: Settings, labels: Sequence[str]
) -> tuple[tuple[Lesson, ...], str]:
    """Let the teacher score sounds.

    Parameters
    ----------
    sounds
        Of the archive.
    teacher
        A bundle of frames with the same labels and features.
    settings, labels
        Of the training.

    Returns
    -------
    lessons
        One for each piece that fills a score's frame.
    identity
        Changes with the sounds and the teacher: 16 hex digits.

    Raises
    ------
    TrainingError
        The teacher has other labels or features, or scores no frames.
    """
    try:
        bundle = load_bundle(str(teacher))
        layout = bundle.require_frames()
    except BundleError as error:
        raise TrainingError(f"--teacher {teacher}: {error}") from None
    if bundle.labels != list(labels):
        raise TrainingError(
            f"--teacher {teacher} has {list_few(bundle.labels, 'label')}, and the training "
            f"{list_few(list(labels), 'label')}; give a teacher that was trained with the same labels"
        )
    if bundle.settings.frontend != settings.frontend:
        ours, theirs = (one.frontend.model_dump(mode="json") for one in (settings, bundle.settings))
        raise TrainingError(
            f"--teacher {teacher} hears other features: {'; '.join(describe_difference(theirs, ours))}; "
            "train it on a store with the same settings"
        )
    lessons = []
    for piece in sounds.pieces:
        scores = bundle.score_block(layout.pad(piece[None])[0])[: layout.count(len(piece))]
        lessons.append(Lesson(piece, scores))
    identity = hashlib.sha256(f"{sounds.identity} {bundle.model_hash}".encode()).hexdigest()[:16]
    return tuple(lessons), identity
