/* phoneme_lines.c — each line of the standard input as IPA, a line each; run by tests/test_phonemes.py. Exits with 3
 * and the reason where there is no espeak-ng. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/phonemes/phonemes.h"

int main(void) {
    espeak *e;
    f5_error error;
    if (espeak_open(&e, &error) != F5_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 3;
    }
    static char line[1 << 16], ipa[1 << 18];
    int failed = 0;
    while (fgets(line, sizeof line, stdin) && !failed) {
        size_t n;
        failed = phonemes_of(e, line, strcspn(line, "\n"), ipa, sizeof ipa, &n, &error) != F5_OK;
        if (failed)
            fprintf(stderr, "%s\n", error.message);
        else
            printf("%.*s\n", (int)n, ipa);
    }
    espeak_close(e);
    return failed;
}
