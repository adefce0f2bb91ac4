"""The clip table: one row a clip, made from many kinds of source."""
