"""Once before training: media encoded again, in tar shards."""

from avssl.packing.choice import Pack
from avssl.packing.report import Report, report_table
from avssl.packing.run import pack
from avssl.packing.speed import Speed, speed

__all__ = ["Pack", "Report", "Speed", "pack", "report_table", "speed"]
