/* test_voice_files.c — voices on disk: what is written is read, what is damaged is refused, and a scan of a folder sees
 * what came, changed and went. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/files/sound_file.h"
#include "host/server/consent_file.h"
#include "host/server/voice_list.h"
#include "tests/c/seed.h"

#define RATE 24000
#define N 48000

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[4][256];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/f5_voices_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* A tone that swells and fades, which passes for speech where nobody listens. */
static float *tone(int64_t n) {
    float *samples = malloc((size_t)n * sizeof *samples);
    for (int64_t i = 0; i < n; i++)
        samples[i] = 0.2f * sinf(0.06f * (float)i) * sinf(3.0f * (float)i / (float)n) * sinf(0.0005f * (float)i);
    return samples;
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void write_pair(const char *stem, const char *words) {
    char path[256];
    f5_error error = {0};
    float *samples = tone(N);
    snprintf(path, sizeof path, "%s/%s.wav", folder, stem);
    if (sound_file_write(path, samples, N, SOUND_WAV, RATE, RATE, &error) != F5_OK) fail_msg("%s", error.message);
    free(samples);
    snprintf(path, sizeof path, "%s/%s.txt", folder, stem);
    if (words) write_text(path, words);
}

static voice_file made(void) {
    voice_file v = {
        .created_at = 1234567, .bytes = 77, .language = strdup("en"), .description = strdup("a \"tone\"\n\xc3\xa9")};
    f5_error error = {0};
    assert_int_equal(recording_make(&v.recording, tone(N), N / 2, 2, RATE, "Words that are said.", &error), F5_OK);
    return v;
}

static void test_names(void **state) {
    (void)state;
    static const char *const good[] = {"a", "A-b_c.d", "7", "x.safetensors-1"};
    static const char *const bad[] = {"",         ".",
                                      "..",       ".a",
                                      "-a",       "_a",
                                      "a/b",      "a\\b",
                                      "a b",      "a.",
                                      "\xc3\xa9", "a\n",
                                      "a%2f",     "0123456789012345678901234567890123456789012345678901234567890123x"};
    f5_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_int_equal(voice_name_check(good[i], &error), F5_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(voice_name_check(bad[i], &error), F5_E_ARGUMENT);
    assert_true(voice_name_is("Maria", "mARIA") && !voice_name_is("Maria", "Mario"));
}

static void test_written_is_read(void **state) {
    (void)state;
    f5_error error = {0};
    voice_file v = made(), r;
    const char *path = in_folder("one.safetensors");
    if (voice_file_write(&v, path, &error) != F5_OK) fail_msg("%s", error.message);
    if (voice_file_read(&r, path, &error) != F5_OK) fail_msg("%s", error.message);
    assert_string_equal(r.recording->transcript, "Words that are said.");
    assert_int_equal(r.recording->n_frames, N / 2);
    assert_int_equal(r.recording->channels, 2);
    assert_int_equal(r.recording->sample_rate, RATE);
    assert_memory_equal(r.recording->samples, v.recording->samples, N * sizeof(float));
    assert_int_equal(r.created_at, 1234567);
    assert_int_equal(r.bytes, 77);
    assert_string_equal(r.language, "en");
    assert_string_equal(r.description, v.description);
    assert_null(r.consent);
    voice_file_free(&r);
    voice_file_free(&v);
}

/* Every cut of the header's bytes, every 500th of the rest, and random changes: refused or read, never more. */
static void test_damaged(void **state) {
    (void)state;
    f5_error error = {0};
    voice_file v = made(), r;
    const char *whole = in_folder("whole.safetensors"), *path = in_folder("cut.safetensors");
    assert_int_equal(voice_file_write(&v, whole, &error), F5_OK);
    voice_file_free(&v);
    struct stat there;
    assert_int_equal(stat(whole, &there), 0);
    size_t n = (size_t)there.st_size;
    char *bytes = malloc(n);
    FILE *f = fopen(whole, "rb");
    assert_int_equal(fread(bytes, 1, n, f), n);
    fclose(f);
    for (size_t cut = 0; cut < n; cut += cut < 600 ? 7 : 19997) {
        f = fopen(path, "wb");
        fwrite(bytes, 1, cut, f);
        fclose(f);
        assert_int_not_equal(voice_file_read(&r, path, &error), F5_OK);
        assert_non_null(strstr(error.message, "cut.safetensors"));
    }
    uint64_t random = random_seed();
    for (int round = 0; round < 60; round++) {
        size_t at = (size_t)random_below(&random, 640);
        char was = bytes[at];
        bytes[at] = (char)random_below(&random, 256);
        f = fopen(path, "wb");
        fwrite(bytes, 1, n, f);
        fclose(f);
        if (voice_file_read(&r, path, &error) == F5_OK) voice_file_free(&r);
        bytes[at] = was;
    }
    /* a later version, and another format */
    static const char *const says[][3] = {{"\"version\":\"1\"", "\"version\":\"2\"", "version 2"},
                                          {"f5tts voice", "f5tts noise", "no format"},
                                          {"Words that are said.", "                    ", "no transcript"},
                                          {"\"sample_rate\":\"24000\"", "\"sample_rate\":\"99999999\"", "sample_rate"}};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
        char *copy = malloc(n);
        memcpy(copy, bytes, n);
        char *at = memmem(copy, n, says[i][0], strlen(says[i][0]));
        assert_non_null(at);
        size_t old = strlen(says[i][0]), new = strlen(says[i][1]);
        if (new == old) memcpy(at, says[i][1], new);
        if (new > old) { /* the header's padding gives room */
            char *end = copy + 8 + *(uint64_t *)(void *)copy;
            memmove(at + new, at + old, (size_t)(end - (new - old) - (at + old)));
            memcpy(at, says[i][1], new);
        }
        f = fopen(path, "wb");
        fwrite(copy, 1, n, f);
        fclose(f);
        free(copy);
        assert_int_not_equal(voice_file_read(&r, path, &error), F5_OK);
        if (!strstr(error.message, says[i][2])) fail_msg("%s", error.message);
    }
    free(bytes);
    unlink(path);
    unlink(whole);
    unlink(in_folder("one.safetensors"));
}

typedef struct {
    char text[4096];
    int n;
} told;

static void keep_told(void *user, const char *message) {
    told *t = user;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%s\n", message);
    t->n++;
}

static void test_scans(void **state) {
    (void)state;
    f5_error error = {0};
    told t = {0};
    const voice_folder folders[] = {{folder, VOICES_OF_FOLDER}};
    voice_list *list, *next;
    write_pair("one", "Words.\r\nMore words.\n");
    write_pair("lonely", NULL);
    write_pair("empty", " \n");
    write_pair("bad name", "Words.");
    write_text(in_folder("noise.mp3"), "this is no sound");
    write_text(in_folder("noise.txt"), "Words.");
    write_text(in_folder("README.md"), "nothing to see");
    voice_file v = made();
    assert_int_equal(voice_file_write(&v, in_folder("Two.safetensors"), &error), F5_OK);
    assert_int_equal(voice_file_write(&v, in_folder("ONE.safetensors"), &error), F5_OK);
    voice_file_free(&v);
    if (voice_list_scan(&list, NULL, folders, 1, 1 << 30, keep_told, &t, &error) != F5_OK)
        fail_msg("%s", error.message);
    assert_non_null(voice_list_find(list, "TWO"));
    assert_non_null(voice_list_find(list, "one"));
    assert_null(voice_list_find(list, "lonely"));
    assert_null(voice_list_find(list, "README"));
    assert_string_equal(voice_list_find(list, "one")->ending, VOICE_FILE_ENDING); /* ONE comes before one */
    for (const char *const *says =
             (const char *const[]){"lonely.txt", "empty.txt", "noise.mp3", "bad name", "has that name", NULL};
         *says; says++)
        if (!strstr(t.text, *says)) fail_msg("%s is not told: %s", *says, t.text);
    assert_int_equal(t.n, 5);
    /* nothing changed: no list, and nothing is told again */
    assert_int_equal(voice_list_scan(&next, list, folders, 1, 1 << 30, keep_told, &t, &error), F5_OK);
    assert_null(next);
    assert_int_equal(t.n, 5);
    /* one goes, one gets its words; the others are not read again */
    const recording *two = voice_list_find(list, "two")->voice.recording;
    assert_int_equal(unlink(in_folder("ONE.safetensors")), 0);
    write_text(in_folder("lonely.txt"), "Words.");
    assert_int_equal(voice_list_scan(&next, list, folders, 1, 1 << 30, keep_told, &t, &error), F5_OK);
    assert_non_null(next);
    assert_ptr_equal(voice_list_find(next, "two")->voice.recording, two);
    assert_string_equal(voice_list_find(next, "one")->voice.recording->transcript, "Words.  More words.");
    assert_non_null(voice_list_find(next, "lonely"));
    assert_int_equal(t.n, 5);
    voice_list_free(list);
    /* no room for all of them */
    t = (told){0};
    assert_int_equal(voice_list_scan(&list, NULL, folders, 1, N * sizeof(float) * 2, keep_told, &t, &error), F5_OK);
    assert_non_null(strstr(t.text, "together"));
    voice_list_free(list);
    voice_list_free(next);
    const voice_folder missing[] = {{"/tmp/f5_no_such_folder", VOICES_OF_FOLDER}};
    assert_int_equal(voice_list_scan(&list, NULL, missing, 1, 1 << 30, keep_told, &t, &error), F5_E_IO);
}

static void test_consents(void **state) {
    (void)state;
    f5_error error = {0};
    const char *path = in_folder("cons_1.safetensors"), *from = in_folder("README.md");
    consent_file c = {.name = "Jo", .language = "en-US", .created_at = 5, .bytes = 14}, r;
    if (consent_file_write(&c, path, from, &error) != F5_OK) fail_msg("%s", error.message);
    strcpy(c.name, "Johanna");
    if (consent_file_write(&c, path, NULL, &error) != F5_OK) fail_msg("%s", error.message);
    if (consent_file_read(&r, path, &error) != F5_OK) fail_msg("%s", error.message);
    assert_string_equal(r.name, "Johanna");
    assert_string_equal(r.language, "en-US");
    assert_int_equal(r.created_at, 5);
    assert_int_equal(r.bytes, 14);
    assert_int_not_equal(consent_file_read(&r, from, &error), F5_OK);
    c.bytes = 15; /* less comes than was said */
    assert_int_not_equal(consent_file_write(&c, path, from, &error), F5_OK);
    assert_int_equal(consent_file_read(&r, path, &error), F5_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_written_is_read), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_scans), cmocka_unit_test(test_consents),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
