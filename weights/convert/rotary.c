/* rotary.c — stored frequencies beside computed ones. */
#include "weights/convert/rotary.h"

#include <math.h>
#include <string.h>

#include "kernels/dtype.h"

#define FREQUENCIES 32 /* of a head of 64 */

static const char key[] = "transformer.rotary_embed.inv_freq";

f5_status rotary_check(const source *from, f5_error *error) {
    const source_tensor *t = source_find(from, key);
    if (!t) return F5_OK;
    float frequency[FREQUENCIES];
    bool good = t->number && t->rank == 1 && t->dims[0] == FREQUENCIES;
    if (good) source_read(t, frequency);
    for (int i = 0; i < FREQUENCIES && good; i++) {
        double expected = pow(10000.0, -i / 32.0);
        good = fabs(frequency[i] - expected) <= 0.01 * expected; /* bfloat16 keeps 0.4 % */
    }
    return good ? F5_OK
                : f5_fail(error, F5_E_UNSUPPORTED,
                          "%s: rotary frequencies other than 10000^(-2i/64), which is all that is supported",
                          from->path);
}

f5_status rotary_keep(const source *from, model_config *config, f5_error *error) {
    const source_tensor *t = source_find(from, key);
    if (!t) return f5_fail(error, F5_E_FORMAT, "%s: stored-rotary: the checkpoint holds no '%s'", from->path, key);
    f5_dtype type = F5_F32;
    float stored[FREQUENCIES], made[FREQUENCIES];
    uint16_t narrow[FREQUENCIES];
    if (t->number->bytes == 2) {
        type = strcmp(t->number->name, "float16") == 0 ? F5_F16 : F5_BF16;
        source_read(t, stored);
        for (int i = 0; i < FREQUENCIES; i++) made[i] = (float)pow(10000.0, -i / 32.0);
        dtype(type)->narrow(narrow, made, FREQUENCIES);
        dtype(type)->widen(made, narrow, FREQUENCIES);
        for (int i = 0; i < FREQUENCIES; i++)
            if (made[i] != stored[i])
                return f5_fail(error, F5_E_UNSUPPORTED, "%s: stored-rotary: '%s' is not 10000^(-2i/64) rounded to %s",
                               from->path, key, t->number->name);
    }
    if (model_config_set(config, PART_BACKBONE, "rotary", (int32_t)type)) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "%s: stored-rotary: the frequencies of %s are always exact", from->path,
                   config->part[PART_BACKBONE]->kind);
}
