"""What was measured by commands of the library, and is written down in the results by hand."""

from __future__ import annotations

from results import Rows, Section, table

FURTHER = """\
A compiler's time for a captured update, and what an update or a study took otherwise. Adam's step,
here on the sizes of the thesis, is torch's fused kernel because of it. `fit(capture="auto")`
compiles from 2,500 updates on, or from 10,000 where an example has fewer than 256 numbers."""

BFLOAT16 = """\
Test accuracy in % on digits with 50 labels, 5 seeds, and the paired difference of the two."""


def timed(rows: Rows) -> str:
    """What took how long."""
    return table(rows, {"what": "", "took": ""})


def accuracies(rows: Rows) -> str:
    """The accuracies in both precisions."""
    return table(rows, {"pair": "", "bf16": "", "fp32": "", "paired difference": ""})


SECTIONS = (
    Section("further", "Further times", FURTHER, timed),
    Section("bfloat16", "bfloat16", BFLOAT16, accuracies),
)
