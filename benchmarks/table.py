"""The results as a Markdown table."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from measure import Usage

_HEAD = (
    "candidate",
    "records",
    "runs",
    "CPU s",
    "user s",
    "wall s",
    "peak PSS MB",
    "max RSS MB",
    "CPU / bound",
    "CPU / polars",
    "CPU / HF",
)


def results_table(results: Mapping[str, Sequence[Usage]], records: Mapping[str, str]) -> str:
    """One line a candidate: medians over its runs, and its CPU against three of them."""
    lines = [_line(_HEAD), _line(["---", *["---:"] * (len(_HEAD) - 1)])]
    references = [_cpu(results.get(name, ())) for name in ("bound", "polars", "hf")]
    for name, usages in results.items():
        cpu = _cpu(usages)
        cells = [
            name,
            records.get(name, "-"),
            str(len(usages)),
            _number(cpu),
            _number(_median(usages, lambda usage: usage.user_seconds)),
            _number(_median(usages, lambda usage: usage.wall_seconds)),
            _number(_median(usages, lambda usage: usage.peak_pss_mb), digits=0),
            _number(_median(usages, lambda usage: usage.max_rss_mb), digits=0),
            *[_ratio(cpu, reference) for reference in references],
        ]
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cpu(usages: Sequence[Usage]) -> float | None:
    return _median(usages, lambda usage: usage.cpu_seconds)


def _median(usages: Sequence[Usage], value: Callable[[Usage], float]) -> float | None:
    """The median of one figure; none without runs."""
    return median(map(value, usages)) if usages else None


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _ratio(value: float | None, reference: float | None) -> str:
    return "-" if not value or not reference else f"{value / reference:.2f}"
