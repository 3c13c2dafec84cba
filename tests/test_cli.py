"""The command line as a user meets it: exit statuses, what is said, and what is written."""

import json
import subprocess
import sys

import pytest

import dollymix
from dollymix import formats, steps
from tests.helpers import all_files, merge, read_lines, write_json, write_lines, write_text

ROWS = [
    {"instruction": "하나", "input": "", "output": "일"},
    {"instruction": "둘", "input": "", "output": ""},
    {"instruction": "하나", "input": "", "output": "일"},
]
RECIPE = "version: 1\nsources: [{name: a, files: [a.json]}]\nsteps: [exact_duplicates]\n"


def run(*arguments, cwd, stdout=subprocess.PIPE):
    """A finished command."""
    command = [sys.executable, "-m", "dollymix", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )


def fails(status, *arguments, cwd):
    """The one line on standard error with which a command ends; nothing else is said."""
    done = run(*arguments, cwd=cwd)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in line
    assert line.isprintable()
    return line


@pytest.fixture
def place(tmp_path):
    """A folder with rows and a recipe for them."""
    write_json(tmp_path / "a.json", ROWS)
    write_text(tmp_path / "r.yaml", RECIPE)
    return tmp_path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a build in `out`; not to be changed."""
    folder = tmp_path_factory.mktemp("cli")
    write_json(folder / "a.json", ROWS)
    merge(write_text(folder / "r.yaml", RECIPE), folder / "out")
    return folder


# --- merge -----------------------------------------------------------------------------------


def test_merge_builds_a_recipe_and_says_what_became_of_it(place):
    done = run("merge", "r.yaml", "-o", "out", "--workers", 1, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "duplicate.exact" in done.stdout
    assert "schema.empty" in done.stdout
    assert [line["instruction"] for line in read_lines(place / "out")] == ["하나"]


def test_merge_does_what_the_function_does(place):
    run("merge", "r.yaml", "-o", "one", "--workers", 1, cwd=place)
    dollymix.merge(place / "r.yaml", place / "two", workers=1)
    one, two = all_files(place / "one"), all_files(place / "two")
    one.pop("build.log.jsonl")
    two.pop("build.log.jsonl")
    assert one == two


def test_merge_as_json_can_be_read(place):
    done = run("merge", "a.json", "-o", "out", "--workers", 1, "--json", cwd=place)
    said = json.loads(done.stdout)
    assert said["total"]["written"] == 2
    assert said["ledger"]["sources"]["a"]["rejected"] == {"schema.empty": 1}


def test_merge_writes_both_forms_when_asked(place):
    forms = ("--format", "jsonl", "--format", "parquet")
    assert run("merge", "a.json", "-o", "out", *forms, cwd=place).returncode == 0
    assert (place / "out" / "dolly-parquet" / "train" / "00000.parquet").is_file()
    assert (place / "out" / "dolly" / "train" / "00000.jsonl").is_file()


def test_a_setting_changes_the_recipe_and_is_recorded(place):
    done = run("merge", "r.yaml", "-o", "out", "--set", "sources.a.category=closed_qa", cwd=place)
    assert done.returncode == 0, done.stderr
    assert [line["category"] for line in read_lines(place / "out")] == ["closed_qa"]
    assert "closed_qa" in (place / "out" / "manifest.json").read_text()


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_dry_run_counts_and_writes_nothing(place, as_json):
    before = all_files(place)
    done = run("merge", "r.yaml", "-o", "out", "--dry-run", *as_json, cwd=place)
    assert done.returncode == 0, done.stderr
    assert all_files(place) == before
    if as_json:
        (seen,) = json.loads(done.stdout)
        assert (seen["sampled"], seen["examples"], seen["rejected"]) == (3, 2, 1)
    else:
        assert "alpaca" in done.stdout


def test_an_unreadable_file_stops_a_merge_with_its_name_and_the_reason(place):
    write_text(place / "b.json", "hello\n")
    line = fails(1, "merge", "a.json", "b.json", "-o", "out", cwd=place)
    assert "b.json" in line
    assert "[format.unknown]" in line
    assert not (place / "out").exists()


def test_an_unreadable_file_may_be_skipped(place):
    write_text(place / "b.json", "hello\n")
    done = run("merge", "a.json", "b.json", "-o", "out", "--on-bad-file", "skip", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "format.unknown" in done.stderr
    assert len(read_lines(place / "out")) == 2


def write_faulty(place, **share):
    """A recipe of two sources: one good, one in which 3 of 8 rows are rejected for two reasons."""
    bad = [{"instruction": "x", "input": "", "output": ""}] * 2 + [{"instruction": "x"}]
    write_lines(place / "bad.jsonl", [*bad, *({**ROWS[0], "output": str(n)} for n in range(5))])
    write_lines(place / "good.jsonl", ROWS[:1] * 92)
    sources = [{"name": n, "files": [f"{n}.jsonl"], "format": "alpaca"} for n in ("good", "bad")]
    write_json(place / "m.yaml", {"version": 1, "sources": sources, **share})


WHY = (
    "bad: 37.5% of its parts are rejected, more than 30.0%: schema.empty 2, schema.missing_field 1"
)


@pytest.mark.parametrize(
    ("in_recipe", "arguments"),
    [
        ({"max_rejected": 0.3}, []),
        ({}, ["--max-rejected", "0.3"]),
        ({}, ["--set", "max_rejected=0.3"]),
        ({"max_rejected": 0.9}, ["--max-rejected", "0.3"]),
        ({"max_rejected": 0.9}, ["--set", "max_rejected=0.3"]),
    ],
)
def test_a_source_that_loses_too_much_stops_a_merge_with_the_reasons_ranked(
    place, in_recipe, arguments
):
    write_faulty(place, **in_recipe)
    assert fails(1, "merge", "m.yaml", "-o", "out", *arguments, "--quiet", cwd=place) == WHY
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("in_recipe", "arguments"),
    [
        ({}, []),
        ({"max_rejected": 0.375}, []),
        ({"max_rejected": 0}, ["--max-rejected", "0.375"]),
        ({"max_rejected": 0}, ["--max-rejected", "1"]),
    ],
)
def test_a_source_that_loses_no_more_than_it_may_is_merged(place, in_recipe, arguments):
    write_faulty(place, **in_recipe)
    done = run("merge", "m.yaml", "-o", "out", *arguments, "--quiet", cwd=place)
    assert done.returncode == 0, done.stderr
    # The share that held is recorded.
    share = float(arguments[1]) if arguments else in_recipe.get("max_rejected")
    manifest = json.loads((place / "out" / "manifest.json").read_text())
    assert manifest["recipe"].get("max_rejected") == share


def test_a_share_that_is_none_is_refused(place):
    write_faulty(place)
    for share in ("-0.1", "1.1", "few"):
        line = fails(2, "merge", "m.yaml", "-o", "out", "--max-rejected", share, cwd=place)
        assert "--max-rejected" in line


def test_a_merge_without_an_example_stops_unless_allowed(place):
    write_json(place / "a.json", ROWS[1:2])
    fails(1, "merge", "a.json", "-o", "out", cwd=place)
    assert run("merge", "a.json", "-o", "out", "--allow-empty", cwd=place).returncode == 0


def test_a_folder_that_is_no_build_is_not_replaced_unless_forced(place):
    write_text(place / "out" / "mine.txt", "mine")
    fails(2, "merge", "a.json", "-o", "out", cwd=place)
    assert all_files(place / "out") == {"mine.txt": b"mine"}
    assert run("merge", "a.json", "-o", "out", "--force", cwd=place).returncode == 0
    assert not (place / "out" / "mine.txt").exists()


def test_control_characters_of_names_and_data_never_reach_the_terminal(place):
    evil = "b\x1b[31m\u202e.json"
    write_json(place / evil, [{"\x1b]0;x\x07": "\x1b[2J"}])
    line = fails(1, "merge", evil, "-o", "out", cwd=place)
    assert "[format.unknown]" in line


def test_all_faults_of_a_recipe_are_said_one_a_line(place):
    write_text(place / "r.yaml", RECIPE + "sead: 1\nsplits: {train: 0.5}\n")
    done = run("merge", "r.yaml", "-o", "out", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == ["r.yaml:4:", "r.yaml:5:"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("merge", "none.yaml", "-o", "out"),
        ("merge", "a.json"),
        ("merge", "-o", "out"),
        ("merge", "a.json", "r.yaml", "-o", "out"),
        ("merge", "a.json", "-o", "out", "--set", "seed=3"),
        ("merge", "r.yaml", "-o", "out", "--set", "seed"),
        ("merge", "r.yaml", "-o", "out", "--workers", "0"),
        ("merge", "r.yaml", "-o", "out", "--nonsense"),
        ("nonsense",),
        ("formats", "nonsense"),
        ("steps", "nonsense"),
        ("verify", "."),
        ("explain", ".", "a/a.json#0"),
    ],
)
def test_a_call_that_cannot_be_understood_ends_with_two(place, arguments):
    before = all_files(place)
    fails(2, *arguments, cwd=place)
    assert all_files(place) == before


def test_a_file_that_is_not_there_stops_a_merge(place):
    assert "[io.missing]" in fails(1, "merge", "none.json", "-o", "out", cwd=place)


# --- init and inspect ------------------------------------------------------------------------


def test_the_recipe_that_init_writes_can_be_merged(place):
    write_lines(place / "b.jsonl", [{"conversations": [{"from": "human", "value": "q"}]}])
    write_text(place / "c.txt", "hello\n")
    done = run("init", "a.json", "b.jsonl", "c.txt", "-o", "new.yaml", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "format.unknown" in done.stderr
    counts = dollymix.merge(place / "new.yaml", place / "out", workers=1).ledger.total()
    assert (counts.records, counts.written) == (4, 1)


def test_init_does_not_overwrite_a_recipe(place):
    fails(2, "init", "a.json", "-o", "r.yaml", cwd=place)
    assert (place / "r.yaml").read_text() == RECIPE


def test_init_without_an_output_writes_the_recipe_to_standard_output(place):
    done = run("init", "a.json", cwd=place)
    assert dollymix.recipe.parse(done.stdout).sources[0].format == "alpaca"


def test_init_gives_each_file_a_source_even_where_numbered_names_meet(tmp_path):
    for name in ("x/a.json", "y/a.json", "z/a-2.json"):
        write_json(tmp_path / name, ROWS)
    draft = dollymix.init([tmp_path / "x", tmp_path / "y", tmp_path / "z"], base=tmp_path)
    assert len(dollymix.recipe.parse(draft.text).sources) == 3


def test_inspect_shows_the_first_records_before_and_after(place):
    done = run("inspect", "a.json", "-n", 2, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "alpaca" in done.stdout
    assert "schema.empty" in done.stdout
    assert done.stdout.count("record ") == 2


def test_inspect_as_json_can_be_read(place):
    done = run("inspect", "a.json", "--json", cwd=place)
    (seen,) = json.loads(done.stdout)
    assert seen["formats"] == ["alpaca"]
    assert [len(record["examples"]) for record in seen["records"]] == [1, 0, 1]


def test_inspect_of_a_bad_file_ends_with_one(place):
    write_text(place / "b.json", "hello\n")
    assert "[format.unknown]" in fails(1, "inspect", "b.json", cwd=place)


# --- what is built ---------------------------------------------------------------------------


def test_explain_tells_what_became_of_each_record(built):
    for number, outcome in enumerate(("written", "rejected", "duplicate")):
        done = run("explain", "out", f"a/a.json#{number}", "--json", cwd=built)
        assert done.returncode == 0, done.stderr
        life = json.loads(done.stdout)
        assert [part["outcome"] for part in life["parts"]] == [outcome]
        assert json.loads(life["text"]) == ROWS[number]


def test_explain_names_the_example_that_stayed(built):
    assert "a/a.json#0" in run("explain", "out", "a/a.json#2", cwd=built).stdout


@pytest.mark.parametrize("identity", ["a/a.json#9", "b/a.json#0", "nonsense", "a/a.json#0.qas[1]"])
def test_explain_of_an_unknown_id_ends_with_two(built, identity):
    fails(2, "explain", "out", identity, cwd=built)


def test_verify_finds_nothing_in_a_build_that_is_whole(built):
    done = run("verify", "out", "--json", cwd=built)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["faults"] == []


def test_a_build_from_which_nothing_was_dropped_can_be_verified_and_explained(tmp_path):
    write_json(tmp_path / "a.json", ROWS[:1])
    merge([tmp_path / "a.json"], tmp_path / "out")
    assert run("verify", "out", cwd=tmp_path).returncode == 0
    assert run("explain", "out", "a/a.json#0", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("name", ["dolly/train/00000.jsonl", "ledger.json", "dropped.jsonl.zst"])
def test_verify_names_a_file_of_which_a_byte_was_flipped(place, name):
    merge(place / "r.yaml", place / "out")
    data = bytearray((place / "out" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (place / "out" / name).write_bytes(data)
    done = run("verify", "out", cwd=place)
    assert done.returncode == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_verify_tells_of_an_input_that_was_changed(place):
    merge(place / "r.yaml", place / "out")
    write_json(place / "a.json", ROWS[:1])
    report = dollymix.verify(place / "out")
    assert len(report.faults) == 1
    assert "a/a.json" in report.faults[0]


def test_diff_tells_what_went(built, tmp_path):
    write_json(tmp_path / "a.json", [*ROWS[1:], {"instruction": "셋", "output": "삼"}])
    merge(write_text(tmp_path / "r.yaml", RECIPE), tmp_path / "new")
    done = run("diff", built / "out", tmp_path / "new", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"came", "went", "changed", "same"} <= set(json.loads(done.stdout))


# --- what there is ---------------------------------------------------------------------------


def test_formats_and_steps_list_everything(tmp_path):
    for command, known in (("formats", formats.names()), ("steps", steps.names())):
        lines = run(command, cwd=tmp_path).stdout.splitlines()
        assert [line.split()[0] for line in lines] == known


def test_a_format_and_a_step_are_described_with_their_options(tmp_path):
    assert "turns" in run("formats", "sharegpt", cwd=tmp_path).stdout
    assert "fold" in run("steps", "exact_duplicates", cwd=tmp_path).stdout


def test_help_and_version_end_with_zero(tmp_path):
    assert run("--version", cwd=tmp_path).stdout.split()[-1] == dollymix.__version__
    assert "merge" in run("--help", cwd=tmp_path).stdout


def test_a_closed_pipe_is_quiet(built):
    command = [sys.executable, "-m", "dollymix", "inspect", "a.json", "-n", "3"]
    with subprocess.Popen(
        command, cwd=built, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


# --- standard files ---------------------------------------------------------------------------


def with_files(redirection, *arguments, cwd):
    """A finished command whose standard files a shell has redirected or closed."""
    command = [sys.executable, "-m", "dollymix", *map(str, arguments)]
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *command]
    return subprocess.run(shell, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", [(), ("formats",), ("verify", "out"), ("--help",)])
def test_what_cannot_be_said_is_a_failure_of_one_line(built, redirection, arguments):
    done = with_files(redirection, *arguments, cwd=built)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("standard output: ")


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&-", "<&- 2>&-"])
def test_a_command_that_cannot_say_its_faults_keeps_its_status(built, redirection):
    assert with_files(redirection, "verify", "out", cwd=built).returncode == 0
    assert with_files(redirection, "verify", "none", cwd=built).returncode == 2


def test_a_closed_standard_output_is_not_taken_for_a_working_file(place):
    done = with_files(">&-", "merge", "r.yaml", "-o", "out", "--workers", "2", cwd=place)
    assert done.returncode == 1
    assert dollymix.verify(place / "out").faults == []


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_explain_says_in_words_where_a_line_came_from(tmp_path, form):
    write_lines(tmp_path / "a.jsonl", [{"instruction": "하나", "output": "일"}])
    merge([tmp_path / "a.jsonl"], tmp_path / "first", formats=["jsonl", "parquet"])
    source, place = tmp_path / "a.jsonl", "bytes 0 to "
    if form == "parquet":
        source = tmp_path / "first" / "dolly-parquet" / "train" / "00000.parquet"
        place = "row 0 of row group 0"
    merge([source], tmp_path / "out")
    done = run("explain", "out", f"{source.stem}/{source.name}#0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"line 1 of dolly/train/00000.jsonl, {place}" in done.stdout
    assert "하나" in done.stdout
