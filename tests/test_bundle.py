# SPDX-License-Identifier: Apache-2.0
"""Bundles: they build as they are with every build system, test themselves, and say what is in them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tflm_models import conv, single, tensor
from thimble import bundle as bundles
from thimble.bundle import Bundle, Origin, make_bundle, read_manifest
from thimble.compile import compile_model, flavour_of
from thimble.emit import identifier
from thimble.errors import OptionError
from thimble.execute import Executor
from thimble.files import write_folder
from thimble.host import WARNINGS, HostBundle, HostProgram, zig_compiler
from thimble.ir import DType, Model
from thimble.kernel import Flavour
from thimble.ladder import Limits
from thimble.ops import OPERATORS
from thimble.packaging import PACKAGES, Package
from thimble.pipeline import demo_model
from thimble.produce import compile_bundle, run
from thimble.selftest import expected, known_inputs
from thimble.target import TARGETS

SMALL = conv((1, 5, 6, 3), (4, 3, 3, 3), (1, 5, 6, 4))
HOSTILE = '*/ int x; /* ??/ \\\n#include "/etc/passwd" `rm` $(rm) ${X} | <b> [red] é %n'
TRAPS = ("`rm`", "$(rm)", "${X}", "<b>", "[red]")
UNDEFINED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")


def bundled(model: Model, package: Package = "cmake", target: str = "host") -> Bundle:
    program = compile_model(model, flavour=flavour_of(TARGETS[target]))
    origin = Origin(model.name, "0" * 64, target, Flavour.PORTABLE, 2, Limits(None, None), package=package)
    return make_bundle(program, origin, expected(model))


def copying(count: int, dtype: DType) -> Model:
    """A model that only changes the shape."""
    return single(OPERATORS["RESHAPE"](new_shape=(count,)), [tensor((1, count), dtype)], [tensor((count,), dtype)])


def written(folder: Path, bundle: Bundle) -> Path:
    write_folder(folder, dict(bundle.files))
    return folder


def hostile() -> Model:
    """A model all of whose names are traps."""
    graph = SMALL.main
    tensors = tuple(dataclasses.replace(t, name=HOSTILE) for t in graph.tensors)
    ops = tuple(dataclasses.replace(op, name=HOSTILE) for op in graph.ops)
    graph = dataclasses.replace(graph, name=HOSTILE, tensors=tensors, ops=ops)
    return dataclasses.replace(SMALL, name=HOSTILE, file=HOSTILE, graphs=(graph,))


def checked(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compiled(folder: Path, *command: str, out: str = "selftest") -> Path:
    sources = sorted(str(path.relative_to(folder)) for path in folder.glob("*.c"))
    checked(*command, "-std=c11", *WARNINGS, "-O1", *sources, "-lm", "-o", out, cwd=folder)
    return folder / out


def needs(*commands: str) -> pytest.MarkDecorator:
    absent = [command for command in commands if shutil.which(command) is None]
    return pytest.mark.skipif(bool(absent), reason=f"{', '.join(absent)} not installed")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "bool", "float32"])
def test_the_selftest_passes_on_every_type_of_input_and_output(tmp_path: Path, dtype: str) -> None:
    kind = next(t for t in DType if t.label == dtype)
    folder = written(tmp_path / "b", bundled(copying(2100, kind)))  # more than is compared one by one
    assert checked(compiled(folder, "gcc", *UNDEFINED), cwd=folder) == "PASS m_m: 2 cases\n"


@pytest.mark.parametrize("place", [2998, 2999])
def test_the_selftest_fails_when_any_byte_is_wrong(tmp_path: Path, place: int) -> None:
    bundle = bundled(copying(3000, DType.INT8))  # elements 0, 3, 6, ... are compared, of the others a checksum
    folder = written(tmp_path / "b", bundle)
    source = folder / "m_m.c"
    text = source.read_text()
    offset = bundle.manifest["outputs"][0]["offset"]
    source.write_text(text[: text.rindex("}")] + f"  arena[{offset + place}] ^= 1;\n}}\n")
    done = subprocess.run([compiled(folder, "gcc")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "FAIL m_m: case 1 of 2\n")


def test_known_inputs_cover_the_range_and_are_the_same_every_time() -> None:
    graph = copying(5000, DType.INT8).main
    (wide,), (narrow,) = known_inputs(graph, 0), known_inputs(graph, 1)
    assert (wide.min(), wide.max(), narrow.min(), narrow.max()) == (-128, 127, -32, 31)
    np.testing.assert_array_equal(wide, known_inputs(graph, 0)[0])


@pytest.mark.parametrize("flavour", [Flavour.PORTABLE, Flavour.DSP, Flavour.MVE])
def test_a_bundle_is_clean_under_clang(tmp_path: Path, flavour: Flavour) -> None:
    pytest.importorskip("ziglang", reason="ziglang is not installed: bundles are not compiled with clang")
    model = conv((1, 5, 6, 4), (4, 3, 3, 4), (1, 5, 6, 4))
    program = compile_model(model, flavour=flavour)
    origin = Origin("m", "", "host", flavour, 2, Limits(None, None))
    folder = written(tmp_path / "b", make_bundle(program, origin, expected(model)))
    selftest = compiled(folder, *zig_compiler(), "-Weverything", *QUIET_CLANG)
    assert checked(selftest, cwd=folder).startswith("PASS")


# What -Weverything adds beyond the promise, and why it is no fault of the code.
QUIET_CLANG = (
    "-Wno-unsafe-buffer-usage",  # pointers are what C has
    "-Wno-declaration-after-statement",  # C99
    "-Wno-padded",
    "-Wno-missing-variable-declarations",
    "-Wno-switch-default",
    "-Wno-pre-c11-compat",
    "-Wno-cast-align",
    "-Wno-float-equal",
    "-Wno-unused-macros",
    "-Wno-disabled-macro-expansion",
    "-Wno-documentation",
    "-Wno-c++-compat",
    "-Wno-implicit-void-ptr-cast",
    "-Wno-reserved-macro-identifier",
)


def test_constants_are_declared_with_the_alignment_that_they_have() -> None:
    """Or clang, which takes any array of 16 bytes for aligned to 16 on x86-64, reads vectors that are not."""
    files = bundled(SMALL).files
    declared = re.findall(r"^extern _Alignas\((\d+)\) const .*?(\w+)\[", files["m_m_weights.h"], re.MULTILINE)
    defined = re.findall(r"^THIMBLE_WEIGHTS\((\d+)\) const .*?(\w+)\[", files["m_m_weights.c"], re.MULTILINE)
    assert declared == defined != []


@needs("g++")
@pytest.mark.parametrize("standard", ["c++98", "c++11", "c++20"])
def test_the_headers_are_cpp_too(tmp_path: Path, standard: str) -> None:
    bundle = bundled(hostile())
    folder = written(tmp_path / "b", bundle)
    name = bundle.program.name
    upper = name.upper()
    (folder / "user.cpp").write_text(
        f'#include "{name}.h"\n#include "{name}_selftest.h"\n'
        f"float scale = {upper}_INPUT_0_SCALE;\nint shape[] = {upper}_INPUT_0_SHAPE;\n"
        f"int main() {{ return *{name}_input_0({name}_arena) + *{name}_output_0({name}_arena); }}\n"
    )
    flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-std={standard}"]
    checked("g++", *flags, "-fsyntax-only", "user.cpp", cwd=folder)


def test_names_from_the_model_stay_names(tmp_path: Path) -> None:
    for package in PACKAGES:
        bundle = bundled(hostile(), package)
        assert bundle.manifest["model"]["name"] == HOSTILE and bundle.manifest["tensors"][0]["name"] == HOSTILE
        for path, text in bundle.files.items():
            assert re.fullmatch(r"[\w./-]+", path, re.ASCII)
            code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL) if path.endswith((".c", ".h")) else text
            assert path == "manifest.json" or not any(trap in code for trap in TRAPS)
            assert path.endswith((".json", ".md")) or ("/etc/passwd" not in code and "int x;" not in code)
    folder = written(tmp_path / "b", bundled(hostile()))
    assert checked(compiled(folder, "gcc"), cwd=folder).startswith("PASS")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("int", "m_int"),
        ("class", "m_class"),
        ("string", "m_string"),  # string.h
        ("m", "m_m"),  # libm
        ("test", "m_test"),  # a target of CMake's own
        ("", "model"),
        ("../../x", "x"),
        ("9 lives", "m_9_lives"),
        ("Größe", "gr_e"),
        ("KWS-v1.2", "kws_v1_2"),
        ("a" * 300, "a" * 48),
    ],
)
def test_identifiers(name: str, wanted: str) -> None:
    assert identifier(name) == wanted and identifier(wanted) == wanted


def test_the_manifest_adds_up() -> None:
    bundle = bundled(SMALL)
    value = bundle.manifest
    assert sum(step["macs"] for step in value["steps"]) == value["macs"] == SMALL.macs()
    assert sum(weight["bytes"] for weight in value["weights"]) == value["constant_bytes"]
    assert all(0 <= t["offset"] <= value["arena_bytes"] - t["bytes"] for t in value["tensors"])
    assert {t["name"] for t in value["tensors"]} >= {t["name"] for t in (*value["inputs"], *value["outputs"])}
    assert value["files"] == sorted(bundle.files) and set(value["sources"]) <= set(value["files"])
    text = bundle.files["manifest.json"]
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"
    assert value["ram_bytes"] is value["flash_bytes"] is value["stack_bytes"] is None  # no such processor
    assert "code size and stack are not known" in value["notices"][0]


def test_the_same_model_twice_is_the_same_bundle(tmp_path: Path) -> None:
    for name in ("a", "b"):
        compile_bundle("demo", tmp_path / name, target="host")
    first, second = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("a", "b")
    )
    assert first == second
    assert not any(str(place).encode() in data for data in first.values() for place in (tmp_path, demo_model().parent))


@needs("arm-none-eabi-gcc")
def test_sizes_are_those_of_the_linked_code_and_are_null_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    value = bundled(SMALL, target="cortex-m4").manifest
    assert value["ram_bytes"] == value["arena_bytes"] + value["static_bytes"] + value["stack_bytes"]
    assert value["flash_bytes"] >= value["code_bytes"] + value["constant_bytes"] > value["code_bytes"] > 100
    monkeypatch.setenv("PATH", "")
    without = bundled(SMALL, target="cortex-m4").manifest
    assert without["ram_bytes"] is without["code_bytes"] is None
    assert without["arena_bytes"] == value["arena_bytes"] and "is not installed" in without["notices"][0]


@pytest.mark.parametrize(
    ("ram", "flash", "fits"), [(1 << 20, 1 << 20, None), (10, None, False), (None, 10, False), (None, None, None)]
)
def test_whether_it_fits(ram: int | None, flash: int | None, fits: bool | None) -> None:
    program = compile_model(SMALL, flavour=Flavour.PORTABLE)
    origin = Origin("m", "", "host", Flavour.PORTABLE, 2, Limits(ram, flash), "board")
    assert make_bundle(program, origin, "").manifest["fits"] is fits
    taken = bundles.Sizes(100, 200, 0, 50)
    sized = bundles.manifest(program, origin, taken, ())["fits"]
    assert sized is (True if ram == 1 << 20 else fits)


# Writing the folder.


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_new_bundle_takes_the_place_of_an_earlier_one_and_leaves_other_files(tmp_path: Path) -> None:
    out = tmp_path / "b"
    write_folder(out, {"a.c": "1", "sub/b.h": "1", "gone/c.h": "1"})
    (out / "build").mkdir()
    (out / "build" / "cache").write_text("mine")
    (out / "sub" / "mine.h").write_text("mine")
    write_folder(out, {"a.c": "2", "sub/b.h": "2"}, frozenset({"a.c", "sub/b.h", "gone/c.h"}))
    assert tree(out) == {"a.c": "2", "sub/b.h": "2", "build/cache": "mine", "sub/mine.h": "mine"}
    assert [p.name for p in tmp_path.iterdir()] == ["b"] and not (out / "gone").exists()


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "b"
    write_folder(out, {"a.c": "1"})
    plain = Path.write_text

    def full(self: Path, data: str, *words: object, **more: object) -> int:
        if self.name == "z.c":
            raise OSError(28, "No space left on device")
        return plain(self, data, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OptionError, match="No space left on device"):
        write_folder(out, {"a.c": "2", "z.c": "2"}, frozenset({"a.c"}))
    assert tree(tmp_path) == {"b/a.c": "1"}


def test_a_folder_that_cannot_be_renamed_keeps_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "b"
    write_folder(out, {"a.c": "1"})
    plain = Path.rename

    def busy(self: Path, target: Path) -> Path:
        if Path(target) == out and not self.name.endswith(".old"):
            raise OSError(16, "Device or resource busy")
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(OptionError, match="busy"):
        write_folder(out, {"a.c": "2"}, frozenset({"a.c"}))
    assert tree(tmp_path) == {"b/a.c": "1"}


def test_folders_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "b"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(OptionError, match="is not empty and holds no earlier bundle; --force"):
        compile_bundle("demo", out, target="host")
    compile_bundle("demo", out, target="host", force=True)
    assert (out / "thesis.txt").read_text() == "mine"
    compile_bundle("demo", out, target="host", name="other")
    assert (out / "other.c").exists() and not (out / "kws_ds_cnn.c").exists() and (out / "thesis.txt").exists()
    monkeypatch.chdir(out)
    with pytest.raises(OptionError, match="is the current folder or above it"):
        compile_bundle("demo", ".", target="host")
    with pytest.raises(OptionError, match="is a file"):
        compile_bundle("demo", out / "thesis.txt", target="host")


# Running a bundle from its folder.


def test_a_bundle_runs_by_its_manifest_alone(tmp_path: Path) -> None:
    compile_bundle("demo", tmp_path / "b", target="cortex-m4", package="arduino", name="words")
    by_folder, by_model = run(tmp_path / "b"), run("demo", compare=True)
    assert by_model.comparison is not None and by_model.comparison.exact and by_folder.name == "words"
    np.testing.assert_array_equal(by_folder.outputs[0], by_model.outputs[0])


def test_a_constant_output_is_read_from_flash(tmp_path: Path) -> None:
    graph = SMALL.main
    both = dataclasses.replace(
        SMALL, graphs=(dataclasses.replace(graph, outputs=(*graph.outputs, graph.ops[0].inputs[1])),)
    )
    program = compile_model(both, flavour=Flavour.PORTABLE)
    inputs = known_inputs(both.main, 0)
    wanted = Executor(both).run(*inputs)
    with HostProgram(program) as host:
        for got, want in zip(host.run(*inputs), wanted, strict=True):
            np.testing.assert_array_equal(got, want)
    folder = written(tmp_path / "b", bundled(both))
    found = read_manifest(folder)
    with HostBundle(found.interface, [folder / name for name in found.sources]) as host:
        np.testing.assert_array_equal(host.run(*inputs)[1], wanted[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99 is not known"),
        ({"sources": ["../../evil.c"]}, "names files outside of the bundle"),
        ({"files": ["/etc/passwd"]}, "names files outside of the bundle"),
        ({"name": "x(); evil"}, "names files outside of the bundle"),
        ({"arena_bytes": 3}, "is not in the arena"),
        ({"macs": "many"}, "is not a manifest of Thimble's"),
    ],
)
def test_manifests_are_checked(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = written(tmp_path / "b", bundled(SMALL))
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(OptionError, match=message):
        run(folder)


# Packages. Where a framework cannot be installed, a few lines stand in for what it offers.

STAND_IN_FOR_ZEPHYR = """
cmake_policy(SET CMP0079 NEW)
macro(zephyr_include_directories)
  include_directories(${ARGN})
endmacro()
macro(zephyr_library_named name)
  add_library(${name} STATIC)
  set(current ${name})
endmacro()
macro(zephyr_library_sources)
  target_sources(${current} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${current} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_definitions)
  target_compile_definitions(${current} PRIVATE ${ARGN})
endmacro()
file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/prj.conf settings REGEX "^CONFIG_")
foreach(setting ${settings})
  string(REPLACE "=" ";" parts ${setting})
  list(GET parts 0 key)
  set(${key} y)
endforeach()
set(CONFIG_THIMBLE_SMALL_ARENA y)
enable_language(C)
add_executable(app)
list(GET EXTRA_ZEPHYR_MODULES 0 module)
add_subdirectory(${module}/zephyr modules)
include_directories(${module})
target_link_libraries(app small m)
"""

STAND_IN_FOR_IDF = """
macro(idf_component_register)
  cmake_parse_arguments(it "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
  set(COMPONENT_LIB component_${count})
  add_library(component_${count} STATIC ${it_SRCS})
  target_include_directories(component_${count} PUBLIC ${it_INCLUDE_DIRS})
endmacro()
macro(project name)
  _project(${name} C)
  set(count 0)
  add_subdirectory(${EXTRA_COMPONENT_DIRS} component)
  set(count 1)
  add_subdirectory(main)
  target_link_libraries(component_1 component_0)
  file(WRITE ${CMAKE_BINARY_DIR}/start.c "void app_main(void); int main(void) { app_main(); return 0; }")
  add_executable(app ${CMAKE_BINARY_DIR}/start.c)
  target_link_libraries(app component_1 m)
endmacro()
"""

STAND_IN_FOR_ARDUINO = """
#include <stdint.h>
#define F(text) text
struct Port { void begin(long) {} operator bool() { return true; } void println(const char *) {} };
extern Port Serial;
"""


def small(package: Package, folder: Path) -> Path:
    program = compile_model(SMALL, flavour=Flavour.PORTABLE, name="small")
    origin = Origin("small", "", "host", Flavour.PORTABLE, 2, Limits(None, None), package=package)
    return written(folder, make_bundle(program, origin, expected(SMALL)))


@needs("cmake")
def test_the_cmake_package_builds_and_tests_itself(tmp_path: Path) -> None:
    folder = small("cmake", tmp_path / "b")
    flags = " ".join(WARNINGS)
    checked("cmake", "-B", "build", f"-DCMAKE_C_FLAGS={flags}", "-DSMALL_SHARE_KERNELS=ON", cwd=folder)
    checked("cmake", "--build", "build", cwd=folder)
    assert "100% tests passed" in checked("ctest", "--test-dir", "build", cwd=folder)


@needs("cmake")
def test_the_zephyr_package_is_a_module_with_a_sample(tmp_path: Path) -> None:
    folder, base = small("zephyr", tmp_path / "b"), tmp_path / "zephyr"
    (base / "cmake").mkdir(parents=True)
    (base / "cmake" / "ZephyrConfig.cmake").write_text(STAND_IN_FOR_ZEPHYR)
    sample = folder / "samples" / "selftest"
    checked("cmake", "-B", "../out", ".", cwd=sample, ZEPHYR_BASE=str(base))
    checked("cmake", "--build", "../out", cwd=sample)
    assert checked("../out/app", cwd=sample).startswith("PASS small")
    kconfig = (folder / "zephyr" / "Kconfig").read_text()
    used = set(re.findall(r"CONFIG_(THIMBLE_\w+)", (folder / "zephyr" / "CMakeLists.txt").read_text()))
    assert used == set(re.findall(r"^config (\w+)", kconfig, re.MULTILINE))


@needs("cmake")
def test_the_esp_idf_package_is_a_component_with_an_example(tmp_path: Path) -> None:
    folder, idf = small("esp-idf", tmp_path / "b"), tmp_path / "idf"
    (idf / "tools" / "cmake").mkdir(parents=True)
    (idf / "tools" / "cmake" / "project.cmake").write_text(STAND_IN_FOR_IDF)
    example = folder / "examples" / "selftest"
    checked("cmake", "-B", "../out", ".", cwd=example, IDF_PATH=str(idf))
    checked("cmake", "--build", "../out", cwd=example)
    assert checked("../out/app", cwd=example) == "PASS small\n"


@pytest.mark.parametrize(
    ("gcc", "flags", "language"),
    [
        pytest.param("avr-gcc", "-mmcu=atmega328p", "gnu11", marks=needs("avr-gcc", "avr-g++")),
        pytest.param("avr-gcc", "-mmcu=atmega328p -flto", "gnu11", marks=needs("avr-gcc", "avr-g++")),
        pytest.param("arm-none-eabi-gcc", "-mcpu=cortex-m0plus -mthumb", "gnu11", marks=needs("arm-none-eabi-g++")),
    ],
)
def test_the_arduino_package_compiles_as_the_ide_does(tmp_path: Path, gcc: str, flags: str, language: str) -> None:
    folder, core = small("arduino", tmp_path / "b"), tmp_path / "core"
    core.mkdir()
    (core / "Arduino.h").write_text(STAND_IN_FOR_ARDUINO)
    (core / "main.cpp").write_text(
        '#include "Arduino.h"\nPort Serial;\nvoid setup();\nvoid loop();\nint main() { setup(); for (;;) loop(); }\n'
    )
    common = ["-Os", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections", *flags.split()]
    objects = []
    for source in sorted((folder / "src").rglob("*.c")):
        objects.append(f"{source.stem}.o")
        checked(gcc, "-c", *common, f"-std={language}", "-I", folder / "src", source, "-o", objects[-1], cwd=core)
    (sketch,) = folder.glob("examples/*/*.ino")
    assert sketch.stem == sketch.parent.name  # the IDE's rule
    cpp = [gcc.replace("gcc", "g++"), *common, "-std=gnu++11", "-fpermissive", "-fno-exceptions"]
    checked(
        *cpp, "-include", "Arduino.h", "-I.", "-I", folder / "src", "-x", "c++", "-c", sketch, "-o", "s.o", cwd=core
    )
    library = [] if gcc.startswith("avr") else ["-specs=nano.specs", "-specs=nosys.specs"]
    checked(*cpp, "-w", "main.cpp", "s.o", *objects, "-Wl,--gc-sections", *library, "-lm", "-o", "s.elf", cwd=core)
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    assert properties["name"] == "small" and properties["includes"] == "small.h"


@needs("arm-none-eabi-gcc")
def test_the_linker_fragment_places_weights_and_arena(tmp_path: Path) -> None:
    folder = small("cmake", tmp_path / "b")
    (folder / "device.ld").write_text(
        "MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 64K\n QSPI (r) : ORIGIN = 0x90000000, LENGTH = 64K\n"
        " RAM (rw) : ORIGIN = 0x20000000, LENGTH = 8K\n TCM (rw) : ORIGIN = 0x10000000, LENGTH = 8K }\n"
        'REGION_ALIAS("SMALL_WEIGHTS", QSPI)\nREGION_ALIAS("SMALL_ARENA", TCM)\n'
        "SECTIONS {\n .text : { *(.text*) *(.rodata*) } > FLASH\n INCLUDE small.ld\n .data : { *(.data*) } > RAM\n"
        " .bss : { *(.bss*) } > RAM\n /DISCARD/ : { *(.ARM.*) } }\nENTRY(small_invoke)\n"
    )
    sections = ['-DTHIMBLE_WEIGHTS_SECTION=".small_weights"', '-DTHIMBLE_ARENA_SECTION=".small_arena"']
    sources = ["small.c", "small_weights.c", "small_arena.c"]
    flags = ["-std=c11", *WARNINGS, "-O2", "-mcpu=cortex-m4", "-mthumb", "-nostartfiles", "-Wl,-u,small_arena"]
    checked("arm-none-eabi-gcc", *flags, *sections, *sources, "-T", "device.ld", "-o", "x.elf", cwd=folder)
    with (folder / "x.elf").open("rb") as file:
        elf = ELFFile(file)
        weights, arena = (elf.get_section_by_name(name) for name in (".small_weights", ".small_arena"))
        assert weights["sh_addr"] == 0x90000000 and arena["sh_addr"] == 0x10000000
        assert arena["sh_type"] == "SHT_NOBITS" and weights["sh_size"] >= read_constants(folder)
        assert not elf.get_section_by_name(".bss") or elf.get_section_by_name(".bss")["sh_size"] == 0


def read_constants(folder: Path) -> int:
    return int(json.loads((folder / "manifest.json").read_text())["constant_bytes"])


def test_without_a_compiler_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(OptionError, match="no C compiler found: install gcc or clang"):
        HostProgram(compile_model(SMALL, flavour=Flavour.PORTABLE))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(OptionError, match="no-such-compiler cannot be started"):
        HostProgram(compile_model(SMALL, flavour=Flavour.PORTABLE))
