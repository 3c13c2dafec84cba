"""The README prints the tree; it is the tree on disk, and stays short."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINE = re.compile(r"^(?P<indent> *)(?P<name>[\w.-]+/?(?:[\w.-]+/)*) {2,}(?P<what>\S.*)$")


def printed_tree() -> dict[str, str]:
    """The paths of the README's tree, each with its comment."""
    block = (ROOT / "README.md").read_text().split("## The tree")[1].split("```")[1]
    found: dict[str, str] = {}
    folder = ""
    for line in block.strip("\n").splitlines():
        matched = LINE.match(line)
        if matched is None:
            assert line.rstrip().endswith("/"), line
            folder = line.strip()
            found[folder] = ""
        elif matched["indent"]:
            found[folder + matched["name"]] = matched["what"]
        else:
            folder = matched["name"]
            found[folder] = matched["what"]
    return found


def test_every_path_of_the_tree_is_there() -> None:
    missing = [name for name in printed_tree() if not (ROOT / name).exists()]
    assert not missing


def test_every_module_and_folder_of_the_package_is_in_the_tree() -> None:
    package = ROOT / "src" / "dollymix"
    tree = printed_tree()
    modules = {f"src/dollymix/{path.name}" for path in package.glob("*.py")}
    folders = {
        f"src/dollymix/{path.name}/"
        for path in package.iterdir()
        if (path / "__init__.py").exists()
    }
    assert modules | folders <= set(tree)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_the_lock_names_digests_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert not re.search(r"://|--(extra-)?index|--find-links|file:", lock)
