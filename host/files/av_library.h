/* av_library.h — FFmpeg's libraries are loaded when they are needed. A file that calls them lists its functions once,
 * as AV_CALLS(X) with X(library, function); from the list come a struct of pointers and what fills it:
 *
 *     typedef struct {
 *         AV_CALLS(AV_DECLARE)
 *     } av_calls;
 *     ... AV_CALLS(AV_FIND) ...   in a function that returns bool, where av is the struct's address and each library a
 *                                 handle of that name; one that is not found ends it with false */
#ifndef F5_AV_LIBRARY_H
#define F5_AV_LIBRARY_H

#include <dlfcn.h>
#include <libavutil/macros.h>
#include <string.h>

/* "libavcodec.so.59": the version that the program was compiled with */
#define AV_LIBRARY(name, major) "lib" name ".so." AV_STRINGIFY(major)

#define AV_DECLARE(library, function) __typeof__(&function) function;

#define AV_FIND(library, function)                                                                                     \
    {                                                                                                                  \
        void *found = dlsym(library, #function);                                                                       \
        if (!found) return false;                                                                                      \
        memcpy(&av->function, &found, sizeof found);                                                                   \
    }

/* It stays loaded: the next call finds it there. NULL: it is not here. */
static inline void *av_library_open(const char *file) {
    return dlopen(file, RTLD_NOW | RTLD_LOCAL);
}

#endif
