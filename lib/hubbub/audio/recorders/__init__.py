"""What recorders tell of a recording: time, site and gain from its name and from the notes in its header.

One scheme of names, or one chunk, a file: ``name_*.py`` have `read_name`, ``chunk_*.py`` have `read_chunk`, and each
gives a `Statement` or None; ``tags_*.py`` read the tags of a container, and `tags` tells what they state. What is said
here of samples is nothing: `hubbub.audio.decode` reads those.
"""

from hubbub.audio.recorders.facts import RecordingFacts, describe_recording
from hubbub.audio.recorders.notes import HeaderNotes, read_header_notes
from hubbub.audio.recorders.timezones import parse_timezone

__all__ = ["HeaderNotes", "RecordingFacts", "describe_recording", "parse_timezone", "read_header_notes"]
