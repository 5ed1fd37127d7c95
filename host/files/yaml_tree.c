/* yaml_tree.c — a stack of open mappings and lists follows libyaml's events and gives every node its path. */
#include "host/files/yaml_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "kernels/error.h"

/* Where the reader is: one level per open mapping or list. */
typedef struct {
    bool list;
    bool key_next;      /* of a mapping: a key is due */
    int item;           /* of a list: index of the next one */
    size_t path_length; /* of the container */
} level;

typedef struct {
    yaml_tree *tree;
    level level[TREE_MAX_DEPTH];
    int depth;
    char path[TREE_MAX_PATH]; /* of the container and, once read, of the key within */
    size_t path_length;
    f5_error *error;
} builder;

static f5_status refuse(const builder *b, f5_status status, const yaml_event_t *event, const char *what) {
    return f5_fail(b->error, status, "%s: line %zu: %s", b->tree->file, event->start_mark.line + 1, what);
}

static f5_status extend_path(builder *b, const yaml_event_t *event, const char *text, size_t length) {
    if (length >= sizeof b->path - b->path_length) return refuse(b, F5_E_UNSUPPORTED, event, "keys nested too long");
    memcpy(b->path + b->path_length, text, length);
    b->path_length += length;
    b->path[b->path_length] = '\0';
    return F5_OK;
}

/* At most 80 bytes of a name, fit for a one-line message: bytes that are not printable ASCII become '?'. */
typedef struct {
    char text[84];
} shown_name;

static shown_name show(const char *name) {
    shown_name s;
    snprintf(s.text, sizeof s.text, "%.80s%s", name, strlen(name) > 80 ? "..." : "");
    for (char *c = s.text; *c; c++)
        if (*c < 0x20 || *c > 0x7e) *c = '?';
    return s;
}

static bool holds(const yaml_tree *tree, const char *path) {
    for (int i = 0; i < tree->count; i++)
        if (strcmp(tree->setting[i].path, path) == 0) return true;
    return false;
}

static f5_status enter_key(builder *b, const yaml_event_t *event) {
    const char *key = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    level *l = &b->level[b->depth - 1];
    b->path_length = l->path_length;
    if (memchr(key, '\0', length)) return refuse(b, F5_E_FORMAT, event, "a key with a NUL byte");
    if (b->path_length) F5_TRY(extend_path(b, event, ".", 1));
    F5_TRY(extend_path(b, event, key, length));
    if (holds(b->tree, b->path))
        return f5_fail(b->error, F5_E_FORMAT, "%s: line %zu: key '%s' is there twice", b->tree->file,
                       event->start_mark.line + 1, show(b->path).text);
    l->key_next = false;
    return F5_OK;
}

/* A value begins: the path of a list item is made here, that of a mapping's value was made by its key. */
static f5_status add_node(builder *b, const yaml_event_t *event, const char *value, size_t length, bool quoted) {
    level *l = b->depth ? &b->level[b->depth - 1] : NULL;
    if (l && l->list) {
        char index[16];
        int digits = snprintf(index, sizeof index, "[%d]", l->item++);
        b->path_length = l->path_length;
        F5_TRY(extend_path(b, event, index, (size_t)digits));
    }
    if (l && !l->list) l->key_next = true;
    yaml_tree *tree = b->tree;
    if (tree->count == TREE_MAX_NODES)
        return refuse(b, F5_E_UNSUPPORTED, event, "more values than a configuration has");
    if (value && memchr(value, '\0', length)) return refuse(b, F5_E_FORMAT, event, "a value with a NUL byte");
    f5_setting *node = &tree->setting[tree->count];
    *node = (f5_setting){.path = strdup(b->path), .value = value ? strndup(value, length) : NULL, .quoted = quoted};
    tree->count++;
    if (!node->path || (value && !node->value)) return refuse(b, F5_E_MEMORY, event, "out of memory");
    return F5_OK;
}

static f5_status open_container(builder *b, const yaml_event_t *event, bool list) {
    if (b->depth && !b->level[b->depth - 1].list && b->level[b->depth - 1].key_next)
        return refuse(b, F5_E_UNSUPPORTED, event, "a key that is not a plain string");
    if (b->depth == TREE_MAX_DEPTH) return refuse(b, F5_E_UNSUPPORTED, event, "nested too deep");
    F5_TRY(add_node(b, event, NULL, 0, false));
    b->level[b->depth++] = (level){.list = list, .key_next = !list, .path_length = b->path_length};
    return F5_OK;
}

static f5_status take_event(builder *b, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.tag && strcmp((const char *)event->data.scalar.tag, "!") != 0)
            return refuse(b, F5_E_UNSUPPORTED, event, "a tagged value; write it plainly");
        if (b->depth && !b->level[b->depth - 1].list && b->level[b->depth - 1].key_next) return enter_key(b, event);
        return add_node(b, event, (const char *)event->data.scalar.value, event->data.scalar.length,
                        event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE);
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.tag) return refuse(b, F5_E_UNSUPPORTED, event, "a tagged mapping");
        return open_container(b, event, false);
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.tag) return refuse(b, F5_E_UNSUPPORTED, event, "a tagged list");
        return open_container(b, event, true);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return F5_OK;
    case YAML_ALIAS_EVENT:
        return refuse(b, F5_E_UNSUPPORTED, event, "an alias (*name); write the value out");
    default:
        return F5_OK;
    }
}

static f5_status parse_all(builder *b, yaml_parser_t *parser) {
    int documents = 0;
    for (bool done = false; !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return f5_fail(b->error, parser->error == YAML_MEMORY_ERROR ? F5_E_MEMORY : F5_E_FORMAT,
                           "%s: not YAML at line %zu: %s", b->tree->file, parser->problem_mark.line + 1,
                           parser->problem ? parser->problem : "out of memory");
        f5_status status = take_event(b, &event);
        if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            status = refuse(b, F5_E_UNSUPPORTED, &event, "more than one document");
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (status != F5_OK) return status;
    }
    return F5_OK;
}

/* The whole file, terminated; the caller frees *text. */
static f5_status read_all(int file, const char *path, char **text, size_t *bytes, f5_error *error) {
    struct stat info;
    if (fstat(file, &info) != 0) return f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return f5_fail(error, F5_E_IO, "%s: not a regular file", path);
    if (info.st_size > TREE_MAX_BYTES)
        return f5_fail(error, F5_E_FORMAT,
                       "%s: %lld bytes are more than such a file has (limit %d); is it the right one?", path,
                       (long long)info.st_size, TREE_MAX_BYTES);
    *text = malloc((size_t)info.st_size + 1);
    if (!*text) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    for (*bytes = 0; *bytes < (size_t)info.st_size;) {
        ssize_t n = read(file, *text + *bytes, (size_t)info.st_size - *bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            free(*text);
            return f5_fail(error, F5_E_IO, "%s: %s", path, n < 0 ? strerror(errno) : "got shorter while being read");
        }
        *bytes += (size_t)n;
    }
    (*text)[*bytes] = '\0';
    return F5_OK;
}

static f5_status read_file(const char *path, char **text, size_t *bytes, f5_error *error) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* never waits on a pipe */
    if (file < 0) return f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
    f5_status status = read_all(file, path, text, bytes, error);
    close(file);
    return status;
}

f5_status yaml_tree_read(yaml_tree *tree, const char *file, f5_error *error) {
    *tree = (yaml_tree){.file = file};
    char *text = NULL;
    size_t bytes = 0;
    F5_TRY(read_file(file, &text, &bytes, error));
    builder b = {.tree = tree, .error = error};
    yaml_parser_t parser;
    f5_status status = F5_OK;
    tree->setting = calloc(TREE_MAX_NODES, sizeof *tree->setting);
    if (!tree->setting || !yaml_parser_initialize(&parser)) {
        status = f5_fail(error, F5_E_MEMORY, "%s: out of memory", file);
    } else {
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
        status = parse_all(&b, &parser);
        yaml_parser_delete(&parser);
    }
    free(text);
    if (status != F5_OK) yaml_tree_free(tree);
    return status;
}

void yaml_tree_free(yaml_tree *tree) {
    for (int i = 0; i < tree->count; i++) {
        free((char *)tree->setting[i].path);
        free((char *)tree->setting[i].value);
    }
    free(tree->setting);
    *tree = (yaml_tree){0};
}
