"""Names with an ISO 8601 time: ``20260517T043000Z``, ``2026-05-17T04-30-00+0200``, also where colons became dashes.

Certain: the T between date and time, or an offset behind them, is no accident. Without an offset the time is that of
the recorder's clock. What stands before the time is the site, or else what follows an underscore behind the time.
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.name_song_meter import read_site
from hubbub.audio.recorders.statement import Statement, build_time, parse_offset

_NAME = re.compile(
    r"(?<!\d)(\d{4})(-?)(\d\d)\2(\d\d)(T|[_ -](?=[\d:.-]{6,8}(?:Z|\+\d)))(\d\d)([-:.]?)(\d\d)\7(\d\d)"
    r"(?:\.(\d{1,6}))?(Z(?![A-Za-z])|[+-]\d\d[:-]?(?:00|15|30|45)(?!\d))?(?!\d)",
    re.ASCII,
)


def read_name(stem: str) -> Statement | None:
    """Read a name without its extension; None: not of this scheme."""
    found = _NAME.search(stem)
    if found is None:
        return None
    zone = parse_offset(found[11]) if found[11] else None
    when = build_time(found.group(1, 3, 4, 6, 8, 9, 10), zone)
    before, behind = stem[: found.start()], stem[found.end() :]
    site = read_site(before) or (read_site(behind) if behind.startswith("_") else None)
    return Statement("name (ISO 8601 scheme, certain)", when, site=site)
