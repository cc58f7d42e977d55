# SPDX-License-Identifier: Apache-2.0
"""`python -m thimble.zoo NAME -o FILE [option=value ...]`: write an architecture as `.tflite`."""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path
from typing import Any

from thimble import zoo
from thimble.errors import OptionError, ThimbleError
from thimble.exporters.tflite import model_to_bytes


def _choice(text: str) -> tuple[str, Any]:
    """`width=0.5` as `("width", 0.5)`."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise OptionError(f"'{text}' is not of the form option=number") from None


def main(arguments: list[str] | None = None) -> int:
    """Write one model; the exit code is 2 after a mistake in the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m thimble.zoo", description="Write an int8 model with seeded weights."
    )
    parser.add_argument("name", metavar="NAME", help=", ".join(zoo.names()))
    parser.add_argument("choices", metavar="option=value", nargs="*", help="such as width=0.5 resolution=96 seed=3")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        data = model_to_bytes(zoo.build(given.name, **dict(_choice(c) for c in given.choices)))
        given.output.write_bytes(data)
    except (ThimbleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{given.output}: {len(data):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
