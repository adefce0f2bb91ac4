"""What a person submits: one file a command."""
