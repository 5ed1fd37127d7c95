/* reader_source.c — where a reader's sentences come from: plain text with tags, or SSML. A source adds one sentence at
 * a time to the prepared text, or ends the segment. */
#include <string.h>

#include "host/text/punctuation.h"
#include "host/text/reader.h"
#include "host/text/script.h"
#include "host/text/sentence.h"
#include "weights/utf8.h"

#define WINDOW_BYTES 8192 /* of plain text that is looked at: more than a sentence needs */
#define WHITE_BYTES 256   /* white space after a sentence that is kept */

/* ---- a sentence -------------------------------------------------------------------------------------------------- */

static int32_t find_voice(const reader *r, const char *name, size_t bytes) {
    if (bytes == 4 && memcmp(name, "main", 4) == 0) return 0;
    for (int32_t i = 1; i < r->rules->n_voices; i++) {
        const reader_voice *v = &r->rules->voices[i];
        if (v->name_bytes == bytes && bytes > 0 && memcmp(v->name, name, bytes) == 0) return i;
    }
    return -1;
}

/* Does the tag end the segment, or is it a part of the text? */
static bool tag_switches(const reader *r, const script_tag *tag) {
    return r->rules->brackets == READER_BRACKETS_MAIN || find_voice(r, tag->name, tag->name_bytes) >= 0;
}

/* Moves what is still needed to the front. */
static void compact(reader *r) {
    reader_sentence *s = r->memory->sentences;
    int32_t gone = r->first;
    size_t from = r->cut, original = r->original.bytes;
    if (gone < r->n_sentences) {
        if ((size_t)s[gone].from < from) from = (size_t)s[gone].from;
        original = (size_t)s[gone].original;
    }
    memmove(r->prepared.text, r->prepared.text + from, r->prepared.bytes - from);
    memmove(r->original.text, r->original.text + original, r->original.bytes - original);
    memmove(s, s + gone, (size_t)(r->n_sentences - gone) * sizeof *s);
    r->prepared.bytes -= from;
    r->original.bytes -= original;
    r->cut -= from;
    r->n_sentences -= gone;
    r->first = 0;
    for (int i = 0; i < 2; i++) r->region[i] = r->region[i] > from ? r->region[i] - from : 0;
    for (int32_t i = 0; i < r->n_sentences; i++) {
        s[i].from -= (int32_t)from;
        s[i].to -= (int32_t)from;
        s[i].original -= (int32_t)original;
    }
}

static bool has_room(reader *r) {
    for (int tries = 0; tries < 2; tries++) {
        if (READER_PREPARED_BYTES - r->prepared.bytes >= READER_SENTENCE_BYTES + WHITE_BYTES &&
            READER_ORIGINAL_BYTES - r->original.bytes >= SENTENCE_MAX_BYTES &&
            (r->n_sentences < READER_SENTENCES || tries > 0))
            return true;
        if (r->in_flight) return false;
        compact(r);
    }
    return false;
}

/* Copies the sentence to where it is kept; names in brackets that are to be dropped are. */
static void keep_original(reader *r, const char *text, size_t bytes) {
    bool drop = r->rules->brackets == READER_BRACKETS_DROP && !r->rules->ssml;
    size_t from = r->original.bytes;
    for (size_t at = 0; at < bytes;) {
        script_tag tag = {.kind = SCRIPT_TEXT_ONLY};
        size_t n = drop ? script_find(text + at, bytes - at, true, &tag) : bytes;
        if (tag.kind == SCRIPT_PAUSE || tag.kind == SCRIPT_BAD_PAUSE) n += tag.bytes, tag.bytes = 0;
        text_put(&r->original, text + at, n);
        at += n + tag.bytes;
        if (n == 0 && tag.bytes == 0) break;
        bool gap = r->original.bytes == from || r->original.text[r->original.bytes - 1] == ' ';
        while (tag.bytes > 0 && gap && at < bytes && text[at] == ' ') at++; /* one space is left of two */
    }
}

/* Adds to the prepared text; where the rules ask for it, no space behind a space. */
static void put_prepared(reader *r, const char *text, size_t bytes) {
    text_buffer *to = &r->prepared;
    for (size_t i = 0; r->rules->one_space && i < bytes; i++)
        if (text[i] != ' ' || to->bytes == 0 || to->text[to->bytes - 1] != ' ') text_put(to, text + i, 1);
    if (!r->rules->one_space) text_put(to, text, bytes);
}

/* White space that ends a sentence, as it was given or as one space. */
static void keep_white(reader *r, const char *white, size_t bytes) {
    size_t n = 0;
    for (uint32_t c; n < bytes;) {
        size_t length = utf8_decode(white + n, bytes - n, &c);
        if (length == 0 || n + length > WHITE_BYTES) break;
        n += length;
    }
    if (r->rules->one_space && n > 0)
        put_prepared(r, " ", 1);
    else
        text_put(&r->prepared, white, n);
}

/* Where even the shortest chunk has more sentences than are kept apart, the last ones count as one. */
static void keep_sentence(reader *r, const reader_sentence *sentence) {
    if (r->n_sentences < READER_SENTENCES) {
        r->memory->sentences[r->n_sentences++] = *sentence;
        return;
    }
    reader_sentence *before = &r->memory->sentences[r->n_sentences - 1];
    before->to = sentence->to;
    before->original_bytes = sentence->original + sentence->original_bytes - before->original;
    before->paragraph = sentence->paragraph;
}

static bool ends_in_stop(const char *text, size_t bytes) {
    uint32_t last = 0;
    for (size_t at = 0, n; at < bytes; at += n) {
        uint32_t c;
        n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0) return false;
        if (!mark_closes(c)) last = c;
    }
    return mark_is_stop(last);
}

/* Prepares the sentence and adds it. There is room. stopped: it ends here, whatever it ends in. */
static f5_status add_sentence(reader *r, const char *text, const sentence_span *span, int64_t at, bool paragraph,
                              bool stopped, f5_error *error) {
    size_t valid = utf8_valid_prefix(text, span->bytes);
    if (valid < span->bytes)
        return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 at byte %lld",
                       (long long)((at < 0 ? 0 : at) + (int64_t)valid));
    size_t original = r->original.bytes, from = r->prepared.bytes;
    keep_original(r, text, span->bytes);
    text_buffer out = {.text = r->memory->sentence, .capacity = READER_SENTENCE_BYTES};
    const char *kept = r->original.text + original;
    size_t kept_bytes = r->original.bytes - original;
    if (kept_bytes > 0) F5_TRY(r->rules->prepare(r->rules->user, kept, kept_bytes, at, &out, error));
    if (out.full)
        return f5_fail(error, F5_E_LIMIT,
                       "the sentence at byte %lld becomes longer than %d bytes when it is normalised", (long long)at,
                       READER_SENTENCE_BYTES);
    put_prepared(r, out.text, out.bytes);
    const reader_sentence sentence = {.from = (int32_t)from,
                                      .to = (int32_t)r->prepared.bytes,
                                      .original = (int32_t)original,
                                      .original_bytes = (int32_t)kept_bytes,
                                      .at = at,
                                      .paragraph = paragraph,
                                      .stopped = stopped || ends_in_stop(text, span->bytes)};
    if (r->prepared.bytes > from)
        keep_sentence(r, &sentence);
    else
        r->original.bytes = original; /* nothing of it is said */
    keep_white(r, text + span->bytes, span->next - span->bytes);
    return F5_OK;
}

/* ---- plain text -------------------------------------------------------------------------------------------------- */

static int line_ends(const char *white, size_t bytes) {
    int ends = 0;
    uint32_t c, before = 0;
    for (size_t at = 0, n; (n = utf8_decode(white + at, bytes - at, &c)) > 0; at += n, before = c)
        ends += mark_line_ends(c, before);
    return ends;
}

/* Bytes of text before the next tag that ends the segment. */
static size_t find_run(const reader *r, const char *text, size_t bytes, bool last, script_tag *tag) {
    size_t run = 0;
    for (;;) {
        run += script_find(text + run, bytes - run, last, tag);
        if (tag->kind != SCRIPT_TAG || tag_switches(r, tag)) return run;
        run += tag->bytes;
    }
}

static void switch_voice(reader *r, const char *name, size_t bytes) {
    int32_t voice = bytes > 0 ? find_voice(r, name, bytes) : 0;
    if (voice < 0 && r->rules->unknown_voice) r->rules->unknown_voice(r->rules->user, name, bytes);
    r->next_voice = voice < 0 ? 0 : voice;
}

static f5_status read_tag(reader *r, const script_tag *tag, f5_error *error) {
    const char *text = r->text + r->at;
    if (tag->kind == SCRIPT_BAD_PAUSE)
        return f5_fail(error, F5_E_FORMAT,
                       "byte %lld: '%.*s' is not a pause: write [pause 0.5s] or [pause 500ms], at most %d seconds",
                       (long long)(r->text_at + (int64_t)r->at), tag->bytes > 40 ? 40 : (int)tag->bytes, text,
                       SCRIPT_MAX_PAUSE);
    if (tag->kind == SCRIPT_PAUSE)
        r->next_pause += tag->seconds;
    else
        switch_voice(r, tag->name, tag->name_bytes);
    r->at += tag->bytes;
    r->segment_ended = true;
    return F5_OK;
}

static f5_status fill_plain(reader *r, reader_fill_outcome *outcome, f5_error *error) {
    const char *text = r->text + r->at;
    size_t left = r->bytes - r->at;
    bool last = r->last && left <= WINDOW_BYTES;
    if (left > WINDOW_BYTES) left = WINDOW_BYTES;
    script_tag tag;
    size_t run = find_run(r, text, left, last, &tag);
    bool text_only = tag.kind == SCRIPT_TEXT_ONLY, pending = tag.kind == SCRIPT_PENDING;
    if (run > 0) {
        sentence_span span;
        if (!sentence_next(text, run, pending ? false : text_only ? last : true, &span)) {
            *outcome = READER_NO_TEXT;
            return F5_OK;
        }
        bool cut_off = !text_only && span.next == run; /* by a tag: then no end of the text ends a paragraph */
        bool paragraph = cut_off ? line_ends(text + span.bytes, span.next - span.bytes) > 1 : span.paragraph;
        F5_TRY(add_sentence(r, text, &span, r->text_at + (int64_t)r->at, paragraph, !cut_off, error));
        r->at += span.next;
        /* what ends the segment is read with its last sentence: what speaks that knows that a pause follows */
        if (pending || (!cut_off && !(last && span.next == left))) return F5_OK;
    } else if (text_only && !last) {
        *outcome = READER_NO_TEXT;
        return F5_OK;
    }
    if (!text_only && !pending) return read_tag(r, &tag, error);
    if (text_only)
        r->source_ended = r->segment_ended = true;
    else
        *outcome = READER_NO_TEXT;
    return F5_OK;
}

/* ---- SSML -------------------------------------------------------------------------------------------------------- */

/* Makes room in the run for what comes, and copies what waits of an event's text. */
static void take_slice(reader_ssml *s) {
    if (s->run_at > 0 && !s->in_say_as) {
        memmove(s->run.text, s->run.text + s->run_at, s->run.bytes - s->run_at);
        s->run.bytes -= s->run_at;
        s->run_at = 0;
    }
    size_t n = s->run.capacity - s->run.bytes;
    if (n > s->slice_bytes) n = s->slice_bytes;
    text_put(&s->run, s->slice, n);
    s->slice += n;
    s->slice_bytes -= n;
}

static f5_status begin_say_as(reader_ssml *s, const ssml_event *e, f5_error *error) {
    const char *texts[] = {e->text, e->format, e->detail};
    const size_t bytes[] = {e->bytes, e->format_bytes, e->detail_bytes};
    for (int i = 0; i < 3; i++) {
        if (bytes[i] >= sizeof s->attributes[i])
            return f5_fail(error, F5_E_UNSUPPORTED, "say-as: an attribute of %zu bytes; at most %zu are known",
                           bytes[i], sizeof s->attributes[i] - 1);
        memcpy(s->attributes[i], texts[i], bytes[i]);
        s->attributes[i][bytes[i]] = '\0';
    }
    s->in_say_as = true;
    s->say_as_at = s->run.bytes;
    return F5_OK;
}

static f5_status end_say_as(reader *r, f5_error *error) {
    reader_ssml *s = &r->ssml;
    text_buffer out = {.text = r->memory->sentence, .capacity = READER_SENTENCE_BYTES};
    if (!r->rules->say_as) return f5_fail(error, F5_E_UNSUPPORTED, "say-as is not supported without normalisation");
    F5_TRY(r->rules->say_as(r->rules->user, s->attributes[0], s->attributes[1], s->attributes[2],
                            s->run.text + s->say_as_at, s->run.bytes - s->say_as_at, &out, error));
    s->run.bytes = s->say_as_at;
    s->in_say_as = false;
    if (out.full || !text_put(&s->run, out.text, out.bytes))
        return f5_fail(error, F5_E_LIMIT, "say-as: its content becomes longer than can be said in one sentence");
    return F5_OK;
}

/* What the run is ended by. */
static void end_run(reader_ssml *s, bool segment, bool sentence_only) {
    s->run_ended = true;
    s->segment_ends |= segment;
    s->sentence_only = sentence_only;
}

/* The end of a sentence that is the end of its paragraph too is one event. */
static f5_status next_event(reader *r, ssml_event *e, f5_error *error) {
    reader_ssml *s = &r->ssml;
    if (s->stashed) {
        s->stashed = false;
        *e = s->stash;
        return F5_OK;
    }
    F5_TRY(ssml_next(&r->memory->ssml, e, error));
    if (e->kind != SSML_SENTENCE_END) return F5_OK;
    F5_TRY(ssml_next(&r->memory->ssml, &s->stash, error));
    s->stashed = s->stash.kind != SSML_PARAGRAPH_END;
    if (!s->stashed) *e = s->stash;
    return F5_OK;
}

static f5_status read_event(reader *r, f5_error *error) {
    reader_ssml *s = &r->ssml;
    ssml_event e;
    F5_TRY(next_event(r, &e, error));
    switch (e.kind) {
    case SSML_TEXT:
    case SSML_SUB:
        s->slice = e.text;
        s->slice_bytes = e.bytes;
        break;
    case SSML_BREAK:
        r->next_pause += e.seconds;
        end_run(s, true, true);
        break;
    case SSML_SENTENCE_END:
        end_run(s, false, true);
        break;
    case SSML_PARAGRAPH_END:
        end_run(s, false, false);
        break;
    case SSML_VOICE:
        switch_voice(r, e.text, e.bytes);
        if (r->next_voice != r->voice) end_run(s, true, true);
        break;
    case SSML_RATE:
        r->next_rate = (float)e.rate;
        if (r->next_rate != r->rate) end_run(s, true, true);
        break;
    case SSML_SAY_AS_BEGIN:
        return begin_say_as(s, &e, error);
    case SSML_SAY_AS_END:
        return end_say_as(r, error);
    case SSML_END:
        s->ended = true;
        end_run(s, true, false);
        break;
    }
    return F5_OK;
}

static f5_status fill_ssml(reader *r, reader_fill_outcome *outcome, f5_error *error) {
    reader_ssml *s = &r->ssml;
    if (!r->last) {
        *outcome = READER_NO_TEXT;
        return F5_OK;
    }
    if (!s->open) F5_TRY(ssml_open(&r->memory->ssml, r->text, r->bytes, error));
    s->open = true;
    /* what ends the segment is read with its last sentence: what speaks that knows that a pause follows */
    for (bool added = false;;) {
        if (added && (s->slice_bytes > 0 || s->run.bytes > s->run_at)) return F5_OK;
        if (s->slice_bytes > 0) take_slice(s);
        sentence_span span;
        size_t left = s->run.bytes - s->run_at;
        if (left > 0 && !s->in_say_as && sentence_next(s->run.text + s->run_at, left, s->run_ended, &span)) {
            bool ends = s->run_ended && span.next == left;
            F5_TRY(add_sentence(r, s->run.text + s->run_at, &span, -1, span.paragraph && !(ends && s->sentence_only),
                                !(ends && s->segment_ends), error));
            s->run_at += span.next;
            if (!ends) return F5_OK;
            added = true;
        }
        if (s->run_ended) {
            s->run.bytes = s->run_at = 0;
            s->run_ended = false;
            r->source_ended = s->ended;
            r->segment_ended = s->segment_ends;
            s->segment_ends = false;
            if (r->segment_ended) return F5_OK;
            if (r->prepared.bytes > 0) put_prepared(r, " ", 1); /* </s><s> has no white space */
        } else if (s->slice_bytes > 0) {
            if (s->in_say_as) return f5_fail(error, F5_E_LIMIT, "say-as: its content is longer than a sentence may be");
        } else {
            F5_TRY(read_event(r, error));
        }
    }
}

f5_status reader_fill(reader *r, reader_fill_outcome *outcome, f5_error *error) {
    *outcome = READER_ADDED;
    if (!has_room(r)) {
        *outcome = READER_NO_ROOM;
        return F5_OK;
    }
    return r->rules->ssml ? fill_ssml(r, outcome, error) : fill_plain(r, outcome, error);
}
