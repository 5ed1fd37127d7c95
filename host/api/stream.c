/* stream.c — a text that comes bit by bit: what the reader has not read yet is kept, and read again when more has come.
 */
#include <stdlib.h>
#include <string.h>

#include "host/api/params.h"
#include "host/api/speech.h"

#define STREAM_BYTES 16384 /* of text that waits: more than the reader ever needs to see at once */

struct f5_stream {
    speech speech;
    desk *desk;
    bool failed;
    size_t bytes; /* that wait */
    char text[STREAM_BYTES];
};

static f5_status check_stream(const f5_speak_params *p, f5_error *error) {
    const char *given = p->text               ? "text: push it"
                        : p->fix_duration > 0 ? "fix_duration: the length of the whole is not known"
                        : p->noise            ? "noise: the length of the whole is not known"
                        : p->ssml             ? "ssml: a document is read as a whole, by f5_speak"
                                              : NULL;
    if (given) return f5_fail(error, F5_E_ARGUMENT, "a stream takes no %s", given);
    if (p->audio) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "f5_speak_params.audio is NULL: nothing would hear the speech");
}

f5_status f5_stream_open(f5_engine *e, const f5_voice *v, const f5_speak_params *params, f5_stream **opened,
                         f5_error *error) {
    if (!e || !speech_has_voice(e, v) || !opened)
        return f5_fail(error, F5_E_ARGUMENT, "f5_stream_open: engine, voice or stream is NULL");
    *opened = NULL;
    f5_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return f5_fail(error, F5_E_MEMORY, "no memory for a stream");
    const engine_options *l = engine_limits(e->core);
    f5_status status = speech_begin(&stream->speech, e, v, params, false, error);
    if (status == F5_OK) status = check_stream(&stream->speech.params, error);
    if (status == F5_OK) status = desk_make(&stream->desk, l->max_frames, l->max_batch, error);
    if (status != F5_OK) {
        f5_stream_close(stream);
        return status;
    }
    stream->speech.planning = true;
    speech_sit_down(&stream->speech, stream->desk);
    *opened = stream;
    return F5_OK;
}

/* Speaks what can be spoken of the text that waits. */
static f5_status go_on(f5_stream *stream, bool last, f5_error *error) {
    speech *s = &stream->speech;
    reader_feed(&s->reader, stream->text, stream->bytes, last);
    desk_sit(&s->engine->desks, stream->desk);
    f5_status status = speech_go_on(s, error);
    if (status == F5_OK && last) status = speech_finish(s, error);
    if (last) speech_warn_characters(s);
    desk_rise(&s->engine->desks, stream->desk);
    size_t unread = reader_unread(&s->reader);
    memmove(stream->text, stream->text + stream->bytes - unread, unread);
    stream->bytes = unread;
    stream->failed = status != F5_OK;
    return status;
}

static f5_status check_open(const f5_stream *stream, f5_error *error) {
    if (!stream) return f5_fail(error, F5_E_ARGUMENT, "the stream is NULL");
    F5_TRY(call_refuse_inside(stream->speech.engine, error));
    if (!stream->failed) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "the stream has failed before: close it and open another");
}

f5_status f5_stream_push(f5_stream *stream, const char *text, size_t bytes, f5_error *error) {
    F5_TRY(check_open(stream, error));
    if (!text && bytes > 0) return f5_fail(error, F5_E_ARGUMENT, "f5_stream_push: text is NULL");
    while (bytes > 0) {
        size_t n = STREAM_BYTES - stream->bytes;
        if (n > bytes) n = bytes;
        memcpy(stream->text + stream->bytes, text, n);
        stream->bytes += n;
        text += n;
        bytes -= n;
        F5_TRY(go_on(stream, false, error));
    }
    return F5_OK;
}

f5_status f5_stream_flush(f5_stream *stream, f5_error *error) {
    F5_TRY(check_open(stream, error));
    return go_on(stream, true, error);
}

void f5_stream_close(f5_stream *stream) {
    if (!stream) return;
    desk_destroy(stream->desk);
    free(stream);
}
