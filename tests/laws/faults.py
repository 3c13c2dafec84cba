"""Runs builds that die on purpose. A script, since a process that dies takes its tests with it.

    python faults.py run CALL SIGNAL REPORT ARGUMENTS...   the command line, ended at that call
    python faults.py sweep PLAN                            a fault at every n-th call, see `sweep`

A *call* is one that changes what is on disk: write, fsync, rename, truncate, unlink, rmdir, mkdir,
the exchange of two directories. They are counted from 1. Segments and units are made small, so that
a small input has many of them.
"""

import ctypes
import importlib
import json
import os
import pkgutil
import shutil
import signal
import sys
import time
from pathlib import Path

import dollymix.build
import dollymix.cli
import dollymix.convert

CHANGES = ("write", "fsync", "rename", "replace", "ftruncate", "unlink", "rmdir", "mkdir")
LATE = ("jinja2", "pyarrow.json", "pyarrow.parquet", "ruamel.yaml", "numpy", "isal.igzip_lib")
UNIT_BYTES, SEGMENT_BYTES = 256, 2048


class Calls:
    """Counts calls; at a given one, before or after it, does what is asked."""

    def __init__(self, at=0, action=None, *, after=False):
        self.count = 0
        self.at = at
        self.action = action
        self.after = after

    def wrap(self, function):
        def counted(*arguments, **settings):
            self.count += 1
            now = self.count == self.at
            if now and not self.after:
                self.action()
            try:
                return function(*arguments, **settings)
            finally:
                if now and self.after:
                    self.action()

        return counted

    def install(self):
        """Count the calls of this process from now on."""
        for name in CHANGES:
            setattr(os, name, self.wrap(getattr(os, name)))
        library = ctypes.CDLL

        def counted(name, *arguments, **settings):
            loaded = library(name, *arguments, **settings)
            if name is None and hasattr(loaded, "renameat2"):
                loaded.renameat2 = self.wrap(loaded.renameat2)
            return loaded

        ctypes.CDLL = counted


class Units:
    """How many units this process has converted."""

    def __init__(self):
        self.count = 0
        convert = dollymix.convert.Converter.__call__

        def counted(converter, unit):
            self.count += 1
            return convert(converter, unit)

        dollymix.convert.Converter.__call__ = counted


def make_small():
    """Small units and segments."""
    for module in [module for name, module in sys.modules.items() if name.startswith("dollymix.")]:
        if hasattr(module, "SEGMENT_BYTES"):
            module.SEGMENT_BYTES = SEGMENT_BYTES
    dollymix.build.merge.__kwdefaults__["unit_bytes"] = UNIT_BYTES


def run(call, signal_name, report, arguments):
    """The command line; a signal at a call, `PAUSE` for a stop until the file `report`.go is there.

    Writes the counts of calls and of units converted here into `report`.
    """
    calls, units = Calls(int(call)), Units()

    def act():
        write_report(report, calls, units)
        if signal_name == "PAUSE":
            while not os.path.exists(f"{report}.go"):
                time.sleep(0.01)
        else:
            os.kill(os.getpid(), getattr(signal, signal_name))

    calls.action = act
    make_small()
    calls.install()
    sys.argv = ["dollymix", *arguments]
    try:
        dollymix.cli.main()
    finally:
        write_report(report, calls, units)


def write_report(path, calls, units):
    """What was counted, where the test finds it."""
    counted = json.dumps({"calls": calls.count, "units": units.count})
    with open(path, "w") as file:
        file.write(counted)


def sweep(plan):
    """For each of the calls asked for: die there, look at the target, run again, look again.

    `plan` holds: recipe, old (a build to start from, or null), target, workers, calls (numbers; or
    null to count alone), after, again (the calls after which the second run dies as well, or 0).
    Prints one JSON object a line.
    """
    for number in plan["calls"] or [0]:
        target = Path(plan["target"])
        shutil.rmtree(target, ignore_errors=True)
        if plan["old"]:
            shutil.copytree(plan["old"], target)
        first = child(plan, number)
        state = {"call": number, "exit": first["exit"], "calls": first["calls"]}
        state |= {"units": first["units"], "left": snapshot(plan, target)}
        if plan["again"]:
            state["second"] = child(plan, plan["again"])["exit"]
            state["left again"] = snapshot(plan, target)
        if number:
            last = child(plan, 0)
            state |= {"rerun": last["exit"], "rerun units": last["units"]}
            state["after"] = snapshot(plan, target)
        state["beside"] = [n for n in os.listdir(target.parent) if n.startswith(f".{target.name}.")]
        sys.stdout.write(json.dumps(state) + "\n")
        sys.stdout.flush()


def load_all():
    """Load once, here, what every child would load."""
    for module in pkgutil.walk_packages(dollymix.__path__, "dollymix."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)


def child(plan, number):
    """A build in a process of its own, that ends at a call; what it counted."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        build_and_leave(plan, number, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status = os.waitpid(process, 0)
    found = json.loads(told) if told else {"calls": None, "units": None}
    return {**found, "exit": os.waitstatus_to_exitcode(status)}


def build_and_leave(plan, number, writing):
    """The whole life of a child."""
    status, leave, say = 70, os._exit, os.write
    try:
        calls, units = Calls(number, after=plan["after"]), Units()

        def tell():
            say(writing, json.dumps({"calls": calls.count, "units": units.count}).encode())

        def die():
            tell()
            leave(9)

        calls.action = die
        make_small()
        calls.install()
        dollymix.merge(plan["recipe"], plan["target"], workers=plan["workers"])
        tell()
        status = 0
    finally:
        leave(status)


def snapshot(plan, target):
    """Which build stands at the target: `old`, `new`, `none`, or what is wrong with it."""
    if not target.exists():
        return "none"
    found = read(target)
    for name in ("old", "new"):
        if plan[name] and found == read(Path(plan[name])):
            return name
    return f"neither: {sorted(found)}"


def read(folder):
    """Every file but the log."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "build.log.jsonl"
    }


if __name__ == "__main__":
    if sys.argv[1] == "run":
        # A shell that runs the tests in the background hands down an ignored SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run(*sys.argv[2:5], sys.argv[5:])
    else:
        # Loaded once here, and not once in every child.

        sweep(json.loads(sys.argv[2]))
