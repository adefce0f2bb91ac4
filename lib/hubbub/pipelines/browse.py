"""Show label tables in the browser. What ``hubbub browse`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.errors import UsageError
from hubbub.labels.clock import read_zone
from hubbub.labels.references import read_reference
from hubbub.labels.tables import LabelTables
from hubbub.pipelines.inputs import as_labels, as_list, as_path, as_root, as_store
from hubbub.pipelines.page_server import require_web, serve_page
from hubbub.pipelines.reporting import Reporter, choose_reporter

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike
    from hubbub.store.features import FeatureStore


def browse(
    labels: PathLike | LabelTables | Sequence[PathLike | LabelTables],
    *,
    store: PathLike | FeatureStore | None = None,
    truth: PathLike | None = None,
    root: PathLike | None = None,
    timezone: str = "UTC",
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    reporter: Reporter | None = None,
) -> None:
    """Serve the page until Ctrl-C; see ``hubbub browse --help``."""
    require_web("browse")
    reporter = choose_reporter(reporter)
    tables = [as_labels(one) for one in as_list(labels)]
    if not tables:
        raise UsageError(f"labels {labels!r}: expected one folder of label tables or more")
    zone, where = read_zone(timezone), None if root is None else as_root(root)
    reference = None if truth is None else read_reference(Path(str(as_path(truth, "truth"))))
    features = None if store is None else as_store(store)
    for note in reference.notes if reference else ():
        reporter.warn(note)

    from hubbub.web.browsed import BrowsedTables

    browsed = [BrowsedTables(one, root=where, reference=reference, store=features, timezone=zone) for one in tables]
    for one in browsed:
        one.start()  # it reads while the server's libraries are imported

    from hubbub.web.server import make_app

    serve_page(make_app(browsed), "browse", host, port, open_browser, reporter)
