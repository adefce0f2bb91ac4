"""Label tables in a bucket: units come back, and new events that broke off are noticed and mended."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from hubbub.clips.table import CLIP_SCHEMA
from hubbub.config import Settings
from hubbub.errors import LabelsError
from hubbub.io.paths import parse_path
from hubbub.labels.events import EventRule
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import LabelTables, create_labels, open_labels
from hubbub.tasks.events import rebuild_events

SCHEMAS = label_schemas(pa.schema(list(CLIP_SCHEMA)), 1)


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.fixture
def tables(s3: str) -> LabelTables:
    """Two units, each of one file with two windows that score 0.25 and 0.75."""
    run = {"model_hash": "m", "settings_hash": Settings().hash, "settings": Settings().model_dump(mode="json")}
    run |= {"labels": ["dog"], "hop_s": 1.0, "rules": {"dog": vars(EventRule())}, "root": s3, "command": "hubbub label"}
    made = create_labels(parse_path(f"{s3}/my labels #1"), run)
    for unit in range(2):
        file = {"clip_id": str(unit), "uri": f"{unit}.wav", "status": "ok", "attempts": 1, "duration_s": 2.0}
        windows = [
            file | {"start_s": start, "end_s": start + 1, "scores": [np.float16(score)]}
            for start, score in ((0.0, 0.25), (1.0, 0.75))
        ]
        made.write_unit(
            unit,
            files=pa.Table.from_pylist([file | {"windows": 2}], schema=SCHEMAS.files),
            windows=pa.Table.from_pylist(windows, schema=SCHEMAS.windows),
            events=SCHEMAS.events.empty_table(),
        )
    return made


def remade(tables: LabelTables, threshold: float, *, killed_after: int = 99) -> LabelTables:
    rules = {"dog": EventRule(threshold=threshold, release=threshold)}
    wanted = LabelTables(tables.path, tables.run | {"rules": {"dog": vars(rules["dog"])}})

    def parts() -> Iterator[tuple[int, pa.Table]]:
        for number, part in enumerate(rebuild_events(wanted)):
            if number == killed_after:
                raise Killed
            yield part

    return tables.replace_events(parts(), rules)


def test_units_come_back(tables: LabelTables):
    again = open_labels(str(tables.path))
    assert again.committed() == [0, 1]
    assert again.windows()["start_s"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert str(again.root) == str(tables.root)
    assert again.run == tables.run


def test_new_events_take_the_place_of_the_old(tables: LabelTables):
    for threshold, count in ((0.5, 2), (0.9, 0), (0.2, 2)):
        changed = remade(tables, threshold)
        assert len(changed.events()) == len(open_labels(tables.path).events()) == count


@pytest.mark.parametrize("killed_after", [0, 1])
def test_a_break_is_noticed_and_the_next_run_mends_it(tables: LabelTables, killed_after: int):
    remade(tables, 0.5)
    with pytest.raises(Killed):
        remade(open_labels(tables.path), 0.9, killed_after=killed_after)
    left = open_labels(tables.path)
    if killed_after == 0:
        assert len(left.events()) == 2  # nothing was changed yet
    else:
        with pytest.raises(LabelsError, match="its events were made by other rules than run.json has; run again"):
            left.events()
    remade(left, 0.9)
    assert len(open_labels(tables.path).events()) == 0
