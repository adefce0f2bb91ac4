"""Runs `hubbub` as a user does: the installed command, in a process of its own or in this one.

A process of its own costs seconds of imports. So a command that leaves nothing behind in its process (no cluster of
worker processes, no credentials from a file) runs in this one, through the same `main`, and what it set in the
environment is undone. Whatever is about processes themselves asks for one of its own.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

COMMAND = Path(sys.executable).with_name("hubbub")
"""The command that the installation put beside Python."""

_WITHOUT_CLUSTER = {
    *(
        "index",
        "fetch",
        "settings",
        "models",
        "train",
        "evaluate",
        "compare",
        "mix",
        "events",
        "score",
        "export",
        "export-model",
        "report",
        "search",  # of what is little, in threads
        "suggest",
        "info",
        "status",
    ),
}


def hubbub(
    *words: object, timeout_s: float = 300, own_process: bool | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text. `options` are those of `subprocess.run`.

    `own_process` says where it runs; None: here, where it leaves nothing behind.
    """
    texts = [str(word) for word in words]
    if own_process is None:
        own_process = not _leaves_nothing_behind(texts)
    if own_process or options:
        return subprocess.run(
            [str(COMMAND), *texts], capture_output=True, text=True, timeout=timeout_s, check=False, **options
        )
    return _run_here(texts)


def _leaves_nothing_behind(words: list[str]) -> bool:
    if "--storage" in words or "--debug" in words:  # of which one fills the environment, and the other raises
        return False
    if "--cluster" in words:
        return words[words.index("--cluster") + 1] == "serial"
    # What little there is to verify in tests is verified in one process where nobody asks for more.
    alone = words[0] in _WITHOUT_CLUSTER or (words[0] == "verify" and "--workers" not in words)
    return alone or "--dry-run" in words


def _run_here(words: list[str]) -> subprocess.CompletedProcess[str]:
    from hubbub.jobs.cli import main

    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session(
            free_memory=False
        )  # names of layers count up from 1, as in a new process
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(sys, "argv", ["hubbub", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(["hubbub", *words], code, out.getvalue(), err.getvalue())


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
