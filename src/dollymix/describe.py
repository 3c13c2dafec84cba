"""What a finished build says of itself: other views, ledger, card, manifest, log."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path
from typing import Any

import msgspec

from dollymix.collect import Conversion
from dollymix.export import Exporter
from dollymix.framing import Framing, Input
from dollymix.framing.inputs import encode_undecodable
from dollymix.framing.streams import STDIN, zstd_module
from dollymix.manifest import (
    LOG,
    SCHEMA,
    InputFile,
    Manifest,
    OutputFile,
    read_rows,
    sha256_of,
    write_sealed_log,
)
from dollymix.outputs import card
from dollymix.partition import FileCounts
from dollymix.plan import Plan
from dollymix.publish import Stage
from dollymix.version import __version__
from dollymix.views import write_parquet, write_view


def write_views(out: Path, plan: Plan, exporter: Exporter) -> list[OutputFile]:
    """Every file with rows, the Dolly lines first."""
    lines = [file for shards in exporter.shards for file in shards.finished]
    found = [*lines, *exporter.lineage_files()]
    for output in plan.recipe.outputs:
        if output.view != "dolly":
            found += write_view(out, output.view, lines)
        elif output.format == "parquet":
            found += write_parquet(out, lines)
    return found


def write_dropped(stage: Stage) -> None:
    """`dropped.jsonl.zst`: one frame of one thread, so that its bytes are always the same."""
    zstd = zstd_module()
    packer = zstd.ZstdCompressor(level=3)
    with open(stage.out / "dropped.jsonl.zst", "wb") as packed:
        for name in ("filtered", "duplicates"):
            path = stage.work / name
            if path.exists():
                with open(path, "rb") as file:
                    while piece := file.read(1 << 20):
                        packed.write(packer.compress(piece))
        packed.write(packer.flush())


def write_about(
    stage: Stage,
    plan: Plan,
    conversion: Conversion,
    outputs: list[OutputFile],
    digests: dict[str, str],
    findings: list[str],
) -> Manifest:
    """Ledger, card and manifest. `findings`: what the checks say."""
    ledger = conversion.ledger
    splits = dict.fromkeys(list(plan.recipe.splits) or ["train"], 0)
    for file in outputs:
        if file.file.startswith("dolly/") and file.split and file.rows:
            splits[file.split] += file.rows
    (stage.out / "ledger.json").write_bytes(ledger.encode())
    manifest = Manifest(
        schema=SCHEMA,
        dollymix=__version__,
        versions=plan.versions(),
        recipe=_recorded(plan),
        recipe_sha256=recipe_digest(plan),
        overrides=plan.overrides,
        tokenizers={_name_of(path): digest for path, digest in plan.tokenizers.items()},
        inputs=_inputs(plan, conversion, digests, _file_counts(stage)),
        outputs=outputs,
        splits={name: rows for name, rows in splits.items() if rows},
        warnings=[*_passed_over(plan), *_empty_splits(splits), *findings],
    )
    licences = {source.name: source.licence for source in plan.recipe.sources}
    (stage.out / "README.md").write_bytes(card.render(stage.out, manifest, ledger, licences))
    stage.sync()
    for name in ("README.md", "dropped.jsonl.zst", "ledger.json", "rejects.jsonl"):
        path = stage.out / name
        manifest.outputs.append(OutputFile(name, path.stat().st_size, sha256_of(path)))
    (stage.out / "manifest.json").write_bytes(manifest.encode())
    return manifest


def _empty_splits(splits: dict[str, int]) -> list[str]:
    return [f"split `{name}` has no rows" for name, rows in splits.items() if not rows]


def _passed_over(plan: Plan) -> list[str]:
    """The members of archives that are no data; without the path, which tells of a machine."""
    return [
        f"{plan.recipe.sources[number].name}: {error.place.rpartition('/')[2]} was passed over: "
        f"{error.message} [{error.reason}]"
        for number, error in plan.passed_over
    ]


def recipe_digest(plan: Plan) -> str:
    """The digest of the recipe as the manifest has it."""
    return hashlib.sha256(msgspec.json.encode(_recorded(plan), order="sorted")).hexdigest()


def _recorded(plan: Plan) -> dict[str, Any]:
    """The recipe for the manifest; of absolute paths, which tell of a machine, the names."""
    recorded: dict[str, Any] = msgspec.to_builtins(plan.recipe)
    for source in recorded["sources"]:
        source["files"] = [encode_undecodable(_name_of(path)) for path in source["files"]]
    for listed in (recorded, *recorded["sources"]):
        for step in listed.get("steps", []):
            if step.get("options", {}).get("tokenizer"):
                step["options"]["tokenizer"] = _name_of(step["options"]["tokenizer"])
    return recorded


def _name_of(path: str) -> str:
    """A path as the recipe has it; of an absolute one, which tells of a machine, the name."""
    return os.path.basename(path) if os.path.isabs(path) else path


def _file_counts(stage: Stage) -> dict[tuple[str, str], FileCounts]:
    """What was counted of each file that was not refused."""
    counts = read_rows(stage.work, "files", FileCounts)
    return {(file.source, file.file): file for file in counts}


def _inputs(
    plan: Plan,
    conversion: Conversion,
    digests: dict[str, str],
    counts: dict[tuple[str, str], FileCounts],
) -> list[InputFile]:
    found: list[InputFile] = []
    refused = {
        (number, item.name): error
        for number, item, error in conversion.refused
        if isinstance(item, Input)
    }
    for planned in plan.files:
        source = plan.recipe.sources[planned.source]
        framing = planned.setup.framing
        error = refused.get((planned.source, planned.input.name))
        counted = counts.get((source.name, planned.input.name))
        found.append(
            InputFile(
                source=source.name,
                file=planned.input.name,
                bytes=planned.input.size,
                sha256=digests[planned.input.path],
                framing=_framing_told(framing),
                compression=framing.compression,
                encoding=framing.encoding,
                formats=planned.setup.shapes,
                evidence=planned.evidence,
                sampled=planned.sampled,
                unread_keys=planned.unread,
                revision=source.revision,
                licence=source.licence,
                refused=error.reason if error else None,
                **(counted.told() if counted else {}),
            )
        )
    return found


def _framing_told(framing: Framing) -> str:
    if framing.key:
        return f"{framing.kind} under `{framing.key}`"
    return "tsv" if framing.kind == "csv" and framing.delimiter == "\t" else framing.kind


def write_log(stage: Stage, plan: Plan, base: Path, started: float, workers: int) -> None:
    """The one output that holds clocks and machine paths; in no digest."""
    inputs = [
        {
            "event": "input",
            "source": plan.recipe.sources[file.source].name,
            "file": file.input.name,
            "path": STDIN if file.input.is_stdin else os.path.abspath(file.input.path),
            "member": file.input.member,
        }
        for file in plan.files
    ]
    built = {
        "event": "built",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - started, 3),
        "workers": workers,
        "python": platform.python_version(),
        "base": str(base),
    }
    write_sealed_log(stage.out / LOG, [*inputs, built])
