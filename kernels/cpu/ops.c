/* ops.c — the table of the ops as compiled for one instruction set. */
#include "kernels/cpu/context.h"

extern const cpu_ops cpu_op_table;

const cpu_ops cpu_op_table = {
#define CPU_OP(name) .name = name##_ref,
    OPS_LIST(CPU_OP)
#undef CPU_OP
};
