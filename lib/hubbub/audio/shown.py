"""What a notebook shows: facts in a small table, and audio as a picture with its axes and a player."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

from hubbub.audio.pictures import Picture

_SMALL = "font-size:12px;opacity:0.75"  # of the notebook's own colour: right in a light and in a dark one


@dataclass(frozen=True)
class Mark:
    """A span over the picture, such as an event."""

    start_s: float
    """From the left edge of the picture."""
    end_s: float
    text: str


@dataclass(frozen=True)
class ShownAudio:
    """A stretch of audio that a notebook draws and plays."""

    title: str
    note: str
    """A line under the title."""
    picture: Picture | None
    """None where there is nothing to draw; `problems` say why."""
    sound: str
    """Address of the audio, which holds it; empty where it cannot be read."""
    marks: tuple[Mark, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        """Describe it in one line."""
        length = f"{self.picture.shown_s:.2f} s" if self.picture else "no picture"
        return f"<ShownAudio {self.title}: {length}{'' if self.sound else ', no audio'}>"

    def _repr_html_(self) -> str:
        player = (
            f'<audio controls preload="none" style="width:100%;margin-top:4px" src="{escape(self.sound)}" '
            f'aria-label="Audio of {escape(self.title)}"></audio>'
        )
        parts = [
            f"<figure style='margin:0;max-width:900px'><figcaption><b>{escape(self.title)}</b>"
            f"<div style='{_SMALL}'>{escape(self.note)}</div></figcaption>",
            "" if self.picture is None else _draw(self.picture, self.title, self.marks),
            player if self.sound else "",
            *(f"<p style='{_SMALL}'>{escape(problem)}</p>" for problem in self.problems),
            "</figure>",
        ]
        return "".join(parts)


def _draw(picture: Picture, title: str, marks: Iterable[Mark]) -> str:
    """A picture with its axes: bands left of it, times below, marks over it."""
    bands = "".join(
        f"<span style='position:absolute;right:6px;top:{tick.at:.2f}%;transform:translateY(-50%);{_SMALL}'>"
        f"{escape(tick.text)}</span>"
        for tick in picture.band_ticks
    )
    times = "".join(
        f"<span style='position:absolute;left:{tick.at:.3f}%;transform:translateX(-50%);white-space:nowrap;{_SMALL}'>"
        f"{escape(tick.text)}</span>"
        for tick in picture.time_ticks
    )
    over = "".join(
        f"<div title='{escape(mark.text)}' style='position:absolute;top:0;bottom:0;"
        f"left:{100 * mark.start_s / picture.shown_s:.2f}%;"
        f"width:{100 * (mark.end_s - mark.start_s) / picture.shown_s:.2f}%;"
        "border:2px dashed #fff;box-sizing:border-box;box-shadow:0 0 0 1px rgba(0,0,0,.5)'></div>"
        for mark in marks
    )
    return (
        "<div style='display:grid;grid-template-columns:76px minmax(0,1fr);margin-top:4px'>"
        f"<div style='position:relative'>{bands}</div>"
        "<div style='position:relative;overflow:hidden'>"
        f"<img src='{escape(picture.data)}' alt='Spectrogram of {escape(title)}' "
        f"style='display:block;width:100%;height:200px;margin:0;max-width:none'>{over}</div>"
        f"<div></div><div style='position:relative;height:20px'>{times}</div></div>"
    )


def write_facts(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """Write facts as a small HTML table under a title; all text is escaped, empty values are left out."""
    rows = "".join(
        f"<tr><th scope='row' style='text-align:left;font-weight:normal;opacity:0.75;vertical-align:top'>{escape(name)}"
        f"</th><td style='text-align:left;overflow-wrap:anywhere'>{escape(value)}</td></tr>"
        for name, value in facts
        if value
    )
    return f"<div><b>{escape(title)}</b><table style='font-size:13px'><tbody>{rows}</tbody></table></div>"
