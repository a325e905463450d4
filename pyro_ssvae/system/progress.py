"""Progress with the time left: a bar on a terminal, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

QUIET = 2.0  # seconds before anything is said: what ends sooner needs no progress
INTERVAL = 10.0  # seconds between two plain lines


class Progress:
    """Tells on standard error how far something is, and how much time is left.

    Use it as a context manager. On a terminal it is a bar; elsewhere, as in a file, it is a plain
    line every :data:`INTERVAL` seconds. Within the first :data:`QUIET` seconds it says nothing.

    Args:
        what: The name of what is being done, such as ``"training m2, seed 0"``.
        total: The number of steps in all.
        unit: The plural name of a step, such as ``"updates"``.
        done: The number of steps that were done before.
        show: Whether to say anything at all.
    """

    def __init__(
        self, what: str, total: int, unit: str, *, done: int = 0, show: bool = True
    ) -> None:
        self.what, self.total, self.unit, self.done, self.show = what, total, unit, done, show
        self.before, self.remark = done, ""
        self.began = self.spoke = time.monotonic()
        self.bar = None
        if show and sys.stderr.isatty():
            self.bar = tqdm(
                total=total, initial=done, desc=what, unit=f" {unit}", delay=QUIET, leave=False,
                dynamic_ncols=True,
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, steps: int = 1) -> None:
        """Count so many more steps as done."""
        self.done += steps
        if self.bar is not None:
            self.bar.update(steps)
        elif self.show:
            self._speak(time.monotonic())

    def note(self, **values: float) -> None:
        """Show these values beside the progress, from now on."""
        self.remark = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        if self.bar is not None:
            self.bar.set_postfix_str(self.remark)

    def _speak(self, now: float) -> None:
        first = self.spoke == self.began
        if now - self.spoke < (QUIET if first else INTERVAL) or self.done >= self.total:
            return
        self.spoke = now
        left = (now - self.began) / (self.done - self.before) * (self.total - self.done)
        remark = f"; {self.remark}" if self.remark else ""
        print(
            f"{self.what}: {self.done} of {self.total} {self.unit}, {duration(left)} left{remark}",
            file=sys.stderr, flush=True,
        )


def duration(seconds: float) -> str:
    """A time for people: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(1, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def say(line: str, *, error: bool = False) -> None:
    """Print a line to standard output, or to standard error, above the bars that are shown."""
    stream = sys.stderr if error else sys.stdout
    tqdm.write(line, file=stream)
    stream.flush()  # a line in a file is to be there when the run it tells of has ended
