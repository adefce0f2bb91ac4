"""The base of all settings: frozen, strict about names, finite; and what is said of a value that does not do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Validated data that does not change and that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def say_expected(item: Any) -> str:
    """Say which value pydantic expected, in hubbub's words: ``expected at least 1``; else what a validator said."""
    message: str = item["msg"].removeprefix("Value error, ")
    if not message.startswith(_PREFIX):
        return message
    # What follows the comma is how pydantic tried: "unable to parse string as an integer".
    expected = message.removeprefix(_PREFIX).partition(", unable")[0].partition(", got")[0]
    for theirs, ours in _OURS.items():
        expected = expected.replace(theirs, ours)
    return f"expected {expected}"


_PREFIX = "Input should be "

_OURS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid dictionary": "names with values, such as {name: value}",
    "a valid list": "a list",
    "a valid tuple": "a list",
}
"""Pydantic's words for what it expects -> hubbub's."""
