"""Every command that README and pages show exists, with its options; it is parsed, not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hubbub_site.commands import find_example, list_commands, write_commands

from tests.docs.pages import PAGES, ROOT, Block, list_blocks, name_of

COMMANDS = list_commands()
SHELLS = ("sh", "bash", "console", "indented", "")
_CALL = re.compile(r"(?:^|[;&|$]\s*|\bdo |\btime |\b[A-Z_]+=\S+ )hubbub (?P<words>(?:'[^']*'|\"[^\"]*\"|[^;&|])*)")
_PARTIAL = re.compile(r"…|\[|\bCOMMAND\b|\.\.\.")
"""What is shown in part: a call without all of its arguments."""


def list_calls(block: Block) -> list[str]:
    """Return the calls of hubbub in a block, without what a shell makes of their output."""
    lines = block.text.replace("\\\n", " ").split("\n")
    return [found["words"].strip() for line in lines for found in _CALL.finditer(line.strip())]


def complain(words: str, *, is_whole: bool = True) -> str | None:
    """Say what is wrong with the words after ``hubbub``, if anything."""
    name, *rest = shlex.split(words.replace("…", "..."), comments=True)
    rest = [word for word in rest if word != "..."]
    if name.startswith("-"):
        return None if name in ("--help", "-h", "--version") else f"no option {name}"
    if name not in COMMANDS:
        return f"no command {name}"
    rest = rest[: rest.index(">")] if ">" in rest else rest
    command = COMMANDS[name]
    if not is_whole:
        known = {"--help", "-h", *(name for param in command.params for name in [*param.opts, *param.secondary_opts])}
        unknown = [word for word in rest if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]
        return f"no option {unknown[0]}" if unknown else None
    return _complain_of_arguments(command, rest)


def _complain_of_arguments(command: Any, words: list[str]) -> str | None:
    context = command.context_class(command, info_name=command.name)
    try:
        given, left, _ = command.make_parser(context).parse_args(args=words)
    except Exception as error:
        return f"{error}"
    missing = [param.opts[0] for param in command.params if param.required and not given.get(param.name)]
    if left or missing:
        return f"left over: {left}" if left else f"missing: {', '.join(missing)}"
    return next(_list_bad_numbers(command, given), None)


def _list_bad_numbers(command: Any, given: dict[str, Any]) -> Iterator[str]:
    for param in command.params:
        value = given.get(param.name)
        kinds = re.findall(r"\b(int|float)\b", str(param.type_descriptor.annotation))
        values = list(value) if isinstance(value, list | tuple) else [value]
        for text in values if kinds else []:
            if isinstance(text, str) and not re.fullmatch(r"[KN]|-?\d+" if kinds[0] == "int" else r"-?[\d.]+", text):
                yield f"{param.opts[0]} {text} is no number"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_blocks_can_be_typed(page: Path) -> None:
    wrong = [
        f"{block}: hubbub {call}: {why}"
        for block in list_blocks(page)
        if block.language in SHELLS
        for call in list_calls(block)
        if (why := complain(call, is_whole=not _PARTIAL.search(call)))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_sentences_have_the_options_that_are_shown(page: Path) -> None:
    calls = [(block, call) for block in list_blocks(page) if block.language == "inline" for call in list_calls(block)]
    wrong = [
        f"{block}: hubbub {call}: {why}"
        for block, call in calls
        if (why := complain(re.sub(r"[\[\]]", "", call), is_whole=False))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_every_command_can_be_typed(name: str) -> None:
    assert complain(find_example(COMMANDS[name]).removeprefix("hubbub ")) is None


def test_the_reference_shows_one_example_a_command_and_nothing_beside_it() -> None:
    shown = re.findall(r"^```sh\n(.*?)\n```$", write_commands(), re.MULTILINE | re.DOTALL)
    assert [complain(line.removeprefix("hubbub ")) for line in shown] == [None] * len(COMMANDS)
    assert not [line for line in shown if "\n" in line]


def test_the_pages_show_every_command() -> None:
    """And the collecting works: with a pattern that finds nothing, the tests above would find nothing wrong."""
    blocks = [block for page in PAGES for block in list_blocks(page)]
    assert {call.split()[0] for block in blocks for call in list_calls(block)} >= set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("featuers clips.parquet -o store", "no command"),
        ("features clips.parquet -o store --frobnicate", "frobnicate"),  # an option of no command
        ("features clips.parquet", "missing: --output"),
        ("features clips.parquet more.parquet -o store", "left over"),
        ("train store -o bundle --epochs many", "no number"),
        ("mix clips.parquet -o scenes --snr 5", "--snr"),  # takes two numbers
        ("settings mfcc > mfcc.yaml", None),  # the shell's part is not hubbub's
        ("mix clips.parquet -o scenes --fold 1 --snr -5 20", None),
        ("label recordings/ --model bundle -o labels  # hear recordings", None),
    ],
)
def test_a_wrong_command_would_be_seen(words: str, why: str | None) -> None:
    said = complain(words)
    assert said is None if why is None else why in str(said)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_benchmarks_and_targets_of_make_exist(page: Path) -> None:
    code = "\n".join(block.text for block in list_blocks(page) if block.language in (*SHELLS, "inline"))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for found in re.finditer(r"\b(benchmarks/\w+\.py)([^\n`]*)", code):
        assert (ROOT / found[1]).is_file(), found[0]
        assert all(f'"{option}"' in sources for option in re.findall(r"--[a-z-]+", found[2])), found[0]
    named = re.findall(r"^make ([a-z]+)", code, re.MULTILINE)
    assert set(named) <= targets, f"make {set(named) - targets}"
