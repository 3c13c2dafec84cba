"""What cleaning costs: the merge with each step that cleans or judges text, side by side.

Usage: python cleaning.py INPUT_DIR [--rounds 3] [--place DIR] [--only STEPS ...]

INPUT_DIR is what generate.py wrote. Each run is one `dollymix merge` with one worker; rounds are
interleaved, and the least CPU time of each is shown. No language identifier, and no tokens.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from measure import Usage, run
from recipe import recipe_text

LENGTH = "{length: {response: {max: 8000}}}"
SEVEN = ("normalize", "no_input", LENGTH, "repetition", "language", "leftovers", "personal_data")
PAGES = ("html", "{window: {characters: 2000}}")
NONE = "none"
RECIPES = {
    NONE: recipe_text(),
    "normalize": recipe_text(steps=["normalize"]),
    "no_input": recipe_text(steps=["no_input"]),
    "length": recipe_text(steps=[LENGTH]),
    "repetition": recipe_text(steps=["repetition"]),
    "language": recipe_text(steps=["language"]),
    "leftovers": recipe_text(steps=["leftovers"]),
    "personal_data": recipe_text(steps=["personal_data"]),
    "roles": recipe_text(steps=["roles"]),
    "all these": recipe_text(steps=[*SEVEN, "roles"]),
    "html and window": recipe_text(page_steps=PAGES),
    "everything": recipe_text(steps=[*SEVEN, "roles"], page_steps=PAGES),
}


def main() -> int:
    """Run all recipes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", default=None, help="where the sets are written")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    arguments = parser.parse_args()
    found: dict[str, list[Usage]] = {NONE: []} | {name: [] for name in arguments.only}
    with tempfile.TemporaryDirectory(prefix="cleaning-", dir=arguments.place) as place:
        for _ in range(arguments.rounds):
            for name, runs in found.items():
                runs.append(_measured(arguments.input, name, Path(place)))
    _show(found)
    return 0


def _measured(folder: Path, name: str, place: Path) -> Usage:
    recipe, output, log = folder / "cleaning.yaml", place / "set", place / "log"
    recipe.write_text(RECIPES[name], encoding="utf-8")
    command = [sys.executable, "-m", "dollymix", "merge", str(recipe), "-o", str(output)]
    # What an earlier run wrote is not to be written during this one.
    os.sync()
    usage = run([*command, "--workers", "1"], log)
    if usage.exit_status:
        sys.exit(f"{name}: {log.read_text(encoding='utf-8')}")
    shutil.rmtree(output)
    print(f"{name}: {usage.cpu_seconds:.1f} s of CPU, {usage.wall_seconds:.1f} s", file=sys.stderr)
    return usage


def _show(found: dict[str, list[Usage]]) -> None:
    plain = min(usage.cpu_seconds for usage in found[NONE])
    print("| steps | CPU s | over the plain merge | wall s | peak PSS MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, runs in found.items():
        cpu = min(usage.cpu_seconds for usage in runs)
        wall = min(usage.wall_seconds for usage in runs)
        peak = max(usage.peak_pss_mb for usage in runs)
        print(f"| {name} | {cpu:.1f} | {cpu / plain - 1:.0%} | {wall:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
