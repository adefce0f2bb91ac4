"""Names of Wildlife Acoustics' Song Meters (SM2 to SM5, Mini, Micro): ``PREFIX_CHANNELS_YYYYMMDD_HHMMSS.wav``.

From their user guides: the prefix is the recorder's serial number, unless a person gave it a name, mostly the site's;
channels are ``0``, ``1``, ``0+1`` and ``-``, or missing; a ``$`` between date and time says that GPS set the clock;
three digits behind are thousandths of a second or a counter, and are left out. The time is that of the recorder's
clock. Certain with a serial number, channels or ``$``; likely without, as others write ``SITE_YYYYMMDD_HHMMSS``, too. A
letter for the channel (``SITE_A_…``) cannot be told from a plot's: it stays part of the site, and `name_plain` reads
such names.
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.statement import Statement, build_time, clean_text

_NAME = re.compile(
    r"(?P<prefix>[^\W_](?:[^\W_]|-){0,31})(?P<channels>_(?:0\+1|[01]|-))?"
    r"_((?:19|20)\d\d)(\d\d)(\d\d)(?P<between>[_$])(\d\d)(\d\d)(\d\d)(?:_\d{1,3})?"
)
_MODELS = {
    **{"SM2": "Song Meter SM2", "SM3": "Song Meter SM3", "S4A": "Song Meter SM4", "S4U": "Song Meter SM4BAT"},
    **{"SMM": "Song Meter Mini", "SMU": "Song Meter Mini Bat", "SMA": "Song Meter Micro", "S5A": "Song Meter SM5"},
    **{"2MM": "Song Meter Mini 2", "2MA": "Song Meter Mini 2", "2MU": "Song Meter Mini Bat 2"},
}
_SERIAL = re.compile(r"(SM[23])\d{5}|(S4A|S4U|SMM|SMU|SMA|S5A|2MM|2MA|2MU)\d{5}", re.ASCII)
_NO_SITES = {"rec", "record", "recording", "audio", "sound", "file", "track", "wav", "clip", "mono", "stereo", "zoom"}


def read_name(stem: str) -> Statement | None:
    """Read a name without its extension; None: not of this scheme."""
    found = _NAME.fullmatch(stem)
    if found is None:
        return None
    when = build_time(found.group(3, 4, 5, 7, 8, 9))
    serial = _SERIAL.fullmatch(found["prefix"])
    certain = bool(serial or found["channels"] or found["between"] == "$")
    return Statement(
        f"name (Song Meter scheme, {'certain' if certain else 'likely'})",
        when,
        site=None if serial else read_site(found["prefix"]),
        recorder=f"Wildlife Acoustics {_MODELS[found['prefix'][:3]]}" if serial else None,
        serial=found["prefix"] if serial else None,
    )


def read_site(prefix: str) -> str | None:
    """Take what stands before a date as the site; None where it names a file (``rec``, ``0001``) and no site."""
    text = clean_text(prefix.strip(" _-.$"))
    return None if text is None or text.isdigit() or text.lower() in _NO_SITES else text
