"""The report as Markdown: its pages, and the regions of a README."""
