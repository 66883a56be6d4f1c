import os
import signal
import threading

import pytest

from cluster.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_the_second_leaves(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    calls = []
    with Signals() as signals:
        signals.on_request(lambda: calls.append(1))
        os.kill(os.getpid(), number)
        assert signals.received and calls == [1]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_request_that_came_early_is_passed_on() -> None:
    calls = []
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        signals.on_request(lambda: calls.append(1))
    assert calls == [1]


def test_handlers_that_a_library_replaced_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signals.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_no_handler_is_touched() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def inside() -> None:
        with Signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]
