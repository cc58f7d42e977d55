# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it: what it prints, what it writes, how it exits."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thimble
from small import small_network
from thimble import produce
from thimble.commands.main import run
from thimble.exporters.tflite import model_to_bytes


class Result:
    """Exit code and what was printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["thimble", *words])
        with pytest.raises(SystemExit) as stopped:
            run()
        text = capsys.readouterr()
        return Result(stopped.value.code if isinstance(stopped.value.code, int) else 0, text.out, text.err)

    return call


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file whose whole ladder is climbed in no time."""
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(model_to_bytes(small_network()))
    return str(path)


def test_fit_says_yes_with_exit_code_0(cli: Any) -> None:
    done = cli("fit", "demo", "--board", "nucleo-l4r5zi")
    assert done.code == 0
    assert done.out.startswith("FITS: kws_ds_cnn on STMicroelectronics NUCLEO-L4R5ZI")
    assert "Ladder" in done.out and "shipped" in done.out


def test_fit_says_no_with_exit_code_1_by_how_much_and_what_clashes(cli: Any, small: str) -> None:
    done = cli("fit", small, "--max-ram", "200")
    assert done.code == 1
    assert done.out.startswith("DOES NOT FIT")
    assert "too much" in done.out and "Live together at" in done.out
    assert "No rung fits" in done.out.splitlines()[-1] and "comes closest" in done.out


def test_fit_ends_with_the_command_that_makes_what_was_chosen(cli: Any, tmp_path: Path) -> None:
    shipped = cli("fit", "demo", "--board", "nucleo-l4r5zi").out.splitlines()
    assert shipped[-2].startswith("Nothing to make: give TFLM the file, and a tensor_arena of 17,680 bytes")
    assert shipped[-1] == "As C code instead: thimble compile demo --board nucleo-l4r5zi -o kws_ds_cnn_c"
    done = cli("fit", "demo", "--max-ram", "8000", "--target", "cortex-m4")
    assert done.code == 0 and "Chosen: rung 3 (merge), compiled code. It costs nothing: results take" in done.out
    words = done.out.splitlines()[-1].removeprefix("Make it: ").split()
    assert words == ["thimble", "compile", "demo", "--target", "cortex-m4", "--rung", "3", "-o", "kws_ds_cnn_c"]
    value = cli("fit", "demo", "--max-ram", "8000", "--target", "cortex-m4", "--json").json
    assert value["chosen_rung"] == 3 and value["runtime"] == "thimble" and value["command"] == " ".join(words)
    made = cli(*words[1:-1], str(tmp_path / "c"), "--json").json
    assert (made["rung"], made["arena_bytes"]) == (3, value["rungs"][3]["arena_bytes"])
    assert made["ram_bytes"] in (None, value["ram_bytes"])


def test_fit_for_stock_tflm_alone(cli: Any) -> None:
    done = cli("fit", "demo", "--max-ram", "8000", "--runtime", "tflm")
    assert done.code == 1 and "stock TFLM, comes closest" in done.out


def test_compile_for_a_board_takes_the_cheapest_rung_that_fits_and_says_so(cli: Any, tmp_path: Path) -> None:
    mine = tmp_path / "small.toml"
    board = cli("boards", "show", "blue-pill", "--toml").out
    mine.write_text(board.replace("value = 20480", "value = 8000"))
    done = cli("compile", "demo", "--board", str(mine), "-o", str(tmp_path / "c"))
    assert done.code == 0 and "rung 4" in done.out.splitlines()[0]
    assert "Note: rung 4 (overlap) was chosen, the cheapest that fits; those from 2 to 3 do not fit" in done.out
    assert cli("fit", "demo", "--board", str(mine), "--json").json["chosen_rung"] == 4


def test_ladder_prints_and_draws_the_front(cli: Any, small: str, tmp_path: Path) -> None:
    picture = tmp_path / "front.svg"
    value = cli("ladder", small, "--plot", str(picture), "--json").json
    arenas = [point["arena_bytes"] for point in value["points"]]
    assert arenas == sorted(arenas, reverse=True) and all(point["extra_macs_ratio"] == 0 for point in value["points"])
    assert {"arena_bytes", "extra_macs_ratio", "rung", "flash_bytes", "instructions"} <= value["points"][0].keys()
    assert [row["rung"] for row in value["rungs"]] == list(range(len(value["rungs"])))
    assert picture.read_text().lstrip().startswith("<?xml")
    shown = cli("ladder", small, "--target", "riscv32", "--kernels", "portable").out
    assert "small as compiled code for riscv32" in shown and "on the front" in shown


@pytest.mark.emulator
@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="qemu-system-arm is not installed")
def test_ladder_counts_instructions(cli: Any, small: str) -> None:
    value = cli("ladder", small, "--emulate", "mps2-an386", "--json").json
    assert value["target"] == "cortex-m4" and value["machine"] == "mps2-an386"
    assert all(point["instructions"] > value["macs"] for point in value["points"])


def test_fitrate_counts_models_and_lists_the_others(cli: Any, tmp_path: Path) -> None:
    good, table, picture = tmp_path / "a.tflite", tmp_path / "needs.csv", tmp_path / "rates.svg"
    shutil.copy(thimble.demo_model(), good)
    (tmp_path / "b.onnx").write_bytes(b"?")
    words = ("fitrate", str(tmp_path), "--size", "25k,2M", "--csv", str(table), "--plot", str(picture))
    value = cli(*words, "--json").json
    assert value["models"] == 1 and [f["model"] for f in value["failed"]] == ["b.onnx"]
    small, large = value["sizes"]
    assert [rung["share"] for rung in small["rungs"]][3:5] == [0.0, 1.0]  # 25k hold it from rung 4 on
    assert large["published"] == {"before": 0.13, "after": 0.66} and small["published"] is None
    assert [row["model"] for row in csv.DictReader(table.open())] == ["a.tflite", "b.onnx"] and picture.exists()
    shown = cli(*words).out
    assert "13% to 66%" in shown and "Not counted: 1" in shown and "only .tflite is imported so far" in shown


def test_fit_json_has_the_stable_fields_and_nothing_else_is_printed(cli: Any) -> None:
    value = cli("fit", "demo", "--max-ram", "1G", "--target", "host", "--json").json
    stable = {"fits", "ram_bytes", "flash_bytes", "peak_operator", "chosen_rung", "rungs"}
    assert stable <= value.keys()
    rung = value["rungs"][0]
    assert {"rung", "name", "arena_bytes", "lower_bound_bytes", "proven", "extra_macs_ratio", "seconds"} <= rung.keys()
    assert rung["total_bytes"] == rung["arena_bytes"] + rung["persistent_bytes"]
    assert rung["ram_bytes"] >= rung["total_bytes"]
    assert value["fits"] is True and value["chosen_rung"] == 0 and value["clash"] is None


def test_fit_when_only_flash_is_short_says_so(cli: Any, small: str) -> None:
    value = cli("fit", small, "--max-flash", "100", "--json").json
    assert value["fits"] is False
    assert value["clash"]["flash_excess_bytes"] == value["flash_bytes"] - 100
    assert value["clash"]["ram_excess_bytes"] == 0


def test_a_device_without_flash_holds_the_model_in_its_ram(cli: Any) -> None:
    value = cli("fit", "demo", "--board", "l2-2mb", "--json").json
    assert value["flash_limit_bytes"] is None
    assert value["ram_bytes"] == value["rungs"][0]["ram_bytes"] + value["flash_bytes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "demo"), "give --board NAME"),
        (("fit", "demo", "--max-ram", "lots"), "--max-ram: 'lots' is not a size"),
        (("fit", "demo", "--board", "no-such-board"), "no board named 'no-such-board'; known: adafruit-metro-m0"),
        (("fit", "demo", "--board", "blue-pill", "--target", "z80"), "no target named 'z80'; known: host"),
        (("map", "no_such_model.tflite"), "no_such_model.tflite: cannot be read"),
        (("map", "model.onnx"), "model.onnx: only .tflite is imported so far"),
        (("map", "demo", "--batch", "3"), "the batch dimension is fixed in this model"),
        (("map", "demo", "--order", "no_such_order"), "--order: no_such_order cannot be read"),
        (("map", "demo", "--plot", "picture.bmp"), "picture.bmp: a picture is a .png or .svg file"),
        (("map", "demo", "--csv", "no_such_folder/map.csv"), "no_such_folder/map.csv: cannot be written"),
        (("ladder", "demo", "--max-macs", "0.5x"), "--max-macs: '0.5x' is not a factor of at least 1"),
        (("fitrate", "no_such_folder"), "no_such_folder: there is no such file or folder"),
        (("fitrate", "--zoo", "--size", "much"), "--size: 'much' is not a size"),
        (("boards", "show", "no-such-board"), "no board named 'no-such-board'"),
    ],
)
def test_the_users_fault_is_one_line_and_exit_code_2(cli: Any, words: tuple[str, ...], message: str) -> None:
    done = cli(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ") and message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_map_adds_up_and_names_the_peak(cli: Any) -> None:
    value = cli("map", "demo", "--json").json
    parts = ("input_bytes", "output_bytes", "other_bytes", "scratch_bytes")
    assert all(sum(row[p] for p in parts) == row["total_bytes"] for row in value["operators"])
    assert value["peak_bytes"] == max(row["total_bytes"] for row in value["operators"])
    assert value["operators"][value["peak_index"]]["name"] == value["peak_operator"]
    shown = cli("map", "demo").out
    assert "◀ peak" in shown and f"Peak: {value['peak_bytes']:,} B" in shown


def test_map_lists_from_where_to_where_tensors_live(cli: Any) -> None:
    lines = cli("map", "demo", "--lifetimes").out.splitlines()
    listed = lines[lines.index(next(line for line in lines if line.startswith("Tensors"))) + 2 :]
    assert listed[0].split() == ["input", "490", "the", "start", "#0"]
    assert listed[1].split() == ["conv_2d_0", "6,000", "#0", "#1"]


def test_map_counts_scratch_for_a_target(cli: Any) -> None:
    bare = cli("map", "demo", "--json").json
    armed = cli("map", "demo", "--target", "cortex-m4", "--json").json
    assert all(row["scratch_bytes"] == 0 for row in bare["operators"])
    assert any(row["scratch_bytes"] > 0 for row in armed["operators"])


def test_map_writes_csv_and_both_pictures(cli: Any, tmp_path: Path) -> None:
    table, picture = tmp_path / "map.csv", tmp_path / "map.svg"
    done = cli("map", "demo", "--csv", str(table), "--plot", str(picture))
    assert done.code == 0
    rows = list(csv.DictReader(table.open()))
    assert max(int(row["total_bytes"]) for row in rows) == cli("map", "demo", "--json").json["peak_bytes"]
    assert picture.read_text().lstrip().startswith("<?xml")
    assert (tmp_path / "map-arena.svg").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map-arena.svg", "map.csv", "map.svg"]


def test_the_same_picture_twice_is_the_same_file(cli: Any, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        cli("map", "demo", "--plot", str(tmp_path / name))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_map_in_a_given_order(cli: Any, tmp_path: Path) -> None:
    count = len(cli("map", "demo", "--json").json["operators"])
    good, bad, short = tmp_path / "good", tmp_path / "bad", tmp_path / "short"
    good.write_text(" ".join(map(str, range(count))))
    bad.write_text(" ".join(map(str, reversed(range(count)))))
    short.write_text("0, 1")
    given, shipped = (cli("map", "demo", *words, "--json").json for words in (("--order", str(good)), ()))
    assert given["operators"] == shipped["operators"] and given["tensors"] == shipped["tensors"]
    assert "which it reads from" in cli("map", "demo", "--order", str(bad)).err
    assert f"each of the {count} operators" in cli("map", "demo", "--order", str(short)).err


def test_optimize_writes_what_it_says(cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    value = cli("optimize", "demo", "-o", str(out), "--json").json
    assert value["arena_bytes"] <= value["shipped_arena_bytes"]
    again = cli("fit", str(out), "--max-ram", "1G", "--json").json
    assert again["rungs"][0]["arena_bytes"] == value["arena_bytes"]
    refused = cli("optimize", str(out), "-o", str(out))
    assert refused.code == 2 and "is the input file" in refused.err


def test_pack_places_proves_and_refuses(cli: Any, tmp_path: Path) -> None:
    problem, out = tmp_path / "problem.csv", tmp_path / "placed.csv"
    problem.write_text("id,lower,upper,size\na,0,2,4\nb,1,3,4\nc,2,4,4\n")
    done = cli("pack", str(problem), "--require-proof", "-o", str(out), "--json")
    assert done.code == 0 and done.json["height"] == done.json["lower_bound"] == 8 and done.json["proven"]
    assert "offset" in out.read_text().splitlines()[0]
    small = cli("pack", str(problem), "--capacity", "7")
    assert small.code == 1 and "cannot be placed together" in small.out
    assert cli("pack", str(tmp_path / "none.csv")).code == 2


def test_boards_lists_shows_and_checks(cli: Any, tmp_path: Path) -> None:
    listed = cli("boards", "--json").json["boards"]
    assert {"nucleo-l4r5zi", "arduino-nano", "mps3-an547"} <= {board["name"] for board in listed}
    shown = cli("boards", "show", "apollo4-plus").out
    assert "mram" in shown and "estimate" in shown and "AmbiqSuite" in shown
    mine = tmp_path / "mine.toml"
    mine.write_text(cli("boards", "show", "blue-pill", "--toml").out)
    assert "sound" in cli("boards", "check", str(mine)).out
    assert cli("fit", "demo", "--board", str(mine), "--json").json["ram_limit_bytes"] == 20 * 1024
    mine.write_text(mine.read_text().replace("origin", "orgin", 1))
    wrong = cli("boards", "check", str(mine))
    assert wrong.code == 2 and "orgin" in wrong.err and str(mine) in wrong.err


def test_compile_writes_a_bundle_and_says_whether_it_fits(cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "c"
    done = cli("compile", "demo", "--board", "nucleo-l4r5zi", "--kernels", "portable", "-o", str(out))
    assert done.code == 0 and done.out.startswith("kws_ds_cnn for cortex-m4, portable kernels, rung ")
    manifest = json.loads((out / "manifest.json").read_text())
    stable = {"arena_bytes", "ram_bytes", "flash_bytes", "stack_bytes", "macs", "rung"}
    assert stable <= manifest.keys()
    small = cli("compile", "demo", "--board", "arduino-nano", "-o", str(out), "--json")
    assert small.code == 1 and small.json["fits"] is False and stable <= small.json.keys()
    assert json.loads((out / "manifest.json").read_text())["target"] == "avr"
    shipped = cli("compile", "demo", "--target", "host", "--rung", "0", "-o", str(out), "--json").json
    assert shipped["rung"] == 0 and shipped["arena_bytes"] >= manifest["arena_bytes"]


def test_run_reads_and_writes_arrays(cli: Any, tmp_path: Path) -> None:
    given, out = tmp_path / "x.npy", tmp_path / "y.npy"
    values = np.arange(490, dtype=np.int64).astype(np.int8)
    np.save(given, values)  # one axis: the number of elements is what counts
    value = cli("run", "demo", "--input", str(given), "-o", str(out), "--compare", "--json").json
    assert value["bit_exact"] is True and value["files"] == [str(out)] and value["random_inputs"] is False
    assert {"instructions", "macs", "stack_bytes", "arena_bytes", "outside_accesses"} <= value.keys()
    plain = np.load(out)
    assert plain.dtype == np.int8 and plain.shape == (1, 12) and value["outputs"][0]["max"] == plain.max()
    assert value["outputs"][0]["top"][0] == {"index": int(plain.argmax()), "value": int(plain.max())}
    scale, zero = 0.5882353186607361, 83
    np.save(given, ((values.astype(float) - zero) * scale).astype(np.float32))
    cli("run", "demo", "--input", str(given), "-o", str(out), "--float")
    np.testing.assert_allclose(np.load(out), (plain.astype(np.float32) + 128) / 256, atol=1e-6)


def test_run_without_inputs_says_so_and_is_the_same_for_model_and_bundle(cli: Any, tmp_path: Path) -> None:
    shown = cli("run", "demo", "--compare")
    assert shown.code == 0 and "random data" in shown.out and "Bit-exact with the NumPy reference" in shown.out
    out = tmp_path / "c"
    cli("compile", "demo", "--target", "host", "-o", str(out))
    assert cli("run", str(out), "--json").json["outputs"] == cli("run", "demo", "--json").json["outputs"]


def test_run_says_no_when_the_code_differs(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    class Wrong:
        def __init__(self, model: object) -> None: ...

        def run(self, *inputs: object) -> tuple[Any, ...]:
            return (np.zeros((1, 12), np.int8),)

    monkeypatch.setattr(produce, "Executor", Wrong)
    done = cli("run", "demo", "--compare")
    assert done.code == 1 and "DIFFERS from the NumPy reference, by 124 at most" in done.out


@pytest.mark.emulator
@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="qemu-system-arm is not installed")
def test_run_on_an_emulated_machine(cli: Any, tmp_path: Path) -> None:
    value = cli("run", "demo", "--emulate", "mps2-an386", "--compare", "--json").json
    assert value["target"] == "cortex-m4" and value["kernels"] == "dsp" and value["bit_exact"] is True
    assert value["instructions"] > value["macs"] and value["outside_accesses"] == 0 and value["milliseconds"] is None
    out = tmp_path / "c"
    cli("compile", "demo", "--target", "cortex-m4", "-o", str(out))
    again = cli("run", str(out), "--emulate", "mps2-an386", "--json").json
    assert (again["instructions"], again["outputs"]) == (value["instructions"], value["outputs"])
    shown = cli("run", "demo", "--emulate", "mps2-an386")
    assert "on mps2-an386 (cortex-m4, emulated)" in shown.out and "0 accesses outside its memory" in shown.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("compile", "demo"), "Missing option"),
        (("compile", "demo", "-o", "NEW"), "give --board NAME"),
        (("compile", "demo", "--target", "z80", "-o", "NEW"), "no target named 'z80'"),
        (("compile", "demo", "--target", "host", "--rung", "99", "-o", "NEW"), "--rung 99"),
        (
            ("compile", "demo", "--target", "host", "--kernels", "simd", "-o", "NEW"),
            "--kernels simd: there are portable",
        ),
        (("compile", "demo", "--target", "host", "--package", "make", "-o", "NEW"), "--package make: there are cmake"),
        (("compile", "demo", "--target", "host", "--name", "a b;", "-o", "NEW"), "such as 'a_b'"),
        (("compile", "no_such.tflite", "--target", "host", "-o", "NEW"), "no_such.tflite: cannot be read"),
        (("run", "no_such.tflite"), "no_such.tflite: cannot be read"),
        (("run", "EMPTY"), "manifest.json: cannot be read"),
        (("run", "demo", "--input", "no_such.npy"), "no_such.npy: cannot be read"),
        (("run", "demo", "--input", "TEXT"), "is not a .npy file with numbers"),
        (("run", "demo", "--input", "FLOAT"), "is float32, input 'input' is int8; --float converts"),
        (("run", "demo", "--input", "SHORT"), "int8[3] is not input 'input', which is int8[1, 49, 10, 1]"),
        (("run", "demo", "--input", "SHORT", "--input", "SHORT"), "2 inputs were given, the model has 1"),
        (("run", "demo", "--input", "NAN", "--float"), "not-a-number cannot be quantized"),
        (("run", "demo", "--emulate", "z80"), "no emulated machine named 'z80'"),
        (("run", "EMPTY", "--compare"), "is a bundle; --compare, --kernels, --optimize and --place need the model"),
    ],
)
def test_compile_and_run_name_what_is_wrong(cli: Any, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    made = {name: tmp_path / name.lower() for name in ("EMPTY", "TEXT", "FLOAT", "SHORT", "NAN", "NEW")}
    made["EMPTY"].mkdir()
    made["TEXT"].write_text("words")
    arrays = {"FLOAT": np.zeros(490, np.float32), "SHORT": np.zeros(3, np.int8), "NAN": np.full(490, np.nan)}
    for name, array in arrays.items():
        with made[name].open("wb") as file:
            np.save(file, array)
    done = cli(*(str(made.get(word, word)) for word in words))
    assert done.code == 2 and message in " ".join(done.err.split()) and "Traceback" not in done.err
    assert not made["NEW"].exists()


def test_a_full_disk_leaves_nothing_half_written(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    done = cli("map", "demo", "--csv", str(tmp_path / "map.csv"))
    assert done.code == 2 and "No space left on device" in done.err
    assert list(tmp_path.iterdir()) == []


def test_help_shows_examples_and_does_not_wait_for_numpy(cli: Any) -> None:
    assert "thimble fit model.tflite --board nucleo-l4r5zi" in cli("--help").out
    assert "--max-ram 256k" in cli("fit", "--help").out
    assert "--package zephyr" in cli("compile", "--help").out
    assert "--emulate mps2-an386 --json" in cli("run", "--help").out
    assert "--max-macs 1.1x" in cli("ladder", "--help").out
    assert "thimble fitrate models/ --size 2M,4M" in cli("fitrate", "--help").out
    code = "import sys, thimble.commands.main; sys.exit('numpy' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version(cli: Any) -> None:
    assert cli("--version").out.strip() == f"thimble {thimble.__version__}"
