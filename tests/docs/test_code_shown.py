"""Python and YAML that README and pages show: it compiles, calls what exists, and is read as settings."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
import yaml

import hubbub
from hubbub.config import parse_settings
from hubbub.config.foreign import parse_foreign
from hubbub.config.grids import load_grid
from hubbub.config.variants import load_variants
from hubbub.downloads.recipe import parse_recipe
from hubbub.labels.events import EventRule
from hubbub.labels.rule_files import read_rules
from tests.docs.pages import PAGES, Block, list_blocks

BLOCKS = [block for page in PAGES for block in list_blocks(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
YAML = [block for block in BLOCKS if block.language in ("yaml", "yml")]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_calls_functions_of_hubbub_with_their_arguments(block: Block) -> None:
    calls = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "hubbub":
            named = {keyword.arg: None for keyword in call.keywords if keyword.arg}
            inspect.signature(getattr(hubbub, call.func.attr)).bind(*call.args, **named)


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_is_read_as_what_it_shows(block: Block, tmp_path: Path, esc10_mini: Path) -> None:
    file, data = tmp_path / "shown.yaml", yaml.safe_load(block.text)
    file.write_text(block.text)
    if "kind" in data:
        assert parse_foreign(block.text, str(block)).settings
    elif "rules" in data:
        for name in ("street", "impulse-responses"):  # folders that a policy names have to hold recordings
            (tmp_path / name).symlink_to(esc10_mini / "audio")
        assert load_variants(file).rules
    elif "settings" in data or "search" in data:
        assert load_grid(file).settings
    elif "frontend" in data or "windows" in data:
        assert parse_settings(data, where=str(block))
    elif "recordings" in data:
        assert parse_recipe(block.text, str(block)).recordings
    elif "dog" in data:
        assert read_rules(file, dict.fromkeys(data, EventRule()))["dog"].threshold == data["dog"]
    else:
        pytest.fail(f"{block} shows YAML that no test reads; expected a policy, a sweep, settings, a recipe or a model")


def test_there_is_code_to_check() -> None:
    assert len(PYTHON) >= 3
    assert len(YAML) >= 3
