# SPDX-License-Identifier: Apache-2.0
"""Graph to file, one exporter per format."""
