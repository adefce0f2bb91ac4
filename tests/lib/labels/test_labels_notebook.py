"""Label tables in a notebook: small, escaped, right without events and without recordings."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hubbub.errors import LabelsError
from hubbub.labels.tables import LabelTables, open_labels
from tests.lib.report.test_archive_page import make_archive

V1 = Path(__file__).resolve().parents[2] / "data" / "formats" / "v1"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> LabelTables:
    return make_archive(tmp_path_factory.mktemp("city"), ["dog", "<script>alert(1)</script>"], recordings=4)


def test_the_facts_are_small_and_escaped(tables: LabelTables, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(LabelTables, "_read", lambda *_: pytest.fail("facts read no tables"))
    html = tables._repr_html_()
    assert len(html) < 4000
    assert "dog 0.4, &lt;script&gt;alert(1)&lt;/script&gt; 0.4" in html
    assert "<script" not in html
    assert "1 unit" in html


def test_five_hundred_labels_are_told_in_short(tmp_path: Path):
    html = make_archive(tmp_path, [f"label {n}" for n in range(500)], recordings=1, events_a_label=0)._repr_html_()
    assert "and 488 more" in html


def test_tables_that_went_away_are_said_to_have(tables: LabelTables, tmp_path: Path):
    assert "0 units" in LabelTables(tmp_path / "gone", tables.run)._repr_html_()


@pytest.mark.parametrize("how", ["series", "mapping", "tuple"])
def test_an_event_is_shown_and_played(tables: LabelTables, how: str):
    events = tables.events()
    row = {
        "series": events.iloc[0],
        "mapping": events.iloc[0].to_dict(),
        "tuple": next(events.itertuples(index=False)),
    }[how]
    shown = tables.show(row)
    html = shown._repr_html_()
    assert "data:image/png;base64," in html
    assert "<audio controls" in html
    assert " kHz</span>" in html
    assert shown.marks[0].end_s - shown.marks[0].start_s == pytest.approx(1.5)
    assert f"{events['onset_s'].iloc[0]:.2f} to" in html
    assert "<script" not in html


def test_an_event_of_a_recording_that_is_gone_says_so(tables: LabelTables):
    event = tables.events().iloc[0].to_dict() | {"uri": "<b>gone</b>.wav"}
    html = tables.show(event)._repr_html_()
    assert "&lt;b&gt;gone&lt;/b&gt;.wav" in html
    assert "DecodeError" in html
    assert "<audio" not in html
    assert "no picture, no audio" in repr(tables.show(event))


def test_what_is_no_event_is_refused(tables: LabelTables):
    with pytest.raises(LabelsError, match=r"3 is no event: it lacks uri, onset_s, offset_s; give a row of"):
        tables.show(3)
    with pytest.raises(LabelsError) as refused:
        tables.show(tables.events().head(2))  # whose columns are there, and no event
    assert str(refused.value) == (
        "a DataFrame of 2 rows is no event: it lacks uri, onset_s, offset_s; give a row of labels.events()"
    )


@pytest.mark.parametrize("label", [None, "dog", "<script>alert(1)</script>"])
def test_a_chart_is_a_picture(tables: LabelTables, label: str | None):
    figure = tables.plot(label)
    when, scores = figure.axes[:2]
    events = tables.events()
    own = events if label is None else events[events["label"] == label]
    assert figure.get_suptitle() == f"{label or 'all labels'}: {len(own)} events"
    assert sum(bar.get_height() for bar in scores.patches) == len(own)
    counted = np.ma.filled(when.collections[0].get_array(), 0).sum()
    assert counted == own["onset_at"].notna().sum()
    image = Image.open(io.BytesIO(figure._repr_png_()))
    assert image.width > 800


def test_without_events_or_times_there_is_a_chart_too(tmp_path: Path):
    assert make_archive(tmp_path, ["dog"], recordings=2, events_a_label=0).plot("dog")._repr_png_()
    old = open_labels(V1 / "labels")
    assert old.plot()._repr_png_()
    assert pd.isna(old.files()["recorded_at"]).all() == ("hour (UTC)" not in old.plot().axes[0].get_ylabel())


def test_an_unknown_label_is_refused_with_the_nearest(tables: LabelTables):
    with pytest.raises(LabelsError, match=r"has no label 'dgo': .*dog"):
        tables.plot("dgo")
    with pytest.raises(LabelsError) as refused:
        tables.plot("zzz")
    assert str(refused.value).count("dog") == 1
