"""The work of one unit, one file a job; no engine in here."""
