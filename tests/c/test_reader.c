/* test_reader.c — the reader: whatever the text, the rules and the way it comes, every prepared byte that is not white
 * is handed out once and in order, in chunks of the allowed length; nothing hangs, and nothing depends on the feeding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/text/duration.h"
#include "host/text/reader.h"
#include "host/text/script.h"
#include "tests/c/seed.h"
#include "weights/utf8.h"

#define BUFFER 16384 /* of text that waits, as a stream has it */

/* ---- a reading --------------------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t bytes, capacity;
} bag;

static void put(bag *b, const void *text, size_t bytes) {
    while (b->bytes + bytes > b->capacity) {
        b->capacity = b->capacity ? 2 * b->capacity : 4096;
        b->text = realloc(b->text, b->capacity);
        assert_non_null(b->text);
    }
    if (bytes) memcpy(b->text + b->bytes, text, bytes);
    b->bytes += bytes;
}

typedef enum { SAME, TWICE, VOWELS_OUT, NOTHING_OFTEN, N_PREPARATIONS } preparation;

typedef struct {
    reader reader;
    reader_memory memory;
    reader_rules rules;
    preparation preparation;
    size_t release_at; /* chunks that are held at most */
    bag prepared;      /* what prepare wrote */
    bag said;          /* all chunks' text */
    bag log;           /* everything that was handed out, to be compared */
    int32_t chunks, unknown;
    int64_t longest;
} reading;

static f5_status prepare(void *user, const char *sentence, size_t bytes, int64_t at, text_buffer *out,
                         f5_error *error) {
    reading *r = user;
    (void)at, (void)error;
    assert_true(bytes > 0 && bytes <= 2048);
    size_t before = out->bytes;
    bool nothing = r->preparation == NOTHING_OFTEN && (bytes * 7 + (unsigned char)sentence[0]) % 3 > 0;
    for (size_t i = 0; i < bytes && !nothing; i++) {
        if (r->preparation == VOWELS_OUT && sentence[i] && strchr("aeiou", sentence[i])) continue;
        text_put(out, sentence + i, 1);
    }
    if (r->preparation == TWICE && bytes > 0) {
        text_put(out, " ", 1);
        text_put(out, sentence, bytes);
    }
    put(&r->prepared, out->text + before, out->bytes - before);
    return F5_OK;
}

static void unknown_voice(void *user, const char *name, size_t bytes) {
    reading *r = user;
    assert_true(bytes > 0 && bytes <= SCRIPT_MAX_NAME && name);
    r->unknown++;
}

/* Copies what is not white. */
static void put_solid(bag *b, const char *text, size_t bytes) {
    for (size_t i = 0, n; i < bytes; i += n) {
        uint32_t c;
        n = utf8_decode(text + i, bytes - i, &c);
        if (n == 0) n = 1;
        if (!chunk_is_blank(text + i, n)) put(b, text + i, n);
    }
}

static void note(reading *r, const reader_chunk *c) {
    const chunk *k = &c->chunk;
    const reader_voice *v = &r->rules.voices[c->voice];
    assert_true(k->bytes > 0 && k->spoken_bytes > 0 && !chunk_is_blank(k->text, k->bytes));
    assert_true(k->text >= r->memory.prepared && k->text + k->bytes <= r->memory.prepared + READER_PREPARED_BYTES);
    assert_int_equal(utf8_valid_prefix(k->text, k->bytes), k->bytes);
    int64_t limit = reader_limit(v, c->speed / v->speed);
    if (limit >= 8) assert_true((int64_t)k->spoken_bytes <= limit + 8);
    put_solid(&r->said, k->text, k->bytes);
    put(&r->log, k->text, k->bytes);
    char line[160];
    int n = snprintf(line, sizeof line, "|%d %d %g %g %d %d|", (int)c->voice, (int)c->segment, (double)c->speed,
                     c->pause_before, c->joins, c->pause_follows);
    put(&r->log, line, (size_t)n);
    int32_t first, sentences = reader_chunk_sentences(&r->reader, c, &first);
    assert_true(sentences > 0 && first >= 0 && first + sentences <= r->reader.n_sentences);
    for (int32_t i = first; i < first + sentences; i++) {
        const reader_sentence *s = &r->memory.sentences[i];
        assert_true(s->original >= 0 && s->original + s->original_bytes <= READER_ORIGINAL_BYTES);
        put(&r->log, r->memory.original + s->original, (size_t)s->original_bytes);
        n = snprintf(line, sizeof line, "@%lld;", (long long)s->at);
        put(&r->log, line, (size_t)n);
    }
    r->chunks++;
}

/* Takes what there is, releasing as the speaker does: when it has enough, and when it must. */
static f5_status drain(reading *r, f5_error *error) {
    size_t held = 0;
    for (int64_t idle = 0; idle < 4;) {
        reader_outcome outcome;
        reader_chunk c;
        f5_status status = reader_next(&r->reader, &outcome, &c, error);
        if (status != F5_OK) return status;
        if (outcome == READER_CHUNK) {
            note(r, &c);
            held++;
            idle = 0;
            if (held < r->release_at) continue;
        }
        reader_release(&r->reader);
        if (outcome == READER_END) {
            char line[40];
            int n = snprintf(line, sizeof line, "end %g\n", c.pause_before);
            put(&r->log, line, (size_t)n);
        }
        if (outcome == READER_WAIT || outcome == READER_END) return F5_OK;
        if (outcome == READER_FULL && held == 0) idle++;
        held = 0;
    }
    fail_msg("the reader is full of text that it does not hand out");
    return F5_OK;
}

/* As stream.c feeds it. step 0: all at once, where it may be longer than the buffer. */
static f5_status read_text(reading *r, const char *text, size_t bytes, size_t step, uint64_t *random, f5_error *error) {
    reader_begin(&r->reader, &r->rules, &r->memory);
    if (step == 0) {
        reader_feed(&r->reader, text, bytes, true);
        return drain(r, error);
    }
    char *waiting = malloc(BUFFER);
    size_t held = 0, at = 0;
    f5_status status = F5_OK;
    while (status == F5_OK) {
        size_t n = random ? 1 + (size_t)random_below(random, (int32_t)step) : step;
        if (n > bytes - at) n = bytes - at;
        if (n > BUFFER - held) n = BUFFER - held;
        assert_true(n > 0 || at == bytes); /* else nobody gets on */
        memcpy(waiting + held, text + at, n);
        at += n;
        held += n;
        bool last = n == 0;
        reader_feed(&r->reader, waiting, held, last);
        status = drain(r, error);
        size_t unread = reader_unread(&r->reader);
        assert_true(unread <= held);
        memmove(waiting, waiting + held - unread, unread);
        held = unread;
        if (last) break;
    }
    free(waiting);
    return status;
}

static void empty(reading *r) {
    free(r->prepared.text);
    free(r->said.text);
    free(r->log.text);
    r->prepared = r->said = r->log = (bag){0};
    r->chunks = r->unknown = 0;
}

/* ---- rules and texts --------------------------------------------------------------------------------------------- */

static const char transcript[] = "Some call me nature, others call me mother nature.  ";

/* A voice whose chunks have about `limit` bytes at speed 1. */
static reader_voice voice_of(const char *name, int64_t limit) {
    double bytes = sizeof transcript - 2, seconds = limit < 1 ? 23 : 22 * bytes / ((double)limit + 0.5 + bytes);
    return (reader_voice){.name = name,
                          .name_bytes = name ? strlen(name) : 0,
                          .transcript = transcript,
                          .transcript_bytes = sizeof transcript - 1,
                          .seconds = seconds,
                          .speed = 1,
                          .room_bytes = 1e6,
                          .most_bytes = 1e6};
}

static reader_voice voices[3];

static int64_t random_limit(uint64_t *random) {
    static const int64_t limits[] = {0, 1, 2, 3, 7, 16, 40, 100, 135, 300, 1000, 2048, 5000};
    return limits[random_below(random, sizeof limits / sizeof *limits)];
}

static void random_rules(uint64_t *random, reading *r) {
    voices[0] = voice_of(NULL, random_limit(random));
    voices[1] = voice_of("town", random_limit(random));
    voices[2] = voice_of("na_me", random_limit(random));
    if (random_below(random, 3) == 0) voices[random_below(random, 3)].room_bytes = random_below(random, 60);
    static const double firsts[] = {0, 0, 0, 0.5, 3, READER_FIRST_UPSTREAM, READER_FIRST_UPSTREAM};
    r->rules = (reader_rules){.voices = voices,
                              .n_voices = 1 + random_below(random, 3),
                              .chunking = (reader_chunking)random_below(random, 3),
                              .brackets = (reader_brackets)random_below(random, 3),
                              .sentence_pause = random_below(random, 4) == 0 ? 0.25 : 0,
                              .paragraph_pause = random_below(random, 4) == 0 ? 0.75 : 0,
                              .first_chunk = firsts[random_below(random, 7)],
                              .prepare = prepare,
                              .unknown_voice = unknown_voice,
                              .user = r};
    r->preparation = (preparation)random_below(random, N_PREPARATIONS);
    r->release_at = (size_t)(1 + random_below(random, 9));
}

/* No ending, or all kinds; words of one letter up to 3000. */
static void random_text(uint64_t *random, bag *text) {
    static const char *const scraps[] = {"a",
                                         "Hello",
                                         "the",
                                         "word. ",
                                         "Yes! ",
                                         "Why? ",
                                         "one, two; ",
                                         "3.14",
                                         "Mr. Smith ",
                                         "...",
                                         "\n",
                                         "\n\n",
                                         "\r\n",
                                         "\t",
                                         "\xe3\x80\x80",
                                         "\xe2\x80\x83",
                                         "\xe4\xbd\xa0\xe5\xa5\xbd",
                                         "\xe3\x80\x82",
                                         "\xef\xbc\x8c",
                                         "\xf0\x9f\x98\x80",
                                         "caf\xc3\xa9",
                                         "[town]",
                                         "[na_me]",
                                         "[main]",
                                         "[sic]",
                                         "[1]",
                                         "[pause 1s]",
                                         "[pause 250ms]",
                                         "[",
                                         "]",
                                         "[a b]",
                                         "\"Quoted.\" ",
                                         "- item\n",
                                         "1. item\n",
                                         "e.g. this ",
                                         "No stop here ",
                                         "x:y ",
                                         ": ",
                                         "; ",
                                         "!",
                                         "(aside) "};
    int32_t n = 1 + random_below(random, 120), kind = random_below(random, 8);
    for (int32_t i = 0; i < n; i++) {
        const char *scrap = scraps[random_below(random, sizeof scraps / sizeof *scraps)];
        put(text, scrap, strlen(scrap));
        if (random_below(random, 3) > 0) put(text, " ", 1);
        if (random_below(random, 60) == 0) {
            char c = (char)(kind == 0 ? '.' : kind == 1 ? ' ' : kind == 2 ? '\n' : 'a' + random_below(random, 26));
            for (int32_t k = random_below(random, 3000); k > 0; k--) put(text, &c, 1);
        }
    }
}

/* What is not white outside the tags that are taken out. */
static void solid_outside_tags(const reading *r, const char *text, size_t bytes, bag *out) {
    for (size_t at = 0; at < bytes;) {
        script_tag tag;
        size_t n = script_find(text + at, bytes - at, true, &tag);
        put_solid(out, text + at, n);
        at += n;
        bool known = tag.kind == SCRIPT_TAG && tag.name_bytes == 4 && memcmp(tag.name, "main", 4) == 0;
        for (int32_t i = 1; i < r->rules.n_voices && tag.kind == SCRIPT_TAG; i++)
            known = known || (tag.name_bytes == r->rules.voices[i].name_bytes &&
                              memcmp(tag.name, r->rules.voices[i].name, tag.name_bytes) == 0);
        if (tag.kind == SCRIPT_TAG && !known && r->rules.brackets == READER_BRACKETS_TEXT)
            put_solid(out, text + at, tag.bytes);
        at += tag.bytes;
    }
}

static void assert_same(const bag *a, const bag *b, const char *what) {
    size_t n = a->bytes < b->bytes ? a->bytes : b->bytes, i = 0;
    while (i < n && a->text[i] == b->text[i]) i++;
    if (i == n && a->bytes == b->bytes) return;
    size_t from = i > 60 ? i - 60 : 0;
    fail_msg("%s: differ at byte %zu of %zu and %zu:\n%.*s\n---\n%.*s", what, i, a->bytes, b->bytes,
             (int)(a->bytes - from < 200 ? a->bytes - from : 200), a->text + from,
             (int)(b->bytes - from < 200 ? b->bytes - from : 200), b->text + from);
}

static void check_all_said(const reading *r) {
    bag solid = {0};
    put_solid(&solid, r->prepared.text, r->prepared.bytes);
    assert_same(&r->said, &solid, "chunks and prepared text");
    free(solid.text);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static reading whole, fed; /* too large for a stack */

static void test_random_texts(void **state) {
    uint64_t *random = *state;
    for (int i = 0; i < 150; i++) {
        bag text = {0};
        random_text(random, &text);
        random_rules(random, &whole);
        f5_error error = {0};
        if (read_text(&whole, text.text, text.bytes, 0, NULL, &error) != F5_OK) fail_msg("%s", error.message);
        check_all_said(&whole);
        if (whole.preparation == SAME) {
            bag outside = {0};
            solid_outside_tags(&whole, text.text, text.bytes, &outside);
            assert_same(&whole.said, &outside, "chunks and text");
            free(outside.text);
        }
        static const size_t steps[] = {1, 2, 3, 7, 50, 400, 5000};
        for (int k = 0; k < 3; k++) {
            fed.rules = whole.rules;
            fed.rules.user = &fed;
            fed.preparation = whole.preparation;
            fed.release_at = (size_t)(1 + random_below(random, 9));
            size_t step = steps[random_below(random, 7)];
            f5_status status = read_text(&fed, text.text, text.bytes, step, k ? random : NULL, &error);
            if (status != F5_OK) fail_msg("%s", error.message);
            assert_same(&fed.log, &whole.log, "fed and whole");
            assert_int_equal(fed.unknown, whole.unknown);
            empty(&fed);
        }
        empty(&whole);
        free(text.text);
    }
}

/* Any bytes: an error or a reading, and no sooner with other feeding. */
static void test_random_bytes(void **state) {
    uint64_t *random = *state;
    for (int i = 0; i < 300; i++) {
        char text[400];
        size_t bytes = (size_t)random_below(random, sizeof text);
        static const char some[] = "[]. \n\xe4\xbd\xa0\xf0\x9f\x80\xff\xc3"
                                   "ab";
        for (size_t k = 0; k < bytes; k++)
            text[k] = random_below(random, 8) ? some[random_below(random, sizeof some - 1)] : (char)random_next(random);
        random_rules(random, &whole);
        f5_error error = {0}, second = {0};
        char *copy = malloc(bytes ? bytes : 1);
        memcpy(copy, text, bytes);
        f5_status status = read_text(&whole, copy, bytes, 0, NULL, &error);
        free(copy);
        fed.rules = whole.rules;
        fed.rules.user = &fed;
        fed.preparation = whole.preparation;
        fed.release_at = 3;
        f5_status other = read_text(&fed, text, bytes, 1, NULL, &second);
        assert_int_equal(status, other);
        if (status != F5_OK) assert_string_equal(error.message, second.message);
        assert_same(&fed.log, &whole.log, "fed and whole");
        if (status == F5_OK) check_all_said(&whole);
        empty(&whole);
        empty(&fed);
    }
}

/* Long stretches of one kind, which fill the memory if anything does. */
static void test_long_stretches(void **state) {
    (void)state;
    static const char *const units[] = {"word ",    "x",     "\xe4\xbd\xa0", "\xf0\x9f\x98\x80", " ",       "\n",
                                        "a\n",      "[sic]", "[town]",       "[pause 1s]",       "Hi. ",    ".",
                                        "word\n\n", "[",     "a [sic] ",     "\xe3\x80\x82",     "[town]a", "a, "};
    static const int64_t limits[] = {0, 135, 2048};
    uint64_t random = 1;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++)
            for (int32_t k = 0; k < 3 * 3; k += 4) {
                bag text = {0};
                put(&text, "Begin ", 6);
                while (text.bytes < (k % 4 == 0 ? 60000u : 33000u)) put(&text, units[u], strlen(units[u]));
                random_rules(&random, &whole);
                voices[0] = voice_of(NULL, limits[l]);
                whole.rules.n_voices = 2;
                whole.rules.chunking = (reader_chunking)(k % 3);
                whole.rules.brackets = (reader_brackets)(k / 3 % 3);
                f5_error error = {0};
                f5_status status = read_text(&whole, text.text, text.bytes, k % 8 == 0 ? 0 : 3000, NULL, &error);
                if (status != F5_OK) fail_msg("%s", error.message);
                check_all_said(&whole);
                empty(&whole);
                free(text.text);
            }
}

static void test_a_hundred_thousand_tags(void **state) {
    (void)state;
    uint64_t random = 2;
    bag text = {0};
    for (int i = 0; i < 100000; i++) put(&text, i % 3 ? "[town]" : "[nobody]", i % 3 ? 6 : 8);
    put(&text, "Hi", 2);
    random_rules(&random, &whole);
    whole.rules.n_voices = 2;
    whole.rules.brackets = READER_BRACKETS_MAIN;
    whole.preparation = SAME;
    f5_error error = {0};
    assert_int_equal(read_text(&whole, text.text, text.bytes, 0, NULL, &error), F5_OK);
    assert_int_equal(whole.chunks, 1);
    assert_int_equal(whole.unknown, 33334);
    empty(&whole);
    free(text.text);
}

/* The answer given of a part of the text is the answer of the whole. */
static void test_chunks_of_a_part(void **state) {
    uint64_t *random = *state;
    for (int i = 0; i < 300; i++) {
        bag text = {0};
        random_text(random, &text);
        if (text.bytes > 600) text.bytes = 600;
        text.bytes = utf8_valid_prefix(text.text, text.bytes);
        int64_t most = random_below(random, 200) - 10;
        f5_error error = {0};
        for (size_t from = 0; from < text.bytes;) {
            size_t end = from;
            chunk c;
            assert_int_equal(chunk_next(text.text, text.bytes, true, &end, most, &c, &error), F5_OK);
            for (size_t part = from; part <= text.bytes; part++) {
                if (utf8_valid_prefix(text.text, part) != part) continue;
                size_t at = from;
                chunk of_part;
                assert_int_equal(chunk_next(text.text, part, false, &at, most, &of_part, &error), F5_OK);
                if (at == from && !of_part.text) continue;
                assert_true(of_part.text == c.text && of_part.bytes == c.bytes && at == end);
                assert_int_equal(of_part.spoken_bytes, c.spoken_bytes);
            }
            if (end == from) break;
            from = end;
        }
        free(text.text);
    }
}

int main(void) {
    uint64_t random = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_random_texts, &random),
        cmocka_unit_test_prestate(test_random_bytes, &random),
        cmocka_unit_test(test_long_stretches),
        cmocka_unit_test(test_a_hundred_thousand_tags),
        cmocka_unit_test_prestate(test_chunks_of_a_part, &random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
