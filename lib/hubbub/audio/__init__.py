"""From recordings to frames: decode, split into windows, transform."""
