/* yaml_tree.h — a small YAML file as a flat list of "path.of.keys" = scalar. Items of a list are "path[0]".
 *
 * Limits: TREE_MAX_*. Aliases, tags, duplicate keys and several documents are refused: upstream uses none. */
#ifndef F5_YAML_TREE_H
#define F5_YAML_TREE_H

#include "host/api/f5tts.h"

#define TREE_MAX_BYTES (256 << 10)
#define TREE_MAX_NODES 4096
#define TREE_MAX_DEPTH 16
#define TREE_MAX_PATH 256

typedef struct {
    f5_setting
        *setting; /* [count] in file order; paths hold no control bytes, and no text a NUL. Owned, text included */
    int count;
    const char *file; /* for messages */
} yaml_tree;

/* Errors: F5_E_IO, F5_E_FORMAT, F5_E_UNSUPPORTED, F5_E_MEMORY; nothing is held then. file must outlive the tree. */
f5_status yaml_tree_read(yaml_tree *tree, const char *file, f5_error *error);
void yaml_tree_free(yaml_tree *tree);

#endif
