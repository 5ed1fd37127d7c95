#!/bin/sh
# Builds fuzz_files.c for every reader of files and runs each for so many seconds (default 60):
#     tests/fuzz/files.sh [SECONDS [TARGET...]]
# Needs clang. Objects, corpora and findings lie in $F5_FUZZ_DIR (default /tmp/f5fuzz). A finding ends the script.
set -eu
seconds=${1:-60}
[ $# -gt 0 ] && shift
targets=${*:-"TOML LIST SSML LEXICON SUBTITLES CONFIG ADAPTER SOURCE VOCAB AUDIO"}
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${F5_FUZZ_DIR:-/tmp/f5fuzz}
cd "$root"
mkdir -p "$out/o"
# of damaged files libsndfile and the libraries behind it lose some memory of their own
printf 'leak:libvorbis\nleak:libsndfile\nleak:libmpg123\nleak:libavformat\nleak:libavcodec\n' > "$out/leaks"
export LSAN_OPTIONS="suppressions=$out/leaks:print_suppressions=0"
flags="-g -O1 -I. -DF5_HAVE_AV=1 -DF5_HAVE_JANSSON=1 -DF5_HAVE_FILES=1 $(pkg-config --cflags sndfile libavformat)"
objects=
for source in host/text/*.c host/files/toml*.c host/files/list_file.c host/files/text_file.c host/files/subtitle*.c \
    host/files/json_text.c host/files/output_*.c host/files/audio_header.c host/files/audio_read.c \
    host/files/audio_stream.c host/files/audio_av.c weights/*.c weights/convert/*.c kernels/error.c kernels/dtype.c \
    kernels/quantize.c kernels/cpu/pool.c; do
    [ -f "$source" ] || continue
    object=$out/o/$(echo "$source" | tr / _).o
    objects="$objects $object"
    [ "$object" -nt "$source" ] || clang $flags -fsanitize=fuzzer-no-link,address,undefined \
        -fno-sanitize-recover=undefined -c "$source" -o "$object"
done
for target in $targets; do
    program=$out/fuzz_$target corpus=$out/corpus_$target
    mkdir -p "$corpus"
    clang $flags -DF5_FUZZ_"$target" -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
        tests/fuzz/fuzz_files.c $objects -o "$program" -Wl,--gc-sections -lsndfile -ljansson -lm -ldl -lpthread
    /usr/bin/python3 tests/fuzz/corpus.py "$target" "$corpus"
    echo "$target:"
    (cd "$out" && "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=8192 -verbosity=0 \
        -print_final_stats=1 -close_fd_mask=1 "$corpus") 2>&1 | grep -E "number_of_executed|ERROR|SUMMARY|Test unit|runtime error|BINGO" || true
    ls "$out"/crash-* "$out"/timeout-* "$out"/oom-* "$out"/leak-* 2>/dev/null && exit 1
done
exit 0
