"""Every message of a usage error names what was given, and says what was expected or what to type.

The messages are read off the source: each place in the library and the command line that makes such an error.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from hubbub import errors

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "lib" / "hubbub").rglob("*.py"), *(ROOT / "jobs").glob("*.py")])
KINDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.UsageError | errors.ClusterLost | errors.UnitsLost)
}

HELPERS = {
    "nearest",
    "lines",
    "_explain",
    "explain_error",
    "_suggest_remedy",
    "explain_storage_error",
    "_describe_difference",
}
"""Functions whose text says by itself what is expected."""

ADVICE = re.compile(
    r"expected|try again|keep|did you mean|known:|hubbub [a-z]+|--[a-z]|pip install|"
    r"\b(give|use|make|run|choose|set|check|install|start|free|write|train|index|copy|move|remove|rename|read|label|"
    r"export|save|needs?|takes|goes with|must|only|at (least|most)|pass|leave|are for|are whole numbers)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Message:
    """An error's text as it stands in the source, with ``{…}`` where values go."""

    where: str
    kind: str
    text: str


def messages() -> list[Message]:
    """Find every error of `KINDS` that is made with a text."""
    found = []
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
                found.append(Message(f"{file.relative_to(ROOT)}:{node.lineno}", node.func.id, text_of(node.args[0])))
    return found


def text_of(node: ast.AST) -> str:
    """Write an expression as the text that it makes; values, and texts made elsewhere, are ``{code}``."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{" + ast.unparse(node.value) + "}"
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.IfExp):
        return text_of(node.body) + text_of(node.orelse)
    return "{" + ast.unparse(node) + "}"


def is_made_elsewhere(text: str) -> bool:
    """Tell whether a text is a value as a whole: the place that makes it is looked at by itself, or by its own test."""
    return re.fullmatch(r"(\{.*?\}(: )?)+", text) is not None


MESSAGES = [message for message in messages() if not is_made_elsewhere(message.text)]
NOTHING_TO_NAME = {
    "--from-reviews needs the precision that thresholds shall give: say --precision 0.9 with it",
    "the client is closed",  # an object without a name
    "the client is asynchronous",
    "the evaluation was not written",
    "a search needs an example: --like clip.wav, or a clip_id or row of the store",  # nothing was given
    "a report needs at least one section: an evaluation, a folder of label tables or a clip table",  # nothing was given
}
"""Messages, up to their first semicolon, about something that has no name to repeat."""


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.where)
def test_a_message_names_what_was_given(message: Message) -> None:
    assert "{" in message.text or message.text.split(";")[0] in NOTHING_TO_NAME, message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.where)
def test_a_message_says_what_was_expected_or_what_to_type(message: Message) -> None:
    advised = any(f"{helper}(" in message.text for helper in HELPERS) or "{mend}" in message.text
    assert advised or ADVICE.search(re.sub(r"\{[^{}]*\}", "", message.text)), message


def test_there_are_messages_to_look_at() -> None:
    assert len(MESSAGES) > 150
    assert {message.kind for message in MESSAGES} >= {"UsageError", "StoreError", "ClipTableError", "SettingsError"}


@pytest.mark.parametrize(
    ("text", "fine"), [("{path} is bad", False), ("{path} is bad; expected a folder", True), ("{nearest(a, b)}", True)]
)
def test_a_message_without_advice_would_be_seen(text: str, fine: bool) -> None:
    advised = "nearest(" in text or ADVICE.search(re.sub(r"\{[^{}]*\}", "", text)) is not None
    assert advised is fine
