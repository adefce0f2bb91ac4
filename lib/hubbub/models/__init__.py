"""Model bundles: what scores windows."""
