"""S14 and S15: what is installed is pinned by digest, and what is built is the same each time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.security.conftest import ROOT, surroundings

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
ENTRY = re.compile(
    r"(?P<name>[a-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def locked():
    """The packages of the lock, by name; all of the file is read, or it fails."""
    found, position = {}, 0
    for entry in ENTRY.finditer(LOCK):
        assert LOCK[position : entry.start()] == ""
        position = entry.end()
        found.setdefault(entry["name"], []).append(entry)
    assert LOCK[position:] == ""
    return found


def asked():
    """The names that pyproject.toml asks for, to run, to develop and to build."""
    lists = [
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
        PROJECT["build-system"]["requires"],
    ]
    return {normal(re.match(r"[\w.-]+", item)[0]) for items in lists for item in items}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_line_of_the_lock_is_a_pinned_package_with_its_digests_and_no_address():
    found = locked()
    assert len(found) > 20
    assert not re.search(r"://|--(extra-)?index|--find-links|file:|@ ", LOCK)
    for entries in found.values():
        for entry in entries:
            assert "*" not in entry["version"]
            hashes = entry["hashes"].split("\n    --hash=sha256:")[1:]
            assert len(set(hashes)) == len(hashes) >= 1


def test_the_lock_covers_all_that_is_asked_for():
    assert {name for name in asked() if name not in {normal(n) for n in locked()}} == set()


def test_the_lock_covers_all_that_the_asked_for_packages_ask_for():
    """As far as they are installed here: nothing can come in beside the lock."""
    names = {normal(name) for name in locked()}
    missing = set()
    for name in names:
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in requires:
            wanted, _, marker = line.partition(";")
            if "extra ==" in marker or not holds(marker):
                continue
            if normal(re.match(r"[\w.-]+", wanted)[0]) not in names:
                missing.add((name, line))
    assert missing == set()


def holds(marker):
    packaging = pytest.importorskip("packaging.markers", reason="needs packaging")
    return not marker.strip() or packaging.Marker(marker).evaluate({"extra": ""})


def test_direct_dependencies_are_few_and_names_alone():
    dependencies = PROJECT["project"]["dependencies"]
    assert len(dependencies) <= 12
    assert not [line for line in dependencies if "@" in line or "://" in line]


def test_no_pyarrow_that_runs_code_from_files_can_be_installed():
    """CVE-2023-47248: up to 14.0.0, a pickle in a file's schema was loaded."""
    (line,) = [d for d in PROJECT["project"]["dependencies"] if d.startswith("pyarrow")]
    assert line == "pyarrow>=14.0.1"
    (entry,) = locked()["pyarrow"]
    installed = importlib.metadata.version("pyarrow")
    for version in (entry["version"], installed):
        assert tuple(map(int, version.split(".")[:3])) >= (14, 0, 1)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_two_builds_of_the_package_are_equal(tmp_path, kind):
    pytest.importorskip("hatchling", reason="needs hatchling")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    digests = []
    for number, clock in enumerate(("1700000000", "1700000000")):
        folder = tmp_path / str(number)
        # Where and when it is built is in no byte.
        moved = shutil.copytree(
            source, tmp_path / f"source-{number}", copy_function=shutil.copyfile
        )
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder],
            cwd=moved, check=True, capture_output=True, env=surroundings(SOURCE_DATE_EPOCH=clock),
        )  # fmt: skip
        (file,) = folder.iterdir()
        digests.append((file.name, hashlib.sha256(file.read_bytes()).hexdigest()))
    assert digests[0] == digests[1]


def test_a_wheel_holds_the_package_and_nothing_else(tmp_path):
    pytest.importorskip("hatchling", reason="needs hatchling")
    import zipfile

    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT, check=True, capture_output=True, env=surroundings(),
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    foreign = [
        n for n in names if not re.match(r"dollymix/.*(\.py|py\.typed)$|dollymix-.*\.dist-info/", n)
    ]
    assert foreign == []
