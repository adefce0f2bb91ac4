"""Verification of reviews: parts that can be read, and nothing else beside them."""

from __future__ import annotations

from collections.abc import Iterator

from hubbub.clips.reviews import FOLDER, SUFFIX, MissingReviews, list_parts, read_part
from hubbub.errors import LabelsError
from hubbub.io.folders import list_names
from hubbub.labels.tables import LabelTables
from hubbub.store.problems import FOREIGN, LEFT_OVER, Problem, find_unknown, reason


def verify_reviews(tables: LabelTables) -> Iterator[Problem]:
    """Check each part of the reviews of label tables. A repair removes what is left over, and mends no part.

    Raises
    ------
    UsageError
        When the bucket cannot be reached.
    """
    for name in list_parts(tables.path):
        try:
            read_part(tables.path, name)
        except MissingReviews:  # a reviewer at work has merged it
            continue
        except LabelsError as error:
            yield Problem(f"{FOLDER}/{name}", reason(str(error)))
    others = {name for name in list_names(tables.path / FOLDER) if not name.endswith(SUFFIX)}
    for name, is_left in find_unknown(others, set()):
        yield Problem(f"{FOLDER}/{name}", LEFT_OVER if is_left else FOREIGN, mend="remove" if is_left else None)
