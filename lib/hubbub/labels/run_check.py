"""Whether label tables were made as a run would make them: by the same model, hop and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubbub.config import describe_difference
from hubbub.errors import LabelsError
from hubbub.labels.tables import LabelTables


def require_run(tables: LabelTables, asked: Mapping[str, Any]) -> None:
    """Refuse label tables of another model, hop or rule.

    Parameters
    ----------
    asked
        Entries of run.json as this run would write them.

    Raises
    ------
    LabelsError
        Says what differs and what to do.
    """
    given, held = asked.get("model_hash"), tables.run.get("model_hash")
    if given not in (None, held):
        raise LabelsError(f"{tables.path} was made by another model (model_hash {held}, not {given}); give another -o")
    if lines := describe_difference(asked, {name: tables.run.get(name) for name in asked}):
        raise LabelsError(
            f"{tables.path} was made otherwise: {'; '.join(lines)}. Give another -o; "
            f"for other thresholds on the same scores: hubbub events {tables.path} --threshold …"
        )
