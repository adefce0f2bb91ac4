"""Example expansion: a clip gives an example for each channel and each augmented variant.

An example is a clip, a channel (``mix``, or ``1``, ``2``, … alone), a variant (0: as recorded), and the rule
that makes the variant: another label may give another rule.
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
"""What tells examples apart."""

ExampleKey = tuple[str, int, str]
"""Channel, variant and rule: an example without its clip."""


@dataclass(frozen=True)
class Examples:
    """The examples of some clips.

    Attributes
    ----------
    rows
        The clips' rows, each as often as it has examples, with columns `channel`, `variant` and `policy_rule`.
    clip
        int64 [example], the position of each one's clip.
    """

    rows: pa.Table
    clip: npt.NDArray[np.int64]

    def count_clips(self, chosen: npt.NDArray[np.bool_]) -> int:
        """Count the clips of the chosen examples; `chosen` is bool [example]."""
        return len(np.unique(self.clip[chosen]))


@dataclass(frozen=True)
class ExampleKinds:
    """Clips grouped by the examples that they give: millions of clips are of a handful of kinds.

    Attributes
    ----------
    clip
        int64 [clip], the kind of each.
    examples
        Of each kind, its examples: those of one channel in a row.
    """

    clip: npt.NDArray[np.int64]
    examples: tuple[tuple[ExampleKey, ...], ...]


def group_clips_by_examples(clips: pa.Table, settings: Settings) -> ExampleKinds:
    """Group clips by what decides their examples: the number of channels, and the labels where a policy has some."""
    counts = clips["channels"].fill_null(1).to_numpy().astype(np.int64)
    if settings.variants is None:
        labels, numbers = list[list[str]]([[]]), np.zeros(len(clips), np.int64)
    else:
        labels, numbers = _number_distinct(clips["labels"].to_pylist())
    pairs, kind = np.unique(np.stack([counts, numbers], axis=1), axis=0, return_inverse=True)
    examples = [_examples_of_kind(count, labels[number], settings) for count, number in pairs.tolist()]
    return ExampleKinds(kind.reshape(-1), tuple(examples))


def expand_examples(clips: pa.Table, settings: Settings) -> Examples:
    """Lay out every clip's examples, a clip's own next to each other and those of one channel in a row."""
    return _lay_out(clips, group_clips_by_examples(clips, settings))


def one_example_each(clips: pa.Table) -> Examples:
    """Every clip as one example."""
    return _lay_out(clips, ExampleKinds(np.zeros(len(clips), np.int64), (((MIX, 0, NO_RULE),),)))


def list_variant_rules(labels: list[str], settings: Settings) -> list[str]:
    """What makes each variant of a clip with these labels, by the variant's number; 0 is the clip itself."""
    if settings.variants is None:
        return [NO_RULE]
    numbers = range(1, 1 + settings.variants.count(labels))
    return [NO_RULE, *(settings.variants.rule_key(labels, number) or NO_RULE for number in numbers)]


def channel_index(channel: str) -> int | None:
    """Return the channel as `audio.decode` counts: from 0, or None for the mix."""
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
    counts = np.array([len(examples) for examples in kinds.examples], np.int64)
    per_clip = counts[kinds.clip]
    clip = np.repeat(np.arange(len(clips), dtype=np.int64), per_clip)
    # Position of the example in the list of all kinds' examples: the start of its kind, plus its number in the clip.
    begins = np.cumsum(counts) - counts
    within = np.arange(len(clip)) - np.repeat(np.cumsum(per_clip) - per_clip, per_clip)
    which = pa.array(begins[kinds.clip][clip] + within)
    rows = clips if (per_clip == 1).all() else clips.take(pa.array(clip))
    every = [example for examples in kinds.examples for example in examples]
    for position, (name, kind) in enumerate(
        zip(EXAMPLE_COLUMNS[1:], (pa.string(), pa.int32(), pa.string()), strict=True)
    ):
        rows = rows.append_column(name, pa.array([example[position] for example in every], kind).take(which))
    return Examples(rows, clip)


def _channels_of(n_channels: int, channels: Channels) -> tuple[str, ...]:
    if channels == "mix":
        return (MIX,)
    if channels == "first":
        return ("1",)
    if channels == "each":
        return tuple(str(number + 1) for number in range(max(1, n_channels)))
    return ("1", "2", MIX) if n_channels > 1 else (MIX,)  # of one channel, all three would be the same
