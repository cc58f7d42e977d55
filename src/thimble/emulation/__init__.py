# SPDX-License-Identifier: Apache-2.0
"""The parts of `thimble.emulate`: machines, toolchains, firmware, its sizes and stack, and the run."""
