/* hopper.h — what sm_90 adds to emulator.h: barriers in shared memory, TMA, and where wgmma finds its operands. Copies
 * by TMA and products come late, at once or by chance. Faults: a barrier that nobody has initialised, one arrival too
 * many, a copy that its tensor map does not allow. Not shown: proxies without a fence, reads before the end of
 * the kernel in front (programmatic launches), registers, clusters, what the tensor cores round. */
#ifndef F5_HOPPER_H
#define F5_HOPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- mbarrier */
void hopper_barrier_init(uint64_t *barrier, uint32_t arrivals);
void hopper_barrier_arrive(const char *file, int line, uint64_t *barrier, uint32_t bytes); /* and expects so many */
void hopper_barrier_wait(const char *file, int line, const uint64_t *barrier, uint32_t parity);

/* ---- TMA. A box of a tensor into shared memory; its bytes count at `barrier`. */
void hopper_load(const char *file, int line, void *shared, const void *map, const int *corner, int rank,
                 uint64_t *barrier);
/* In the place of cuTensorMapEncodeTiled, whose rules it holds to: 0, or 1 where they are broken. */
int hopper_encode(void *map, int kind, uint32_t rank, void *base, const uint64_t *size, const uint64_t *stride,
                  const uint32_t *box, const uint32_t *step, int interleave, int swizzle, int promotion, int fill);

/* ---- wgmma: 16 bytes of an operand's row, the chunk'th. */
const void *hopper_operand(uint64_t descriptor, int row, int chunk);

#ifdef __cplusplus
}
#endif
#endif
