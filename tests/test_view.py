"""Parts of data that are read when they are wanted."""

import made
import torch

from pyro_ssvae.data.reading import Reader
from pyro_ssvae.data.view import View, taken

INDEX = torch.tensor([5, 2, 11, 7, 0])


def view() -> View:
    return View(Reader(made.Rows(12, 1, 3, 2), workers=0), INDEX)


def whole() -> torch.Tensor:
    return made.Rows(12, 1, 3, 2)[INDEX]


def test_a_view_is_indexed_as_the_tensor_in_whose_place_it_stands() -> None:
    for key in (slice(1, 3), 2, torch.tensor([4, 0])):
        assert torch.equal(view()[key], whole()[key])


def test_a_view_has_the_shape_the_type_and_the_device_of_that_tensor() -> None:
    x = view()
    assert (len(x), x.shape) == (5, whole().shape)
    assert (x.dtype, x.device) == (whole().dtype, whole().device)


def test_a_view_splits_as_that_tensor() -> None:
    for rows, expected in zip(view().split(2), whole().split(2), strict=True):
        assert torch.equal(rows, expected)


def test_what_is_taken_of_a_view_is_not_read() -> None:
    x = view()
    some = taken(x, torch.tensor([3, 1]))
    assert isinstance(some, View) and x.reader.rows.seen == []
    assert torch.equal(some[:], whole()[[3, 1]])
    assert torch.equal(taken(whole(), torch.tensor([3, 1])), whole()[[3, 1]])
