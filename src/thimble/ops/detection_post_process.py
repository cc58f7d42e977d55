# SPDX-License-Identifier: Apache-2.0
"""TFLite_Detection_PostProcess: the best boxes that do not overlap, of uint8; one class each ("fast" suppression).

Operands: offsets `[1,B,4]` (y, x, height, width), scores `[1,B,C]`, where a first class too many is the background, and
anchors `[B,4]`. Results, for `max_detections` boxes: corners `[1,N,4]`, classes `[1,N]`, scores `[1,N]`, their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Array, Call, Custom, DType, Shape, Tensor
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.legacy import OFFSET, is_legacy, to_unsigned
from thimble.ops.lowering import packed
from thimble.ops.numerics import quant_of


@dataclass(frozen=True, slots=True)
class DetectionPostProcess(Custom):
    def settings(self) -> dict[str, Any]:
        """The options.

        Raises:
            UnsupportedOperatorError: they are damaged, or ask for a variant that is not here.
        """
        try:
            found: Any = flexbuffers.Loads(bytearray(self.options))
        except Exception as error:  # the reader of FlexBuffers raises whatever damaged bytes lead it to
            raise UnsupportedOperatorError(f"{self.code}: its options cannot be read ({error})") from None
        names = ("max_detections", "num_classes", "nms_score_threshold", "nms_iou_threshold", *_SCALES)
        if not isinstance(found, dict) or any(not isinstance(found.get(name), int | float) for name in names):
            raise UnsupportedOperatorError(f"{self.code}: an option is missing")
        if found.get("use_regular_nms") or found.get("max_classes_per_detection", 1) != 1:
            raise UnsupportedOperatorError(f"{self.code}: only one class per box, by the fast method, is supported")
        return found

    def result_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the results, which files leave open."""
        most = self.settings()["max_detections"]
        return (1, most, 4), (1, most), (1, most), (1,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `detection_post_process.h`; exponentials by a table of all 256."""
        offsets, scores = site.tensor(0), site.tensor(1)
        if not all(is_legacy(t) for t in (offsets, scores, site.tensor(2))):
            raise site.unsupported("operands must be uint8")
        found = self.settings()
        anchors = to_unsigned(site.constant(2))
        reals = _real(np.frombuffer(anchors.data or b"", np.uint8), anchors).reshape(-1, 4)
        levels = _real(np.arange(256), to_unsigned(offsets))
        heights, widths = (np.exp(levels.astype(np.float64) / found[name]) / 2 for name in _SCALES[2:])
        shifts = [levels.astype(np.float64) / found[name] for name in _SCALES[:2]]
        boxes, classes = scores.shape[1:]
        reached = np.nonzero(_real(np.arange(256), to_unsigned(scores)) >= np.float32(found["nms_score_threshold"]))[0]
        fields = (
            ("boxes", boxes),
            ("classes", classes),
            ("background", classes - found["num_classes"]),
            ("most", found["max_detections"]),
            ("flip", OFFSET if scores.dtype is DType.INT8 else 0),
            ("least", int(reached[0]) if reached.size else 256),
            ("zero", quant_of(to_unsigned(scores)).zero_point[0]),
            ("scale", float(np.float32(quant_of(scores).scale[0]))),
            ("overlap", float(np.float32(found["nms_iou_threshold"]))),
        )
        constants = (
            packed("anchors", DType.FLOAT32, reals),
            packed("shifts and half sizes", DType.FLOAT32, np.stack([*shifts, heights, widths], axis=1)),
        )
        name = "detection_post_process"
        views = whole(offsets, scores), whole(*site.outputs)
        return (KernelCall(name, f"{name}.h", *views, constants, name, fields, scratch=2 * boxes),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Zeros where there are fewer boxes; LiteRT leaves open what is there.

        Source: tensorflow/lite/kernels/detection_postprocess.cc and tensorflow/lite/micro/kernels/.
        """
        if any(call.tensor(i).dtype is not DType.UINT8 for i in range(3)):
            raise UnsupportedOperatorError(f"{self.code}: there is a reference for uint8 only")
        found = self.settings()
        corners = _corners(found, _real(call.value(0), call.tensor(0))[0], _real(call.value(2), call.tensor(2)))
        scores = _real(call.value(1), call.tensor(1))[0]
        scores = scores[:, scores.shape[1] - found["num_classes"] :]
        best = scores.max(axis=1)
        most: int = found["max_detections"]
        taken: list[int] = []
        order = [
            int(i) for i in np.argsort(-best, kind="stable") if best[i] >= np.float32(found["nms_score_threshold"])
        ]
        overlap = float(np.float32(found["nms_iou_threshold"]))
        while order and len(taken) < most:
            taken.append(order.pop(0))
            order = [i for i in order if not _shared(corners[taken[-1]], corners[i]) > overlap]
        results = [np.zeros(shape, np.float32) for shape in self.result_shapes()]
        results[0][0, : len(taken)] = corners[taken]
        results[1][0, : len(taken)] = scores[taken].argmax(axis=1)
        results[2][0, : len(taken)] = best[taken]
        results[3][0] = len(taken)
        return tuple(results)


_SCALES = ("y_scale", "x_scale", "h_scale", "w_scale")


def _real(values: Array, tensor: Tensor) -> Array:
    quant = quant_of(tensor)
    real: Array = (values.astype(np.float32) - np.float32(quant.zero_point[0])) * np.float32(quant.scale[0])
    return real


def _corners(found: dict[str, Any], offsets: Array, anchors: Array) -> Array:
    """(top, left, bottom, right) of every box."""
    scaled = offsets.astype(np.float64)[:, :4] / [found[name] for name in _SCALES]
    sizes = anchors[:, 2:].astype(np.float64)
    centre = (scaled[:, :2] * sizes + anchors[:, :2]).astype(np.float32)
    half = (0.5 * np.exp(scaled[:, 2:]) * sizes).astype(np.float32)
    return np.concatenate([centre - half, centre + half], axis=1)


def _shared(a: Array, b: Array) -> float:
    """Area that both boxes cover, over what either does."""
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    if min(areas) <= 0:
        return 0.0
    height, width = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), np.float32(0))
    both = np.float32(height * width)
    return float(both / (areas[0] + areas[1] - both))
