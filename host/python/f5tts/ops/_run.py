"""How an op is called: its table says what each field is; every tensor is held against it before anything runs."""
from __future__ import annotations

import ctypes
import importlib
import re
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from . import _table
from ._context import POINTER, capturing, context, function, place, used_here
from ._table import DTYPES, ENUMS, OPS, Field
from ._tensor import Device, Tensor, View, count, empty, from_array, torch_of, view

__all__ = ["Pack", "Tensor", "hann_window", "mel_bank", "position_table", "rope_table", "run"]
MOST = 2 ** 31 - 1
PACKS = ("pack", "c_pack", "y_pack")
LIKE_INPUT = ("type", "matrix", "rows")  # kinds whose number type is the caller's choice


class Pack:
    """Sequences side by side along rows: `lengths` rows each, 0: an empty slot; then `tail` rows that belong to none.

    device: "cpu", "cuda", "cuda:1"; there, calls on any stream may have it. Raises ValueError."""

    def __init__(self, lengths: Sequence[int], tail: int = 0, device: Union[str, Device] = "cpu", *, _here: bool = False) -> None:
        self.lengths, more = [_whole(n, "a pack's length") for n in lengths], _whole(tail, "a pack's tail")
        self.rows, self.n_seq = sum(self.lengths) + more, len(self.lengths)
        if min([0, more, *self.lengths]) < 0 or not self.lengths or self.rows > MOST:
            raise ValueError(f"a pack of {len(self.lengths)} sequences and {self.rows} rows: at least one sequence, no negative "
                             "lengths, and less than 2^31 rows it must have")
        ends = np.cumsum([0, *self.lengths])
        self.spans = list(zip(ends[:-1].tolist(), ends[1:].tolist()))
        self.live = int(ends[-1])
        self.device = device if isinstance(device, tuple) else _device_of(device)
        slots = np.arange(self.n_seq, dtype=np.int32)
        owners = np.concatenate([np.repeat(slots, self.lengths), np.full(max(more, 1 - self.live), -1, np.int32)])
        self.offsets = from_array(ends.astype(np.int32), self.device, _here)
        self.seq_of_row = from_array(owners, self.device, _here)
        self.struct = _table.f5_pack(rows=self.rows, n_seq=self.n_seq, offsets=view(self.offsets, "offsets").pointer,
                                     seq_of_row=view(self.seq_of_row, "seq_of_row").pointer)


def _whole(value: Any, what: str) -> int:
    if not hasattr(value, "__index__"):
        raise ValueError(f"{what} is {value!r}, not an integer")
    return int(value.__index__())


def _device_of(name: str) -> Device:
    if not isinstance(name, str):
        name = str(name)  # torch.device
    match = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", name)
    if not match:
        raise ValueError(f"device is {name!r}: \"cpu\", \"cuda\" or \"cuda:1\" it may be")
    if match[1] == "cuda" and match[2] is None:
        torch: Any = importlib.import_module("torch")
        return "cuda", int(torch.cuda.current_device())
    return match[1], int(match[2] or 0)


# ---- tables that ops read, as numpy arrays

def _table_of(name: str, shape: tuple[int, ...], *rest: Any) -> npt.NDArray[np.float32]:
    out: npt.NDArray[np.float32] = empty(shape, "float32", ("cpu", 0), np.empty(0))
    function(name, None, POINTER, *([ctypes.c_void_p if r is None else ctypes.c_int32 for r in rest]))(out.ctypes.data, *rest)
    return out


def rope_table(positions: int) -> npt.NDArray[np.float32]:
    """[positions,32,2] (cos, sin) of attention and linear."""
    return _table_of("rope_table_fill", (_positions(positions), 32, 2), positions, None)


def position_table(positions: int, dim: int) -> npt.NDArray[np.float32]:
    """[positions,dim] of embed; dim even."""
    if _whole(dim, "dim") % 2 or not 2 <= dim <= MOST:
        raise ValueError(f"a table of {positions} positions and {dim} numbers: dim is even, and 2 at least")
    return _table_of("position_table_fill", (_positions(positions), dim), positions, dim)


def _positions(value: int) -> int:
    if not 1 <= _whole(value, "positions") <= MOST:
        raise ValueError(f"a table of {value} positions: 1 to {MOST} it may have")
    return value


def mel_bank() -> npt.NDArray[np.float32]:
    """[513,100] of mel."""
    return _table_of("mel_bank_fill", (513, 100))


def hann_window() -> npt.NDArray[np.float32]:
    """[1024] of istft."""
    return _table_of("hann_window_fill", (1024,))


# ---- a call

class Call:
    """The fields of one call, checked one after the other. loose: tensors may have other shapes of the same size, as long as
    every number is given; f5tts.ops.check gives what its tests have."""

    def __init__(self, op: str, given: Mapping[str, Any], dtype: Any, loose: bool = False) -> None:
        self.op, self.given, self.loose = op, dict(given), loose
        self.fields = {f.name: f for f in OPS[op]}
        self.dtype = None if dtype is None else str(getattr(dtype, "name", None) or dtype).replace("torch.", "")
        if isinstance(dtype, type):
            self.dtype = np.dtype(dtype).name
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(f"{op}: dtype is {dtype}: {', '.join(DTYPES)} it may be")
        self.views: dict[str, View] = {}
        self.sizes: dict[str, int] = {}
        self.device: Optional[Device] = None
        self.like: Any = None
        self.held: list[Any] = []
        for f in OPS[op]:
            if f.kind == "int" and self.given.get(f.name) is not None and (loose or not self._follows(f.name)):
                self.sizes[f.name] = self._number(f.name)
        for f in OPS[op]:
            if f.shape is not None and self.given.get(f.name) is not None:
                self._look(f)
        if self.device is None:
            raise ValueError(f"{op}: no tensor is given")

    def fit(self) -> None:
        """Holds every tensor against its field, and makes the packs that are not given."""
        self._packs()
        for f in OPS[self.op]:
            if f.shape is not None and f.name in self.views and not f.out:
                self._fit(f, self.views[f.name])
        self._limits()

    def _follows(self, name: str) -> bool:
        """A number that a tensor's shape says."""
        return any(f.shape and not f.out and name in f.shape for f in OPS[self.op]) or name == "rows"

    def _number(self, name: str) -> int:
        number = _whole(self.given[name], f"{self.op}: {name}")
        if not -MOST - 1 <= number <= MOST:
            raise ValueError(f"{self.op}: {name} is {number}")
        return number

    def _look(self, f: Field) -> None:
        found = view(self.given[f.name], f"{self.op}: {f.name}", f.out)
        if self.device is None or self.like is None:
            self.device, self.like = found.device, found.tensor
        if found.device != self.device:
            raise ValueError(f"{self.op}: {f.name} is on {_name(found.device)}, other tensors are on {_name(self.device)}")
        wanted: tuple[str, ...] = {"uint64": ("uint64", "int64")}.get(f.kind, (f.kind,))
        if f.kind in LIKE_INPUT:
            wanted = tuple(DTYPES)
            if self.device[0] == "cpu":
                wanted = ("float32", "int8")
        if found.dtype not in wanted:
            cpu = " on a CPU" if f.kind in LIKE_INPUT and self.device[0] == "cpu" else ""
            raise ValueError(f"{self.op}: {f.name} holds {found.dtype}: {' or '.join(wanted)} it may hold{cpu}")
        self.views[f.name] = found

    def _packs(self) -> None:
        """The packs of the call; without one, all rows are one sequence."""
        assert self.device is not None
        for name in PACKS:
            if name not in self.fields:
                continue
            given: Any = self.given.get(name)
            if given is None and (self.fields[name].optional or name == "y_pack" and self.op == "time_row"):
                continue
            if given is None and name != "pack":
                raise ValueError(f"{self.op}: give {name}=Pack([...]), which says how many rows there are")
            if given is None:
                rows = next((v.shape[0] for n, v in self.views.items() if "rows" in (self.fields[n].shape or ())[0] and v.shape), None)
                if rows is None:
                    raise ValueError(f"{self.op}: give pack=Pack([...]), which says how many rows there are")
                given = self.given[name] = Pack([rows // max(1, self.sizes.get("rate", 1))], 0, self.device, _here=True)
            if not hasattr(given, "seq_of_row") or not hasattr(given, "spans"):
                raise ValueError(f"{self.op}: {name} is a {type(given).__name__}: f5tts.ops.Pack makes one")
            if given.device != self.device:
                raise ValueError(f"{self.op}: {name} is on {_name(given.device)}, the tensors are on {_name(self.device)}")
        pack: Any = self.given.get("pack")
        if pack is not None:
            self.sizes.update({"rows": pack.rows, "rows of pack": pack.rows, "n_seq": pack.n_seq})
        if self.op == "time_row" and self.given.get("y_pack") is None:
            self.given["y_pack"] = Pack([n + 1 if n else 0 for n in pack.lengths], 0, self.device, _here=True)
        if self.given.get("c_pack") is not None:
            self.sizes["rows of c_pack"] = self.given["c_pack"].rows
        if self.given.get("y_pack") is not None:
            self.sizes["rows of y_pack"] = self.given["y_pack"].rows
            self._fit_packs(pack, self.given["y_pack"])
        if self.op == "istft":
            short = int(self._enum(self.fields["padding"]) == ENUMS["istft_padding"]["center"])
            starts = np.cumsum([0, *(256 * max(0, n - short) for n in pack.lengths)]).tolist()
            self.views["sample_offsets"] = view(from_array(np.array(starts, np.int64), self.device, True), "sample_offsets")
            self.sizes["sample_offsets[n_seq]"] = starts[-1]

    def _fit_packs(self, pack: Any, y_pack: Any) -> None:
        """Of time_row: each sequence of y is as long as that of x or longer. Of take_rows: as long or shorter. Of joint_qkv:
        as long as those of x and c together."""
        lengths = [[end - begin for begin, end in one.spans] for one in (pack, y_pack)]
        if self.op == "joint_qkv":
            beside = [end - begin for begin, end in self.given["c_pack"].spans]
            if len({len(lengths[0]), len(lengths[1]), len(beside)}) > 1 or [a + b for a, b in zip(lengths[0], beside)] != lengths[1]:
                raise ValueError(f"{self.op}: y_pack has {lengths[1]} rows, pack and c_pack have {lengths[0]} and {beside}: it must "
                                 f"have those of both")
            return
        drop = self.op == "take_rows"
        if len(lengths[0]) != len(lengths[1]) or any((x < y) if drop else (y < x) for x, y in zip(*lengths)):
            raise ValueError(f"{self.op}: y_pack has {lengths[1]} rows, pack has {lengths[0]}: as many sequences it must have, "
                             f"each as long or {'shorter' if drop else 'longer'}")

    def _size(self, part: str) -> Optional[int]:
        """A length as a shape says it: 64, rows, dim/16, n_seq+1, rate*rows, bands*(points+2). None: not known yet."""
        if part in self.sizes:
            return self.sizes[part]
        outer = re.sub(r"\([^()]*\)", lambda m: "." * len(m[0]), part)
        for sign in "+*":
            at = outer.find(sign)
            if at > 0 and not re.fullmatch(r"(\w+)(?:/(\w+))?(?:\+(\d+))?", part):
                sides = self._size(part[:at]), self._size(part[at + 1:])
                if sides[0] is None or sides[1] is None:
                    return None
                return sides[0] + sides[1] if sign == "+" else sides[0] * sides[1]
        if part.startswith("("):
            return self._size(part[1:-1])
        match = re.fullmatch(r"(\w+)(?:/(\w+))?(?:\+(\d+))?", part)
        if not match:
            return None
        first, divisor = (int(x) if x.isdigit() else self.sizes.get(x) if x != "branches" else int(self.given.get(x) or 1)
                          for x in (match[1], match[2] or "1"))
        return None if first is None or not divisor else first // divisor + int(match[3] or 0)

    def _fit(self, f: Field, found: View) -> None:
        """Holds a tensor's shape against the one of its field; lengths that are not known yet are taken from it."""
        assert f.shape is not None
        if f.shape == ("n",):  # any shape: it is numbers one after the other
            if self.sizes.setdefault("n", found.numel) != found.numel:
                raise ValueError(f"{self.op}: {f.name} has {found.numel} numbers, other tensors have {self.sizes['n']}")
            return
        shape = found.shape
        if len(shape) == len(f.shape):
            for part, length in zip(f.shape, shape):
                if self._size(part) is None and re.fullmatch(r"[a-z_]\w*", part):
                    self.sizes[part] = length
        wanted = [self._size(part) for part in f.shape]
        fits = len(shape) == len(wanted) and all(w is None or w == s for w, s in zip(wanted, shape))
        if self.loose and not fits and all(w is not None for w in wanted):
            fits = found.numel >= count([w or 0 for w in wanted])
        if not fits:
            told = ", ".join(part if size is None or part.isdigit() else f"{part} = {size}" for part, size in zip(f.shape, wanted))
            raise ValueError(f"{self.op}: {f.name} has the shape {list(shape)}: [{told}] is wanted")
        if any(length > MOST for length in shape):
            raise ValueError(f"{self.op}: {f.name} has the shape {list(shape)}: no length above 2^31 - 1 is possible")

    def _limits(self) -> None:
        """What a GPU cannot check by itself."""
        pack: Any = self.given.get("pack")
        most = self.sizes.get("max_position")
        for f in OPS[self.op]:
            if f.shape is not None and not f.out and not f.optional and f.name not in self.views:
                raise ValueError(f"{self.op}: {f.name} is needed")
        if most is not None and not self.given.get("clamp") and any(name in self.views for name in ("rope", "positions")):
            longest = max(pack.lengths) if pack is not None else self.sizes.get("rows", 0)
            if longest > most:
                raise ValueError(f"{self.op}: a sequence has {longest} rows, its table {most} positions")
        if self.op == "mel":
            more = int(self._enum(self.fields["form"]) == ENUMS["mel_form"]["vocos"])
            self.sizes["frames"] = self.sizes.get("n_samples", 0) // 256 + more
        if self.op == "embed" and self.views["ids"].numel and not self.loose and not capturing(self.views["ids"].device):
            live = self.views["ids"].tensor[:pack.live]
            if len(live) and not (int(live.min()) >= 0 and int(live.max()) < self.sizes["table_rows"]):
                raise ValueError(f"embed: ids run from {int(live.min())} to {int(live.max())}, table has {self.sizes['table_rows']} rows")
        if self.op == "guide":
            branches = self.sizes.get("branches", 1)
            if branches not in (1, 2) or branches == 2 and (pack.n_seq % 2 or pack.lengths[:pack.n_seq // 2] !=
                                                            pack.lengths[pack.n_seq // 2:]) and not self.loose:
                raise ValueError("guide: branches is 1 or 2; with 2 the second half of the pack repeats the first")
            if "keep" in self.views and "kept" not in self.views:
                raise ValueError("guide: keep is given, so kept is needed")
        if self.op == "linear" and self.views["w"].dtype == "int8" and "w_scale" not in self.views:
            raise ValueError("linear: w holds int8, so w_scale is needed")
        if self.op in ("linear", "linear_int8"):
            kind = self._enum(self.fields["epilogue"])
            for name, needs in (("residual", "addend"), ("rope", "rope")):
                if kind == ENUMS["linear_epilogue"][name] and needs not in self.views:
                    raise ValueError(f"{self.op}: the epilogue {name} needs {needs}")
            if kind == ENUMS["linear_epilogue"]["rope"] and (self.sizes["out"] % 192 or
                                                             not 0 <= self.sizes.get("rope_heads", 0) <= self.sizes["out"] // 192):
                raise ValueError(f"{self.op}: with rope, out is 192 heads and rope_heads at most so many")
        if self.op == "norm" and not self.given.get("rms") and "shift" not in self.views:
            raise ValueError("norm: shift is needed but with rms")
        if self.op == "linear" and self.views["w"].dtype not in (self.views["x"].dtype, "int8"):
            raise ValueError(f"linear: w holds {self.views['w'].dtype}, x holds {self.views['x'].dtype}")

    # ---- outputs

    def _dtype_of(self, f: Field) -> str:
        """The number type of an output that is made here."""
        if f.kind not in LIKE_INPUT:
            return {"uint64": "int64"}.get(f.kind, f.kind)
        if self.given.get("y_f32"):
            return "float32"
        if self.dtype is not None:
            return self.dtype
        source = next((v.dtype for n, v in self.views.items() if self.fields[n].kind in ("type", "matrix") and not self.fields[n].out
                       and v.dtype != "int8"), "float32")
        return "float32" if "w" in self.views and self.views["w"].dtype == "int8" else source

    def outputs(self) -> list[Any]:
        """Makes those that are not given; gives all that the call returns."""
        assert self.device is not None
        returned = []
        for f in OPS[self.op]:
            if not f.out:
                continue
            if f.name in self.views:
                found = self.views[f.name]
                if f.kind in LIKE_INPUT and self.dtype not in (None, found.dtype):
                    raise ValueError(f"{self.op}: {f.name} holds {found.dtype}, dtype is {self.dtype}")
                self._fit_output(f, found)
            elif f.name == "y_scale" and self._y_dtype() != "int8" or f.name in ("also", "now", "raw"):
                continue
            else:
                shape = self._output_shape(f)
                tensor = empty(shape, self._dtype_of(f), self.device, self.like)
                self.views[f.name] = view(tensor, f.name, True)
            if f.name != "scratch":
                returned.append(self.views[f.name].tensor)
        return returned

    def _y_dtype(self) -> Optional[str]:
        return self.views["y"].dtype if "y" in self.views else self.dtype

    def _output_shape(self, f: Field) -> tuple[int, ...]:
        assert f.shape is not None
        if f.shape == ("n",):
            return self.views["x"].shape
        sizes = [self._size(part) for part in f.shape]
        if any(size is None for size in sizes):
            raise ValueError(f"{self.op}: give {f.name}: its shape [{', '.join(f.shape)}] does not follow from the other tensors")
        return tuple(size or 0 for size in sizes)

    def _fit_output(self, f: Field, found: View) -> None:
        if f.shape == ("n",) or not any(self._size(part) is None for part in f.shape or ()):
            self._fit(f, found)
        elif not self.loose:
            raise ValueError(f"{self.op}: {f.name}'s shape cannot be held against [{', '.join(f.shape or ())}]: leave it out")

    def share(self, mine: set[str], other: Any, current: Any) -> None:
        """Ran on a stream that is not the caller's: memory of the caller's tensors, `mine`, is free when that has come past the
        op, memory of what was made here when the caller's has come past its use."""
        for name, found in self.views.items():
            if torch_of(found.tensor) is not None:
                found.tensor.record_stream(other if name in mine else current)

    # ---- into C

    def _enum(self, f: Field) -> int:
        words, value = ENUMS[f.enum or ""], self.given.get(f.name, 0)
        number = words.get(value) if isinstance(value, str) else int(value)
        if number not in words.values():
            raise ValueError(f"{self.op}: {f.name} is {value!r}: {', '.join(map(repr, words))} it may be")
        return int(number or 0)

    def _type(self) -> int:
        """Of the field `type`: of y, but where y_f32 says that it is F32 beside others, as x_f32 does of x."""
        names = ("x", "w") if self.given.get("y_f32") else ("y",)
        found = next(self.views[name] for name in names)
        apart = ("y", "bias_rounded", "x") if self.given.get("x_f32") else ("y", "bias_rounded")
        if "x" in apart and self.views["x"].dtype != "float32":
            raise ValueError(f"{self.op}: x holds {self.views['x'].dtype}, x_f32 says that it holds float32")
        for f in OPS[self.op]:
            other = self.views.get(f.name)
            if f.kind == "type" and other is not None and f.name not in apart and other.dtype != found.dtype:
                raise ValueError(f"{self.op}: {f.name} holds {other.dtype}, {names[0]} holds {found.dtype}")
        return DTYPES[found.dtype]

    def struct(self) -> Any:
        """NAME_args; outputs() was called."""
        out = getattr(_table, f"{self.op}_args")()
        kinds = dict(out._fields_)
        for f in OPS[self.op]:
            value: Any = None
            if f.kind == "pack":
                pack = self.given.get(f.name)
                value = None if pack is None else ctypes.addressof(pack.struct)
            elif f.kind == "enum":
                value = self._enum(f)
            elif f.kind == "dtype":
                value = self._type()
            elif f.kind == "int":
                value = self.sizes.get(f.name, 0)
            elif f.shape is None:
                value = kinds[f.name](self.given.get(f.name) or 0).value
            else:
                found = self.views.get(f.name)
                value = None if found is None else found.pointer
                if f.kind in ("matrix", "rows"):
                    value = kinds[f.name]() if found is None else kinds[f.name](data=found.pointer, type=DTYPES[found.dtype])
            if value is not None:
                setattr(out, f.name, value)
        return out


def _name(device: Device) -> str:
    return device[0] if device[0] == "cpu" else f"cuda:{device[1]}"


def run(op: str, given: Mapping[str, Any], dtype: Any = None, stream: Optional[int] = None, loose: bool = False) -> Any:
    """Runs an op; gives its output, or the tuple of them."""
    call = Call(op, given, dtype, loose)
    assert call.device is not None
    mine = {name for name, v in call.views.items() if torch_of(v.tensor) is not None}
    with place(call.device, stream) as (used, other, current):
        call.fit()
        returned = call.outputs()
        rows = max([1, *(call.sizes.get(name, 0) for name in ("rows", "rows of pack", "rows of c_pack", "rows of y_pack"))])
        widest = max(count(v.shape[1:]) for v in call.views.values())
        arguments = call.struct()
        if returned and (count(call.views["y"].shape) or loose):
            context(call.device).call(op, ctypes.addressof(arguments), used, rows, widest)
        packs = [given[name] for name in PACKS if given.get(name) is not None]
        used_here(call.device, [tensor for pack in packs for tensor in (pack.offsets, pack.seq_of_row)])
        if other is not None:
            call.share(mine, other, current)
    return returned[0] if len(returned) == 1 else tuple(returned)
