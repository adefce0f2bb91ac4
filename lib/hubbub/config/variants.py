"""The policy of variants: which clips are stored again, augmented, and how.

A policy is a list of rules. A rule says which classes it is for, how many variants each such clip gets, and what is
done to each, in which order::

    seed: 0
    rules:
      - labels: [dog, rain]            # left out: every clip, also unlabelled ones
        count: 2                       # variants of each such clip, besides the clip itself
        transforms:
          - {kind: time-stretch, rate: [0.9, 1.1]}
          - {kind: pitch-shift, semitones: [-2, 2]}
          - {kind: noise, snr_db: [5, 20], folder: street/}       # without a folder: white noise
          - {kind: gain, gain_db: 3}
          - {kind: room, folder: rooms/}

A pair is a range from which each variant draws its own value, a single number is that value. What the values do to
audio is described in `hubbub.audio.effects`.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo

from hubbub.config.base import Frozen, say_expected
from hubbub.errors import SettingsError, suggest_nearest

SOUND_SUFFIXES = (".aif", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".wav")
"""Names that end so, in any case, are taken from a policy's folders."""

SLOWEST_RATE = 0.55
"""Least rate of a time stretch. From 0.5 on down the stretcher blurs phases by chance, anew at every call."""


def _pair(given: Any) -> Any:
    """A range as two numbers, from one or two."""
    numbers = tuple(given) if isinstance(given, list | tuple) else (given, given)
    if len(numbers) != 2 or not all(_is_number(number) for number in numbers):
        raise ValueError("expected a number, or two as [lowest, highest]")
    return numbers


def _is_number(given: Any) -> bool:
    # The comparison is false for what is infinite, no number, or too long to be a float.
    return isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < 1e9


def _require_items(items: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if items == ():
        raise ValueError("expected at least one")
    return items


@dataclass(frozen=True)
class _Within:
    """Refuses a range that falls or leaves its bounds."""

    lowest: float
    highest: float

    def __call__(self, pair: tuple[float, float]) -> tuple[float, float]:
        low, high = pair
        if low > high:
            raise ValueError(f"the lowest comes first: write [{high:g}, {low:g}]")
        if low < self.lowest or high > self.highest:
            raise ValueError(f"expected within {self.lowest:g} and {self.highest:g}")
        return pair


Range = Annotated[tuple[float, float], BeforeValidator(_pair)]
"""Lowest and highest, equal for a fixed value."""


class RecordingFolder(Frozen):
    """The recordings of a folder, fixed when the policy was read.

    Written as the folder's name, relative to the policy file; what is then kept is this.
    """

    path: str = Field(description="the folder, absolute")
    files: tuple[str, ...] = Field(description="names in it with / between, sorted")
    hash: str = Field(description="16 hex digits that are equal exactly when names and contents are")

    @property
    def paths(self) -> tuple[Path, ...]:
        """The recordings as absolute paths."""
        return tuple(Path(self.path) / name for name in self.files)


def _scan_folder(given: Any, info: ValidationInfo) -> Any:
    """A folder's name as its content; anything else as it is."""
    if given is None or isinstance(given, dict | RecordingFolder):
        return given
    if not isinstance(given, str):
        raise ValueError("expected the name of a folder")
    base: Path = (info.context or {}).get("base", Path())
    return scan_recordings((base / given).absolute())


def scan_recordings(folder: Path) -> RecordingFolder:
    """Read what an absolute folder holds now; every recording in it is read once, a piece at a time.

    Raises
    ------
    ValueError
        There is no such folder, no recording in it, or one that cannot be read or whose name cannot be written down.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    try:
        files = _list_recordings(folder)
        content = [(name, _digest(folder / name)) for name in files]
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from None
    if not files:
        raise ValueError(f"{folder} holds no file that ends in {', '.join(SOUND_SUFFIXES)}")
    return RecordingFolder(path=str(folder), files=files, hash=_hash(content))


def _list_recordings(folder: Path) -> tuple[str, ...]:
    names = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        # Names with a dot in front are what other systems leave beside a recording.
        if path.suffix.lower() in SOUND_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    for name in names:
        if not name.isprintable():
            raise ValueError(f"the name {name!r} in {folder} cannot be written down: rename the file")
    return tuple(sorted(names))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Sounds = Annotated[RecordingFolder, BeforeValidator(_scan_folder)]
"""A folder of recordings, given by its name."""


class TimeStretch(Frozen):
    """Faster or slower at the same pitch."""

    kind: Literal["time-stretch"] = "time-stretch"
    rate: Annotated[Range, AfterValidator(_Within(SLOWEST_RATE, 2))] = Field(description="above 1: faster")


class PitchShift(Frozen):
    """Higher or lower at the same pace."""

    kind: Literal["pitch-shift"] = "pitch-shift"
    semitones: Annotated[Range, AfterValidator(_Within(-24, 24))] = Field(description="above 0: higher")


class Noise(Frozen):
    """White noise, or a stretch of a recording, mixed in."""

    kind: Literal["noise"] = "noise"
    snr_db: Annotated[Range, AfterValidator(_Within(-40, 100))] = Field(
        description="the audio's level over the noise's"
    )
    folder: Sounds | None = Field(None, description="recordings of noise; null: white noise")


class Gain(Frozen):
    """Louder or softer."""

    kind: Literal["gain"] = "gain"
    gain_db: Annotated[Range, AfterValidator(_Within(-60, 40))] = Field(description="above 0: louder")


class Room(Frozen):
    """In a room: convolved with its impulse response."""

    kind: Literal["room"] = "room"
    folder: Sounds = Field(description="impulse responses, one a file")


Transform = TimeStretch | PitchShift | Noise | Gain | Room
_KINDS: dict[str, type[Frozen]] = {
    kind.model_fields["kind"].default: kind for kind in (TimeStretch, PitchShift, Noise, Gain, Room)
}


class Rule(Frozen):
    """Which clips get how many variants, made how."""

    labels: Annotated[tuple[str, ...] | None, AfterValidator(_require_items)] = Field(
        None, description="clips with any of these; null: every clip"
    )
    count: int = Field(1, ge=1, le=1000, description="variants of each such clip")
    transforms: Annotated[
        tuple[Annotated[Transform, Field(discriminator="kind")], ...], AfterValidator(_require_items)
    ] = Field(description="done in this order")

    def matches(self, labels: Sequence[str]) -> bool:
        """Whether the rule is for a clip with these labels."""
        return self.labels is None or not set(self.labels).isdisjoint(labels)


class Variants(Frozen):
    """A policy.

    The variants of a clip are numbered from 1 through the rules that match, in their order; 0 is the clip itself.
    """

    seed: int = Field(0, ge=0, lt=2**63, description="another seed draws everything anew")
    rules: Annotated[tuple[Rule, ...], AfterValidator(_require_items)] = Field(
        description="a clip gets the variants of every rule that matches"
    )

    def count(self, labels: Sequence[str]) -> int:
        """Variants of a clip with these labels, besides the clip itself."""
        return sum(rule.count for rule in self._matching(labels))

    def rule_of(self, labels: Sequence[str], number: int) -> Rule:
        """Return the rule by which variant `number` (from 1) of a clip with these labels is made.

        Raises
        ------
        IndexError
            When such a clip has no variant of that number.
        """
        last = 0
        for rule in self._matching(labels):
            last += rule.count
            if 1 <= number <= last:
                return rule
        raise IndexError(f"variant {number} of a clip with labels {list(labels)}: expected 1 to {last}")

    def rule_key(self, labels: Sequence[str], number: int) -> str | None:
        """8 hex digits of what makes variant `number` (from 1) of a clip with these labels; None if nothing does.

        They stand for the seed, the number, the transforms, and the content of their folders wherever these lie: where
        two policies have one key, a clip's variant of that number has the same bits.
        """
        return _key_of(_Itself(self), tuple(labels), number)

    def list_unknown_labels(self, labels_there: Iterable[str]) -> list[str]:
        """Names in the rules, in their order, that none of the labels there is: misspelt, maybe."""
        named = dict.fromkeys(label for rule in self.rules for label in rule.labels or ())
        there = set(labels_there)
        return [label for label in named if label not in there]

    @property
    def folders(self) -> tuple[RecordingFolder, ...]:
        """Every folder of recordings, in the order of the rules."""
        steps = [step for rule in self.rules for step in rule.transforms]
        return tuple(step.folder for step in steps if isinstance(step, Noise | Room) and step.folder is not None)

    @property
    def values(self) -> dict[str, Any]:
        """All that decides the variants, as plain data: the policy without where its folders lie."""
        values = self.model_dump(mode="json")
        for step in (step for rule in values["rules"] for step in rule["transforms"]):
            if step.get("folder"):
                del step["folder"]["path"]
        return values

    def _matching(self, labels: Sequence[str]) -> Iterator[Rule]:
        return (rule for rule in self.rules if rule.matches(labels))


@dataclass(frozen=True, eq=False)
class _Itself:
    """A policy that equals itself alone: to compare policies by value takes longer than to make a key."""

    policy: Variants

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.policy is other.policy

    def __hash__(self) -> int:
        return id(self.policy)


@lru_cache(maxsize=2**16)  # asked for once a row, but few clips differ in their labels
def _key_of(itself: _Itself, labels: tuple[str, ...], number: int) -> str | None:
    policy = itself.policy
    try:
        rule = policy.rule_of(labels, number)
    except IndexError:
        return None
    return _hash([policy.seed, number, [_content(step) for step in rule.transforms]])[:8]


def _content(step: Transform) -> dict[str, Any]:
    """What a transform does, as plain data, without what is at its default: so a new setting changes no key."""
    where = {"folder": {"path", "files"}}  # the hash of a folder stands for its files
    return {"kind": step.kind} | step.model_dump(mode="json", exclude=where, exclude_defaults=True)


def _hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def load_variants(file: Path) -> Variants:
    """Read a policy file, and fix the content of the folders it names (relative ones lie beside it).

    Raises
    ------
    SettingsError
        The file or a folder cannot be read, or the policy is none: says where in it, what was given and expected.
    """
    try:
        return Variants.model_validate(_read(file), context={"base": file.absolute().parent})
    except ValidationError as error:
        raise SettingsError(f"policy {file}: " + "; ".join(explain_error(item) for item in error.errors())) from None


def explain_error(item: Any) -> str:
    """Say one of pydantic's complaints about a policy in hubbub's words, its location being within the policy."""
    location = list(item["loc"])
    name = str(location[-1]) if location else ""
    depth = _depth(location)
    where = _place(location[:depth])
    if item["type"] == "missing":
        return f"{where}'{name}' is missing"
    if item["type"] == "extra_forbidden":
        return f"{where}unknown setting '{name}': {suggest_nearest(name, _settings_at(location[:depth]))}"
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{where}{_unknown_kind(item['input'])}"
    message = _WORDS.get(item["type"]) or say_expected(item)
    path = "".join(f"item {part + 1}: " if isinstance(part, int) else f"{part}: " for part in location[depth:])
    return f"{where}{path}{message} (given: {reprlib.repr(item['input'])})"


_WORDS = {
    "tuple_type": "expected a list",
    "model_type": "expected settings, such as {transforms: [...]}",
    "model_attributes_type": "expected a transform, such as {kind: gain, gain_db: [-6, 6]}",
}


def _depth(location: Sequence[Any]) -> int:
    """Parts of a location that say which rule and which transform; the others are names of settings.

    ``rules, 0, transforms, 2, noise, snr_db``: pydantic names the class that it tried.
    """
    if len(location) < 2 or location[0] != "rules":
        return 0
    return min(5, len(location)) if len(location) > 3 and location[2] == "transforms" else 2


def _place(location: Sequence[Any]) -> str:
    """Which rule and which transform, counted from 1."""
    words = f"rule {location[1] + 1}" if location else ""
    words += f", transform {location[3] + 1}" if len(location) > 3 else ""
    words += f" ({location[4]})" if len(location) > 4 else ""
    return words and f"{words}: "


def _settings_at(location: Sequence[Any]) -> list[str]:
    model = Variants if not location else Rule if len(location) == 2 else _KINDS[location[4]]
    return list(model.model_fields)


def _unknown_kind(given: Any) -> str:
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind is None:
        return f"'kind' is missing (known: {', '.join(sorted(_KINDS))})"
    return f"unknown transform {kind!r}: {suggest_nearest(str(kind), _KINDS)}"


def _read(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"policy {file} does not exist; expected a YAML file with rules") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsError(f"policy {file} cannot be read: {error}") from None
    if not isinstance(data, dict):
        holds = "nothing" if data is None else f"a {type(data).__name__}"
        raise SettingsError(f"policy {file} holds {holds}; expected 'rules:' with a list of rules below")
    return data
