"""An installation in a folder of its own: the program finds its voice, a program of yours finds the library."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import convert_lib
from test_infer import read_wav

BUILD = Path(convert_lib.program()).parent.parent
SPEAK = ["infer", "--gen_text", "Good morning.", "--nfe_step", "2", "--seed", "1", "--device", "cpu", "--max_frames",
         "1024", "--output_dir", "out", "--output_file", "a.wav"]


def run(program, *arguments, folder):
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, **convert_lib.SANITIZER}, timeout=600)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Staged as packagers do it: DESTDIR holds what is meant for another prefix."""
    stage = tmp_path_factory.mktemp("stage")
    done = subprocess.run(["cmake", "--install", BUILD, "--prefix", "/opt/speech"], capture_output=True, text=True,
                          env={**os.environ, "DESTDIR": str(stage)})
    assert done.returncode == 0, done.stderr
    return stage / "opt/speech"


def test_the_installed_program_speaks(prefix, tmp_path):
    """With nothing given but a text, from any folder; as the program of the build folder does."""
    result = run(prefix / "bin/f5tts", *SPEAK, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    voices = prefix / "share/f5tts/voices"
    assert f"of {voices}/heart.wav" in result.stdout and "natural-small on cpu" in result.stdout
    mine = read_wav(tmp_path / "out/a.wav")
    assert len(mine) > 12000 and np.abs(mine).max() > 300
    (tmp_path / "other").mkdir()
    assert run(convert_lib.program(), *SPEAK, folder=tmp_path / "other").returncode == 0
    assert np.array_equal(read_wav(tmp_path / "other/out/a.wav"), mine)
    for voice in ("awb", "rms"):
        result = run(prefix / "bin/f5tts", *SPEAK, "--voice", voice, folder=tmp_path)
        assert result.returncode == 0 and f"of {voices}/{voice}.wav" in result.stdout, result.stderr
        assert not np.array_equal(read_wav(tmp_path / "out/a.wav"), mine)


def test_the_program_is_a_client_of_the_library(prefix):
    """Built and installed, it finds the library beside itself and nowhere else, and brings no engine of its own."""
    for folder in (BUILD, prefix):
        program, library = folder / "bin/f5tts", next(folder.rglob("libf5tts.so.0"))
        dynamic = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
        assert "[libf5tts.so.0]" in dynamic
        paths = re.search(r"(?:RPATH|RUNPATH).*\[(.*)\]", dynamic)[1].split(":")
        assert all(path.startswith("$ORIGIN/../") for path in paths), paths
        loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True,
                                env={k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}).stdout
        found = re.search(r"libf5tts\.so\.0 => (\S+)", loaded)[1]
        assert os.path.samefile(found, library)
        wanted = subprocess.run(["nm", "-D", "--undefined-only", program], capture_output=True, text=True).stdout
        symbols = set(re.findall(r" U (f5_\w+)", wanted))
        assert {"f5_open", "f5_speak", "f5_convert", "f5_describe"} <= symbols
        header = (prefix / "include/f5tts.h").read_text()  # one file, whatever it is made of
        assert all(re.search(rf"\b{s.removesuffix('_init_sized')}\b", header) for s in symbols)
        defined = subprocess.run(["nm", "--defined-only", program], capture_output=True, text=True).stdout
        assert not re.search(r" [Tt] (engine_open|dit_velocity|linear_ref)", defined)


def test_the_symbols_file_has_all_that_is_exported():
    """deploy/debian/libf5tts0.symbols, by which Debian's tools know what a program needs of the library."""
    told = subprocess.run(["nm", "-D", "--defined-only", BUILD / "lib/libf5tts.so"], capture_output=True, text=True, check=True).stdout
    listed = (Path(__file__).resolve().parents[1] / "deploy/debian/libf5tts0.symbols").read_text(encoding="utf-8")
    assert re.findall(r"^ (\w+)@", listed, flags=re.M) == sorted(set(re.findall(r" [TW] (f5_\w+)", told)))


def test_what_is_shipped_is_small(prefix):
    files = list((prefix / "share/f5tts/voices").iterdir())
    assert {"natural.f5", "heart.wav", "heart.txt", "README.md"} <= {f.name for f in files}
    assert sum(f.stat().st_size for f in files) < 33e6


def test_a_program_without_its_voice(tmp_path):
    """It says where it looked, and does without when everything is given."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    alone = Path(shutil.copy(convert_lib.program(), tmp_path / "bin"))
    shutil.copy(BUILD / "lib/libf5tts.so.0", tmp_path / "lib")  # where the program looks for it
    result = run(alone, *SPEAK, folder=tmp_path)
    if Path("/usr/local/share/f5tts/voices/natural.f5").exists():
        pytest.skip("f5tts is installed in /usr/local: the program finds that voice")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and not (tmp_path / "out").exists()
    for word in ("no --model is given", "natural.f5", f"{tmp_path}/bin/../share/f5tts/voices", "/usr/local/share/f5tts",
                 "give --model"):
        assert word in result.stderr, result.stderr
    model = convert_lib.ROOT / "weights/voices/natural.f5"
    result = run(alone, *SPEAK, "--model", model, folder=tmp_path)
    assert result.returncode == 1 and "no --ref_audio is given" in result.stderr and "heart.wav" in result.stderr
    result = run(alone, *SPEAK, "--model", model, "--ref_audio", convert_lib.ROOT / "weights/voices/rms.wav",
                 "--ref_text", "What is said there.", folder=tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_library_is_found(prefix, tmp_path):
    (tmp_path / "version.c").write_text('#include <f5tts.h>\n#include <stdio.h>\n'
                                        'int main(void) { return puts(f5_version()) < 0; }\n')
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "f5tts"], capture_output=True, text=True, check=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(next(prefix.rglob("pkgconfig")))}).stdout.split()
    assert any(flag.startswith(f"-I{prefix}") or str(prefix) in flag for flag in flags)
    subprocess.run(["cc", "version.c", "-o", "version", *flags], cwd=tmp_path, check=True)
    library = next(prefix.rglob("libf5tts.so")).parent
    told = subprocess.run([tmp_path / "version"], capture_output=True, text=True, check=True,
                          env={**os.environ, "LD_LIBRARY_PATH": str(library)}).stdout
    assert told in convert_lib.run("--version").stdout
