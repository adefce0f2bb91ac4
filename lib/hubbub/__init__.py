"""hubbub: recordings in, spectrogram stores, trained models and event tables out.

What the commands do, these functions do, with paths, ``s3://`` URLs or the object of the step before::

    clips = hubbub.index("recordings/", out="clips.parquet")
    store = hubbub.build_features(clips, "store", settings={"frontend.n_mels": 64}, cluster="local")
    bundle = hubbub.train(store, "bundle", model="detector", test_fold=1)
    scores = hubbub.evaluate(bundle, store)
    labels = hubbub.label("archive/", bundle, "labels", cluster="local")
    labels.events()

Every function raises `hubbub.errors` and prints nothing unless ``progress=True``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub import errors
    from hubbub.pipelines.face import (
        build_features,
        check_clips,
        compact,
        index,
        open_store,
        read_clips,
        summarise_store,
        verify,
    )
    from hubbub.pipelines.face_embeddings import embed
    from hubbub.pipelines.face_events import find_events
    from hubbub.pipelines.face_exports import export_events
    from hubbub.pipelines.face_fetch import fetch
    from hubbub.pipelines.face_models import (
        evaluate,
        export_model,
        label,
        open_bundle,
        open_labels,
        train,
        write_report,
    )
    from hubbub.pipelines.face_scenes import mix, score
    from hubbub.pipelines.face_search import search, suggest
    from hubbub.pipelines.face_trials import compare, crossval, sweep
    from hubbub.pipelines.models import describe_model, list_models

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "build_features",
    "check_clips",
    "compact",
    "compare",
    "crossval",
    "describe_model",
    "embed",
    "errors",
    "evaluate",
    "export_events",
    "export_model",
    "fetch",
    "find_events",
    "index",
    "label",
    "list_models",
    "mix",
    "open_bundle",
    "open_labels",
    "open_store",
    "read_clips",
    "score",
    "search",
    "suggest",
    "summarise_store",
    "sweep",
    "train",
    "verify",
    "write_report",
]

_ROOMS = (
    *("face", "face_models", "face_events", "face_exports", "face_embeddings", "face_search"),
    *("face_scenes", "face_trials", "face_fetch", "models"),
)
"""Modules of `hubbub.pipelines` that hold these functions, those asked for most first."""


def __getattr__(name: str) -> Any:
    """Import a function at its first use, so that ``import hubbub`` takes no time."""
    if name == "errors":
        return import_module("hubbub.errors")
    if name in __all__:
        rooms = (import_module(f"hubbub.pipelines.{room}") for room in _ROOMS)
        return next(getattr(room, name) for room in rooms if hasattr(room, name))
    raise AttributeError(f"module 'hubbub' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
