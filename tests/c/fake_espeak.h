/* fake_espeak.h — what fake_espeak.c is told, and what it has seen. */
#ifndef F5_TEST_FAKE_ESPEAK_H
#define F5_TEST_FAKE_ESPEAK_H

typedef struct {
    int without_data, without_voice; /* asked of it */
    int initialised;                 /* and not yet ended */
    int wrong;                       /* a call beside another, or while not initialised once */
} fake_espeak_state;

#endif
