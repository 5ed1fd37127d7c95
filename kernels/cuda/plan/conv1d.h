/* conv1d.h — the ways that conv1d has on a GPU, by shape, types and architecture alone, and the tiles of each. Plain C,
 * printed and tested without a GPU: tests/c/test_conv1d_plan.c. conv1d_paths is the dispatch: the first way that serves
 * is taken.
 *
 *   way            kernel                        for
 *   few outputs    sm80/conv1d_few.cuh           at most 4 outputs of few inputs: the last convolution to samples
 *   sm90           sm90/conv1d.cuh               16 bits where wgmma and TMA are, the widths of conv1d_sm90_outs
 *   sm80           sm80/conv1d.cuh               16 bits, in a multiple of 4
 *   split f32      sm80/conv1d_split_f32.cuh     F32, in a multiple of 4, where tensor cores gain by it
 *   f32 units      common/conv_fma.cuh           the rest
 *
 * The tensor cores' ways have no activation but the leaky ReLU.
 * A row's bits do not depend on the tile: each element is one sum, in one order. */
#ifndef F5_PLAN_CONV1D_H
#define F5_PLAN_CONV1D_H

#include "kernels/conv1d.h"
#include "kernels/cuda/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONV1D_FEW_OUTPUTS = 0, CONV1D_SM90, CONV1D_SM80, CONV1D_SPLIT_F32, CONV1D_F32_UNITS, CONV1D_PATHS };

typedef struct {
    const char *name;
    bool (*serves)(const cuda_arch *arch, const conv1d_args *a);
    void (*describe)(const cuda_arch *arch, const conv1d_args *a, op_lengths lengths, op_plan_line *line);
} conv1d_path;

extern const conv1d_path conv1d_paths[CONV1D_PATHS];

/* The first that serves. */
int conv1d_path_of(const cuda_arch *arch, const conv1d_args *a);

/* Rows that the taps of a row lie apart: the halo of a tile. */
static inline int32_t conv1d_reach(const conv1d_args *a) {
    return (a->taps - 1) * a->dilation;
}

/* ---- few outputs: a thread a row; x with its halo and all weights in shared memory, in F32 */

#define CONV1D_FEW_OUTS 4
#define CONV1D_FEW_ROWS 128
#define CONV1D_FEW_SHARED_BYTES(in, taps, reach, out)                                                                  \
    (4 * ((CONV1D_FEW_ROWS + (reach)) * ((in) | 1) + (taps) * (in) * ((out) == 1 ? 1 : CONV1D_FEW_OUTS)))

/* ---- sm90: persistent blocks, the weights of a tap of 64 inputs through a ring, x in two buffers of 64 inputs */

#define CONV1D_SM90_CHUNK 64
/* Rows of a tile, blocks to a multiprocessor, stages of the ring, by the outputs of a tile: 192, 96, 48 or 24. */
#define CONV1D_SM90_ROWS(outs) ((outs) == 192 ? 128 : (outs) >= 48 ? 256 : 512)
#define CONV1D_SM90_BLOCKS(outs) ((outs) >= 96 ? 1 : 2)
#define CONV1D_SM90_STAGES(outs) ((outs) == 192 ? 6 : (outs) == 48 ? 5 : 8)

/* Steps of 16 inputs in the last chunk. */
static inline int32_t conv1d_sm90_tail(int32_t in) {
    return ((in - 1) % CONV1D_SM90_CHUNK + 16) / 16;
}
/* Outputs of a tile; 0: the kernel does not have these widths. */
static inline int32_t conv1d_sm90_outs(int32_t in, int32_t out) {
    const int32_t tail = conv1d_sm90_tail(in);
    if (in % 8 != 0) return 0;
    if (out == 24) return in <= 32 && tail == 2 ? 24 : 0;
    if (out == 48) return tail == 3 ? 48 : 0;
    if (out % 192 == 0 && tail == 4) return 192;
    return out % 96 == 0 && (tail == 4 || tail == 2) ? 96 : 0;
}
/* Eights of inputs in a buffer of x. */
static inline int32_t conv1d_sm90_eighths(int32_t in) {
    return in > CONV1D_SM90_CHUNK ? CONV1D_SM90_CHUNK / 8 : 2 * conv1d_sm90_tail(in);
}
/* Rows from one eight of inputs to the next: odd, so that a row's spread over the banks. */
static inline int32_t conv1d_sm90_pitch(int32_t outs, int32_t reach) {
    return (CONV1D_SM90_ROWS(outs) + reach) | 1;
}
/* 1024: to start at a multiple of it. */
#define CONV1D_SM90_BARRIER_BYTES 192
static inline int32_t conv1d_sm90_shared_bytes(const conv1d_args *a) {
    const int32_t outs = conv1d_sm90_outs(a->in, a->out);
    return 1024 + CONV1D_SM90_BARRIER_BYTES + CONV1D_SM90_STAGES(outs) * outs * CONV1D_SM90_CHUNK * 2 +
           2 * conv1d_sm90_eighths(a->in) * conv1d_sm90_pitch(outs, conv1d_reach(a)) * 16;
}

/* ---- sm80 and split f32: a step is a tap of a chunk of inputs; weights stream through a ring, x lies in buffers */

#define CONV1D_STAGES 3
#define CONV1D_SPLIT_CHUNK 32

/* Outputs of a tile, by the outputs of the call: 24, 48, 64 or 96. */
static inline int32_t conv1d_tile_outs(int32_t out) {
    return out <= 24 ? 24 : out % 96 == 0 ? 96 : out <= 48 ? 48 : 64;
}
/* Likewise of the split f32 kernel, which has twice the sums: 24, 48 or 64. A single tap has a buffer of x more, for
 * which tiles of 256 rows leave no room. */
static inline int32_t conv1d_split_outs(int32_t out, int32_t taps) {
    if (out <= 24 && taps > 1) return 24;
    return out <= 48 || (out % 64 != 0 && out % 48 == 0) ? 48 : 64;
}
/* Rows of a tile: few outputs leave room for more. */
static inline int32_t conv1d_tile_rows(int32_t tile_outs) {
    return tile_outs == 24 ? 256 : 128;
}
/* Inputs of a step of the sm80 kernel: 32, 48 or 64. */
static inline int32_t conv1d_chunk(int32_t in, int32_t tile_outs) {
    return tile_outs == 24 ? 32 : in % 64 == 0 ? 64 : in % 48 == 0 ? 48 : 32;
}
/* Buffers of x: its next chunk is fetched two steps ahead. */
static inline int32_t conv1d_buffers(int32_t chunks, int32_t taps) {
    const int32_t most = taps == 1 ? 3 : 2;
    return chunks < most ? chunks : most;
}
/* Rows of a stage of weights in the split f32 kernel: loads of sixteen outputs may look past those of a warp. */
static inline int32_t conv1d_split_stage_rows(int32_t tile_outs) {
    return tile_outs == 24 ? 32 : 64;
}
static inline int32_t conv1d_sm80_shared_bytes(const conv1d_args *a) {
    const int32_t outs = conv1d_tile_outs(a->out), chunk = conv1d_chunk(a->in, outs);
    const int32_t chunks = (a->in + chunk - 1) / chunk, rows = conv1d_tile_rows(outs) + conv1d_reach(a);
    const int32_t past = outs % 16; /* loads of sixteen outputs may look past the last stage's */
    return (conv1d_buffers(chunks, a->taps) * rows + CONV1D_STAGES * outs + past) * (chunk + 8) * 2;
}
static inline int32_t conv1d_split_shared_bytes(const conv1d_args *a) {
    const int32_t outs = conv1d_split_outs(a->out, a->taps), rows = conv1d_tile_rows(outs) + conv1d_reach(a);
    const int32_t chunks = (a->in + CONV1D_SPLIT_CHUNK - 1) / CONV1D_SPLIT_CHUNK;
    const int32_t x = conv1d_buffers(chunks, a->taps) * rows, w = conv1d_split_stage_rows(outs);
    return (x + CONV1D_STAGES * w) * CONV1D_SPLIT_CHUNK * 4 + (x + w) * 4; /* and the factors of rows */
}

void conv1d_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line);

#ifdef __cplusplus
}
#endif
#endif
