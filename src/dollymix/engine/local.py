"""Processes on this machine.

One worker runs in this process. More are fresh interpreters, each with a pipe: tasks and results
are pickled, their large buffers travel beside them through memory that both sides map, so that a
result is copied once. At most two tasks a worker are on their way, which bounds memory.
"""

from __future__ import annotations

import mmap
import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

from dollymix.errors import StoppedError

_IN_FLIGHT = 2
_LENGTH = struct.Struct("<Q")
_GROW = 1 << 20
# What a machine lacks is one line, as everywhere; the parent says that the worker has ended.
_START = """
try:
    from dollymix.engine.local import serve
    serve()
except (MemoryError, ImportError, OSError) as error:
    raise SystemExit(f"a worker process: {type(error).__name__}: {error}")
"""


class InProcess:
    """One worker: this process."""

    def map(
        self, function: Callable[[Any], Any], tasks: Iterable[Any]
    ) -> Generator[Any, None, None]:
        """The results, one by one."""
        for task in tasks:
            yield function(task)

    def close(self) -> None:
        """Nothing to stop."""


class Workers:
    """Several worker processes."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._workers: list[_Worker] = []

    def map(
        self, function: Callable[[Any], Any], tasks: Iterable[Any]
    ) -> Generator[Any, None, None]:
        """The results in the order of the tasks; a result is valid until the next is asked for."""
        selector = selectors.DefaultSelector()
        waiting: deque[_Slot] = deque()
        source = iter(tasks)
        try:
            for _ in range(self._count):
                worker = _Worker(function)
                self._workers.append(worker)
                selector.register(worker.replies, selectors.EVENT_READ, worker)
            exhausted = False
            while waiting or not exhausted:
                while not exhausted and (free := self._free_slot()) is not None:
                    try:
                        task = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    free.send(task)
                    waiting.append(free)
                if not waiting:
                    break
                self._collect(selector, waiting[0])
                slot = waiting.popleft()
                yield slot.take()
                slot.busy = False
        finally:
            selector.close()
            self.close()

    def _free_slot(self) -> _Slot | None:
        """A free slot of the worker with the least to do."""
        ready = [w for w in self._workers if w.busy() < _IN_FLIGHT]
        if not ready:
            return None
        worker = min(ready, key=_Worker.busy)
        return next(slot for slot in worker.slots if not slot.busy)

    def _collect(self, selector: selectors.BaseSelector, first: _Slot) -> None:
        """Read replies until that of the first slot is here."""
        while not first.done:
            for key, _ in selector.select():
                key.data.receive()

    def close(self) -> None:
        """Stop the workers, whatever they are doing."""
        for worker in self._workers:
            worker.stop()
        self._workers = []


class _Slot:
    """One task on its way: the memory it travels through, there and back."""

    def __init__(self, worker: _Worker, number: int) -> None:
        self.worker = worker
        self.number = number
        self.busy = False
        self.done = False
        self.reply: Any = None
        self.outward = _Memory(_memory_file())
        self.inward = _Memory(_memory_file())

    def send(self, task: Any) -> None:
        self.busy, self.done = True, False
        buffers: list[pickle.PickleBuffer] = []
        body = pickle.dumps(task, protocol=5, buffer_callback=buffers.append)
        sizes = self.outward.write(buffers)
        _write_message(self.worker.requests, (self.number, sizes, body), self.worker)

    def take(self) -> Any:
        failure, sizes, body = self.reply
        self.reply = None
        if failure:
            raise pickle.loads(body)
        return pickle.loads(body, buffers=self.inward.read(sizes))


class _Worker:
    """One worker process, seen from the parent."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.slots = [_Slot(self, number) for number in range(_IN_FLIGHT)]
        files = [s.file for slot in self.slots for s in (slot.outward, slot.inward)]
        # A signal to the whole group is the parent's to answer; it stops the workers itself.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            self.process = subprocess.Popen(
                # -P: no module is ever taken from the folder the user happens to be in.
                [sys.executable, "-P", "-c", _START, *map(str, files)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # a reply read ahead into a buffer would never be selected
                pass_fds=files,
                env=_environment(),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests: Any = self.process.stdin
        self.replies: Any = self.process.stdout
        _write_message(self.requests, function, self)

    def busy(self) -> int:
        return sum(slot.busy for slot in self.slots)

    def receive(self) -> None:
        """Read one reply into its slot."""
        message = _read_message(self.replies)
        if message is None:
            raise self.died()
        number, *reply = message
        self.slots[number].reply = reply
        self.slots[number].done = True

    def died(self) -> StoppedError:
        status = self.process.wait()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        hint = " It may have run out of memory." if status == -signal.SIGKILL else ""
        return StoppedError(
            f"a worker process ended by {how} while it converted.{hint} Nothing was published; the "
            "same command goes on from what is done so far"
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.requests.close()
        self.replies.close()
        for slot in self.slots:
            slot.outward.close()
            slot.inward.close()


class _Memory:
    """A stretch of memory that two processes share; it grows and keeps its place."""

    def __init__(self, file: int) -> None:
        self.file = file
        self._map: mmap.mmap | None = None

    def write(self, buffers: list[pickle.PickleBuffer]) -> list[int]:
        """Put the buffers one behind the other; returns their sizes."""
        views = [buffer.raw() for buffer in buffers]
        sizes = [view.nbytes for view in views]
        memory = self._mapped(sum(sizes))
        position = 0
        for view, size in zip(views, sizes, strict=True):
            memory[position : position + size] = view
            position += size
        return sizes

    def read(self, sizes: list[int]) -> list[memoryview]:
        """The buffers, without a copy."""
        if not sizes:
            return []
        view = memoryview(self._mapped(sum(sizes)))
        found: list[memoryview] = []
        position = 0
        for size in sizes:
            found.append(view[position : position + size])
            position += size
        return found

    def _mapped(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            length = max(os.fstat(self.file).st_size, -(-max(size, 1) // _GROW) * _GROW)
            os.ftruncate(self.file, length)
            # An older mapping stays alive as long as a view of it does.
            self._map = mmap.mmap(self.file, length)
        return self._map

    def close(self) -> None:
        os.close(self.file)
        self._map = None


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("dollymix", 0)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _environment() -> dict[str, str]:
    """The environment in which a worker finds the same modules as this process."""
    package = str(Path(__file__).parents[2])
    paths = [package, *(path for path in sys.path if path and path != package)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _write_message(file: Any, message: Any, worker: _Worker | None = None) -> None:
    body = pickle.dumps(message, protocol=5)
    view = memoryview(_LENGTH.pack(len(body)) + body)
    try:
        while len(view):
            view = view[file.write(view) :]
    except BrokenPipeError as error:
        raise (worker.died() if worker else error) from error


def _read_message(file: Any) -> Any:
    """The next message; None at the end."""
    head = _read_exactly(file, _LENGTH.size)
    if head is None:
        return None
    body = _read_exactly(file, _LENGTH.unpack(head)[0])
    return None if body is None else pickle.loads(body)


def _read_exactly(file: Any, size: int) -> bytes | None:
    pieces: list[bytes] = []
    while size:
        piece = file.read(size)
        if not piece:
            return None
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def serve() -> None:
    """The life of a worker: tasks in, results out, until the parent is gone."""
    files = [int(file) for file in sys.argv[1:]]
    requests, replies = os.fdopen(0, "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    # What a user's module prints must not end up among the replies.
    os.dup2(2, 1)
    memories = [(_Memory(a), _Memory(b)) for a, b in zip(files[::2], files[1::2], strict=True)]
    function = _read_message(requests)
    while (message := _read_message(requests)) is not None:
        number, sizes, body = message
        outward, inward = memories[number]
        buffers: list[pickle.PickleBuffer] = []
        try:
            task = pickle.loads(body, buffers=outward.read(sizes))
            result = function(task)
            reply = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
            failure = False
        except Exception as error:  # told to the parent, which raises it
            reply, failure, buffers = _pickled(error), True, []
        try:
            _write_message(replies, (number, failure, inward.write(buffers), reply))
        except BrokenPipeError:
            return  # the parent is gone


def _pickled(error: Exception) -> bytes:
    try:
        body = pickle.dumps(error)
        pickle.loads(body)
    except Exception:  # an exception that cannot travel: its words can
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return body


def engine(workers: int) -> InProcess | Workers:
    """The engine with that many workers."""
    return InProcess() if workers <= 1 else Workers(workers)
