/* MIDI from one port to another, and the end of what sounds where it may not pass any more. */
#ifndef JACKD_ROUTER_MIDI_H
#define JACKD_ROUTER_MIDI_H

#include "kernel.h"

/* What sounds behind an output, by channel: a bit for each note, and the pedals that are held. */
struct sounding {
    uint64_t note[16][2];
    uint16_t sustain, sostenuto, channels;   /* channels: those with a note or a pedal */
};

/* One cycle, with the buffers of both ports. `open`: the channels that pass, a bit each; with none nothing does, be it of no
 * channel. Gives how many events the output had no room for. */
uint32_t midi_pass(const struct libjack *, void *in, void *out, struct sounding *, uint32_t open);

/* One last cycle without input; 1: there was something to end. */
int midi_end(const struct libjack *, void *out, struct sounding *);

#endif
