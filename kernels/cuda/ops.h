/* ops.h — the CUDA twin of every op. The contract is the op's own header; context.h has the rules for all of them.
 * A reference that checks an array's values (embed's ids, keep counts) does so on the host; its twin trusts them. */
#ifndef F5_CUDA_OPS_H
#define F5_CUDA_OPS_H

#include "kernels/cuda/context.h"
#include "kernels/op_list.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OP_TWIN(name) f5_status name##_cuda(cuda_context *c, const name##_args *a);
OPS_LIST(OP_TWIN)
#undef OP_TWIN

#ifdef __cplusplus
}
#endif
#endif
