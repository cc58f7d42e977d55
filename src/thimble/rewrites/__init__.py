# SPDX-License-Identifier: Apache-2.0
"""Rewrites before a graph is compiled: Graph to Graph, one per file."""

from __future__ import annotations

from thimble.ir import Graph, Model
from thimble.rewrites.expose_state import expose_state
from thimble.rewrites.fold_constants import fold_constants
from thimble.rewrites.resolve_resources import resolve_resources
from thimble.rewrites.settle_results import settle_results
from thimble.rewrites.signed import signed


def compilable(model: Model) -> Graph:
    """The main graph with all that only exists at compile time taken out of it.

    Raises:
        UnsupportedOperatorError: a state that cannot be known at compile time.
    """
    return signed(fold_constants(expose_state(settle_results(resolve_resources(model)))))


__all__ = ["compilable", "expose_state", "fold_constants", "resolve_resources", "settle_results", "signed"]
