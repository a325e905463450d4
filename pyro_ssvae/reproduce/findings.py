"""What a reproduction has found: rows beside the published numbers, claims, and pictures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from matplotlib.figure import Figure

from pyro_ssvae.reproduce.draws import deviation


@dataclass(frozen=True)
class Row:
    """A number that was measured, beside the one that was published.

    Attributes:
        what: What was measured, and its unit: ``"M2, alpha = 1: test accuracy, %"``.
        found: The values of all draws or trials, one or more.
        published: The published value, or None.
        spread: The published standard deviation, or None.
        source: The place where it was published, with its setting: ``"table 1, 500 epochs"``.
    """

    what: str
    found: Sequence[float]
    published: float | None = None
    spread: float | None = None
    source: str = ""

    @property
    def mean(self) -> float:
        """The mean over the draws."""
        return statistics.fmean(self.found)

    @property
    def deviation(self) -> float:
        """The sample standard deviation over the draws; NaN of a single one."""
        return deviation(self.found)


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        text: The claim, in a sentence.
        source: The place where the paper makes it.
        holds: Whether the numbers of this run bear it out, computed from them. None where they do
            not tell.
        because: The numbers that decide, in a sentence.
        data: The name of the data set that it is about, of a study on several whose scales may
            differ; otherwise ``""``.
    """

    text: str
    source: str
    holds: bool | None
    because: str
    data: str = ""


def on_data(data: str, claims: Iterable[Claim]) -> list[Claim]:
    """Claims that are about one of a study's data sets, and say so."""
    return [replace(claim, data=data) for claim in claims]


@dataclass(frozen=True)
class Picture:
    """A figure of a reproduction.

    Attributes:
        name: The name of its file, without the ending.
        figure: The figure.
        caption: What it shows, in words that do for those who cannot see it.
    """

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Findings:
    """What a reproduction has found.

    Attributes:
        title: What was reproduced, and of which paper.
        setting: The data, the labels, the epochs and the draws of this run, in a sentence or two.
        rows: The numbers.
        claims: The claims.
        pictures: The figures.
        whole: Whether nothing was left out for want of data. Without it this is no full scale.
    """

    title: str
    setting: str
    rows: Sequence[Row] = field(default_factory=tuple)
    claims: Sequence[Claim] = field(default_factory=tuple)
    pictures: Sequence[Picture] = field(default_factory=tuple)
    whole: bool = True
