"""The child process that runs one unit: ``python -m hubbub.engine.isolated_child DESCRIPTOR``; see `isolated`."""

from __future__ import annotations

import os
import resource
import sys
import threading
from multiprocessing.connection import Connection

from distributed.protocol.pickle import loads

from hubbub.engine.outcomes import ItemStarted, catch_outcome
from hubbub.io.storage_options import apply_storage
from hubbub.tasks.item_observer import observe_items


def main(descriptor: int) -> None:
    """Be the child: do one unit, and say which item is at hand, and what came of it."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with Connection(descriptor) as parent:
        task, storage, unit, limit_bytes = loads(parent.recv_bytes())
        apply_storage(storage)
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        with observe_items(lambda item: parent.send(ItemStarted(item))):
            parent.send(catch_outcome(lambda: task(unit)))
    os._exit(0)  # all is committed and said; what libraries do at the end may hang, or die


def _die_with_parent() -> None:
    os.read(0, 1)  # which ends when the parent does
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
