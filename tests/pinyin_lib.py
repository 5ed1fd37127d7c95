"""pinyin_lib.py — the tokenizer with its tables for Chinese, called in libf5tts_test.so."""
import ctypes
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / "weights/text/pinyin.bin"
PINYIN, CHAR, BYTE, CUSTOM = range(4)
TOKEN_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
size_t, i32, pointer = ctypes.c_size_t, ctypes.c_int32, ctypes.c_void_p


class Run(ctypes.Structure):
    _fields_ = [("bytes", size_t), ("characters", size_t), ("chinese", size_t)]


class F5Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class CTokenizer(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("v", pointer), ("ids", pointer), ("capacity", i32), ("n", i32),
                ("pinyin", pointer), ("scratch", pointer), ("scratch_bytes", size_t), ("space_wanted", ctypes.c_bool)]


def prepare(lib):
    lib.pinyin_table_open.argtypes = [pointer, pointer, size_t, ctypes.c_char_p, pointer]
    lib.tokenizer_put_tokens.argtypes = [pointer, ctypes.c_char_p, size_t, size_t, TOKEN_FN, pointer, pointer]
    lib.segment_find_run.argtypes, lib.segment_find_run.restype = [ctypes.c_char_p, size_t], Run
    lib.segment_chinese.argtypes = [pointer, ctypes.c_char_p, Run, pointer, TOKEN_FN, pointer]
    lib.tokenizer_put.argtypes = [pointer, ctypes.c_char_p, size_t, size_t, pointer]
    return lib


def aligned(data):
    """A copy of the bytes at a multiple of 8, and its address."""
    held = (ctypes.c_uint64 * (len(data) // 8 + 1))()
    ctypes.memmove(held, data, len(data))
    return held, ctypes.addressof(held)


class Table:
    """An open table, or `status` and `message` of why not."""

    def __init__(self, lib, data=None, longest=4096):
        self.lib = prepare(lib)
        data = TABLE.read_bytes() if data is None else data
        self.held, self.address = aligned(data)
        self.struct = (ctypes.c_uint64 * 64)()
        self.scratch_bytes = 16 * (longest + 1)
        self.scratch = (ctypes.c_uint64 * (self.scratch_bytes // 8))()
        error = F5Error()
        self.status = lib.pinyin_table_open(self.struct, self.address, len(data), b"table", ctypes.byref(error))
        self.message = error.message.decode()
        self.out = []
        self.emit = TOKEN_FN(lambda user, token, n: self.out.append(ctypes.string_at(token, n)))

    def tokenizer(self, kind=PINYIN):
        return CTokenizer(kind=kind, pinyin=ctypes.addressof(self.struct), scratch=ctypes.addressof(self.scratch),
                          scratch_bytes=self.scratch_bytes)

    def split(self, text, t=None):
        """(status, tokens, message) of a text, or of a piece of it where t is given."""
        t, error, data = t or self.tokenizer(), F5Error(), text.encode()
        self.out.clear()
        status = self.lib.tokenizer_put_tokens(ctypes.byref(t), data, len(data), 0, self.emit, None, ctypes.byref(error))
        return status, [token.decode() for token in self.out], error.message.decode()

    def segments(self, text):
        """Of a text that is one run."""
        data = text.encode()
        run = self.lib.segment_find_run(data, len(data))
        assert (run.bytes, run.characters) == (len(data), len(text)) and 16 * (len(text) + 1) <= self.scratch_bytes
        self.out.clear()
        self.lib.segment_chinese(self.struct, data, run, self.scratch, self.emit, None)
        return [segment.decode() for segment in self.out]

    def tokens(self, text):
        status, tokens, message = self.split(text)
        assert status == 0, message
        return tokens
