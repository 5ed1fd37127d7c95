/* shipped.h — what comes with the program: a small trained voice (flite.f5) and recordings to clone (NAME.wav, and
 * NAME.txt with the words). They lie in one folder, found from where the program lies, so that a build folder and an
 * installation anywhere work alike; else where it was configured to be installed. */
#ifndef F5_SHIPPED_H
#define F5_SHIPPED_H

#include "kernels/error.h"

#define SHIPPED_MODEL "flite.f5"
#define SHIPPED_VOICE "slt"

/* *path receives the path of the shipped file stem + ending, to be freed. F5_E_IO names the places looked at. */
f5_status shipped_file(const char *stem, const char *ending, char **path, f5_error *error);

#endif
