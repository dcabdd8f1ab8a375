"""The convolutions of a SevenNet model through ``torch.compile``: the same sums in fewer passes over memory.

A convolution is bound by memory: it gathers features along edges, multiplies them with spherical harmonics and
weights, and sums what arrives at each atom, one array of edges after the other. Compiled as one function these
arrays are never written. Measured on a CPU at 31 atoms: 1.6 to 1.9 times fewer CPU seconds for a call of 7net-0, after
two CPU minutes of compiling; its outcome stays in torch's cache on disk, from which the next process takes it in 20 s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

RECOMPILE_LIMIT = 64
"""Variants of one function that torch may compile: all layers share a function, and sizes of 0 and 1 are special."""


@contextlib.contextmanager
def _products_open_to_the_compiler() -> Iterator[None]:
    """Let e3nn build its tensor products as graphs: those it has scripted itself cannot be compiled again."""
    import e3nn

    before = e3nn.get_optimization_defaults()
    e3nn.set_optimization_defaults(jit_script_fx=False)
    try:
        yield
    finally:
        e3nn.set_optimization_defaults(**before)


def build_compiled(checkpoint: Any) -> Any:
    """Return the model of a sevenn checkpoint with its convolutions to be compiled on their first call."""
    import torch
    from sevenn.nn.convolution import IrrepsConvolution

    torch._dynamo.config.recompile_limit = max(RECOMPILE_LIMIT, torch._dynamo.config.recompile_limit)
    with _products_open_to_the_compiler():
        model = checkpoint.build_model()
    for parameter in model.parameters():
        parameter.requires_grad = False
    for name, module in list(model._modules.items()):
        if isinstance(module, IrrepsConvolution):
            model.replace_module(name, _compiled(module))
    return model


def _compiled(plain: Any) -> Any:
    """Return a module that does what the convolution ``plain`` does."""
    import torch

    def convolve(x: Any, sphericals: Any, embedding: Any, source: Any, target: Any) -> Any:
        message = plain.convolution(x[source], sphericals, plain.weight_nn(embedding))
        arrived = torch.zeros(x.shape[0], message.shape[1], dtype=x.dtype, device=x.device)
        return arrived.index_add(0, target, message) / plain.denominator

    class CompiledConvolution(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.plain = plain
            self.convolve = torch.compile(convolve, fullgraph=True)

        def forward(self, data: Any) -> Any:
            edges = data[plain.key_edge_idx]
            if edges.shape[1] == 0:
                return self.plain(data)
            keys = (plain.key_x, plain.key_filter, plain.key_weight_input)
            arguments = [*(data[key] for key in keys), edges[1], edges[0]]
            for argument in arguments:  # the numbers of atoms and edges vary, those of features and weights do not
                torch._dynamo.maybe_mark_dynamic(argument, 0)
            data[plain.key_x] = self.convolve(*arguments)
            return data

    return CompiledConvolution()
