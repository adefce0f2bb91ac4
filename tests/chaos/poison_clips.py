"""Files that kill, stall or burst whoever decodes them: real processes of hubbub, in which certain names are poison.

Nothing of it is in the product. A `sitecustomize` on the Python path of workers, and of the children they start, wraps
what opens a recording in `hubbub.audio.decode`::

    PYTHONPATH=folder  ->  folder/sitecustomize.py  ->  lay()  ->  decode.blocks(poison.ogg) never returns
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.chaos.processes import knowing_tests

VARIABLE = "HUBBUB_TESTS_POISON"
"""Environment variable: file names and their deeds, JSON."""

REASONS = {
    "ogg": r"WorkerDied: .*signal 11 \(SIGSEGV\)",
    "segfault": r"WorkerDied: .*signal 11 \(SIGSEGV\)",
    "kill": r"WorkerDied: .*signal 9 \(SIGKILL\)",
    "exit": r"WorkerDied: .*exit code 3",
    "sleep": r"TimedOut: not done within",
    "loop": r"TimedOut: not done within",
    "bomb": r"OutOfMemory: ",
}
"""What the row of a poisoned clip must say, by the deed (`tests.lib.engine.poison_units.DEEDS`)."""


def poisoned_environment(
    folder: Path, poison: Mapping[str, str], base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return an environment in which decoding files of some names does a deed.

    Parameters
    ----------
    folder
        A new folder, for the module that does it.
    poison
        Deeds by file name.
    base
        What else the environment holds; None: what this process's does.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("from tests.chaos.poison_clips import lay\n\nlay()\n")
    inherited = knowing_tests(base)
    paths = os.pathsep.join((str(folder), inherited["PYTHONPATH"]))
    return inherited | {"PYTHONPATH": paths, VARIABLE: json.dumps(dict(poison))}


def lay() -> None:
    """Poison the decoder of this process."""
    from hubbub.audio import decode
    from tests.lib.engine.poison_units import DEEDS

    poison = json.loads(os.environ[VARIABLE])

    def poisoned(open_recording: Callable[..., Any]) -> Callable[..., Any]:
        def open_or_die(path: Path, **options: Any) -> Any:
            DEEDS[poison.get(path.name, "ok")]()
            return open_recording(path, **options)

        return open_or_die

    for name in ("decode_blocks", "read_channels", "read_audio_info"):
        setattr(decode, name, poisoned(getattr(decode, name)))
