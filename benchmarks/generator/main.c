/* The commands of the load generator, and its one event loop.
 *
 * It reads one command a line on stdin and answers each that takes time with one JSON object a line on stdout:
 *
 *   connection HOST PORT PATH PROTOCOL|- framed|joined [STEP]...   a client; a step is tHEX (send text), bHEX (send
 *                                                                  binary) or eHEX (wait for these bytes)
 *   open PARALLEL SECONDS                                          open them all, so many at once
 *   stream CONNECTION CONFIRMED WINDOW RATE COUNT tHEX|bHEX        a publisher's messages
 *   member CONNECTION STREAM                                       this client is to get that stream
 *   run SECONDS SETTLE_MS GATHER_US                                send, and wait until everything has come; what comes
 *                                                                  in GATHER_US is read together (0: at once)
 *   close                                                          close all connections
 *
 * While it waits for a command it serves its connections, so that servers that ping are answered. */
#define _GNU_SOURCE
#include "generator.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 2048 };

int epoll_fd;
size_t opening, closed_unasked;
static int timer_fd;
static uint64_t waited_ns; /* time in which there was nothing to do */
static long gather_ns; /* how long to let messages gather, so that they do not wake this process one by one */
static struct histogram opening_time;
static size_t opened_count, next_to_open, parallel;

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Serve the connections once, waiting until `until_ns` at most; return whether there is something on stdin. */
static bool pump(uint64_t until_ns) {
    static struct epoll_event events[EVENTS];
    static uint64_t armed_ns;
    if (until_ns != armed_ns) {
        struct itimerspec when = {.it_value = {(time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u)}};
        if (until_ns == UINT64_MAX)
            when = (struct itimerspec){0};
        timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
        armed_ns = until_ns;
    }
    flush_dirty();
    uint64_t before_ns = now_ns();
    if (gather_ns)
        nanosleep(&(struct timespec){.tv_nsec = gather_ns}, NULL);
    int count = epoll_wait(epoll_fd, events, EVENTS, -1);
    waited_ns += now_ns() - before_ns;
    bool command = false;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &timer_fd) {
            uint64_t expirations;
            if (read(timer_fd, &expirations, sizeof expirations) > 0)
                armed_ns = 0;
        } else if (events[i].data.ptr == NULL) {
            command = true;
        } else {
            connection_events(events[i].data.ptr, events[i].events);
        }
    }
    return command;
}

/* Return the next line of stdin without its end, or NULL at the end of input. */
static char *next_line(void) {
    static struct buffer input;
    static size_t taken;
    buffer_drop(&input, taken);
    size_t searched = 0;
    for (;;) {
        unsigned char *end = input.length > searched ? memchr(input.bytes + searched, '\n', input.length - searched) : NULL;
        if (end) {
            *end = 0;
            taken = (size_t)(end - input.bytes) + 1;
            return (char *)input.bytes;
        }
        searched = input.length;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
        while (!pump(UINT64_MAX))
            continue;
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        char chunk[65536];
        ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
        if (got == 0 || (got < 0 && errno != EINTR))
            return NULL;
        if (got > 0)
            buffer_append(&input, chunk, (size_t)got);
    }
}

static void fail(const char *words) {
    fprintf(stderr, "generator: %s\n", words);
    exit(2);
}

static char *word(char **rest) {
    char *found = strsep(rest, " ");
    if (!found || !*found)
        fail("a command lacks an argument");
    return found;
}

static uint32_t number(char **rest, size_t bound) {
    unsigned long value = strtoul(word(rest), NULL, 10);
    if (value >= bound)
        fail("a number is too large");
    return (uint32_t)value;
}

static unsigned char *bytes_of(const char *hex, size_t *length) {
    *length = strlen(hex) / 2;
    unsigned char *bytes = claim(NULL, *length + 1);
    for (size_t i = 0; i < *length; i++)
        if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1)
            fail("not hexadecimal");
    return bytes;
}

static void add_connection(char *rest) {
    /* Pointers to connections live in epoll, so all of them are made before the first is opened. */
    if (next_to_open)
        fail("connections come before `open`");
    connections = claim(connections, (connection_count + 1) * sizeof *connections);
    struct connection *connection = &connections[connection_count++];
    *connection = (struct connection){.fd = -1, .host = strdup(word(&rest))};
    connection->port = (uint16_t)number(&rest, 65536);
    connection->path = strdup(word(&rest));
    connection->protocol = strdup(word(&rest));
    connection->joined = strcmp(word(&rest), "joined") == 0;
    while (rest && *rest) {
        char *step = word(&rest);
        connection->steps = claim(connection->steps, (connection->step_count + 1) * sizeof *connection->steps);
        struct step *added = &connection->steps[connection->step_count++];
        added->kind = *step == 't' ? SEND_TEXT : *step == 'b' ? SEND_BINARY : EXPECT;
        added->bytes = bytes_of(step + 1, &added->length);
    }
}

void opened(struct connection *connection) {
    opened_count++;
    histogram_add(&opening_time, now_ns() - connection->began_ns);
}

static void print_first_failure(void) {
    for (size_t i = 0; i < connection_count; i++) {
        const struct connection *connection = &connections[i];
        if (connection->state == READY)
            continue;
        printf(",\"failure\":{\"connection\":%zu,\"step\":%zu,\"steps\":%zu,\"close_code\":%d,\"last\":\"", i,
               connection->next_step, connection->step_count, connection->close_code);
        for (size_t b = 0; b < connection->last_length; b++)
            printf("%02x", connection->last[b]);
        printf("\"}");
        return;
    }
}

static void print_own(double cpu_before_s, uint64_t began_ns) {
    double wall_s = (double)(now_ns() - began_ns) / 1e9;
    printf("\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"waited_seconds\":%.6f", wall_s, cpu_seconds() - cpu_before_s,
           (double)waited_ns / 1e9);
}

static void open_all(char *rest) {
    parallel = number(&rest, 1u << 20);
    uint64_t began_ns = now_ns(), until_ns = began_ns + (uint64_t)(atof(word(&rest)) * 1e9);
    double cpu_before_s = cpu_seconds();
    waited_ns = 0;
    histogram_clear(&opening_time);
    while ((next_to_open < connection_count || opening) && now_ns() < until_ns) {
        while (next_to_open < connection_count && opening < parallel)
            connection_open(&connections[next_to_open++]);
        if (opening)
            pump(until_ns);
    }
    flush_dirty();
    printf("{");
    print_own(cpu_before_s, began_ns);
    printf(",\"opened\":%zu,\"failed\":%zu,\"time\":", opened_count, connection_count - opened_count);
    histogram_print(&opening_time);
    print_first_failure();
    printf("}\n");
}

static void add_stream(char *rest) {
    uint32_t connection = number(&rest, connection_count), confirmed = number(&rest, 2);
    uint32_t window = number(&rest, 1u << 20);
    double rate = atof(word(&rest));
    uint32_t count = number(&rest, 1u << 28);
    char *template = word(&rest);
    size_t length;
    unsigned char *bytes = bytes_of(template + 1, &length);
    stream_add(connection, confirmed, window, rate, count, *template == 't', bytes, length);
}

static void run(char *rest) {
    uint64_t began_ns = now_ns(), until_ns = began_ns + (uint64_t)(atof(word(&rest)) * 1e9);
    uint64_t settle_ns = (uint64_t)number(&rest, 1u << 20) * 1000000u;
    gather_ns = (long)number(&rest, 1000000) * 1000;
    double cpu_before_s = cpu_seconds();
    waited_ns = 0;
    size_t closed_before = closed_unasked;
    load_begin(began_ns);
    /* Once a connection is gone, not everything can come any more. */
    while (!load_complete() && closed_unasked == closed_before && now_ns() < until_ns) {
        uint64_t next_ns = load_send(now_ns());
        pump(next_ns < until_ns ? next_ns : until_ns);
    }
    gather_ns = 0;
    printf("{");
    print_own(cpu_before_s, began_ns);
    /* What comes twice comes late: listen on, without counting the time. */
    for (uint64_t end_ns = now_ns() + settle_ns; now_ns() < end_ns;)
        pump(end_ns);
    printf(",\"complete\":%s,\"sent\":%" PRIu64 ",\"expected\":%" PRIu64 ",\"received\":%" PRIu64
           ",\"duplicated\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"foreign\":%" PRIu64 ",\"confirmations\":%" PRIu64
           ",\"confirmations_twice\":%" PRIu64 ",\"closed\":%zu,\"latency\":",
           load_complete() ? "true" : "false", totals.sent, load_expected(), totals.received, totals.duplicated,
           totals.reordered, totals.foreign, totals.confirmations, totals.confirmations_twice,
           closed_unasked - closed_before);
    histogram_print(&latency);
    printf(",\"confirmation\":");
    histogram_print(&confirmation_latency);
    printf(",\"lateness\":");
    histogram_print(&lateness);
    load_print_wrong();
    print_first_failure();
    printf("}\n");
    load_clear();
}

static void close_all(void) {
    for (size_t i = 0; i < connection_count; i++)
        connection_fail(&connections[i]);
    printf("{\"closed\":%zu}\n", connection_count);
}

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left to read what it counts */
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &timer_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    for (char *line; (line = next_line()) != NULL; fflush(stdout)) {
        char *rest = line, *command = word(&rest);
        if (strcmp(command, "connection") == 0)
            add_connection(rest);
        else if (strcmp(command, "open") == 0)
            open_all(rest);
        else if (strcmp(command, "stream") == 0)
            add_stream(rest);
        else if (strcmp(command, "member") == 0) {
            uint32_t connection = number(&rest, connection_count);
            member_add(connection, number(&rest, MAX_STREAMS));
        } else if (strcmp(command, "run") == 0)
            run(rest);
        else if (strcmp(command, "close") == 0)
            close_all();
        else
            fail("unknown command");
    }
    return 0;
}
