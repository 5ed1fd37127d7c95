/* attention_block.cuh — what the warps of a block of attention_sm90.cuh range: tile sizes, barriers, and the place
 * where a block hands work on to the next one. */
#ifndef F5_SM90_ATTENTION_LAYOUT_CUH
#define F5_SM90_ATTENTION_LAYOUT_CUH

#include <cuda.h>

#include "kernels/cuda/common/attention_rows.cuh"
#include "kernels/cuda/plan/attention.h"
#include "kernels/cuda/sm90/ptx.cuh"

namespace attention_sm90 {

constexpr int kGroups = ATTENTION_GROUPS, kGroupQueries = ATTENTION_GROUP_ROWS, kTileQueries = ATTENTION_TILE_ROWS;
constexpr int kKeys = ATTENTION_STEP_KEYS, kBoxRows = 64; /* the copy engine brings 64 rows at a time */
constexpr int kKeyStages = 3, kQueryStages = 2;
constexpr int kBoxBytes = kBoxRows * 128, kKeyTileBytes = kKeys * 128, kQueryTileBytes = kGroupQueries * 128;
static_assert(kKeyTileBytes == 2 * kBoxBytes && kQueryTileBytes == kBoxBytes, "boxes to a tile");

/* Of a thread's 64 scores of a tile, those that become last_p before it waits for the output, whose operands the
 * packed last_p overwrite. The rest come after, so that packing and adding up fall between exponentials. */
constexpr int kExponentiatedBefore = 16;

constexpr int kThreads = (kGroups + 1) * 128;
constexpr int kSharedBytes = 1024 + kQueryStages * kGroups * kQueryTileBytes + 2 * kKeyStages * kKeyTileBytes;

/* Registers a thread: the block's range of 64 K, moved from the producer to the groups. */
constexpr int kProducerRegisters = 32, kGroupRegisters = 160;
static_assert(128 * (kProducerRegisters + kGroups * kGroupRegisters) <= 65536, "register file");

/* What a block hands on of a tile: 32 outputs, two biases and two sums a thread, in chunks of 16 bytes. */
constexpr int kPartialChunks = 9;
constexpr int kPartialBytes = kGroups * kPartialChunks * 128 * 16;

/* Where tiles come from: [rows, prepared*64] and [rows, 3*heads*64] as the copy engine sees them. */
struct tensor_maps {
    CUtensorMap keys; /* the prepared ones */
    CUtensorMap qkv;
};

/* Where block b hands work on to block b + 1. A flag is raised when the state is written, and lowered by the block that
 * takes over: 0 before and after a launch. */
struct partial_tiles {
    float4 *state;  /* [blocks,kPartialBytes / 16] */
    uint32_t *flag; /* [blocks] */
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* A tile of queries, partial_written from the producer to the groups. */
struct work_item {
    int head, begin, length, first; /* the sequence's first row and rows; the tile's first row in it */
    int from, to;                   /* steps of the tile: 0 .. attention_steps(length) if it is not divided */
};

struct barriers {
    work_item items[kQueryStages]; /* whose queries these are; length 0: no more */
    uint64_t queries_full[kQueryStages], queries_empty[kQueryStages];
    uint64_t keys_full[kKeyStages], keys_empty[kKeyStages];
    uint64_t values_full[kKeyStages], values_empty[kKeyStages];
    uint64_t tail;   /* a last tile of values, before its rows past the end are cleared */
    uint64_t partial_written; /* the groups have written what this block hands on */
};
static_assert(sizeof(barriers) <= 1024, "kSharedBytes");

/* x, which is the same in all lanes, in a way that shows the compiler that it is. */
__device__ __forceinline__ int uniform(int x) {
    return (int)__reduce_or_sync(0xffffffffu, (unsigned int)x);
}

/* Named barriers: 0 is __syncthreads; each group's own; each group's turn to issue products. */
__device__ __forceinline__ int own_barrier(int group) {
    return 1 + group;
}
__device__ __forceinline__ int turn_barrier(int group) {
    return 4 + group;
}

#endif

} // namespace attention_sm90

#endif
