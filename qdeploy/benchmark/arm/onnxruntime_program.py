#!/usr/bin/env python3
"""Times onnxruntime where it runs, with the options and the output of a bench program.

It runs on the board by itself, with whatever Python 3 and onnxruntime are there: nothing of
qdeploy is imported. Standard input: one line of JSON (bytes of the model, threads), the ONNX
model, the rows of int8 inputs.
"""

import argparse
import json
import resource
import sys
import time


def main() -> None:
    """Time `InferenceSession.run` on batches taken in turn, and print one JSON object."""
    options = _options()
    import numpy
    import onnxruntime

    head = json.loads(sys.stdin.buffer.readline())
    model = sys.stdin.buffer.read(head["model_bytes"])
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = head["threads"]
    settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    width = session.get_inputs()[0].shape[1]
    rows = numpy.frombuffer(sys.stdin.buffer.read(), dtype=numpy.int8).reshape(-1, width)
    batches = [rows[i : i + options.batch] for i in range(0, len(rows), options.batch)]
    feeds = [{name: batch} for batch in batches]
    outputs = [output]
    scores = b"".join(session.run(outputs, feed)[0].tobytes() for feed in feeds)

    clock, run = time.perf_counter, session.run
    place = 0

    def group(calls: int) -> float:
        nonlocal place
        order = [feeds[(place + i) % len(feeds)] for i in range(calls)]
        place += calls
        start = clock()
        for feed in order:
            run(outputs, feed)
        return (clock() - start) / calls

    until = clock() + options.warm
    while clock() < until:
        group(1)
    print(
        json.dumps(
            {
                "name": "onnxruntime " + onnxruntime.__version__,
                "batch": options.batch,
                "inputs": len(feeds),
                "calls": options.calls,
                "groups": options.groups,
                "clock_cost": _clock_cost(),
                "loop_cost": 0.0,
                "peak_resident_kibibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                "checksum": _checksum(scores),
                "seconds": [group(options.calls) for _ in range(options.groups)],
            }
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", choices=["-"], required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--warm", type=float, default=0.0)
    return parser.parse_args()


def _clock_cost() -> float:
    costs = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1000):
            time.perf_counter()
        costs.append((time.perf_counter() - start) / 1000)
    return min(costs)


def _checksum(data: bytes) -> str:
    """64-bit FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


if __name__ == "__main__":
    main()
