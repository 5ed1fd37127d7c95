/* audio_av.h — recordings that libsndfile does not read, by FFmpeg's libavformat and libavcodec: m4a, aac, webm, mp4,
 * wma, amr, 3gp. These libraries are taken by dlopen when a file first needs them, so that the program runs without
 * them; what they must be called, libavformat.so.59 and so on, is known from their headers at build. That was simpler
 * than a module of ours that links them, which would have to be installed and found. */
#ifndef F5_AUDIO_AV_H
#define F5_AUDIO_AV_H

#include "host/files/audio_file.h"
#include "host/files/audio_header.h"

#define AUDIO_AV_FORMATS "m4a, aac, webm, mp4, wma, amr, 3gp"

/* Decodes the first audio stream. The file opens no other, and no address. F5_E_UNSUPPORTED: the libraries were not
 * there at build or are not here now; F5_E_ARGUMENT: it is nothing that they read. The messages of these two give the
 * reason alone. F5_E_FORMAT names the file: it is truncated, damaged, or beyond the limits of f5tts.h. *a is to be
 * freed in every case. */
f5_status audio_av_read(audio_file *a, const audio_bytes *file, const char *name, f5_error *error);

#endif
