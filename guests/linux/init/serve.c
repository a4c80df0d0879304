// SPDX-License-Identifier: Apache-2.0
// The workload "serve": a TCP service whose answers are promises. A line that a client appends is
// answered with its number once it is on the disk, so that whoever has an answer can hold every
// later state of the guest to it. guests/linux/check-served knows the format of the file.
//
// A request is a line, and so is its answer; a thread for each client:
//   append TEXT    -> NUMBER CRC  the CRC-32 of the line in the file; after its fsync
//   count          -> NUMBER      of lines
//   echo TEXT      -> TEXT
//   take BYTES     -> CRC         of as many bytes, which follow the request
//   give BYTES     -> as many bytes, and then their CRC
//   quit           -> bye         and the machine ends
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init.h"

enum { kPort = 7000, kTextMax = 200, kLineMax = 256, kBlock = 1 << 16 };

static const char kPath[] = DATA_DIR "/served";

// Two streams, because one that reads and writes forgets what it has read ahead.
struct client {
    FILE* in;
    FILE* out;
};

static struct {
    pthread_mutex_t lock;
    int listener;
    int fd;  // -1: closed, for the machine ends
    uint32_t count;
} served = {PTHREAD_MUTEX_INITIALIZER, -1, -1, 0};

// "NNNNNNNNNN TEXT CCCCCCCC\n": number in decimal, and the CRC-32 of all that stands before it.
static uint32_t make_line(char line[kLineMax], uint32_t number, const char* text) {
    const int size = snprintf(line, kLineMax, "%010u %.*s ", (unsigned)number, kTextMax, text);
    const uint32_t crc = crc32(0, line, (size_t)size);
    snprintf(line + size, kLineMax - (size_t)size, "%08x\n", (unsigned)crc);
    return crc;
}

// Whether `found` is line `number`, whole.
static bool is_intact(const char* found, uint32_t number) {
    enum { kAround = 11 + 10 };
    char text[kLineMax];
    char expected[kLineMax];
    const size_t size = strlen(found);
    if (size < kAround || size - kAround > kTextMax) return false;
    snprintf(text, sizeof text, "%.*s", (int)(size - kAround), found + 11);
    make_line(expected, number, text);
    return strcmp(found, expected) == 0;
}

// Counts the intact lines from the beginning, and cuts off what follows them.
static void keep_intact_lines(void) {
    char line[kLineMax];
    off_t end = 0;
    FILE* const file = fopen(kPath, "re");
    if (file == NULL) fail("cannot read %s: %s", kPath, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL && is_intact(line, served.count + 1)) {
        ++served.count;
        end += (off_t)strlen(line);
    }
    fclose(file);
    if (ftruncate(served.fd, end) != 0)
        fail("cannot cut %s after line %u: %s", kPath, (unsigned)served.count, strerror(errno));
}

static void open_lines(void) {
    served.fd = open(kPath, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (served.fd < 0) fail("cannot open %s: %s", kPath, strerror(errno));
    // The name must be as durable as the first line.
    const int dir = open(DATA_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) != 0) fail("cannot fsync " DATA_DIR ": %s", strerror(errno));
    close(dir);
    keep_intact_lines();
    if (served.count > 0) say("serve resumed after %u", (unsigned)served.count);
}

static void answer(struct client* client, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
static void answer(struct client* client, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(client->out, format, arguments);
    va_end(arguments);
    fputc('\n', client->out);
    fflush(client->out);
}

static void append(struct client* client, const char* text) {
    char line[kLineMax];
    pthread_mutex_lock(&served.lock);
    if (served.fd < 0) {
        pthread_mutex_unlock(&served.lock);
        return;
    }
    const uint32_t number = ++served.count;
    const uint32_t crc = make_line(line, number, text);
    const ssize_t size = (ssize_t)strlen(line);
    if (write(served.fd, line, (size_t)size) != size || fsync(served.fd) != 0)
        fail("cannot append line %u: %s", (unsigned)number, strerror(errno));
    pthread_mutex_unlock(&served.lock);
    answer(client, "%u %08x", (unsigned)number, (unsigned)crc);
}

static void count(struct client* client) {
    pthread_mutex_lock(&served.lock);
    const uint32_t number = served.count;
    pthread_mutex_unlock(&served.lock);
    answer(client, "%u", (unsigned)number);
}

static void take(struct client* client, unsigned long left) {
    char block[kBlock];
    uint32_t crc = 0;
    while (left > 0) {
        const size_t size = fread(block, 1, left < kBlock ? left : kBlock, client->in);
        if (size == 0) return;
        crc = crc32(crc, block, size);
        left -= size;
    }
    answer(client, "%08x", (unsigned)crc);
}

// No two blocks are the same, so that one in the wrong place is seen.
static void give(struct client* client, unsigned long left) {
    uint32_t block[kBlock / sizeof(uint32_t)];
    uint32_t crc = 0;
    uint32_t state = 0;
    while (left > 0) {
        const size_t size = left < kBlock ? left : kBlock;
        for (size_t i = 0; i < kBlock / sizeof(uint32_t); ++i)
            block[i] = state = state * 1664525u + 1013904223u;
        crc = crc32(crc, block, size);
        if (fwrite(block, 1, size, client->out) != size) return;
        left -= size;
    }
    answer(client, "%08x", (unsigned)crc);
}

// The answer is heard before the machine ends, or nobody listens.
static void quit(struct client* client) {
    const struct timeval limit = {.tv_sec = 2};
    answer(client, "bye");
    shutdown(fileno(client->out), SHUT_WR);
    setsockopt(fileno(client->out), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    fgetc(client->in);
    pthread_mutex_lock(&served.lock);
    close(served.fd);
    served.fd = -1;
    shutdown(served.listener, SHUT_RDWR);
    pthread_mutex_unlock(&served.lock);
}

static void handle(struct client* client, char* request) {
    request[strcspn(request, "\r\n")] = '\0';
    char* const text = request + strcspn(request, " ");
    const char* const argument = *text == '\0' ? text : text + 1;
    *text = '\0';
    if (strcmp(request, "append") == 0) {
        append(client, argument);
    } else if (strcmp(request, "count") == 0) {
        count(client);
    } else if (strcmp(request, "echo") == 0) {
        answer(client, "%s", argument);
    } else if (strcmp(request, "take") == 0) {
        take(client, strtoul(argument, NULL, 10));
    } else if (strcmp(request, "give") == 0) {
        give(client, strtoul(argument, NULL, 10));
    } else if (strcmp(request, "quit") == 0) {
        quit(client);
    } else {
        answer(client, "%s is none of append, count, echo, take, give, quit", request);
    }
}

static struct client* new_client(int fd) {
    const int yes = 1;
    struct client* const client = malloc(sizeof *client);
    const int copy = dup(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (client != NULL && copy >= 0) *client = (struct client){fdopen(fd, "r"), fdopen(copy, "w")};
    if (client == NULL || copy < 0 || client->in == NULL || client->out == NULL)
        fail("cannot take a client: %s", strerror(errno));
    return client;
}

static void* serve_client(void* argument) {
    struct client* const client = argument;
    char request[kLineMax];
    while (fgets(request, kTextMax, client->in) != NULL)
        handle(client, request);
    fclose(client->in);
    fclose(client->out);
    free(client);
    return NULL;
}

static void open_listener(void) {
    const int yes = 1;
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(kPort)};
    served.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (served.listener < 0 ||
        setsockopt(served.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(served.listener, (const struct sockaddr*)&any, sizeof any) != 0 ||
        listen(served.listener, 16) != 0)
        fail("cannot listen on port %d: %s", kPort, strerror(errno));
}

static void start_thread(void* (*function)(void*), void* argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 4 * kBlock);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const int error = pthread_create(&thread, &attributes, function, argument);
    if (error != 0) fail("cannot start a thread: %s", strerror(error));
    pthread_attr_destroy(&attributes);
}

void run_serve(const struct options* options) {
    signal(SIGPIPE, SIG_IGN);  // a client that is gone
    mount_data(options->disk);
    open_lines();
    set_up_network(options->address);
    open_listener();
    say("serve ready on port %d", kPort);
    int fd;
    while ((fd = accept4(served.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno != EINVAL)
        if (fd >= 0) start_thread(serve_client, new_client(fd));
    say("serve done %u", (unsigned)served.count);
}
