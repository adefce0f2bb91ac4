"""Policies: mistakes named so that they can be mended, folders fixed by content, variants numbered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hubbub.config.variants import Gain, Noise, Rule, Variants, load_variants
from hubbub.errors import SettingsError

POLICY = """
seed: 7
rules:
  - labels: [dog, rain]
    count: 2
    transforms:
      - {kind: time-stretch, rate: [0.9, 1.1]}
      - {kind: pitch-shift, semitones: [-2, 2]}
      - {kind: noise, snr_db: 5}
      - {kind: noise, snr_db: [5, 20], folder: street}
      - {kind: gain, gain_db: [-6, 6]}
      - {kind: room, folder: rooms/}
  - transforms:
      - {kind: gain, gain_db: -3}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def with_sounds(folder: Path, text: str = POLICY) -> Path:
    """A policy file beside folders `street` (two recordings, one of them deeper) and `rooms`."""
    for number, name in enumerate(["street/a.wav", "street/night/b.FLAC", "rooms/hall.wav"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.full(100, 0.1 * (number + 1)), 8000, format=Path(name).suffix[1:].upper())
    return written(folder, text)


def rule(labels: tuple[str, ...] | None, count: int) -> Rule:
    return Rule(labels=labels, count=count, transforms=(Gain(gain_db=(0, 0)),))


def step(text: str) -> str:
    return "rules: [{transforms: [{" + text + "}]}]"


GAIN = "transforms: [{kind: gain, gain_db: 1}]"
BAD = [  # the policy, and what the message must say
    ("", "holds nothing; expected 'rules:'"),
    ("[]", "holds a list; expected 'rules:'"),
    ("a: [", "cannot be read"),
    ("a: 2020-13-45", "cannot be read"),
    ("[" * 5000, "cannot be read"),
    ("seed: 1", "'rules' is missing"),
    ("rule: []", r"unknown setting 'rule': did you mean 'rules'\?"),
    ("rules: []", "rules: expected at least one"),
    ("rules: 3", r"rules: expected a list \(given: 3\)"),
    ("rules: [3]", r"rule 1: expected settings, such as .* \(given: 3\)"),
    ("rules: [{count: 1}]", "rule 1: 'transforms' is missing"),
    ("rules: [{transforms: []}]", "rule 1: transforms: expected at least one"),
    ("rules: [{transforms: [room]}]", r"rule 1, transform 1: expected a transform, .* \(given: 'room'\)"),
    (f"seed: -1\nrules: [{{{GAIN}}}]", r"seed: expected at least 0 \(given: -1\)"),
    (f"rules: [{{{GAIN}}}, {{lables: [a], {GAIN}}}]", r"rule 2: unknown setting 'lables': did you mean 'labels'\?"),
    (f"rules: [{{labels: [], {GAIN}}}]", "rule 1: labels: expected at least one"),
    (f"rules: [{{labels: dog, {GAIN}}}]", r"rule 1: labels: expected a list \(given: 'dog'\)"),
    (f"rules: [{{labels: [a, yes], {GAIN}}}]", r"rule 1: labels: item 2: expected text \(given: True\)"),
    (f"rules: [{{count: 0, {GAIN}}}]", r"rule 1: count: expected at least 1 \(given: 0\)"),
    (step("rate: 1"), r"rule 1, transform 1: 'kind' is missing \(known: gain, noise, "),
    (step("kind: time-strech, rate: 1"), r"unknown transform 'time-strech': did you mean 'time-stretch'\?"),
    (step("kind: [1]"), r"unknown transform \[1\]: known are "),
    (step("kind: gain"), r"rule 1, transform 1 \(gain\): 'gain_db' is missing"),
    (step("kind: gain, gain: 3"), r"unknown setting 'gain': did you mean 'gain_db'\?"),
    (step("kind: gain, gain_db: [6, -6]"), r"gain_db: the lowest comes first: write \[-6, 6\] \(given: \[6, -6\]\)"),
    (step("kind: gain, gain_db: [1, 2, 3]"), r"expected a number, or two as \[lowest, highest\]"),
    (step("kind: gain, gain_db: loud"), r"expected a number, .* \(given: 'loud'\)"),
    (step("kind: gain, gain_db: yes"), r"expected a number, .* \(given: True\)"),
    (step("kind: gain, gain_db: .nan"), r"expected a number, .* \(given: nan\)"),
    (step("kind: gain, gain_db: [-.inf, 1]"), r"expected a number, .* \(given: \[-inf, 1\]\)"),
    (step("kind: gain, gain_db: " + "9" * 400), "expected a number"),
    (step("kind: gain, gain_db: 41"), "gain_db: expected within -60 and 40"),
    (step("kind: time-stretch, rate: 0.5"), "rate: expected within 0.55 and 2"),
    (step("kind: pitch-shift, semitones: [-25, 0]"), "semitones: expected within -24 and 24"),
    (step("kind: noise, snr_db: 101"), "snr_db: expected within -40 and 100"),
    (step("kind: room"), r"\(room\): 'folder' is missing"),
    (step("kind: room, folder: 3"), r"folder: expected the name of a folder \(given: 3\)"),
    (step("kind: room, folder: nowhere"), r"folder: .*/nowhere is no folder \(given: 'nowhere'\)"),
    (step("kind: noise, snr_db: 3, folder: policy.yaml"), "policy.yaml is no folder"),
    (step("kind: noise, snr_db: 3, folder: ."), r"holds no file that ends in \.aif, "),
]


@pytest.mark.parametrize(("text", "says"), BAD, ids=[text[:60] for text, _ in BAD])
def test_a_bad_policy_is_refused_with_what_to_mend(tmp_path: Path, text: str, says: str):
    with pytest.raises(SettingsError, match=says) as caught:
        load_variants(written(tmp_path, text))
    assert str(tmp_path / "policy.yaml") in str(caught.value)


def test_one_mistake_makes_one_complaint(tmp_path: Path):
    with pytest.raises(SettingsError) as caught:
        load_variants(written(tmp_path, step("kind: gain, gain_db: [6, -6]")))
    assert ";" not in str(caught.value)


def test_a_policy_that_is_not_there_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(SettingsError, match="does not exist"):
        load_variants(tmp_path / "policy.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_variants(tmp_path)


def test_a_policy_is_what_was_written(tmp_path: Path):
    policy = load_variants(with_sounds(tmp_path))
    first, second = policy.rules
    assert (policy.seed, first.labels, first.count, second.labels, second.count) == (7, ("dog", "rain"), 2, None, 1)
    kinds = ["time-stretch", "pitch-shift", "noise", "noise", "gain", "room"]
    assert [transform.kind for transform in first.transforms] == kinds
    assert second.transforms == (Gain(gain_db=(-3, -3)),)
    assert first.transforms[2] == Noise(snr_db=(5, 5))


def test_folders_lie_beside_the_policy_and_hold_recordings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = with_sounds(tmp_path)
    (tmp_path / "street/LICENCE.txt").write_text("not a sound")
    (tmp_path / "street/._a.wav").write_bytes(b"left by a Mac")
    monkeypatch.chdir(tmp_path / "rooms")
    for name in (file, Path("../policy.yaml")):
        street, rooms = load_variants(name).folders
        assert [path.resolve() for path in street.paths] == [
            tmp_path / "street/a.wav",
            tmp_path / "street/night/b.FLAC",
        ]
        assert all(path.is_absolute() for path in street.paths)
        assert rooms.files == ("hall.wav",)


def test_recordings_are_in_the_order_of_their_names_on_any_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = with_sounds(tmp_path)
    listed, before = Path.rglob, load_variants(file)
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: reversed(list(listed(self, pattern))))
    assert load_variants(file) == before
    assert before.folders[0].files == ("a.wav", "night/b.FLAC")


def test_plain_data_makes_the_same_policy_without_the_disk(tmp_path: Path):
    file = with_sounds(tmp_path)
    policy = load_variants(file)
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert Variants.model_validate(json.loads(json.dumps(policy.model_dump(mode="json")))) == policy


def test_a_folder_moved_with_its_policy_is_the_same_values(tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    first, second = (load_variants(with_sounds(folder)) for folder in (here, there))
    assert first.values == second.values
    assert str(tmp_path) not in json.dumps(first.values)


def add(folder: Path) -> None:
    soundfile.write(folder / "c.wav", np.full(100, 0.4), 8000)


def change(folder: Path) -> None:
    data = bytearray((folder / "a.wav").read_bytes())
    data[-1] ^= 1
    (folder / "a.wav").write_bytes(data)


def rename(folder: Path) -> None:
    (folder / "a.wav").rename(folder / "aa.wav")  # in the same place of the order


def remove(folder: Path) -> None:
    (folder / "a.wav").unlink()


@pytest.mark.parametrize("meddle", [add, change, rename, remove])
def test_another_noise_folder_is_another_policy(tmp_path: Path, meddle: Any):
    file = with_sounds(tmp_path)
    before = load_variants(file)
    assert load_variants(file).values == before.values
    meddle(tmp_path / "street")
    after = load_variants(file)
    assert after.values != before.values
    assert after.folders[0].hash != before.folders[0].hash
    assert after.folders[1] == before.folders[1]
    assert after.model_dump(mode="json") != before.model_dump(mode="json")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    file = with_sounds(tmp_path)
    (tmp_path / "street" / "a\n.wav").write_bytes(b"")
    with pytest.raises(SettingsError, match="rename the file"):
        load_variants(file)


def test_unmatched_names_are_those_no_clip_has():
    policy = Variants(rules=(rule(("dgo", "rain"), 1), rule(None, 1), rule(("dgo", "siren", "cat"), 1)))
    assert policy.list_unknown_labels(["rain", "dog", "cat", "cat"]) == ["dgo", "siren"]
    assert policy.list_unknown_labels(iter(["rain", "dgo", "siren", "cat"])) == []


KEYED = """
seed: 7
rules:
  - {{labels: [dog, rain], count: 2, transforms: [{{kind: gain, gain_db: [{least}, 6]}}]}}
  - {{labels: [siren], count: {sirens}, transforms: [{{kind: pitch-shift, semitones: {semitones}}}]}}
  - {{labels: [dog], transforms: [{{kind: noise, snr_db: 5, folder: street}}, {{kind: room, folder: rooms}}]}}
"""


def keyed(folder: Path, *, least: float = -6, sirens: int = 1, semitones: int = 1) -> Variants:
    """A policy under which dogs have three variants, the third with the folders' help, rain two and sirens one."""
    return load_variants(with_sounds(folder, KEYED.format(least=least, sirens=sirens, semitones=semitones)))


def keys(policy: Variants, *labels: str) -> list[str | None]:
    return [policy.rule_key(labels, number) for number in range(1, policy.count(labels) + 1)]


def test_each_variant_has_a_key_and_what_there_is_not_has_none(tmp_path: Path):
    policy = keyed(tmp_path)
    made = keys(policy, "dog") + keys(policy, "siren")
    assert [len(set(made)), len(made)] == [4, 4]
    assert all(key is not None and len(key) == 8 and int(key, 16) >= 0 for key in made)
    for labels, number in [(["dog"], 4), (["dog"], 0), (["dog"], -1), (["crow"], 1), ([], 1)]:
        assert policy.rule_key(labels, number) is None


def test_a_clip_labelled_anew_has_other_keys_where_another_rule_is_for_it(tmp_path: Path):
    policy = keyed(tmp_path)
    assert policy.rule_key(["dog"], 1) != policy.rule_key(["siren"], 1)
    assert keys(policy, "rain") == keys(policy, "dog")[:2], "the same rule makes the same variants"


def test_only_what_a_variant_is_made_by_changes_its_key(tmp_path: Path):
    before, others = keyed(tmp_path), keyed(tmp_path, sirens=3, semitones=2)
    assert keys(others, "dog") == keys(before, "dog")
    assert keys(others, "siren")[0] != keys(before, "siren")[0]
    louder = keyed(tmp_path, least=-3)
    changed = [new != old for new, old in zip(keys(louder, "dog"), keys(before, "dog"), strict=True)]
    assert changed == [True, True, False]
    seeded = before.model_copy(update={"seed": 8})
    assert set(keys(seeded, "dog")).isdisjoint(keys(before, "dog"))


def test_a_rule_whose_variants_get_other_numbers_gets_other_keys():
    """What is drawn depends on a variant's number in the clip."""
    after = Variants(rules=(rule(("dog",), 1), rule(None, 1)))
    alone = Variants(rules=(rule(None, 1),))
    assert after.rule_key(["dog"], 2) != alone.rule_key(["dog"], 1)
    assert after.rule_key(["dog"], 1) == alone.rule_key(["dog"], 1), "the same transforms under the same number"


def test_folders_count_by_their_content_not_by_their_place(tmp_path: Path):
    here, there = keyed(tmp_path / "here"), keyed(tmp_path / "there")
    assert here != there
    assert keys(here, "dog") == keys(there, "dog")
    change(tmp_path / "there/street")
    changed = load_variants(tmp_path / "there/policy.yaml")
    assert [new == old for new, old in zip(keys(changed, "dog"), keys(here, "dog"), strict=True)] == [True, True, False]


def test_keys_are_the_same_in_a_policy_read_back_and_leave_it_as_it_is(tmp_path: Path):
    policy, untouched = keyed(tmp_path), keyed(tmp_path)
    made = keys(policy, "dog")
    assert (policy, hash(policy), policy.model_dump()) == (untouched, hash(untouched), untouched.model_dump())
    assert keys(Variants.model_validate(json.loads(json.dumps(policy.model_dump(mode="json")))), "dog") == made


def test_a_key_stays_what_it_is_from_one_version_to_the_next():
    """Keys lie in stores; if this one changes, every stored variant is made again."""
    assert Variants(seed=7, rules=(rule(("dog",), 2),)).rule_key(["dog"], 2) == "db147a9c"


NAMES = st.sampled_from(["dog", "rain", "siren", "crow"])
RULES = st.builds(rule, st.none() | st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.integers(1, 4))


@given(st.lists(RULES, min_size=1, max_size=5), st.lists(NAMES, max_size=3))
def test_variants_are_numbered_through_the_rules_that_match(rules: list[Rule], labels: list[str]):
    policy = Variants(rules=tuple(rules))
    expected = []  # the slow way: one entry a variant
    for candidate in rules:
        if candidate.labels is None or any(label in candidate.labels for label in labels):
            expected += [candidate] * candidate.count
    assert policy.count(labels) == len(expected)
    assert [policy.rule_of(labels, number) for number in range(1, len(expected) + 1)] == expected
    for number in (0, -1, len(expected) + 1):
        with pytest.raises(IndexError, match=f"variant {number} "):
            policy.rule_of(labels, number)
