"""What a run will do, decided before anything starts: pure arithmetic on tables."""
