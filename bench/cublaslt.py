"""bench/cublaslt.py — y = x w^T + bias by cuBLASLt, with every algorithm that its heuristics propose.

    for product in library.proposals(x, w, bias, y, 8): product()   # on PyTorch's current stream; raises if it cannot
    library.proposals(x, w, bias, y, 8, gelu=True)                  # its GELU, the one with tanh
    library.proposals(x, w, None, y, 8, add=True)                   # y += x w^T, y F32 or 16-bit

Called by ctypes in the copy that PyTorch has loaded: what PyTorch itself calls is the first proposal only.
"""
import ctypes

import torch

COMPUTE_F32, REAL_F32 = 68, 0  # cublasComputeType_t, cudaDataType: cublas_api.h, library_types.h
TYPES = {torch.float16: 2, torch.bfloat16: 14, torch.float32: 0}
TRANSA, EPILOGUE, BIAS_POINTER, MAX_WORKSPACE = 3, 7, 8, 1  # attributes: cublasLt.h
EPILOGUE_PLAIN, EPILOGUE_BIAS, EPILOGUE_GELU, EPILOGUE_GELU_BIAS, TRANSPOSED = 1, 4, 32, 36, 1
WORKSPACE_BYTES = 32 << 20


class Proposal(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t"""
    _fields_ = [("algorithm", ctypes.c_uint64 * 8), ("workspace", ctypes.c_size_t), ("state", ctypes.c_int),
                ("waves", ctypes.c_float), ("reserved", ctypes.c_int * 4)]


class Library:
    def __init__(self):
        self.lib = ctypes.CDLL(f"libcublasLt.so.{torch.version.cuda.split('.')[0]}")
        self.handle = self.make("cublasLtCreate")
        self.workspace = torch.empty(WORKSPACE_BYTES, dtype=torch.uint8, device="cuda")

    def call(self, name, *arguments):
        status = getattr(self.lib, name)(*arguments)
        if status:
            raise RuntimeError(f"{name}: status {status}")

    def make(self, name, *arguments):
        made = ctypes.c_void_p()
        self.call(name, ctypes.byref(made), *arguments)
        return made

    def set(self, name, what, attribute, value):
        self.call(name, what, ctypes.c_int(attribute), ctypes.byref(value), ctypes.c_size_t(ctypes.sizeof(value)))

    def layout(self, tensor):
        """A row-major [n,m] as the column-major [m,n] that the library thinks in."""
        rows, width = tensor.shape
        return self.make("cublasLtMatrixLayoutCreate", ctypes.c_int(TYPES[tensor.dtype]), ctypes.c_uint64(width),
                         ctypes.c_uint64(rows), ctypes.c_int64(width))

    def proposals(self, x, w, bias, y, most, gelu=False, add=False):
        """At most so many calls of y = x w^T + bias, in the library's order. bias is of y's type, or None; with `add`
        what y held is added."""
        operation = self.make("cublasLtMatmulDescCreate", ctypes.c_int(COMPUTE_F32), ctypes.c_int(REAL_F32))
        epilogue = ((EPILOGUE_PLAIN, EPILOGUE_GELU), (EPILOGUE_BIAS, EPILOGUE_GELU_BIAS))[bias is not None][gelu]
        attributes = [(TRANSA, ctypes.c_int(TRANSPOSED)), (EPILOGUE, ctypes.c_int(epilogue))]
        if bias is not None:
            assert bias.dtype == y.dtype, "the library takes a bias in the type of its result"
            attributes.append((BIAS_POINTER, ctypes.c_void_p(bias.data_ptr())))
        for attribute, value in attributes:
            self.set("cublasLtMatmulDescSetAttribute", operation, attribute, value)
        layouts = [self.layout(t) for t in (w, x, y, y)]
        wish = self.make("cublasLtMatmulPreferenceCreate")
        self.set("cublasLtMatmulPreferenceSetAttribute", wish, MAX_WORKSPACE, ctypes.c_size_t(WORKSPACE_BYTES))
        results, found = (Proposal * most)(), ctypes.c_int()
        self.call("cublasLtMatmulAlgoGetHeuristic", self.handle, operation, *layouts, wish, ctypes.c_int(most), results,
                  ctypes.byref(found))
        self.call("cublasLtMatmulPreferenceDestroy", wish)
        one, beta = ctypes.c_float(1), ctypes.c_float(1 if add else 0)

        def run(i):
            self.call("cublasLtMatmul", self.handle, operation, ctypes.byref(one), ctypes.c_void_p(w.data_ptr()),
                      layouts[0], ctypes.c_void_p(x.data_ptr()), layouts[1], ctypes.byref(beta),
                      ctypes.c_void_p(y.data_ptr()), layouts[2], ctypes.c_void_p(y.data_ptr()), layouts[3],
                      ctypes.byref(results[i]), ctypes.c_void_p(self.workspace.data_ptr()),
                      ctypes.c_size_t(WORKSPACE_BYTES), ctypes.c_void_p(torch.cuda.current_stream().cuda_stream))

        return [lambda i=i: run(i) for i in range(found.value) if results[i].state == 0]
