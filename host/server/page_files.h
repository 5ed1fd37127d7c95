/* page_files.h — the files of host/server/page, as cmake/embed.cmake puts them into the program. */
#ifndef F5_SERVER_PAGE_FILES_H
#define F5_SERVER_PAGE_FILES_H

#include <stddef.h>

typedef struct {
    const char *path, *type; /* "/page.css", "text/css; charset=utf-8"; of index.html it is "/" */
    const char *tag;         /* for ETag, quotes and all */
    const unsigned char *bytes;
    size_t n; /* of them */
} page_file;

extern const page_file page_files[]; /* [page_file_count] in the order of their paths */
extern const int page_file_count;

#endif
