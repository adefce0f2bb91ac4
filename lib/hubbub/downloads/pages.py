"""What a page holds by a recipe: links to pages, links to recordings, and columns of both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from selectolax.lexbor import LexborHTMLParser, LexborNode

from hubbub.downloads.addresses import hide_password, parse_address
from hubbub.downloads.failures import FetchFailure, shorten
from hubbub.downloads.nesting import check_nesting
from hubbub.downloads.recipe import HtmlColumn, HtmlRule, JsonRule, Recipe

_NAME = re.compile(r"\{([^{}]+)\}")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_TEXT_ENCODING = re.compile(
    r"utf-?(8|16|16le|16be)|(us-)?ascii|iso-?8859-?\d+|latin-?\d|(windows-|cp)125\d|koi8-[ru]|gbk|gb2312|gb18030|big5|"
    r"shift[_-]?jis|euc-(jp|kr)",
    re.IGNORECASE,
)
"""Encodings that pages have. Python knows more, some of which take hours for a page that is made for it."""
_LONGEST_VALUE = 2000
_MOST_LINKS = 1_000_000


@dataclass(frozen=True)
class Link:
    """An address that a page or a list holds.

    Attributes
    ----------
    address
        Absolute, as `parse_address` writes it.
    columns
        What is known of what is there.
    """

    address: str
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What a page holds.

    Attributes
    ----------
    pages, recordings
        Links, each address once.
    bad
        Texts of links that are no addresses, and why.
    """

    pages: list[Link]
    recordings: list[Link]
    bad: list[tuple[str, str]]


def read_page(
    content: bytes, content_type: str, address: str, recipe: Recipe, inherited: Mapping[str, Any], start: str
) -> Page:
    """Read an HTML page or a JSON document.

    Parameters
    ----------
    content, content_type
        As the server gave them.
    address
        Where it really is, after redirects.
    recipe
        Which links are which.
    inherited
        Columns of the page, from the link that led to it.
    start
        The first page of all.

    Raises
    ------
    FetchFailure
        When the recipe wants JSON and this is none, and for HTML that nests too deep to be parsed.
    """
    found = _Found(address, inherited, _folder_of(start) if recipe.below_start else "")
    if "json" in content_type.lower() or content.lstrip()[:1] in (b"{", b"["):
        return _read_json(content, found, recipe, start)
    return _read_html(_decode(content, content_type), found, recipe)


class _Found:
    """Links of a page as they are found; one that is no address is told."""

    def __init__(self, address: str, inherited: Mapping[str, Any], below: str) -> None:
        self.address = self.base = address
        self._inherited, self._below = inherited, below
        self._links: dict[str, dict[str, Link]] = {"pages": {}, "recordings": {}}
        self._parsed: dict[str, str] = {}
        self.bad: list[tuple[str, str]] = []

    def add(self, kind: str, text: str, match: str | None, columns: Mapping[str, str]) -> None:
        """Add a link, if its address holds `match`."""
        try:
            address = self._parsed.get(text) or parse_address(text, self.base)
        except FetchFailure as failure:
            if match is None or re.search(match, text):
                self.bad.append((hide_password(text), str(failure)))
            return
        self._parsed[text] = address  # several rules look at the same links
        found = re.search(match, address) if match is not None else None
        if (match is not None and found is None) or address == self.address or not address.startswith(self._below):
            return
        named = {} if found is None else {name: value for name, value in found.groupdict().items() if value is not None}
        links = self._links[kind]
        if address not in links and len(links) < _MOST_LINKS:
            links[address] = Link(address, {**self._inherited, **columns, **named})

    def page(self) -> Page:
        """All of them; what is a recording is no page."""
        recordings = self._links["recordings"]
        pages = [link for link in self._links["pages"].values() if link.address not in recordings]
        return Page(pages, list(recordings.values()), self.bad)


def _read_html(text: str, found: _Found, recipe: Recipe) -> Page:
    check_nesting(text)
    tree = LexborHTMLParser(text)
    found.base = _find_base(tree.css_first("base[href]"), found.address)
    of_page = _read_columns(recipe.columns, tree, None)
    for kind, rules in (("pages", recipe.pages), ("recordings", recipe.recordings)):
        for rule in (rule for rule in rules if isinstance(rule, HtmlRule)):
            for node in tree.css(rule.select):
                text = node.attributes.get(rule.attribute) or ""
                if text and not text.lower().startswith(("javascript:", "mailto:", "data:", "tel:", "blob:")):
                    own = _read_columns(rule.columns, tree, node)
                    found.add(kind, text, rule.match, {**(of_page if kind == "recordings" else {}), **own})
    return found.page()


def _folder_of(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[0] + "/"


def _find_base(tag: LexborNode | None, address: str) -> str:
    try:
        return address if tag is None else parse_address(tag.attributes.get("href") or "", address)
    except FetchFailure:
        return address


def _read_columns(columns: Mapping[str, HtmlColumn], tree: LexborHTMLParser, link: LexborNode | None) -> dict[str, str]:
    found = {}
    for name, column in columns.items():
        node = link if column.select is None else tree.css_first(column.select)
        if node is None:
            continue
        value = node.text() if column.attribute is None else node.attributes.get(column.attribute)
        if value is not None and column.match is not None:
            match = re.search(column.match, value)
            value = None if match is None else match[1] if match.re.groups else match[0]
        if value is not None and (line := shorten(value, _LONGEST_VALUE)):
            found[name] = line
    return found


def _read_json(content: bytes, found: _Found, recipe: Recipe, start: str) -> Page:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FetchFailure(f"is no JSON: {error}") from None
    for kind, rules in (("pages", recipe.pages), ("recordings", recipe.recordings)):
        for rule in (rule for rule in rules if isinstance(rule, JsonRule)):
            for item in _list_items(document, rule.items):
                names = _Names(item, document, start)
                text = names.fill(rule.address, is_address=True)
                if text is not None:
                    columns = {name: names.fill(template) for name, template in rule.columns.items()}
                    found.add(kind, text, rule.match, {name: value for name, value in columns.items() if value})
    return found.page()


def _list_items(document: Any, place: str | None) -> Iterator[Any]:
    if place is None:
        yield document
        return
    held = document if place == "" else _look_up(document, place)
    if isinstance(held, list):
        yield from held


class _Names:
    """Names that templates may hold."""

    def __init__(self, item: Any, document: Any, start: str) -> None:
        self._item, self._document, self._start = item, document, start

    def fill(self, template: str, *, is_address: bool = False) -> str | None:
        """Put values in the place of names; None where one is missing.

        Values within an address are percent-encoded, but for one that is the whole template, or begins it as ``start``.
        """
        if whole := _NAME.fullmatch(template):
            return self._find(whole[1])
        values = {name: self._find(name) for name in _NAME.findall(template)}
        if any(value is None for value in values.values()):
            return None
        return _NAME.sub(lambda match: self._write(match[1], values[match[1]] or "", is_address), template)

    def _write(self, name: str, value: str, is_address: bool) -> str:
        return quote(value, safe="/") if is_address and name != "start" else value

    def _find(self, name: str) -> str | None:
        if name == "start":
            return self._start
        inner = name.removeprefix("page.")
        value = _look_up(self._document if inner != name else self._item, inner)
        if value is None or value == "":
            return None
        if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
            value = "; ".join(map(str, value))
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return shorten(text, _LONGEST_VALUE)


def _look_up(value: Any, place: str) -> Any:
    """Follow names and numbers parted by points; None where there is nothing."""
    for part in place.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _decode(content: bytes, content_type: str) -> str:
    """Decode a page: by the server's word, else the page's own, else UTF-8, else Windows-1252, as browsers do."""
    stated = _CHARSET.search(content_type) or _CHARSET.search(content[:2048].decode("latin-1"))
    named = stated[1] if stated and _TEXT_ENCODING.fullmatch(stated[1]) else "utf-8"
    for encoding in (named, "utf-8"):
        try:
            return content.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            continue
    return content.decode("cp1252", errors="replace")
