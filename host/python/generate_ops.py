"""generate_ops.py — f5tts/ops/_table.py and _ops.py, out of the ops' headers: what each field is, the shape that its comment
says, and a function for each op whose documentation is the header's own.

A line of a NAME_args that is not understood, or a tensor without a shape in its comment, is an error here, at build."""
import keyword
import re

import cbind

POINTEES = {"float": "float32", "int32_t": "int32", "int64_t": "int64", "int8_t": "int8", "uint8_t": "uint8",
            "uint64_t": "uint64"}
NUMBERS = {"int32_t": "int", "int64_t": "int", "float": "float", "bool": "bool"}
DEFAULTS = {("timestep", "dim"): "256", ("timestep", "scale"): "1000.0", ("guide", "branches"): "1", ("noise", "dim"): "100",
            ("conv1d", "rate"): "1", ("conv1d", "dilation"): "1", ("conv1d", "gain"): "1.0", ("snake", "rate"): "1", ("subband_istft", "rate"): "1",
            ("subband_istft", "points"): "16", ("subband_istft", "turn"): repr(3.141592653589793)}
NOT_GIVEN = ("scratch", "sample_offsets")  # made here: what a pack says must not be said otherwise
OUTPUTS_ON_WISH = ("also", "now", "raw")  # outputs that are made only into what a caller gives


class Field:
    """A member of NAME_args. kind: "pack", "int", "float", "bool", "enum", "dtype", a number type of numpy's names for a
    tensor that always has it, "type" for one whose type another field says, "matrix" or "rows" for one that says its own."""

    def __init__(self, op, base, star, const, name, comment, enums):
        self.name, self.comment, self.shape, self.out, self.enum = name, comment, None, bool(star) and not const, None
        if star and base == "f5_pack":
            self.kind, self.out = "pack", False
        elif star:
            self.kind = "type" if base == "void" else POINTEES[base]
        elif base in ("f5_matrix", "f5_rows"):
            self.kind, self.out = base[3:], base == "f5_rows"
        elif base == "f5_dtype":
            self.kind = "dtype"
        elif base in enums:
            self.kind, self.enum = "enum", base
        else:
            self.kind = NUMBERS[base]
        if self.is_tensor:
            found = re.match(r"\[((?:[^\[\]]|\[\w+\])+)\]", comment)
            if not found:
                raise SystemExit(f"kernels/{op}.h: {name} has no shape in its comment: {comment!r}")
            self.shape = tuple(part.strip() for part in found[1].split(","))
        self.optional = bool(re.search(r"or NULL|NULL:|data NULL|NULL will do|\([A-Z][A-Z0-9]+\)|not with rms|\(with |of an I8 w", comment))

    @property
    def is_tensor(self):
        return self.kind in (*POINTEES.values(), "type", "matrix", "rows")

    @property
    def word(self):
        """As a Python name."""
        return self.name + "_" if keyword.iskeyword(self.name) else self.name


def head(text):
    """The comment that a header begins with, as plain lines."""
    body = re.match(r"\s*/\*(.*?)\*/", text, flags=re.S)[1]
    return "\n".join(re.sub(r"^ \* ?", "", line) for line in body.strip().splitlines()).replace("\\", "\\\\").rstrip()


def fields_of(op, text, enums):
    body = re.search(r"typedef struct " + op + r"_args \{(.*?)\n\} " + op + "_args;", text, flags=re.S)[1]
    found = []
    body = re.sub(r"/\*(.*?)\*/", lambda m: "/*" + re.sub(r"\s*\n\s*\*?\s*", " ", m[1]) + "*/", body, flags=re.S)
    for line in filter(None, map(str.strip, body.splitlines())):
        match = re.fullmatch(r"(const )?(\w+) (\*?)([\w, ]+);\s*(?:/\*\s*(.*?)\s*\*/)?", line)
        if not match:
            raise SystemExit(f"kernels/{op}.h: not understood: {line!r}")
        const, base, star, names, comment = match.groups()
        found += [Field(op, base, star, const, name.strip(), comment or "", enums) for name in names.split(",")]
    return found


def enum_values(text):
    """{enum: {word: number}} of a header; a word has lost the prefix that all of them share."""
    found = {}
    for body, name in re.findall(r"typedef enum \{([^{}]*)\} (\w+);", text):
        values, value = {}, 0
        for item in filter(None, map(str.strip, re.sub(r"/\*.*?\*/", "", body, flags=re.S).split(","))):
            word, _, number = item.partition("=")
            value = int(number, 0) if number.strip() else value
            values[word.strip()] = value
            value += 1
        prefix = re.match(r"(\w*_)", min(values, key=len))[1]
        while not all(word.startswith(prefix) for word in values):
            prefix = prefix[:-1].rpartition("_")[0] + "_"
        found[name] = {word[len(prefix):].lower(): number for word, number in values.items()}
    return found


def sizes(fields):
    """Numbers that follow from a tensor's shape."""
    return {part for f in fields if f.is_tensor and not f.out for part in f.shape if re.fullmatch(r"[a-z_]\w*", part)} | {"rows"}


def function(op, fields, doc, enums):
    """Its source. Inputs that are needed come first, then what may be left out."""
    follow, first, later, given = sizes(fields), [], [], []
    for f in fields:
        if f.kind in ("int",) and f.name in follow or f.kind == "dtype" or f.name in NOT_GIVEN:
            continue
        given.append(f'"{f.name}": {f.word}')
        if f.kind == "pack":
            later.append(f"{f.word}: Optional[Pack] = None")
        elif f.is_tensor:
            needed = not f.optional and not f.out
            (first if needed else later).append(f"{f.word}: {'Tensor' if needed else 'Optional[Tensor] = None'}")
        elif f.kind == "enum":
            later.append(f'{f.word}: Union[str, int] = "{next(iter(enums[f.enum]))}"')
        else:
            usual = DEFAULTS.get((op, f.name), dict(int="0", float="0.0", bool="False")[f.kind])
            later.append(f"{f.word}: {f.kind} = {usual}")
    words = " ".join(f"{f.word}: {', '.join(map(repr, enums[f.enum]))}." for f in fields if f.enum)
    shapes = "\n".join(f"    {f.word} [{', '.join(f.shape)}] {f.comment.split(']', 1)[1].strip() if ']' in f.comment else ''}".rstrip()
                       for f in fields if f.is_tensor and f.name not in NOT_GIVEN)
    returned = [f.name for f in fields if f.out and f.name not in (*OUTPUTS_ON_WISH, "scratch")]
    tail = f'\n\nTensors:\n{shapes}\n{words}\nReturns {", ".join(returned)}. Raises ValueError.'
    indented = "\n".join(f"    {line}".rstrip() for line in (doc + tail).splitlines()).lstrip()
    parameters = ", ".join([*first, "*", *later, "dtype: Any = None", "stream: Optional[int] = None"])
    return (f'def {op}({parameters}) -> Any:\n    r"""{indented}"""\n'
            f"    return run(\"{op}\", {{{', '.join(given)}}}, dtype, stream)\n")


def modules():
    """{path in the package: source}"""
    texts = {op: (cbind.KERNELS / f"{op}.h").read_text(encoding="utf-8") for op in cbind.ops()}
    enums = {}
    for text in texts.values():
        enums.update(enum_values(text))
    table, functions = {}, []
    for op, text in texts.items():
        fields = fields_of(op, text, enums)
        names = [name for name, _ in cbind.headers().struct(f"{op}_args")._fields_]
        if names != [f.name for f in fields]:
            raise SystemExit(f"kernels/{op}.h: {op}_args has {names}, read were {[f.name for f in fields]}")
        table[op] = [(f.name, f.kind, f.shape, f.optional, f.out, f.enum, f.comment) for f in fields]
        functions.append(function(op, fields, head(text), enums))
    lines = "".join(f'    "{op}": (\n' + "".join(f"        Field{row!r},\n" for row in rows) + "    ),\n" for op, rows in table.items())
    wanted = ["f5_error", "f5_pack", "f5_matrix", "f5_rows", "cpu_context", "cuda_arch", "cuda_context"]
    wanted += [f"{op}_args" for op in table]
    from generate import HEAD, struct
    head_of_table = HEAD.format(what="the headers of kernels/").replace("import ctypes\nfrom typing import Any, Dict, Tuple",
                                                                       "import ctypes\nfrom typing import Dict, NamedTuple, Optional, Tuple")
    table_source = (head_of_table + '\n\nclass Field(NamedTuple):\n    """A member of an op\'s arguments."""\n\n    name: str\n'
                    "    kind: str\n    shape: Optional[Tuple[str, ...]]\n    optional: bool\n    out: bool\n    enum: Optional[str]\n"
                    "    comment: str\n\n\n"
                    f"ENUMS: Dict[str, Dict[str, int]] = {enums!r}\n"
                    f"DTYPES: Dict[str, int] = {dict(float32=0, float16=1, bfloat16=2, int8=3)!r}\n"
                    f"OPS: Dict[str, Tuple[Field, ...]] = {{\n{lines}}}\n"
                    + "".join(struct(cbind.headers().struct(name)) for name in wanted))
    code = ('"""Generated by host/python/generate_ops.py from the headers of kernels/."""\nfrom typing import Any, Optional, Union\n\n'
            "from ._run import Pack, Tensor, run\n\n__all__ = [" + ", ".join(f'"{op}"' for op in table) + "]\n\n\n" + "\n\n".join(functions))
    return {"ops/_table.py": table_source, "ops/_ops.py": code}
