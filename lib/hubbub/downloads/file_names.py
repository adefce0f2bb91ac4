"""Names of fetched files: an address as a path below a folder, whatever the address is like."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import unquote

from hubbub.downloads.addresses import host_of

_FORBIDDEN = re.compile(r'[<>:"|?*\\/]')
_RESERVED = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever ending they have."""

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MOST_BYTES = 100  # of one part: with a hash and an ending it stays below the 255 that disks allow
_MOST_FOLDERS = 8
_ENDING = re.compile(r"[A-Za-z0-9]{1,5}")


def choose_file_name(address: str) -> str:
    r"""Return where the recording of an address goes: ``HOST/folder/name.mp3``, with slashes.

    The name depends on the address alone. It is never absolute, has no part ``..``, and no character or name that a
    disk or another system minds. An address that cannot be spelt out, or that has a query, is told from its neighbours
    by eight digits of its hash.

    Examples
    --------
    >>> choose_file_name("https://sounds.example/mp3s/Oslo/Oslo_calm_1.mp3")
    'sounds.example/mp3s/Oslo/Oslo_calm_1.mp3'
    >>> choose_file_name("https://sounds.example/%2e%2e/CON.wav")
    'sounds.example/_/CON_-45dea4da.wav'
    """
    host_given = host_of(address)
    path_given, _, query = address.partition("://")[2][len(host_given) :].partition("?")
    given = [unquote(part) for part in path_given.split("/") if part]
    parts = [_clean(part) for part in given] or ["index"]
    *folders, name = parts
    host = re.sub(r"[^A-Za-z0-9.-]", "_", host_given).strip(".") or "_"
    path = "/".join([host, *folders[:_MOST_FOLDERS], name])
    is_exact = parts == given and "\ufffd" not in path and not query and len(folders) <= _MOST_FOLDERS
    return path if is_exact else add_hash(path, address)


def add_hash(name: str, address: str) -> str:
    """Tell a name from its like by eight digits of the hash of its address, before the ending."""
    head, suffix = split_suffix(name)
    return f"{head}-{hash_address(address)[:8]}{suffix}"


def hash_address(address: str) -> str:
    """Return the key of an address: 32 hex digits."""
    return hashlib.sha256(address.encode()).hexdigest()[:32]


def split_suffix(name: str) -> tuple[str, str]:
    """Part a path and its ending, such as ``.mp3``; an ending has one to five letters or digits."""
    head, dot, ending = name.rpartition(".")
    is_ending = bool(head) and head[-1] != "/" and _ENDING.fullmatch(ending) is not None
    return (head, dot + ending) if is_ending else (name, "")


def _clean(part: str) -> str:
    text = unicodedata.normalize("NFC", part)
    text = "".join("_" if unicodedata.category(letter) in _HIDDEN else letter for letter in text)
    text = _FORBIDDEN.sub("_", text).strip(" ")
    text = re.sub(r"^\.+|\.+$", "_", text)
    head, suffix = split_suffix(_RESERVED.sub(r"\1_\2", text, count=1))
    head = head.encode()[:_MOST_BYTES].decode(errors="ignore")
    return head + suffix or "_"
