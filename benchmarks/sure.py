"""Time of an update of M2 whose classifier is sure of its classes: `python benchmarks/sure.py`.

M2 of the thesis's size on made-up data, 100 + 100 examples, in milliseconds: with weights as they
begin, and with a classifier whose logits have a deviation of 30 nats, as M2's have after some
epochs on images. Of a class of probability 1e-38 the gradients are subnormal numbers in float32,
with which processors multiply many times slower. The objective counts a probability below 1e-31 as
zero. "Eager torch" is M2 as it is written by hand, without that.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import peers
import torch
from measure import DEVICE, alternating, machine
from results import Row, Rows, Section, record, table
from targets import CAPTURED, EAGER, TORCH
from torch import Tensor, nn
from workloads import THESIS, m2, made_up, step

from pyro_ssvae.training.capturing import Way

DEVIATION = 30.0  # nats, of a logit over the images
BEGUN, SURE = "as it begins", "sure"
WAYS: dict[str, Way] = {EAGER: "off", CAPTURED: "on"}
BURST = 3  # counted updates in a round


def made_sure(classifier: nn.Module, x: Tensor) -> None:
    """Have a classifier tell the images x (N, D) apart, with logits that are far apart."""
    *_, last = (layer for layer in classifier.modules() if isinstance(layer, nn.Linear))
    seen: list[Tensor] = []
    hook = last.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    with torch.no_grad():
        classifier(x)
        hook.remove()
        mean = seen[0].mean(0)
        factor = DEVIATION / (seen[0] - mean).std()
        last.weight *= factor
        last.bias.copy_(factor * (last.bias - mean))


def update(way: str, *, sure: bool) -> Callable[[], object]:
    """An update in a way, which has been made once."""
    torch.manual_seed(0)
    if way == TORCH:
        networks = peers.Eager(THESIS).to(DEVICE)
        call, classifier = peers.trained(networks), networks.classifier
    else:
        objective = m2(THESIS)
        call, classifier = step(objective, WAYS[way]), objective.guide.get_submodule("classifier")
    batch = made_up(THESIS)
    if sure:
        made_sure(classifier, batch.u)
    result = partial(call, batch)
    result()
    return result


def measured(rounds: int) -> list[Row]:
    """The medians of each way, of weights as they begin and of sure ones."""
    calls = {(way, state): update(way, sure=state == SURE)
             for way in (*WAYS, TORCH) for state in (BEGUN, SURE)}
    times = alternating(calls, rounds, BURST)
    return [
        {"way": way, **{state: statistics.median(times[way, state]) for state in (BEGUN, SURE)}}
        for way in (*WAYS, TORCH)
    ]


def tables(rows: Rows) -> str:
    """The medians."""
    return table(rows, {"way": "", BEGUN: ".1f", SURE: ".1f"})


SECTION = Section("sure", "A sure classifier, `sure.py`", str(__doc__), tables)


def main(rounds: int) -> None:
    """Measure, print and record."""
    print(machine(), flush=True)
    rows = measured(rounds)
    print(tables(rows))
    record(SECTION.name, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--rounds", type=int, default=10, help="of each way and state")
    main(parser.parse_args().rounds)
