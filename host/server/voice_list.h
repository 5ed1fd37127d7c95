/* voice_list.h — the voices that lie in some folders, as one scan found them: a new list where anything changed, made
 * of what the old one holds already and what had to be read. Any thread. */
#ifndef F5_SERVER_VOICE_LIST_H
#define F5_SERVER_VOICE_LIST_H

#include "host/server/voice_file.h"

#define VOICE_LIST_MAX 4096 /* voices of all folders */

typedef enum { VOICES_OF_FOLDER, VOICES_UPLOADED, VOICES_SHIPPED } voice_origin;

typedef struct {
    const char *path;
    voice_origin origin;
} voice_folder;

typedef struct {
    int64_t bytes, seconds, nanoseconds; /* length and time of the last change */
    uint64_t inode;
} file_stamp;

typedef struct {
    char name[VOICE_MAX_NAME + 1];
    char *path;         /* of the recording, or of the one file */
    const char *ending; /* of the path: ".wav", VOICE_FILE_ENDING */
    voice_origin origin;
    file_stamp sound, words; /* words: of the text file; zero where there is none */
    bool good, taken;        /* taken: a voice before it in the list has its name */
    voice_file voice;        /* where it is good */
} listed_voice;

/* Sorted by name without case; of one name, the folder's before the uploaded one before the shipped one. */
typedef struct {
    listed_voice *voice; /* [n] also those that are not good, so that each is told once */
    int n;
} voice_list;

/* Looks at the folders, which may be the same. *fresh is NULL where nothing changed since `old` (NULL: everything has
 * changed), else a list to be freed. What cannot be used is told, a line each, and left out. F5_E_IO: a folder cannot
 * be read. max_bytes: of all samples. */
typedef void (*voice_tell_fn)(void *user, const char *message);
f5_status voice_list_scan(voice_list **fresh, const voice_list *old, const voice_folder *folders, int n_folders,
                          int64_t max_bytes, voice_tell_fn tell, void *user, f5_error *error);
void voice_list_free(voice_list *list); /* NULL is fine */

/* The good voice of that name, or NULL. The list may be NULL. */
const listed_voice *voice_list_find(const voice_list *list, const char *name);

#endif
