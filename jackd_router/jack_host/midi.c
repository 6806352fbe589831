/* See midi.h. */
#include "midi.h"

#include <string.h>

enum { NOTE_OFF = 0x80, NOTE_ON = 0x90, CONTROL = 0xB0, SYSTEM = 0xF0,
       SUSTAIN = 64, SOSTENUTO = 66, ALL_SOUND_OFF = 120, RESET_CONTROLLERS = 121, ALL_NOTES_OFF = 123 };

static void set_bit(uint16_t *bits, uint32_t bit, int on)
{
    *bits = (uint16_t)(on ? *bits | 1u << bit : *bits & ~(1u << bit));
}

static int has_bit(uint32_t bits, uint32_t bit) { return bits >> bit & 1; }

/* Notes what an event of three bytes leaves sounding: all others are too short, or of no channel. */
static void note_event(struct sounding *s, const unsigned char *byte)
{
    uint32_t kind = byte[0] & 0xF0, channel = byte[0] & 15, number = byte[1] & 127;
    uint64_t *note = s->note[channel], bit = 1ull << number % 64;
    if (kind == NOTE_ON && byte[2]) note[number / 64] |= bit;
    else if (kind == NOTE_ON || kind == NOTE_OFF) note[number / 64] &= ~bit;
    else if (kind != CONTROL) return;
    else if (number == SUSTAIN) set_bit(&s->sustain, channel, byte[2] >= 64);
    else if (number == SOSTENUTO) set_bit(&s->sostenuto, channel, byte[2] >= 64);
    else if (number == ALL_SOUND_OFF || number >= ALL_NOTES_OFF) note[0] = note[1] = 0;
    else if (number == RESET_CONTROLLERS) {
        set_bit(&s->sustain, channel, 0);
        set_bit(&s->sostenuto, channel, 0);
    }
    set_bit(&s->channels, channel, note[0] || note[1] || has_bit(s->sustain | s->sostenuto, channel));
}

/* Writes an event of ours at the beginning of the cycle; 0 where there is no room. */
static int write_first(const struct libjack *jack, void *out, struct sounding *s, uint32_t status, uint32_t number, uint32_t value)
{
    unsigned char *to = jack->midi_reserve(out, 0, 3);
    if (!to) return 0;
    const unsigned char event[3] = {(unsigned char)status, (unsigned char)number, (unsigned char)value};
    memcpy(to, event, sizeof event);
    note_event(s, event);
    return 1;
}

/* Ends all notes and lets go of all pedals on channels that are not open; what finds no room is ended in the next cycle. */
static void end_closed(const struct libjack *jack, void *out, struct sounding *s, uint32_t open)
{
    for (uint32_t c = 0; c < 16; c++) {
        if (!has_bit(s->channels & ~open, c)) continue;
        for (uint32_t number = 0; number < 128; number++)
            if (s->note[c][number / 64] >> number % 64 & 1 && !write_first(jack, out, s, NOTE_OFF | c, number, 64)) return;
        if (has_bit(s->sustain, c) && !write_first(jack, out, s, CONTROL | c, SUSTAIN, 0)) return;
        if (has_bit(s->sostenuto, c) && !write_first(jack, out, s, CONTROL | c, SOSTENUTO, 0)) return;
    }
}

static int passes(uint32_t status, uint32_t open) { return status >= SYSTEM ? open != 0 : has_bit(open, status & 15); }

uint32_t midi_pass(const struct libjack *jack, void *in, void *out, struct sounding *s, uint32_t open)
{
    uint32_t lost = 0;
    jack->midi_clear(out);
    if (s->channels & ~open) end_closed(jack, out, s, open);
    for (uint32_t i = 0, count = open ? jack->midi_count(in) : 0; i < count; i++) {
        struct midi_event e;
        if (jack->midi_get(&e, in, i) || !e.bytes || !passes(e.byte[0], open)) continue;
        unsigned char *to = jack->midi_reserve(out, e.frame, e.bytes);
        if (!to) {
            lost++;
            continue;
        }
        memcpy(to, e.byte, e.bytes);
        if (e.bytes == 3) note_event(s, e.byte);
    }
    return lost;
}

int midi_end(const struct libjack *jack, void *out, struct sounding *s)
{
    int sounds = s->channels != 0;
    jack->midi_clear(out);
    end_closed(jack, out, s, 0);
    return sounds;
}
