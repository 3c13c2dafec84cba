"""The plan of a build: what will be read, and how. Looks at the beginning of every input."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from dollymix import formats, recipe, steps, tokens
from dollymix.convert import FileSetup, Setup, SourceSetup, unreadable_file
from dollymix.detect import detect
from dollymix.errors import BuildError, InputError, UsageError
from dollymix.framing import Input, Reading
from dollymix.framing.archives import is_passed_over
from dollymix.framing.inputs import list_inputs
from dollymix.framing.streams import STDIN, place_of
from dollymix.lineage import Names
from dollymix.manifest import sha256_of, versions
from dollymix.version import __version__


class PlannedFile(msgspec.Struct):
    """One input with what was found out about it."""

    source: int
    number: int
    input: Input
    setup: FileSetup
    evidence: str
    sampled: int
    unread: dict[str, int]


class Plan(msgspec.Struct):
    """What will be read, and how."""

    recipe: recipe.Recipe
    overrides: dict[str, str]
    files: list[PlannedFile]
    setup: Setup
    step_names: list[str]
    refused: list[tuple[int, Input | str, InputError]]
    passed_over: list[tuple[int, InputError]]
    tokenizers: dict[str, str] = {}

    @property
    def is_direct(self) -> bool:
        """True where convert can write the final lines: nothing decides over them afterwards."""
        asked = self.recipe
        return not (self.step_names or asked.shuffle or len(asked.splits) > 1)

    def names(self) -> list[Names]:
        """What the numbers in blocks stand for."""
        return [
            Names(
                setup.name,
                tuple(file.name for file in setup.files),
                source.licence,
                tuple(file.framing for file in setup.files),
            )
            for setup, source in zip(self.setup.sources, self.recipe.sources, strict=True)
        ]

    def versions(self) -> dict[str, str]:
        """The versions of all that makes the bytes."""
        setup = self.setup
        made = [step for source in setup.sources for step in (*source.row_steps, *source.checks)]
        return versions() | steps.versions_of([*made, *setup.group_steps])

    def digest(self) -> str:
        """What must be the same for going on after a crash."""
        state = [
            __version__,
            self.versions(),
            self.recipe.encode().decode(),
            [msgspec.to_builtins(file.input) for file in self.files],
            self.tokenizers,
        ]
        return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def read_recipe(
    source: Any,
    overrides: dict[str, str] | None = None,
    formats: list[str] | None = None,
    on_bad_file: str | None = None,
    max_rejected: float | None = None,
) -> tuple[recipe.Recipe, Path]:
    """The recipe that is asked for, and the folder its paths are relative to."""
    base = Path.cwd()
    if isinstance(source, recipe.Recipe):
        asked = source
    elif isinstance(source, list):
        # `./-` is a file of that name, which a Path does not tell from `-`.
        texts = [os.fspath(path) for path in source]
        asked = recipe.from_paths([Path(t) if t == STDIN else Path(t).absolute() for t in texts])
    else:
        path = Path(source)
        base = path.absolute().parent
        asked = recipe.load(path, overrides)
    recipe.refuse_secrets(asked)
    changes: dict[str, Any] = {}
    if formats:
        views = {output.view for output in asked.outputs}
        changes["outputs"] = [recipe.Output(v, f) for v in sorted(views) for f in formats]  # type: ignore[arg-type]
    if on_bad_file:
        changes["on_bad_file"] = on_bad_file
    if max_rejected is not None:
        changes["max_rejected"] = max_rejected
    return msgspec.structs.replace(asked, **changes), base


def make_plan(
    asked: recipe.Recipe, base: Path, overrides: dict[str, str], stdin: str | None = None
) -> Plan:
    """Look at every input; `stdin` is a file that holds what standard input gave.

    Raises InputError for the first that is refused, unless it is skipped; where several are, the
    message has a line for each.
    """
    files: list[PlannedFile] = []
    refused: list[tuple[int, Input | str, InputError]] = []
    passed_over: list[tuple[int, InputError]] = []
    for number, source in enumerate(asked.sources):
        try:
            inputs = list_inputs(source.files, base, source.limits, stdin)
        except InputError as error:
            refused.append((number, error.place, error))
            continue
        before = len(files) + len(refused)
        no_data: list[tuple[Input, InputError]] = []
        for item in inputs:
            try:
                files.append(_plan_file(number, source, item))
            except (InputError, OSError) as error:
                why = unreadable_file(item.path, error)
                if why.reason == "input.empty" and source.allow_empty:
                    continue
                if is_passed_over(item.member, why):
                    no_data.append((item, why))
                else:
                    refused.append((number, item, why))
        if no_data and before == len(files) + len(refused):
            refused.append((number, *no_data.pop()))
        passed_over += [(number, why) for _, why in no_data]
    if refused and asked.on_bad_file == "stop":
        first = _first_of_each(refused)
        if len(first) == 1:
            raise first[0]
        raise BuildError(*map(str, first))
    setups, names = _setups(asked, files, base)
    used = _tokenizers(asked, base)
    return Plan(asked, overrides, files, setups, names, refused, passed_over, used)


def _first_of_each(refused: list[tuple[int, Input | str, InputError]]) -> list[InputError]:
    """The errors; of an archive whose members are refused for one reason, the first alone."""
    found: dict[tuple[str, str], InputError] = {}
    for _, item, error in refused:
        place = item.path if isinstance(item, Input) else error.place
        found.setdefault((place, error.reason), error)
    return list(found.values())


def _plan_file(number: int, source: recipe.Source, item: Input) -> PlannedFile:
    if source.sha256 and not item.member and sha256_of(item.path) != source.sha256.lower():
        message = "is not the file whose sha256 the recipe has"
        raise InputError("io.digest", place_of(item), message)
    found = detect(item, source.format, reading_of(source))
    _check_options(source, found.shapes, place_of(item))
    setup = FileSetup(item.name, found.framing, found.shapes)
    return PlannedFile(number, 0, item, setup, found.evidence, found.sampled, found.unread)


def reading_of(source: recipe.Source) -> Reading:
    """What the recipe says of how a source's files are to be read."""
    return Reading(source.framing, source.encoding, source.delimiter, source.salvage, source.limits)


def _check_options(source: recipe.Source, shapes: tuple[str, ...], place: str) -> None:
    """Raise UsageError where an option is of none of the formats, or has no value of theirs."""
    known = {name: formats.load(name).Options for name in shapes}
    for key, value in source.options.items():
        owners = {n: shape for n, shape in known.items() if key in shape.__struct_fields__}
        if not owners:
            raise UsageError(
                f"{source.name}: option `{key}` is none of {', '.join(shapes)}, which {place} is"
            )
        for name, shape in owners.items():
            try:
                msgspec.convert({key: value}, shape)
            except msgspec.ValidationError as error:
                raise UsageError(f"{source.name}: option `{key}` of {name}: {error}") from error


def _setups(asked: recipe.Recipe, files: list[PlannedFile], base: Path) -> tuple[Setup, list[str]]:
    """What workers are told. Each source does its own row steps, then the top's; group steps are
    numbered: those of each source, in order, then the top's."""
    group_steps: list[Any] = []
    names: list[str] = []
    own: list[tuple[int, ...]] = []
    for source in asked.sources:
        mine = [spec for spec in source.steps if steps.is_group(spec.name)]
        own.append(tuple(range(len(names), len(names) + len(mine))))
        group_steps += [_step(spec, base) for spec in mine]
        names += [spec.name for spec in mine]
    top = [spec for spec in asked.steps if steps.is_group(spec.name)]
    shared = tuple(range(len(names), len(names) + len(top)))
    group_steps += [_step(spec, base) for spec in top]
    names += [spec.name for spec in top]
    sources = []
    for number, source in enumerate(asked.sources):
        mine_files = [file for file in files if file.source == number]
        for position, file in enumerate(mine_files):
            file.number = position
        single = [spec for spec in (*source.steps, *asked.steps) if not steps.is_group(spec.name)]
        row = [spec for spec in single if not steps.is_check(spec.name)]
        checks = [spec for spec in single if steps.is_check(spec.name)]
        _refuse_twice(source.name, [spec.name for spec in checks])
        sources.append(
            SourceSetup(
                source.name,
                tuple(file.setup for file in mine_files),
                source.options,
                source.category,
                tuple(_step(spec, base) for spec in row),
                tuple(_step(spec, base) for spec in checks),
                own[number] + shared,
            )
        )
    return Setup(tuple(sources), tuple(group_steps)), names


def _refuse_twice(source: str, checks: list[str]) -> None:
    """Counts of a check stand under its name: two of one name would be one sum."""
    for name in checks:
        if checks.count(name) > 1:
            raise UsageError(
                f"{source}: the check `{name}` stands twice among its steps and those of the top: "
                "leave one"
            )


def _tokenizer_path(name: str, base: Path) -> str:
    return os.path.normpath(base / name)


def _tokenizers(asked: recipe.Recipe, base: Path) -> dict[str, str]:
    """The digests of the tokenizers that steps use: what they make depends on them."""
    specs = [*asked.steps, *(spec for source in asked.sources for spec in source.steps)]
    named = {spec.options["tokenizer"] for spec in specs if spec.options.get("tokenizer")}
    return {name: sha256_of(_tokenizer_path(name, base)) for name in sorted(named)}


def _step(spec: recipe.StepSpec, base: Path) -> Any:
    """The step with its options; a tokenizer's file is named relative to the recipe."""
    options = dict(spec.options)
    if options.get("tokenizer"):
        options["tokenizer"] = _tokenizer_path(options["tokenizer"], base)
        try:
            tokens.load(options["tokenizer"])
        except UsageError as error:
            raise UsageError(f"{spec.name}: {error}") from error
    return msgspec.convert(options, steps.load(spec.name).Step)


def _digest(path: str) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise unreadable_file(path, error) from error


class InputDigests:
    """The digests of the input files, taken beside the conversion."""

    def __init__(self, plan: Plan) -> None:
        self._paths = dict.fromkeys(file.input.path for file in plan.files)
        self._found: dict[str, str] = {}
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to read the files, beside the build."""
        self._thread.start()

    def _run(self) -> None:
        try:
            for path in self._paths:
                self._found[path] = _digest(path)
        except Exception as error:  # told to the build when it asks
            self._error = error

    def get(self) -> dict[str, str]:
        """The digests by path."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found
