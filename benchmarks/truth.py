"""What the generator knows about its files, for the runs to be checked against."""

from dataclasses import asdict, dataclass

# The shortest JSON Lines form of a record; the benchmark's lower bound writes this much.
_EMPTY_LINE = len('{"instruction":"","context":"","response":"","category":"open_qa"}\n')


@dataclass
class FileTruth:
    """Exact counts of one file. `records` are the Dolly records a merge makes of it."""

    path: str = ""
    file_bytes: int = 0
    unzipped_bytes: int = 0
    members: int = 0
    records: int = 0
    dolly_bytes: int = 0
    conversations: int = 0
    turns: int = 0
    broken_pairs: int = 0
    rows: int = 0
    pages: int = 0
    questions: int = 0
    duplicates: int = 0

    def add_record(self, instruction: bytes, context: bytes, response: bytes) -> None:
        """Counts one record, given as the JSON text of its fields."""
        self.add_size(len(instruction) + len(context) + len(response))

    def add_size(self, field_bytes: int) -> None:
        """Counts one record whose fields take `field_bytes` of JSON text."""
        self.records += 1
        self.dolly_bytes += _EMPTY_LINE + field_bytes

    def counts(self) -> dict[str, int | str]:
        """The path, and every count that is not zero."""
        return {name: value for name, value in asdict(self).items() if value}


def total(files: list[FileTruth]) -> dict[str, int]:
    """The counts of all files added up."""
    rows = [asdict(file) for file in files]
    names = [name for name in asdict(FileTruth()) if name != "path"]
    return {name: sum(row[name] for row in rows) for name in names}
