# SPDX-License-Identifier: Apache-2.0
"""The command line: one file per verb. Only this folder prints, catches errors and chooses exit codes."""
