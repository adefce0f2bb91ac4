"""Bars of text: how many clips carry each label."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from hubbub.io.text import count_noun, make_visible

MAX_BARS = 20
_NAME_WIDTH, _BAR_WIDTH = 28, 30
_EIGHTHS = " ▏▎▍▌▋▊▉"


def draw_label_bars(counts: pd.Series) -> Iterator[str]:
    """Draw one line a label, the most frequent first, and a last line for labels beyond `MAX_BARS`.

    Parameters
    ----------
    counts
        Clips a label.
    """
    ordered = counts.sort_index().sort_values(ascending=False, kind="stable")
    shown, rest = ordered.iloc[:MAX_BARS], ordered.iloc[MAX_BARS:]
    names = [_shorten(make_visible(str(label)).replace("\n", "\\n").replace("\t", "\\t")) for label in shown.index]
    name_width = max(map(_cells, names), default=0)
    digits = len(str(shown.iloc[0])) if len(shown) else 0
    for name, count in zip(names, shown, strict=True):
        padding = " " * (name_width - _cells(name))
        yield f"{name}{padding}  {count:>{digits}}  {_bar(count / shown.iloc[0])}"
    if len(rest):
        clips = (
            f"{rest.iloc[0]} clips each"
            if rest.iloc[0] == rest.iloc[-1]
            else f"{rest.iloc[-1]} to {rest.iloc[0]} clips"
        )
        clips = count_noun(1, "clip") + " each" if rest.iloc[0] == 1 else clips
        yield f"… and {count_noun(len(rest), 'more label')} with {clips}"


def _bar(share: float) -> str:
    """A bar in steps of an eighth of a cell; never empty."""
    eighths = max(1, round(share * _BAR_WIDTH * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _shorten(name: str) -> str:
    if _cells(name) <= _NAME_WIDTH:
        return name
    from rich.cells import set_cell_size

    return set_cell_size(name, _NAME_WIDTH - 1).rstrip() + "…"


def _cells(name: str) -> int:
    """Columns of a terminal that a name takes: Chinese characters take two."""
    from rich.cells import cell_len

    return cell_len(name)
