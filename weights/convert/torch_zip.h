/* torch_zip.h — the zip container of torch.save: finds entries in a mapped file, copies nothing.
 *
 * PyTorch stores every entry uncompressed as PREFIX/data.pkl, PREFIX/data/0, PREFIX/data/1, ...; PREFIX is any single
 * folder name. The central directory is the authority on offsets and sizes (local headers may leave sizes to a data
 * descriptor); zip64 is read. Every offset and size is checked against the file, and no two entries may overlap.
 * Layout: PKWARE APPNOTE.TXT 6.3, sections 4.3.7 - 4.3.16, 4.5.3. */
#ifndef F5_TORCH_ZIP_H
#define F5_TORCH_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define TORCH_ZIP_MAX_ENTRIES 262144

typedef struct {
    const char *name; /* without the prefix, not terminated; points into the file */
    uint32_t name_length;
    const uint8_t *data; /* [size] points into the file */
    uint64_t size;
    uint64_t begin; /* file offset of the local header */
} torch_zip_entry;

typedef struct {
    torch_zip_entry *entry; /* [count] sorted by name */
    size_t count;
} torch_zip;

/* True when the file begins as a zip archive does. */
bool torch_zip_is(const uint8_t *file, size_t bytes);

/* Reads the directory of the mapped file; `file` must outlive the archive. path is for messages.
 * Errors: F5_E_FORMAT, F5_E_UNSUPPORTED (compressed, encrypted, split, big-endian), F5_E_MEMORY; nothing is held then.
 */
f5_status torch_zip_open(torch_zip *zip, const uint8_t *file, size_t bytes, const char *path, f5_error *error);
void torch_zip_close(torch_zip *zip);

/* Sorts entries by name, for torch_zip_find. F5_E_FORMAT: a name is there twice. */
f5_status torch_zip_sort(torch_zip *zip, const char *path, f5_error *error);

/* The entry PREFIX/name, or NULL. */
const torch_zip_entry *torch_zip_find(const torch_zip *zip, const char *name, size_t length);

#endif
