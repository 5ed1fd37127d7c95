/* model_make.h — a .f5 file of a model's sources, made once and kept: models by name in this program's own folder,
 * others among the converted ones, under a name that follows from what they are made of. Beside NAME.f5 lies NAME.txt,
 * which says that. Any number of processes may ask for the same model: one makes it, the others wait. */
#ifndef F5_MODEL_MAKE_H
#define F5_MODEL_MAKE_H

#include <stdbool.h>

#include "host/hub/hub_place.h"
#include "host/hub/model_sources.h"
#include "kernels/error.h"

typedef struct {
    const char *program;   /* how messages begin: "f5tts infer" */
    const char *precision; /* of the matrices: "fp32", "fp16", "bf16", "int8" */
    const char *licence;   /* of the weights; NULL: as known here */
    bool by_name;          /* the sources are those of a name: NAME.f5 in the own folder */
    bool renew;            /* of a name: make it again where it is of other sources; else what is there is taken */
    bool quiet;
} model_making;

/* *path receives where the model lies, to be freed. The sources are all here. */
f5_status model_make(const model_sources *sources, const hub_place *place, const model_making *how, char **path,
                     f5_error *error);

/* FOLDER/NAME.f5 and the like, to be freed; NULL: no memory. */
char *model_place(const char *folder, const char *name, const char *ending);

/* The shipped vocabulary of upstream's models, to be freed; NULL: it does not lie beside the program. */
char *model_usual_vocab(void);

#endif
