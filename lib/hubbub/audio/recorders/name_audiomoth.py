"""Names of AudioMoth and HydroMoth (Open Acoustic Devices, AudioMoth-Firmware-Basic).

- ``5E90A4D4.WAV``: hexadecimal Unix time, in UTC (firmware before 1.3). Likely: taken only in capitals, from 2017 to
  2034, and with a letter among the digits, because eight decimal digits are numbers more often than not.
- ``20260517_043000T.WAV``: a triggered recording. Certain.
- ``24F3190361DA3578_20260517_043000.WAV``: with the device's number. Certain.

A plain ``20260517_043000.WAV`` is not claimed here: other recorders write it, too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hubbub.audio.recorders.statement import Statement, build_time

_HEX = re.compile(r"(?=[0-9]*[A-F])[0-9A-F]{8}")
_HEX_SECONDS = range(1_483_228_800, 2_051_222_400)  # 2017, when AudioMoth came, to the end of 2034
_DATED = re.compile(
    r"(?:(?P<serial>[0-9A-F]{16})_)?(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:_\d{3})?(?P<triggered>T)?", re.ASCII
)


def read_name(stem: str) -> Statement | None:
    """Read a name without its extension; None: not of this scheme."""
    if _HEX.fullmatch(stem) and int(stem, 16) in _HEX_SECONDS:
        when = datetime.fromtimestamp(int(stem, 16), UTC)
        return Statement("name (AudioMoth scheme, hexadecimal seconds, likely)", when, recorder="AudioMoth")
    found = _DATED.fullmatch(stem)
    if found is None or not (found["serial"] or found["triggered"]):
        return None
    when = build_time(found.groups()[1:7])
    return Statement("name (AudioMoth scheme, certain)", when, recorder="AudioMoth", serial=found["serial"])
