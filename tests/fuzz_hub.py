#!/usr/bin/env python3
"""fuzz_hub.py — libFuzzer with AddressSanitizer and UBSan at what a model hub answers (tests/fuzz/fuzz_hub.c).

    tests/fuzz_hub.py [--seconds 600]

Builds with clang (apt-get install clang) in a folder of its own under /tmp, writes seeds, runs. Exits 1 on a finding, with
its bytes and the report.
"""
import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["kernels/error.c", "host/hub/hub_answer.c", "host/hub/hub_cache.c", "host/hub/model_names.c"]
SEEDS = [b"\0" + b'W/"' + b"0123456789abcdef" * 4 + b'"', b"\0" + b"ab" * 20, b"\0bytes 5-9/10", b"\0" + b"9" * 19,
         b'\1{"id":"a/b","cardData":{"license":"cc-by-nc-4.0"},"tags":["license:mit",1,null],"siblings":[{"rfilename":"x"}]}',
         b'\1{"tags":["a","license:apache-2.0"]}', b'\1[[[[]]]]', b'\1{"cardData":{"license":["mit"]}}',
         b"\2SWivid/F5-TTS/F5TTS_v1_Base/model_1250000.safetensors", b"\2me/a@main/b/c.txt", b"\2me/a@" + b"0" * 40 + b"/v.txt"]
WORDS = ["cardData", "license", "tags", "license:", "bytes ", "main", "..", "/", "@", "hf://", "F5TTS_Base", "\\\\u0000"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    seconds = parser.parse_args().seconds
    if not shutil.which("clang"):
        sys.exit("fuzz_hub.py: needs clang")
    with tempfile.TemporaryDirectory(prefix="f5_fuzz_") as folder:
        folder = Path(folder)
        (folder / "seeds").mkdir()
        for i, seed in enumerate(SEEDS):
            (folder / "seeds" / str(i)).write_bytes(seed)
        (folder / "words").write_text("".join(f'"{word}"\n' for word in WORDS))
        subprocess.run(["clang", "-g", "-O1", "-std=gnu11", "-fsanitize=fuzzer,address,undefined",
                        "-fno-sanitize-recover=undefined", "-DF5_HAVE_JANSSON=1", f"-I{ROOT}", ROOT / "tests/fuzz/fuzz_hub.c",
                        *[ROOT / s for s in SOURCES], "-ljansson", "-lm", "-o", folder / "fuzz_hub"], check=True)
        run = subprocess.run([folder / "fuzz_hub", f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                              "-max_len=4096", f"-dict={folder / 'words'}", "-print_final_stats=1",
                              f"-artifact_prefix={folder}/", folder / "seeds"], stderr=subprocess.PIPE, text=True,
                             errors="replace", cwd=folder)
        lines = run.stderr.splitlines()
        print("hub: " + ("a finding" if run.returncode else "no finding") + " in "
              + ", ".join(line.split("::")[1].strip() for line in lines if line.startswith("stat::number_of_executed"))
              + "; " + next((line for line in reversed(lines) if "cov:" in line), ""))
        if run.returncode:
            print("\n".join(lines[-60:]))
            for found in [*folder.glob("crash-*"), *folder.glob("timeout-*"), *folder.glob("leak-*")]:
                print(found.name, found.read_bytes())
        return int(run.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
