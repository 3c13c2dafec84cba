"""What holds of every framing, packing and encoding: the same records, each with its place."""

import json

import pytest

from tests.framing.files import ROWS, answers, array, lines, merged
from tests.laws.strategies import packed, zipped

TEXTS = {
    "jsonl": lines(ROWS).decode(),
    "array": array(ROWS).decode(),
    "indented": array(ROWS, indent=2).decode(),
    "object": json.dumps(ROWS[0], ensure_ascii=False, indent=1),
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "cp949", "euc-kr")


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "zip"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("framing", sorted(TEXTS))
def test_records_and_their_places(place, framing, encoding, packing):
    marked = "\ufeff" * encoding.startswith(("utf-16", "utf-32"))
    data = (marked + TEXTS[framing]).encode(encoding)
    file = zipped({"m.json": data}) if packing == "zip" else packed(data, packing)
    declared = {"encoding": encoding} if encoding in ("cp949", "euc-kr") else {}
    rows = ROWS[:1] if framing == "object" else ROWS
    for unit_bytes in (1, 60, 1 << 20):
        build = merged(place, file, unit_bytes=unit_bytes, **declared)
        assert answers(build) == [row["output"] for row in rows]
        for number, (_, row) in enumerate(build.written()):
            raw = data[row["byte_start"] : row["byte_end"]].decode(encoding)
            assert json.loads(raw.lstrip("\ufeff")) == rows[number]
            assert row["record"] == number
