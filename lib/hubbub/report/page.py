"""The page: sections under one title, in one file that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hubbub import __version__
from hubbub.errors import UsageError
from hubbub.io.atomic import atomic_write

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    """Heading, and entry of the table of contents."""
    subtitle: str
    """One line under the heading: what the section is about."""
    body: Markup
    """HTML, already escaped."""
    settings_hash: str | None
    """Hash of the settings the features were made with; shown at the foot of the page."""


def write_report(sections: Sequence[Section], path: Path, *, title: str = "hubbub report") -> Path:
    """Write sections as one HTML file, whole or not at all.

    Parameters
    ----------
    sections
        At least one; with more than one the page has a table of contents.
    path
        Where to; folders are made on the way.
    title
        Heading of the page.

    Raises
    ------
    UsageError
        Without sections, or where `path` is a folder.
    StorageError
        Where the file cannot be written.
    """
    if not sections:
        raise UsageError("a report needs at least one section: an evaluation, a folder of label tables or a clip table")
    hashes = dict.fromkeys(section.settings_hash for section in sections if section.settings_hash)
    page = _environment().get_template("page.html.j2")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file for the report, such as {path / 'report.html'}")
    with atomic_write(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        # Piece by piece: with many sounds in it the page is long.
        file.writelines(page.generate(title=title, sections=sections, hashes=list(hashes), version=__version__))
    return path


def render(template: str, **values: Any) -> Markup:
    """Fill one of the templates beside this file; text is escaped, `Markup` is not."""
    return Markup(_environment().get_template(template).render(**values))


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["inline"] = lambda name: Markup((_HERE / name).read_text(encoding="utf-8"))
    environment.filters.update(percent=percent, count=count, clock=clock, span=span)
    return environment


def percent(share: float | None) -> str:
    """Return a share as text: ``0.915`` is ``91.5 %``."""
    return "–" if share is None or share != share else f"{100 * share:.1f} %"


def count(number: float) -> str:
    """Return a whole number with thin spaces between thousands."""
    return f"{int(number):,}".replace(",", "\u202f")


def clock(seconds: float) -> str:
    """Return a position in a recording: ``0:07.25``, ``1:02:03.00``."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 100:02d}.{rest % 100:02d}"


def span(seconds: float) -> str:
    """Return a length of time in the unit that suits it: ``3.2 s``, ``4.5 min``, ``12.0 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
