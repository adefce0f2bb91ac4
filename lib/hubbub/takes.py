"""Which examples a clip gives: one a channel, where channels are examples of their own, and its augmented variants.

An example is a *take*: a clip, a channel (``mix``, or ``1``, ``2``, … alone), a variant (0: as recorded), and the rule
that makes the variant: a clip that is labelled anew may fall under another one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hubbub.config import Channels, Settings

MIX = "mix"
NO_RULE = ""
COLUMNS = ["clip_id", "channel", "variant", "policy_rule"]
"""What tells takes apart."""


@dataclass(frozen=True)
class Takes:
    """The takes of some clips.

    Attributes
    ----------
    rows
        The clips' rows, each as often as it has takes, with columns `channel`, `variant` and `policy_rule`.
    clip
        int64 [take], the position of each one's clip.
    """

    rows: pa.Table
    clip: npt.NDArray[np.int64]

    def clips_where(self, chosen: npt.NDArray[np.bool_]) -> int:
        """Clips of which any of the chosen takes is one; `chosen` is bool [take]."""
        return len(np.unique(self.clip[chosen]))


def takes_of(clips: pa.Table, settings: Settings) -> Takes:
    """Lay out every clip's takes, a clip's own next to each other and those of one channel in a row."""
    views = [_views(count, settings.channels) for count in clips["channels"].fill_null(1).to_pylist()]
    rules = [rules_of(labels, settings) for labels in clips["labels"].to_pylist()]
    channel = [view for mine, held in zip(views, rules, strict=True) for view in mine for _ in held]
    variant = [number for mine, held in zip(views, rules, strict=True) for _ in mine for number in range(len(held))]
    rule = [name for mine, held in zip(views, rules, strict=True) for _ in mine for name in held]
    takes = [len(mine) * len(held) for mine, held in zip(views, rules, strict=True)]
    clip = np.repeat(np.arange(len(clips), dtype=np.int64), takes)
    return _takes(clips if len(clip) == len(clips) else clips.take(pa.array(clip)), clip, channel, variant, rule)


def whole_clips(clips: pa.Table) -> Takes:
    """Every clip as one take."""
    n = len(clips)
    return _takes(clips, np.arange(n, dtype=np.int64), [MIX] * n, [0] * n, [NO_RULE] * n)


def rules_of(labels: list[str], settings: Settings) -> list[str]:
    """What makes each variant of a clip with these labels, by the variant's number; 0 is the clip itself."""
    if settings.variants is None:
        return [NO_RULE]
    numbers = range(1, 1 + settings.variants.count(labels))
    return [NO_RULE, *(settings.variants.rule_key(labels, number) or NO_RULE for number in numbers)]


def channel_index(channel: str) -> int | None:
    """What `audio.decode` calls a take's channel: its number from 0, or None for the mix."""
    return None if channel == MIX else int(channel) - 1


def _takes(
    rows: pa.Table, clip: npt.NDArray[np.int64], channel: list[str], variant: list[int], rule: list[str]
) -> Takes:
    rows = rows.append_column("channel", pa.array(channel, pa.string()))
    rows = rows.append_column("variant", pa.array(variant, pa.int32()))
    return Takes(rows.append_column("policy_rule", pa.array(rule, pa.string())), clip)


def _views(n_channels: int, channels: Channels) -> tuple[str, ...]:
    if channels == "mix":
        return (MIX,)
    if channels == "first":
        return ("1",)
    if channels == "each":
        return tuple(str(number + 1) for number in range(max(1, n_channels)))
    return ("1", "2", MIX) if n_channels > 1 else (MIX,)  # of one channel, all three would be the same
