"""Readers of data sets, one file a format; each lists clips, from which `clips.index` makes a table.

A format is a `Format`: a name, an example, what recognises it and what reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hubbub.clips.sources.events import merge_events
from hubbub.clips.sources.listed import note_elsewhere
from hubbub.clips.sources.reviews import refuse_label_tables
from hubbub.clips.sources.template import Columns, Format, Listing, Options
from hubbub.clips.sources.tree import AUDIO_SUFFIXES, Tree
from hubbub.errors import ClipTableError, suggest_nearest
from hubbub.io.atomic import explain_read_errors
from hubbub.io.paths import StoragePath

__all__ = ["AUDIO_SUFFIXES", "Columns", "Format", "Listing", "Options", "Tree", "list_formats", "list_source"]


def list_formats() -> dict[str, Format]:
    """Formats by the name that ``--format`` takes, in the order in which a source is looked at: special ones first."""
    from hubbub.clips.sources import (
        audioset,
        csv,
        dcase,
        esc50,
        exported,
        folder,
        fsd50k,
        names,
        reviews,
        selections,
        split_columns,
        splits,
        suggestions,
        urbansound8k,
        xeno_canto,
    )

    sets = [esc50.FORMAT, urbansound8k.FORMAT, urbansound8k.KAGGLE, fsd50k.FORMAT, audioset.FORMAT, dcase.SCENES]
    sets += [
        dcase.EVENTS,
        xeno_canto.FORMAT,
        selections.FORMAT,
        split_columns.FORMAT,
        suggestions.FORMAT,
        exported.FORMAT,
        reviews.FORMAT,
        *names.PRESETS,
    ]
    formats = [*sets, splits.FORMAT, folder.FORMAT, folder.FLAT, csv.FORMAT, names.FORMAT]
    return {known.name: known for known in formats}


def list_source(source: StoragePath, name: str | None, columns: Columns, *, pattern: str | None = None) -> Listing:
    """List the clips of a source with the format called `name`; None, or ``auto``: the one that it is recognised by.

    Raises
    ------
    ClipTableError
        For a source that is missing, holds no recordings, lacks a column, or may be of several formats.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    with explain_read_errors(source):
        if not source.exists():
            raise ClipTableError(f"{source} does not exist; expected a folder of recordings or a CSV file")
        known = list_formats()
        if name is not None and name != "auto" and name not in known:
            raise ClipTableError(f"unknown format '{name}': {suggest_nearest(name, ['auto', *known])}")
        tree, options = Tree(source), Options(columns, pattern)
        if name is not None and name != "auto":
            chosen, evidence = known[name], ""
        else:
            chosen, evidence = _recognise(tree, options, known)
        listing = chosen.read(tree, options)
        clips, merged = merge_events(listing.clips)
        notes = [*listing.notes, *merged, *note_elsewhere(tree, listing.root), *tree.survey.describe_gaps()]
        evidence = f"read as {chosen.name}: {evidence}" if evidence else ""
        return replace(listing, clips=clips, notes=notes, evidence=evidence)


def _recognise(tree: Tree, options: Options, known: dict[str, Format]) -> tuple[Format, str]:
    """The format of a source, and the evidence for it."""
    if options.pattern is not None:
        return known["names"], ""
    if options.columns != Columns():
        return known["folder" if tree.is_folder else "csv"], ""  # the folder's reader says that it has no columns
    if tree.is_folder:
        refuse_label_tables(tree)
    return next(_matches(tree, known), (known["csv"], ""))


def _matches(tree: Tree, known: dict[str, Format]) -> Iterator[tuple[Format, str]]:
    for format in known.values():
        if (evidence := format.recognise(tree)) is not None:
            yield format, evidence
