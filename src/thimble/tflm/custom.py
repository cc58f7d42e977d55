# SPDX-License-Identifier: Apache-2.0
"""What the kernels of TFLM's own custom operators request: signal library, circular buffer, decoders, NPU.

Their options are a FlexBuffer in the file; TFLM reads the map's values in the order of their names.

Source: TFLM at 90b983c, `signal/micro/kernels/`, `signal/src/`, and the named files in
`tensorflow/lite/micro/kernels/`; kissfft for the FFT's state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flatbuffers import flexbuffers

from thimble.importers.options import dtype_of
from thimble.ir import Custom, DType
from thimble.tflm.kernels import Node, UnpredictableError, Use, channels, flat

_DECODERS = {0: "DecodeStateLut", 1: "DecodeStateHuffman", 2: "DecodeStatePrune"}


def _options(node: Node) -> dict[str, Any]:
    """The operator's options as a dictionary; they come from an untrusted file."""
    assert isinstance(node.op.attrs, Custom)
    try:
        values = flexbuffers.Loads(bytearray(node.op.attrs.options))
    except Exception as error:  # the reader of FlexBuffers raises whatever damaged bytes lead it to
        raise UnpredictableError(f"its options cannot be read ({error})") from None
    if not isinstance(values, dict):
        raise UnpredictableError("its options are not a map")
    return values


def _number(options: dict[str, Any], name: str, least: int = 0) -> int:
    value = options.get(name)
    if not isinstance(value, int) or not least <= value < 1 << 31:
        raise UnpredictableError(f"its option {name} is missing or makes no sense")
    return value


def _only(struct: str) -> Callable[[Node], Use]:
    """A kernel that allocates its parameters and nothing else."""
    return lambda node: Use((node.sizeof(struct),))


def _nothing(node: Node) -> Use:
    return Use()


def _ring(node: Node, capacity: int) -> int:
    """State of a circular buffer of int16: header, and twice the capacity. Source: circular_buffer.cc."""
    return node.sizeof("CircularBuffer") + 4 * capacity


def _rows(node: Node) -> int:
    """Product of all dimensions but the innermost."""
    return flat(node.shape(node.input(), 1)[:-1])


def _rings(node: Node, struct: str, capacity: int) -> Use:
    """Parameters, then two tables of pointers and a ring per row."""
    rows = _rows(node)
    table = node.target.pointer_bytes * rows
    return Use((node.sizeof(struct),), (table, table, *(_ring(node, capacity),) * rows))


def _delay(node: Node) -> Use:
    """Source: delay.cc."""
    frame = node.shape(node.input(), 1)[-1]
    return _rings(node, "SignalDelay", frame + _number(_options(node), "delay_length"))


def _framer(node: Node) -> Use:
    """Source: framer.cc: the frame rounded up to whole steps."""
    options = _options(node)
    step = _number(options, "frame_step", 1)
    return _rings(node, "SignalFramer", -(-_number(options, "frame_size") // step) * step)


def _stacker(node: Node) -> Use:
    """Source: stacker.cc."""
    options = _options(node)
    context = _number(options, "stacker_left_context") + _number(options, "stacker_right_context") + 1
    return Use((node.sizeof("SignalStacker"), _ring(node, _number(options, "num_channels") * context)))


def _filter_bank(node: Node) -> Use:
    """Source: filter_bank.cc: a 64-bit sum per channel and one more."""
    return Use((node.sizeof("SignalFilterBank"), 8 * (_number(_options(node), "num_channels") + 1)))


def _spectral_subtraction(node: Node) -> Use:
    """Source: filter_bank_spectral_subtraction.cc."""
    count = _number(_options(node), "num_channels")
    return Use((node.sizeof("SignalFilterBankSpectralSubtraction"), 4 * count))


def _overlap_add(node: Node) -> Use:
    """Source: overlap_add.cc."""
    shape = node.shape(node.input(), 2)
    dtype, rows = _fft_type(node), flat(shape[:-2])
    if dtype is DType.INT32:
        raise UnpredictableError("TFLM has no such kernel for int32")
    states = (shape[-1] * dtype.bits // 8,) * rows
    return Use((node.sizeof("SignalOverlapAdd"),), (node.target.pointer_bytes * rows, *states))


def _fft_type(node: Node) -> DType:
    """Element type of the option `T`, a code of the schema's TensorType."""
    try:
        dtype = dtype_of(_number(_options(node), "T"))
    except ValueError as error:
        raise UnpredictableError(str(error)) from None
    if dtype not in (DType.INT16, DType.INT32, DType.FLOAT32):
        raise UnpredictableError(f"TFLM has no such kernel for {dtype.label}")
    return dtype


def _fft_state(node: Node, length: int, dtype: DType) -> int:
    """kiss_fftr_alloc: two states and one and a half times the complex values of the half-length FFT."""
    half, pair = length // 2, 2 * dtype.bits // 8
    inner = node.sizeof(f"kiss_fft_state_{dtype.label}") + pair * (half - 1)
    return node.sizeof("kiss_fftr_state") + inner + pair * (half * 3 // 2)


def _rfft(node: Node) -> Use:
    """Source: rfft.cc."""
    dtype, length = _fft_type(node), _number(_options(node), "fft_length", 2)
    state = _fft_state(node, length, dtype)
    return Use((node.sizeof("SignalRfft"), state), (), (length * dtype.bits // 8,))


def _irfft(node: Node) -> Use:
    """Source: irfft.cc; the float variant keeps its length in front of the state."""
    dtype, length = _fft_type(node), _number(_options(node), "fft_length", 2)
    head = node.sizeof("IrfftFloatState") if dtype is DType.FLOAT32 else 0
    return Use((node.sizeof("SignalIrfft"), head + _fft_state(node, length, dtype)))


def _detection_postprocess(node: Node) -> Use:
    """Source: detection_postprocess.cc."""
    options = _options(node)
    most, classes = _number(options, "max_detections"), _number(options, "num_classes")
    boxes = node.shape(node.input(0), 2)[1]
    scores = node.shape(node.input(1), 3)
    width = node.target.int_bytes
    scratch = (
        boxes,  # active candidates
        boxes * 4 * 4,  # decoded boxes
        scores[1] * scores[2] * 4,
        boxes * 4,  # score buffer
        boxes * 4,  # kept scores
        most * boxes * 4,  # scores after suppression
        most * boxes * 4,  # sorted values
        boxes * width,  # kept indices
        most * boxes * width,  # sorted indices
        max(classes, most) * boxes * width,
        min(boxes, most) * boxes * width,
    )
    return Use((node.sizeof("OpDataDetectionPostprocess"),), (), scratch)


def _ethos_u(node: Node) -> Use:
    """Addresses and sizes of all operands. Source: ethos_u/ethosu.cc."""
    count = len(node.inputs) + len(node.outputs)
    return Use((node.sizeof("OpDataEthosU"),), (), (8 * count, node.target.pointer_bytes * count))


def _decode(node: Node) -> Use:
    """A decoder per output; its kind is the first byte of the ancillary tensor. Source: decode.cc, decode_state*.cc."""
    persistent = [len(node.outputs) * node.target.pointer_bytes]
    for index, output in enumerate(node.outputs):
        ancillary = node.input(2 * index + 1)
        struct = _DECODERS.get(ancillary.data[0] if ancillary.data else -1)
        if struct is None:
            raise UnpredictableError("its decoder is not known")
        persistent.append(node.sizeof(struct))
        points = () if output.quant is None else output.quant.zero_point
        if struct == "DecodeStatePrune" and channels(output.quant) > 1 and any(points):
            persistent.append(len(points))
    return Use((), tuple(persistent))


_FUNCTIONS: dict[str, Callable[[Node], Use]] = {
    "CIRCULAR_BUFFER": _only("OpDataCircularBuffer"),
    "SignalDelay": _delay,
    "SignalEnergy": _only("SignalEnergy"),
    "SignalFftAutoScale": _nothing,
    "SignalFilterBank": _filter_bank,
    "SignalFilterBankLog": _only("SignalFilterBankLog"),
    "SignalFilterBankSpectralSubtraction": _spectral_subtraction,
    "SignalFilterBankSquareRoot": _nothing,
    "SignalFramer": _framer,
    "SignalIrfft": _irfft,
    "SignalOverlapAdd": _overlap_add,
    "SignalPCAN": _only("SignalPCAN"),
    "SignalRfft": _rfft,
    "SignalStacker": _stacker,
    "SignalWindow": _only("SignalWindow"),
    "TFLM_DECODE": _decode,
    "TFLite_Detection_PostProcess": _detection_postprocess,
    "ethos-u": _ethos_u,
}


def use(node: Node) -> Use:
    """What the kernel of a custom operator requests.

    Raises:
        UnpredictableError: the operator is not TFLM's own, or its options make no sense.
    """
    function = _FUNCTIONS.get(node.op.kind)
    if function is None:
        raise UnpredictableError("a custom operator that TFLM does not bring")
    return function(node)
