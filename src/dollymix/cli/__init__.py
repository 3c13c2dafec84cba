"""The command line as a process: signals, standard files, exit status.

The commands are in `commands`, what they print goes through `terminal`.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from dollymix.cli.commands import root
from dollymix.cli.terminal import OutputError, out_text, say, say_no_more
from dollymix.errors import DollymixError, InternalError
from dollymix.secret import without_secrets
from dollymix.version import __version__

# What loaders and libraries say, in no exception of its own, where the machine gives no more.
_SHORTAGES = (
    "failed to map segment",
    "annot allocate memory",
    "Too many open files",
    "can't start new thread",
)


def _stop(number: int, _frame: object) -> NoReturn:
    # A second signal ends the process at once.
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def main() -> None:
    """Run a command and end with its exit status."""
    _keep_standard_files()
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop)
    try:
        status = _status()
        sys.stdout.flush()
    except OutputError as error:
        # Said while something else was told already.
        say(str(error))
        status = error.exit_status
    except BrokenPipeError:
        # Whoever read us has gone; nothing more can be said.
        status = 141
        say_no_more()
    except OSError as error:
        say(f"{error.filename or 'standard output'}: {error.strerror or error}")
        status = 1
        say_no_more()
    raise SystemExit(status)


def _status() -> int:
    """Run a command; the exit status."""
    try:
        # Not click's own main, which takes a closed pipe for a failure.
        with root.make_context("dollymix", sys.argv[1:]) as context:
            root.invoke(context)
    except SystemExit as ended:
        if ended.code in (130, 143):
            say("stopped; the same command goes on from here")
        return ended.code if isinstance(ended.code, int) else 1
    except click.exceptions.NoArgsIsHelpError as error:
        out_text(error.format_message() + "\n")
        return 2
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        say(f"dollymix: {error.format_message()}")
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except InternalError as error:
        say(_report_fault(error))
        return error.exit_status
    except DollymixError as error:
        for line in error.args:
            say(line)
        return error.exit_status
    except OSError:
        raise
    except MemoryError:
        say("dollymix: ran out of memory")
        return 1
    except Exception as error:  # the one place: a fault of ours is told as one, with a report
        if short := _shortage(error):
            say(f"dollymix: the machine is short of memory, open files or processes: {short}")
            return 1
        say(_report_fault(error))
        return 70
    return 0


def _shortage(error: Exception) -> str:
    """The line in which a library says that the machine gives no more; empty where none does."""
    lines = str(error).splitlines()
    return next((line for line in lines if any(words in line for words in _SHORTAGES)), "")


def _keep_standard_files() -> None:
    """Where a standard file is closed, put one in its place that nothing goes to: else the next
    file that is opened would be taken for it."""
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)
    # What cannot be said must not look like success: writing to this one fails.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _report_fault(error: Exception) -> str:
    import tempfile

    what = f"{type(error).__name__}: {error}".split("\n")[0]
    fault = f"a fault of dollymix, not of your data: {what}."
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="dollymix-fault-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"dollymix {__version__}, Python {sys.version}\n")
            file.write(without_secrets("".join(traceback.format_exception(error))))
    except OSError as failed:
        return f"{fault} The details could not be written: {failed.strerror}"
    return f"{fault} The details are in {file.name}"
