"""ELAN: one annotation document a recording, ``….eaf`` (format 3.0), with a tier a label.

Times are whole milliseconds, as ELAN has them. The document names the recording by its address; a recording in which
nothing was found has one empty tier, ``events``.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import pandas as pd

from hubbub.clips.table import resolve_uri
from hubbub.io.paths import StoragePath, absolute_path, is_local
from hubbub.labels.export._files import Recording, one_line, write_each
from hubbub.labels.export._source import Export, ExportSource
from hubbub.labels.export._tiers import Tier, lay_tiers

SUFFIX = ".eaf"
OPTIONS: frozenset[str] = frozenset()

_STEPS = 1000  # a second
_NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")  # which XML 1.0 has not, beside control characters
_UNKNOWN_DATE = "1970-01-01T00:00:00+00:00"
_NAMESPACE = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd"'
)


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write a ``….eaf`` for each recording."""
    date = str(source.run.get("created_at", _UNKNOWN_DATE))

    def make(recording: Recording) -> str:
        tiers = lay_tiers(recording.events, source.labels, steps_a_second=_STEPS)
        return "\n".join(_document(tiers, _find_address(recording.uri, source.root), date)) + "\n"

    return Export(write_each(source, folder, SUFFIX, make))


def read(path: StoragePath) -> pd.DataFrame:
    """Read a document back: label, onset_s, offset_s."""
    document = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    slots = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in document.iter("TIME_SLOT")}
    rows = [
        (
            annotation.findtext("ANNOTATION_VALUE") or "",
            slots[annotation.attrib["TIME_SLOT_REF1"]] / _STEPS,
            slots[annotation.attrib["TIME_SLOT_REF2"]] / _STEPS,
        )
        for annotation in document.iter("ALIGNABLE_ANNOTATION")
    ]
    table = pd.DataFrame(rows, columns=["label", "onset_s", "offset_s"])
    table = table.astype({"label": "string", "onset_s": "float64", "offset_s": "float64"})
    return table.sort_values(["onset_s", "offset_s", "label"], ignore_index=True)


def _find_address(uri: str, root: StoragePath | None) -> str:
    if root is None:
        return uri
    path = absolute_path(resolve_uri(uri, root))
    return path.as_uri() if is_local(path) else "s3://" + quote(path.path)


def _document(tiers: list[Tier], address: str, date: str) -> Iterator[str]:
    kind = mimetypes.guess_type(address)[0] or "unknown"
    spans = [span for tier in tiers for span in tier.spans]
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<ANNOTATION_DOCUMENT AUTHOR="hubbub" DATE={_attribute(date)} FORMAT="3.0" VERSION="3.0" {_NAMESPACE}>'
    yield '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">'
    yield f"<MEDIA_DESCRIPTOR MEDIA_URL={_attribute(address)} MIME_TYPE={_attribute(kind)}/>"
    yield f'<PROPERTY NAME="lastUsedAnnotationId">{len(spans)}</PROPERTY>'
    yield "</HEADER>"
    yield "<TIME_ORDER>"
    # Slots are to be sorted by their time; an event's own keep their numbers.
    slots = sorted((time, 2 * number + side) for number, span in enumerate(spans) for side, time in enumerate(span, 1))
    for time, slot in slots:
        yield f'<TIME_SLOT TIME_SLOT_ID="ts{slot}" TIME_VALUE="{time}"/>'
    yield "</TIME_ORDER>"
    number = 0
    for tier in tiers:
        yield f'<TIER LINGUISTIC_TYPE_REF="event" TIER_ID={_attribute(tier.name.strip() or "unnamed")}>'
        for _ in tier.spans:
            refs = f'TIME_SLOT_REF1="ts{2 * number + 1}" TIME_SLOT_REF2="ts{2 * number + 2}"'
            number += 1
            value = f"<ANNOTATION_VALUE>{escape(_clean(tier.label))}</ANNOTATION_VALUE>"
            annotation = f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" {refs}>{value}</ALIGNABLE_ANNOTATION>'
            yield f"<ANNOTATION>{annotation}</ANNOTATION>"
        yield "</TIER>"
    yield '<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="event" TIME_ALIGNABLE="true"/>'
    yield "</ANNOTATION_DOCUMENT>"


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", one_line(text))
