/* cuda_ops.h — the CUDA twin of every op. The contract is the op's own header; what holds for all is cuda_context.h.
 * A reference that checks an array's values (embed's ids, keep counts) does so on the host; its twin trusts them. */
#ifndef F5_CUDA_OPS_H
#define F5_CUDA_OPS_H

#include "cuda_context.h"

#ifdef __cplusplus
extern "C" {
#endif

#include "attention.h"
#include "cast.h"
#include "conv1d.h"
#include "conv_pos.h"
#include "dwconv_norm.h"
#include "embed.h"
#include "grn.h"
#include "guide.h"
#include "istft.h"
#include "linear.h"
#include "mel.h"
#include "noise.h"
#include "norm.h"
#include "text_rows.h"
#include "timestep.h"

f5_status cast_cuda(cuda_context *c, const cast_args *a);
f5_status linear_cuda(cuda_context *c, const linear_args *a);
f5_status attention_cuda(cuda_context *c, const attention_args *a);
f5_status norm_cuda(cuda_context *c, const norm_args *a);
f5_status dwconv_norm_cuda(cuda_context *c, const dwconv_norm_args *a);
f5_status grn_cuda(cuda_context *c, const grn_args *a);
f5_status conv_pos_cuda(cuda_context *c, const conv_pos_args *a);
f5_status conv1d_cuda(cuda_context *c, const conv1d_args *a);
f5_status embed_cuda(cuda_context *c, const embed_args *a);
f5_status text_rows_cuda(cuda_context *c, const text_rows_args *a);
f5_status timestep_cuda(cuda_context *c, const timestep_args *a);
f5_status guide_cuda(cuda_context *c, const guide_args *a);
f5_status noise_cuda(cuda_context *c, const noise_args *a);
f5_status mel_cuda(cuda_context *c, const mel_args *a);
f5_status istft_cuda(cuda_context *c, const istft_args *a);

#ifdef __cplusplus
}
#endif
#endif
