/* shipped.h — what comes with the program: a small trained voice (natural.f5) and recordings to clone (NAME.wav, and
 * NAME.txt with the words) in the folder voices, the tables for Chinese in the folder text. The folders are found from
 * where the program lies, so that a build folder and an installation anywhere work alike; else where they were
 * configured to be installed. */
#ifndef F5_SHIPPED_H
#define F5_SHIPPED_H

#include <stdbool.h>

#include "kernels/error.h"

#define SHIPPED_VOICES "voices"
#define SHIPPED_MODEL "natural.f5"
#define SHIPPED_VOICE "heart"
#define SHIPPED_TEXT "text"
#define SHIPPED_PINYIN "pinyin.bin"
#define SHIPPED_VOCAB "vocab.txt" /* of upstream's models */

/* *path receives the path of the shipped file folder/stem + ending, to be freed. F5_E_IO names the places looked at. */
f5_status shipped_file(const char *folder, const char *stem, const char *ending, char **path, f5_error *error);

/* Calls `each` with the stem of every file in a folder that has the ending. false: the folder cannot be read. */
bool each_stem(const char *path, const char *ending, void (*each)(void *user, const char *stem), void *user);

/* The same of a folder of shipped files, if it is there. */
void shipped_each(const char *folder, const char *ending, void (*each)(void *user, const char *stem), void *user);

#endif
