"""Tests of README.md and the documentation site; the site's extension lies beside its pages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))
