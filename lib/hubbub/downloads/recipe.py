"""Recipes: which links of a site are pages, which are recordings, and which parts of both become columns. As YAML."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError

from hubbub.config.base import Frozen, say_expected
from hubbub.errors import UsageError, suggest_nearest

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_MOST_BYTES = 2**20


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression; {text!r} is none: {error}") from None
    return text


def _check_selector(text: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    try:
        LexborHTMLParser("<p>").css(text)
    except Exception as error:  # whatever its parser raises
        raise ValueError(f"expected a CSS selector; {text!r} is none: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Selector = Annotated[str, AfterValidator(_check_selector)]


class HtmlColumn(Frozen):
    """A column from an HTML page.

    Attributes
    ----------
    select
        CSS selector of the element on the page; None: the link itself.
    attribute
        Of the element; None: its text.
    match
        A regular expression; its first group, or the whole match, becomes the value.
    """

    select: Selector | None = None
    attribute: str | None = None
    match: Pattern | None = None


class HtmlRule(Frozen):
    """Links of an HTML page.

    Attributes
    ----------
    select
        CSS selector of the elements.
    attribute
        What holds the address.
    match
        A regular expression that the absolute address holds; its named groups become columns.
    columns
        Further columns.
    """

    select: Selector = "a[href]"
    attribute: str = "href"
    match: Pattern | None = None
    columns: dict[str, HtmlColumn] = {}


class JsonRule(Frozen):
    """Addresses in a JSON document.

    Attributes
    ----------
    items
        Where the list is, such as ``response.docs``; None: the document is the one item.
    address
        The address, with names of the item in braces: ``https://host/{id}/{file.name}``; ``page.`` before a name means
        the document, ``{start}`` the address that the run was started with. An item that lacks a name is passed over.
    match
        A regular expression that the address holds; its named groups become columns.
    columns
        Further columns, as texts with names in braces.
    """

    items: str | None = None
    address: str
    match: Pattern | None = None
    columns: dict[str, str] = {}


def _tell_kind(rule: object) -> str:
    is_json = isinstance(rule, JsonRule) or (isinstance(rule, dict) and bool({"address", "items"} & rule.keys()))
    return "JsonRule" if is_json else "HtmlRule"


Rule = Annotated[Annotated[HtmlRule, Tag("HtmlRule")] | Annotated[JsonRule, Tag("JsonRule")], Discriminator(_tell_kind)]


class Recipe(Frozen):
    """How a site is read.

    Attributes
    ----------
    about, example
        What it is for, and a command that uses it.
    start
        The first page; None: given with the command.
    hosts
        Hosts that may be asked beside that of the first page; ``*.example.org`` for all below example.org.
    headers
        Headers for the first page's host; ``${NAME}`` is taken from the environment, and is written nowhere.
    pages, recordings
        Which links are pages to read, and which are recordings.
    columns
        Columns of every recording on an HTML page, from that page.
    below_start
        Whether links that lead out of the first page's folder are left alone.
    """

    about: str = ""
    example: str = ""
    start: str | None = None
    hosts: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    pages: tuple[Rule, ...] = ()
    recordings: tuple[Rule, ...] = Field(min_length=1)
    columns: dict[str, HtmlColumn] = {}
    below_start: bool = False


def list_recipes() -> dict[str, Recipe]:
    """Return the recipes that come with hubbub, by name."""
    folder = files("hubbub.downloads") / "recipes"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): parse_recipe((folder / name).read_text("utf-8"), name) for name in names}


def load_recipe(given: str) -> Recipe:
    """Load a recipe by its name, or from a YAML file.

    Raises
    ------
    UsageError
        For an unknown name, and a file that cannot be read or says something else.
    """
    if not given.endswith((".yaml", ".yml")):
        known = list_recipes()
        if given not in known:
            raise UsageError(f"--recipe {given}: {suggest_nearest(given, known)}; or give a file such as recipe.yaml")
        return known[given]
    path = Path(given)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} has {path.stat().st_size} bytes; expected a recipe of at most {_MOST_BYTES}")
        return parse_recipe(path.read_text("utf-8"), given)
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no UTF-8 text; expected a recipe in YAML") from None
    except OSError as error:
        raise UsageError(f"--recipe {path} cannot be read: {error.strerror}; give a YAML file or a name") from None


def parse_recipe(text: str, where: str) -> Recipe:
    """Parse a recipe; raises `UsageError` that says what of it is wrong."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{where} is no YAML: {reason}; expected a recipe such as hubbub fetch --recipes shows"
        ) from None
    if not isinstance(data, dict):
        raise UsageError(f"{where} holds no names with values; expected a recipe such as hubbub fetch --recipes shows")
    try:
        return Recipe(**data)
    except (ValidationError, TypeError) as error:
        raise UsageError(f"{where}: {_describe(error)}") from None


def resolve_headers(recipe: Recipe, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the headers of a recipe with values of the environment.

    Raises
    ------
    UsageError
        When a variable is not set; values are never repeated in messages.
    """

    def find(match: re.Match[str]) -> str:
        value = environment.get(match[1], "")
        if not value or not value.isprintable():
            raise UsageError(
                f"the recipe needs the environment variable {match[1]}, such as an API key; set it with: "
                f"export {match[1]}=…"
            )
        return value

    return {name: _VARIABLE.sub(find, value) for name, value in recipe.headers.items()}


def _describe(error: Exception) -> str:
    """Say the first thing that is wrong, where in the recipe it stands, and which names are known there."""
    if not isinstance(error, ValidationError):
        return f"{error}; expected names with values"
    # A name that is written wrongly also leaves another one missing, and a list with a wrong entry counts as empty.
    order = ("extra_forbidden", "value_error", "missing", "too_short")
    item = min(error.errors(), key=lambda one: order.index(one["type"]) if one["type"] in order else 1)
    # Pydantic writes the kind into the place: "recordings.0.HtmlRule.selct".
    place = ".".join(str(part) for part in item["loc"] if str(part) not in ("HtmlRule", "JsonRule"))
    if item["type"] == "extra_forbidden":
        known = _names_at(item["loc"])
        return f"{place} is no setting of a recipe; {suggest_nearest(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return f"{place} is missing; expected a recipe such as hubbub fetch --recipes shows"
    return f"{place}: {say_expected(item)}"


def _names_at(place: tuple[int | str, ...]) -> set[str]:
    kinds: dict[str, type[Frozen]] = {"HtmlRule": HtmlRule, "JsonRule": JsonRule}
    inner = [kinds[str(part)] for part in place if str(part) in kinds]
    if "columns" in place[:-1]:
        return set(HtmlColumn.model_fields)
    return set((inner[-1] if inner else Recipe).model_fields)
