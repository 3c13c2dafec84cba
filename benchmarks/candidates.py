"""What is compared: for each candidate its command, and where its output will be."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from check import count_lines
from recipe import recipe_text

_PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Setting:
    """What all runs share: folders, interpreters, and the generator's counts."""

    source: Path
    scratch: Path
    peer_python: str
    dollymix_python: str
    truth: Mapping[str, int]


@dataclass(frozen=True)
class Candidate:
    """One row of the table. `expected` is the number of records its output must hold."""

    name: str
    command: Callable[[Setting], list[str]]
    expected: Callable[[Setting], int]
    written: Callable[[Setting], int]
    lines: Callable[[Setting], list[Path]]
    by_default: bool = True
    needs_dollymix: bool = False
    distinct: bool = False
    copies: int = 1


def candidates(repeat: int) -> list[Candidate]:
    """All candidates, in the order of the table; `repeat` is for the long memory run."""
    return [
        _bound(),
        *[_peer(name) for name in ("json", "orjson", "polars")],
        _peer("duckdb"),
        _peer("duckdb", threads=1),
        _peer("hf"),
        *[_dollymix(workers) for workers in (1, 2)],
        *[_dollymix(workers, steps=("exact_duplicates",)) for workers in (1, 2)],
        *[_dollymix(workers, container="parquet") for workers in (1, 2)],
        _dollymix(2, repeat=repeat),
    ]


_SCRIPTS = {
    "bound": "bound.py",
    "json": "json_script.py",
    "orjson": "orjson_script.py",
    "polars": "polars_script.py",
    "duckdb": "duckdb_script.py",
    "hf": "hf_datasets.py",
}


def _output(setting: Setting) -> Path:
    """The file a peer writes; in its own folder, where it may also keep scratch files."""
    return setting.scratch / "out" / "merged.jsonl"


def _script(script: str, threads: int | None = None) -> Callable[[Setting], list[str]]:
    """The command of a peer's script."""
    extra = [] if threads is None else [str(threads)]

    def command(setting: Setting) -> list[str]:
        path = str(_PEERS / _SCRIPTS[script])
        return [setting.peer_python, path, str(setting.source), str(_output(setting)), *extra]

    return command


def _bound() -> Candidate:
    """The lower bound, whose output is bytes and not records."""
    return Candidate(
        "bound",
        _script("bound"),
        expected=lambda setting: setting.truth["dolly_bytes"],
        written=lambda setting: _output(setting).stat().st_size,
        lines=_no_lines,
    )


def _peer(script: str, threads: int | None = None) -> Candidate:
    """One of the peers."""
    return Candidate(
        script if threads is None else f"{script}_{threads}t",
        _script(script, threads),
        expected=lambda setting: setting.truth["records"],
        written=lambda setting: count_lines([_output(setting)]),
        lines=lambda setting: [_output(setting)],
    )


def _dollymix(
    workers: int, *, steps: tuple[str, ...] = (), container: str = "jsonl", repeat: int = 1
) -> Candidate:
    """Dollymix with one recipe and number of workers."""
    kind = "_exact" if steps else "_parquet" if container == "parquet" else ""
    name = f"dollymix{kind}_{workers}w" + (f"_x{repeat}" if repeat > 1 else "")

    def command(setting: Setting) -> list[str]:
        # Beside the input, because the paths of a recipe are relative to it.
        recipe = setting.source / f"recipe-{name}.yaml"
        text = recipe_text(steps=steps, container=container, repeat=repeat)
        recipe.write_text(text, encoding="utf-8")
        merge = [setting.dollymix_python, "-m", "dollymix", "merge", str(recipe)]
        return [*merge, "-o", str(_build(setting)), "--workers", str(workers)]

    def expected(setting: Setting) -> int:
        records = setting.truth["records"]
        return records - setting.truth["duplicates"] if steps else records * repeat

    return Candidate(
        name,
        command,
        expected,
        written=_ledger_count if container == "parquet" else _line_count,
        lines=_no_lines if container == "parquet" else _build_lines,
        by_default=repeat == 1,
        needs_dollymix=True,
        distinct=bool(steps),
        copies=repeat,
    )


def _build(setting: Setting) -> Path:
    """The folder of a Dollymix build."""
    return setting.scratch / "out" / "build"


def _build_lines(setting: Setting) -> list[Path]:
    """The JSON Lines of a Dollymix build."""
    return sorted(_build(setting).glob("dolly/train/*.jsonl"))


def _no_lines(_setting: Setting) -> list[Path]:
    """Nothing: the output is not JSON Lines."""
    return []


def _line_count(setting: Setting) -> int:
    return count_lines(_build_lines(setting))


def _ledger_count(setting: Setting) -> int:
    """What the build says it wrote; Parquet is not read here."""
    ledger = json.loads((_build(setting) / "ledger.json").read_bytes())
    return int(ledger["total"]["written"])
