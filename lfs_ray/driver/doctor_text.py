"""The doctor's report on a terminal: facts, histogram, findings."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lfs_ray.data.doctor.examining import Report
from lfs_ray.data.doctor.finding import Finding
from lfs_ray.data.doctor.histogram import histogram
from lfs_ray.data.doctor.report_html import verdict

_BAR_CHARACTERS = 40
_SHOWN_EXAMPLES = 3
_COLOURS = {"fault": "red", "notice": "yellow"}


def print_report(report: Report, console: Console) -> None:
    """Print a report; three examples of each finding, the page and the CSV file have ten."""
    facts = Table.grid(padding=(0, 2))
    for name, value in report.facts():
        facts.add_row(f"[bold]{name}[/]", escape(value))
    console.print(facts)
    _print_histogram(report, console)
    if report.findings:
        console.print(_findings(report.findings))
    colour = "green" if report.is_healthy else "red"
    console.print(f"[bold {colour}]{verdict(report)}[/]")


def _print_histogram(report: Report, console: Console) -> None:
    bins = histogram(report.classes)
    most = max((part.identities for part in bins), default=0)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(justify="right")
    for part in bins:
        bar = "#" * round(_BAR_CHARACTERS * part.identities / most)
        table.add_row(part.name, str(part.identities), bar)
    if bins:
        console.print("[bold]images  identities[/]")
        console.print(table)


def _findings(findings: tuple[Finding, ...]) -> Table:
    table = Table(expand=False, show_lines=True)
    table.add_column("finding", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("what it is, examples, what to do", overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.severity]
        lines = [escape(finding.kind.meaning)]
        lines += [f"[dim]{escape(finding.detail)}[/]"] if finding.detail else []
        lines += [f"[dim]  {escape(text)}[/]" for text in finding.examples[:_SHOWN_EXAMPLES]]
        lines.append(f"-> {escape(finding.kind.advice)}")
        name = f"[{colour}]{finding.severity}[/]\n{finding.name}"
        table.add_row(name, str(finding.count), "\n".join(lines))
    return table
