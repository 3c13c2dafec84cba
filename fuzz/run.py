"""Run one target: `python -m fuzz.run TARGET [folder] [options of libFuzzer]`. Needs atheris."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["dollymix"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names."""
    program, name, *rest = sys.argv
    atheris.Setup([program, *rest], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
