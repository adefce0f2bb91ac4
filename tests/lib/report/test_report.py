"""The report: one file that needs nothing else, says what is so, and survives whatever was labelled."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import asdict
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hubbub.audio import pictures
from hubbub.audio.frontends import get_frontend
from hubbub.audio.playback import encode_audio
from hubbub.audio.ticks import round_ticks
from hubbub.config import Settings, parse_settings
from hubbub.errors import LabelsError, StorageError, UsageError
from hubbub.labels.events import EventRule
from hubbub.labels.schemas import label_schemas
from hubbub.labels.tables import create_labels
from hubbub.learn.clip_metrics import call_labels, clip_metrics
from hubbub.report import evaluation_section, labels_section, write_report
from hubbub.report.charts import line_chart
from hubbub.report.lanes import assign_colours, bar_rows
from tests.examples import count_examples

LABELS = ["dog", "rain", "<script>alert(1)</script>"]
SETTINGS = parse_settings(
    {"frontend": {"sample_rate": 8000, "n_fft": 512, "hop_samples": 256, "n_mels": 32}}, where="test"
)


class Page(HTMLParser):
    """A page taken apart: tags with their attributes, visible text; fails where tags do not match."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input", "line", "path"})

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def having(self, css_class):
        return [attrs for _, attrs in self.tags if css_class in (attrs.get("class") or "").split()]

    def attributes(self, tag, name):
        return [attrs[name] for found, attrs in self.tags if found == tag and name in attrs]


def tone(seconds, *, sample_rate=8000, hz=1000.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * sample_rate)) / sample_rate)).astype(np.float32)


def make_labels(folder, files, events):
    """Write label tables by hand: files as (uri, status, error, duration_s), events as (uri, label, on, off, peak)."""
    run = {
        "model_hash": "0123456789abcdef",
        "settings_hash": SETTINGS.hash,
        "settings": SETTINGS.values,
        "labels": LABELS,
        "hop_s": 1.0,
        "rules": {label: asdict(EventRule()) for label in LABELS},
        "root": str(folder),
        "command": "hubbub label",
    }
    tables = create_labels(folder / "labels", run)
    schemas = label_schemas(pa.schema([]), len(LABELS))
    file_rows = [
        {
            "uri": uri,
            "clip_id": uri if uri not in [name for name, *_ in files[:number]] else f"{uri} {number}",
            "status": status,
            "error": error,
            "attempts": 1,
            "duration_s": duration_s,
        }
        for number, (uri, status, error, duration_s) in enumerate(files)
    ]
    event_rows = [
        {
            "uri": uri,
            "clip_id": uri,
            "label": label,
            "onset_s": on,
            "offset_s": off,
            "peak": peak,
            "mean": peak / 2,
        }
        for uri, label, on, off, peak in events
    ]
    tables.write_unit(
        0,
        files=pa.Table.from_pylist(file_rows, schema=schemas.files),
        windows=schemas.windows.empty_table(),
        events=pa.Table.from_pylist(event_rows, schema=schemas.events),
    )
    return tables


def truth_table(*rows):
    return pd.DataFrame(rows, columns=["uri", "label", "onset_s", "offset_s"])


@pytest.fixture
def city(tmp_path):
    """Four recordings: one with events, one quiet, one that failed, one that is gone since."""
    soundfile.write(tmp_path / "street.wav", tone(10), 8000)
    soundfile.write(tmp_path / "park & <b>zoo.wav", tone(4), 8000)
    return make_labels(
        tmp_path,
        [
            ("street.wav", "ok", None, 10.0),
            ("park & <b>zoo.wav", "ok", None, 4.0),
            ("torn.wav", "failed", "DecodeError: torn.wav is not audio that can be decoded", None),
            ("gone.wav", "ok", None, 3.0),
        ],
        [
            ("street.wav", "dog", 1.0, 3.5, 0.9),
            ("street.wav", "rain", 2.0, 9.0, 0.8),
            ("street.wav", LABELS[2], 9.5, 10.0, 0.7),
        ],
    )


@pytest.fixture
def evaluation(tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    true = np.array([0, 0, 1, 1, 2])
    scores = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0, 0, 1]])
    history = [
        {
            "epoch": 1,
            "loss": 2.0,
            "accuracy": 0.3,
            "val_loss": 2.1,
            "val_accuracy": 0.2,
            "learning_rate": 0.1,
        },
        {
            "epoch": 2,
            "loss": 1.0,
            "accuracy": 0.7,
            "val_loss": None,
            "val_accuracy": None,
            "learning_rate": 0.1,
        },
        {
            "epoch": 3,
            "loss": 0.5,
            "accuracy": 0.9,
            "val_loss": 0.8,
            "val_accuracy": 0.6,
            "learning_rate": 0.1,
        },
    ]
    data = {
        "format": "hubbub-evaluation/1",
        "model": "default",
        "settings_hash": SETTINGS.hash,
        "fold": 1,
        "history": history,
        **clip_metrics(call_labels(np.eye(len(LABELS), dtype=bool)[true], scores), scores, LABELS).to_dict(),
    }
    (folder / "evaluation.json").write_text(json.dumps(data))
    predicted = scores.argmax(axis=1)
    pd.DataFrame(
        {
            "clip_id": [f"{i:032x}" for i in range(5)],
            "uri": [f"audio/{i}.ogg" for i in range(5)],
            "true": [LABELS[i] for i in true],
            "predicted": [LABELS[i] for i in predicted],
            "score": scores.max(axis=1),
        }
    ).to_parquet(folder / "predictions.parquet")
    return folder


TRUTH = truth_table(("street.wav", "dog", 1.2, 3.4), ("street.wav", "rain", 5.5, 9.0), ("elsewhere.wav", "dog", 0, 1))


@pytest.fixture
def page(tmp_path, city, evaluation):
    sections = [evaluation_section(evaluation), labels_section(city, truth=TRUTH)]
    return Page(write_report(sections, tmp_path / "out" / "report.html", title="A <b>city</b>"))


def test_the_page_needs_nothing_else(page):
    loaded = [*page.attributes("img", "src"), *page.attributes("audio", "src")]
    assert len(loaded) == 4  # a picture and a sound for each of the two recordings that can be read
    assert all(address.startswith("data:") for address in loaded)
    assert all(address.startswith("#section-") for address in page.attributes("a", "href"))
    assert not [tag for tag, attrs in page.tags if tag in {"link", "iframe"} or (tag == "script" and "src" in attrs)]
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", page.source)


def test_names_and_labels_are_text_never_markup(page):
    assert "A <b>city</b>" in page.text
    assert "park & <b>zoo.wav" in page.text
    assert LABELS[2] in page.text
    assert [tag for tag, _ in page.tags].count("script") == 1  # the page's own
    assert not re.search(r"<script>alert", page.source)


def test_the_foot_names_version_and_settings_and_the_head_lists_the_sections(page):
    assert f"with settings {SETTINGS.hash} ." in page.text
    assert page.attributes("a", "href") == ["#section-1", "#section-2"]


def test_one_section_needs_no_contents(tmp_path, evaluation):
    alone = Page(write_report([evaluation_section(evaluation)], tmp_path / "r.html"))
    assert "nav" not in [tag for tag, _ in alone.tags]


def test_the_evaluation_says_what_its_files_say(page):
    assert "accuracy 60.0 %" in page.text
    assert "clips right 3 of 5" in page.text
    cells = [attrs["title"] for attrs in page.having("right") + page.having("wrong") if "title" in attrs]
    assert sorted(cells) == sorted(
        2  # counts, and shares of the row
        * [
            "1 of dog taken for dog",
            "1 of dog taken for rain",
            "1 of rain taken for rain",
            "1 of rain taken for dog",
            f"1 of {LABELS[2]} taken for {LABELS[2]}",
        ]
    )
    mistakes = page.text[page.text.index("Most confident mistakes") :]
    assert mistakes.index("audio/1.ogg") < mistakes.index("audio/3.ogg")  # 0.8 before 0.6
    assert "audio/0.ogg" not in mistakes
    assert "Loss by epoch: training ends at 0.500, validation ends at 0.800" in page.source


def test_the_run_is_summed_up(page):
    for words in (
        "recordings analysed 3",
        "failed 1",
        "of sound 17.0 s",
        "labels found 3",
        "torn.wav DecodeError: torn.wav is not audio",
    ):
        assert words in page.text


def test_a_recording_that_is_gone_gets_a_sentence(page):
    assert "This recording cannot be shown. DecodeError: gone.wav cannot be opened" in page.text


def test_true_events_lie_over_labelled_ones_on_one_time_axis(page):
    lanes = [attrs["class"] for attrs in page.having("lane")]
    assert lanes[:2] == ["lane true seek", "lane labelled seek"]
    styles = [attrs["style"] for attrs in page.having("event")]
    assert styles[0].startswith("left: 12.000%; width: 22.000%")  # dog, 1.2 to 3.4 of 10 s, true
    assert styles[2].startswith("left: 10.000%; width: 25.000%")  # dog, 1.0 to 3.5, labelled


def test_events_are_scored_only_where_the_truth_is_known(page):
    # By hand: dog is found (0.2 s early), rain is not (3.5 s early), the third label is false.
    assert "1 of 2 true events found, 2 more reported" in page.text
    assert "event F1 40.0 %" in page.text
    # Segments of 1 s: true 3 + 4, labelled 3 + 7 + 1, both 3 + 4.
    assert "Segments of 1 s: precision 63.6 %, recall 100.0 %" in page.text


def test_what_was_missed_and_what_is_false_is_outlined(page):
    alone = ["alone" in attrs["class"] for attrs in page.having("event")]
    assert alone == [False, True, False, True, True]  # true dog, rain; labelled dog, rain, the third
    assert "outlined: a true event that was missed" in page.text


def test_without_truth_there_is_one_lane_and_no_score(tmp_path, city):
    page = Page(write_report([labels_section(city)], tmp_path / "r.html"))
    assert {attrs["class"] for attrs in page.having("lane")} == {"lane labelled seek"}
    assert "Against the true events" not in page.text


def test_no_events_are_said_to_be_none(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2), 8000)
    labels = make_labels(tmp_path, [("a.wav", "ok", None, 2.0)], [])
    page = Page(write_report([labels_section(labels)], tmp_path / "r.html"))
    assert "Nothing was found: no label reached its threshold" in page.text
    assert "events 0" in page.text


def test_an_empty_archive_is_no_error(tmp_path):
    page = Page(write_report([labels_section(make_labels(tmp_path, [], []))], tmp_path / "r.html"))
    assert "No recording was analysed" in page.text


def test_recordings_shown_are_bounded_and_chosen(tmp_path):
    names = [f"{i}.wav" for i in range(6)]
    for name in names:
        soundfile.write(tmp_path / name, tone(1), 8000)
    events = [
        ("4.wav", "dog", 0.0, 0.5, 0.9),
        ("5.wav", "dog", 0.0, 0.5, 0.9),
        ("5.wav", "rain", 0.0, 0.5, 0.9),
    ]
    labels = make_labels(tmp_path, [(name, "ok", None, 1.0) for name in names], events)
    section = labels_section(labels, truth=truth_table(("2.wav", "dog", 0, 1)), max_recordings=2)
    page = Page(write_report([section], tmp_path / "r.html"))
    assert "2 of 6 recordings are shown" in page.text
    assert re.findall(r'alt="Spectrogram of (\d)\.wav', page.source) == ["2", "5"]  # truth, then most events


def test_of_a_long_recording_the_beginning_is_shown_and_this_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LONGEST_S", 2.0)
    soundfile.write(tmp_path / "long.wav", tone(5), 8000)
    events = [("long.wav", "dog", 1.0, 4.0, 0.9), ("long.wav", "rain", 3.0, 4.0, 0.9)]
    labels = make_labels(tmp_path, [("long.wav", "ok", None, 5.0)], events)
    page = Page(write_report([labels_section(labels)], tmp_path / "r.html"))
    assert "The first 2.0 s of 5.0 s." in page.text
    (event,) = page.having("event")
    assert event["style"].startswith("left: 50.000%; width: 50.000%")  # cut at the edge; the second lies beyond
    (sound,) = page.attributes("audio", "src")
    assert soundfile.info(io.BytesIO(base64.b64decode(sound.split(",")[1]))).duration == pytest.approx(2.0, abs=0.1)


def test_the_sound_is_the_recordings(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(3.0, sample_rate=44100), 44100)
    url = encode_audio(tmp_path / "a.wav", sample_rate=22050, shown_s=3.0)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(url.split(",")[1])))
    assert rate == 22050
    assert len(samples) / rate == pytest.approx(3.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * rate / len(samples) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize(("sample_rate", "played"), [(22050, 22050), (96000, 48000), (10000, 8000), (4000, 8000)])
def test_the_sound_has_a_rate_that_players_know(tmp_path, sample_rate, played):
    soundfile.write(tmp_path / "a.wav", tone(0.5), 8000)
    url = encode_audio(tmp_path / "a.wav", sample_rate=sample_rate, shown_s=0.5)
    assert soundfile.info(io.BytesIO(base64.b64decode(url.split(",")[1]))).samplerate == played


def test_without_mp3_the_sound_is_ogg(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"OGG": "OGG"})
    soundfile.write(tmp_path / "a.wav", tone(30.0), 8000)
    url = encode_audio(tmp_path / "a.wav", sample_rate=8000, shown_s=30.0)
    assert url.startswith("data:audio/ogg;base64,")
    assert soundfile.info(io.BytesIO(base64.b64decode(url.split(",")[1]))).duration == pytest.approx(30.0)


def test_the_picture_is_the_frontends_whole_spectrogram(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_VALUES_A_BLOCK", 512 * 7)  # many seams
    samples = np.random.default_rng(0).standard_normal(8000 * 3).astype(np.float32) * 0.1
    frontend = SETTINGS.frontend.model_copy(update={"top_db": None})
    whole = get_frontend(frontend)(samples)
    blocks = list(pictures._frame_blocks(samples, frontend))
    assert len(blocks) > 10
    np.testing.assert_allclose(np.concatenate([frames for _, frames in blocks]), whole, atol=1e-3)


def test_the_picture_has_low_bands_below_and_time_to_the_right(tmp_path):
    late = np.concatenate([np.zeros(16000, np.float32), tone(2.0, hz=300.0)])
    soundfile.write(tmp_path / "a.wav", late, 8000)
    picture = pictures.draw_picture(tmp_path / "a.wav", SETTINGS.frontend)
    image = Image.open(io.BytesIO(base64.b64decode(picture.data.split(",")[1])))
    bright = np.asarray(image).astype(int)  # palette numbers rise with the level
    assert image.size == (126, 32)
    row, column = np.unravel_index(bright.argmax(), bright.shape)
    assert row > 16
    assert column > 62
    assert bright[:, :50].mean() < bright[:, 70:].mean()
    assert [tick.text for tick in picture.band_ticks][0] == "2 kHz"
    assert [tick.text for tick in picture.time_ticks][::4] == ["0 s", "2 s", "4 s"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("mel", 16),  # in its own bands
        ("pcen", 16),
        ("mfcc", 16),  # of the mel bands that its coefficients are made of
        ("chroma", 64),  # no bands of its own
        ("descriptors", 64),
        ("log-frequency", 84),
        ("stft-db", 256),  # 257 bins, two of which share a line
    ],
)
def test_every_frontend_has_a_picture_in_its_own_frames(tmp_path, name, lines):
    late = np.concatenate([np.zeros(16000, np.float32), tone(2.0, hz=1500.0)])
    soundfile.write(tmp_path / "a.wav", late, 8000)
    values = {"name": name, "sample_rate": 8000, "n_fft": 512, "hop_samples": 256}
    values |= {"n_mels": 16} if name in ("mel", "pcen", "mfcc") else {}
    values |= {"n_mfcc": 4} if name == "mfcc" else {}
    picture = pictures.draw_picture(tmp_path / "a.wav", parse_settings({"frontend": values}, where="test").frontend)
    bright = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.data.split(",")[1])))).astype(int)
    assert bright.shape == (lines, 126)
    assert bright[:, :50].mean() < bright[:, 70:].mean()
    ticks = {tick.text: tick.at for tick in picture.band_ticks}
    row, _ = np.unravel_index(bright.argmax(), bright.shape)
    assert ticks["2 kHz"] < 100 * (row + 0.5) / lines < ticks["1 kHz"]


def test_lines_of_a_picture_show_the_loudest_of_their_bands():
    firsts = pictures._first_bands(1025)
    assert (len(firsts), firsts[0], firsts[-1]) == (256, 0, 1020)
    assert set(np.diff([*firsts, 1025])) == {4, 5}
    np.testing.assert_array_equal(pictures._first_bands(128), np.arange(128))


lane_events = st.lists(st.tuples(st.sampled_from(LABELS), st.floats(0, 70), st.floats(0.01, 30)), max_size=12).map(
    lambda rows: pd.DataFrame(
        [(label, onset_s, onset_s + length_s) for label, onset_s, length_s in rows],
        columns=["label", "onset_s", "offset_s"],
    )
)


@given(lane_events)
@settings(max_examples=count_examples(60), deadline=None)
def test_bars_of_a_row_never_overlap_and_none_is_lost(events):
    rows = bar_rows(events, assign_colours(LABELS), shown_s=60.0)
    assert sum(map(len, rows)) == (events["onset_s"] < 60).sum()
    for row in rows:
        for bar in row:
            assert 0 <= bar.left <= bar.left + bar.width <= 100 + 1e-9
        for one, after in zip(row, row[1:], strict=False):
            assert one.left + one.width <= after.left + 1e-9


def test_hundreds_of_labels_have_colours_of_their_own():
    colours = assign_colours(f"label {i}" for i in range(200))
    assert len(set(colours.values())) > 190
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours.values())


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),  # accuracy
        (0, 2.4, [0, 0.5, 1.0, 1.5, 2.0]),  # loss
        (1, 40, [5, 10, 15, 20, 25, 30, 35, 40]),  # epochs
        (0, 3e-9, [0, 5e-10, 1e-9, 1.5e-9, 2e-9, 2.5e-9, 3e-9]),  # a loss that went to nothing
    ],
)
def test_ticks_are_round(low, high, expected):
    assert round_ticks(low, high, at_most=8 if high == 40 else 6) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("x", "values"),
    [([1], [0.5]), ([1, 2], [0.0, 0.0]), ([1, 2], [float("nan"), 3.0]), ([1, 2], [1e6, float("inf")])],
)
def test_curves_of_any_numbers_stay_in_their_chart(x, values):
    chart = line_chart("Loss", x, {"training": values})
    places = [float(number) for number in re.findall(r"[\d.]+", chart.curves[0].path)]
    assert all(0 <= place <= 520 for place in places)


def test_a_curve_without_values_is_not_drawn():
    assert line_chart("Loss", [1, 2], {"training": [None, float("nan")]}) is None
    assert line_chart("Loss", [], {"training": []}) is None


def test_sections_are_needed(tmp_path):
    with pytest.raises(UsageError, match="at least one section"):
        write_report([], tmp_path / "r.html")


def test_a_report_cannot_replace_a_folder(tmp_path, evaluation):
    with pytest.raises(UsageError, match=r"is a folder; give a file for the report, such as .*report\.html"):
        write_report([evaluation_section(evaluation)], tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path, evaluation):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="cannot write .*file/r.html"):
        write_report([evaluation_section(evaluation)], tmp_path / "file" / "r.html")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("evaluation.json", None, "holds no evaluation.json; make one: hubbub evaluate"),
        ("evaluation.json", "{", "evaluation.json cannot be read"),
        ("evaluation.json", "[]", "has the format None"),
        (
            "evaluation.json",
            '{"format": "other/9"}',
            "has the format 'other/9'; expected 'hubbub-evaluation/1'",
        ),
        ("evaluation.json", '{"format": "hubbub-evaluation/1"}', "lacks labels, clips"),
        ("predictions.parquet", None, "holds no predictions.parquet"),
        ("predictions.parquet", "no parquet", "predictions.parquet cannot be read"),
    ],
)
def test_a_broken_evaluation_is_refused(evaluation, name, text, message):
    (evaluation / name).unlink()
    if text is not None:
        (evaluation / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        evaluation_section(evaluation)


def test_truth_without_its_columns_is_refused(city):
    with pytest.raises(LabelsError, match="true events lacks offset_s; expected it beside: uri, label, onset_s"):
        labels_section(city, truth=TRUTH.drop(columns="offset_s"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("street.wav", "dog", 3.0, 3.0), "a true event of street.wav lasts from 3.0 to 3.0; expected seconds"),
        (("street.wav", "dog", "soon", 3.0), "lasts from soon to 3.0"),
        (("street.wav", "dog", None, 3.0), "lasts from (None|nan) to 3.0"),
        (
            ("audio/street.wav", "dog", 1, 3),
            "the first is 'audio/street.wav', the label tables hold such as 'street.wav'",
        ),
    ],
)
def test_truth_that_makes_no_sense_is_refused(city, row, message):
    with pytest.raises(LabelsError, match=message):
        labels_section(city, truth=truth_table(row))


def test_no_true_events_at_all_make_every_labelled_one_unjudged(tmp_path, city):
    page = Page(write_report([labels_section(city, truth=TRUTH.iloc[:0])], tmp_path / "r.html"))
    assert "Against the true events" not in page.text
    assert not [attrs for attrs in page.having("event") if "alone" in attrs["class"]]


def test_settings_of_the_run_reach_the_foot(city):
    assert labels_section(city).settings_hash == SETTINGS.hash
    assert isinstance(SETTINGS, Settings)


def test_segments_of_a_recording_are_one_recording_with_all_their_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(4), 8000)
    files = [("a.wav", "ok", None, 1.5), ("a.wav", "ok", None, 2.0), ("a.wav", "failed", "EmptyAudio: no sound", None)]
    labels = make_labels(tmp_path / "labels", files, [])
    page = tmp_path / "report.html"
    write_report([labels_section(labels)], page)
    text = Page(page).text
    assert "recordings analysed 1" in text
    assert "failed 1" in text
    assert "of sound 3.5 s" in text
