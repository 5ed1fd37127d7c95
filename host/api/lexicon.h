/* lexicon.h — what stands behind the public f5_lexicon. */
#ifndef F5_API_LEXICON_H
#define F5_API_LEXICON_H

#include "host/api/f5tts.h"
#include "host/text/lexicon.h"

static inline const lexicon *lexicon_of(const f5_lexicon *l) {
    return (const lexicon *)l;
}

#endif
