"""Runs `hubbub` as a user does: the installed command, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("hubbub")
"""The command that the installation put beside Python."""


def hubbub(*words: object, timeout_s: float = 300, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text."""
    return subprocess.run(
        [str(COMMAND), *map(str, words)], capture_output=True, text=True, timeout=timeout_s, check=False, **options
    )


def succeed(*words: object, **options: object) -> str:
    """Run a command that must end with 0; return what it printed."""
    done = hubbub(*words, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refuse(*words: object, code: int = 2, **options: object) -> str:
    """Run a command that must end with `code` and without a traceback; return what it said on stderr."""
    done = hubbub(*words, **options)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr
