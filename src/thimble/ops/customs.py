# SPDX-License-Identifier: Apache-2.0
"""Custom operators that Thimble knows; others stay opaque.

TFLM's own for audio, the boxes of SSD, MediaPipe's transposed convolution.
"""

from __future__ import annotations

from thimble.ir import Custom
from thimble.ops.convolution_2d_transpose_bias import Convolution2DTransposeBias
from thimble.ops.detection_post_process import DetectionPostProcess
from thimble.ops.signal_energy import SignalEnergy
from thimble.ops.signal_fft_auto_scale import SignalFftAutoScale
from thimble.ops.signal_filter_bank import SignalFilterBank
from thimble.ops.signal_filter_bank_log import SignalFilterBankLog
from thimble.ops.signal_filter_bank_spectral_subtraction import SignalFilterBankSpectralSubtraction
from thimble.ops.signal_filter_bank_square_root import SignalFilterBankSquareRoot
from thimble.ops.signal_pcan import SignalPCAN
from thimble.ops.signal_rfft import SignalRfft
from thimble.ops.signal_window import SignalWindow

_CLASSES: tuple[type[Custom], ...] = (
    Convolution2DTransposeBias,
    SignalEnergy,
    SignalFftAutoScale,
    SignalFilterBank,
    SignalFilterBankLog,
    SignalFilterBankSpectralSubtraction,
    SignalFilterBankSquareRoot,
    SignalPCAN,
    SignalRfft,
    SignalWindow,
)

CUSTOMS: dict[str, type[Custom]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    "TFLite_Detection_PostProcess": DetectionPostProcess,
}
"""Attribute class by custom code."""


def custom(code: str, options: bytes) -> Custom:
    """Attributes of a custom operator."""
    return CUSTOMS.get(code, Custom)(code, options)
