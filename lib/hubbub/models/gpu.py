"""Graphics processors: whether there is one that networks compute on here, and by what."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

DEVICES = ("nvidia[0-9]*", "kfd")
"""Names in ``/dev`` of the devices of NVIDIA's and AMD's drivers."""

_HIDDEN = ("", "-1")

CUDA = "CUDAExecutionProvider"
"""What ONNX Runtime calls NVIDIA's GPUs; only the package onnxruntime-gpu has it."""


def has_device(folder: Path = Path("/dev")) -> bool:
    """Whether the system shows a GPU that this process may use; loads nothing."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in _HIDDEN:
        return False
    return any(True for name in DEVICES for _ in folder.glob(name))


def list_providers() -> list[str]:
    """What ONNX Runtime computes on here, the first that can."""
    import onnxruntime

    there = onnxruntime.get_available_providers() if has_device() else []
    return [*(name for name in (CUDA,) if name in there), "CPUExecutionProvider"]


@lru_cache(maxsize=1)
def keras_has_gpu() -> bool:
    """Whether Keras computes on a GPU here; loads it only where the system shows a GPU."""
    if not has_device() or find_spec("keras") is None:
        return False
    from hubbub.models.backends import import_keras

    keras = import_keras()
    if keras.config.backend() == "torch":
        import torch

        return bool(torch.cuda.is_available())
    return bool(keras.distribution.list_devices("gpu"))
