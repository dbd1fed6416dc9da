/* From /proc; it is the same in all containers of a machine. */

#include "base/boot_id.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

void
boot_id_read(char text[BOOT_ID_BYTES])
{
    CLEANUP(file_close_fdp) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, BOOT_ID_BYTES - 1);

    if (n == BOOT_ID_BYTES - 1)
        text[n] = '\0';
    else
        (void)snprintf(text, BOOT_ID_BYTES, "unknown");
}
