"""Try models on a page with recordings that are dropped there. What ``hubbub try`` does."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hubbub.config import parse_settings
from hubbub.errors import BundleError, UsageError
from hubbub.io.paths import StoragePath, absolute_path
from hubbub.models.bundle import Bundle
from hubbub.models.foreign import ForeignModel
from hubbub.models.opening import read_description
from hubbub.pipelines.event_rules import make_rules
from hubbub.pipelines.inputs import as_list, as_model_path
from hubbub.pipelines.label import choose_grid, make_document
from hubbub.pipelines.page_server import require_web, serve_page
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike
    from hubbub.web.trying import TriedModel

MOST_MB = 200
"""Of a recording, if nobody says more or less."""


def try_models(
    models: PathLike | Bundle | ForeignModel | Sequence[PathLike | Bundle | ForeignModel],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    max_size_mb: int = MOST_MB,
    reporter: Reporter | None = None,
) -> None:
    """Serve the page until Ctrl-C; see ``hubbub try --help``.

    Raises
    ------
    UsageError
        No model is given, the extra is not installed, or the port is taken.
    BundleError
        There is no such model, or it gives no scores.
    """
    require_web("try")
    reporter = choose_reporter(reporter)
    if max_size_mb < 1:
        raise UsageError(f"--max-size {max_size_mb}: expected megabytes, at least 1")
    tried = read_models([as_model_path(one) for one in as_list(models)])

    from hubbub.web.routes_try import make_try_app
    from hubbub.web.trying import TrialRoom

    with TrialRoom(tried, most_bytes=max_size_mb * 10**6, say=reporter.say, warn=reporter.warn) as room:
        can = "have recordings scored here, and listen to those that were dropped"
        with contextlib.suppress(KeyboardInterrupt):  # how it is ended: nothing was broken off
            serve_page(make_try_app(room), "try", host, port, open_browser, reporter, others_can=can)
    reporter.say("ended; the recordings that were dropped are removed")


def read_models(paths: Sequence[StoragePath]) -> list[TriedModel]:
    """Read what models are tried, as ``hubbub label`` would run them by default; loads none.

    Raises
    ------
    UsageError
        There are none.
    BundleError
        There is no such model, or it gives no scores.
    """
    if not paths:
        raise UsageError(f"models {list(paths)}: expected one model bundle or YAML file, or more")
    counts = Counter(path.name for path in paths)
    return [_read_model(path, path.name if counts[path.name] == 1 else str(path)) for path in paths]


def _read_model(path: StoragePath, name: str) -> TriedModel:
    from hubbub.web.trying import TriedModel

    description: dict[str, Any] = read_description(path)
    if not description["labels"]:
        raise BundleError(f"{path} gives embeddings and no scores; train a head on them: hubbub embed, hubbub train")
    settings = parse_settings(description["settings"], where=str(path))
    chosen = choose_grid(None, None, settings, description, None)
    document = make_document(description, chosen, make_rules(description), root="")
    document |= {"bundle": str(path), "command": f"hubbub try {path}", "activation": description.get("activation")}
    if "kind" in description:
        document["model"] = {key: description[key] for key in ("kind", "file")}
    kind = description.get("model") or description.get("kind") or "model"
    return TriedModel(name, str(kind), absolute_path(path), document, settings, chosen.hop_s, chosen.stream)
