/* match.h — a .f5 file's tensors beside those that its configuration asks for: all there, right in type and shape,
 * none more but the tables for Chinese. What passes can be used without further looks at names, types or shapes. */
#ifndef F5_MATCH_H
#define F5_MATCH_H

#include "weights/manifest.h"
#include "weights/safetensors.h"

#define MATCH_PINYIN "pinyin" /* the name of that tensor */

typedef struct {
    manifest_tensor *list;            /* [count] in the manifest's order */
    const safetensors_tensor **found; /* [count] the file's tensor for each, valid as long as the file is open */
    int32_t count;
    manifest_types types;             /* as stored */
    const safetensors_tensor *pinyin; /* U8 [bytes], the tables for Chinese; NULL: none */
} tensor_match;

/* `where` names the file in messages. On failure *match is zeroed. Errors: F5_E_FORMAT, F5_E_UNSUPPORTED (matrices of a
 * type other than F32, F16, BF16), F5_E_MEMORY. */
f5_status match_tensors(tensor_match *match, const model_config *config, const safetensors *file, const char *where,
                        f5_error *error);
void match_free(tensor_match *match); /* safe on a zeroed or freed one */

#endif
