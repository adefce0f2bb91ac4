"""Names with a date and a time and nothing to tell the recorder: ``20260517_043000``, ``2026-05-17_04-30-00``.

Likely: both must be there, apart, with a year of 1970 (clock not set) to 2099, and digits may not go on before or
behind. Twelve or fourteen digits in a row are no time: they are numbers of recordings more often than not. The time is
that of the recorder's clock; what stands before it is the site.
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.name_song_meter import read_site
from hubbub.audio.recorders.statement import Statement, build_time

_YEAR = r"(?<!\d)(19[789]\d|20\d\d)"
_NAME = re.compile(
    rf"{_YEAR}(\d\d)(\d\d)[_$ -](\d\d)(\d\d)(\d\d)(?!\d)"
    rf"|{_YEAR}([-_.])(\d\d)\8(\d\d)[_ -]{{1,3}}(\d\d)([-_.:h])(\d\d)[-_.:m](\d\d)(?!\d)",
    re.ASCII,
)


def read_name(stem: str) -> Statement | None:
    """Read a name without its extension; None: not of this scheme."""
    found = _NAME.search(stem)
    if found is None:
        return None
    when = build_time(found.group(1, 2, 3, 4, 5, 6) if found[1] else found.group(7, 9, 10, 11, 13, 14))
    return Statement("name (scheme of date and time, likely)", when, site=read_site(stem[: found.start()]))
