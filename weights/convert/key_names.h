/* key_names.h — the names of tensors, freed of what wrappers of a model put around them. */
#ifndef F5_KEY_NAMES_H
#define F5_KEY_NAMES_H

#include <stddef.h>

/* Whose weights a key says that it names. */
typedef enum { KEY_OF_ANY, KEY_OF_AVERAGED, KEY_OF_PLAIN } key_owner;

/* In messages: what key_plain takes off. */
#define KEY_WRAPPERS "module., _orig_mod., base_model., model., ema_model., online_model."

/* Writes key [length] without wrappers to out [length + 1], terminated; returns its length. "module" and "_orig_mod"
 * (DistributedDataParallel, torch.compile) go wherever they stand, "base_model" (PEFT), "model", "ema_model" and
 * "online_model" (ema_pytorch) go at the beginning. A name's last word always stays. */
size_t key_plain(char *out, const char *key, size_t length, key_owner *owner);

#endif
