"""From recordings to frames: decode, cut into windows, transform."""
