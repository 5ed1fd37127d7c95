/* vocab_file.h — vocab.txt as a checkpoint means it. */
#ifndef F5_VOCAB_FILE_H
#define F5_VOCAB_FILE_H

#include "weights/vocab.h"

/* What a vocabulary with a line twice comes to. */
typedef struct {
    int32_t repeated;  /* lines that a later line repeats */
    int32_t unspoken;  /* tokens whose id lies beyond the embedding */
    char examples[64]; /* some of these, each after a space */
} vocab_repeats;

/* Reads it. Errors: those of read_file and vocab_parse; F5_E_FORMAT for one without letters, which is a file of another
 * form. */
f5_status vocab_file_read(vocab *v, const char *path, f5_error *error);

/* A line twice makes upstream's embedding smaller than its vocabulary: ids stay line numbers, a token takes its last
 * line, but there are only as many rows as tokens that differ, and the padding's. Where the embedding has that many
 * rows, v becomes what upstream can say with it: the first lines, as many as there are rows for. A token whose last
 * line is behind them is none any more; upstream fails on it, and no training can have taught it. Its earlier lines are
 * empty then. Otherwise v stays as it is. */
f5_status vocab_file_fit(vocab *v, vocab_repeats *repeats, int64_t rows, const char *path, f5_error *error);

/* A vocabulary of `size` tokens that is no file: the characters of symbols, and empty tokens behind them, for rows of
 * the embedding that no symbol has. F5_E_UNSUPPORTED: there are more symbols than that. */
f5_status vocab_file_of_symbols(vocab *v, const char *symbols, int32_t size, const char *where, f5_error *error);

#endif
