# SPDX-License-Identifier: Apache-2.0
"""The same C sources for several build systems: plain CMake, Zephyr, Arduino, ESP-IDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Literal, get_args

from thimble.errors import OptionError

Package = Literal["cmake", "zephyr", "arduino", "esp-idf"]
PACKAGES: tuple[Package, ...] = get_args(Package)
SOURCE_FOLDER: dict[Package, str] = {"cmake": "", "zephyr": "", "arduino": "src/", "esp-idf": ""}
"""Where a package keeps its C sources."""
_USAGE: dict[Package, tuple[str, str]] = {
    "cmake": ("Build it with CMake, alone or by `add_subdirectory`:", "cmake -B build && cmake --build build"),
    "zephyr": (
        "This folder is a Zephyr module: add it to `EXTRA_ZEPHYR_MODULES` and set `CONFIG_THIMBLE_{NAME}=y`.",
        "",
    ),
    "arduino": (
        "This folder is an Arduino library: put it into the sketchbook's `libraries`, and open the example.",
        "",
    ),
    "esp-idf": ("This folder is an ESP-IDF component: put it into `components` of your project.", ""),
}
_SELFTEST: dict[Package, str] = {
    "cmake": "cmake -B build && cmake --build build && ctest --test-dir build",
    "zephyr": "west build -b BOARD samples/selftest",
    "arduino": "",
    "esp-idf": "idf.py -C examples/selftest build",
}


def usage(package: Package, name: str, *, tested: bool) -> str:
    """How to use a package, for its README."""
    text, command = _USAGE[package]
    command = _SELFTEST[package] if tested else command
    text = text.format(NAME=name.upper())
    return f"{text}\n\n    {command}" if command else text


def package_named(name: str) -> Package:
    """The package of that name.

    Raises:
        OptionError: there is none.
    """
    for package in PACKAGES:
        if package == name:
            return package
    raise OptionError(f"--package {name}: there are {', '.join(PACKAGES)}")


def packaged(
    package: Package, sources: Mapping[str, str], words: Mapping[str, str], flags: Sequence[str] = ("-O2",)
) -> dict[str, str]:
    """The files of a package, by path.

    Args:
        package: for which build system.
        sources: C files by path; with or without a self-test.
        words: `name` and `NAME`, which are C identifiers, `arena_bytes` and `alignment`; `linker` is the linker-script
            fragment of a program whose memories were chosen, "" or absent for others.
        flags: of the compiler for the network's code, an optimization level and perhaps definitions. An Arduino library
            cannot set any; definitions go into its source.
    """
    name = words["name"]
    tested = f"{name}_selftest.c" in sources
    folder = SOURCE_FOLDER[package]
    kept = {path: text for path, text in sources.items() if package in _HAVE_MAIN or not path.endswith("_main.c")}
    files = {f"{folder}{path}": text for path, text in kept.items()}
    files[f"{name}.ld"] = words.get("linker") or _filled("linker.ld", words)
    defined = "".join(f"#define {flag[2:]}\n" for flag in flags[1:])
    if package == "arduino" and defined:
        files[f"{folder}{name}.c"] = defined + files[f"{folder}{name}.c"]
    set_in_files = {
        "optimize": flags[0],
        "flags": " ".join(flags),
        "share": "ON" if defined else "OFF",
        "y_or_n": "y" if defined else "n",
    }
    return dict(sorted((files | _MAKERS[package]({**words, **set_in_files}, tested)).items()))


_HAVE_MAIN = ("cmake", "zephyr")  # the others' frameworks have a main of their own


def _cmake(words: Mapping[str, str], tested: bool) -> dict[str, str]:
    selftest = _filled("cmake_selftest.txt", words) if tested else ""
    placed = _filled("cmake_placed.txt", words) if words.get("linker") else ""
    return {"CMakeLists.txt": _filled("cmake.txt", words, selftest=selftest, placed=placed)}


def _zephyr(words: Mapping[str, str], tested: bool) -> dict[str, str]:
    sample = {
        "samples/selftest/CMakeLists.txt": _filled("zephyr_sample.txt", words),
        "samples/selftest/prj.conf": _filled("zephyr_prj.txt", words),
    }
    return {
        "zephyr/module.yml": _filled("zephyr_module.yml", words),
        "zephyr/CMakeLists.txt": _filled("zephyr_cmake.txt", words),
        "zephyr/Kconfig": _filled("zephyr_kconfig.txt", words),
        **(sample if tested else {}),
    }


def _arduino(words: Mapping[str, str], tested: bool) -> dict[str, str]:
    example = f"{words['name']}_selftest" if tested else f"{words['name']}_once"
    sketch = _filled("arduino.ino" if tested else "arduino_bare.ino", words)
    return {
        "library.properties": _filled("arduino.properties", words),
        f"examples/{example}/{example}.ino": sketch,
    }


def _esp_idf(words: Mapping[str, str], tested: bool) -> dict[str, str]:
    parts = ("", "_weights", "_arena", *(("_selftest",) if tested else ()))
    sources = " ".join(f'"{words["name"]}{part}.c"' for part in parts)
    example = {
        "examples/selftest/CMakeLists.txt": _filled("idf_example.txt", words),
        "examples/selftest/main/CMakeLists.txt": _filled("idf_main.txt", words),
        "examples/selftest/main/main.c": _filled("idf_main.c", words),
    }
    return {
        "CMakeLists.txt": _filled("idf_cmake.txt", words, sources=sources),
        "idf_component.yml": _filled("idf_component.yml", words),
        **(example if tested else {}),
    }


_MAKERS = {"cmake": _cmake, "zephyr": _zephyr, "arduino": _arduino, "esp-idf": _esp_idf}


def _filled(template: str, words: Mapping[str, str], **more: str) -> str:
    text = (resources.files("thimble") / "templates" / template).read_text(encoding="utf-8")
    return Template(text).substitute(words, **more)
