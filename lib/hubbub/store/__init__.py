"""What is kept: feature stores, label tables, model bundles."""
