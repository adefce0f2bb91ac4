"""Recordings from the web: lists, sites by recipe, polite requests, downloads that resume.

The clip table of what was fetched does not live here (`hubbub.pipelines.fetch_settle`).
"""
