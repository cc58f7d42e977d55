# SPDX-License-Identifier: Apache-2.0
"""Options and fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Drawn values are the same on every run, and a loaded machine is no failure. To look for new ones:
# pytest --hypothesis-profile=explore
settings.register_profile("thimble", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("thimble"), derandomize=False, max_examples=2000)
settings.load_profile("thimble")

REPOSITORY = Path(__file__).parent.parent
MODELS = Path(os.environ.get("THIMBLE_MODELS", REPOSITORY.parent / "shared" / "models"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    """A test that did not run is said aloud, with its reason, whatever the command line says."""
    if not set("sAa") & set(config.option.reportchars):
        config.option.reportchars += "s"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument `model_path` runs once for each third-party `.tflite` model."""
    if "model_path" in metafunc.fixturenames:
        paths = sorted(MODELS.glob("*.tflite"))
        missing = pytest.param(None, marks=pytest.mark.skip(reason=_absent()), id="no models")
        metafunc.parametrize("model_path", [pytest.param(p, id=p.stem) for p in paths] or [missing])


def _absent() -> str:
    return f"the third-party models are absent: {MODELS} has no INDEX.csv (set THIMBLE_MODELS to their folder)"


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of the third-party models, which are not part of the repository."""
    if not (MODELS / "INDEX.csv").is_file():
        pytest.skip(_absent())
    return MODELS


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Compares a text with tests/golden/<test file>/<test>.txt, or writes it there with --update-golden."""

    def compare(text: str) -> None:
        path = REPOSITORY / "tests" / "golden" / request.path.stem / f"{request.node.name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing; run pytest with --update-golden and read what it wrote"
        assert text == path.read_text(encoding="utf-8"), "if the change is meant, run pytest with --update-golden"

    return compare
