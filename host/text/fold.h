/* fold.h — keeps of a text what a model can say: characters that it does not know turn into such that it does.
 *
 * A character that the model can say stays, byte for byte, so that a text of only such characters comes out as it went
 * in. Any other one becomes, in this order of choice:
 *   composed     a letter and the marks after it are one character where the model can say that one;
 *   other case   a letter whose case the vocabulary lacks;
 *   folded       what Unicode decomposes it to, or a table by hand (weights/text/make_fold.py): full-width letters,
 *                mathematical and circled ones, ligatures, accents, typographic quotes, dashes, spaces, stops of other
 *                scripts. The first alternative is taken of which every character can be said;
 *   dropped      what makes no sound: invisible characters, controls, marks left over, bullets, and the brackets,
 * quotes and stops that the vocabulary lacks. An invisible character leaves no gap: a word it cut is whole again;
 *   unknown      dropped and reported: emoji, letters of other scripts, signs.
 * Where an unknown character or a bullet stood between two words without a space, a space comes in its place, except
 * beside scripts that are written without spaces. Spaces around it become one, and none is left before a stop.
 * A text is a sentence or any other whole: nothing is remembered from one call to the next. Nothing is allocated, and
 * a function of this file may run on any number of threads at once, each with its own buffers. */
#ifndef F5_FOLD_H
#define F5_FOLD_H

#include "host/text/text_buffer.h"
#include "host/text/tokenizer.h"

/* What a model can say: 8 KB, read-only once made. */
typedef struct {
    tokenizer_kind kind;
    const vocab *v;                   /* NULL for `byte`; must outlive this */
    const pinyin_table *pinyin;       /* for Chinese text; NULL: none. Must outlive this */
    uint8_t below_10000[0x10000 / 8]; /* a bit each character below U+10000 */
} fold_alphabet;

/* Asks the tokenizer: a character can be said if all its tokens are in the vocabulary. `byte` says everything. Chinese
 * characters that the tokenizer refuses for want of tables count too: its own error is clearer. Tab and line ends count
 * where token 0 is the space, since unknown tokens take that one. A few milliseconds. */
void fold_alphabet_init(fold_alphabet *a, tokenizer_kind kind, const vocab *v, const pinyin_table *pinyin);
bool fold_can_say(const fold_alphabet *a, uint32_t code);

#define FOLD_REPORTED 16 /* distinct characters that a report tells apart */

typedef struct {
    uint32_t code;
    int64_t count;
    size_t first; /* byte offset of the first one */
} fold_unknown;

/* Unknown characters of any number of calls. Begin with {0}. An emoji made of several characters counts once. */
typedef struct {
    size_t offset; /* where the next text begins: each call adds its bytes, the caller may set it */
    int64_t count; /* all unknown characters */
    int32_t distinct;
    fold_unknown unknown[FOLD_REPORTED]; /* [distinct] in order of appearance; later ones are in count alone */
} fold_report;

/* Appends what the model can say of the text; `report` may be NULL. Errors: F5_E_FORMAT (malformed UTF-8, named by its
 * byte offset; nothing is written), F5_E_LIMIT (out is full: it holds a part). */
f5_status fold_text(const fold_alphabet *a, const char *text, size_t bytes, text_buffer *out, fold_report *report,
                    f5_error *error);

/* The same without any vocabulary, for what reads numbers and words: full-width, mathematical, circled and Roman
 * letters and digits, Latin ligatures, typographic quotes, dashes and spaces become ASCII, invisible characters go,
 * everything else stays: accents, full-width stops, fractions, raised digits, signs. */
f5_status fold_compat(const char *text, size_t bytes, text_buffer *out, f5_error *error);

/* No text grows more than this. */
static inline size_t fold_max_bytes(size_t bytes) {
    return 12 * bytes;
}

/* Nothing to say: the text holds no letter, digit or ideograph. */
bool fold_is_silent(const char *text, size_t bytes);

/* "the text has 3 characters that the model cannot say, and leaves them out: U+1F600 '😀' (2 times, first at byte 17),
 * ...". Writes at most size bytes, '\0' included, and cuts between characters; empty if nothing is unknown. */
void fold_report_message(const fold_report *report, char *message, size_t size);

#endif
