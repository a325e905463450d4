"""The page of the benchmarks is made of their results, and what `make bench` runs can run."""

import importlib
import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import command
import labels
import page
import peers
import pytest
import results
import targets
import torch
import updates
from measure import alternating, matrix_products, product_bytes
from workloads import DIGITS, m2, made_up, step

ROOT = Path(__file__).parent.parent
SMALL = DIGITS._replace(x_dim=4, hidden=3, z_dim=2, classes=2, rows=4)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
(NAMES,) = re.findall(r"^BENCHMARKS := (.*)$", MAKEFILE, re.MULTILINE)


def ways(**ratios: dict[str, float]) -> list[dict[str, object]]:
    """Rows of the thesis' workload: the ratios of the captured update, and of its products."""
    named = {"captured": targets.CAPTURED, "products": targets.FLOOR}
    return [
        {"workload": "thesis", "way": named[name], "ms": 2.0, "MB": 1.0, "ratio": ratio}
        for name, ratio in ratios.items()
    ]


def found(rows: list[dict[str, object]]) -> results.Found:
    return {"machine": "an abacus", "command": "python benchmarks/updates.py", "rows": rows}


def test_the_page_is_what_is_made_of_the_results() -> None:
    expected = page.page({device: results.read(device) for device in page.DEVICES})
    written = (results.FOLDER / "README.md").read_text(encoding="utf-8")
    assert written == expected, "run python benchmarks/page.py"


def test_the_figures_that_the_page_shows_are_there() -> None:
    written = (results.FOLDER / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", written):
        assert (results.FOLDER / name).is_file(), name


def test_every_result_has_its_section() -> None:
    names = [section.name for section in page.SECTIONS]
    assert len(set(names)) == len(names)
    for device in page.DEVICES:
        assert set(results.read(device)) <= set(names)


@pytest.mark.parametrize("name", NAMES.split())
def test_what_make_bench_runs_can_be_imported_and_has_its_part_of_the_page(name) -> None:
    module = importlib.import_module(name)
    assert name == "page" or module.SECTION in page.SECTIONS


def test_a_miss_is_told_beside_what_the_products_alone_take() -> None:
    rows = ways(captured={targets.TORCH: 0.8, targets.FLOOR: 1.1}, products={targets.TORCH: 0.75})
    assert [(row["to"], row[""], row["the products alone"]) for row in targets.verdicts(rows)] == [
        (targets.TORCH, "miss", 0.75), (targets.FLOOR, "hit", None),
    ]
    assert targets.misses(rows) == [("thesis", targets.CAPTURED)]
    assert "| thesis | pyro-ssvae, captured | eager torch | 0.70 | 0.800 | miss | 0.75 |" in (
        page.page({"cpu": {"updates": found(rows)}})
    )


def test_without_a_peer_there_is_no_column_and_no_target_of_it() -> None:
    text = page.page({"cpu": {"updates": found(ways(captured={targets.FLOOR: 1.2}))}})
    assert "NumPyro |" not in text and "to matrix products |" in text
    assert text.count("| miss |") == 1


def test_bfloat16_that_is_emulated_is_neither_a_hit_nor_a_miss() -> None:
    rows = [{"workload": "thesis", "way": targets.BF16, "ratio": {targets.TORCH: 9.0}}]
    assert [row[""] for row in targets.verdicts(rows)] == ["no instructions"]
    rows.append({"workload": "thesis", "way": targets.FLOORS[targets.BF16], "ratio": {}})
    assert targets.misses(rows) == []  # nothing is known of the products
    rows[-1]["ratio"] = {targets.TORCH: 0.4}
    assert targets.misses(rows) == [("thesis", targets.BF16)]


def test_a_gpu_has_its_own_part_and_figure() -> None:
    rows = ways(captured={targets.FLOOR: 1.0}, products={targets.FLOOR: 1.0})
    text = page.page({"cpu": {"updates": found(rows)}, "cuda": {"updates": found(rows)}})
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == ["On a CPU", "On a GPU"]
    assert "(updates.png)" in text and "(updates-cuda.png)" in text


def test_results_of_a_benchmark_replace_its_own_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/classes.py", "--rounds", "2"])
    device = results.DEVICE.type
    results.record("classes", [{"classes": 2}], tmp_path)
    results.record("labels", [{"labels": 1}], tmp_path)
    results.record("classes", [{"classes": 3}], tmp_path)
    read = results.read(device, tmp_path)
    assert {name: each["rows"] for name, each in read.items()} == {
        "classes": [{"classes": 3}], "labels": [{"labels": 1}],
    }
    assert read["classes"]["command"] == "python benchmarks/classes.py --rounds 2"
    assert torch.__version__.partition("+")[0] in read["classes"]["machine"]


def test_the_power_of_a_linear_cost_is_one() -> None:
    rows = [{"labels": c, "relaxed": 0.03 * c} for c in (10, 100, 200, 1_000)]
    assert labels.power(rows) == pytest.approx(1.0)
    assert "| 100 | 1,000 | 1.10 | 1.00 | hit |" in labels.tables(rows)


def test_figures_are_drawn_of_results(tmp_path) -> None:
    for section in page.SECTIONS:
        of = results.read("cpu").get(section.name)
        if section.drawn is not None and of is not None:
            assert section.drawn(of["rows"]).axes


def test_ways_take_turns() -> None:
    turns = []
    calls = {name: lambda name=name: turns.append(name) for name in "ab"}
    times = alternating(calls, rounds=2, burst=1)
    assert turns == list("aaabbb" * 2) and {name: len(own) for name, own in times.items()} == {
        "a": 2, "b": 2,
    }


def test_the_matrix_products_of_an_update_are_its_own() -> None:
    def update() -> None:
        x = torch.ones(2, 3, requires_grad=True)
        (x @ torch.ones(3, 5)).exp().sum().backward()

    assert matrix_products(update)() is None
    forward = 4 * (2 * 3 + 3 * 5 + 2 * 5)
    assert product_bytes(update) == 2 * forward  # and the gradient of x, of as many numbers


@pytest.mark.parametrize("make", [
    peers.pyro_recipe, peers.eager_torch, lambda sizes: step(m2(sizes), "off"),
])
def test_peers_update(make) -> None:
    torch.manual_seed(0)
    update, batch = make(SMALL), made_up(SMALL)
    losses = update(batch)
    values = losses.values() if isinstance(losses, dict) else losses
    assert all(math.isfinite(value) for value in values)


def test_the_page_of_updates_has_a_table_of_each_workload() -> None:
    rows = results.read("cpu")["updates"]["rows"]
    text = updates.tables(rows)
    for workload in updates.WORKLOADS:
        assert updates.described(workload) in text


def test_the_parts_of_a_command_are_timed(tmp_path) -> None:
    script = ROOT / "benchmarks" / "command.py"
    out = str(tmp_path / "run")
    run = subprocess.run(
        [sys.executable, str(script), "child", "m2", "digits", "1", out, str(time.time())],
        check=True, capture_output=True, text=True,
    )
    found = json.loads(run.stdout.splitlines()[-1])
    parts = {name: found[name] for name in command.PARTS}
    assert all(seconds > 0 for seconds in parts.values())
    assert sum(parts.values()) <= found["whole"]
