/* arch.h — what a GPU architecture may use, and the constants that are one card's. Plain C: the runtime and the plans
 * (kernels/cuda/plan) read it on machines without a GPU too.
 *
 * Kernels lie in rooms by the architecture whose instructions they need: kernels/cuda/sm80 runs on every GPU since
 * compute capability 8.0, kernels/cuda/sm90 on 9.0 alone (its wgmma and TMA code is compiled for sm_90a). A new
 * architecture is one more arch_code, one more room, and one more entry in the path tables of the ops that gain by it.
 *
 * Rates are ceilings: what large matrix products and a large copy reach on the card, where that was measured, and the
 * data sheet's numbers elsewhere. A floor made of them is a bound below for arithmetic. For bytes it counts every
 * tensor once at memory's rate; a call whose tensors are still in L2 can be faster than that. */
#ifndef F5_CUDA_ARCH_H
#define F5_CUDA_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The newest kernels that a GPU runs, oldest first. */
typedef enum { ARCH_SM80 = 0, ARCH_SM90A } arch_code;

typedef struct {
    const char *card;     /* "h200", as f5tts info --as calls it; NULL: a GPU that the table does not know */
    int32_t sm;           /* compute capability: 80, 86, 89, 90, 100, 120 */
    int32_t sm_count;     /* multiprocessors */
    int32_t shared_bytes; /* shared memory that a block may ask for */
    arch_code code;       /* the newest kernels in use */
    bool split_f32;       /* F32 products as three of 16-bit halves on the tensor cores: faster than the F32 units */
    double rate_16bit;    /* FLOP/s of 16-bit operands with F32 sums; 0: not known */
    double rate_8bit;     /* operations/s of 8-bit whole numbers, their sums exact */
    double rate_f32;      /* FLOP/s of the F32 units */
    double bandwidth;     /* bytes/s of device memory, read and written */
    int32_t bucket_rows;  /* rows of a branch are rounded up to a multiple of this */
    int32_t plan_rows; /* rows that cuBLASLt's algorithms are chosen for, whatever a pack's own count, so that a row's
                        * result is the same bits in every bucket; 0: each count for itself */
    int32_t batch_frames; /* batch size beyond which more requests no longer repay the added latency */
} cuda_arch;

/* "sm80", "sm90": the room of kernels in use. */
const char *arch_path(const cuda_arch *arch);

/* A GPU by its measure. has_sm90a: this build carries code for sm_90a and the driver offers TMA. device_name: the
 * driver's, by which a known card's rates are found. */
cuda_arch arch_of_device(const char *device_name, int32_t sm, int32_t sm_count, int32_t shared_bytes, bool has_sm90a);

/* A known card by its name, "h200"; false: there is none. */
bool arch_of_card(cuda_arch *arch, const char *card);

/* The names of all known cards, "a100, l4, ...", for messages. */
const char *arch_cards(void);

/* The same GPU without newer kernels than `limit`. ARCH_SM80 leaves what every GPU since 8.0 runs well, so not
 * split_f32: for testing the portable kernels on a newer card. */
cuda_arch arch_limited(cuda_arch arch, arch_code limit);

#ifdef __cplusplus
}
#endif
#endif
