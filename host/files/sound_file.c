/* sound_file.c — an encoder whose bytes go into an output. */
#include "host/files/sound_file.h"

static int sink_write(void *out, const void *bytes, size_t n) {
    return output_write(out, bytes, n);
}

static int sink_rewrite(void *out, int64_t at, const void *bytes, size_t n) {
    return output_rewrite(out, at, bytes, n);
}

f5_status sound_file_begin(sound_file *s, const char *path, sound_format format, int32_t given, int32_t rate,
                           f5_error *error) {
    s->encoder = NULL;
    F5_TRY(output_begin(&s->out, path, error));
    const sound_sink sink = {sink_write, s->out.direct ? NULL : sink_rewrite, &s->out};
    f5_status status = sound_encoder_open_of(&s->encoder, format, given, rate, &sink, path, error);
    if (status != F5_OK) output_abort(&s->out);
    return status;
}

f5_status sound_file_append(sound_file *s, const float *samples, int64_t n, f5_error *error) {
    return sound_encoder_add(s->encoder, samples, n, error);
}

f5_status sound_file_commit(sound_file *s, f5_error *error) {
    f5_status status = sound_encoder_end(s->encoder, error);
    sound_encoder_close(s->encoder);
    s->encoder = NULL;
    if (status == F5_OK) return output_commit(&s->out, error);
    output_abort(&s->out);
    return status;
}

void sound_file_abort(sound_file *s) {
    sound_encoder_close(s->encoder);
    s->encoder = NULL;
    output_abort(&s->out);
}

f5_status sound_file_write(const char *path, const float *samples, int64_t n, sound_format format, int32_t given,
                           int32_t rate, f5_error *error) {
    sound_file s;
    F5_TRY(sound_file_begin(&s, path, format, given, rate, error));
    f5_status status = sound_file_append(&s, samples, n, error);
    if (status == F5_OK) return sound_file_commit(&s, error);
    sound_file_abort(&s);
    return status;
}
