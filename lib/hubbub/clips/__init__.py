"""The clip table, its examples, and one reader for each kind of source."""
