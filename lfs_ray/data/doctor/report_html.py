"""The report as one HTML page that needs nothing else: no script, no font, no link.

Data flow: `Report` -> here -> file. The histogram is inline SVG, the mean image a data URI.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from lfs_ray.data.doctor.examining import Report
from lfs_ray.data.doctor.finding import Finding
from lfs_ray.data.doctor.histogram import Bin, histogram
from lfs_ray.data.whole_file import write_whole

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1d2733; --faint: #d3d9e0;
  --quiet: #5c6773; --bar: #4a6f94; --good: #0b6e3b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e3e8ee; --faint: #39424d;
  --quiet: #9aa7b5; --bar: #7da6cf; --good: #5fd394; --bad: #ff8f87; } }
body { background: var(--page); color: var(--ink); margin: 2rem auto; max-width: 64rem;
  padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
h1 { overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; } h3 { margin: 1.6rem 0 .2rem; }
p { margin: .2rem 0; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }
th { font-weight: 400; color: var(--quiet); white-space: nowrap; }
td { overflow-wrap: anywhere; }
.healthy { color: var(--good); } .ill, h3.fault { color: var(--bad); }
.detail, .examples, figcaption { color: var(--quiet); font-size: 13px; }
.examples { list-style: none; margin: .3rem 0; padding: 0; font-family: ui-monospace, monospace;
  overflow-wrap: anywhere; }
.pictures { display: flex; flex-wrap: wrap; gap: 2.5rem; align-items: flex-end; }
figure { margin: 0; max-width: 100%; overflow-x: auto; }
figure img { width: 168px; height: 168px; display: block; }
svg { font: 12px system-ui, sans-serif; }
svg text { fill: currentColor; } svg rect { fill: var(--bar); } svg line { stroke: var(--faint); }
"""
_BAR_PX, _GAP_PX, _HEIGHT_PX, _HEAD_PX, _FOOT_PX = 46, 10, 130, 20, 24


def html_page(report: Report) -> str:
    """The page; the same bytes for the same report, all texts escaped."""
    title = f"Doctor: {report.specimen.path}"
    facts = "\n".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in report.facts()
    )
    sections = "\n".join(map(_section, report.findings)) or "<p>Nothing to tell.</p>"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n{_verdict(report)}\n<table>\n{facts}\n</table>\n"
        f'<div class="pictures">\n{_mean_image(report)}\n{_histogram(report)}\n</div>\n'
        f"<h2>Findings</h2>\n{sections}\n</body>\n</html>\n"
    )


def write_html(report: Report, path: str | os.PathLike[str]) -> None:
    """Write `html_page` whole; DataError if it cannot be written."""
    write_whole(path, [html_page(report)])


def verdict(report: Report) -> str:
    """One sentence: healthy or not, and how much was found."""
    faults = sum(finding.severity == "fault" for finding in report.findings)
    counts = f"{_number(faults, 'fault')}, {_number(len(report.findings) - faults, 'notice')}"
    return f"{'healthy' if report.is_healthy else 'not healthy'}: {counts}"


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _verdict(report: Report) -> str:
    style = "healthy" if report.is_healthy else "ill"
    return f'<p class="{style}"><strong>{verdict(report)}</strong></p>'


def _section(finding: Finding) -> str:
    kind = finding.kind
    examples = "".join(f"<li>{html.escape(example)}</li>\n" for example in finding.examples)
    more = finding.count - len(finding.examples)
    if examples and more > 0:
        examples += f"<li>and {more} more</li>\n"
    detail = f'<p class="detail">{html.escape(finding.detail)}</p>\n' if finding.detail else ""
    return (
        f'<h3 class="{finding.severity}">{finding.severity}: {finding.name}</h3>\n'
        f"<p><strong>{finding.count}</strong> {html.escape(kind.meaning)}</p>\n{detail}"
        f"<p>{html.escape(kind.advice)}</p>\n"
        f'<ul class="examples">\n{examples}</ul>'
    )


def _mean_image(report: Report) -> str:
    if not report.measured.decoded.any():
        return ""
    pixels = np.clip(np.rint(report.measured.mean_image), 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img alt="mean image" src="data:image/png;base64,{data}">'
        f"<figcaption>mean of {int(report.measured.decoded.sum())} images</figcaption></figure>"
    )


def _histogram(report: Report) -> str:
    bins = histogram(report.classes)
    if not bins:
        return ""
    width = len(bins) * (_BAR_PX + _GAP_PX)
    height = _HEAD_PX + _HEIGHT_PX + _FOOT_PX
    bars = "\n".join(_bars(bins))
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="identities by number of images">\n{bars}\n</svg>'
        f"<figcaption>identities by number of images</figcaption></figure>"
    )


def _bars(bins: Sequence[Bin]) -> list[str]:
    most = max(part.identities for part in bins)
    floor = _HEAD_PX + _HEIGHT_PX
    parts = [f'<line x1="0" x2="{len(bins) * (_BAR_PX + _GAP_PX)}" y1="{floor}" y2="{floor}"/>']
    for place, part in enumerate(bins):
        left = place * (_BAR_PX + _GAP_PX) + _GAP_PX / 2
        tall = round(_HEIGHT_PX * part.identities / most, 1)
        middle = left + _BAR_PX / 2
        parts += [
            f'<rect x="{left:g}" y="{floor - tall:g}" width="{_BAR_PX}" height="{tall:g}">'
            f"<title>{part.images} images</title></rect>",
            f'<text x="{middle:g}" y="{floor - tall - 5:g}" text-anchor="middle">'
            f"{part.identities}</text>",
            f'<text x="{middle:g}" y="{floor + 17}" text-anchor="middle">{part.name}</text>',
        ]
    return parts
