"""Signals that ask a training to end, heeded between two updates."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """SIGINT (Ctrl-C) or SIGTERM has ended what was under way.

    Attributes:
        number: The signal's number.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Signals:
    """Takes SIGINT and SIGTERM in charge, as a context manager, in the main thread.

    Args:
        wait: Whether the first signal only sets :attr:`came`, for the block to heed. All others
            raise :class:`Interrupted` at once.

    Attributes:
        came: The number of the signal that came, or None.
    """

    def __init__(self, *, wait: bool = False) -> None:
        self.wait = wait
        self.came: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.wait and self.came is None:
            self.came = number
            return
        raise Interrupted("interrupted", number)
