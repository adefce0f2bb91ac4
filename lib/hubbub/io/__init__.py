"""Paths and URLs, atomic writes, locks and retries: what reaches a disk or a bucket; knows nothing of audio."""
