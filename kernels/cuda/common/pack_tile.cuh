/* pack_tile.cuh — tiles of rows that never straddle two sequences, found on the device.
 *
 * Sequence 0 is divided into tiles of `tile_rows` rows from its start, then sequence 1, and so on; the last tile of
 * each may be short. There are at most rows / tile_rows + n_seq of them: the host launches that many blocks, and those
 * past the last tile leave. Lengths are read from device memory, so one captured launch serves every composition.
 * rate: a row of the pack is so many rows of the tensor (conv1d.h), and rows are the tensor's. */
#ifndef F5_PACK_TILE_CUH
#define F5_PACK_TILE_CUH

#include "kernels/cuda/common/launch.cuh"

/* A tile by its sequence: that one's first packed row and rows, and the row in it that the tile starts at. */
typedef struct {
    int begin, length, first;
} sequence_tile;

/* The same by packed rows. */
typedef struct {
    int first;      /* packed row the tile starts at */
    int rows;       /* of the tile: 1 .. tile_rows; 0: there is no such tile */
    int begin, end; /* packed rows of its sequence */
} pack_tile;

static inline int pack_tiles_max(const f5_pack *pack, int tile_rows, int rate = 1) {
    return rate * pack->rows / tile_rows + pack->n_seq;
}

/* Tile `index`, counted through the sequences in order; false past the last. Called by whole warps with the same
 * `index` in all lanes, which get the same answer. */
static __device__ __forceinline__ bool sequence_tile_find(sequence_tile *t, const int32_t *offsets, int n_seq,
                                                          int tile_rows, int index, int rate = 1) {
    const int lane = threadIdx.x % 32;
    for (int group = 0; group < n_seq; group += 32) {
        const int s = group + lane;
        const int begin = s < n_seq ? rate * offsets[s] : 0, length = s < n_seq ? rate * offsets[s + 1] - begin : 0;
        const int tiles = ceil_div(length, tile_rows);
        int up_to_here = tiles; /* inclusive sum over the lanes */
#pragma unroll
        for (int distance = 1; distance < 32; distance *= 2) {
            const int below = __shfl_up_sync(0xffffffffu, up_to_here, distance);
            if (lane >= distance) up_to_here += below;
        }
        const unsigned int owners = __ballot_sync(0xffffffffu, index < up_to_here);
        if (owners) {
            const int owner = __ffs(owners) - 1;
            t->begin = __shfl_sync(0xffffffffu, begin, owner);
            t->length = __shfl_sync(0xffffffffu, length, owner);
            t->first = (index - __shfl_sync(0xffffffffu, up_to_here - tiles, owner)) * tile_rows;
            return true;
        }
        index -= __shfl_sync(0xffffffffu, up_to_here, 31);
    }
    return false;
}

static __device__ __forceinline__ pack_tile pack_tile_find(const int32_t *offsets, int n_seq, int tile_rows, int index,
                                                           int rate = 1) {
    sequence_tile t;
    if (!sequence_tile_find(&t, offsets, n_seq, tile_rows, index, rate)) return {0, 0, 0, 0};
    return {t.begin + t.first, min(tile_rows, t.length - t.first), t.begin, t.begin + t.length};
}

#endif
