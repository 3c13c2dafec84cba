"""What is said: lines on standard output and standard error, tables, progress."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from dollymix.errors import DollymixError
from dollymix.secret import told
from dollymix.text import as_json, printable

if TYPE_CHECKING:
    from dollymix.collect import Progress

_EVERY = 5.0


def table(headings: list[str], rows: list[list[str]]) -> None:
    """A table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    for first, *others in [headings, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        out("  ".join([first.ljust(widths[0]), *cells]))


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal, else a line every few seconds on standard error."""
    if quiet:
        yield None
        return
    if sys.stderr.isatty():
        with _bar() as report:
            yield report
        return
    last = time.monotonic()

    def line(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            say(f"{progress.phase}: {progress.done / 1e6:,.0f} MB, {progress.examples:,} examples")

    yield line


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("convert", total=None, rate="")

        def report(progress: Progress) -> None:
            seconds = max(time.monotonic() - began, 1e-6)
            rate = f"{progress.done / 1e6 / seconds:,.0f} MB/s, {progress.examples:,} examples"
            bar.update(task, completed=progress.done, total=progress.total, rate=rate)

        yield report


class OutputError(DollymixError):
    """What was asked for could not be said."""


def out(line: str) -> None:
    """One line on standard output, with nothing in it that a terminal would act on."""
    _write(printable(line) + "\n")


def out_text(text: str) -> None:
    """Lines that this program wrote."""
    _write("\n".join(map(printable, text.split("\n"))))


def _write(text: str) -> None:
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        say_no_more()
        raise OutputError(f"standard output: cannot be written: {error.strerror}") from error


def out_json(value: Any) -> None:
    """A value as one JSON text on standard output."""
    import msgspec

    body = msgspec.json.encode(value, enc_hook=lambda other: str(other))
    out(as_json(body.decode()))


def say(line: str) -> None:
    """One line on standard error, with no secret and nothing that a terminal would act on."""
    # Where standard error fails, there is nowhere to say so: the work and its status count.
    try:
        click.echo(told(line), err=True)
    except OSError:
        say_no_more(2)


def say_no_more(number: int = 1) -> None:
    """What is left in the buffer of a standard file goes nowhere, and not into a second failure at
    the end, which would be the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
