"""What a run did, for people: one self-contained page, and contact sheets of what a sampler draws.

Reads the files of a run folder only; matplotlib and jinja2 are imported when a page is written, torch never.
"""

from avssl.report.page import write_report
from avssl.report.reading import Draw, Drawn, RunFiles, read_draws, read_run
from avssl.report.sheet import contact_sheet, write_contact_sheet

__all__ = [
    "Draw",
    "Drawn",
    "RunFiles",
    "contact_sheet",
    "read_draws",
    "read_run",
    "write_contact_sheet",
    "write_report",
]
