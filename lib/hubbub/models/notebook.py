"""What a notebook shows of a model bundle: its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hubbub.audio.shown import write_facts

if TYPE_CHECKING:
    from hubbub.models.bundle import Bundle

_LABELS_TOLD = 12


class BundleNotebook:
    """What an open bundle shows in a notebook."""

    def _repr_html_(self) -> str:
        return _describe(cast("Bundle", self))


def _describe(bundle: Bundle) -> str:
    said = bundle.description
    held = said.get("thresholds") or {}
    thresholds = [f"{label} {held[label]:.3g}" if label in held else label for label in bundle.labels]
    more = f" and {len(thresholds) - _LABELS_TOLD} more" if len(thresholds) > _LABELS_TOLD else ""
    metrics = said.get("metrics") or {}
    window_s = said.get("window_s")
    facts = [
        ("model", f"{said.get('model', 'unknown')}, computed by {bundle.runtime}"),
        ("labels and thresholds", ", ".join(thresholds[:_LABELS_TOLD]) + more),
        ("scores", "of frames" if said.get("frames") else "of windows"),
        ("windows", f"{window_s:g} s" if window_s is not None else ""),
        ("features", f"{bundle.settings.frontend.name} at {bundle.settings.frontend.sample_rate} Hz"),
        ("settings", bundle.settings_hash),
        ("model hash", bundle.model_hash),
        (
            "at training",
            ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, int | float)),
        ),
    ]
    return write_facts(f"Model bundle {bundle.path}", facts)
