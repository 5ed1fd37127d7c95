/* voice_list.c — names and stamps first: where they are as they were, nothing is opened. */
#include "host/server/voice_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "kernels/error.h"

typedef struct {
    voice_list *list;
    int capacity;
    bool too_many;
    voice_tell_fn tell;
    void *user;
} scan;

static void free_voice(listed_voice *v) {
    voice_file_free(&v->voice);
    free(v->path);
}

void voice_list_free(voice_list *list) {
    if (!list) return;
    for (int i = 0; i < list->n; i++) free_voice(&list->voice[i]);
    free(list->voice);
    free(list);
}

const listed_voice *voice_list_find(const voice_list *list, const char *name) {
    int low = 0, high = list ? list->n : 0;
    while (low < high) {
        int middle = (low + high) / 2;
        if (strcasecmp(list->voice[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; list && low < list->n && voice_name_is(list->voice[low].name, name); low++)
        if (list->voice[low].good) return &list->voice[low];
    return NULL;
}

/* ---- what lies there --------------------------------------------------------------------------------------------- */

/* The ending of a file that may be a voice, as it is spelled here; NULL of any other. */
static const char *voice_ending(const char *file) {
    static const char *const endings[] = {
        VOICE_FILE_ENDING, ".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".caf", ".m4a", ".aac",
        ".webm",           ".mp4", ".wma",  ".amr", ".3gp", ".au",   ".w64",  ".rf64"};
    size_t n = strlen(file);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (n > ending && strcasecmp(file + n - ending, endings[i]) == 0) return endings[i];
    }
    return NULL;
}

static bool read_stamp(const char *path, file_stamp *stamp) {
    struct stat there;
    if (stat(path, &there) != 0 || !S_ISREG(there.st_mode)) return false;
    *stamp = (file_stamp){there.st_size, there.st_mtim.tv_sec, there.st_mtim.tv_nsec, there.st_ino};
    return true;
}

static bool stamps_equal(const file_stamp *a, const file_stamp *b) {
    return a->bytes == b->bytes && a->seconds == b->seconds && a->nanoseconds == b->nanoseconds && a->inode == b->inode;
}

/* Adds a file, if it may be a voice. F5_E_MEMORY. */
static f5_status add_file(scan *s, const voice_folder *folder, const char *file, f5_error *error) {
    listed_voice v = {.ending = voice_ending(file), .origin = folder->origin};
    if (!v.ending || file[0] == '.') return F5_OK;
    size_t stem = strlen(file) - strlen(v.ending), room = strlen(folder->path) + strlen(file) + 2;
    char *words = malloc(room + 4);
    v.path = malloc(room);
    if (v.path && words) {
        snprintf(v.path, room, "%s/%s", folder->path, file);
        snprintf(words, room + 4, "%s/%.*s.txt", folder->path, (int)stem, file);
        if (strcmp(v.ending, VOICE_FILE_ENDING) != 0) read_stamp(words, &v.words);
    }
    bool there = v.path && words && read_stamp(v.path, &v.sound);
    bool full = s->list->n == VOICE_LIST_MAX;
    if (there && !full && s->list->n == s->capacity) {
        int capacity = 2 * s->capacity + 16;
        listed_voice *grown = realloc(s->list->voice, (size_t)capacity * sizeof *grown);
        if (grown) s->list->voice = grown;
        if (grown) s->capacity = capacity;
    }
    bool memory = v.path && words && (!there || full || s->list->n < s->capacity);
    free(words);
    s->too_many |= there && full;
    if (!memory || !there || full) {
        free(v.path);
        return memory ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for the names of voices");
    }
    snprintf(v.name, sizeof v.name, "%.*s", stem < sizeof v.name ? (int)stem : 0, file); /* "": no name of a voice */
    s->list->voice[s->list->n++] = v;
    return F5_OK;
}

static f5_status add_folder(scan *s, const voice_folder *folder, f5_error *error) {
    DIR *d = opendir(folder->path);
    if (!d) return f5_fail(error, F5_E_IO, "%.300s: the folder cannot be read: %s", folder->path, strerror(errno));
    f5_status status = F5_OK;
    for (const struct dirent *file = NULL; status == F5_OK && (file = readdir(d));)
        status = add_file(s, folder, file->d_name, error);
    closedir(d);
    return status;
}

static int compare_voices(const void *a, const void *b) {
    const listed_voice *x = a, *y = b;
    int order = strcasecmp(x->name, y->name);
    if (order == 0) order = (int)x->origin - (int)y->origin;
    return order ? order : strcmp(x->path, y->path);
}

/* ---- what changed ------------------------------------------------------------------------------------------------ */

static bool same_files(const listed_voice *a, const listed_voice *b) {
    return strcmp(a->path, b->path) == 0 && stamps_equal(&a->sound, &b->sound) && stamps_equal(&a->words, &b->words);
}

static bool lists_equal(const voice_list *a, const voice_list *b) {
    bool equal = a && a->n == b->n;
    for (int i = 0; equal && i < b->n; i++) equal = same_files(&a->voice[i], &b->voice[i]);
    return equal;
}

/* What the old list says of the same files; NULL where they are new or changed. Both lists have one order. */
static const listed_voice *same_voice(const voice_list *old, const listed_voice *v) {
    const listed_voice *known =
        old && old->n > 0 ? bsearch(v, old->voice, (size_t)old->n, sizeof *v, compare_voices) : NULL;
    return known && same_files(known, v) ? known : NULL;
}

static bool copy_text(char **to, const char *from) {
    *to = from ? strdup(from) : NULL;
    return *to || !from;
}

static bool copy_voice(voice_file *to, const voice_file *from) {
    *to = (voice_file){
        .recording = recording_hold(from->recording), .created_at = from->created_at, .bytes = from->bytes};
    memcpy(to->advice, from->advice, sizeof to->advice);
    return copy_text(&to->language, from->language) && copy_text(&to->consent, from->consent) &&
           copy_text(&to->description, from->description) && copy_text(&to->media_type, from->media_type);
}

static void tell(const scan *s, const char *format, ...) F5_PRINTF(2, 3);

static void tell(const scan *s, const char *format, ...) {
    char message[768];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (s->tell) s->tell(s->user, message);
}

/* Reads a voice that is new or changed; what is wrong with it is told. */
static void read_voice(const scan *s, listed_voice *v) {
    f5_error why = {0};
    f5_status status = voice_name_check(v->name, &why);
    if (status != F5_OK) {
        tell(s, "%.300s: is left out: %s", v->path, why.message);
        return;
    }
    status = strcmp(v->ending, VOICE_FILE_ENDING) == 0 ? voice_file_read(&v->voice, v->path, &why)
                                                       : voice_read_pair(&v->voice, v->path, v->ending, &why);
    v->good = status == F5_OK;
    if (!v->good) tell(s, "%s; this voice is left out", why.message);
}

static int64_t sample_bytes(const listed_voice *v) {
    const recording *r = v->voice.recording;
    return r->n_frames * r->channels * (int64_t)sizeof(float);
}

/* Fills the voices of a list: from the old one, or from their files. */
static f5_status fill_list(scan *s, const voice_list *old, int64_t max_bytes, f5_error *error) {
    int64_t total = 0;
    const listed_voice *before = NULL; /* the last good one */
    for (int i = 0; i < s->list->n; i++) {
        listed_voice *v = &s->list->voice[i];
        const listed_voice *known = same_voice(old, v);
        v->taken = before && voice_name_is(before->name, v->name);
        if (v->taken) {
            bool told = (known && known->taken) || (v->origin == VOICES_SHIPPED && before->origin != VOICES_SHIPPED);
            if (!told) tell(s, "%.300s: is left out: %.300s has that name", v->path, before->path);
            continue;
        }
        if (known && known->good) {
            v->good = copy_voice(&v->voice, &known->voice);
            if (!v->good) return f5_fail(error, F5_E_MEMORY, "no memory for a voice");
        } else if (!known || known->taken) {
            read_voice(s, v);
        }
        if (v->good && sample_bytes(v) > max_bytes - total) {
            tell(s, "%.300s: is left out: all voices together would take more than %lld MB", v->path,
                 (long long)(max_bytes >> 20));
            voice_file_free(&v->voice);
            v->good = false;
        }
        if (v->good) {
            total += sample_bytes(v);
            before = v;
        }
    }
    if (s->too_many) tell(s, "more than %d voices: the rest is left out", VOICE_LIST_MAX);
    return F5_OK;
}

f5_status voice_list_scan(voice_list **fresh, const voice_list *old, const voice_folder *folders, int n_folders,
                          int64_t max_bytes, voice_tell_fn tell_fn, void *user, f5_error *error) {
    *fresh = NULL;
    scan s = {.list = calloc(1, sizeof *s.list), .tell = tell_fn, .user = user};
    if (!s.list) return f5_fail(error, F5_E_MEMORY, "no memory for the names of voices");
    f5_status status = F5_OK;
    for (int i = 0; i < n_folders && status == F5_OK; i++) status = add_folder(&s, &folders[i], error);
    if (status == F5_OK && s.list->n > 0)
        qsort(s.list->voice, (size_t)s.list->n, sizeof *s.list->voice, compare_voices);
    bool changed = status == F5_OK && !lists_equal(old, s.list);
    if (changed) status = fill_list(&s, old, max_bytes, error);
    if (changed && status == F5_OK)
        *fresh = s.list;
    else
        voice_list_free(s.list);
    return status;
}
