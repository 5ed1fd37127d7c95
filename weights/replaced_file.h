/* replaced_file.h — a file that will take another's place gets its owner and permissions. */
#ifndef F5_REPLACED_FILE_H
#define F5_REPLACED_FILE_H

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* Gives the file that is open as `fd` what the `old` one has. Nobody may read it then who might not read that: only
 * root may give a file away, and where the group is another, it may what others may. A file system that keeps no
 * permissions gives all files the same, which will do. False, with errno: the file is for more eyes than the old one.
 */
static inline bool file_made_like(int fd, const struct stat *old) {
    struct stat now;
    mode_t mode = old->st_mode & 0777;
    if (fchown(fd, old->st_uid, old->st_gid) != 0 && fchown(fd, (uid_t)-1, old->st_gid) != 0) errno = 0;
    if (fstat(fd, &now) != 0) return false;
    if (now.st_gid != old->st_gid) mode &= ~(mode_t)070 | (mode & 07) << 3;
    return fchmod(fd, mode) == 0 || (now.st_mode & 0777 & ~mode) == 0;
}

#endif
