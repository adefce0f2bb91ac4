"""A network of others as its YAML file describes it: which input and outputs, in which order, and whether that fits."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import compute_features
from hubbub.config.foreign import Axis, ForeignSettings, Layout, Output, say_layout
from hubbub.errors import BundleError, UnusableScores
from hubbub.io.text import count_noun
from hubbub.models.layouts import arrange, find_mismatch, read_output
from hubbub.models.runtimes import Network, Port, list_ports

BATCH_ROWS = 8
"""Windows computed at once, where the file takes any number. Batches are filled up to it, as those of bundles are."""

MOST_OUTSIDE = 1e-3
"""How far beyond 0 and 1 scores may lie: rounding."""

_ENOUGH = 50
"""Logits of noise that do not lie between 0 and 1, all of them, by chance."""

_FLOATS = ("float32", "float64", "float16")
_OWN: dict[str, Axis] = {"scores": "label", "embeddings": "dimension"}
"""What an output has, beside windows and frames."""


class DescribedNetwork:
    """A network with its description; windows in, named outputs out.

    Parameters
    ----------
    network
        The network, opened.
    given
        Its description.
    where
        The YAML file, for messages.

    Raises
    ------
    BundleError
        The file has no such input or output, or others than the description says; its own are listed.
    """

    def __init__(self, network: Network, given: ForeignSettings, where: str) -> None:
        self._network, self._given, self._where = network, given, where
        self._input = self._choose_input()
        used = {"scores": given.outputs.scores, "embeddings": given.outputs.embeddings}
        self._outputs = {what: self._choose_output(what, output) for what, output in used.items() if output is not None}
        self._layouts = {"scores": given.scores_layout, "embeddings": given.embeddings_layout}
        self._check_input()

    def compute(self, features: npt.NDArray[np.floating], what: str) -> npt.NDArray[np.float32]:
        """Compute one output of windows, `scores` or `embeddings`.

        Parameters
        ----------
        features
            [window, frame, band]; a waveform has a frame a sample and one band. Any number of windows.

        Returns
        -------
        values
            float32 [window, frame, label or dimension], one frame where the network has none. A window's values do not
            depend on the windows beside it. Scores are after the activation.

        Raises
        ------
        BundleError
            There is no such output, or the windows have another shape than the network takes.
        """
        if what not in self._outputs:
            raise BundleError(f"{self._where} names no outputs.{what}; give them, if the network has some")
        taken, bands = self._taken, self._lengths["band"]
        if features.ndim == 3 and features.shape[1] == self._lengths["frame"]:
            features = features[:, :taken]
        if features.ndim != 3 or features.shape[1:] != (taken, bands):
            raise BundleError(
                f"{self._where} expected rows of {taken} frames x {bands} bands; got {list(features.shape)}"
            )
        found = [np.empty((0, *self.shapes[what]), np.float32)]
        for begin in range(0, len(features), self._rows):
            rows = features[begin : begin + self._rows]
            batch = np.zeros((self._rows, taken, bands), np.float32)
            batch[: len(rows)] = rows
            found.append(self._read(self._run(batch, what)[what], what)[: len(rows)])
        return np.concatenate(found)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Frames, and labels or dimensions, of each output: of windows of noise, for files leave lengths open."""
        noise = np.random.default_rng(0).normal(0, 0.1, self._lengths["sample"]).astype(np.float32)
        features = compute_features(noise, self._given.settings).astype(np.float32)[: self._taken]
        held = self._run(np.repeat(features[None], self._rows, axis=0), *self._outputs)
        read = {what: self._read(held[what], what) for what in self._outputs}
        if "scores" in read:
            self._check_range(read["scores"])
            self._check_meaning(self._read(held["scores"], "scores", activate=False)[0])
        return {what: (values.shape[1], values.shape[2]) for what, values in read.items()}

    def check(self, n_labels: int) -> None:
        """Refuse outputs that are not as described; raises `BundleError`."""
        lengths = {"scores": {"label": n_labels}, "embeddings": dict[Axis, int]()}
        for what, port in self._outputs.items():
            layout, known = self._layouts[what], lengths[what]
            assert layout is not None
            # The number of labels is told below, with both counts.
            if (why := find_mismatch(port, layout, {})) is not None:
                raise BundleError(
                    f"{self._where}: outputs.{what} is {port}: {why}; expected a layout that fits the file's own "
                    f"outputs: {list_ports(self._network.outputs)}"
                )
            found = self.shapes[what][1]
            if known and found != n_labels:
                raise BundleError(
                    f"{self._where}: {count_noun(n_labels, 'label')}, and the network scores {found} ({port}); give a "
                    "label for each score, in their order"
                )

    @cached_property
    def _lengths(self) -> dict[Axis, int]:
        """Lengths of what the network takes, by what lies along a dimension."""
        settings = self._given.settings
        samples = max(1, round(settings.windows.input_s * settings.frontend.sample_rate))
        return {"sample": samples, "frame": self._given.count_frames(), "band": settings.frontend.n_bands}

    @property
    def _taken(self) -> int:
        """Frames of a window that the network takes, the first of those that it makes."""
        return self._given.input.frames or self._lengths["frame"]

    @cached_property
    def _rows(self) -> int:
        """Windows computed at once: as many as the file fixes, one where it has no batch."""
        layout, shape = self._given.input_layout, self._input.shape
        if "batch" not in layout:
            return 1
        return (None if shape is None else shape[layout.index("batch")]) or BATCH_ROWS

    def _run(self, batch: npt.NDArray[np.float32], *wanted: str) -> dict[str, np.ndarray]:
        """Run the network on as many windows as it takes: its outputs as they come."""
        axes: Layout = ("batch", "frame", "band")
        if self._given.features is None:
            batch, axes = batch[..., 0], ("batch", "sample")
            if (peak := self._given.input.peak) is not None:
                batch = _scale_to_peak(batch, peak)
        values = arrange(batch, axes, self._given.input_layout).astype(self._input.dtype, copy=False)
        held = self._network.run({self._input.name: values}, [self._outputs[what].name for what in wanted])
        return dict(zip(wanted, held, strict=True))

    def _read(self, values: np.ndarray, what: str, *, activate: bool = True) -> npt.NDArray[np.float32]:
        """One output as float32 [window, frame, label or dimension], after the activation."""
        layout = self._layouts[what]
        assert layout is not None
        found = read_output(values, layout, _OWN[what])
        if found is None or len(found) != self._rows:
            raise BundleError(
                f"{self._where}: outputs.{what} {self._outputs[what]} gave {list(values.shape)} for "
                f"{count_noun(self._rows, 'window')}; expected its layout {say_layout(layout)}"
            )
        scores = self._given.outputs.scores
        is_activated = activate and what == "scores" and scores is not None
        return _ACTIVATIONS[scores.activation](found) if is_activated and scores is not None else found

    def _choose_input(self) -> Port:
        name, ports = self._given.input.name, self._network.inputs
        chosen = next((port for port in ports if name in (None, port.name)), None)
        if chosen is None or len(ports) != 1:
            raise BundleError(
                f"{self._where}: input.name {name or 'null'}: expected the one input of the network; the file's own: "
                f"{list_ports(ports)}"
            )
        return chosen

    def _choose_output(self, what: str, output: Output) -> Port:
        ports = self._network.outputs
        if output.index is not None:
            chosen = ports[output.index] if output.index < len(ports) else None
        elif output.name is not None:
            chosen = next((port for port in ports if port.name == output.name), None)
            chosen = chosen or self._network.find_inner(output.name)
        else:
            chosen = ports[0] if len(ports) == 1 else None
        if chosen is None:
            asked = output.index if output.name is None else repr(output.name)
            raise BundleError(
                f"{self._where}: outputs.{what} {'null' if asked is None else asked}: expected the name or index of "
                f"one of the file's own outputs: {list_ports(ports)}"
            )
        return chosen

    def _check_input(self) -> None:
        why = find_mismatch(self._input, self._given.input_layout, self._lengths | {"frame": self._taken})
        why = why or self._find_swapped()
        if why is None and self._input.dtype not in _FLOATS:
            why = f"it takes {self._input.dtype}, and hubbub gives float32"
        if why is not None:
            raise BundleError(
                f"{self._where}: the input is {self._input}: {why}; expected a window, features and input.layout that "
                "fit the file's own input"
            )

    def _find_swapped(self) -> str | None:
        """Say where a window's samples lie along what the layout calls the batch; None where they do not."""
        layout, shape = self._given.input_layout, self._input.shape
        if shape is None or "batch" not in layout or "sample" not in layout:
            return None
        batch, samples = (shape[layout.index(axis)] for axis in ("batch", "sample"))
        if samples is None and batch == self._lengths["sample"]:
            return f"the {batch} samples of a window lie where the layout {say_layout(layout)} has the batch"
        return None

    def _check_meaning(self, given: npt.NDArray[np.floating]) -> None:
        """Refuse what the outputs of noise show to be described wrongly, before any activation of ours."""
        scores = self._given.outputs.scores
        assert scores is not None
        is_finite = np.isfinite(given).all()
        sums = given.sum(axis=-1, dtype=np.float64)
        shares_1 = bool(is_finite and given.shape[-1] > 1 and (given >= 0).all() and (np.abs(sums - 1) < 1e-3).all())
        worst, why = sums.flat[np.abs(sums - 1).argmax()], None
        if scores.exclusive and scores.activation == "none" and is_finite and not shares_1:
            why = f"exclusive, and the scores of a window of noise add up to {worst:.4g}; leave exclusive out"
        elif scores.activation == "softmax" and shares_1:
            why = "activation softmax, and the outputs add up to 1 already; give activation: none, exclusive: true"
        elif scores.activation == "sigmoid" and given.size >= _ENOUGH and is_finite and find_unusable(given) is None:
            why = "activation sigmoid, and the outputs lie between 0 and 1 already; give activation: none"
        if why is not None:
            raise BundleError(f"{self._where}: outputs.scores: {why}")

    def _check_range(self, scores: npt.NDArray[np.float32]) -> None:
        if (why := find_unusable(scores[np.isfinite(scores)])) is not None:
            raise BundleError(f"{self._where}: {why}")


def require_usable(scores: npt.NDArray[np.floating], where: str) -> npt.NDArray[np.floating]:
    """Return scores, rounding beyond 0 and 1 taken off; raises `UnusableScores` where they cannot be stored."""
    if (why := find_unusable(scores)) is not None:
        raise UnusableScores(f"{where}: {why}")
    return scores.clip(0, 1)


def find_unusable(scores: npt.NDArray[np.floating]) -> str | None:
    """Say why scores cannot be stored; None where they can: numbers from 0 to 1."""
    low, high = float(scores.min(initial=0)), float(scores.max(initial=0))
    if low >= -MOST_OUTSIDE and high <= 1 + MOST_OUTSIDE:
        return None
    if np.isnan(low + high):
        return "the model gives scores that are no numbers (NaN)"
    return (
        f"the model gives scores from {low:.4g} to {high:.4g}, expected 0 to 1; where they are logits, give "
        "outputs.scores.activation: sigmoid, or softmax where the labels share 1"
    )


def _scale_to_peak(windows: npt.NDArray[np.float32], peak: float) -> npt.NDArray[np.float32]:
    centred = windows - windows.mean(axis=1, keepdims=True, dtype=np.float64)
    loudest = np.abs(centred).max(axis=1, keepdims=True)
    return (centred * (peak / np.where(loudest > 0, loudest, 1))).astype(np.float32)


def _keep(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return scores


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))).astype(np.float32)


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with np.errstate(invalid="ignore"):  # infinite logits give NaN, which is told where scores are checked
        wide = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
        return (wide / wide.sum(axis=-1, keepdims=True)).astype(np.float32)


_ACTIVATIONS = {"none": _keep, "sigmoid": _sigmoid, "softmax": _softmax}
