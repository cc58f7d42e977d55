# SPDX-License-Identifier: Apache-2.0
"""File to Graph, one importer per format."""
