"""The recipe that asks Dollymix for the merge that the peers make."""

from collections.abc import Sequence
from typing import NamedTuple


class Source(NamedTuple):
    """One source of the recipe; files are relative to the folder of the input."""

    name: str
    format: str
    files: tuple[str, ...]


SOURCES = (
    Source("kovicuna", "sharegpt", ("kovicuna/ko_dataset.json", "kovicuna/ko_dataset_2.json")),
    Source("kovicuna_alpaca", "alpaca", ("kovicuna/ko_alpaca_style_dataset.json",)),
    Source("alpaca", "alpaca", ("alpaca/ko_alpaca_data.json",)),
    Source("korquad1", "squad", ("korquad1/KorQuAD_v1.0_train.json",)),
    Source("korquad2", "korquad2", ("korquad2/*.zip",)),
)


def recipe_text(
    *,
    steps: Sequence[str] = (),
    page_steps: Sequence[str] = (),
    container: str = "jsonl",
    repeat: int = 1,
) -> str:
    """The YAML text of the recipe; `page_steps` are of the source whose contexts are pages alone.

    With `repeat`, the same files are listed under that many sources each, so that the
    input grows and its content stays what it is.
    """
    lines = ["version: 1", "sources:"]
    for number in range(1, repeat + 1):
        for source in SOURCES:
            name = source.name if repeat == 1 else f"{source.name}_{number:02}"
            files = ", ".join(f'"{file}"' for file in source.files)
            lines.append(f"  - name: {name}")
            lines.append(f"    format: {source.format}")
            lines.append(f"    files: [{files}]")
            if page_steps and source.name == "korquad2":
                lines.append(f"    steps: [{', '.join(page_steps)}]")
    if steps:
        lines.append(f"steps: [{', '.join(steps)}]")
    lines.append(f"outputs: [{{view: dolly, format: {container}}}]")
    return "\n".join(lines) + "\n"
