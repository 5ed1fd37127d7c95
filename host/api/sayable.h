/* sayable.h — a text that is taken as a whole, a transcript or that of an edit, as the model can say it. */
#ifndef F5_SAYABLE_H
#define F5_SAYABLE_H

#include "host/api/handles.h"

#define SAYABLE_MESSAGE 400

/* Appends what the model can say of the text to out, which has room for fold_max_bytes. `what` names the text in
 * messages. message is a warning of characters that were left out; "": none were. F5_E_FORMAT: malformed UTF-8;
 * F5_E_ARGUMENT: nothing of it can be said. */
f5_status sayable_text(const f5_engine *e, const char *what, const char *text, size_t bytes, text_buffer *out,
                       char message[SAYABLE_MESSAGE], f5_error *error);

#endif
