/* plan_report.h — for which GPU a plan of a request is reported: the engine's own, or a known card that is not here;
 * and in which numbers. */
#ifndef F5_PLAN_REPORT_H
#define F5_PLAN_REPORT_H

#include "kernels/cuda/arch.h"
#include "kernels/dtype.h"
#include "kernels/error.h"

/* as: "h200", a card by name; NULL: `own`, the architecture in use, which is NULL on the CPU. F5_E_ARGUMENT: no such
 * card; F5_E_UNSUPPORTED: NULL on the CPU. ops_plan_report takes the result. */
f5_status plan_report_arch(cuda_arch *arch, const char *as, const cuda_arch *own, f5_error *error);

/* Operands of one type; I8: of blocks in 8 bits, of the rest in fp16. */
f5_precision plan_report_precision(f5_dtype operands);

#endif
