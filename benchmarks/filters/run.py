"""What each filter takes from real sets: counts by source and reason, and examples to read.

Usage: python benchmarks/filters/run.py --data ../shared/data --read FILE [--only STEP ...]

Each step is run alone over the sets that lie in the folder, through Dollymix's own formats. The
table goes to standard output; the file gets up to 20 examples for each reason, the same every
time, for a person to read. The sets are other people's: nothing of them is kept in this project.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import dollymix
from dollymix.manifest import read_verdicts

SETS = {
    "ko_alpaca": "alpaca_ko/ko_alpaca_data.12761.json",
    "ko_alpaca_drift": "alpaca_ko/ko_alpaca_mixed_keys.1395.json",
    "exams": "alpaca_ko/ttangho_train_koalpaca.crlf.jsonl",
    "vaiv": "alpaca_ko/vaiv_instructions_all.jsonl",
    "ko_sharegpt": "sharegpt/ko_sharegpt_deepl_pairs_v1.json",
    "korquad1": "korquad1/KorQuAD_v1.0_dev.json",
    "kqma": "korquad1/kqma_kor_v1_dev.json",
    "klue": "klue/klue-mrc-v1_train.json",
    "korquad2": "korquad2/korquad2.1_train_00.first2.json",
    "alpaca_en": "alpaca_en/alpaca_5000.json",
    "identity": "alpaca_en/lf_identity.json",
    "lima": "chat_misc/lf_lima.json",
    "sharegpt92k": "sharegpt/sharegpt92k_sample_700.json",
    "vicuna": "sharegpt/vicuna_sample_230629.json",
}
KOREAN = (
    "ko_alpaca", "ko_alpaca_drift", "exams", "vaiv", "ko_sharegpt", "korquad1", "kqma", "klue",
    "korquad2",
)  # fmt: skip
KINDS = ("resident", "foreigner", "business", "phone", "card", "email", "ip")
# The step, its options, the sets.
RUNS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("normalize", {}, tuple(SETS)),
    ("normalize", {"form": "nfc"}, tuple(SETS)),
    ("no_input", {}, tuple(SETS)),
    ("length", {"response": {"min": 2, "max": 8000}}, tuple(SETS)),
    ("repetition", {}, tuple(SETS)),
    ("language", {"languages": ["ko"]}, KOREAN),
    ("language", {"languages": ["ko"], "identifier": True}, KOREAN),
    ("leftovers", {}, tuple(SETS)),
    # By itself, so that an example with two kinds is counted for both.
    *(("personal_data", {"action": "drop", "kinds": [kind]}, tuple(SETS)) for kind in KINDS),
)
READ = 20
CUT = 1200


def main() -> None:
    """Reads the command line, runs each step, prints the table, writes the examples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--read", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    with arguments.read.open("w", encoding="utf-8") as read:
        for step, options, sets in RUNS:
            if not arguments.only or step in arguments.only:
                run(arguments.data, step, options, sets, read, arguments.seed)


def run(
    data: Path, step: str, options: dict[str, Any], sets: tuple[str, ...], read: Any, seed: str
) -> None:
    """One step over its sets: its part of the table, its examples."""
    with tempfile.TemporaryDirectory() as place:
        recipe = {
            "version": 1,
            "sources": [
                {"name": name, "files": [str((data / SETS[name]).absolute())]} for name in sets
            ],
            "steps": [{step: options}],
        }
        path = Path(place) / "recipe.yaml"
        path.write_text(json.dumps(recipe))
        out = Path(place) / "out"
        dollymix.merge(path, out, workers=1)
        ledger = json.loads((out / "ledger.json").read_bytes())
        dropped = list(read_verdicts(out / "dropped.jsonl.zst"))
    sys.stdout.write(f"\n{step} {json.dumps(options)}\n")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for source, books in ledger["sources"].items():
        for key, count in books["filtered"].items():
            counts[key.partition("/")[2]][source] = count
        for count in books["changed"].values():
            counts["changed"][source] = count
    for reason, by_source in sorted(counts.items()):
        each = ", ".join(f"{name} {count}" for name, count in by_source.items())
        sys.stdout.write(f"  {reason}: {by_source.total()} ({each})\n")
    examples = sum(books["examples"] for books in ledger["sources"].values())
    sys.stdout.write(f"  of {examples} examples\n")
    for reason in sorted({row["reason"] for row in dropped}):
        mine = [row for row in dropped if row["reason"] == reason]
        for number, row in enumerate(sorted(mine, key=lambda row: rank(row["id"], seed))[:READ]):
            place_in = f"{reason} {number + 1} of {len(mine)}"
            read.write(f"\n=== {step} {place_in}: {row['id']}: {row['message']}\n")
            for name in ("instruction", "context", "response"):
                read.write(f"--- {name}: {str(row[name])[:CUT]}\n")


def rank(name: str, seed: str) -> str:
    """A place in an order that only the seed chooses."""
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


if __name__ == "__main__":
    main()
