/* sayable.c — folded, and refused where nothing is left. */
#include "host/api/sayable.h"

f5_status sayable_text(const f5_engine *e, const char *what, const char *text, size_t bytes, text_buffer *out,
                       char message[SAYABLE_MESSAGE], f5_error *error) {
    fold_report unknown = {0};
    f5_error why = {0};
    f5_status status = fold_text(&e->alphabet, text, bytes, out, &unknown, &why);
    if (status != F5_OK) return f5_fail(error, status, "%s: %s", what, why.message);
    fold_report_message(&unknown, message, SAYABLE_MESSAGE);
    if (fold_is_silent(out->text, out->bytes))
        return f5_fail(error, F5_E_ARGUMENT, "the model can say nothing of the %s: %s", what,
                       unknown.count > 0 ? message : "it has no letter, digit or ideograph");
    return F5_OK;
}
