/* ops_ref.c — the op table over the plain C references: the CPU backend. */
#include <stdio.h>
#include <string.h>

#include "runtime/ops/ops.h"

void ops_call_name(const ops *o, const char *label, char *text, size_t bytes) {
    const char *stage = o->stage ? o->stage : "?";
    if (o->index >= 0)
        snprintf(text, bytes, "%s.%d.%s", stage, o->index, label);
    else
        snprintf(text, bytes, "%s.%s", stage, label);
}

#define DEFINE_REF(name)                                                                                               \
    static f5_status name##_on_cpu(ops *o, const char *label, const name##_args *a) {                                  \
        cpu_context *c = &((ops_ref *)o)->context;                                                                     \
        f5_status status = c->ops->name(c, a);                                                                         \
        if (status != F5_OK) ops_call_name(o, label, o->failure, sizeof o->failure);                                   \
        return status;                                                                                                 \
    }
OPS_LIST(DEFINE_REF)

static f5_status copy_on_cpu(ops *o, void *to, const void *from, size_t bytes) {
    (void)o;
    if (bytes > 0) memcpy(to, from, bytes);
    return F5_OK;
}

static f5_status graph_on_cpu(ops *o, const uint8_t *key, ops_body body, void *user) {
    (void)o, (void)key;
    return body(user);
}

static f5_status finish_on_cpu(ops *o) {
    (void)o;
    return F5_OK;
}

void ops_ref_init(ops_ref *r) {
    r->ops = (ops){
#define ENTRY(name) .name = name##_on_cpu,
        OPS_LIST(ENTRY)
#undef ENTRY
            .copy_in = copy_on_cpu,
        .copy_out = copy_on_cpu,
        .copy_within = copy_on_cpu,
        .graph = graph_on_cpu,
        .finish = finish_on_cpu,
        .index = -1,
    };
}
