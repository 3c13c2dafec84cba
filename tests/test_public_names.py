"""The public surface is one sorted list."""

from __future__ import annotations

import subprocess
import sys

import dollymix


def test_the_public_names_are_sorted_and_there() -> None:
    assert sorted(dollymix.__all__) == dollymix.__all__
    assert all(getattr(dollymix, name) is not None for name in dollymix.__all__)


def test_functions_stay_functions_after_their_modules_are_imported() -> None:
    code = (
        "import dollymix, dollymix.cli, dollymix.build, dollymix.verify, dollymix.inspect;"
        "names = 'merge init inspect explain verify diff'.split();"
        "assert all(callable(getattr(dollymix, n)) for n in names)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, dollymix;"
        "heavy = {'pyarrow', 'numpy', 'rich', 'click', 'jinja2', 'ruamel', 'datasets'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_loads_neither_pyarrow_nor_numpy() -> None:
    code = (
        "import sys, dollymix.engine.local, dollymix.convert;"
        "assert not {'pyarrow', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
