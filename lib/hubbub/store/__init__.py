"""Feature stores: arrays, row parts, opening, compaction, verification."""
