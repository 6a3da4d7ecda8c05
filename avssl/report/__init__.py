"""What a run did, for people: one self-contained page, contact sheets of what a sampler draws, and runs compared.

Reads the files of a run folder only; matplotlib and jinja2 are imported when a page is written, torch never.
"""

from avssl.report.compare_page import write_comparison
from avssl.report.compare_reading import read_compared, read_pairs
from avssl.report.compare_table import Comparison, compare
from avssl.report.methods import Column, with_runs
from avssl.report.page import write_report
from avssl.report.reading import Draw, Drawn, RunFiles, read_draws, read_run
from avssl.report.sheet import contact_sheet, write_contact_sheet

__all__ = [
    "Column",
    "Comparison",
    "Draw",
    "Drawn",
    "RunFiles",
    "compare",
    "contact_sheet",
    "read_compared",
    "read_draws",
    "read_pairs",
    "read_run",
    "with_runs",
    "write_comparison",
    "write_contact_sheet",
    "write_report",
]
