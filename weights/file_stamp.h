/* file_stamp.h — was a file that is mapped written to? Its pages show what another process writes into it, and are gone
 * when one truncates it. One that is replaced by a rename stays as it was. */
#ifndef F5_FILE_STAMP_H
#define F5_FILE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct {
    int fd; /* the file, open; the holder closes it */
    int64_t bytes, seconds, nanoseconds;
} file_stamp;

static inline file_stamp file_stamp_of(int fd, const struct stat *info) {
    return (file_stamp){fd, info->st_size, info->st_mtim.tv_sec, info->st_mtim.tv_nsec};
}

/* Costs one fstat. */
static inline bool file_stamp_changed(const file_stamp *s) {
    struct stat now;
    if (fstat(s->fd, &now) != 0) return false;
    file_stamp other = file_stamp_of(s->fd, &now);
    return other.bytes != s->bytes || other.seconds != s->seconds || other.nanoseconds != s->nanoseconds;
}

#endif
