"""Label tables: events from scores, the tables on disk, how they score against references, and exports."""
