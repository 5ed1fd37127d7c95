/* multipart.h — a body of multipart/form-data, bit by bit: bytes in, parts out (RFC 7578 within RFC 2046).
 *
 * The body may be cut anywhere. Nothing is allocated and nothing is kept but a part's head. It is stricter than the
 * RFCs where leniency lets two readers see two bodies: lines end with CRLF, nothing but one CRLF stands before the
 * first boundary, a boundary's line holds the boundary alone, headers are not folded. */
#ifndef F5_MULTIPART_H
#define F5_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/error.h"

#define MULTIPART_MAX_BOUNDARY 70 /* of RFC 2046 */
#define MULTIPART_MAX_PARTS 32
#define MULTIPART_MAX_HEAD 2048 /* bytes of the headers of one part */
#define MULTIPART_MAX_HEADERS 16
#define MULTIPART_MAX_NAME 128 /* bytes of a field's or file's name, and of a media type */

/* The head of a part. Strings are UTF-8, terminated, without control characters. */
typedef struct {
    char name[MULTIPART_MAX_NAME + 1];
    char file[MULTIPART_MAX_NAME + 1]; /* "": none is named. It is the client's word and no path */
    char type[MULTIPART_MAX_NAME + 1]; /* "": none is given */
    bool is_file;                      /* a file is named, if only by "" */
} multipart_part;

/* What is called with the parts, in order: `part`, then `data` any number of times, then `end`. A status that is not
 * F5_OK ends the body with that status. */
typedef struct {
    f5_status (*part)(void *user, const multipart_part *part, f5_error *error);
    f5_status (*data)(void *user, const char *bytes, size_t n, f5_error *error);
    f5_status (*end)(void *user, f5_error *error);
    void *user;
} multipart_calls;

/* Private but for its size. */
typedef struct {
    multipart_calls calls;
    f5_status failed;
    int state;
    char delimiter[MULTIPART_MAX_BOUNDARY + 5]; /* CR LF - - boundary */
    size_t delimiter_bytes, matched;
    int parts, headers, padding;
    char head[MULTIPART_MAX_HEAD];
    size_t head_bytes, line; /* where the line that is being read begins */
    bool named;              /* the part has its Content-Disposition */
    multipart_part part;
} multipart;

/* Begins a body whose Content-Type header says content_type. F5_E_ARGUMENT: it is not multipart/form-data with a
 * boundary. */
f5_status multipart_begin(multipart *m, const char *content_type, const multipart_calls *calls, f5_error *error);

/* Reads on. F5_E_FORMAT: malformed; F5_E_UNSUPPORTED: beyond a limit above, or an encoding that RFC 7578 gave up.
 * Messages name the part. After a failure every call fails alike. */
f5_status multipart_push(multipart *m, const char *bytes, size_t n, f5_error *error);

/* The body is over: F5_E_FORMAT where its last boundary has not come. */
f5_status multipart_finish(multipart *m, f5_error *error);

#endif
