"""Where speech goes: every format by name and by word, pipes, devices and standard output; links, modes, names that are too
long or that two outputs share, disks that are full or read-only, the last write that fails; a signal at any moment. The
whole of the signals is tests/interrupt_outputs.py; a sample of them is here."""
import ctypes
import os
import re
import stat
import subprocess
import threading

import numpy as np
import pytest

import encoder_lib
import f5file
import outputs_lib
from crowd import wait_until
from outputs_lib import SIGNALS
from png import read_png
from test_infer import TRANSCRIPT, read_wav, write_wav


@pytest.fixture(scope="module")
def moments(tmp_path_factory):
    return outputs_lib.build_moments(tmp_path_factory.mktemp("moments"))


@pytest.fixture
def runs(model, tmp_path, rng, moments):
    write_wav(tmp_path / "voice.wav", rng.uniform(-0.2, 0.2, 24000))
    return outputs_lib.Runs(tmp_path, model, tmp_path / "voice.wav", TRANSCRIPT, moments)


def good(runs, **options):
    result = runs.run(**options)
    assert result.returncode == 0, result.stderr
    return result


def bad(runs, message, code=1, **options):
    result = runs.run(**options)
    assert result.returncode == code and re.search(message, result.stderr.decode()), (result.returncode, result.stderr)
    return result


def messages(result):
    """Without warnings: noise from a random model clips now and then."""
    return [line for line in result.stderr.decode().splitlines() if "warning" not in line]


# ---- formats

def test_formats_by_name_and_by_word(runs):
    good(runs, loudness="peak")  # this noise would clip
    pcm = (runs.out / "a.wav").read_bytes()[44:]
    for name, magic in (("b.flac", b"fLaC"), ("b.MP3", b"\xff\xf3"), ("b.aac", b"\xff\xf1"), ("b.raw", pcm[:2])):
        good(runs, output_file=name, loudness="peak")
        assert (runs.out / name).read_bytes().startswith(magic), name
    assert (runs.out / "b.raw").read_bytes() == pcm
    heard, _ = encoder_lib.decode((runs.out / "b.flac").read_bytes(), "flac")
    steps = np.rint(heard * 32768) - np.frombuffer(pcm, "<i2")  # libsndfile rounds for FLAC, and cuts for WAV
    assert set(np.unique(steps)) <= {0, 1}
    good(runs, output_file="b.wav", format="wav24", rate=48000, loudness="peak")
    data = (runs.out / "b.wav").read_bytes()
    assert data[22:36] == np.array([1, 0, 48000, 0, 0, 0, 0], "<u2").tobytes()[:2] + (48000).to_bytes(4, "little") \
        + (144000).to_bytes(4, "little") + b"\x03\x00\x18\x00" and abs(len(data) - 44 - 3 * len(pcm)) <= 1
    for name, form in (("d.ogg", "opus"), ("d.wave", "wav24"), ("d.s16", "raw"), (".wav", "flac"), ("d", "mp3")):
        good(runs, output_file=name, format=form)
    good(runs, output_file="c.txt", format="mp3", save_chunk=True)
    assert all(p.suffix == ".mp3" for p in (runs.out / "c_chunks").iterdir())


def test_formats_that_are_not(runs):
    for name in ("a.m4a", "a.txt", "a.wavx"):
        bad(runs, rf"{name}: no format is known by \.", output_file=name)
    bad(runs, "opus is not written at 44100 samples a second: it can have 8000", output_file="a.opus", rate=44100)
    bad(runs, "float_wav: the output is mp3", output_file="a.mp3", float_wav=True)
    for name, form, ending in (("a.mp3", "wav", "wav"), ("a.WAV", "flac", "flac"), ("a.ogg", "mp3", "mp3"), ("a.pcm", "wavf", "wav"),
                               ("a.opus", "ogg", "ogg"), ("edited.mp3", "aac", "aac")):
        bad(runs, rf"{name}: --format {form} would make it no .*: leave --format out, or give a name that ends with \.{ending}",
            output_file=name, format=form)
    bad(runs, "format tiff: must be one of auto.wav", code=2, format="tiff")
    assert runs.tree() == {}


# ---- levels

def test_levels(runs):
    def level(**options):
        result = good(runs, format="wavf", **options)
        x = np.frombuffer((runs.out / "a.wav").read_bytes()[56:], "<f4")
        run = subprocess.run(["ffmpeg", "-v", "info", "-nostats", "-i", runs.out / "a.wav", "-af", "ebur128", "-f", "null",
                              "-"], capture_output=True, text=True)
        return np.abs(x).max(), float(re.findall(r"I:\s+(-[\d.]+) LUFS", run.stderr)[-1]), result.stderr.decode(), x
    _, kept, _, as_it_is = level()
    peak, lufs, said, raised = level(loudness=-23)
    assert abs(lufs + 23) <= 0.15 and "warning" not in said  # FFmpeg shows tenths
    assert np.allclose(raised, as_it_is * (raised[5000] / as_it_is[5000]), atol=1e-6)
    peak, *_ = level(loudness="peak")
    assert abs(20 * np.log10(peak) + 1) < 0.01
    peak, lufs, said, _ = level(loudness=-5)
    got = re.search(r"-5 LUFS would clip: it has (-[\d.]+) LUFS, with its peak at -1 dB", said)
    assert got and abs(float(got[1]) - lufs) <= 0.15 and abs(20 * np.log10(peak) + 1) < 0.01
    assert level(loudness="keep")[1] == kept


def test_clipping_is_told(runs):
    """The random model is quiet: e^3 times as loud by the bias of its vocoder's magnitudes."""
    made = f5file.write_model(runs.folder / "loud.f5", "tiny", seed=3)
    made["vocos"]["head.out.bias"] = made["vocos"]["head.out.bias"] + np.float32(3)
    f5file.write_f5(runs.folder / "loud.f5", made, name="tiny")
    loud = dict(model=runs.folder / "loud.f5")
    good(runs, format="wavf", **loud)
    x = np.frombuffer((runs.out / "a.wav").read_bytes()[56:], "<f4")
    assert np.abs(x).max() > 1
    said = good(runs, **loud).stderr.decode()
    share, by = re.search(r"warning: ([\d.e+-]+) % of the samples were beyond full scale, by up to ([\d.]+) dB", said).groups()
    assert abs(float(share) - 100 * (np.abs(x) > 1).mean()) < 0.06 * float(share)
    assert abs(float(by) - 20 * np.log10(np.abs(x).max())) < 0.06
    assert "beyond" not in good(runs, loudness="peak", **loud).stderr.decode()


# ---- pipes and devices

def test_standard_output(runs):
    good(runs)
    file = (runs.out / "a.wav").read_bytes()
    result = good(runs, output_file="-", quiet=None)
    assert result.stdout[44:] == file[44:] and result.stdout[40:44] == b"\xff" * 4
    assert b"RTF" in result.stderr and b"sampling" in result.stderr  # what is said is said elsewhere
    assert good(runs, output_file="-", format="raw").stdout == file[44:]
    assert good(runs, output_dir="/dev", output_file="stdout", format="raw").stdout == file[44:]
    assert good(runs, save_mel="-").stdout.startswith(b"\x93NUMPY")
    bad(runs, "would overwrite -", output_file="-", save_mel="-")
    bad(runs, "save_chunk: the folder is named after the output", output_file="-", save_chunk=True)
    bad(runs, "-: cannot be written: No space left on device", output_file="-", stdout=open("/dev/full", "wb"))


def test_standard_output_by_other_names(runs):
    """What is said is said elsewhere, nothing else goes there, and its folder gets no chunks."""
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", runs.folder / "link.raw"):
        if name == runs.folder / "link.raw":
            name.symlink_to("/dev/stdout")
        result = good(runs, output_file=name, quiet=None, format="raw")
        assert len(result.stdout) % 2 == 0 and b"RTF" not in result.stdout and b"RTF" in result.stderr, name
        bad(runs, "would overwrite -", output_file="-", save_mel=name)
        bad(runs, "named after the output, which is standard output", output_file=name, save_chunk=True)


def test_text_in_and_speech_out(runs):
    command = runs.command(gen_text=None, gen_file="-", output_file="-")
    result = subprocess.run(command, input=b"Say these few words.", capture_output=True, timeout=600)
    assert result.returncode == 0 and result.stdout[:4] == b"RIFF", result.stderr


def test_descriptors_of_a_shell(runs):
    """>(command) of bash is /dev/fd/63 to the program."""
    heard, made = runs.folder / "heard.wav", runs.folder / "heard.npy"
    line = '"${@}" --output_file >(cat > heard.wav) --save_mel >(cat > heard.npy) && wait'
    subprocess.run(["bash", "-c", line, "bash", *runs.command(output_file=None)], cwd=runs.folder, check=True, timeout=600)
    wait_until(lambda: all(f.exists() and f.stat().st_size for f in (heard, made)), "both files")  # bash waits for the last alone
    assert heard.read_bytes()[:4] == b"RIFF" and made.read_bytes()[:6] == b"\x93NUMPY"


def test_standard_output_that_is_a_file(runs):
    with open(runs.folder / "here.raw", "wb") as f:
        f.write(b"before")
        f.flush()
        good(runs, output_dir="/dev", output_file="stdout", format="raw", stdout=f)
    good(runs, format="raw", output_file="a.raw")
    assert (runs.folder / "here.raw").read_bytes() == b"before" + (runs.out / "a.raw").read_bytes()


def test_speech_comes_while_it_is_made(runs):
    """The first chunk is read from the pipe while the second cannot have been made: nobody reads on."""
    text = "Say these few words. [pause 3s] " * 12
    command = runs.command(output_file="-", format="raw", gen_text=text)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        first = p.stdout.read(4800)
        assert len(first) == 4800 and p.poll() is None  # a pipe holds 64 KiB: 1.4 s of it
        p.stdout.close()
        assert p.wait(60) == -SIGNALS["PIPE"] and runs.tree() == {}


def test_pipe_and_device(runs):
    good(runs, format="raw", output_file="a.raw")
    heard = []
    os.mkfifo(runs.out / "pipe")
    reader = threading.Thread(target=lambda: heard.append((runs.out / "pipe").read_bytes()))
    reader.start()
    good(runs, format="raw", output_file="pipe")
    reader.join(30)
    assert heard == [(runs.out / "a.raw").read_bytes()] and stat.S_ISFIFO(os.stat(runs.out / "pipe").st_mode)
    before = os.stat("/dev/null")
    good(runs, output_dir="/dev", output_file="null", save_mel="/dev/null")
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode) and (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    bad(runs, "/dev/full: cannot be written: No space left on device", output_dir="/dev", output_file="full")
    assert sorted(runs.tree()) == ["a.raw", "pipe"]


# ---- names

def test_links(runs):
    runs.out.mkdir()
    good(runs)
    data = (runs.out / "a.wav").read_bytes()
    (runs.folder / "there.wav").write_bytes(b"old")
    (runs.folder / "there.wav").chmod(0o600)
    (runs.out / "link.wav").symlink_to("../there.wav")
    (runs.out / "twice.wav").symlink_to("link.wav")
    (runs.out / "dangling.wav").symlink_to("../made.wav")
    for name in ("twice.wav", "dangling.wav"):
        good(runs, output_file=name)
        assert (runs.out / name).is_symlink() and (runs.out / name).read_bytes() == data
    assert (runs.folder / "there.wav").stat().st_mode & 0o777 == 0o600 and (runs.folder / "made.wav").is_file()
    (runs.out / "loop.wav").symlink_to("loop.wav")
    bad(runs, "loop.wav: cannot be written: Too many levels of symbolic links", output_file="loop.wav")


def test_mode_is_kept_or_the_umasks(runs):
    good(runs, before=["sh", "-c", 'umask 027; exec "$@"', "sh"])
    assert (runs.out / "a.wav").stat().st_mode & 0o777 == 0o640
    (runs.out / "a.wav").chmod(0o604)
    good(runs)
    assert (runs.out / "a.wav").stat().st_mode & 0o777 == 0o604


def test_names_that_are_too_long(runs):
    good(runs, output_file="n" * 251 + ".wav")  # 255 bytes: as long as can be
    runs.clear()
    for option in ("output_file", "save_mel", "spectrogram", "subtitles"):
        bad(runs, "n.srt: cannot be written: the name has 304 bytes, 255 are possible", format="wav",
            **{option: runs.out / ("n" * 300 + ".srt")})
    bad(runs, "n_chunks/: cannot make its folder: File name too long", output_file="n" * 250 + ".wav", save_chunk=True)
    assert runs.tree() == {}


def test_two_outputs_of_one_name(runs):
    runs.out.mkdir()
    (runs.folder / "same").symlink_to("out")
    for other in (runs.out / "a.wav", runs.out / "." / "a.wav", runs.out / "no" / ".." / "a.wav", runs.folder / "same/a.wav"):
        bad(runs, "a.wav: would overwrite .*a.wav: give another name", save_mel=other)
    (runs.out / "b.npy").write_bytes(b"old")
    (runs.out / "a.wav").hardlink_to(runs.out / "b.npy")
    bad(runs, "would overwrite", save_mel=runs.out / "b.npy")
    assert (runs.out / "b.npy").read_bytes() == b"old"


def test_default_names_are_unique(runs):
    """Several at once, within one second or two: as many files as runs."""
    processes = [subprocess.Popen(runs.command(output_file=None, format="flac"), stderr=subprocess.PIPE) for _ in range(3)]
    assert [p.wait(60) for p in processes] == [0] * 3
    names = sorted(runs.tree())
    assert len(names) == 3 and all(re.fullmatch(r"infer_cli_\d{8}_\d{6}(_\d)?\.flac", n) for n in names), names
    assert len({(runs.out / n).read_bytes() for n in names}) == 1
    runs.clear()
    bad(runs, "cannot be", output_file=None, ref_audio=runs.folder / "none.wav")
    assert runs.tree() == {}


# ---- disks

def test_full_disk(runs):
    runs.out.mkdir()
    script = (f"mount -t tmpfs -o size=40k tmpfs {runs.out} || exit 77; \"$@\"; code=$?; ls -A {runs.out}; exit $code")
    result = runs.run(before=["unshare", "-rm", "sh", "-c", script, "sh"])
    if result.returncode == 77:
        pytest.skip("no tmpfs in a namespace of one's own here")
    assert result.returncode == 1 and result.stdout == b"", result
    assert messages(result) == [f"f5tts infer: {runs.out}/a.wav: cannot be written: No space left on device"]
    long = "Say these few words. " * 40  # 840 bytes are 14 s at least: it is told before the work
    result = runs.run(before=["unshare", "-rm", "sh", "-c", script, "sh"], gen_text=long, nfe_step=32)
    assert result.returncode == 1 and b"No space left on device: 40960 bytes are left, at least" in result.stderr
    for name, option, size in (("a.npy", "save_mel", "32k"), ("a.png", "spectrogram", "4k")):  # the others are made
        script = (f"mkdir {runs.out}/small; mount -t tmpfs -o size={size} tmpfs {runs.out}/small || exit 77; \"$@\"; code=$?; "
                  f"ls -A {runs.out}/small; exit $code")
        result = runs.run(before=["unshare", "-rm", "sh", "-c", script, "sh"], **{option: runs.out / "small" / name})
        assert result.returncode == 1 and result.stdout == b"" and f"small/{name}: cannot be written: No space left" in \
            result.stderr.decode() and len(read_wav(runs.out / "a.wav")) > 10000, result
        runs.clear()
        runs.out.mkdir()


def test_read_only_disk_and_folder(runs):
    runs.out.mkdir()
    script = f"mount -t tmpfs -o ro tmpfs {runs.out} || exit 77; exec \"$@\""
    for option in ("output_file", "save_mel"):
        result = runs.run(before=["unshare", "-rm", "sh", "-c", script, "sh"], nfe_step=32,
                          **{option: "a.wav" if option == "output_file" else runs.out / "a.npy"})
        if result.returncode == 77:
            pytest.skip("no tmpfs in a namespace of one's own here")
        assert result.returncode == 1 and b"cannot be written: Read-only file system" in result.stderr


def test_files_that_may_not_grow(runs):
    result = runs.run(before=["prlimit", "--fsize=8192"])
    assert result.returncode == 1 and b"a.wav: cannot be written: File too large" in result.stderr and runs.tree() == {}


def test_every_write_that_fails(runs):
    """The disk is full from the n-th write on, the last one that puts the header right included."""
    count = runs.folder / "count"
    runs.run(moments=dict(COUNT=count, WRITES=1, AT=10 ** 6))
    writes = int(count.read_text().split()[1])
    assert writes >= 3
    for at in outputs_lib.spread(writes, 3):
        runs.clear()
        result = runs.run(moments=dict(AT=at, WRITES=1))
        assert result.returncode == 1 and b"a.wav: cannot be written: No space left on device" in result.stderr, at
        assert runs.tree() == {}, at


# ---- signals

@pytest.mark.parametrize("name", SIGNALS)
def test_ended_by_a_signal(runs, name):
    """Three moments of each; the rest by tests/interrupt_outputs.py."""
    count = runs.folder / "count"
    good(runs, moments=dict(COUNT=count), **runs.all_outputs())
    whole, calls = runs.tree(), int(count.read_text().split()[0])
    old = {path: b"old " + path.encode() for path, data in whole.items() if data is not None}
    offset = list(SIGNALS).index(name)
    assert not outputs_lib.interrupted(runs, name, outputs_lib.spread(calls, 3, 7 * offset), old if offset % 2 else {}, whole)


def test_default_name_ended_by_a_signal(runs):
    count = runs.folder / "count"
    good(runs, moments=dict(COUNT=count), output_file=None)
    calls = int(count.read_text().split()[0])
    for at in outputs_lib.spread(calls, 3)[:-1]:
        runs.clear()
        result = runs.run(moments=dict(AT=at, SIGNAL=2), output_file=None)
        assert result.returncode == -2 and runs.tree() == {}, (at, result)


def test_a_picture_of_more_frames_than_pixels(tmp_path):
    """20,000 frames of four bands: two share a column, and the colours are of their mean."""
    lib, error = encoder_lib.library(), encoder_lib.Error()
    mel = np.tile(np.linspace(-8, 2, 20000, dtype=np.float32)[:, None], (1, 4))
    status = lib.mel_png_write(os.fsencode(tmp_path / "a.png"), mel.ctypes.data_as(ctypes.c_void_p), 20000, 4,
                               ctypes.c_double(93.75), ctypes.byref(error))
    assert status == 0, error.message
    pixels = read_png(tmp_path / "a.png")
    assert pixels.shape == (30, 10000, 3)
    light = pixels[0, ::100].astype(int).sum(1)  # cubehelix rises evenly
    assert light[0] < 20 and light[-1] > 700 and (np.diff(light) >= -3).all()
