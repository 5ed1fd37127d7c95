/* adapter_config.h — adapter_config.json: how large a LoRA adapter's changes are. */
#ifndef F5_ADAPTER_CONFIG_H
#define F5_ADAPTER_CONFIG_H

#include "weights/convert/decimal.h"
#include "weights/json.h"

typedef struct {
    decimal rank, alpha;
    bool square_root;                /* use_rslora: alpha / sqrt(r) */
    bool whole;                      /* some layers come whole: modules_to_save */
    const json_node *ranks, *alphas; /* objects, other numbers for some layers; NULL: none */
    json_document json;
    const char *path;
} adapter_config;

/* Reads and checks it; every setting must be one whose meaning is known here. path must outlive *c. On failure *c is
 * closed. Errors: F5_E_IO, F5_E_FORMAT, F5_E_UNSUPPORTED (names the setting), F5_E_MEMORY. */
f5_status adapter_config_read(adapter_config *c, const char *path, f5_error *error);
void adapter_config_close(adapter_config *c); /* safe on a zeroed or closed one */

/* What multiplies B A of a layer, "transformer_blocks.0.attn.to_q", whose A has this many rows. F5_E_FORMAT: it should
 * have another number of rows. */
f5_status adapter_config_scale(const adapter_config *c, const char *layer, int64_t rows, double *scale,
                               f5_error *error);

#endif
