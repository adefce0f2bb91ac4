"""Keras and the backend that it computes on, `KERAS_BACKEND`: TensorFlow, JAX or PyTorch."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_HUSHED = threading.RLock()
"""One thread at a time, or another would keep the descriptor that is turned away."""


def import_keras() -> Any:
    """Import Keras and its backend without what they say on standard error, where jobs draw their progress.

    What goes wrong is an exception and not lost.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else one process takes all memory of a GPU
    with hushed_stderr():
        import keras
    with without_tensorflow():
        # Saving and loading look for TensorFlow's own objects, for which Keras loads it; it asks once a process.
        keras.saving.serialize_keras_object(np.float32(0))
    logging.getLogger("tensorflow").addFilter(_is_news)
    return keras


def _is_news(record: logging.LogRecord) -> bool:
    """Whether to let TensorFlow say something: not that Keras traced a graph again, as it does for each network."""
    text = record.getMessage()
    return not ("triggered tf.function retracing" in text and "TensorFlowTrainer" in text)


def import_tensorflow() -> Any:
    """Import TensorFlow, as `import_keras` does Keras."""
    with hushed_stderr():
        import tensorflow
    return tensorflow


@contextmanager
def hushed_stderr() -> Iterator[None]:
    """Throw away what libraries say on standard error.

    TensorFlow greets before any setting of its log is read, so the descriptor itself is turned away.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _HUSHED:
        sys.stderr.flush()
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def computes_on_tensorflow() -> bool:
    """Whether TensorFlow is Keras's backend."""
    import keras

    return bool(keras.config.backend() == "tensorflow")


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Let what asks for TensorFlow in the meantime find none, where another backend computes and nobody loaded it.

    Keras and TensorBoard load it wherever it is installed, which takes seconds and, on a GPU, its memory.
    """
    if computes_on_tensorflow() or "tensorflow" in sys.modules:
        yield
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and the backend, from which weights and dropout are drawn."""
    import keras

    with without_tensorflow():
        keras.utils.set_random_seed(seed)


def open_log(folder: Path) -> Any:
    """Open a folder for TensorBoard: its `Writer`, which writes scalars with any backend."""
    with without_tensorflow():
        return importlib.import_module("tensorboard.summary").Writer(str(folder))
