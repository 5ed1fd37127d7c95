/* hub_place.h — where models lie on this machine, and where they come from, as the environment says.
 *
 *   cache      HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
 *              ~/.cache/huggingface/hub: the folder that upstream's package fills
 *   models     XDG_DATA_HOME/f5tts/models, else ~/.local/share/f5tts/models: this program's own, NAME.f5
 *   converted  XDG_CACHE_HOME/f5tts/converted, else ~/.cache/f5tts/converted: models made of files that a user named
 *   endpoint   HF_ENDPOINT, else https://huggingface.co
 *   offline    HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is 1, on, yes or true
 *   stall      HF_HUB_DOWNLOAD_TIMEOUT, else 30: seconds without a byte after which a connection counts as dead
 *
 * A leading ~/ of a folder is the home folder. */
#ifndef F5_HUB_PLACE_H
#define F5_HUB_PLACE_H

#include <stdbool.h>

#include "kernels/error.h"

typedef struct {
    char *cache, *models, *converted; /* folders, absolute or from the current one, without '/' at the end */
    char *endpoint;                   /* without '/' at the end */
    bool offline;
    int stall_seconds;
} hub_place;

/* F5_E_IO: nothing says where the home folder is. hub_place_free follows, also after an error. */
f5_status hub_place_find(hub_place *place, f5_error *error);
void hub_place_free(hub_place *place);

/* *token receives the key to the hub, to be freed, or NULL where there is none: HF_TOKEN, else HUGGING_FACE_HUB_TOKEN,
 * else, unless HF_HUB_DISABLE_IMPLICIT_TOKEN is set, the file that upstream's login writes (HF_TOKEN_PATH,
 * HF_HOME/token). F5_E_FORMAT: it has characters that no token has; the message does not show it. */
f5_status hub_token(char **token, f5_error *error);

#endif
