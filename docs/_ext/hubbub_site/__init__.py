"""Sphinx extension of the site: parts of pages that are written from the code, and links between pages and files.

A page says where such a part stands by a fence::

    ```{generated} commands
    ```

Its text is put there as Markdown before Sphinx reads the page, so that headings, tables and links are like any others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub_site import api, commands, data_sets, formats, links, pictures, settings

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PARTS: dict[str, Callable[[], str]] = {
    "api": api.write_functions,
    "data-sets": data_sets.write_formats,
    "errors": api.write_errors,
    "exit-codes": api.write_exit_codes,
    "commands": commands.write_commands,
    "floors": pictures.draw_floors,
    "life": pictures.draw_life,
    "walk-throughs": links.list_recipes,
    **formats.PARTS,
    **settings.PARTS,
}
"""What a page can ask for by name, but for the files that it takes in whole (``file PATH``)."""

_FENCE = re.compile(r"^```\{generated\} (?P<what>.+)\n```$", re.MULTILINE)


def write_part(what: str, page: str) -> str:
    """Return the Markdown of one generated part.

    Parameters
    ----------
    what
        A name in `PARTS`, or ``file PATH`` with a path from the root of the repository.
    page
        The page that asks, such as ``deploy/slurm``: links of the file are made to lead from there.

    Raises
    ------
    KeyError
        There is no such part.
    OSError
        There is no such file.
    """
    if what.startswith("file "):
        file = Path(what.removeprefix("file "))
        return links.rewrite_links((links.ROOT / file).read_text(encoding="utf-8"), file.parent, page)
    return PARTS[what]()


def read_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Fill in the generated parts of a page, and make its links to files of the repository lead to their pages."""
    folder = Path("docs", page).parent
    text = links.rewrite_links(source[0], folder, page)
    source[0] = _FENCE.sub(lambda found: write_part(found["what"], page), text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", api.mend_docstring, priority=600)  # after napoleon
    app.connect("autodoc-process-signature", api.hide_arguments)
    app.connect("missing-reference", api.find_short_name)
    # What pages are written from is no file that Sphinx watches: they are read anew at every build.
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: sorted(env.found_docs))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
