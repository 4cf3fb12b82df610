"""The first Ctrl-C waits for the end of a step, the second does not."""

import os
import signal
import threading

import pytest

from joco_mlx.train.interruption import deferred_interrupts


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_is_held_back():
    with deferred_interrupts() as stopped:
        assert not stopped()
        press()
        assert stopped()


def test_the_second_interrupts():
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        press()
        press()


def test_afterwards_everything_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_get_an_answer_too():
    answers = []

    def work():
        with deferred_interrupts() as stopped:
            answers.append(stopped())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]
