/* One line that is written over itself. */

#include "cli/progress.h"

#include <stdio.h>

#include "cli/cli.h"

#define BAR_COLUMNS 24

void
cli_progress_init(struct cli_progress *self, struct str label, bool is_shown)
{
    *self = (struct cli_progress){.clock = &clock_system, .label = label, .is_shown = is_shown};
}

static void
format_amount(const struct cli_progress *self, int64_t value, char text[32])
{
    if (self->is_bytes)
        (void)cli_format_bytes(value, text);
    else if (value >= 1000000000)
        (void)snprintf(text, 32, "%.2f G", (double)value / 1e9);
    else if (value >= 10000000)
        (void)snprintf(text, 32, "%.1f M", (double)value / 1e6);
    else
        (void)cli_format_count(value, text);
}

static void
draw(struct cli_progress *self, int64_t done, int64_t total, int64_t now_us)
{
    double elapsed_s = (double)(now_us - self->begin_us) / (double)US_PER_S;
    double rate = elapsed_s > 0 ? (double)(done - self->first_done) / elapsed_s : 0;
    char done_text[32];
    char total_text[32];
    char rate_text[32];
    char left_text[32] = "";
    char bar[BAR_COLUMNS + 1];
    int share;
    int len;

    format_amount(self, done, done_text);
    format_amount(self, total, total_text);
    format_amount(self, (int64_t)rate, rate_text);
    if (total <= 0) {
        len = fprintf(stderr, "\r%.*s  %s  %s/s", STR_ARG(self->label), done_text, rate_text);
    } else {
        share = done >= total ? 100 : (int)((double)done * 100 / (double)total);
        for (int i = 0; i < BAR_COLUMNS; i++)
            bar[i] = i < share * BAR_COLUMNS / 100 ? '#' : '.';
        bar[BAR_COLUMNS] = '\0';
        if (rate > 0 && done < total)
            (void)cli_format_span((int64_t)((double)(total - done) / rate * (double)US_PER_S),
                                  left_text);
        len =
            fprintf(stderr, "\r%.*s  [%s] %3d%%  %s/%s  %s/s%s%s", STR_ARG(self->label), bar, share,
                    done_text, total_text, rate_text, left_text[0] ? "  left " : "", left_text);
    }
    if (len < self->width)
        (void)fprintf(stderr, "%*s", self->width - len, "");
    self->width = len;
    (void)fflush(stderr);
}

void
cli_progress_update(struct cli_progress *self, int64_t done, int64_t total)
{
    int64_t now_us;

    if (!self->is_shown)
        return;
    now_us = clock_mono_us(self->clock);
    if (!self->has_begun) {
        self->has_begun = true;
        self->begin_us = now_us;
        self->first_done = done;
    }
    if (self->drawn_us && now_us - self->drawn_us < US_PER_S / 10 && done < total)
        return;
    self->drawn_us = now_us;
    draw(self, done, total, now_us);
}

void
cli_progress_clear(struct cli_progress *self)
{
    if (!self->is_shown || self->width == 0)
        return;
    (void)fprintf(stderr, "\r%*s\r", self->width, "");
    (void)fflush(stderr);
    self->width = 0;
}
