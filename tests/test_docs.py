"""The documentation is held against the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec
import pytest

import dollymix
from dollymix import formats, recipe, steps
from dollymix.cli.commands import root

ROOT = Path(__file__).parents[1]
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
SOURCE = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
CODE = re.compile(
    r'"((?:io|input|format|schema|encoding|json|unicode|record|compress|archive|turn|qa|text'
    r"|duplicate|id|chat|csv|parquet|arrow|source|length|length_audit|repetition|language|leftovers"
    r'|personal_data|roles|html|window)\.[a-z0-9_]+)"'
)


@pytest.mark.parametrize("command", sorted(root.commands))
def test_every_command_has_help_and_is_in_the_readme_or_docs(command: str) -> None:
    assert root.commands[command].help
    everything = (ROOT / "README.md").read_text() + "".join(DOCS.values())
    assert f"dollymix {command}" in everything


@pytest.mark.parametrize("command", sorted(root.commands))
def test_every_option_has_help(command: str) -> None:
    options = [p for p in root.commands[command].params if isinstance(p, click.Option)]
    undescribed = [o.name for o in options if not o.help and o.name != "count"]
    assert not undescribed


@pytest.mark.parametrize("name", formats.names())
def test_every_format_is_in_the_docs_and_describes_its_options(name: str) -> None:
    assert f"`{name}`" in DOCS["formats.md"]
    module = formats.load(name)
    described = module.Options.__doc__ or ""
    assert all(f"`{field}" in described for field in module.Options.__struct_fields__)


@pytest.mark.parametrize("name", steps.names())
def test_every_step_is_in_the_docs_and_describes_its_options(name: str) -> None:
    assert f"`{name}`" in DOCS["formats.md"]
    step = steps.load(name).Step
    assert all(f"`{field}`" in (step.__doc__ or "") for field in step.__struct_encode_fields__)


@pytest.mark.parametrize("shape", [recipe.Recipe, recipe.Source])
def test_every_key_of_a_recipe_is_in_the_docs(shape: type[msgspec.Struct]) -> None:
    missing = [k for k in shape.__struct_fields__ if f"| `{k}` |" not in DOCS["recipe.md"]]
    assert not missing


def test_every_reason_code_in_the_code_is_in_the_docs_and_the_other_way_round() -> None:
    used = set(CODE.findall(SOURCE))
    # Composed from the two halves of one message.
    used |= {"schema.no_question", "schema.no_answer"}
    told = set(re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", DOCS["reasons.md"]))
    assert used == told


def test_every_column_of_the_lineage_is_in_the_docs() -> None:
    import pyarrow as pa

    from dollymix.lineage import schema

    missing = [name for name in schema(pa).names if f"`{name}`" not in DOCS["output.md"]]
    assert not missing


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "README.ko.md", ROOT / "benchmarks" / "README.md"]
    for page in [*pages, *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_version_is_the_same_everywhere() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f'version = "{dollymix.__version__}"' in project
    assert f"## [{dollymix.__version__}]" in changelog


def test_the_recipes_are_recipes() -> None:
    for path in [*(ROOT / "recipes").glob("*.yaml"), ROOT / "examples" / "recipe.yaml"]:
        assert recipe.load(path).sources
