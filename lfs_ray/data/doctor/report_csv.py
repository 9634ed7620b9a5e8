"""Findings as a CSV file, one a line.

Data flow: `Report` -> here -> file.
"""

from __future__ import annotations

import csv
import io
import os

from lfs_ray.data.doctor.examining import Report
from lfs_ray.data.whole_file import write_whole

COLUMNS = ("severity", "name", "count", "meaning", "detail", "advice", "examples")


def findings_csv(report: Report) -> str:
    """Header and one line a finding; examples are separated by line ends within their field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in report.findings:
        kind = finding.kind
        row = (finding.severity, finding.name, finding.count, kind.meaning, finding.detail)
        writer.writerow([*row, kind.advice, "\n".join(finding.examples)])
    return text.getvalue()


def write_csv(report: Report, path: str | os.PathLike[str]) -> None:
    """Write `findings_csv` whole; DataError if it cannot be written."""
    write_whole(path, [findings_csv(report)])
