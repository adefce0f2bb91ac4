"""Builds a Dockerfile without Docker: each stage in a root of its own, laid over this machine's with overlayfs.

This machine stands for the base image: its Python, its system. What stages write stays in them. It takes the rights to
mount and to change root. Of the Dockerfile's language it knows what ours is written in, and refuses the rest.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

_PATH = f"{sys.base_prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOUNT = re.compile(r"^(--mount=type=cache,\S+\s+)+")


def context_of(root: Path, dockerfile: Path) -> set[str]:
    """Files that a build of `dockerfile` in `root` sends, by the ``.dockerignore`` beside it."""
    lines = dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    sent = exclude_paths(str(root), patterns, dockerfile=None)
    return {path for path in sent if (root / path).is_file()}


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what stands behind them, comments left out."""
    with open(dockerfile, "rb") as file:
        steps = DockerfileParser(fileobj=file).structure
    return [(step["instruction"], step["value"]) for step in steps if step["instruction"] != "COMMENT"]


@dataclass
class Stage:
    """A stage of a build, and what its containers start with."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    folder: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()

    def inside(self, path: str) -> Path:
        """Where a path of this stage is on this machine."""
        return self.root / str(Path(self.folder) / path).lstrip("/")

    def command(self, words: Sequence[str]) -> list[str]:
        """The command that runs `words` in this root, as its user, in its folder."""
        home = "/root" if self.user == "0:0" else self.folder
        handed = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        values = [f"{name}={value}" for name, value in {**handed, **self.environment, "HOME": home}.items()]
        inside = f"cd {shlex.quote(self.folder)} && exec env -i {shlex.join(values)} {shlex.join(words)}"
        return ["chroot", f"--userspec={self.user}", str(self.root), "/bin/sh", "-c", inside]

    def run(self, words: Sequence[str], timeout_s: float = 900) -> str:
        """Run `words` to their end, which must be a good one; returns what they said."""
        done = subprocess.run(self.command(words), capture_output=True, text=True, timeout=timeout_s, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
        return done.stdout


@contextmanager
def built(dockerfile: Path, context: Path, workplace: Path, arguments: dict[str, str]) -> Iterator[Stage]:
    """Build, and give the last stage while the context lasts; `OSError` where mounting is not allowed."""
    stages: dict[str, Stage] = {}
    given: dict[str, str] = {}
    with ExitStack() as mounts:
        for instruction, value in instructions(dockerfile):
            if instruction == "FROM":
                name = value.partition(" AS ")[2] or str(len(stages))
                stage = stages[name] = Stage(mounts.enter_context(_root(workplace / name)))
            elif instruction == "ARG":
                name, _, default = value.partition("=")
                given[name] = arguments.get(name, default)
            elif instruction == "COPY" and value.startswith("--from="):
                _show(mounts, stage, stages, value)
            elif instruction == "COPY":
                _copy(stage, context, value)
            elif instruction == "RUN":
                _run(stage, given, value)
            else:
                _set(stage, instruction, value)
        yield stage


@contextmanager
def _root(place: Path) -> Iterator[Path]:
    upper, work, merged = (place / name for name in ("upper", "work", "merged"))
    for folder in (upper, work, merged):
        folder.mkdir(parents=True)
    with ExitStack() as mounts:
        _mount(mounts, "-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay", merged)
        _mount(mounts, "--bind", "/dev", merged / "dev")
        # Or what is mounted in there would be seen in this machine's own /dev.
        subprocess.run(["mount", "--make-private", merged / "dev"], check=True)
        _mount(mounts, "-t", "tmpfs", "-o", "mode=1777", "tmpfs", merged / "dev" / "shm")
        _mount(mounts, "-t", "proc", "proc", merged / "proc")
        # A base image's Python is open to every user; this machine's may lie in somebody's home.
        for parent in [Path(sys.base_prefix), *Path(sys.base_prefix).parents][:-1]:
            inside = merged / str(parent).lstrip("/")
            inside.chmod(inside.stat().st_mode | 0o555)
        _forget_people(merged / "etc")
        yield merged
    subprocess.run(["rm", "-rf", place], check=True)


def _forget_people(etc: Path) -> None:
    """Leave out this machine's people: a base image has none, and theirs may be the numbers that it gives."""
    for file in (etc / "passwd", etc / "group"):
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if not 1000 <= int(line.split(":")[2]) < 60_000))


def _mount(mounts: ExitStack, *words: str | Path) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr)
    mounts.callback(subprocess.run, ["umount", "-l", str(words[-1])], check=True)


def _copy(stage: Stage, context: Path, value: str) -> None:
    *sources, target = shlex.split(value)
    for source in sources:
        goal = stage.inside(target)
        if target.endswith("/"):
            goal = goal / Path(source).name
        goal.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "-T", context / source, goal], check=True)


def _show(mounts: ExitStack, stage: Stage, stages: dict[str, Stage], value: str) -> None:
    """COPY from another stage: what is there is shown here, and not copied, which takes a minute."""
    origin, source, target = shlex.split(value)
    goal = stage.inside(target)
    goal.mkdir(parents=True)
    _mount(mounts, "--bind", "-o", "ro", stages[origin.removeprefix("--from=")].inside(source), goal)


def _run(stage: Stage, given: dict[str, str], value: str) -> None:
    stage = Stage(stage.root, {**stage.environment, **given}, stage.folder, stage.user)
    stage.run(["/bin/sh", "-e", "-c", _MOUNT.sub("", value)])


def _set(stage: Stage, instruction: str, value: str) -> None:
    if instruction == "ENV":
        for entry in shlex.split(value):
            name, _, text = entry.partition("=")
            stage.environment[name] = Template(text).substitute(stage.environment)
    elif instruction == "WORKDIR":
        stage.folder = value
        stage.inside(value).mkdir(parents=True, exist_ok=True)
    elif instruction == "USER":
        stage.user = value
    elif instruction == "ENTRYPOINT":
        stage.entrypoint = tuple(json.loads(value))
    else:
        assert instruction == "CMD", f"{instruction} is not known here"
