"""The report for a person, as one HTML file: it asks the network for nothing, and works without its script.

What somebody else wrote is escaped, and its invisible characters are spelled out, before it is put on the page. Should
something slip through all the same, the page's own policy lets no script or style run but ours, by hash, and no
request leave.
"""

from antiphon.workflows.report.page.whole import MOST_BYTES, html

__all__ = ["MOST_BYTES", "html"]
