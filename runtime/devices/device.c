/* device.c — reads the names of devices and precisions, and opens the one that was chosen. */
#include "runtime/devices/device.h"

#include <stdlib.h>
#include <string.h>

/* 8 bits are for the products of a backbone's blocks; the other operands are then those of the device's best. */
static f5_status choose_precision(const char *text, device_choice *choice, f5_error *error) {
    const bool cuda = choice->cuda;
    f5_dtype *precision = &choice->precision;
    choice->int8 = text && strcmp(text, "int8") == 0;
    if (!text || choice->int8) {
        *precision = cuda ? F5_F16 : F5_F32;
        return F5_OK;
    }
    if (!dtype_from_name(precision, text))
        return f5_fail(error, F5_E_ARGUMENT, "precision '%s' is unknown: use 'fp32', 'fp16', 'bf16' or 'int8'", text);
    if (!cuda && *precision != F5_F32)
        return f5_fail(error, F5_E_UNSUPPORTED, "precision '%s' needs a GPU: the cpu computes in fp32, or int8", text);
    return F5_OK;
}

f5_status device_read_vocoder(const char *text, f5_dtype *vocoder, f5_error *error) {
    if (dtype_from_name(vocoder, text) && *vocoder != F5_I8) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "vocoder_precision '%s' is unknown: use 'fp32', 'fp16' or 'bf16'", text);
}

static f5_status choose_vocoder(const char *text, device_choice *choice, f5_error *error) {
    if (!text) return F5_OK;
    F5_TRY(device_read_vocoder(text, &choice->vocoder, error));
    if (!choice->cuda && choice->vocoder != F5_F32)
        return f5_fail(error, F5_E_UNSUPPORTED, "vocoder_precision '%s' needs a GPU: the cpu computes in fp32", text);
    return F5_OK;
}

#ifndef F5_HAVE_CUDA
bool device_cuda_usable(void) {
    return false;
}

f5_status device_cuda_open(const device_choice *choice, const device_needs *needs, device **d, f5_error *error) {
    (void)needs, (void)d;
    return f5_fail(error, F5_E_DEVICE, "device 'cuda:%d': this build has no GPU backend; use 'cpu' or 'auto'",
                   choice->ordinal);
}
#endif

f5_status device_choose(const char *spec, const char *precision, const char *vocoder, device_choice *choice,
                        f5_error *error) {
    const char *name = spec ? spec : "auto";
    *choice = (device_choice){0};
    if (strcmp(name, "auto") == 0) {
        choice->cuda = device_cuda_usable();
    } else if (strncmp(name, "cuda", 4) == 0 && (name[4] == '\0' || name[4] == ':')) {
        char *end = NULL;
        long ordinal = name[4] == ':' ? strtol(name + 5, &end, 10) : 0;
        if ((end && (name[5] < '0' || name[5] > '9' || *end)) || ordinal < 0 || ordinal > 1023)
            return f5_fail(error, F5_E_ARGUMENT, "device '%s': after 'cuda:' comes a number, as in 'cuda:1'", name);
        choice->cuda = true;
        choice->ordinal = (int32_t)ordinal;
    } else if (strncmp(name, "cpu:", 4) == 0 && name[4] != '\0' && strlen(name + 4) < DEVICE_SET_BYTES) {
        strcpy(choice->cpu_set, name + 4);
    } else if (strcmp(name, "cpu") != 0) {
        return f5_fail(error, F5_E_ARGUMENT, "device '%s' is unknown: use 'auto', 'cpu', 'cuda' or 'cuda:N'", name);
    }
    F5_TRY(choose_precision(precision, choice, error));
    return choose_vocoder(vocoder, choice, error);
}

f5_status device_open(const device_choice *choice, const device_needs *needs, device **d, f5_error *error) {
    *d = NULL;
    return choice->cuda ? device_cuda_open(choice, needs, d, error) : device_cpu_open(choice, needs, d, error);
}
