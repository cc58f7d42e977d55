# SPDX-License-Identifier: Apache-2.0
"""Rewrites before a graph is compiled: Graph to Graph, one per file."""

from __future__ import annotations

from functools import lru_cache

from thimble.ir import Graph, Model
from thimble.rewrites.expose_state import expose_state
from thimble.rewrites.fold_constants import fold_constants
from thimble.rewrites.fold_pad import fold_pad
from thimble.rewrites.hand_over import hand_over
from thimble.rewrites.resolve_resources import resolve_resources
from thimble.rewrites.settle_results import settle_results
from thimble.rewrites.signed import signed


@lru_cache(maxsize=4)
def compilable(model: Model, *, merge: bool = False) -> Graph:
    """The main graph with all that only exists at compile time taken out of it; with `merge` (rung 3) padding, too.

    Raises:
        UnsupportedOperatorError: a state that cannot be known at compile time.
    """
    graph = signed(fold_constants(expose_state(settle_results(resolve_resources(model)))))
    return fold_pad(graph) if merge else graph


__all__ = [
    "compilable",
    "expose_state",
    "fold_constants",
    "fold_pad",
    "hand_over",
    "resolve_resources",
    "settle_results",
    "signed",
]
