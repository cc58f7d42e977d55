# SPDX-License-Identifier: Apache-2.0
"""Sizes of TFLM's C++ structs, computed from their fields by C's alignment rules.

A layout is a line of field types in declaration order. `type*n` is an array; a name that is no scalar is
another struct of the table; `?` marks a field that only the PyPI wheel's build has (`Target.wheel`).
`ptr` also stands for a vtable pointer, which each base class with virtual functions brings; fields of
other base classes are written out. `size` is `size_t`.

Source: TFLM at 90b983c; each group names its file. Files without a folder are in
`tensorflow/lite/micro/kernels/`.
"""

from __future__ import annotations

import functools

from thimble.target import Target

_ARENA = {  # tensorflow/lite/micro/: arena_allocator/*.h, memory_planner/greedy_memory_planner.h, micro_*.h
    "SingleArenaBufferAllocator": "ptr*2 ptr*5 ptr int",
    "RecordingSingleArenaBufferAllocator": "SingleArenaBufferAllocator size*4",
    "GreedyMemoryPlanner": "ptr int*2 ptr*4 int*2 ptr bool",
    "MicroAllocator": "ptr ptr*4 bool size ptr size",
    "RecordedAllocation": "size*3",
    "RecordingMicroAllocator": "MicroAllocator ptr RecordedAllocation*6 ?RecordedAllocation RecordedAllocation",
    "MicroBuiltinDataAllocator": "ptr*2",
    "SubgraphAllocations": "ptr*2 ?ptr",
    "ScratchBufferHandle": "ptr",
    "ScratchBufferRequest": "size int*2",
    "AllocationInfo": "size ptr int*2 i32 bool",
    "PlannerEntry": "int*10",  # GreedyMemoryPlanner::per_buffer_size()
    "MicroResourceVariables": "ptr int*2",
    "MicroResourceVariable": "ptr*3 size i8",
}

_TENSOR = {  # tensorflow/lite/core/c/common.h, the variant with TF_LITE_STATIC_MEMORY
    "TfLiteQuantizationParams": "float i32",
    "TfLiteQuantization": "int ptr",
    "TfLiteAffineQuantization": "ptr*2 i32",
    "TfLiteTensor": "TfLiteQuantization TfLiteQuantizationParams ptr*2 size enum*2 bool",
    "TfLiteEvalTensor": "ptr*2 enum",
    "TfLiteNode": "ptr*6 int",
    "NodeAndRegistration": "TfLiteNode ptr",
}

_PARAMS = {  # tensorflow/compiler/mlir/lite/core/c/builtin_op_data.h
    "TfLitePaddingValues": "int*4",
    "TfLiteAddParams": "enum bool",
    "TfLiteArgMaxParams": "enum",
    "TfLiteBatchMatMulParams": "bool*3",
    "TfLiteCallOnceParams": "int",
    "TfLiteCastParams": "enum*2",
    "TfLiteConcatenationParams": "int enum",
    "TfLiteConvParams": "enum int*2 enum int*2 enum",
    "TfLiteCumsumParams": "bool*2",
    "TfLiteDepthToSpaceParams": "int",
    "TfLiteDepthwiseConvParams": "enum int*3 enum int*2",
    "TfLiteDivParams": "enum",
    "TfLiteFullyConnectedParams": "enum*2 bool*2 enum ?ptr*2",  # the wheel's is of a later revision: 32 bytes
    "TfLiteGatherParams": "int*2",
    "TfLiteIfParams": "int*2",
    "TfLiteL2NormParams": "enum",
    "TfLiteLeakyReluParams": "float",
    "TfLiteMirrorPaddingParams": "enum",
    "TfLiteMulParams": "enum",
    "TfLitePackParams": "int*2",
    "TfLitePoolParams": "enum int*4 enum TfLitePaddingValues",
    "TfLiteReducerParams": "bool",
    "TfLiteReshapeParams": "i32*8 int",
    "TfLiteResizeBilinearParams": "bool*2",
    "TfLiteResizeNearestNeighborParams": "bool*2",
    "TfLiteShapeParams": "enum",
    "TfLiteSoftmaxParams": "float",
    "TfLiteSpaceToDepthParams": "int",
    "TfLiteSplitParams": "int",
    "TfLiteSplitVParams": "int",
    "TfLiteSqueezeParams": "i32*8 int",
    "TfLiteStridedSliceParams": "int*5 bool",
    "TfLiteSubParams": "enum bool",
    "TfLiteSVDFParams": "int enum bool",
    "TfLiteTransposeConvParams": "enum int*2 enum*2",
    "TfLiteUnidirectionalSequenceLSTMParams": "enum float*2 bool*3",
    "TfLiteUnpackParams": "int*2",
    "TfLiteVarHandleParams": "ptr*2",
    "TfLiteWhileParams": "int*2",
}

_SHARED = {  # tensorflow/lite/kernels/internal/types.h
    "ArithmeticParams": "u8 i32*4 int*2 i32 int i32 int i32*2 float*2 i64*2 i16*2 int*5",
    "ComparisonParams": "int i32*2 int i32*2 int bool",
    "ConcatenationParams": "i32 ptr*2 i32*2 float",
    "ConvParams": "u8 i16*4 i16*4 i32*4 int i32*2 float*2",
    "DequantizationParams": "double i32",
    "FullyConnectedParams": "i32*4 int i32*2 float*2 bool*2 u8",
    "HardSwishParams": "i16*3 int i16 int",
    "L2NormalizationParams": "i32",
    "PadParams": "i8 i32*5 i8 i32*5 u8",
    "PreluParams": "i32*4 int i32 int",
    "QuantizationParams": "i32 double",
    "SoftmaxParams": "double i32*4 int i32 float ptr*5",
    "SpaceToBatchParams": "i32",
    "StridedSliceParams": "i8 i32*5 i8 i32*5 i8 i32*5 i16*5 bool",
}

_REFERENCE = {  # the OpData of the kernel's own .h or .cc
    "ReluOpData": "u8 i32*2 i32*3 int",  # activations.h
    "Relu6OpData": "i32*2",  # activations.h
    "OpDataAdd": "bool int*2 i32*5 int*2 i32*3 float*2",  # add.h
    "OpDataAddN": "i32*6 int*4",  # add_n.cc
    "OpDataAssignVariable": "int",  # assign_variable.cc, with compression only
    "OpDataBatchMatmul": "ptr*3 bool*3",  # batch_matmul.h
    "QuantizationOpDataBatchMatmul": "i32 int i32*5",  # batch_matmul.h
    "OpDataCallOnce": "int bool",  # call_once.cc
    "OpDataCircularBuffer": "int*2",  # circular_buffer.h
    "OpDataComparisons": "ComparisonParams",  # comparisons.cc
    "OpDataConcatenation": "ConcatenationParams ?int*10",  # concatenation.cc
    "OpDataConv": "TfLitePaddingValues i32*4 int ptr*2 i32*2 int ?int*2",  # conv.h
    "OpDataCumSum": "i32*6 int*3",  # cumsum.cc
    "DequantizeOpData": "DequantizationParams i32 int i32",  # dequantize.h
    "OpDataDetectionPostprocess": (  # detection_postprocess.cc
        "int*3 float*2 int bool float*4 int*11 TfLiteQuantizationParams*3"
    ),
    "OpDataDiv": "i32*6 int",  # div.cc
    "OpDataAbsRsqrt": "i32 int*3 bool int enum",  # elementwise.cc
    "OpDataElu": "i8*256",  # elu.cc
    "OpDataEmbeddingLookup": "float size",  # embedding_lookup.cc
    "OpDataEthosU": "int*3",  # ethos_u/ethosu.cc
    "OpDataFullyConnected": "i32 int i32*2 int i32*3 int ptr*2 bool ?int*2",  # fully_connected.h
    "OpDataIf": "int*2",  # if.cc
    "LeakyReluOpData": "i32*6",  # leaky_relu.h
    "LogSoftmaxOpData": "i32*4 int size*2",  # log_softmax.cc
    "OpDataLogistic": "i32*3 int",  # logistic.h
    "LstmSizeInfo": "bool int*4",  # lstm_shared.h
    "CellStateInfo": "float i16 i32",  # lstm_shared.h
    "OpDataLSTM": (  # lstm_shared.h
        "LstmSizeInfo CellStateInfo enum FullyConnectedParams*8 ArithmeticParams*3 int*4"
    ),
    "OpDataMirrorPad": "int*5",  # mirror_pad.cc
    "OpDataMul": "i32*6 int float*2",  # mul.h
    "OpDataPad": "PadParams i32",  # pad.h
    "OpDataPooling": "TfLitePaddingValues i32*2 float*2",  # pooling.h
    "OpDataQuantizeReference": "QuantizationParams i32 int i32",  # quantize.h
    "OpDataReduce": "i32 int*5 float int float int*2",  # reduce.h
    "OpDataSelect": "bool",  # select.cc
    "OpDataSquaredDifference": "bool ArithmeticParams",  # squared_difference.cc
    "OpDataSub": "bool int*2 i32*5 int*2 i32*3",  # sub.h
    "OpDataSvdf": "i32*2 int*7",  # svdf.h
    "OpDataTanh": "i32*3 int",  # tanh.cc
    "OpDataTransposeConv": "ConvParams int ?int*2 int ptr*2",  # transpose_conv.cc
    "OpDataVarHandle": "i32",  # var_handle.cc
    "OpDataWhile": "int*2",  # while.cc
    "DecodeStateLut": "ptr*3 ptr size*3 ptr u8*2 bool",  # decode_state.h, decode_state_lut.h
    "DecodeStatePrune": "ptr*3 ptr size*3 ptr*2 i8 bool",  # decode_state_prune.h
    "DecodeStateHuffman": "ptr*3 ptr size ptr bool u8",  # decode_state_huffman.h
}

_CMSIS_NN = {  # cmsis_nn/*.cc; lstm: arm_nn_types.h of CMSIS-NN
    "CmsisAdd": "bool int*2 i32*5 int*2 i32*3 float*2",
    "CmsisBatchMatmul": "OpDataBatchMatmul i32*4 int",
    "CmsisConv": "OpDataConv int",
    "CmsisFullyConnected": "OpDataFullyConnected int*2 ptr i32*3",
    "CmsisPooling": "OpDataPooling int",
    "CmsisSoftmax": "SoftmaxParams i32*2",
    "CmsisSvdf": "i32*2 int*3 int*4 ptr",
    "CmsisTransposeConv": "ConvParams int*3 ptr*2",
    "cmsis_nn_lstm_gate": "i32*2 ptr*2 i32*2 ptr*2 ptr enum",
    "CmsisLSTM": "OpDataLSTM i32*15 cmsis_nn_lstm_gate*4",
}

_SIGNAL = {  # signal/micro/kernels/*.cc, signal/src/*.h; kiss_*: kissfft's kiss_fftr.c and _kiss_fft_guts.h
    "CircularBuffer": "size*3 i32*2 ptr",
    "SignalDelay": "i32*3 ptr*2",
    "SignalEnergy": "i32*2",
    "SignalFilterBank": "i32 ptr*5 i32*2 ptr",
    "SignalFilterBankLog": "int*2",
    "SpectralSubtractionConfig": "i32*8 bool",
    "SignalFilterBankSpectralSubtraction": "SpectralSubtractionConfig ptr size",
    "SignalFramer": "i32*4 bool ptr*2",
    "SignalIrfft": "i32*4 enum ptr",
    "IrfftFloatState": "i32 ptr",
    "SignalOverlapAdd": "i32*4 enum ptr",
    "SignalPCAN": "int",
    "SignalRfft": "i32*4 enum ptr int ptr",
    "SignalStacker": "i32*4 size*2 bool ptr*2",
    "SignalWindow": "i32*2",
    "kiss_fftr_state": "ptr*3",
    "kiss_fft_state_int16": "int*66 i16*2",
    "kiss_fft_state_int32": "int*66 i32*2",
    "kiss_fft_state_float32": "int*66 float*2",
}

STRUCTS: dict[str, str] = {**_ARENA, **_TENSOR, **_PARAMS, **_SHARED, **_REFERENCE, **_CMSIS_NN, **_SIGNAL}

_FIXED = {"i8": 1, "u8": 1, "bool": 1, "i16": 2, "i32": 4, "float": 4, "i64": 8}


def align_up(value: int, alignment: int) -> int:
    """The smallest multiple of `alignment` that is not below `value`."""
    return -(-value // alignment) * alignment


def _scalar(kind: str, target: Target) -> int | None:
    """Bytes of a scalar type, or None where `kind` names a struct."""
    if kind in ("ptr", "size"):
        return target.pointer_bytes
    by_target = {"int": target.int_bytes, "enum": target.enum_bytes, "double": target.double_bytes}
    return by_target.get(kind, _FIXED.get(kind))


def _field(text: str, target: Target) -> tuple[int, int]:
    """(bytes, alignment) of one field; (0, 1) where this build does not have it."""
    if text.startswith("?") and not target.wheel:
        return 0, 1
    kind, _, count = text.lstrip("?").partition("*")
    scalar = _scalar(kind, target)
    size, alignment = struct_layout(kind, target) if scalar is None else (scalar, min(scalar, target.alignment))
    return size * int(count or 1), alignment


@functools.cache
def struct_layout(name: str, target: Target) -> tuple[int, int]:
    """(sizeof, alignof) of a struct of the table on a target."""
    offset, largest = 0, 1
    for text in STRUCTS[name].split():
        size, alignment = _field(text, target)
        offset = align_up(offset, alignment) + size
        largest = max(largest, alignment)
    return align_up(offset, largest), largest


def struct_size(name: str, target: Target) -> int:
    """`sizeof` a struct of the table on a target."""
    return struct_layout(name, target)[0]
