"""hubbub: recordings in, spectrogram stores, trained models and event tables out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbub.store.features import open_store

__all__ = ["__version__", "open_store"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is asked for only then, so that ``import hubbub`` stays light."""
    if name == "open_store":
        from hubbub.store.features import open_store

        return open_store
    raise AttributeError(f"module 'hubbub' has no attribute {name!r}")
