"""Links between the Markdown files of the repository, made to lead to pages of the site.

Links in a file lead from file to file, as a reader of the repository follows them. On the site some files are pages
under another name.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The root of the repository."""

PAGES = {
    "README.md": "docs/index.md",
    "CHANGELOG.md": "docs/changelog.md",
    "CONTRIBUTING.md": "docs/contributing.md",
    "docs": "docs/index.md",
    "deploy": "docs/howto/cluster.md",
    "deploy/SCALING.md": "docs/deploy/scaling.md",
    "deploy/cloud/README.md": "docs/deploy/cloud.md",
    "deploy/containers/README.md": "docs/deploy/containers.md",
    "deploy/kubernetes/README.md": "docs/deploy/kubernetes.md",
    "deploy/slurm/README.md": "docs/deploy/slurm.md",
    "deploy/ssh/README.md": "docs/deploy/ssh.md",
}
"""Files and folders that are pages of the site -> where these lie."""

_RECIPES = """```{toctree}
:hidden:
:caption: Walk-throughs
:glob:

recipes/*
```
"""

LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s]+)(?=[)\s])")
_FENCE = re.compile(r"^(```|~~~)")


def list_recipes() -> str:
    """Write the table of the pages in docs/recipes; nothing while there are none, which Sphinx takes for a mistake."""
    return _RECIPES if any((ROOT / "docs" / "recipes").glob("*.md")) else ""


def rewrite_links(text: str, folder: Path, page: str) -> str:
    """Make the relative links of a Markdown text lead from a page of the site.

    Parameters
    ----------
    text
        The Markdown; code in fences stays as it is.
    folder
        Where the text's links start, from the root of the repository.
    page
        The page that shows the text, such as ``deploy/slurm``.
    """
    lines, in_fence = [], False
    for line in text.split("\n"):
        in_fence ^= bool(_FENCE.match(line))
        lines.append(line if in_fence else LINK.sub(lambda found: rewrite_target(found["target"], folder, page), line))
    return "\n".join(lines)


def rewrite_target(target: str, folder: Path, page: str) -> str:
    """Return where a link's target lies, seen from a page of the site; other sites and anchors stay."""
    if is_elsewhere(target):
        return target
    path, hash_, anchor = target.partition("#")
    file = os.path.normpath(folder / path)
    return os.path.relpath(PAGES.get(file, file), Path("docs", page).parent) + hash_ + anchor


def is_elsewhere(target: str) -> bool:
    """Whether a link leads to another site, or to a heading of its own page."""
    return "://" in target or target.startswith(("#", "mailto:"))
