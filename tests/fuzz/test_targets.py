"""The fuzz targets over a small corpus: hand-made seeds, and every finding, each by its bytes.

Needs no fuzzer: the laws are plain functions.
"""

import bz2
import io
import lzma
import tarfile

import pytest
from fuzz.seeds import gzipped, seeds, tarred, zipped

from fuzz import targets

LINE = b'{"instruction":"a","output":"b"}\n'


def _unnamed(data):
    """A zip of one member with a name of one letter, without that name."""
    local = data.index(b"PK\x03\x04")
    directory = data.index(b"PK\x01\x02")
    head = data[local : local + 26] + b"\x00\x00" + data[local + 28 : local + 30]
    body = data[local + 31 : directory]
    entry = data[directory : directory + 28] + b"\x00\x00" + data[directory + 30 : directory + 46]
    end = data[data.index(b"PK\x05\x06") :]
    sizes = len(entry).to_bytes(4, "little") + len(head + body).to_bytes(4, "little")
    return head + body + entry + end[:12] + sizes + end[20:]


SIZES = (1, 5, 24, 1 << 20)


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_seeds(name):
    for seed in seeds(name):
        targets.TARGETS[name](seed)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"[ ]\n",
        b"[{}]",
        b'[{"a":1},{"a":2},]',
        b'[{"a":"},{"},{"a":[{"a":1},{"a":2}]}]',
        b'{"data":[],"x":1}',
        b'{"version":"x","data":[{}]}',
        b'{"data":{"a":1}}',
        # Records before a comma too many were lost where the brackets went wrong behind it.
        b'[ {"a":[{"a":1},{"a":2}]} ,,{"}]\n{".a":"},{"}]',
        # A comma alone in its unit was read as an empty array.
        b"[,null]",
        b"[null,]",
        b"[null,,null]",
        b'{"data":[1,2,]}',
        # The records under a key that stands twice were lost, or the second ones were.
        b'{"version":"x","data":[{}],"data":[]}',
        b'{"data":[{"a":1}],"data":[{"a":2},{"a":3}]}',
        b'{"data":[{"a":1}],"d\\u0061ta":[{"a":2}]}',
        b'{"data":{"a":1},"data":{"a":2}}',
        # A key behind the records that is not UTF-8 was a fault of ours.
        b'{"data":[{}],"b\xf3":1}',
        b'{"data":[{}],"b1},\xf3{',
    ],
)
def test_arrays(data, size):
    targets.check_array(data, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "data",
    [
        b'a,b\n1,"2\n3"\r\n\n4,5',
        b"a,b\n1,2,3\n4,5\n",
        b'a,b\n1,"2\n',
        b'a,b\n1,x"2\n3,4\n',
        # A row of one empty field in quotes was taken for a blank line.
        b'a,b\n""\n\n\n\n',
        b'a\n""\n1\n',
    ],
)
def test_tables(data, size):
    targets.check_table(data, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp949"])
@pytest.mark.parametrize("text", ["", "\n", "{}\n\n \r\n[]", '{"a":"한"}\r\n{}'])
def test_lines(text, encoding, size):
    targets.check_lines(text.encode(encoding), size, encoding)
    targets.check_lines(text.encode(encoding) + b"\xff", size, encoding)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        zipped({"a.jsonl": LINE})[:-4],
        zipped({"a.jsonl": LINE, "../b.jsonl": LINE}),
        tarred({"a.jsonl": LINE})[:700],
        tarred({"a.jsonl.gz": gzipped(b"\x00" * (1 << 20))}),
        zipped({"a.jsonl.bz2": bz2.compress(b"\x00" * (1 << 22))}),
        gzipped(LINE) + b"x",
        lzma.compress(LINE)[:-1],
        # A member without a name was an IndexError.
        zipped({"x": LINE}).replace(b"x", b"\x00"),
        _unnamed(zipped({"a": LINE})),
        # A member that cannot be unpacked was told when it was opened, not when it was read.
        zipped({"a.jsonl.gz": gzipped(LINE)[:12] + b"\xff" * 30}),
    ],
)
def test_archives(data):
    targets.check_archive(data)


@pytest.mark.parametrize("name", targets.NAMES)
@pytest.mark.parametrize(
    "record",
    [
        b'{"instruction":"a","output":"b","response":"c","instruction":"d"}',
        b'{"\\u0069nstruction":"a","instruction":"b","output":"c","response":"d"}',
        b'{"conversations":[{"from":"a","value":"b","from":"c"}]}',
        b'{"conversation":[{"human":"a","assistant":"b","assistant" \n:"c"}]}',
        b'{"paragraphs":[{"context":"a","qas":[{"question":"b","question":"c"}],"x":{"qas":1}}]}',
        b'{"context":"a","qas":[{"question":"b","answer":{"text":"a","text":"a"}}]}',
    ],
)
def test_keys_that_stand_twice(name, record):
    targets.check_keys(name, [record])
    targets.check_keys(name, [LINE, record, record])


@pytest.mark.parametrize("name", targets.NAMES)
@pytest.mark.parametrize(
    "record",
    [
        b"{}",
        b"null",
        b"",
        b'{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"},1]}',
        # Bytes that are no UTF-8 in a value that is kept as it is written, or in a key beside it.
        b'{"instruction":"a","output":"b","response":"b","tools":["\xff"]}',
        b'{"conversations":[{"from":"human","value":"a","x":"\xff"},{"from":"gpt","value":"b"}]}',
        b'{"conversations":[{"from":"human","value":"a","\xff":1},{"from":"gpt","value":"b"}]}',
        b'{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}],"\xff":1}',
        b'{"paragraphs":[{"context":"a","qas":[{"question":"b","id":"\xff","answers":[{"text":"a"}]}]}]}',
        b'{"paragraphs":[{"context":"a","qas":[{"question":"b","guid":"\xff","answers":[{"text":"a"}]}]}]}',
        b'{"context":"a","qas":[{"question":"b","id":["\xff"],"answer":{"text":"a"}}]}',
    ],
)
def test_records(name, record):
    for option in range(len(targets.OPTIONS[name])):
        targets.check_record(name, record, option)


def test_a_law_that_does_not_hold_is_told(monkeypatch):
    monkeypatch.setattr(targets.duplicate_keys, "has_duplicates", lambda *_: False)
    with pytest.raises(AssertionError):
        targets.check_keys("dolly", [b'{"instruction":"a","instruction":"b","response":"c"}'])


def test_a_tar_of_the_seeds_is_whole():
    with tarfile.open(fileobj=io.BytesIO(tarred({"a.jsonl": LINE}))) as archive:
        assert archive.getnames() == ["a.jsonl"]
