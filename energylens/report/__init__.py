"""Reports: results.json rendered as Markdown, figures and badges. The package knows no neural networks."""

from energylens.report.badge import badge, badge_svg
from energylens.report.terminal.verdicts import terminal_table
from energylens.report.write import write_badges, write_report

__all__ = ["badge", "badge_svg", "terminal_table", "write_badges", "write_report"]
