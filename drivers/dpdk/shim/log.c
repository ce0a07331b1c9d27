// What DPDK logs: kept, so that an error can say what a driver had to say about it.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_log.h>

#include "shim.h"

// The last words matter; a driver that talks for ever must not fill memory.
enum { LOG_BYTES = 8192, LINES_MAX = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char text[LOG_BYTES];
static size_t length;
static bool to_stderr;

static ssize_t keep(void *cookie, const char *bytes, size_t count) {
    (void)cookie;
    size_t all = count;
    pthread_mutex_lock(&lock);
    if (count > LOG_BYTES / 2) {
        bytes += count - LOG_BYTES / 2;
        count = LOG_BYTES / 2;
    }
    if (length + count > LOG_BYTES) {
        size_t dropped = length + count - LOG_BYTES;
        memmove(text, text + dropped, length - dropped);
        length -= dropped;
    }
    memcpy(text + length, bytes, count);
    length += count;
    pthread_mutex_unlock(&lock);
    if (to_stderr) fwrite(bytes, 1, count, stderr);
    return (ssize_t)all;
}

void wirelet_log_start(bool tee) {
    to_stderr = tee;
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = keep });
    // Without one, DPDK writes to standard error and the syslog, as it does by itself.
    if (stream == NULL) return;
    setvbuf(stream, NULL, _IOLBF, 512);
    rte_openlog_stream(stream);
}

void wirelet_log_clear(void) {
    pthread_mutex_lock(&lock);
    length = 0;
    pthread_mutex_unlock(&lock);
}

// Appends the last lines of the log, joined by semicolons.
static void append_log(char *message, size_t used) {
    pthread_mutex_lock(&lock);
    size_t end = length, first = length;
    while (end > 0 && text[end - 1] == '\n') end--;
    int lines = 0;
    for (first = end; first > 0; first--) {
        if (text[first - 1] == '\n' && ++lines == LINES_MAX) break;
    }
    if (end > first && used + 4 < WIRELET_MESSAGE_BYTES) {
        memcpy(message + used, " (", 2);
        used += 2;
        for (; first < end && used + 3 < WIRELET_MESSAGE_BYTES; first++) {
            bool breaks = text[first] == '\n';
            message[used++] = breaks ? ';' : text[first];
            if (breaks) message[used++] = ' ';
        }
        message[used++] = ')';
        message[used] = 0;
    }
    pthread_mutex_unlock(&lock);
}

int wirelet_failed(char *message, int error, const char *what, ...) {
    va_list arguments;
    va_start(arguments, what);
    int used = vsnprintf(message, WIRELET_MESSAGE_BYTES / 2, what, arguments);
    va_end(arguments);
    if (used < 0) used = 0;
    if (used >= WIRELET_MESSAGE_BYTES / 2) used = WIRELET_MESSAGE_BYTES / 2 - 1;
    if (error > 0) error = -error;
    used += snprintf(message + used, WIRELET_MESSAGE_BYTES - used, ": %s", strerror(-error));
    append_log(message, used);
    return error == 0 ? -EINVAL : error;
}
