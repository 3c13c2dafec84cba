"""Functions that workers can be told."""

import os
import pickle
import signal
import time


def double(number):
    """Twice the number."""
    return 2 * number


def slow_first(number):
    """The number; the first ones take longest."""
    time.sleep(max(0, 5 - number) / 50)
    return number


def process(number):
    """The number, and which process was asked."""
    time.sleep(0.01)
    return number, os.getpid()


def echo(buffer):
    """The same bytes, beside the pickle."""
    return pickle.PickleBuffer(bytearray(buffer))


class OddError(Exception):
    """An exception that takes two arguments and tells both."""

    def __init__(self, number, word):
        super().__init__(number, word)
        self.number = number
        self.word = word


def fail_at_three(number):
    """The number; an exception at three."""
    if number == 3:
        raise OddError(number, "word")
    return number


def fail_without_words(number):
    """An exception that cannot be pickled."""

    class HiddenError(Exception):
        pass

    raise HiddenError(f"number {number}")


def kill_at_three(number):
    """The number; at three the process is killed."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def leave_at_three(number):
    """The number; at three the process ends."""
    if number == 3:
        os._exit(5)
    return number


def talk(number):
    """The number; prints on standard output."""
    os.write(1, b"words among the replies\n")
    return number
