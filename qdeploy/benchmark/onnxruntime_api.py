"""onnxruntime's C API through the library inside its own wheel, for calls without Python.

The function table `OrtApi` is append-only: onnxruntime asserts at its own compile time that the
entries of version 1 keep their places. Only entries of version 1 are used, the library must report
the version of the imported wheel, and the scores are compared before anything is timed.
"""

import ctypes
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.harness import HarnessTimer, SessionState
from qdeploy.errors import QDeployError

__all__ = ["NativeSession", "find_library"]

API_VERSION = 1
LOG_WARNINGS = 2
ARENA_ALLOCATOR, DEFAULT_MEMORY = 1, 0
TENSOR_TYPES = {"int8": 3, "int32": 6, "int64": 7}
"""ONNXTensorElementDataType of the types in use."""


class _Slot(IntEnum):
    """Places of functions in OrtApi, all of version 1."""

    GET_ERROR_MESSAGE = 2
    CREATE_ENV = 3
    CREATE_SESSION_FROM_ARRAY = 8
    RUN = 9
    CREATE_SESSION_OPTIONS = 10
    SET_INTRA_OP_NUM_THREADS = 24
    SET_INTER_OP_NUM_THREADS = 25
    CREATE_TENSOR_WITH_DATA = 49
    CREATE_CPU_MEMORY_INFO = 69
    RELEASE_ENV = 92
    RELEASE_STATUS = 93
    RELEASE_MEMORY_INFO = 94
    RELEASE_SESSION = 95
    RELEASE_VALUE = 96
    RELEASE_SESSION_OPTIONS = 100


class _ApiBase(ctypes.Structure):
    _fields_ = (
        ("get_api", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)),
        ("get_version", ctypes.CFUNCTYPE(ctypes.c_char_p)),
    )


def find_library() -> Path | None:
    """The shared library of the installed wheel, or None where the wheel has none."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    found = [*folder.glob("libonnxruntime.so.*"), *folder.glob("libonnxruntime.*.dylib")]
    return found[0] if len(found) == 1 else None


class NativeSession:
    """A session on one ONNX model.

    Args:
        library: what `find_library` gave.
        proto: the serialised ONNX model.
        threads: intra-op threads; 0 leaves the number to onnxruntime.

    Raises:
        QDeployError: the library is not of the imported version, or it refuses the model.
    """

    def __init__(self, library: Path, proto: bytes, threads: int) -> None:
        import onnxruntime

        loaded = ctypes.CDLL(str(library))
        loaded.OrtGetApiBase.restype = ctypes.POINTER(_ApiBase)
        base = loaded.OrtGetApiBase().contents
        version = base.get_version().decode()
        if version != onnxruntime.__version__:
            raise QDeployError(
                f"onnxruntime {onnxruntime.__version__} came with a library of version {version}; "
                "reinstall it"
            )
        self._table = ctypes.cast(base.get_api(API_VERSION), ctypes.POINTER(ctypes.c_void_p))
        self._proto = proto
        self._releases: list[tuple[_Slot, ctypes.c_void_p]] = []
        environment = self._create(
            _Slot.CREATE_ENV, _Slot.RELEASE_ENV, ctypes.c_int(LOG_WARNINGS), b"qdeploy"
        )
        options = self._create(_Slot.CREATE_SESSION_OPTIONS, _Slot.RELEASE_SESSION_OPTIONS)
        if threads:
            self._call(_Slot.SET_INTRA_OP_NUM_THREADS, options, ctypes.c_int(threads))
        self._call(_Slot.SET_INTER_OP_NUM_THREADS, options, ctypes.c_int(1))
        self._memory = self._create(
            _Slot.CREATE_CPU_MEMORY_INFO,
            _Slot.RELEASE_MEMORY_INFO,
            ctypes.c_int(ARENA_ALLOCATOR),
            ctypes.c_int(DEFAULT_MEMORY),
        )
        self._session = self._create(
            _Slot.CREATE_SESSION_FROM_ARRAY,
            _Slot.RELEASE_SESSION,
            environment,
            proto,
            ctypes.c_size_t(len(proto)),
            options,
        )

    def timer(
        self, inputs: NDArray[np.int8], scores: NDArray[Any], input_name: str, output_name: str
    ) -> HarnessTimer:
        """A timer of `Run` on tensors made beforehand.

        Args:
            inputs: int8 (p, n, d), contiguous; one call takes one (n, d).
            scores: (n, K), contiguous; every call writes its scores here.
            input_name: name of the graph's input.
            output_name: name of the graph's output.
        """
        tensors = [self._tensor(x) for x in inputs]
        array = (ctypes.c_void_p * len(tensors))(*(tensor.value for tensor in tensors))
        state = SessionState(
            self._table[_Slot.RUN],
            self._table[_Slot.RELEASE_STATUS],
            self._session,
            input_name.encode(),
            output_name.encode(),
            ctypes.cast(array, ctypes.c_void_p),
            self._tensor(scores),
        )
        return HarnessTimer("step_session", state, len(tensors), (self, array, inputs, scores))

    def close(self) -> None:
        """Release everything, in reverse order of creation."""
        while self._releases:
            slot, handle = self._releases.pop()
            self._function(slot)(handle)

    def __enter__(self) -> "NativeSession":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tensor(self, array: NDArray[Any]) -> ctypes.c_void_p:
        if not array.flags.c_contiguous:
            raise ValueError("onnxruntime reads and writes contiguous arrays only")
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        return self._create(
            _Slot.CREATE_TENSOR_WITH_DATA,
            _Slot.RELEASE_VALUE,
            self._memory,
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
            shape,
            ctypes.c_size_t(array.ndim),
            ctypes.c_int(TENSOR_TYPES[array.dtype.name]),
        )

    def _function(self, slot: _Slot, result: Any = None) -> Callable[..., Any]:
        # Arguments come as ctypes objects of their own width, so none needs declaring.
        return ctypes.CFUNCTYPE(result)(self._table[slot])

    def _call(self, slot: _Slot, *arguments: Any) -> None:
        status = self._function(slot, ctypes.c_void_p)(*arguments)
        if status:
            handle = ctypes.c_void_p(status)
            message = self._function(_Slot.GET_ERROR_MESSAGE, ctypes.c_char_p)(handle)
            text = message.decode(errors="replace")
            self._function(_Slot.RELEASE_STATUS)(handle)
            raise QDeployError(f"onnxruntime refused the model: {text}")

    def _create(self, slot: _Slot, release: _Slot, *arguments: Any) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call(slot, *arguments, ctypes.byref(handle))
        self._releases.append((release, handle))
        return handle
