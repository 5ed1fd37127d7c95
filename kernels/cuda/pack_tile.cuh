/* pack_tile.cuh — tiles of rows that never straddle two sequences, found on the device.
 *
 * Sequence 0 is cut into tiles of `tile_rows` rows from its start, then sequence 1, and so on; the last tile of each
 * may be short. There are at most rows / tile_rows + n_seq of them: the host launches that many blocks, and those past
 * the last tile leave. Lengths are read from device memory, so one captured launch serves every composition. */
#ifndef F5_PACK_TILE_CUH
#define F5_PACK_TILE_CUH

#include "launch.cuh"

typedef struct {
    int first;      /* packed row the tile starts at */
    int rows;       /* of the tile: 1 .. tile_rows; 0: there is no such tile */
    int begin, end; /* packed rows of its sequence */
} pack_tile;

static inline int pack_tiles_most(const f5_pack *pack, int tile_rows) {
    return pack->rows / tile_rows + pack->n_seq;
}

/* Every warp of the block calls this with all its lanes and the same `tile`, and gets the same answer. */
static __device__ __forceinline__ pack_tile pack_tile_find(const int *offsets, int n_seq, int tile_rows, int tile) {
    const int lane = threadIdx.x & 31;
    pack_tile found = {0, 0, 0, 0};
    for (int base = 0, before = 0; base < n_seq; base += 32) {
        const int s = base + lane;
        const int begin = s < n_seq ? offsets[s] : 0, end = s < n_seq ? offsets[s + 1] : 0;
        const int tiles = (end - begin + tile_rows - 1) / tile_rows;
        int upto = tiles; /* inclusive sum over the lanes */
#pragma unroll
        for (int step = 1; step < 32; step *= 2) {
            const int other = __shfl_up_sync(0xffffffffu, upto, step);
            if (lane >= step) upto += other;
        }
        const int total = __shfl_sync(0xffffffffu, upto, 31);
        if (tile < before + total) {
            const unsigned past = __ballot_sync(0xffffffffu, tile < before + upto);
            const int owner = __ffs(past) - 1;
            const int index = tile - before - __shfl_sync(0xffffffffu, upto - tiles, owner);
            found.begin = __shfl_sync(0xffffffffu, begin, owner);
            found.end = __shfl_sync(0xffffffffu, end, owner);
            found.first = found.begin + index * tile_rows;
            found.rows = min(tile_rows, found.end - found.first);
            return found;
        }
        before += total;
    }
    return found;
}

#endif
