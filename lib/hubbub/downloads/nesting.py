"""How deep the elements of an HTML page lie within each other, before it is parsed.

The parser's time grows with the square of that depth, and its memory with the square of the formatting elements that
stay open: a page of 1 MB can take minutes, or all memory. Pages of people are some dozens deep.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from hubbub.downloads.failures import FetchFailure

_MOST_OPEN, _MOST_FORMATS = 20_000, 1_000

_TAG = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"
    r"|<(?:[!?]|/[^a-z])[^>]*"
    r"|<(script|style|title|textarea)\b.*?(?:</\1|\Z)"
    r"|<(?P<close>/?)(?P<name>[a-z][^\s/>]*)(?P<rest>[^>]*)",
    re.IGNORECASE | re.DOTALL,
)
_FORMATS = frozenset("b big code em font i nobr s small strike strong tt u".split())
_NEVER_DEEP = frozenset(
    "area base br col embed hr img input link meta param source track wbr "  # have no end
    "a body colgroup dd dt head html li optgroup option p rp rt tbody td tfoot th thead tr".split()  # end by themselves
)


def check_nesting(text: str) -> None:
    """Refuse a page that is made to keep the parser busy; raises `FetchFailure`."""
    if text.count("<") <= _MOST_FORMATS:
        return
    open_tags: defaultdict[str, list[str]] = defaultdict(list)
    n_open, formats = 0, Counter[str]()
    for tag in _TAG.finditer(text):
        name = (tag["name"] or "").lower()
        if not name or name in _NEVER_DEEP:
            continue
        if not tag["close"]:
            n_open += 1
            open_tags[name].append(tag["rest"])
            if name in _FORMATS:
                formats[name + tag["rest"]] += 1
        elif open_tags[name]:
            n_open -= 1
            opened = name + open_tags[name].pop()
            formats[opened] -= 1
            if formats[opened] <= 0:
                del formats[opened]
        if n_open > _MOST_OPEN or len(formats) > _MOST_FORMATS:
            raise FetchFailure(f"the page has more than {min(n_open, _MOST_OPEN)} elements within each other")
