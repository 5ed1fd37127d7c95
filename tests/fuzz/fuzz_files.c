/* fuzz_files.c — libFuzzer at the readers of files that a user hands over: F5_FUZZ_TOML, _LIST, _SSML, _LEXICON,
 * _SUBTITLES, _CONFIG (of an adapter), _ADAPTER, _SOURCE (a checkpoint in any container), _VOCAB, _AUDIO, one of which
 * is defined. What was read is read to its end, so that a wrong length is a wrong read. files.sh builds and runs them.
 */
#define _GNU_SOURCE /* memfd_create */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/error.h"

static f5_error error;
static char path[64];
static int file = -1;

static void keep(const void *data, size_t bytes) {
    static volatile uint8_t sum;
    for (size_t i = 0; i < bytes; i++) sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
}

/* The message is text, or there is none. */
static int ended(f5_status status) {
    if (status != F5_OK && (!*error.message || !memchr(error.message, 0, sizeof error.message))) abort();
    error.message[0] = '\0';
    return 0;
}

/* A file with these bytes, whose name is `path`. */
static void make_file(const uint8_t *data, size_t bytes) {
    if (file < 0) file = memfd_create("fuzz", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (ftruncate(file, 0) != 0 || pwrite(file, data, bytes, 0) != (ssize_t)bytes) abort();
}

#if defined F5_FUZZ_TOML
#include "host/files/toml.h"

static int run(const uint8_t *data, size_t bytes) {
    toml_file toml;
    make_file(data, bytes);
    f5_status status = toml_read(&toml, path, &error);
    for (int i = 0; status == F5_OK && i < toml.count; i++) {
        keep(toml.node[i].path, strlen(toml.node[i].path));
        if (toml.node[i].value) keep(toml.node[i].value, strlen(toml.node[i].value));
        if (!toml_find(&toml, toml.node[i].path)) abort();
    }
    if (status == F5_OK) toml_free(&toml);
    return ended(status);
}

#elif defined F5_FUZZ_LIST
#include "host/files/list_file.h"

static bool is_name(void *user, const char *name) {
    (void)user;
    return strlen(name) < 12;
}

static int run(const uint8_t *data, size_t bytes) {
    list_file *list;
    list_line line;
    int lines[2] = {0};
    make_file(data, bytes);
    f5_status status = list_open(&list, path, is_name, NULL, &error);
    for (int again = 0; status == F5_OK && again < 2; again++) { /* the second time gives the same lines */
        for (;; lines[again]++) {
            f5_status one = list_next(list, &line, &error);
            if (one != F5_OK && one != F5_E_FORMAT) break;
            if (one == F5_OK && line.number == 0) break;
            for (int i = 0; one == F5_OK && i < line.count; i++) {
                keep(line.value[i].name, strlen(line.value[i].name));
                keep(line.value[i].value, strlen(line.value[i].value));
            }
        }
        if (again == 0) status = list_rewind(list, &error);
    }
    if (lines[0] != lines[1]) abort();
    if (status == F5_OK) list_close(list);
    return ended(status);
}

#elif defined F5_FUZZ_SSML
#include "host/text/ssml.h"

static int run(const uint8_t *data, size_t bytes) {
    static ssml_reader reader;
    ssml_event event;
    f5_status status = ssml_open(&reader, (const char *)data, bytes, &error);
    for (size_t events = 0; status == F5_OK; events++) {
        if (events > 4 * bytes + 16) abort(); /* without an end */
        status = ssml_next(&reader, &event, &error);
        if (status != F5_OK || event.kind == SSML_END) break;
        if (event.kind == SSML_TEXT || event.kind == SSML_SUB) keep(event.text, event.bytes);
        if (event.kind == SSML_RATE && !(event.rate >= 0.09 && event.rate <= 10.1)) abort();
        if (event.kind == SSML_BREAK && !(event.seconds >= 0 && event.seconds <= 60)) abort();
    }
    return ended(status);
}

#elif defined F5_FUZZ_LEXICON
#include "host/text/lexicon.h"

static int run(const uint8_t *data, size_t bytes) {
    lexicon *words;
    const char *said;
    size_t n;
    f5_status status = lexicon_open((const char *)data, bytes, "fuzz", &words, &error);
    for (size_t at = 0; status == F5_OK && at < bytes; at++)
        if (lexicon_find(words, (const char *)data, bytes, at, &said, &n)) keep(said, n);
    if (status == F5_OK) lexicon_close(words);
    return ended(status);
}

#elif defined F5_FUZZ_SUBTITLES
#include "host/files/subtitles.h"

static int run(const uint8_t *data, size_t bytes) {
    static const char *const endings[] = {"srt", "vtt", "json"};
    static char name[64];
    subtitle_entry entry[3];
    if (bytes < 1) return 0;
    snprintf(name, sizeof name, "/tmp/fuzz_subtitles_%d.%s", (int)getpid(), endings[data[0] % 3]);
    for (int i = 0; i < 3; i++)
        entry[i] = (subtitle_entry){i, i + 1 + data[0] / 16, (const char *)data + 1, bytes - 1, (subtitle_kind)i};
    f5_status status = subtitles_write(name, entry, 3, &error);
    unlink(name);
    return ended(status);
}

#elif defined F5_FUZZ_CONFIG
#include "weights/convert/adapter_config.h"

static int run(const uint8_t *data, size_t bytes) {
    adapter_config config;
    double scale;
    make_file(data, bytes);
    f5_status status = adapter_config_read(&config, path, &error);
    if (status == F5_OK) {
        if (adapter_config_scale(&config, "transformer.layer.to_q", 8, &scale, &error) == F5_OK &&
            !(scale > 0 && scale < 1e300))
            abort();
        adapter_config_close(&config);
    }
    return ended(status);
}

#elif defined F5_FUZZ_ADAPTER
#include <sys/stat.h>

#include "weights/convert/adapter.h"

/* An adapter for a model of two layers; the configuration is a good one. */
static int run(const uint8_t *data, size_t bytes) {
    static char folder[64], name[96];
    static const char config[] = "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"modules_to_save\":[\"b\"]}";
    manifest_source wanted[2] = {{.key = "t.a.weight", .dims = {4, 3}, .rank = 2, .elements = 12},
                                 {.key = "t.b.weight", .dims = {2, 2}, .rank = 2, .elements = 4}};
    adapter a;
    float values[12] = {0};
    if (!*folder) {
        snprintf(folder, sizeof folder, "/tmp/fuzz_adapter_%d", (int)getpid());
        mkdir(folder, 0700);
        snprintf(name, sizeof name, "%s/adapter_config.json", folder);
        FILE *f = fopen(name, "w");
        if (!f || fputs(config, f) < 0 || fclose(f) != 0) abort();
        snprintf(name, sizeof name, "%s/adapter_model.bin", folder);
    }
    FILE *f = fopen(name, "w");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0) abort();
    f5_status status = adapter_open(&a, folder, 0.5f, NULL, wanted, 2, &error);
    if (status == F5_OK) {
        adapter_apply(&a, &wanted[0], values);
        adapter_apply(&a, &wanted[1], values);
        adapter_close(&a);
    }
    return ended(status);
}

#elif defined F5_FUZZ_SOURCE
#include "weights/convert/source.h"

static int run(const uint8_t *data, size_t bytes) {
    source s;
    make_file(data, bytes);
    f5_status status = source_open(&s, path, NULL, &error);
    for (int32_t i = 0; status == F5_OK && i < s.count; i++) {
        const source_tensor *t = &s.tensor[i];
        if (source_find(&s, t->key) != t) abort();
        if (!t->number) continue;
        if (t->elements > (int64_t)bytes) abort(); /* more than the file can hold */
        float *out = malloc((size_t)t->elements * sizeof *out + 1);
        source_read(t, out);
        keep(out, (size_t)t->elements * sizeof *out);
        free(out);
    }
    if (status == F5_OK) source_close(&s);
    return ended(status);
}

#elif defined F5_FUZZ_VOCAB
#include "weights/convert/vocab_file.h"

static int run(const uint8_t *data, size_t bytes) {
    vocab v;
    vocab_repeats repeats;
    make_file(data, bytes);
    f5_status status = vocab_file_read(&v, path, &error);
    if (status == F5_OK) {
        int64_t rows = bytes % 7 ? v.size + 1 - (int64_t)(bytes % 7) : v.size + 1;
        (void)vocab_file_fit(&v, &repeats, rows, path, &error);
        for (int32_t i = 0; i < v.size; i++) keep(v.token[i], v.length[i]);
        vocab_free(&v);
    }
    return ended(status);
}

#elif defined F5_FUZZ_AUDIO
#include "host/api/f5tts.h"
#include "host/files/audio_file.h"

static int run(const uint8_t *data, size_t bytes) {
    audio_file a;
    make_file(data, bytes);
    f5_status status = audio_read(&a, path, &error);
    if (status == F5_OK) {
        if (a.channels < 1 || a.channels > F5_MAX_CHANNELS || a.n_frames < 1) abort();
        keep(a.samples, (size_t)(a.n_frames * a.channels) * sizeof *a.samples);
        audio_free(&a);
    }
    return ended(status);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    return run(data, bytes);
}
