"""What host/api/f5tts.h promises of its structs: a library and a program that know them at different lengths understand
each other. Lengths other than this header's stand for programs built with an older or a newer one."""
import ctypes

import pytest

import f5abi
import f5lib

STRUCTS = sorted(name for name, s in f5lib.header().structs.items() if s._fields_[0][0] == "size")
GUARD = 0xA5


def filled(name, size):
    """The bytes that _init makes of a struct of that size, and those behind it."""
    memory = (ctypes.c_uint8 * (size + 64))(*[GUARD] * (size + 64))
    f5lib.init(name, ctypes.addressof(memory), size)
    return bytes(memory[:size]), bytes(memory[size:])


def test_all_structs_are_found():
    text = "".join(path.read_text(encoding="utf-8") for path in f5abi.PARTS)
    assert len(STRUCTS) == text.count("    size_t size;") == text.count("\nF5_STRUCT_INIT(") >= 9


@pytest.mark.parametrize("name", STRUCTS)
def test_init_fills_the_callers_struct_and_no_more(name):
    full = ctypes.sizeof(f5lib.header().struct(name))
    wanted, _ = filled(name, full)
    for size in (8, full // 2 // 8 * 8, full - 8, full, full + 8, full + 48):
        got, behind = filled(name, size)
        assert behind == bytes([GUARD]) * 64, f"{name} of {size} bytes: written beyond"
        assert int.from_bytes(got[:8], "little") == size
        assert got[8:] == wanted[8:size] + bytes(max(0, size - full))


@pytest.mark.parametrize("name, call", [("f5_engine_info", "f5_get_info"), ("f5_plan_info", "f5_plan")])
def test_results_stop_where_the_callers_struct_does(model, name, call):
    full = ctypes.sizeof(f5lib.header().struct(name))
    with f5lib.Engine(model, max_frames=64) as e:
        for size in (8, 16, full - 8, full, full + 16):
            memory = (ctypes.c_uint8 * (size + 64))(*[GUARD] * (size + 64))
            f5lib.init(name, ctypes.addressof(memory), size)
            f5lib.call(call, e.handle, *([40, 1, 2] if call == "f5_plan" else []), ctypes.addressof(memory))
            assert bytes(memory[size:]) == bytes([GUARD]) * 64
            assert int.from_bytes(bytes(memory[:8]), "little") == size
            assert not any(memory[full:size]), "what this library does not know stays zero"


def test_what_an_older_header_lacks_has_its_default(model):
    """A program that knows f5_open_params up to max_frames only: the rest is as _init has it."""
    known = f5lib.header().struct("f5_open_params")
    size = known.max_batch.offset + 4
    assert size % 8 == 0
    memory = (ctypes.c_uint8 * ctypes.sizeof(known))(*[GUARD] * ctypes.sizeof(known))
    f5lib.init("f5_open_params", ctypes.addressof(memory), size)
    params = known.from_buffer(memory)
    path, device = ctypes.create_string_buffer(str(model).encode()), ctypes.create_string_buffer(b"cpu")
    params.model_path, params.device = ctypes.addressof(path), ctypes.addressof(device)
    params.max_frames, params.max_batch = 80, 3
    e = f5lib.Engine.__new__(f5lib.Engine)
    e.handle, e._raised = ctypes.c_void_p(), f5lib.threading.local()
    f5lib.call("f5_open", ctypes.addressof(params), ctypes.addressof(e.handle))
    with e:
        info = e.info()
        assert (info["max_frames"], info["max_batch"], info["max_evaluations"]) == (80, 3, 64)


@pytest.mark.parametrize("size", [0, 7, 12, 1 << 20])
def test_a_struct_that_was_not_filled_is_refused(model, size):
    params = f5lib.struct("f5_open_params")
    params.size = size
    handle = ctypes.c_void_p()
    with pytest.raises(f5lib.Error, match="fill the struct with its _init") as failure:
        f5lib.call("f5_open", ctypes.addressof(params), ctypes.addressof(handle))
    assert failure.value.status == "F5_E_ARGUMENT"
