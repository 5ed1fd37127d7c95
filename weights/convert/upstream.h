/* upstream.h — upstream's configuration files: typed questions to them, and the whole of them into ours.
 *
 * The keys that matter are asked for by their path; the rest (training, data, hydra) is ignored unread. A missing key
 * takes the default of upstream's constructor, which whoever asks states. The first failure sticks to the reader, so
 * that questions read as a list and the status is looked at once.
 * Errors: F5_E_FORMAT (a value of the wrong type), F5_E_UNSUPPORTED (a model we do not have); messages name the file
 * and the key. */
#ifndef F5_UPSTREAM_H
#define F5_UPSTREAM_H

#include "weights/config.h"
#include "weights/convert/settings.h"

struct upstream {
    const settings *from;
    f5_status status;
    f5_error *error;
};

const char *upstream_text(upstream *u, const char *key, const char *missing); /* missing NULL: the key must be there */
int32_t upstream_int(upstream *u, const char *key, int32_t missing);          /* 0 to 1e6 */
bool upstream_bool(upstream *u, const char *key, bool missing);
int32_t upstream_times(upstream *u, const char *key, int32_t missing, int32_t width); /* width * the number, which may
                                   have a fraction; the product must be whole. At most INT32_MAX */
bool upstream_has(upstream *u, const char *key);                                      /* is there, and not null */

/* The value must be this one, all that we support. */
void upstream_require_int(upstream *u, const char *key, int32_t missing, int32_t only);
void upstream_require_text(upstream *u, const char *key, const char *missing, const char *only);

/* Every key below `prefix` must be one of these names, up to NULL: upstream's constructor would refuse it too. */
void upstream_require_known(upstream *u, const char *prefix, const char *const *names);

/* Fails because of a key's value; `what` says what is wanted. */
void upstream_fail(upstream *u, f5_status status, const char *key, const char *value, const char *what);

/* The configuration of an F5-TTS checkpoint and of its vocoder: everything of *config but vocab_size. */
f5_status upstream_read_config(model_config *config, const part_catalogue *parts, const settings *acoustic,
                               const settings *vocoder, f5_error *error);

#endif
