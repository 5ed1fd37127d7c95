/* torch_legacy.h — the container of torch.save before torch 1.6, and of _use_new_zipfile_serialization=False: pickles
 * and numbers one after another, without a directory.
 *
 *   pickles  a magic number; the protocol, 1001; a dict about the machine; the object; a list of storage keys
 *   data     of each storage in the order of that list: elements as int64, then the elements
 * The pickles are read by torch_pickle.h, which executes nothing. Layout: torch/serialization.py, _legacy_save. */
#ifndef F5_TORCH_LEGACY_H
#define F5_TORCH_LEGACY_H

#include "weights/convert/torch_pickle.h"
#include "weights/convert/torch_zip.h"

/* True when the file begins as such a file does. */
bool torch_legacy_is(const uint8_t *file, size_t bytes);

/* Finds the storages in the mapped file, which must outlive both results: as if they were entries of an archive, each
 * under its key. Both are the caller's to free, on failure too. Errors: F5_E_FORMAT, F5_E_UNSUPPORTED, F5_E_MEMORY. */
f5_status torch_legacy_open(torch_zip *storages, torch_pickle **object, const uint8_t *file, size_t bytes,
                            const char *path, f5_error *error);

#endif
