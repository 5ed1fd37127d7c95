"""The program `f5tts`, which comes with the package: the command of that name, and what finds models by their names.

Names, upstream's files and the model hub's cache are the program's business (host/hub): it is asked as a program, so that
its threads, its signals and what it fetches with stay out of the process that speaks.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Optional, Union

from ._errors import ArgumentError, FileError, UnsupportedError
from ._library import native, path_bytes
from .recording import shipped


def program() -> Path:
    """Where it lies. Raises UnsupportedError: this build has none."""
    found = native("bin/f5tts")
    if found is None:
        raise UnsupportedError("the program f5tts: this build of the package has none: it was built without libsndfile, "
                               "libyaml and libpng")
    return found


def main() -> None:
    """The command."""
    try:
        path = str(program())
    except UnsupportedError as error:
        sys.exit(f"f5tts: {error}")
    os.execv(path, ["f5tts", *sys.argv[1:]])


def find_model(*options: str, cache: Optional[str] = None) -> Path:
    """The .f5 file of a model by its name or of upstream's files, converted where it has not been: options of
    `f5tts models --path`. cache: where the hub's cache lies, if not where the environment says."""
    environment = {**os.environ, **({"HF_HUB_CACHE": cache} if cache is not None else {})}
    given = [path_bytes(option, "the model's name") for option in options]
    done = subprocess.run([bytes(program()), b"models", b"--path", *given], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        message = said[-1] if said else f"f5tts models ended by {done.returncode}"
        raise FileError(message.split("f5tts models: ", 1)[-1])
    return Path(os.fsdecode(done.stdout.rstrip(b"\n")))


def model_path(path: Union[str, "os.PathLike[str]", None]) -> Union[str, "os.PathLike[str]"]:
    """Where the model of this name or path lies; None: the one that comes with the package."""
    if path is None:
        found = shipped("voices/natural.f5")
        if found is None:
            raise ArgumentError("no model is given, and none comes with this build of the package: give the path of a .f5 file")
        return found
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError("the model's path is bytes: give a str")
    if not name:
        raise ArgumentError("the model's path is empty")
    if os.path.isfile(name) or name.endswith(".f5") or "\0" in name:
        return path
    return find_model("--model", name) if not name.startswith("-") else path
