/* layout.cuh — what all warps of a block of attention's sm90 kernel agree on: tile sizes, shared memory, barriers, and
 * the place where a block leaves a partial tile for the next block. */
#ifndef F5_SM90_ATTENTION_LAYOUT_CUH
#define F5_SM90_ATTENTION_LAYOUT_CUH

#include <cuda.h>

#include "kernels/cuda/common/attention_rows.cuh"
#include "kernels/cuda/plan/attention_sm90.h"
#include "kernels/cuda/sm90/ptx.cuh"

namespace attention_sm90 {

constexpr int kGroups = ATTENTION_GROUPS, kGroupQueries = ATTENTION_GROUP_ROWS, kTileQueries = ATTENTION_TILE_ROWS;
constexpr int kKeys = ATTENTION_STEP_KEYS, kBoxRows = 64; /* a TMA box is 64 rows */
constexpr int kKeyStages = 3, kQueryStages = 2;
constexpr int kBoxBytes = kBoxRows * 128, kKeyTileBytes = kKeys * 128, kQueryTileBytes = kGroupQueries * 128;
static_assert(kKeyTileBytes == 2 * kBoxBytes && kQueryTileBytes == kBoxBytes, "boxes to a tile");

/* Of a thread's 64 scores of a tile, those that are exponentiated before it waits for the output product of the tile
 * before. Packing probabilities overwrites that product's operands, so the rest come after the wait, and packing and
 * adding up fall between exponentials. */
constexpr int kExponentiatedBefore = 16;

constexpr int kThreads = (kGroups + 1) * 128;
constexpr int kSharedBytes = 1024 + kQueryStages * kGroups * kQueryTileBytes + 2 * kKeyStages * kKeyTileBytes;

/* Registers a thread: the block's 64 K, moved from the producer to the consumer warpgroups. */
constexpr int kProducerRegisters = 32, kGroupRegisters = 160;
static_assert(128 * (kProducerRegisters + kGroups * kGroupRegisters) <= 65536, "register file");

/* A partial tile: 32 outputs, two maxima and two sums a thread, in chunks of 16 bytes. */
constexpr int kPartialChunks = 9;
constexpr int kPartialBytes = kGroups * kPartialChunks * 128 * 16;

/* Where tiles come from, as TMA sees them: [rows, prepared_heads*64] and [rows, 3*heads*64]. */
struct tensor_maps {
    CUtensorMap keys; /* the prepared ones */
    CUtensorMap qkv;
};

/* Partial tiles, from block b to block b + 1. Block b raises its flag when the state is written, block b + 1 lowers it
 * when it continues the tile: 0 before and after a launch. */
struct partial_tiles {
    float4 *state;  /* [blocks,kPartialBytes / 16] */
    uint32_t *flag; /* [blocks] */
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* A tile of queries, as the producer announces it to the consumers. */
struct work_item {
    int head, begin, length, first; /* the sequence's first row and rows; the tile's first row in it */
    int from, to;                   /* steps of the tile: 0 .. attention_steps(length) if it is not split */
};

struct barriers {
    work_item items[kQueryStages]; /* whose queries these are; length 0: no more */
    uint64_t queries_full[kQueryStages], queries_empty[kQueryStages];
    uint64_t keys_full[kKeyStages], keys_empty[kKeyStages];
    uint64_t values_full[kKeyStages], values_empty[kKeyStages];
    uint64_t tail;            /* a last tile of values, before its rows past the end are cleared */
    uint64_t partial_written; /* the consumers have written the partial tile of this block */
};
static_assert(sizeof(barriers) <= 1024, "kSharedBytes");

/* x, which is the same in all lanes, in a way that shows the compiler that it is. */
__device__ __forceinline__ int uniform(int x) {
    return (int)__reduce_or_sync(0xffffffffu, (unsigned int)x);
}

/* Named barriers of a block; 0 is __syncthreads. */
enum named_barrier {
    kGroupBarrier = 1,                          /* + group: the 128 threads of a consumer warpgroup */
    kSchedulerBarrier = kGroupBarrier + kGroups /* + group: the group may issue its wgmmas; 256 threads, two groups */
};

#endif

} // namespace attention_sm90

#endif
