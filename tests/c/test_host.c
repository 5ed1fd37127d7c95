/* test_host.c — the host's small functions under whatever the build checks (sanitizers too): durations, chunks, tokens,
 * silence, references, .npy headers. Exact comparisons with upstream are in tests/test_host.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/audio/reference.h"
#include "host/audio/silence.h"
#include "host/text/chunk.h"
#include "host/text/duration.h"
#include "host/text/tokenizer.h"
#include "tests/c/seed.h"
#ifdef F5_HAVE_FILES
#include "host/files/npy.h"
#endif

static uint64_t rng;

/* ---- duration */

static void check_ending(const char *text, const char *expected) {
    char out[64];
    size_t n = duration_end_transcript(text, strlen(text), out);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(out, expected, n);
}

static void transcript_endings(void **state) {
    (void)state;
    check_ending("Hello", "Hello.  ");
    check_ending("Hello.", "Hello.  ");
    check_ending("Hello. ", "Hello.  ");
    check_ending("Hello!", "Hello!.  ");
    check_ending("Hello.  ", "Hello.  .  ");
    check_ending("e\xcc\x81", "e\xcc\x81.  ");
    check_ending("a\xe3\x80\x82", "a\xe3\x80\x82"); /* ends in 。 */
}

static void durations(void **state) {
    (void)state;
    /* 400 + int(400 / 50 * 25 / 1) */
    const duration_short rule = {.bytes = 10, .speed = 0.3};
    assert_int_equal(duration_requested(400, 50, 25, 1, NULL, 0), 600);
    /* 0.8 means 0.8: int(80 / 0.8) is 100, though (double)0.8f would give 99 */
    assert_int_equal(duration_requested(80, 80, 80, 0.8f, NULL, 0), 180);
    assert_int_equal(duration_requested(90, 30, 9, 1, &rule, 0), 90 + 90);  /* under 10 bytes: 27 / 0.3 */
    assert_int_equal(duration_requested(90, 30, 10, 2, &rule, 0), 90 + 15); /* 10 bytes are not short */
    assert_int_equal(duration_requested(90, 30, 9, 2, NULL, 0), 90 + 13);
    assert_int_equal(duration_requested(90, 30, 100, 1, &rule, 5), 468); /* 5 s */
    assert_int_equal(duration_requested(90, 30, 100, 1, NULL, 600), 56250);
    /* nothing overflows */
    assert_int_equal(duration_requested(INT64_MAX, 1, 1000, 1, NULL, 0), DURATION_MAX_FRAMES);
    assert_int_equal(duration_requested(INT64_MAX, 1, SIZE_MAX, 1e-30f, NULL, 0), DURATION_MAX_FRAMES);
    assert_int_equal(duration_requested(0, 1, SIZE_MAX, 1, NULL, 0), 0);
    assert_int_equal(duration_frames(10, 20, 15), 21);
    assert_int_equal(duration_frames(20, 10, 15), 21);
    assert_int_equal(duration_frames(1, 1, 15), 15);
    assert_int_equal(duration_frames(INT64_MAX, 1, 15), DURATION_MAX_FRAMES);
    assert_int_equal(duration_frames(1, INT64_MAX, INT64_MAX), DURATION_MAX_FRAMES);
}

static void chunk_sizes(void **state) {
    (void)state;
    /* "Hello.  ": the second space is not counted; int(7 / 4 * 18 * 1) */
    assert_int_equal(duration_max_chunk_bytes("Hello.  ", 8, 4, 1), 31);
    assert_int_equal(duration_max_chunk_bytes("a\xe3\x80\x82", 4, 4, 1), 18);
    assert_true(duration_max_chunk_bytes("Hello.  ", 8, 23, 1) <= 0);
    assert_true(duration_max_chunk_bytes("Hello.  ", 8, 1e-300, 1) > 0);
}

/* ---- chunk and tokenizer */

/* A chunk as it is spoken; its bytes. out has room for the whole text and one byte more. */
static size_t spoken(const chunk *c, char *out) {
    size_t n = 0;
    chunk_sentence sentence;
    for (size_t at = 0; chunk_read(c, &at, &sentence);) {
        memcpy(out + n, sentence.text, sentence.bytes);
        n += sentence.bytes;
        if (sentence.space) out[n++] = ' ';
    }
    assert_int_equal(n, c->spoken_bytes);
    assert_true(n <= c->bytes);
    return n;
}

static void check_chunk(const char *text, int64_t most, const char *first, size_t left_at) {
    char out[256];
    size_t at = 0;
    chunk c;
    assert_int_equal(chunk_next(text, strlen(text), true, &at, most, &c, NULL), F5_OK);
    size_t n = spoken(&c, out);
    assert_int_equal(n, strlen(first));
    assert_memory_equal(out, first, n);
    assert_int_equal(at, left_at);
}

static void chunks(void **state) {
    (void)state;
    check_chunk("One.  Two.\nThree", 100, "One. Two. Three", 16);
    check_chunk("One.  Two.\nThree", 9, "One. Two.", 11);
    check_chunk("One.  Two.\nThree", -1, "One.", 6);
    check_chunk("A sentence longer than allowed", 5, "A sentence longer than allowed", 30);
    check_chunk("  x  ", 100, "x", 5);
    check_chunk("", 100, "", 0);
    check_chunk(" \t\r\n", 100, "", 4);
    check_chunk("A\xe3\x80\x82 B.  C", 100, "A\xe3\x80\x82 B. C", 10); /* only what follows ; : , . ! ? is dropped */
    size_t at = 0;
    chunk c;
    f5_error error = {0};
    assert_int_equal(chunk_next("ab\xff", 3, true, &at, 10, &c, &error), F5_E_FORMAT);
    assert_string_equal(error.message, "malformed UTF-8 at byte 2");
    assert_true(chunk_is_blank(" \xe3\x80\x80\xc2\xa0", 6));
    assert_false(chunk_is_blank(" .", 2));
}

/* Random bytes, valid or not, must neither crash nor be read past: their buffers end where they end. */
static void random_texts(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)random_below(&rng, 24);
        char *text = malloc(n ? n : 1), *out = malloc(n + 1);
        for (size_t i = 0; i < n; i++) {
            static const char likely[] = "ab1.,;%-_+#&C\r\n \xe3\x80\x82\xef\xbc\x8c\xf0\x9f\x98\x80\xc3\xa9";
            text[i] = random_below(&rng, 4) ? likely[random_below(&rng, (int32_t)sizeof likely - 1)]
                                            : (char)random_below(&rng, 256);
        }
        int32_t ids[8], tokens;
        tokenizer_run(TOKENIZER_BYTE, NULL, text, n, ids, 8, &tokens, NULL);
        chunk c = {.bytes = 1};
        for (size_t at = 0; c.bytes > 0 && chunk_next(text, n, true, &at, random_below(&rng, 12), &c, NULL) == F5_OK;) {
            assert_true(c.text >= text && c.text + c.bytes <= text + n);
            spoken(&c, out);
        }
        free(text);
        free(out);
    }
}

static void count_token(void *user, const char *token, size_t bytes) {
    assert_true(bytes >= 1 && bytes <= 4 && token != NULL);
    ++*(int *)user;
}

static void random_splits(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)random_below(&rng, 24);
        char *text = malloc(n ? n : 1);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(random_below(&rng, 6) ? 32 + random_below(&rng, 95) : random_below(&rng, 256));
        for (int kind = TOKENIZER_PINYIN; kind <= TOKENIZER_CUSTOM; kind++) {
            int count = 0;
            f5_error error = {0};
            f5_status status = tokenizer_split((tokenizer_kind)kind, text, n, count_token, &count, &error);
            assert_true(status == F5_OK ? count >= 0 : strlen(error.message) > 10);
            assert_true((size_t)count <= tokenizer_max_tokens(n));
        }
        free(text);
    }
}

/* May a text be cut after this byte? A run of letters does not go on over it; the last is the end of a full stop. */
static bool ends_piece(char byte) {
    return byte == ' ' || byte == ',' || byte == ';' || byte == ':' || byte == '\x82';
}

/* A text in pieces has the tokens of the whole, also where no space stands between two of them: what the first ends in
 * decides whether the second begins with one. */
static void pieces(void **state) {
    (void)state;
    static const char likely[] = "ab1.,;%-_+#&C '\":\xe3\x80\x82\xc3\xa9";
    for (int round = 0; round < 20000; round++) {
        char text[48];
        size_t n = 0;
        while (n < 40) {
            if (random_below(&rng, 3) == 0) text[n++] = ' ';
            size_t from = (size_t)random_below(&rng, (int32_t)sizeof likely - 1), bytes = 1;
            if ((unsigned char)likely[from] >= 0x80) from = sizeof likely - 1 - 5, bytes = 3; /* the full stop */
            memcpy(text + n, likely + from, bytes);
            n += bytes;
        }
        const tokenizer_kind kind = random_below(&rng, 2) ? TOKENIZER_PINYIN : TOKENIZER_BYTE;
        static vocab v; /* each of these bytes is its own line, in another order */
        if (!v.size) assert_int_equal(vocab_parse(&v, "b\na\n \nC\n1\n.\n,\n-\n'\n\"\n:\n%\n", 24, "v", NULL), F5_OK);
        int32_t whole[96], parts[96], count;
        assert_int_equal(tokenizer_run(kind, &v, text, n, whole, 96, &count, NULL), F5_OK);
        tokenizer t = {.kind = kind, .v = &v, .ids = parts, .capacity = 96};
        for (size_t at = 0, end; at < n; at = end) {
            for (end = at + 1; end < n && !(ends_piece(text[end - 1]) && random_below(&rng, 2));) end++;
            assert_int_equal(tokenizer_put(&t, text + at, end - at, at, NULL), F5_OK);
        }
        assert_int_equal(t.n, count);
        assert_memory_equal(whole, parts, (size_t)count * sizeof *whole);
        /* a piece that is refused leaves things as they were, and is told by its place in the whole */
        f5_error error = {0};
        assert_int_equal(tokenizer_put(&t, "a\xff", 2, n, &error), F5_E_FORMAT);
        assert_int_equal(t.n, count);
        char wanted[64];
        snprintf(wanted, sizeof wanted, "malformed UTF-8 at byte %zu", n + 1);
        assert_string_equal(error.message, wanted);
        if (round == 19999) vocab_free(&v);
    }
}

/* No text has more tokens than tokenizer_max_tokens says, and one has as many. */
static void most_tokens(void **state) {
    (void)state;
    int count = 0;
    assert_int_equal(tokenizer_split(TOKENIZER_PINYIN, "a\r\n++\r\n--", 9, count_token, &count, NULL), F5_OK);
    assert_int_equal(count, tokenizer_max_tokens(9));
}

/* ---- silence and references */

static float *noise(int64_t n, float amplitude) {
    float *samples = malloc((size_t)(n ? n : 1) * sizeof *samples);
    for (int64_t i = 0; i < n; i++)
        samples[i] = amplitude * (float)((double)random_next(&rng) / 9223372036854775808.0 - 1);
    return samples;
}

static void levels(void **state) {
    (void)state;
    float samples[8] = {1, -1, 1, -1, 0.5f, 0.5f, 0.5f, 0.5f};
    sound s = {.samples = samples, .n_frames = 8, .channels = 1, .sample_rate = 8000};
    assert_int_equal(sound_level(&s, 0, 4), 32767); /* +1 is clipped to 32767, -1 is 32768 */
    assert_int_equal(sound_level(&s, 4, 8), 16384);
    assert_int_equal(sound_level(&s, 4, 12), 11585); /* four frames past the end are silent */
    assert_int_equal(sound_level(&s, 3, 3), 0);
    assert_int_equal(sound_ms(12, 8000), 2); /* 1.5 ms: halves to even */
    assert_int_equal(sound_ms(20, 8000), 2);
    assert_int_equal(sound_frame(10, 11025), 110);
}

static void prepared(void **state) {
    (void)state;
    int64_t n = 30000;
    float *samples = noise(2 * n, 0.01f);
    const sound recording = {.samples = samples, .n_frames = n, .channels = 2, .sample_rate = 12000};
    reference_clip clip;
    assert_int_equal(reference_prepare(&recording, true, 0.1f, &clip, NULL), F5_OK);
    assert_int_equal(clip.n_samples, n);
    double sum = 0, mono = 0;
    for (int64_t i = 0; i < n; i++) {
        double m = ((double)samples[2 * i] + (double)samples[2 * i + 1]) / 2;
        mono += m * m;
        sum += (double)clip.samples[i] * (double)clip.samples[i];
        assert_true(fabs((double)clip.samples[i] - m * 0.1 / (double)clip.rms) < 1e-5);
    }
    assert_true(fabs((double)clip.rms - sqrt(mono / (double)n)) < 1e-7);
    assert_true(fabs(sqrt(sum / (double)n) - 0.1) < 1e-5); /* raised to the target */
    free(clip.samples);

    /* loud enough already: left alone */
    assert_int_equal(reference_prepare(&recording, true, 0.001f, &clip, NULL), F5_OK);
    assert_true(fabsf(clip.samples[0] - (samples[0] + samples[1]) / 2) < 1e-9f);
    free(clip.samples);
    free(samples);
}

static void check_refused(const sound *recording, bool keep_whole, const char *reason) {
    reference_clip clip = {.samples = (float *)1};
    f5_error error = {0};
    assert_int_not_equal(reference_prepare(recording, keep_whole, 0.1f, &clip, &error), F5_OK);
    assert_null(clip.samples);
    if (!strstr(error.message, reason)) fail_msg("'%s' does not say '%s'", error.message, reason);
}

/* Limits of the parameters are f5_voice_open's: tests/test_host.py. */
static void references_refused(void **state) {
    (void)state;
    int64_t n = 24000;
    float *samples = noise(n, 0.3f), *silent = calloc((size_t)n, sizeof *silent);
    const sound good = {.samples = samples, .n_frames = n, .channels = 1, .sample_rate = 24000};
    reference_clip clip;
    assert_int_equal(reference_prepare(&good, false, 0.1f, &clip, NULL), F5_OK);
    free(clip.samples);
    sound bad = good;
    bad.n_frames = 2000;
    check_refused(&bad, false, "too short");
    bad = good;
    bad.samples = silent;
    check_refused(&bad, false, "silent");
    check_refused(&bad, true, "silent");
    float kept = samples[777];
    const float values[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        samples[777] = values[i];
        check_refused(&good, false, "sample 777 is not a finite number");
    }
    samples[777] = 2000;
    check_refused(&good, false, "sample 777 is 2000; full scale is 1");
    samples[777] = kept;
    free(samples);
    free(silent);
}

/* Whatever is recorded, cutting stays inside its buffers and under 12 s. */
static void random_cuts(void **state) {
    (void)state;
    for (int round = 0; round < 40; round++) {
        static const int32_t rates[] = {8000, 8123, 11025, 16000, 22051, 48000};
        int32_t rate = rates[random_below(&rng, 6)], channels = 1 + random_below(&rng, 3);
        int64_t n = random_below(&rng, 3) ? random_below(&rng, rate * 2) : random_below(&rng, rate * 15);
        float *samples = noise(n * channels, random_below(&rng, 2) ? 0.2f : 0.004f);
        for (int k = random_below(&rng, 4); k > 0 && n > 1; k--) { /* holes */
            int64_t from = random_below(&rng, (int32_t)n), to = from + random_below(&rng, (int32_t)(n - from));
            memset(samples + from * channels, 0, (size_t)((to - from) * channels) * sizeof *samples);
        }
        const sound source = {.samples = samples, .n_frames = n, .channels = channels, .sample_rate = rate};
        float *out;
        int64_t frames;
        assert_int_equal(reference_cut(&source, &out, &frames, NULL), F5_OK);
        assert_true(frames == 0 ? out == NULL : frames <= (int64_t)rate * 12051 / 1000 + 1);
        for (int64_t i = 0; i < frames * channels; i++) assert_true(isfinite(out[i]));
        free(out);
        free(samples);
    }
}

/* ---- .npy */

#ifdef F5_HAVE_FILES
static f5_status read_bytes(const char *path, const void *bytes, size_t n, f5_error *error) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    float *data;
    int32_t rows;
    f5_status status = npy_read(path, 100, &data, &rows, error);
    if (status != F5_OK) assert_null(data);
    free(data);
    return status;
}

static void npy_files(void **state) {
    (void)state;
    char path[] = "/tmp/f5-test-npy-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    float *samples = noise(700, 1), *back;
    int32_t rows;
    assert_int_equal(npy_write(path, samples, 7, 100, NULL), F5_OK);
    assert_int_equal(npy_read(path, 100, &back, &rows, NULL), F5_OK);
    assert_int_equal(rows, 7);
    assert_memory_equal(samples, back, 700 * sizeof *samples);
    free(back);
    assert_int_equal(npy_read(path, 99, &back, &rows, NULL), F5_E_FORMAT);

    FILE *f = fopen(path, "rb");
    char whole[128 + 2800], damaged[sizeof whole];
    assert_int_equal(fread(whole, 1, sizeof whole, f), sizeof whole);
    fclose(f);
    /* every shortened file is refused; so is nearly every one with a changed header byte, and none may crash */
    for (size_t n = 0; n < sizeof whole; n += n < 140 ? 1 : 97)
        assert_int_not_equal(read_bytes(path, whole, n, NULL), F5_OK);
    for (int round = 0; round < 3000; round++) {
        f5_error error = {0};
        memcpy(damaged, whole, sizeof whole);
        for (int k = 1 + random_below(&rng, 4); k > 0; k--)
            damaged[random_below(&rng, 128)] =
                random_below(&rng, 2) ? (char)random_below(&rng, 256) : "0123456789(),:'{} "[random_below(&rng, 18)];
        if (read_bytes(path, damaged, sizeof damaged, &error) != F5_OK) assert_non_null(strstr(error.message, path));
    }
    unlink(path);
    free(samples);
}
#endif

int main(void) {
    rng = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transcript_endings),
        cmocka_unit_test(durations),
        cmocka_unit_test(chunk_sizes),
        cmocka_unit_test(chunks),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(random_splits),
        cmocka_unit_test(pieces),
        cmocka_unit_test(most_tokens),
        cmocka_unit_test(levels),
        cmocka_unit_test(prepared),
        cmocka_unit_test(references_refused),
        cmocka_unit_test(random_cuts),
#ifdef F5_HAVE_FILES
        cmocka_unit_test(npy_files),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
