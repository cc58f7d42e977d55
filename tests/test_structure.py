# SPDX-License-Identifier: Apache-2.0
"""The shape of the code itself: import order, line budget, and documents that name real files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "thimble"
LINE_BUDGET = 48_000  # all of src and core; raising it is a decision
FILE_BUDGET = 600  # a longer file has more than one reason to exist

# Each module may import from its own layer only within its own folder, and from the layers before it.
LAYERS = (
    ("errors",),
    ("ir", "units", "watch"),
    ("memory", "target", "board", "files", "kernel", "layout"),
    ("ops", "program", "row_order", "features", "placement"),
    ("patches", "slices"),
    (
        "text",
        "verify",
        "verify_pack",
        "verify_program",
        "lifetime",
        "execute",
        "streaming",
        "probes",
        "instructions",
        "c_arenas",
    ),
    ("runtimes", "place_model", "verify_place", "c_rows"),
    ("cost",),
    ("importers", "mapping", "pack", "csvio", "schedule", "lower", "rewrites", "emit", "condense", "recompute"),
    ("exporters", "tflm", "supported", "arena", "merged_order", "place", "views"),
    ("choose",),
    ("zoo", "ladder", "compile", "host", "place_parts"),
    ("emulation", "place_board"),
    ("emulate", "placed"),
    ("packaging", "selftest"),
    ("bundle",),
    ("inference", "climb"),
    ("judge", "front", "fitrate"),
    ("pipeline",),
    ("produce",),
    ("plot", "plot_place", "compare"),
    ("report_ladder",),
    ("report", "report_compile", "report_place"),
    ("commands",),
)
ALLOWED_IN_VERIFIER = {"errors", "ir", "memory", "ops", "program", "placement"}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def thimble_imports(path: Path) -> set[str]:
    """Second part of every `thimble.x...` that the file imports, inside functions too."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not _only_for_types(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "thimble":
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "thimble" else [node.module]
            found.update(part_of(name) for name in names)
        elif isinstance(node, ast.Import):
            found.update(part_of(a.name) for a in node.names if a.name.startswith("thimble."))
    return found - {"", "_core", "__version__"}


def _only_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def layer_of(part: str) -> int:
    for level, parts in enumerate(LAYERS):
        if part in parts:
            return level
    raise AssertionError(f"'{part}' has no place in the import order (tests/test_structure.py)")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in thimble_imports(path):
        assert other == part or layer_of(other) < layer_of(part), f"{path.name} imports thimble.{other}"


def test_the_verifier_imports_nothing_that_it_checks() -> None:
    for name in ("verify.py", "verify_pack.py", "verify_program.py", "verify_place.py"):
        assert thimble_imports(PACKAGE / name) <= ALLOWED_IN_VERIFIER


def sources() -> list[Path]:
    return [
        *PACKAGE.rglob("*.py"),
        *(ROOT / "core").rglob("*.cc"),
        *(ROOT / "core").rglob("*.h"),
        *PACKAGE.rglob("*.[hc]"),
    ]


def test_line_budget() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert sum(lines.values()) <= LINE_BUDGET
    assert [p.name for p, n in lines.items() if n > FILE_BUDGET] == []


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.name)
def test_each_file_names_its_licence(path: Path) -> None:
    assert "SPDX-License-Identifier: Apache-2.0" in path.read_text(encoding="utf-8")[:200]


def test_documents_name_files_that_exist() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    missing = []
    for document in documents:
        for name in re.findall(r"`((?:src|core|tests|benchmarks|docs|examples)/[\w./-]+\.\w+)`", document.read_text()):
            if not (ROOT / name).exists():
                missing.append(f"{document.name}: {name}")
    assert missing == []
