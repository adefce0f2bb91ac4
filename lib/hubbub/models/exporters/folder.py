"""The folder of an exported model: the network, and beside it what people and programs need to use it.

::

    FOLDER/
      model.onnx     or model.tflite, or model.xml with model.bin
      model.yaml     how to use it: hubbub label --model FOLDER/model.yaml
      labels.txt     a label a line, in the order of the scores, for other programs
      log-mel.npz    what computes the features without hubbub, where these are log-mel
      example.py     labels a WAV with onnxruntime and NumPy alone, where the network is ONNX and its features log-mel
      README.md      what lies here, and the bundle's model card
      export.json    what was exported, by which versions, and how equal it is
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hubbub import __version__
from hubbub.errors import BundleError
from hubbub.io.atomic import hash_file, read_bytes
from hubbub.io.text import make_visible
from hubbub.models.bundle import CARD, Bundle
from hubbub.models.exporters import Exporter
from hubbub.models.exporters.description import describe_export, write_yaml
from hubbub.models.exporters.log_mel import write_log_mel

FORMAT = "hubbub-export/1"
YAML, LABELS, LOG_MEL, EXAMPLE, RECORD = "model.yaml", "labels.txt", "log-mel.npz", "example.py", "export.json"

_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "openvino")

_FILES = {
    "onnx": "`model.onnx`, the network for ONNX Runtime",
    "litert": "`model.tflite`, the network for LiteRT, one row at a time",
    "openvino": "`model.xml` and `model.bin`, the network for OpenVINO",
}


def write_beside(folder: Path, bundle: Bundle, exporter: Exporter) -> None:
    """Write all but `export.json` and the network itself, which lies in the folder already."""
    comments = list(_write_comments(bundle))
    (folder / YAML).write_text(write_yaml(describe_export(bundle, exporter), comments), encoding="utf-8")
    (folder / LABELS).write_text("".join(f"{_one_line(label)}\n" for label in bundle.labels), encoding="utf-8")
    is_log_mel = write_log_mel(bundle, folder / LOG_MEL)
    has_example = is_log_mel and exporter.format == "onnx"
    if has_example:
        (folder / EXAMPLE).write_text(Path(__file__).with_name(EXAMPLE).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / CARD).write_text(_write_readme(bundle, exporter, is_log_mel, has_example), encoding="utf-8")


def describe_record(bundle: Bundle, exporter: Exporter, compared: dict[str, Any]) -> dict[str, Any]:
    """What `export.json` says."""
    said = bundle.description
    kept = ("model", "summary", "activation", "multilabel", "calibration", "temperature", "metrics", "weights")
    trained = said.get("provenance", {})
    return {
        "format": FORMAT,
        "kind": exporter.format,
        "bundle": {
            **{name: said[name] for name in kept if said.get(name) is not None},
            "model_hash": bundle.model_hash,
            "settings_hash": bundle.settings_hash,
            "trained_at": trained.get("trained_at"),
            "trained_with": trained.get("versions", {}),
        },
        "compared": compared,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "exported_with": {"hubbub": __version__, "python": platform.python_version(), **_list_versions()},
    }


def read_record(folder: Path) -> dict[str, Any]:
    """Read `export.json`; raises `BundleError` where it is none."""
    try:
        record = json.loads(read_bytes(folder / RECORD))
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / RECORD} cannot be read: {error}; delete {folder}, and export again") from None
    held = record.get("format") if isinstance(record, dict) else None
    if held != FORMAT:
        raise BundleError(f"{folder / RECORD} has the format {held!r}; expected {FORMAT!r}: give another -o")
    return record


def hash_files(folder: Path) -> dict[str, str]:
    """16 hex digits of SHA-256 of each file but `export.json`."""
    return {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.name != RECORD}


def find_changed(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Names of files that are not as they were exported; those that came later are nobody's business."""
    there = hash_files(folder)
    return [name for name, held in dict(record.get("files") or {RECORD: ""}).items() if there.get(name) != held]


def sync_folder(folder: Path) -> None:
    """Wait until what is written survives a power cut."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _write_comments(bundle: Bundle) -> Iterable[str]:
    said = bundle.description
    yield f"Written by hubbub export-model {__version__} from a bundle of the network {said.get('model', 'unknown')}."
    yield f"Model hash {bundle.model_hash}, settings hash of its features {bundle.settings_hash}."
    alone = {"sigmoid": "each label stands alone", "softmax": "the labels share 1"}[bundle.activation]
    yield f"Scores are after the {bundle.activation}: {alone}."
    if calibration := said.get("calibration"):
        yield f"Calibration: {', '.join(f'{name} {value}' for name, value in calibration.items())}."
    if (temperature := said.get("temperature")) not in (None, 1.0):
        yield f"Temperature: {temperature:.4g}, which is not in these scores."
    if (weights := said.get("weights")) and weights.get("sha256"):
        yield f"Training began with weights of {weights['source']}; their licence: {weights['licence']}."
    if bundle.frames is not None:
        yield (
            "Of each window, the network scores frames; the halo_frames at each end would depend on sound beyond it, "
            "and are left out."
        )


def _write_readme(bundle: Bundle, exporter: Exporter, is_log_mel: bool, has_example: bool) -> str:
    lines = [
        _FILES[exporter.format],
        f"`{YAML}`, how to use it: `hubbub label RECORDINGS --model {YAML} -o LABELS`",
        f"`{LABELS}`, a label a line, in the order of the scores",
        *([f"`{LOG_MEL}`, what computes the features with NumPy alone"] if is_log_mel else []),
        *([f"`{EXAMPLE}`, which does: `python {EXAMPLE} clip.wav`"] if has_example else []),
        f"`{RECORD}`, what was exported, by which versions, and how equal its scores are",
    ]
    try:
        card = read_bytes(bundle.path / CARD).decode("utf-8", "replace")
    except OSError:
        card = ""
    files = "".join(f"- {line}\n" for line in lines)
    return f"# An exported model\n\nWritten by `hubbub export-model` {__version__}:\n\n{files}\n{card}"


def _one_line(label: str) -> str:
    return make_visible(label).replace("\n", "\\n").replace("\t", "\\t")


def _list_versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
