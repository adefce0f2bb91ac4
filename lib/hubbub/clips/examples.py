"""Example expansion: a clip gives an example for each channel and each augmented variant.

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
EXAMPLE_COLUMNS = ["clip_id", "channel", "variant", "policy_rule"]
"""What tells takes apart."""

ExampleKey = tuple[str, int, str]
"""Channel, variant and rule: a take, but for its clip."""


@dataclass(frozen=True)
class Examples:
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

    def count_clips(self, chosen: npt.NDArray[np.bool_]) -> int:
        """Clips of which any of the chosen takes is one; `chosen` is bool [take]."""
        return len(np.unique(self.clip[chosen]))


@dataclass(frozen=True)
class ExampleKinds:
    """Clips told apart by the takes that they give: millions of clips are of a handful of kinds.

    Attributes
    ----------
    clip
        int64 [clip], the kind of each.
    takes
        Of each kind, its takes: those of one channel in a row.
    """

    clip: npt.NDArray[np.int64]
    takes: tuple[tuple[ExampleKey, ...], ...]


def group_clips_by_examples(clips: pa.Table, settings: Settings) -> ExampleKinds:
    """Tell clips apart by what decides their takes: how many channels they have, and their labels where those count."""
    counts = clips["channels"].fill_null(1).to_numpy().astype(np.int64)
    if settings.variants is None:
        labels, numbers = list[list[str]]([[]]), np.zeros(len(clips), np.int64)
    else:
        labels, numbers = _number_distinct(clips["labels"].to_pylist())
    pairs, kind = np.unique(np.stack([counts, numbers], axis=1), axis=0, return_inverse=True)
    takes = [_examples_of_kind(count, labels[number], settings) for count, number in pairs.tolist()]
    return ExampleKinds(kind.reshape(-1), tuple(takes))


def expand_examples(clips: pa.Table, settings: Settings) -> Examples:
    """Lay out every clip's takes, a clip's own next to each other and those of one channel in a row."""
    return _lay_out(clips, group_clips_by_examples(clips, settings))


def one_example_each(clips: pa.Table) -> Examples:
    """Every clip as one take."""
    return _lay_out(clips, ExampleKinds(np.zeros(len(clips), np.int64), (((MIX, 0, NO_RULE),),)))


def list_variant_rules(labels: list[str], settings: Settings) -> list[str]:
    """What makes each variant of a clip with these labels, by the variant's number; 0 is the clip itself."""
    if settings.variants is None:
        return [NO_RULE]
    numbers = range(1, 1 + settings.variants.count(labels))
    return [NO_RULE, *(settings.variants.rule_key(labels, number) or NO_RULE for number in numbers)]


def channel_index(channel: str) -> int | None:
    """What `audio.decode` calls a take's channel: its number from 0, or None for the mix."""
    return None if channel == MIX else int(channel) - 1


def _number_distinct(lists: list[list[str]]) -> tuple[list[list[str]], npt.NDArray[np.int64]]:
    """The lists that differ, and which of them each one equals."""
    numbers: dict[tuple[str, ...], int] = {}
    which = [numbers.setdefault(tuple(items), len(numbers)) for items in lists]
    return [list(items) for items in numbers], np.array(which, np.int64)


def _examples_of_kind(n_channels: int, labels: list[str], settings: Settings) -> tuple[ExampleKey, ...]:
    rules = list(enumerate(list_variant_rules(labels, settings)))
    return tuple((view, number, rule) for view in _channels_of(n_channels, settings.channels) for number, rule in rules)


def _lay_out(clips: pa.Table, kinds: ExampleKinds) -> Examples:
    counts = np.array([len(takes) for takes in kinds.takes], np.int64)
    per_clip = counts[kinds.clip]
    clip = np.repeat(np.arange(len(clips), dtype=np.int64), per_clip)
    # Number of the take in a list of all kinds' takes: where its kind begins there, and which of the clip's it is.
    begins = np.cumsum(counts) - counts
    within = np.arange(len(clip)) - np.repeat(np.cumsum(per_clip) - per_clip, per_clip)
    which = pa.array(begins[kinds.clip][clip] + within)
    rows = clips if (per_clip == 1).all() else clips.take(pa.array(clip))
    every = [take for takes in kinds.takes for take in takes]
    for position, (name, kind) in enumerate(
        zip(EXAMPLE_COLUMNS[1:], (pa.string(), pa.int32(), pa.string()), strict=True)
    ):
        rows = rows.append_column(name, pa.array([take[position] for take in every], kind).take(which))
    return Examples(rows, clip)


def _channels_of(n_channels: int, channels: Channels) -> tuple[str, ...]:
    if channels == "mix":
        return (MIX,)
    if channels == "first":
        return ("1",)
    if channels == "each":
        return tuple(str(number + 1) for number in range(max(1, n_channels)))
    return ("1", "2", MIX) if n_channels > 1 else (MIX,)  # of one channel, all three would be the same
