"""HTML reports: tables, metrics and audio in one self-contained file."""

from hubbub.report.clips import clips_section
from hubbub.report.evaluation import evaluation_section
from hubbub.report.labels import labels_section
from hubbub.report.page import Section, write_report

__all__ = ["Section", "clips_section", "evaluation_section", "labels_section", "write_report"]
