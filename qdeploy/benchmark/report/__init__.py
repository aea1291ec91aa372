"""The self-contained HTML report: what was trained, what is proven, what it costs beside others.

Everything is inside the one file: styles and drawings inline, no script, nothing fetched. All text
goes through the template's escaping; drawings are made here and carry no text of the user's but
names.
"""

from qdeploy.benchmark.report.page import write_report
from qdeploy.benchmark.report.parts import CompileSummary, ReportSection

__all__ = ["CompileSummary", "ReportSection", "write_report"]
