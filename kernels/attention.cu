/* attention.cu — keys prepared once, where there is something to do, then flash attention by the first of its ways that
 * serves (plan/attention.h).
 *
 *   prepare_keys   RMSNorm and RoPE of the heads that have them, into the row scratch: a key is read by every tile of
 *                  queries, and would be rotated N/192 times otherwise. Memory bound: 4·rows·heads·64 bytes in 16 bits;
 *                  2812 x 16: 11.5 MB, most of it from L2, 3 µs. Queries are prepared where they are read. A model
 *                  without that norm has linear rotate q and k (LINEAR_ROPE), and nothing is left to prepare.
 *
 * Every way walks the keys of a sequence from its start in tiles of a fixed size, and treats each query on its own: a
 * row's result does not depend on the pack or the bucket, to the bit. The ways differ among each other by rounding. */
#include "kernels/attention.h"

#include "kernels/cuda/common/attention_f32.cuh"
#include "kernels/cuda/plan/attention.h"
#include "kernels/cuda/plan/attention_sm80.h"
#include "kernels/cuda/sm80/attention.cuh"
#include "kernels/cuda/sm90/attention/kernel.cuh"
#include "kernels/cuda/sm90/tensor_map.cuh"

namespace {

/* ---- keys */

template <typename T> __global__ void __launch_bounds__(256) prepare_keys(const __grid_constant__ attention_device d) {
    let_next_start();
    wait_for_previous();
    const int64_t items = int64_t{d.rows} * d.prepared_heads * 8, item = blockIdx.x * int64_t{256} + threadIdx.x;
    const int64_t head_row = (item < items ? item : items - 1) / 8; // whole warps stay: rows are summed across lanes
    const int part = threadIdx.x % 8, head = (int)(head_row % d.prepared_heads),
              row = (int)(head_row / d.prepared_heads);
    const int sequence = d.seq_of_row[row];
    float v[8] = {};
    int position = 0;
    if (sequence >= 0) {
        position = row - d.offsets[sequence];
        load8(v, static_cast<const T *>(d.qkv) + ((int64_t{row} * 3 + 1) * d.heads + head) * 64 + part * 8);
    }
    prepare_row(v, part, d.k_norm, head < d.rope_heads ? d.rope + int64_t{position} * 64 : nullptr);
    if (item < items) store8(static_cast<T *>(const_cast<void *>(d.keys)) + head_row * 64 + part * 8, v);
}

/* ---- the ways, each for keys that are prepared */

static_assert(attention_f32::kSharedBytes == ATTENTION_F32_SHARED_BYTES, "plan/attention.h");
static_assert(attention_sm80::kSharedBytes == ATTENTION_SM80_SHARED_BYTES, "plan/attention.h");
static_assert(attention_sm90::kSharedBytes == ATTENTION_SM90_SHARED_BYTES, "plan/attention.h");
static_assert(attention_sm90::kKeyStages == ATTENTION_SM90_STAGES, "plan/attention.h");

f5_status run_f32_units(cuda_context *c, f5_dtype, const attention_device &d) {
    const dim3 grid(d.rows / attention_f32::kQueries + d.n_seq, d.heads);
    F5_TRY(cuda_allow_shared(c, "attention", attention_f32::attention_fma, attention_f32::kSharedBytes));
    attention_f32::attention_fma<<<grid, attention_f32::kThreads, attention_f32::kSharedBytes, c->stream>>>(d);
    return cuda_launched(c, "attention");
}

/* A [rows,columns] tensor in boxes of 64 columns by 64 rows. */
bool encode_map(cuda_context *c, CUtensorMap *map, f5_dtype type, const void *base, int32_t rows, int64_t columns) {
    const cuuint64_t size[2] = {(cuuint64_t)columns, (cuuint64_t)rows}, stride[1] = {(cuuint64_t)columns * 2};
    const cuuint32_t box[2] = {64, attention_sm90::kBoxRows};
    return tensor_map_encode(c, map, type, 2, base, size, stride, box);
}

f5_status run_sm90(cuda_context *c, f5_dtype type, const attention_device &d) {
    attention_sm90::tensor_maps maps = {};
    if (!encode_map(c, &maps.qkv, type, d.qkv, d.rows, int64_t{3} * d.heads * 64) ||
        (d.prepared_heads && !encode_map(c, &maps.keys, type, d.keys, d.rows, int64_t{d.prepared_heads} * 64)))
        return f5_fail(&c->error, F5_E_DEVICE, "attention: the driver refuses a tensor map of [%d,%d]", d.rows,
                       d.heads * 64);
    const int64_t max_tiles = (int64_t{d.rows} / ATTENTION_TILE_ROWS + d.n_seq) * d.heads;
    const int blocks = (int)(max_tiles < c->arch.sm_count ? max_tiles : c->arch.sm_count);
    if (size_t(blocks) * attention_sm90::kPartialBytes > c->fixed_bytes) // 54 KB a block
        return f5_fail(&c->error, F5_E_MEMORY, "attention: %d blocks need more scratch than %zu bytes", blocks,
                       c->fixed_bytes);
    const attention_sm90::partial_tiles partial = {static_cast<float4 *>(c->fixed_scratch), c->flags};
    constexpr int shared = attention_sm90::kSharedBytes;
    return for_dtype(c, "attention", type, [&](auto zero) -> f5_status {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 2) {
            auto kernel = attention_sm90::attention_wgmma<T>;
            F5_TRY(cuda_allow_shared(c, "attention", kernel, shared));
            return cuda_launch_early(c, "attention", kernel, dim3((unsigned int)blocks), attention_sm90::kThreads,
                                     shared, d, maps, partial);
        }
        return F5_E_UNSUPPORTED;
    });
}

template <typename T, int warps> f5_status launch_sm80(cuda_context *c, const attention_device &d) {
    const dim3 grid(d.rows / (warps * attention_sm80::kWarpQueries) + d.n_seq, d.heads);
    attention_sm80::attention_mma<T, warps><<<grid, 32 * warps, 0, c->stream>>>(d);
    return cuda_launched(c, "attention");
}

f5_status run_sm80(cuda_context *c, f5_dtype type, const attention_device &d) {
    const int warps = attention_sm80_warps(d.rows, d.heads, c->arch.sm_count, c->arch.shared_bytes);
    return for_dtype(c, "attention", type, [&](auto zero) -> f5_status {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 2) return warps == 2 ? launch_sm80<T, 2>(c, d) : launch_sm80<T, 4>(c, d);
        return F5_E_UNSUPPORTED;
    });
}

/* In the order of attention_paths. */
using run_fn = f5_status (*)(cuda_context *c, f5_dtype type, const attention_device &d);
constexpr run_fn run[] = {run_f32_units, run_sm90, run_sm80};
static_assert(sizeof run / sizeof *run == ATTENTION_PATHS && ATTENTION_F32_UNITS == 0 && ATTENTION_SM90 == 1 &&
                  ATTENTION_SM80 == 2,
              "plan/attention.h lists the same ways");

} // namespace

extern "C" f5_status attention_cuda(cuda_context *c, const attention_args *a) {
    if (a->heads < 1 || a->heads > 65535 || a->rope_heads < 0 || a->rope_heads > a->heads)
        return f5_fail(&c->error, F5_E_SHAPE, "attention: %d heads, %d of them rotated", a->heads, a->rope_heads);
    if (!a->pack || !a->qkv || !a->y || a->y == a->qkv || (a->rope_heads > 0 && !a->rope))
        return f5_fail(&c->error, F5_E_ARGUMENT, "attention: a pointer is NULL, or y is qkv");
    if (((uintptr_t)a->qkv | (uintptr_t)a->y | (uintptr_t)a->rope | (uintptr_t)a->q_norm | (uintptr_t)a->k_norm) % 16)
        return f5_fail(&c->error, F5_E_ARGUMENT, "attention: a tensor is not 16-byte aligned");
    if (a->pack->rows < 0 || a->pack->n_seq < 0)
        return f5_fail(&c->error, F5_E_ARGUMENT, "attention: a pack of %d rows, %d slots", a->pack->rows,
                       a->pack->n_seq);
    if (a->pack->rows == 0 || a->pack->n_seq == 0) return F5_OK;
    if (a->max_position < 1) // the caller must ensure that no sequence is longer than the table
        return f5_fail(&c->error, F5_E_SHAPE, "attention: a table of %d positions", a->max_position);

    attention_device d = {};
    d.offsets = a->pack->offsets, d.seq_of_row = a->pack->seq_of_row;
    d.rows = a->pack->rows, d.n_seq = a->pack->n_seq;
    d.heads = a->heads, d.rope_heads = a->rope_heads, d.prepared_heads = a->k_norm ? a->heads : a->rope_heads;
    d.qkv = a->qkv, d.rope = a->rope, d.q_norm = a->q_norm, d.k_norm = a->k_norm, d.y = a->y;
    d.keys = c->row_scratch;
    const size_t key_bytes = (size_t)d.rows * d.prepared_heads * 64 * f5_dtype_bytes(a->type);
    if (key_bytes > c->row_bytes)
        return f5_fail(&c->error, F5_E_MEMORY, "attention: %d rows of keys need %zu bytes of workspace, it has %zu",
                       d.rows, key_bytes, c->row_bytes);

    if (d.prepared_heads)
        F5_TRY(for_dtype(c, "attention", a->type, [&](auto zero) {
            const int64_t items = int64_t{d.rows} * d.prepared_heads * 8;
            const dim3 blocks((unsigned int)ceil_div<int64_t>(items, 256));
            return cuda_launch_early(c, "attention", prepare_keys<decltype(zero)>, blocks, 256, 0, d);
        }));
    return run[attention_path_of(&c->arch, a)](c, a->type, d);
}
