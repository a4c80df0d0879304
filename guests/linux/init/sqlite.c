// SPDX-License-Identifier: Apache-2.0
// The workload "sqlite": transactions through one sqlite3 process kept open over two pipes (fork
// and exec are slow where ring 0 is emulated), each printed after its commit.
//
// WAL with synchronous=FULL: every commit is on the disk before it is acknowledged, with one fsync
// rather than the three or four of a rollback journal. The exclusive lock keeps the WAL index in
// memory: no other process opens this database.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

struct sqlite {
    pid_t pid;
    FILE* in;
    FILE* out;
};

static struct sqlite start_sqlite(void) {
    int in[2];
    int out[2];
    if (pipe(in) != 0 || pipe(out) != 0) fail("cannot make a pipe: %s", strerror(errno));
    const pid_t pid = vfork();
    if (pid < 0) fail("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        close(in[1]);
        close(out[0]);
        execl("/usr/bin/sqlite3", "sqlite3", "-batch", "-bail", DATA_DIR "/test.db", NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    return (struct sqlite){pid, fdopen(in[1], "w"), fdopen(out[0], "r")};
}

// Reads one line without its end.
static void read_line(struct sqlite* sqlite, char* line, size_t size) {
    if (fgets(line, (int)size, sqlite->out) == NULL) fail("sqlite3 ended early");
    line[strcspn(line, "\n")] = '\0';
}

// Sends SQL; the marker that follows it comes back after whatever it printed, so `answer` must be
// all that it printed ("" for nothing).
static void expect(struct sqlite* sqlite, const char* sql, const char* answer) {
    char line[256];
    fprintf(sqlite->in, "%s\nSELECT 'end';\n", sql);
    fflush(sqlite->in);
    read_line(sqlite, line, sizeof line);
    if (answer[0] != '\0') {
        if (strcmp(line, answer) != 0) fail("sqlite: %s", line);
        read_line(sqlite, line, sizeof line);
    }
    if (strcmp(line, "end") != 0) fail("sqlite: %s", line);
}

static uint32_t query_number(struct sqlite* sqlite, const char* sql) {
    char line[256];
    char* rest;
    fprintf(sqlite->in, "%s\n", sql);
    fflush(sqlite->in);
    read_line(sqlite, line, sizeof line);
    const unsigned long number = strtoul(line, &rest, 10);
    if (rest == line || *rest != '\0') fail("sqlite: %s", line);
    return (uint32_t)number;
}

static void insert_row(struct sqlite* sqlite, uint32_t n) {
    char sql[256];
    const unsigned row = (unsigned)n;
    const unsigned value = row * 2654435761u;
    snprintf(sql, sizeof sql,
             "BEGIN; INSERT INTO log VALUES(%u, %u); UPDATE total SET sum = sum + %u; COMMIT;", row,
             value, value);
    expect(sqlite, sql, "");
}

// CRC-32 over "n|v\n" of all rows in order.
static uint32_t checksum_rows(struct sqlite* sqlite) {
    char line[256];
    uint32_t crc = 0;
    fputs("SELECT n, v FROM log ORDER BY n; SELECT 'end';\n", sqlite->in);
    fflush(sqlite->in);
    for (;;) {
        read_line(sqlite, line, sizeof line);
        if (strcmp(line, "end") == 0) return crc;
        crc = crc32(crc, line, strlen(line));
        crc = crc32(crc, "\n", 1);
    }
}

static void stop_sqlite(struct sqlite* sqlite) {
    int status;
    fclose(sqlite->in);
    if (fgetc(sqlite->out) != EOF) fail("sqlite3 printed something at its end");
    fclose(sqlite->out);
    if (waitpid(sqlite->pid, &status, 0) != sqlite->pid || status != 0)
        fail("sqlite3 ended with status %#x", (unsigned)status);
}

void run_sqlite(const struct options* options) {
    mount_data(options->disk);
    struct sqlite sqlite = start_sqlite();
    expect(&sqlite, "PRAGMA locking_mode=EXCLUSIVE;", "exclusive");
    expect(&sqlite, "PRAGMA journal_mode=WAL;", "wal");
    expect(&sqlite,
           "PRAGMA synchronous=FULL; BEGIN;"
           "CREATE TABLE IF NOT EXISTS log(n INTEGER PRIMARY KEY, v INTEGER NOT NULL);"
           "CREATE TABLE IF NOT EXISTS total(id INTEGER PRIMARY KEY, sum INTEGER NOT NULL);"
           "INSERT OR IGNORE INTO total VALUES(1, 0); COMMIT;",
           "");
    const uint32_t first = query_number(&sqlite, "SELECT count(*) FROM log;") + 1;
    if (first > 1) say("sqlite resumed after %u", (unsigned)(first - 1));
    for (uint32_t n = first; n <= options->count; ++n) {
        insert_row(&sqlite, n);
        if (n % options->report == 0) say("txn %u", (unsigned)n);
        pause_ms(options->interval_ms);
    }
    expect(&sqlite, "PRAGMA integrity_check;", "ok");
    expect(&sqlite, "SELECT (SELECT sum(v) FROM log) = (SELECT sum FROM total);", "1");
    say("sqlite integrity ok");
    const uint32_t rows = query_number(&sqlite, "SELECT count(*) FROM log;");
    const uint32_t checksum = checksum_rows(&sqlite);
    stop_sqlite(&sqlite);
    say("sqlite rows %u checksum %08x", (unsigned)rows, (unsigned)checksum);
}
