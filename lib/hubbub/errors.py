"""The family of errors.

Three branches, by who can mend them:

- `UsageError`: the command or its arguments; the person who typed it (exit code 2).
- `AudioError`: one clip; it becomes a failed row and the run continues (exit code 1 at the end).
- `StorageError`: the place results go to, while a run was writing there, and `ClusterLost`: what runs the work
  (exit code 1; run again to continue).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HubbubError(Exception):
    """Base of every error hubbub raises on purpose; its text is meant for the user."""

    exit_code = 2


class UsageError(HubbubError):
    """A command was asked wrongly: says what was given, what was expected, what to type instead."""


class SettingsError(UsageError):
    """A setting is unknown, of the wrong type or out of range."""


class ClipTableError(UsageError):
    """A clip table, or the source it is made from, cannot be read or breaks the contract."""


class StoreError(UsageError):
    """A feature store is missing, foreign, broken, or built with other settings."""


class BundleError(UsageError):
    """A model bundle is missing, broken, or belongs to other features."""


class LabelsError(UsageError):
    """A folder of label tables is missing, broken, or was made with another model or other settings."""


class TrainingError(UsageError):
    """The rows asked for cannot train or test a model."""


class ClusterError(UsageError):
    """The cluster cannot be reached or has no workers."""


class ClusterLost(HubbubError):
    """The cluster went away in mid-run, or did not start; what is committed is kept."""

    exit_code = 1


class RunStopped(HubbubError):
    """The run was drained by Ctrl-C or SIGTERM before it was done; what is committed is kept."""

    exit_code = 130


class UnitsLost(HubbubError):
    """No worker finished some units, and the job needs all of them."""

    exit_code = 1


class StorageError(HubbubError):
    """Writing results failed in mid-run: the disk is full, or permission was lost."""

    exit_code = 1


class AudioError(HubbubError):
    """One clip cannot be turned into features. Its text becomes the `error` of the clip's row."""

    exit_code = 1

    @property
    def reason(self) -> str:
        """The text of the row's `error` column: the class name, then what was wrong."""
        return f"{type(self).__name__}: {self}"


class DecodeError(AudioError):
    """The file is missing, unreadable, or no audio the decoder knows."""


class EmptyAudio(AudioError):
    """The clip holds no samples."""


class NonFiniteAudio(AudioError):
    """The clip holds NaN or infinite samples."""


class NonFiniteFeatures(AudioError):
    """The features of a clip are not numbers, or larger than the store's dtype holds."""


class UnusableScores(AudioError):
    """The model gives a clip scores that are no numbers, or not from 0 to 1."""


class LengthMismatch(AudioError):
    """The clip decodes to more windows than were planned from its header."""


class ChannelMismatch(AudioError):
    """How many channels a recording has is not what its clip table says."""


class AugmentationError(AudioError):
    """A recording of noise or of a room that a policy names cannot be used."""


class WorkerDied(AudioError):
    """Whoever reads the file dies of it: a fault in a decoder, found by trying it in a process of its own."""


class TimedOut(AudioError):
    """The clip takes longer than a file of its size can take; found by trying it in a process of its own."""


class OutOfMemory(AudioError):
    """The clip takes more memory than a worker has."""


class FileChanged(AudioError):
    """The file is no longer the one that was indexed."""


MOST_NAMED = 40
"""Names that a message lists; a model may have thousands of labels."""


def suggest_nearest(given: str, known: Iterable[str]) -> str:
    """Say which of `known` is meant, ``did you mean 'n_mels'? (known: …)``, or list them: ``known are …``."""
    options = sorted(known)
    close = difflib.get_close_matches(given, options, n=1, cutoff=0.6)
    close = [name for name in options if str(name).casefold() == given.casefold()] or close
    listed = options if len(options) <= MOST_NAMED else [*options[:MOST_NAMED], f"… {len(options)} in all"]
    names = ", ".join(map(str, listed))
    return f"did you mean '{close[0]}'? (known: {names})" if close else f"known are {names}"
