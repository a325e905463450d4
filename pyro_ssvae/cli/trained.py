"""The commands for what is trained: ``pyro-ssvae predict | sample | calibrate | export``."""

from __future__ import annotations

from typing import Any

import click

from pyro_ssvae.cli.group import main
from pyro_ssvae.cli.options import (
    data_root_option,
    device_option,
    reading_options,
    trained_on,
)
from pyro_ssvae.cli.output import Output, output_options


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.argument("file", type=click.Path())
@click.option("--out", type=click.Path(), default=None,
              help="File to write the table to, FILE.csv; default standard output.")
@device_option
@output_options
def predict(folder: str, file: str, out: str | None, device: str, output: Output) -> None:
    """Predict the labels of the examples in FILE with the run in DIR, as a CSV table.

    FILE is FILE.csv with the columns of the training data, FILE.npz with an array x, or a folder of
    images. The table has a row for each example, in order: the likeliest label, and the
    probabilities of all.
    """
    from pyro_ssvae.data import further
    from pyro_ssvae.errors import InputError
    from pyro_ssvae.experiments import predictor

    _check(out)
    trained = predictor.load(folder, device=device)
    examples = further.read(file, trained.dataset)
    try:
        table = trained.table(examples.x)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    if examples.names is not None:
        table.insert(0, "file", examples.names)
    _write_table(table, out, output)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--label", "labels", multiple=True, metavar="NAME",
              help="Class, or label that is present, or real number, of which examples are drawn;"
                   " may be repeated. Default whatever the model draws.")
@click.option("--number", default=16, show_default=True, help="Examples of each label.")
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
@click.option("--out", type=click.Path(), default=None,
              help="File to write to: FILE.png or FILE.svg of images, default DIR/samples.png; or"
                   " FILE.csv of tables, default standard output.")
@device_option
@output_options
def sample(
    folder: str, labels: tuple[str, ...], number: int, seed: int, out: str | None, device: str,
    output: Output,
) -> None:
    """Draw examples from the model of the run in DIR, given a label or several.

    Images are shown in a grid, a column for each label; images of a row have their noise in common.
    Other examples are the rows of a table, with their label in the first column.
    """
    from pathlib import Path

    from pyro_ssvae.errors import InputError
    from pyro_ssvae.experiments import predictor
    from pyro_ssvae.experiments.folder import SAMPLES

    _check(out)
    trained = predictor.restored(folder, device=device)
    images = trained.dataset.images
    wanted = (".png", ".svg") if images else (".csv",)
    if out is not None and Path(out).suffix.lower() not in wanted:
        raise InputError(f"{out}: expected a file {' or '.join(f'FILE{each}' for each in wanted)}"
                         f" for {'images' if images else 'a table'}")
    each = labels or (None,)
    if images:
        drawn = [trained.sampled(label, number, seed=seed) for label in each]
        place = Path(folder) / SAMPLES if out is None else Path(out)
        _write_images(drawn, labels, place)
        number *= len(each)
        output.result(
            f"{number} images; written to {place}", {"images": number, "file": str(place)}
        )
    else:
        tables = [trained.sample(label, number, seed=seed + k) for k, label in enumerate(each)]
        _write_table(_joined(tables, labels), out, output)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--data", "data_name", default=None,
              help="File or folder of your own that it was trained on.")
@reading_options
@data_root_option
@device_option
@output_options
def calibrate(
    folder: str, data_name: str | None, data_root: str | None, device: str, output: Output,
    **reading: Any,
) -> None:
    """Calibrate the predictions of the run in DIR by a temperature, on its validation data.

    The temperature is kept in DIR, and predict and export use it. Shown are the scores of the
    validation part before and after.
    """
    from dataclasses import asdict

    from pyro_ssvae.experiments.calibrate import calibrate as carry_out

    dataset = trained_on(folder, data_name, data_root, reading)
    result = carry_out(folder, dataset=dataset, root=data_root, device=device)
    lines = [f"{'':24} {'before':>10} {'after':>10}"]
    for name, value in result.before.items():
        lines.append(f"{name:24} {value:>10.4g} {result.after[name]:>10.4g}")
    found = ", ".join(f"{each:.4g}" for each in result.temperatures)
    what = "temperatures" if len(result.temperatures) > 1 else "temperature"
    lines.append(f"{what} {found}, of {result.examples} validation examples; kept in {folder}")
    output.result("\n".join(lines), {"folder": folder, **asdict(result)})


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--out", type=click.Path(), required=True, help="File to write, FILE.pt2.")
@output_options
def export(folder: str, out: str, output: Output) -> None:
    """Write the classifier of the run in DIR as a program that needs neither this library nor Pyro.

    torch.export.load(FILE).module() takes examples as the run was trained on, in batches of any
    size, and gives probabilities. The names of the classes are in the file's metadata.json.
    """
    from pyro_ssvae.experiments.export import METADATA
    from pyro_ssvae.experiments.export import export as carry_out

    about = carry_out(folder, out)
    shape = ", ".join(["n", *map(str, about["shape"])])
    given = ", ".join(about["outputs"][:12]) + ", ..." * (len(about["outputs"]) > 12)
    output.result(
        f"from x ({shape}) {about['dtype']} to {given}; names and columns are in {METADATA}\n"
        f"written to {out}",
        about | {"file": out},
    )


def _check(out: str | None) -> None:
    """Check the name of a file to write, before what takes long."""
    from pathlib import Path

    from pyro_ssvae.system.files import check_place

    if out is not None:
        check_place(Path(out))


def _write_table(table: Any, out: str | None, output: Output) -> None:
    from pyro_ssvae.system.files import write_text

    text = table.to_csv(index=False, lineterminator="\n", float_format="%.9g")
    if out is None:
        output.result(text.rstrip("\n"), table.to_dict("records"))
    else:
        write_text(out, text)
        output.result(f"{len(table)} rows; written to {out}", {"rows": len(table), "file": out})


def _joined(tables: list[Any], labels: tuple[str, ...]) -> Any:
    """Tables or arrays (n, D), one below the other, with their labels."""
    import pandas

    frames = []
    for index, table in enumerate(tables):
        if not isinstance(table, pandas.DataFrame):
            names = [f"x{k + 1}" for k in range(table.shape[1])]
            table = pandas.DataFrame(table, columns=names)
        if labels:
            table.insert(0, "label", labels[index], allow_duplicates=True)
        frames.append(table)
    return pandas.concat(frames, ignore_index=True)


def _write_images(drawn: list[Any], labels: tuple[str, ...], out: Any) -> None:
    """A grid of images (n, C, H, W): a column for each label, or a square of one."""
    import torch

    from pyro_ssvae.report import drawing, plots
    from pyro_ssvae.system.files import replacing

    names = [drawing.plain(label, None) for label in labels]
    if len(drawn) > 1:
        figure = plots.tiled(torch.stack(drawn, dim=1).flatten(0, 1), len(drawn), names)
    else:
        (images,) = drawn
        columns = max(k for k in range(1, int(len(images) ** 0.5) + 1) if len(images) % k == 0)
        columns = len(images) // columns
        figure = plots.tiled(images, columns, None)
        if names:
            figure.axes[0].set_title(names[0], fontsize=10)
    with replacing(out) as temporary:
        figure.savefig(temporary, dpi=120)
