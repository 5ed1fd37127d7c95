/* card_energy.h — what the GPU has used, by NVML, which comes with the driver and is loaded when it is asked for. */
#ifndef F5_CARD_ENERGY_H
#define F5_CARD_ENERGY_H

typedef struct {
    void *library, *card; /* NULL: nothing is told */
    int (*read)(void *card, unsigned long long *millijoules);
} card_energy;

/* Finds the counter. Which of several cards computes, NVML does not know by CUDA's numbers: then nothing is told. */
void card_energy_open(card_energy *e);
double card_energy_joules(const card_energy *e); /* since the driver was loaded; negative: not told */
void card_energy_close(card_energy *e);

#endif
