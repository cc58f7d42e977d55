# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro's memory, reproduced: its greedy plan, scratch buffers and persistent allocations."""

from thimble.tflm.allocation import Allocation, Planned, predict
from thimble.tflm.planner import Request, Scratch, greedy, requests

__all__ = ["Allocation", "Planned", "Request", "Scratch", "greedy", "predict", "requests"]
