# SPDX-License-Identifier: Apache-2.0
"""Rewrites before a graph is compiled: Graph to Graph, one per file."""

from __future__ import annotations

from thimble.ir import Graph, Model


def compilable(model: Model) -> Graph:
    """The main graph with all that only exists at compile time taken out of it."""
    return model.main
