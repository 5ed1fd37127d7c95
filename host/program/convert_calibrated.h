/* convert_calibrated.h — a conversion to 8 bits by measure: the model is made in fp32, speaks, and is written in 8 bits
 * with what this showed. */
#ifndef F5_CONVERT_CALIBRATED_H
#define F5_CONVERT_CALIBRATED_H

#include <stdbool.h>

#include "host/api/f5tts.h"

typedef struct {
    const char *recording; /* a file, or the name of a voice that comes with the program */
    const char *words;     /* what it says, which is spoken once more; NULL: as the .txt beside it has it */
    float most_error;      /* as in f5_calibration_params */
} calibration_wish;

/* As convert_files, with params->matrices "int8". The output's disk holds the model in fp32 meanwhile. Prints a table
 * of the products to standard output, unless quiet. */
f5_status convert_calibrated(const f5_convert_params *params, const calibration_wish *wish, const char *program,
                             bool quiet, f5_convert_summary *summary, f5_error *error);

#endif
