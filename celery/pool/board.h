#pragma once

/* What the worker shares with one child: what must be known exactly even when the child dies
 * between two instructions, and what would otherwise cost a system call each.
 *
 * Slot serial % BOARD_SLOTS holds serial and state.  The worker queues; then either the child moves
 * QUEUED to STARTED, before the task's first line, or the worker moves QUEUED to REVOKED.  One of
 * them wins, so "has it started?" always has an answer.  A slot that was overtaken by a later
 * serial belonged to a revoked request, and the child skips that as well.
 *
 * The worker trusts nothing here beyond what its own list of requests says: a task may have written
 * anything. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "celery/pool/journal.h"

#define BOARD_SLOTS 128 /* more than requests can be under way in one child */

enum board_state { BOARD_QUEUED = 1, BOARD_STARTED = 2, BOARD_REVOKED = 3 };

struct board {
    _Atomic uint64_t slots[BOARD_SLOTS];     /* serial << 2 | state */
    _Atomic int64_t started_us[BOARD_SLOTS]; /* monotonic */
    _Atomic uint64_t cancel_serial;          /* whom SIGUSR1 or SIGTERM is for */
    /* Progress of the running request: odd sequence = being written. */
    _Atomic uint64_t progress_sequence;
    _Atomic uint64_t progress_serial;
    _Atomic int64_t progress_current;
    _Atomic int64_t progress_total;
    struct journal journal; /* the log lines of the running request, where they are kept */
};

static inline uint64_t
board_word(uint64_t serial, enum board_state state)
{
    return serial << 2 | state;
}

static inline void
board_queue(struct board *board, uint64_t serial)
{
    atomic_store(&board->slots[serial % BOARD_SLOTS], board_word(serial, BOARD_QUEUED));
}

/* Exactly one of board_start and board_revoke is true for a request. */
static inline bool
board_move(struct board *board, uint64_t serial, enum board_state to)
{
    uint64_t word = board_word(serial, BOARD_QUEUED);

    return atomic_compare_exchange_strong(&board->slots[serial % BOARD_SLOTS], &word,
                                          board_word(serial, to));
}

static inline bool
board_start(struct board *board, uint64_t serial, int64_t now_us)
{
    atomic_store(&board->started_us[serial % BOARD_SLOTS], now_us);
    return board_move(board, serial, BOARD_STARTED);
}

static inline bool
board_revoke(struct board *board, uint64_t serial)
{
    return board_move(board, serial, BOARD_REVOKED);
}

static inline bool
board_has_started(struct board *board, uint64_t serial, int64_t *started_us)
{
    if (atomic_load(&board->slots[serial % BOARD_SLOTS]) != board_word(serial, BOARD_STARTED))
        return false;
    *started_us = atomic_load(&board->started_us[serial % BOARD_SLOTS]);
    return true;
}

static inline void
board_set_progress(struct board *board, uint64_t serial, int64_t current, int64_t total)
{
    uint64_t sequence = atomic_load_explicit(&board->progress_sequence, memory_order_relaxed);

    atomic_store(&board->progress_sequence, sequence + 1);
    atomic_store(&board->progress_serial, serial);
    atomic_store(&board->progress_current, current);
    atomic_store(&board->progress_total, total);
    atomic_store(&board->progress_sequence, sequence + 2);
}

/* True if there is a whole progress of that request that *seen has not met yet. */
static inline bool
board_get_progress(struct board *board, uint64_t serial, uint64_t *seen, int64_t *current,
                   int64_t *total)
{
    uint64_t before = atomic_load(&board->progress_sequence);

    if (before == *seen || before & 1 || atomic_load(&board->progress_serial) != serial)
        return false;
    *current = atomic_load(&board->progress_current);
    *total = atomic_load(&board->progress_total);
    if (atomic_load(&board->progress_sequence) != before)
        return false;
    *seen = before;
    return true;
}
