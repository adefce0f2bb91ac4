"""What every frontend owes those who call it by name: shapes, finite values, the same bits for the same samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubbub.audio.frontends import compute_features, frame_s, get_frontend, n_frames
from hubbub.config import Settings, load_settings
from hubbub.config.frontends import FRONTENDS, FourierFrames, Frames
from hubbub.errors import NonFiniteFeatures
from tests.examples import count_examples
from tests.lib.audio.frontend_cases import EDGES, PRECISIONS, clips, words

FLOAT16_RELATIVE = 2.0**-11
"""Half a step of float16 in parts of the value: what a store may round away."""

FLOAT16_ABSOLUTE = 2.0**-25
"""Half a step of float16 near zero: what a store may round away besides."""

NARROW = "ignore:Empty filters detected:UserWarning"

every_frontend = pytest.mark.parametrize("name", FRONTENDS)


def make_settings(name: str, **frames: Any) -> Frames:
    """Settings of a frontend; those of frames only where it transforms some."""
    kind = FRONTENDS[name]
    return kind(**{key: value for key, value in frames.items() if key in kind.model_fields})


OWN: dict[str, Any] = {  # what hypothesis may set besides the frames, by setting
    "n_mels": st.integers(20, 64),
    "fmin_hz": st.floats(1, 100),
    "fmax_hz": st.none() | st.floats(200, 500),
    "ref": st.sampled_from([1.0, "max", 1e-4]),
    "amin": st.sampled_from([1e-10, 1e-5, 1e-30]),
    "top_db": st.none() | st.floats(1, 120),
    "bands_per_octave": st.integers(1, 48),
    "n_mfcc": st.integers(1, 20),
    "deltas": st.integers(0, 2),
    "delta_frames": st.sampled_from([3, 5, 9, 21]),
    "lifter": st.just(0.0) | st.floats(1, 40),
    "n_chroma": st.integers(1, 36),
    "tuning": st.floats(-0.5, 0.49),
    "norm": st.sampled_from(["max", "sum", None]),
    "gain": st.floats(0, 1.5),
    "bias": st.floats(0, 10),
    "power": st.floats(0.1, 1),
    "time_constant_s": st.floats(0.001, 10),
    "eps": st.floats(1e-9, 1),
    "scale": st.sampled_from([1.0, 2.0**31]),
    "rolloff_share": st.floats(0.01, 0.99),
}


@st.composite
def some_settings(draw: st.DrawFn, name: str) -> FourierFrames:
    n_fft = draw(st.integers(16, 600))
    frames = {
        "sample_rate": draw(st.sampled_from([1000, 8000, 22050, 192_000])),
        "n_fft": n_fft,
        "hop_samples": draw(st.integers(max(1, n_fft // 8), n_fft)),
        "window": draw(st.sampled_from(["hann", "hamming", "blackman", "boxcar"])),
        "precision": draw(st.sampled_from(PRECISIONS)),
    }
    fields = FRONTENDS[name].model_fields
    own = {key: draw(OWN[key]) for key in fields if key not in FourierFrames.model_fields | {"name": 0}}
    return make_settings(name, **frames, **own)


@st.composite
def some_samples(draw: st.DrawFn) -> np.ndarray:
    length = draw(st.integers(1, 3000))
    level = draw(st.sampled_from([0, 1e-30, 1e-10, 1e-3, 1, 10]))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal(length)
    return (level * noise).astype(np.float32)


@every_frontend
@settings(max_examples=count_examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.filterwarnings(NARROW)
def test_any_samples_make_finite_frames_by_bands(name: str, data: st.DataObject):
    chosen, samples = data.draw(some_settings(name)), data.draw(some_samples())
    values = get_frontend(chosen)(samples)
    assert values.shape == (n_frames(chosen, len(samples)), chosen.n_bands)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@every_frontend
@settings(max_examples=count_examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.filterwarnings(NARROW)
def test_bands_are_described_one_by_one(name: str, data: st.DataObject):
    chosen = data.draw(some_settings(name))
    frontend = get_frontend(chosen)
    assert frontend.band_hz.shape == (chosen.n_bands,)
    assert frontend.band_hz.dtype == np.float64
    assert len(frontend.band_names) == len(set(frontend.band_names)) == chosen.n_bands
    assert frontend.units == ("dB" if chosen.is_db else "1")
    assert frontend.long_name


@every_frontend
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_odd_sounds_make_finite_values(name: str, edge: str, precision: str):
    chosen = make_settings(name, precision=precision)
    values = get_frontend(chosen)(EDGES[edge])
    count = 1 + len(EDGES[edge]) // 512 if isinstance(chosen, FourierFrames) else len(EDGES[edge])
    assert values.shape == (count, chosen.n_bands)
    assert np.isfinite(values).all()


@every_frontend
@pytest.mark.parametrize("edge", [name for name, samples in EDGES.items() if len(samples) > 9 * 512])
def test_odd_sounds_fit_the_dtype_rows_are_stored_in(name: str, edge: str):
    assert np.isfinite(compute_features(EDGES[edge], Settings(frontend={"name": name}))).all()


@every_frontend
def test_the_same_samples_give_the_same_bits(name: str, esc10_mini: Path):
    for samples in clips(esc10_mini, every=50):
        frontend = get_frontend(FRONTENDS[name]())
        first = frontend(samples)
        frontend(EDGES["full-scale square"])  # leaves nothing behind
        np.testing.assert_array_equal(frontend(samples.copy()), first)
        np.testing.assert_array_equal(type(frontend)(FRONTENDS[name]())(samples), first)


@every_frontend
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_samples_are_not_changed(name: str, precision: str):
    samples = np.linspace(-1, 1, 4096, dtype=np.float32)
    before = samples.copy()
    samples.flags.writeable = False
    get_frontend(make_settings(name, precision=precision))(samples)
    np.testing.assert_array_equal(samples, before)


@every_frontend
def test_what_is_returned_is_the_callers_to_change(name: str):
    frontend = get_frontend(FRONTENDS[name]())
    first = frontend(EDGES["full-scale square"])
    kept = first.copy()
    frontend(EDGES["one click"])
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(frontend(EDGES["full-scale square"]), kept)


@every_frontend
def test_rows_are_rounded_to_each_dtype_they_may_have_and_no_more(name: str, esc10_mini: Path):
    for dtype in FRONTENDS[name]().dtypes:
        chosen = Settings(frontend={"name": name}, dtype=dtype)
        for samples in clips(esc10_mini, every=20):
            stored, exact = compute_features(samples, chosen), get_frontend(chosen.frontend)(samples)
            assert stored.dtype == np.dtype(dtype)
            rounding = FLOAT16_RELATIVE * np.abs(exact) + FLOAT16_ABSOLUTE if dtype == "float16" else 0
            assert (np.abs(stored.astype(np.float64) - exact) <= rounding).all()


@every_frontend
@settings(max_examples=count_examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.filterwarnings(NARROW)
def test_full_scale_fits_the_dtype_rows_are_stored_in(name: str, data: st.DataObject):
    chosen = data.draw(some_settings(name))
    onset = np.where(np.arange(60_000) < 30_000, 0, np.sin(np.arange(60_000) * 0.3)).astype(np.float32)
    for samples in (onset, np.sign(onset), (onset != 0).astype(np.float32)):
        assert np.isfinite(get_frontend(chosen)(samples).astype(chosen.dtypes[0])).all()


@every_frontend
def test_frames_are_where_frame_s_says(name: str):
    chosen = make_settings(name, n_fft=1024, hop_samples=500)
    click = np.zeros(20_000, np.float32)
    click[10_000] = 1
    values = get_frontend(chosen)(click)
    heard = np.flatnonzero((values != values[0]).any(axis=1))
    around = (
        np.abs(frame_s(chosen, len(values)) - 10_000 / chosen.sample_rate) <= chosen.n_fft // 2 / chosen.sample_rate
    )
    assert set(np.flatnonzero(around)) - set(heard) == set()
    if name not in ("pcen", "mfcc"):  # which remember, and look at neighbours
        assert set(heard) <= set(np.flatnonzero(around))


@pytest.mark.parametrize("name", sorted(FRONTENDS.keys() - {"pcen"}))  # which divides by what came before a frame
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_frame_has_the_same_bits_whatever_frames_are_beside_it(name: str, precision: str):
    """Also on processors whose BLAS sums each row of a product in an order of its own (OPENBLAS_CORETYPE=Haswell)."""
    chosen = make_settings(name, n_fft=1024, hop_samples=500, precision=precision)
    hop = chosen.hop_samples
    noise = np.random.default_rng(0).uniform(-1, 1, 40_000).astype(np.float32)
    whole = get_frontend(chosen)(noise)
    edge = 12  # frames that padding, and the slopes of padded frames, reach
    for first, last in ((0, 43), (7, 80), (31, 61)):
        part = get_frontend(chosen)(noise[first * hop : last * hop])
        np.testing.assert_array_equal(part[edge:-edge], whole[first + edge : first + len(part) - edge])


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("mel", {"n_mels": 1024, "fmin_hz": 100, "fmax_hz": 110}),  # 0.01 Hz apart
        ("log-mel", {"n_mels": 1024, "fmin_hz": 100, "fmax_hz": 110}),
        ("pcen", {"n_mels": 1024, "fmin_hz": 100, "fmax_hz": 110}),
        ("stft-db", {"sample_rate": 1000, "n_fft": 65536}),
        ("log-frequency", {"fmin_hz": 0.1, "bands_per_octave": 96}),
    ],
    ids=words,
)
@pytest.mark.filterwarnings(NARROW)
def test_names_differ_however_near_the_bands_are(name: str, given: dict):
    frontend = get_frontend(FRONTENDS[name](**given))
    assert len(set(frontend.band_names)) == len(frontend.band_hz)


def test_hypothesis_varies_every_setting():
    own = {key for kind in FRONTENDS.values() for key in kind.model_fields} - set(FourierFrames.model_fields) - {"name"}
    assert own == set(OWN), "what hypothesis may set"


def test_values_that_no_row_can_hold_are_refused() -> None:
    """Sound far above full scale, which decoding lets pass up to a point."""
    loud = np.full(22_050, 1e20, np.float32)
    with pytest.raises(NonFiniteFeatures, match=r"features from .* to inf do not fit float32"):
        compute_features(loud, load_settings(None, ["frontend.name=mel"]))
