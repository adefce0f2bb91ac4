"""The YAML file of an exported model, as `hubbub.config.foreign` reads it: the bundle's features, labels and rules.

A network that scores frames takes a window of fixed length there, long enough for frames that do not depend on its
ends::

    [~ halo ~|------- kept -------|~ halo ~]      kept: as many frames as `MOST_PARTS` chunks of label tables have
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from hubbub.config import Settings, Windows
from hubbub.io.text import make_visible
from hubbub.models.bundle import Bundle
from hubbub.models.exporters import SCORES, Exporter
from hubbub.models.stream import MOST_PARTS, StreamLayout

_WIDTH = 110


def choose_settings(bundle: Bundle) -> Settings:
    """Settings of what the exported network hears: the bundle's, or with the window of a network that scores frames."""
    settings, frames = bundle.settings, bundle.frames
    if frames is None:
        return settings.model_copy(update={"variants": None})
    frontend = settings.frontend
    n_frames = 2 * frames.halo + MOST_PARTS * StreamLayout.of(settings, frames).chunk
    samples = (n_frames - 1) * frontend.hop_samples + frontend.n_fft % 2
    windows = Windows(duration_s=samples / frontend.sample_rate)
    return settings.model_copy(update={"variants": None, "windows": windows})


def count_frames(bundle: Bundle) -> int:
    """Frames that the exported network takes at a time, where its format fixes them."""
    settings = choose_settings(bundle)
    return settings.frontend.n_frames(max(1, round(settings.windows.input_s * settings.frontend.sample_rate)))


def describe_export(bundle: Bundle, exporter: Exporter) -> dict[str, Any]:
    """Describe an exported model as its YAML file does."""
    scores: dict[str, Any] = {"name": SCORES, "activation": "none"}
    if bundle.activation == "softmax":
        scores["exclusive"] = True
    if bundle.frames is None:
        scores["layout"] = ["batch", "label"]
    else:
        frontend, stride = bundle.settings.frontend, bundle.frames.stride
        scores["layout"] = ["batch", "frame", "label"]
        scores["frame_s"] = stride * frontend.hop_samples / frontend.sample_rate
        scores["halo_frames"] = bundle.frames.halo // stride
    return {
        "kind": exporter.format,
        "file": exporter.file,
        "features": choose_settings(bundle).model_dump(mode="json", exclude={"layout", "variants"}),
        "input": {"layout": ["batch", "frame", "band"]},
        "outputs": {"scores": scores},
        "labels": bundle.labels,
        **_describe_rules(bundle.description),
    }


def write_yaml(description: Mapping[str, Any], comments: list[str]) -> str:
    """Write the YAML file, comments first."""
    head = "".join(f"# {make_visible(line).replace(chr(10), ' ')}\n" for line in comments)
    return head + yaml.safe_dump(
        dict(description), sort_keys=False, allow_unicode=True, default_flow_style=None, width=_WIDTH
    )


def _describe_rules(description: Mapping[str, Any]) -> dict[str, Any]:
    """What makes events: `events` where it is the same for all labels, else `rules`."""
    thresholds = {label: {"threshold": score} for label, score in description["thresholds"].items()}
    rules = {label: dict(rule) for label, rule in (description.get("rules") or thresholds).items()}
    different = list({repr(sorted(rule.items())): rule for rule in rules.values()}.values())
    return {"events": different[0]} if len(different) == 1 else {"rules": rules}
