# SPDX-License-Identifier: Apache-2.0
"""Every error Thimble raises on purpose, in one hierarchy.

`ThimbleError` is the user's fault and ends in exit code 2; its message names the file, the operator and
what to do. "Does not fit" is not an error but a value (`memory.Infeasible`). `InternalError` is our bug.
"""


class ThimbleError(Exception):
    """Base of all errors that the user can act on."""


class ModelError(ThimbleError):
    """A model file that cannot be read: truncated, hostile, or outside what is supported."""


class UnsupportedOperatorError(ModelError):
    """An operator that the requested step cannot handle."""


class ShapeError(ModelError):
    """Operand shapes that the operator does not allow."""


class BoardError(ThimbleError):
    """A board file with a missing, unknown or nonsensical entry."""


class OptionError(ThimbleError):
    """A command-line option or API argument with a value that makes no sense."""


class InternalError(Exception):
    """The verifier found a broken invariant: a bug in Thimble, never the user's fault."""
