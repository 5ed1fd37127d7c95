/* op_list.h — every op, once. From this list come the op tables of the runtime, the prototypes below and those of the
 * CUDA twins, the sources that CMake compiles, and the ops that tests and bench know. An op NAME is kernels/NAME.h, .c
 * and .cu (kernels/README.md). */
#ifndef F5_OP_LIST_H
#define F5_OP_LIST_H

#include "kernels/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OPS_LIST(X)                                                                                                    \
    X(cast)                                                                                                            \
    X(add)                                                                                                             \
    X(relu)                                                                                                            \
    X(time_row)                                                                                                        \
    X(joint_qkv)                                                                                                       \
    X(take_rows)                                                                                                       \
    X(linear)                                                                                                          \
    X(quantize)                                                                                                        \
    X(linear_int8)                                                                                                     \
    X(attention)                                                                                                       \
    X(norm)                                                                                                            \
    X(dwconv_norm)                                                                                                     \
    X(grn)                                                                                                             \
    X(conv_pos)                                                                                                        \
    X(conv1d)                                                                                                          \
    X(snake)                                                                                                           \
    X(embed)                                                                                                           \
    X(text_rows)                                                                                                       \
    X(timestep)                                                                                                        \
    X(guide)                                                                                                           \
    X(noise)                                                                                                           \
    X(mel)                                                                                                             \
    X(istft)                                                                                                           \
    X(subband_istft)

typedef struct cpu_context cpu_context; /* kernels/cpu/context.h */

/* What NAME.c defines: the reference, what a call writes, its arithmetic and its bytes. Arithmetic that grows with a
 * width squared or a length squared is counted, multiply-adds twice; the rest is bytes, not FLOP, and counts as 0.
 * Bytes are those of every tensor that is read or written, each once, the tail of the pack included. */
#define OP_DECLARE(name)                                                                                               \
    typedef struct name##_args name##_args;                                                                            \
    f5_status name##_ref(cpu_context *c, const name##_args *a);                                                        \
    op_output name##_output(const name##_args *a);                                                                     \
    double name##_flop(const name##_args *a, op_lengths lengths);                                                      \
    double name##_bytes(const name##_args *a);
OPS_LIST(OP_DECLARE)
#undef OP_DECLARE

#ifdef __cplusplus
}
#endif
#endif
