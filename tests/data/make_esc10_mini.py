"""Choose the 100 clips of ESC-10 that hubbub carries for its demo and its tests.

    python tests/data/make_esc10_mini.py PATH/TO/esc10 [-o FOLDER]

Two clips of every class and fold: 10 classes x 5 folds x 2, so that training on four folds and testing on the
fifth works as on the whole set, in a quarter of its size. Within a class and fold the choice prefers, in turn:

1. two different source recordings, since takes cut from one recording sound alike and would show less;
2. the freer licences, CC0 and CC-BY, over CC-Sampling+, which forbids some uses;
3. the smallest SHA-256 of the file name: no ear and no chance picks what the figures will look like.

Clips are copied byte for byte, and with them exactly their lines of the attribution list, under its headings:
whoever ships clips ships their lines. The same source gives the same folder, on any machine.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import shutil
import sys
from collections import defaultdict
from pathlib import Path

CLIPS_PER_CLASS_AND_FOLD = 2
FREE_LICENCES = ("CC0", "CC-BY")
ATTRIBUTION_LINE = re.compile(r"- \[(?P<filename>[^\]]+)\]:.*\[(?P<licence>[^\]]+)\]$")

README = """\
# ESC-10 mini

100 of the 400 clips of ESC-10: 10 classes, two of each from every one of the five official folds; clips cut from
one source recording share a fold. Ogg Vorbis, 44.1 kHz, mono, mostly five seconds long.

- `audio/` holds the clips, byte for byte as in ESC-10; `esc10.csv` one row each, with the columns of the whole set:
  filename, fold, target, category, src_file (the Freesound recording), take.
- Chosen by `../make_esc10_mini.py`, which says how; running it on ESC-10 again makes this folder again.
- Source: K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015,
  doi 10.1145/2733373.2806390.
- Licence: the set is CC BY 3.0; each clip's author and licence are listed in `ATTRIBUTION.txt`, which holds the
  lines of exactly these clips. Whoever ships clips ships their lines. hubbub's own licence does not cover them.
"""


def read_attribution(text: str) -> dict[str, str]:
    """Map each clip's file name to its licence, such as ``CC0``."""
    found = (ATTRIBUTION_LINE.match(line) for line in text.splitlines())
    return {match["filename"]: match["licence"] for match in found if match}


def choose(rows: list[dict[str, str]], licences: dict[str, str]) -> set[str]:
    """File names of the chosen clips: two a class and fold, by the preferences above."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["category"], row["fold"]].append(row)
    return {name for group in groups.values() for name in _choose_within(group, licences)}


def _choose_within(group: list[dict[str, str]], licences: dict[str, str]) -> list[str]:
    chosen: list[dict[str, str]] = []
    for _ in range(CLIPS_PER_CLASS_AND_FOLD):
        used = {row["src_file"] for row in chosen}
        left = [row for row in group if row not in chosen]
        chosen.append(min(left, key=lambda row: _rank(row, used, licences)))
    return [row["filename"] for row in chosen]


def _rank(row: dict[str, str], used: set[str], licences: dict[str, str]) -> tuple[bool, bool, str]:
    name = row["filename"]
    digits = hashlib.sha256(name.encode()).hexdigest()
    return row["src_file"] in used, licences[name] not in FREE_LICENCES, digits


def attribution_of(chosen: set[str], text: str) -> str:
    """The attribution list with the lines of the chosen clips only; headings and all else stay."""
    matches = ((line, ATTRIBUTION_LINE.match(line)) for line in text.splitlines(keepends=True))
    return "".join(line for line, match in matches if match is None or match["filename"] in chosen)


def make(source: Path, folder: Path) -> int:
    """Write the mini set of `source` into `folder`, in place of what was there; return the number of clips."""
    text = (source / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    with (source / "esc10.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), list(reader.fieldnames or [])
    chosen = choose(rows, read_attribution(text))

    shutil.rmtree(folder / "audio", ignore_errors=True)
    (folder / "audio").mkdir(parents=True)
    for name in sorted(chosen):
        shutil.copyfile(source / "audio" / name, folder / "audio" / name)
    with (folder / "esc10.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if row["filename"] in chosen)
    (folder / "ATTRIBUTION.txt").write_text(attribution_of(chosen, text), encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    return len(chosen)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Choose the 100 clips of ESC-10 that hubbub carries.")
    parser.add_argument("source", type=Path, help="ESC-10: a folder with esc10.csv, ATTRIBUTION.txt and audio/")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "esc10-mini")
    arguments = parser.parse_args()
    if not (arguments.source / "esc10.csv").is_file():
        parser.error(f"{arguments.source} holds no esc10.csv; give the folder of ESC-10")
    print(f"{make(arguments.source, arguments.output)} clips in {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
