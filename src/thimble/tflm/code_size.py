# SPDX-License-Identifier: Apache-2.0
"""Flash that TFLM's own code takes beside the model: an estimate, and reported as one.

Source: linked `.text` of TFLM 90b983c with CMSIS-NN 4ab83cc, gcc 12.2 -O2, int8 registrations, without the
model: Cortex-M4 28,704 bytes for FULLY_CONNECTED alone (ad), 44,120 for five other kinds (person_detect),
53,864 for both (kws); Cortex-M55 20,712, 39,192 and 45,224. The three builds of a core fix what its
interpreter takes, what FULLY_CONNECTED takes, and what the five others take on average. On the fourth
(ic: 51,664 and 41,968) the estimate is 4 % and 7 % too high.
"""

from __future__ import annotations

from thimble.ir import Model
from thimble.target import Target

# (alone, five others, both), bytes of .text
_M4 = (28_704, 44_120, 53_864)
_M55 = (20_712, 39_192, 45_224)


def runtime_flash(model: Model, target: Target) -> tuple[int, tuple[str, ...]]:
    """Estimated bytes of TFLM's code with the kernels that the model needs, and the notice that says so.

    Cores other than Cortex-M4 and M55 take the M4's figures.
    """
    fully_connected_alone, others_alone, both = _M55 if target.mve else _M4
    fully_connected = both - others_alone
    interpreter = fully_connected_alone - fully_connected
    each = (others_alone - interpreter) // 5
    kinds = {op.kind for graph in model.graphs for op in graph.ops}
    code = interpreter + sum(fully_connected if kind == "FULLY_CONNECTED" else each for kind in kinds)
    return code, (f"flash counts {code:,} B for TFLM's code, an estimate from builds for Cortex-M4 and M55",)
