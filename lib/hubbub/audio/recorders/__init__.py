"""What recorders tell of a recording: time, site and gain from its name and from the notes in its header."""
