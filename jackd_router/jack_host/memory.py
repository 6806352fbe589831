"""The memory that daemon and JACK host share, as kernel.h lays it out; `kernel.py` compares the sizes at load."""

from __future__ import annotations

import ctypes as ct

MAX_PORTS = 1024
MAX_CELLS = 65536
MAX_BUSES = 64
METER_WINDOWS = 64
RING_RECORDS = 16384
COST_BUCKETS = 256

EVENT_PORT, EVENT_CONNECTION, EVENT_CLIENT, EVENT_RENAME, EVENT_ALIAS, EVENT_SHUTDOWN, EVENT_PROPERTY = range(1, 8)
"""Kinds of notification; `enum event` in kernel.h."""

AT_TARGET, FROM_SILENCE = range(2)
"""How a cell begins; `enum start` in kernel.h."""


class Record(ct.Structure):
    """One notification (struct record): `a`, `b` are ids of ports, valid within one generation."""

    _fields_ = [
        ("event", ct.c_uint32),
        ("a", ct.c_uint32),
        ("b", ct.c_uint32),
        ("on", ct.c_int32),
        ("flags", ct.c_uint64),
        ("usec", ct.c_uint64),
        ("type", ct.c_char * 32),
        ("name", ct.c_char * 640),
    ]


class Level(ct.Structure):
    """Peak and sum of squares of one port in one meter window (struct level)."""

    _fields_ = [("peak", ct.c_float), ("sumsq", ct.c_float)]


class Window(ct.Structure):
    """Length of a meter window in frames, and the plan that numbers its ports (struct window)."""

    _fields_ = [("frames", ct.c_uint32), ("plan", ct.c_uint32)]


class Cell(ct.Structure):
    """One cell of the mix matrix (struct cell): positions of ports in the plan, slots of gain and bus, frames of a fade.

    `owner` is the same as long as the slot belongs to the cell; with another one it begins as `start` says.
    """

    _fields_ = [(name, ct.c_uint32) for name in ("input", "output", "slot", "bus", "fade_frames", "start", "owner")]


class Midi(ct.Structure):
    """One MIDI pair (struct midi): its ports (jack_port_t *), slots of what sounds and of the bus; `owner` as of a cell."""

    _fields_ = [
        *((name, ct.c_void_p) for name in ("input", "output")),
        *((name, ct.c_uint32) for name in ("slot", "bus", "owner", "pad")),
    ]


class Plan(ct.Structure):
    """What one cycle does (struct plan)."""

    _fields_ = [
        *((name, ct.c_uint32) for name in ("serial", "inputs", "outputs", "cells", "midis")),
        *((name, ct.c_void_p) for name in ("in_port", "out_port", "cell", "midi")),
    ]


class Bus(ct.Structure):
    """What all cells and MIDI pairs of a bus share (struct bus)."""

    _fields_ = [
        *((name, ct.c_uint32) for name in ("number", "frames", "open", "pad")),
        ("factor", ct.c_double),
        ("ratio", ct.c_double),
    ]


class Targets(ct.Structure):
    """Linear gain of each slot, and what is said of each bus (struct targets)."""

    _fields_ = [("gain", ct.c_float * MAX_CELLS), ("bus", Bus * MAX_BUSES)]


class Shared(ct.Structure):
    """All of the shared memory (struct shared)."""

    _fields_ = [
        ("head", ct.c_uint64),
        ("pad0", ct.c_char * 56),
        ("tail", ct.c_uint64),
        ("pad1", ct.c_char * 56),
        ("overflow", ct.c_uint32),
        ("buffer_size", ct.c_uint32),
        ("sample_rate", ct.c_uint32),
        ("freewheeling", ct.c_uint32),
        ("xruns", ct.c_uint64),
        ("last_xrun_usec", ct.c_uint64),
        ("last_property_usec", ct.c_uint64),
        ("frames", ct.c_uint64),
        ("midi_lost", ct.c_uint64),
        ("pad2", ct.c_char * 8),
        ("cycles", ct.c_uint64),
        ("busy_ns", ct.c_uint64),
        ("max_ns", ct.c_uint64),
        ("windows", ct.c_uint64),
        ("thread", ct.c_uint32),
        ("unlocked", ct.c_uint32),
        ("pad3", ct.c_char * 24),
        ("cost", ct.c_uint64 * COST_BUCKETS),
        ("ready", ct.c_uint32),
        ("writing", ct.c_uint32),
        ("pad4", ct.c_char * 56),
        ("targets", Targets * 3),
        ("window", Window * METER_WINDOWS),
        ("level", Level * (2 * MAX_PORTS) * METER_WINDOWS),
        ("ring", Record * RING_RECORDS),
    ]
