"""The section about labelled recordings: the archive in charts, sample events of each label, or a few recordings whole.

Charts are in `hubbub.report.overview`, samples in `hubbub.report.samples`; here they become a section.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from hubbub.audio.pictures import Picture, draw_picture
from hubbub.audio.playback import encode_audio
from hubbub.config import Settings, parse_settings
from hubbub.errors import HubbubError, LabelsError
from hubbub.labels.clock import read_zone
from hubbub.labels.event_metrics import EVENT_COLUMNS, EventMetrics, event_metrics, match_events
from hubbub.labels.overview import Totals, count_totals
from hubbub.report.lanes import Bar, assign_colours, bar_rows, legend
from hubbub.report.overview import describe_overview, describe_run, describe_settings
from hubbub.report.page import Section, count, render, span
from hubbub.report.samples import CONTEXT_S, SAMPLES, Budget, Samples, embed_samples

if TYPE_CHECKING:
    from hubbub.labels.tables import LabelTables

FAILED_SHOWN = 50
"""Failed recordings listed at most; `files/` holds all."""

MOST_BYTES = 50 * 10**6
"""Bytes of a page where nobody asks for another size."""

MOST_WHOLE_S = 15 * 60.0
"""Seconds of sound that are shown whole at most: an hour was a page of 35 MB, which took 49 s to make."""

_FIGURE_BYTES, _EVENT_BYTES = 5000, 1200  # markup of a recording, and of an event of it


@dataclass(frozen=True)
class Lanes:
    """The rows of bars under one name."""

    name: str
    events: int
    rows: list[list[Bar]]
    table: Sequence[Mapping[Any, Any]]


@dataclass(frozen=True)
class Figure:
    """One recording on the page; without `picture` it could not be read, and `problem` says why."""

    uri: str
    duration_s: float
    picture: Picture | None
    sound: str
    lanes: tuple[Lanes, ...]
    problem: str


def labels_section(
    labels: LabelTables,
    *,
    truth: pd.DataFrame | None = None,
    max_recordings: int = 20,
    samples: int | None = None,
    max_bytes: int = MOST_BYTES,
    timezone: str | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> Section:
    """Describe a labelled archive: its numbers and charts, and sample events; of a small one, its recordings.

    Parameters
    ----------
    labels
        The run's label tables.
    truth
        True events (uri, label, onset_s, offset_s) where they are known; the recordings named in it are
        scored, shown first, and carry the true events over the labelled ones.
    max_recordings
        Recordings shown whole at most. With truth these are those with truth, then those with most events, as many as
        are `MOST_WHOLE_S` together; without, all of them, where they are no more than that. Else none.
    samples
        Events of each label that are shown, 0 or more, in place of whole recordings; None:
        `hubbub.report.samples.SAMPLES`, none beside recordings.
    max_bytes
        Bytes of the section at most; what is left out for that is said on it. Charts and tables stay.
    timezone
        Of days and hours, such as ``Europe/Berlin``; None: UTC.
    advance
        Called with the share of the samples that is done since; they add up to 1.

    Raises
    ------
    LabelsError
        For truth without the columns it needs, with times that are none, or of other recordings altogether.
    SettingsError
        For a run whose settings this hubbub does not know.
    UsageError
        For a time zone that is unknown.
    """
    zone = read_zone(timezone)
    settings = parse_settings(labels.run["settings"], where=str(labels.path / "run.json"))
    clips = labels.files().astype({"duration_s": "float64"})
    files = _recordings(clips)
    events = labels.events()
    true = _check_truth(truth, files)
    if true is not None:
        true_found, right = match_events(true, events)
        true = true.assign(matched=true_found)
        # Where nothing is known to be true, nothing is known to be wrong.
        is_judged = events["uri"].isin(true["uri"]).to_numpy() & labels.is_named(events)
        events = events.assign(matched=right | ~is_judged)
    analysed = files[files["status"] == "ok"]
    shown = _choose_recordings(analysed, events, true, max_recordings) if samples is None else analysed.head(0)
    with_recordings = len(shown) > 0
    colours = assign_colours([*labels.labels, *events["label"], *(true["label"] if true is not None else [])])
    failed = clips[clips["status"] != "ok"]
    overview = describe_overview(labels, clips, events, timezone=zone)
    page = {
        "facts": _facts(count_totals(clips, events)),
        "bars": _label_bars(labels.labels, events, colours),
        "unmatched": true is not None and not (true["matched"].all() and events["matched"].all()),
        "nothing_found": not len(events),
        "failed": failed.head(FAILED_SHOWN).to_dict("records"),
        "n_failed": len(failed),
        "scores": _scores(true, events[labels.is_named(events)]),
        "n_analysed": len(analysed),
        "legend": legend([events, *([] if true is None else [true])], colours),
        "overview": overview,
        "with_recordings": with_recordings,
        "context_s": CONTEXT_S,
        "run": describe_run(labels),
        "settings": describe_settings(labels),
        "rules": labels.rules,
    }
    bare = render("labels.html.j2", **page, samples=Samples(), figures=[], notices=[])
    budget = Budget(max_bytes - len(bare.encode()))
    figures = [_figure(labels, settings, row, events, true, colours) for row in shown.to_dict("records")]
    figures = [figure for figure in figures if budget.spend(_size(figure))]
    left_out = budget.refused
    number = samples if samples is not None else 0 if with_recordings else SAMPLES
    found = [card.count.label for card in overview.cards if card.count.events]
    embedded = embed_samples(
        events, found, labels.root, settings.frontend, number=number, budget=budget, zone=zone, advance=advance
    )
    notices = _notices(len(shown), left_out, found, embedded)
    body = render("labels.html.j2", **page, samples=embedded, figures=figures, notices=notices)
    subtitle = (
        f"{count(len(files))} {'recording' if len(files) == 1 else 'recordings'}, labelled by model "
        f"{labels.run.get('model_hash', 'unknown')}."
    )
    return Section("Labelled recordings", subtitle, body, settings.hash)


def _notices(n_shown: int, left_out: int, found: Sequence[str], samples: Samples) -> list[str]:
    """Say on the page what is not on it."""
    lines = []
    if left_out:
        lines.append(
            f"{left_out} of {n_shown} recordings are left out, for which the page has no room. "
            "--max-size MB makes it larger."
        )
    without = sum(label not in samples.by_label for label in found)
    if samples.left_out and without:
        lines.append(f"{without} of {len(found)} labels have no sample on the page.")
    return lines + samples.describe()


def _size(figure: Figure) -> int:
    """Bytes of a recording on the page."""
    n_events = sum(lanes.events for lanes in figure.lanes)
    media = len(figure.sound) + (len(figure.picture.data) if figure.picture else 0)
    return _FIGURE_BYTES + _EVENT_BYTES * n_events + media


def _recordings(clips: pd.DataFrame) -> pd.DataFrame:
    """One line a recording, whose segments may be clips of their own: ok where one of them is, their sound added up."""
    clips = clips.assign(ok=clips["status"] == "ok").sort_values("ok", kind="stable")
    sound_s = clips.groupby("uri")["duration_s"].transform("sum")
    return clips.assign(duration_s=sound_s).drop_duplicates("uri", keep="last").sort_index().drop(columns="ok")


def _check_truth(truth: pd.DataFrame | None, files: pd.DataFrame) -> pd.DataFrame | None:
    """Keep the true events of recordings that are part of the run."""
    if truth is None:
        return None
    missing = [column for column in EVENT_COLUMNS if column not in truth.columns]
    if missing:
        has = ", ".join(map(str, truth.columns)) or "no columns"
        raise LabelsError(f"the table of true events lacks {', '.join(missing)}; expected it beside: {has}")
    times = truth[["onset_s", "offset_s"]].apply(pd.to_numeric, errors="coerce").astype("float64")
    wrong = truth[~(times["onset_s"] < times["offset_s"])]
    if len(wrong):
        uri, _, onset_s, offset_s = wrong.iloc[0][list(EVENT_COLUMNS)]
        raise LabelsError(f"a true event of {uri} lasts from {onset_s} to {offset_s}; expected seconds, onset first")
    known = truth["uri"].isin(files["uri"])
    if len(truth) and not known.any():
        ours = f"such as '{files['uri'].iloc[0]}'" if len(files) else "none"
        raise LabelsError(
            f"no true event is of a labelled recording: the uri of the first is '{truth['uri'].iloc[0]}', "
            f"the label tables hold {ours}; name recordings as the label tables do"
        )
    return truth.assign(label=truth["label"].astype(str), **times).loc[known, list(EVENT_COLUMNS)]


def _choose_recordings(
    analysed: pd.DataFrame, events: pd.DataFrame, true: pd.DataFrame | None, most: int
) -> pd.DataFrame:
    """Recordings to show whole: see `labels_section`."""
    is_little = len(analysed) <= most and analysed["duration_s"].sum() <= MOST_WHOLE_S
    if true is None and not is_little:
        return analysed.head(0)
    has_truth = analysed["uri"].isin([] if true is None else true["uri"])
    n_events = analysed["uri"].map(events["uri"].value_counts()).fillna(0)
    order = analysed.assign(_truth=has_truth, _events=n_events)
    chosen = order.sort_values(["_truth", "_events", "uri"], ascending=[False, False, True]).head(most)
    chosen = chosen[chosen["duration_s"].cumsum() <= MOST_WHOLE_S]
    return chosen.sort_values(["_truth", "uri"], ascending=[False, True])


def _figure(
    labels: LabelTables,
    settings: Settings,
    file: Mapping[Any, Any],
    events: pd.DataFrame,
    true: pd.DataFrame | None,
    colours: dict[str, str],
) -> Figure:
    uri, duration_s = file["uri"], file["duration_s"]
    try:
        path = labels.resolve_uri(uri)
        picture = draw_picture(path, settings.frontend)
        sound = encode_audio(path, sample_rate=settings.frontend.sample_rate, shown_s=picture.shown_s)
    except HubbubError as error:
        return Figure(uri, duration_s, None, "", (), f"{type(error).__name__}: {error}")
    sources = [("labelled", events)] if true is None else [("true", true), ("labelled", events)]
    lanes = tuple(_lanes(name, table[table["uri"] == uri], colours, picture) for name, table in sources)
    return Figure(uri, duration_s, picture, sound, lanes, "")


def _lanes(name: str, events: pd.DataFrame, colours: dict[str, str], picture: Picture) -> Lanes:
    rows = bar_rows(events, colours, shown_s=picture.shown_s)
    return Lanes(name, len(events), rows, events.sort_values("onset_s").to_dict("records"))


def _facts(totals: Totals) -> list[tuple[str, str]]:
    return [
        ("recordings analysed", count(totals.recordings)),
        ("failed", count(totals.failed)),
        ("of sound", span(totals.audio_s)),
        ("events", count(totals.events)),
        ("labels found", count(totals.labels_found)),
    ]


def _label_bars(labels: list[str], events: pd.DataFrame, colours: dict[str, str]) -> list[dict[str, Any]]:
    """Return count and total time of each label heard, the most frequent first."""
    length_s = events["offset_s"] - events["onset_s"]
    by_label = length_s.groupby(events["label"].astype(str)).agg(["size", "sum"])
    by_label = by_label.sort_values("size", ascending=False, kind="stable")
    most = max(by_label["size"].max(), 1) if len(by_label) else 1
    return [
        {
            "label": label,
            "events": int(n),
            "time": span(total_s),
            "width": 100 * n / most,
            "colour": colours[label],
        }
        for label, n, total_s in by_label.itertuples()
    ]


def _scores(true: pd.DataFrame | None, events: pd.DataFrame) -> EventMetrics | None:
    if true is None or not len(true):
        return None
    found = events.loc[events["uri"].isin(true["uri"]), list(EVENT_COLUMNS)]
    return event_metrics(true, found)
