"""What units need, to be imported by the process that workers are forked from: no worker then loads it again.

Nothing here starts a thread, which a forked process would lack: neither TensorFlow nor an inference session.
"""

from __future__ import annotations

import importlib
from contextlib import suppress

import numpy as np

from hubbub.audio import decode  # noqa: F401
from hubbub.audio.frontends import compute_features
from hubbub.config import Settings
from hubbub.tasks import extract, label, streaming  # noqa: F401


def load_loops() -> None:
    """Load the frontends' compiled loops, which happens when they are first called."""
    settings = Settings()
    compute_features(np.zeros(settings.frontend.sample_rate, np.float32), settings)


load_loops()
with suppress(ImportError):  # where it is installed, it scores
    importlib.import_module("onnxruntime")
