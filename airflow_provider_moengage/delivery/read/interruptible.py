"""Calls that may hang, made in a thread of their own, so that the main thread can stop waiting for them."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from threading import Event
from typing import Any, BinaryIO, TypeVar, cast

from airflow_provider_moengage.delivery.read.fetching import Fetcher

Result = TypeVar("Result")

#: Bytes that are passed from thread to thread at a time.
BUFFER = 1024 * 1024


class InterruptibleCalls:
    """
    Makes calls in a thread of its own, one at a time.

    :param name: of the thread.
    :param what: what does not end if a call has to be abandoned, for the log.
    """

    def __init__(self, name: str, what: str) -> None:
        self._call: Callable[[], Any] = bool
        self._fetcher = Fetcher(self._outcomes(), _nothing, name=name, what=what)

    def __call__(self, call: Callable[[], Result]) -> Result:
        """
        Return what a call returns.

        :raises MoEngageStopped: :meth:`cancel` was called; the call may go on.
        """
        self._call = call
        result, error = next(self._fetcher)
        if error is not None:
            raise error
        return cast(Result, result)

    def cancel(self) -> None:
        """Stop waiting; may be called from any thread."""
        self._fetcher.cancel()

    def close(self) -> None:
        """End the thread, or abandon it."""
        self._fetcher.close()

    def _outcomes(self) -> Generator[tuple[Any, Exception | None], None, None]:
        while True:
            try:
                outcome = self._call(), None
            except Exception as error:
                yield None, error
            else:
                yield outcome


class _Interruptible(io.RawIOBase):
    """A file that is read in the thread of some calls."""

    def __init__(self, stream: Any, calls: InterruptibleCalls) -> None:
        self._stream = stream
        self._calls = calls

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._calls(lambda: self._stream.read(len(buffer)))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())


def interruptible(stream: Any, calls: InterruptibleCalls) -> BinaryIO:
    """
    Return a file whose reads are made in the thread of ``calls``.

    :param stream: one whose ``seek`` and ``tell`` wait for nothing.
    """
    return io.BufferedReader(_Interruptible(stream, calls), BUFFER)


def _nothing(over: Event) -> None:
    """Interrupt nothing: the clients of object stores have no call for it."""
