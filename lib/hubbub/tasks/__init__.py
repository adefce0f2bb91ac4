"""One unit of work each; no engine in here."""
