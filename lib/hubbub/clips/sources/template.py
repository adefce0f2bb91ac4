"""What every format of data sets is made of; one file a format fills it in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hubbub.errors import ClipTableError
from hubbub.io.paths import StoragePath

if TYPE_CHECKING:
    from hubbub.clips.sources.tree import Tree


@dataclass(frozen=True)
class Columns:
    """Which columns of a CSV mean what; None where it has none such."""

    path: str | None = None
    label: str | None = None
    fold: str | None = None
    split: str | None = None
    group: str | None = None
    start_s: str | None = None
    end_s: str | None = None
    onset_s: str | None = None
    """Start of an event: a row is then a clip that is the event, from its first sample to its last."""
    offset_s: str | None = None
    recorded_at: str | None = None
    label_separator: str | None = None
    """No column: what parts several labels in one cell; None: a cell is one label."""

    @property
    def by_role(self) -> dict[str, str | None]:
        """Names of columns, or None, by what they mean."""
        return {role: name for role, name in vars(self).items() if role != "label_separator"}

    @property
    def text(self) -> set[str | None]:
        """Names of the columns whose values are names, whatever they look like."""
        return {self.path, self.label, self.split, self.group}


@dataclass(frozen=True)
class Options:
    """What a person said beside the source.

    Attributes
    ----------
    columns
        Which columns of a table mean what.
    pattern
        A regular expression whose named groups become columns, matched with names of files.
    """

    columns: Columns = Columns()
    pattern: str | None = None

    def refuse(self, source: StoragePath, name: str) -> None:
        """Refuse options that say what the format `name` knows by itself.

        Raises
        ------
        ClipTableError
            When columns or a pattern were given.
        """
        if self.columns != Columns():
            raise ClipTableError(
                f"{source}: format {name} has columns of its own; leave the --…-column options out, or for other "
                "columns say --format csv"
            )
        if self.pattern is not None:
            raise ClipTableError(
                f"{source}: format {name} reads no labels from names; leave --pattern out, or say --format names"
            )


class StreamedClips(Collection[dict[str, Any]]):
    """Clips that are made anew each time that they are gone through, and never held in memory together.

    Parameters
    ----------
    count
        How many there are.
    make
        Called each time; gives them in order.
    """

    def __init__(self, count: int, make: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        """Return the number of clips."""
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Go through the clips."""
        return self._make()

    def __contains__(self, clip: object) -> bool:
        """Look at one clip after the other."""
        return any(clip == one for one in self)


@dataclass(frozen=True)
class Listing:
    """What a reader found.

    Attributes
    ----------
    root
        What the clips' uris are relative to.
    clips
        One mapping a clip: uri, labels, and any other column. Gone through several times; `StreamedClips` where
        memory should not hold them.
    notes
        Sentences for the user, such as which files were passed over.
    evidence
        What the source was read as and why, where nobody said the format.
    has_recorder_names
        Whether names and headers of the files may tell of a recorder; else only the source does.
    """

    root: StoragePath
    clips: Collection[dict[str, Any]]
    notes: Sequence[str] = field(default_factory=tuple)
    evidence: str = ""
    has_recorder_names: bool = True


@dataclass(frozen=True)
class Format:
    """One format of data sets.

    Attributes
    ----------
    name
        What ``--format`` takes.
    holds
        What the data set is, in a few words, with its source.
    example
        A tree, or the first lines of a table, of this format.
    recognise
        Returns the evidence that a source has this format, as a clause such as "metadata/UrbanSound8K.csv lies beside
        10 folders audio/fold…"; None where it has not. Opens no recordings, and reads the first lines of tables only.
    read
        Lists the clips of a source that has the format.
    """

    name: str
    holds: str
    example: str
    recognise: Callable[[Tree], str | None]
    read: Callable[[Tree, Options], Listing]
