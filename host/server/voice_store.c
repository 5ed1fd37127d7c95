/* voice_store.c — the list that a scan found, and the jobs that change folders: an upload or a removal changes the disk
 * first, and is done when a scan that began after it has been taken over. So there is one way in which voices come and
 * go, whoever wrote the file. */
#include "host/server/voice_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "host/files/output_file.h"
#include "host/server/voice_list.h"
#include "host/server/voice_watch.h"
#include "host/server/work_group.h"

#define RETRY_SECONDS 0.5
#define FOLDERS 3

/* Something that is done in the background; all of them are in a list, so that the store can wait for them. */
typedef struct job {
    struct job *next;
    voice_store *store;
    bool is_add, written;
    char name[VOICE_MAX_NAME + 1];
    char *path, *transcript;
    int fd;
    voice_file voice; /* what is known of an upload, later its recording too */
    voice_done_fn done;
    void *user;
    f5_status status;
    f5_error error;
} job;

struct voice_store {
    loop *loop;
    const server_options *options;
    voice_folder folder[FOLDERS]; /* [n_folders] */
    int n_folders;
    voice_list *list;
    voice_entry *entry; /* [n_entries] the good ones of the list */
    int n_entries;
    voice_watch *watch;
    loop_timer *retry;
    job *jobs;            /* add and remove, until they are told */
    bool scanning, again; /* again: something changed since the scan began */
    job scan;
    voice_list *fresh; /* what the scan that is under way found */
    char told[512];    /* the last complaint about a folder */
    work_group working;
};

static void tell(void *user, const char *message) {
    (void)user;
    fprintf(stderr, "f5tts serve: %s\n", message);
}

/* ---- lookups ----------------------------------------------------------------------------------------------------- */

int voice_store_count(const voice_store *s) {
    return s->n_entries;
}

const voice_entry *voice_store_at(const voice_store *s, int i) {
    return i >= 0 && i < s->n_entries ? &s->entry[i] : NULL;
}

static const voice_entry *find_entry(const voice_store *s, const char *name) {
    int low = 0, high = s->n_entries;
    while (low < high) {
        int middle = (low + high) / 2;
        if (strcasecmp(s->entry[middle].id, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->n_entries && voice_name_is(s->entry[low].id, name) ? &s->entry[low] : NULL;
}

const voice_entry *voice_store_find(const voice_store *s, const char *name) {
    const server_options *o = s->options;
    if (!name || !*name) return o->default_voice ? find_entry(s, o->default_voice) : voice_store_at(s, 0);
    const voice_entry *e = find_entry(s, name);
    for (int32_t i = 0; !e && i < o->n_alias; i++) {
        const char *is = strchr(o->alias[i], '=');
        if (!is || strlen(name) != (size_t)(is - o->alias[i]) || strncasecmp(o->alias[i], name, strlen(name)) != 0)
            continue;
        e = find_entry(s, is + 1);
    }
    return e;
}

/* One file in the folder of uploads, whoever put it there; a recording beside its words is none. */
static bool is_uploaded(const listed_voice *v) {
    return v->origin == VOICES_UPLOADED && strcmp(v->ending, VOICE_FILE_ENDING) == 0;
}

/* Makes the entries of a list. */
static f5_status make_entries(const voice_list *list, voice_entry **entry, int *n, f5_error *error) {
    static const char *const kinds[] = {"folder", "uploaded", "shipped"};
    *n = 0;
    *entry = malloc((size_t)(list->n + 1) * sizeof **entry);
    if (!*entry) return f5_fail(error, F5_E_MEMORY, "no memory for %d voices", list->n);
    for (int i = 0; i < list->n; i++) {
        const listed_voice *v = &list->voice[i];
        const char *language = v->voice.language ? v->voice.language : v->origin == VOICES_SHIPPED ? "en" : "";
        voice_origin kind = is_uploaded(v)                ? VOICES_UPLOADED
                            : v->origin == VOICES_SHIPPED ? VOICES_SHIPPED
                                                          : VOICES_OF_FOLDER;
        if (v->good) (*entry)[(*n)++] = (voice_entry){v->name, language, kinds[kind], v->voice.recording, &v->voice};
    }
    return F5_OK;
}

/* ---- scans ------------------------------------------------------------------------------------------------------- */

static void free_job(job *j) {
    voice_file_free(&j->voice);
    if (j->fd >= 0) close(j->fd);
    free(j->path);
    free(j->transcript);
    free(j);
}

static void scan_folders(void *user) {
    voice_store *s = user;
    s->scan.status =
        voice_list_scan(&s->fresh, s->list, s->folder, s->n_folders, VOICE_STORE_MAX_BYTES, tell, NULL, &s->scan.error);
    work_group_add(&s->working, -1);
}

/* As loop_background; voice_store_free waits for the work. */
static f5_status in_background(voice_store *s, loop_fn work, loop_fn done, void *user, f5_error *error) {
    work_group_add(&s->working, 1);
    f5_status status = loop_background(s->loop, work, done, user, error);
    if (status != F5_OK) work_group_add(&s->working, -1);
    return status;
}

static void start_scan(voice_store *s);

/* Tells a job's end and forgets it. */
static void end_job(voice_store *s, job *j) {
    job **at = &s->jobs;
    while (*at != j) at = &(*at)->next;
    *at = j->next;
    j->done(j->user, j->status, j->error.message);
    free_job(j);
}

/* Those whose change was on the disk when the scan began are done. */
static void end_written(voice_store *s) {
    for (job *j = s->jobs, *next; j; j = next) {
        next = j->next;
        if (!j->written) continue;
        if (j->is_add && j->status == F5_OK && !voice_list_find(s->list, j->name))
            j->status = f5_fail(&j->error, F5_E_IO, "voice %s: was written, and could not be read again", j->name);
        end_job(s, j);
    }
}

static void take_scan(void *user) {
    voice_store *s = user;
    voice_entry *entry = NULL;
    int n;
    f5_status status = s->scan.status;
    if (status == F5_OK && s->fresh) status = make_entries(s->fresh, &entry, &n, &s->scan.error);
    if (status == F5_OK && s->fresh) {
        voice_list_free(s->list);
        free(s->entry);
        s->list = s->fresh;
        s->entry = entry;
        s->n_entries = n;
    } else {
        voice_list_free(s->fresh);
    }
    s->fresh = NULL;
    if (status != F5_OK && strcmp(s->told, s->scan.error.message) != 0) tell(NULL, s->scan.error.message);
    snprintf(s->told, sizeof s->told, "%s", status == F5_OK ? "" : s->scan.error.message);
    s->scanning = false;
    if (s->again)
        start_scan(s);
    else
        end_written(s);
}

static void start_scan(voice_store *s) {
    if (s->options->one_voice) return;
    s->again = s->scanning;
    if (s->scanning) return;
    s->scan = (job){.store = s, .fd = -1};
    s->scanning = in_background(s, scan_folders, take_scan, s, NULL) == F5_OK;
    if (!s->scanning) loop_timer_set(s->retry, RETRY_SECONDS);
}

static void rescan(void *user) {
    start_scan(user);
}

void voice_store_reload(voice_store *s) {
    start_scan(s);
}

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

/* Where uploads are kept; NULL: nowhere. */
static const char *upload_folder(const server_options *o) {
    return o->upload_dir ? o->upload_dir : o->voice_dir;
}

bool voice_store_keeps(const voice_store *s) {
    return upload_folder(s->options) != NULL;
}

static void write_upload(void *user) {
    job *j = user;
    char copied[32];
    snprintf(copied, sizeof copied, "/proc/self/fd/%d", j->fd);
    j->status = voice_read_recording(&j->voice, copied, "the recording", j->transcript, VOICE_MAX_SECONDS, &j->error);
    j->voice.created_at = (int64_t)time(NULL);
    if (j->status == F5_OK) j->status = voice_file_write(&j->voice, j->path, &j->error);
    work_group_add(&j->store->working, -1);
}

static void remove_upload(void *user) {
    job *j = user;
    if (unlink(j->path) != 0 && errno != ENOENT)
        j->status = f5_fail(&j->error, F5_E_IO, "voice %s: cannot be removed: %s", j->name, strerror(errno));
    work_group_add(&j->store->working, -1);
}

/* The change is on the disk, or failed. */
static void take_change(void *user) {
    job *j = user;
    if (j->status != F5_OK) {
        end_job(j->store, j);
    } else {
        j->written = true;
        start_scan(j->store);
    }
}

static f5_status out_of_memory(f5_error *error) {
    return f5_fail(error, F5_E_MEMORY, "no memory for a voice");
}

static f5_status start_job(voice_store *s, job *j, f5_error *error) {
    j->next = s->jobs;
    s->jobs = j;
    f5_status status = in_background(s, j->is_add ? write_upload : remove_upload, take_change, j, error);
    if (status != F5_OK) s->jobs = j->next;
    return status;
}

/* path: of the voice's file; NULL: as the folder of uploads has it. */
static job *make_job(voice_store *s, const char *name, const char *path, voice_done_fn done, void *user) {
    const char *folder = upload_folder(s->options);
    size_t room = strlen(folder) + strlen(name) + sizeof VOICE_FILE_ENDING + 1;
    job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    *j = (job){.store = s, .fd = -1, .done = done, .user = user, .path = path ? strdup(path) : malloc(room)};
    snprintf(j->name, sizeof j->name, "%s", name);
    if (j->path && !path) snprintf(j->path, room, "%s/%s" VOICE_FILE_ENDING, folder, name);
    if (j->path) return j;
    free_job(j);
    return NULL;
}

static bool copy_text(char **to, const char *from) {
    *to = from && *from ? strdup(from) : NULL;
    return *to || !from || !*from;
}

/* Is there room for one more, and is its name free? */
static f5_status check_upload(const voice_store *s, const voice_upload *u, f5_error *error) {
    if (!voice_store_keeps(s))
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "this server keeps no voices: it was started without --voice-dir; a recording can be sent with "
                       "the text as ref_audio and ref_text");
    F5_TRY(voice_name_check(u->name, error));
    int kept = 0, pending = 0;
    for (int i = 0; i < s->n_entries; i++) kept += strcmp(s->entry[i].kind, "uploaded") == 0;
    bool taken = voice_store_find(s, u->name) != NULL;
    for (const job *j = s->jobs; j; j = j->next) {
        pending += j->is_add;
        taken |= j->is_add && voice_name_is(j->name, u->name);
    }
    if (taken) return f5_fail(error, F5_E_ARGUMENT, "voice %s: there is one of that name already", u->name);
    if (kept + pending >= VOICE_STORE_MAX_UPLOADS)
        return f5_fail(error, F5_E_UNSUPPORTED, "there are %d uploaded voices, which is the most: delete one first",
                       kept);
    if (pending >= VOICE_STORE_MAX_PENDING)
        return f5_fail(error, F5_E_LIMIT, "%d voices are being taken in: try again in a second", pending);
    return F5_OK;
}

f5_status voice_store_add(voice_store *s, const voice_upload *u, voice_done_fn done, void *user, f5_error *error) {
    f5_status status = check_upload(s, u, error);
    job *j = status == F5_OK ? make_job(s, u->name, NULL, done, user) : NULL;
    if (!j) {
        close(u->fd);
        return status == F5_OK ? out_of_memory(error) : status;
    }
    j->is_add = true;
    j->fd = u->fd;
    bool copied = copy_text(&j->transcript, u->transcript) && copy_text(&j->voice.language, u->language) &&
                  copy_text(&j->voice.consent, u->consent) && copy_text(&j->voice.description, u->description) &&
                  copy_text(&j->voice.media_type, u->media_type);
    status = copied ? start_job(s, j, error) : out_of_memory(error);
    if (status != F5_OK) free_job(j);
    return status;
}

f5_status voice_store_remove(voice_store *s, const char *name, voice_done_fn done, void *user, f5_error *error) {
    const listed_voice *v = voice_list_find(s->list, name);
    if (v && s->options->one_voice)
        return f5_fail(error, F5_E_ARGUMENT, "voice %s: is the model's own: it cannot be removed", name);
    if (!v || !is_uploaded(v))
        return f5_fail(error, F5_E_ARGUMENT,
                       v ? "voice %s: is a recording in the server's folder, not an uploaded voice: it can be removed "
                           "there alone"
                         : "voice %s: there is none of that name",
                       name);
    job *j = make_job(s, v->name, v->path, done, user);
    if (!j) return out_of_memory(error);
    f5_status status = start_job(s, j, error);
    if (status != F5_OK) free_job(j);
    return status;
}

/* ---- the store --------------------------------------------------------------------------------------------------- */

static f5_status find_folders(voice_store *s, f5_error *error) {
    const server_options *o = s->options;
    const char *uploads = upload_folder(o);
    if (uploads) {
        char inside[OUTPUT_MAX_PATH];
        snprintf(inside, sizeof inside, "%s/x", uploads);
        F5_TRY(output_make_folder(inside, error));
        s->folder[s->n_folders++] = (voice_folder){uploads, VOICES_UPLOADED};
    }
    if (o->voice_dir && strcmp(o->voice_dir, uploads) != 0)
        s->folder[s->n_folders++] = (voice_folder){o->voice_dir, VOICES_OF_FOLDER};
    if (o->shipped_voices) s->folder[s->n_folders++] = (voice_folder){o->shipped_voices, VOICES_SHIPPED};
    return F5_OK;
}

/* The list of a model with one voice of its own: that, under the name of the default one, without a sound. */
static f5_status make_own_voice(voice_store *s, f5_error *error) {
    s->list = calloc(1, sizeof *s->list);
    listed_voice *v = s->list ? calloc(1, sizeof *v) : NULL;
    if (!v) return out_of_memory(error);
    s->list->voice = v;
    s->list->n = 1;
    v->origin = VOICES_SHIPPED;
    F5_TRY(voice_name_check(s->options->default_voice, error));
    snprintf(v->name, sizeof v->name, "%s", s->options->default_voice);
    F5_TRY(recording_make(&v->voice.recording, NULL, 0, 1, s->options->sound_rate, "", error));
    v->good = true;
    return F5_OK;
}

f5_status voice_store_new(voice_store **made, loop *l, const server_options *options, f5_error *error) {
    voice_store *s = calloc(1, sizeof *s);
    *made = NULL;
    if (!s) return out_of_memory(error);
    s->loop = l;
    s->options = options;
    work_group_init(&s->working);
    f5_status status = options->one_voice ? make_own_voice(s, error) : find_folders(s, error);
    if (status == F5_OK && !options->one_voice)
        status = voice_list_scan(&s->list, NULL, s->folder, s->n_folders, VOICE_STORE_MAX_BYTES, tell, NULL, error);
    if (status == F5_OK) status = make_entries(s->list, &s->entry, &s->n_entries, error);
    if (status == F5_OK) {
        s->retry = loop_timer_new(l, rescan, s);
        s->watch = voice_watch_new(l, s->folder, s->n_folders, rescan, s);
        if (!s->retry || !s->watch) status = out_of_memory(error);
    }
    if (status != F5_OK) {
        voice_store_free(s);
        return status;
    }
    *made = s;
    return F5_OK;
}

void voice_store_free(voice_store *s) {
    if (!s) return;
    work_group_end(&s->working);
    while (s->jobs) {
        s->jobs->status = f5_fail(&s->jobs->error, F5_E_CANCELLED, "the server ends");
        end_job(s, s->jobs);
    }
    voice_watch_free(s->watch);
    loop_timer_free(s->retry);
    voice_list_free(s->fresh);
    voice_list_free(s->list);
    free(s->entry);
    free(s);
}
