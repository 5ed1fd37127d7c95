/* plan_report.c — a card by name, or the engine's own. */
#include "runtime/plan_report.h"

#include <stddef.h>

f5_precision plan_report_precision(f5_dtype operands) {
    return (f5_precision){.operands = operands == F5_I8 ? F5_F16 : operands, .int8 = operands == F5_I8};
}

f5_status plan_report_arch(cuda_arch *arch, const char *as, const cuda_arch *own, f5_error *error) {
    if (as) {
        if (arch_of_card(arch, as)) return F5_OK;
        return f5_fail(error, F5_E_ARGUMENT, "card '%s' is not known: use one of %s", as, arch_cards());
    }
    if (!own)
        return f5_fail(error, F5_E_UNSUPPORTED, "the cpu runs one path only: name a card to plan for, one of %s",
                       arch_cards());
    *arch = *own;
    return F5_OK;
}
