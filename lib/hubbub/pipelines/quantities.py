"""Durations, rates and sizes as text that fits a table."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Write seconds in words: ``45 s``, ``3 min 20 s``, ``5 h 02 min``."""
    if seconds == float("inf"):
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_rate(value: float) -> str:
    """Write a rate with three digits, and no powers of ten: ``0.123``, ``45.6``, ``7120``."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def format_size(n_bytes: float) -> str:
    """Write bytes in decimal units: ``41.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
