/* One client: it connects, upgrades, goes through its script, and then hears and sends messages. */
#define _GNU_SOURCE
#include "generator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, READ_BYTES = 1 << 18 };

struct connection *connections;
size_t connection_count;
static struct connection **dirty;
static size_t dirty_count, dirty_capacity;

void connection_fail(struct connection *connection) {
    if (connection->state == CLOSED)
        return;
    if (connection->fd >= 0)
        close(connection->fd);
    bool was_opening = connection->state != READY && connection->state != UNOPENED;
    connection->fd = -1;
    connection->state = CLOSED;
    if (was_opening)
        opening--;
    else
        closed_unasked++;
}

static void mark_dirty(struct connection *connection) {
    if (connection->dirty)
        return;
    connection->dirty = true;
    if (dirty_count == dirty_capacity) {
        dirty_capacity = 2 * dirty_capacity + 64;
        dirty = claim(dirty, dirty_capacity * sizeof *dirty);
    }
    dirty[dirty_count++] = connection;
}

static void flush(struct connection *connection) {
    while (connection->out.length && connection->state > CONNECTING && connection->state != CLOSED) {
        ssize_t taken = send(connection->fd, connection->out.bytes, connection->out.length, MSG_NOSIGNAL);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0) {
            if (errno != EAGAIN)
                connection_fail(connection);
            return;
        }
        buffer_drop(&connection->out, (size_t)taken);
    }
}

void flush_dirty(void) {
    for (size_t i = 0; i < dirty_count; i++) {
        dirty[i]->dirty = false;
        flush(dirty[i]);
    }
    dirty_count = 0;
}

static void send_frame(struct connection *connection, int opcode, const unsigned char *bytes, size_t length) {
    static uint32_t mask = 2463534242u; /* xorshift: masks need to differ, nothing else */
    mask ^= mask << 13;
    mask ^= mask >> 17;
    mask ^= mask << 5;
    unsigned char header[14];
    buffer_append(&connection->out, header, frame_header(header, opcode, length, mask));
    buffer_append(&connection->out, bytes, length);
    frame_mask(connection->out.bytes + connection->out.length - length, length, mask);
    mark_dirty(connection);
}

void connection_send(struct connection *connection, bool text, const unsigned char *bytes, size_t length) {
    send_frame(connection, text ? TEXT : BINARY, bytes, length);
}

void connection_open(struct connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(connection->port)};
    int on = 1;
    opening++;
    connection->began_ns = now_ns();
    connection->state = CONNECTING;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    if (connection->fd < 0 || inet_pton(AF_INET, connection->host, &address.sin_addr) != 1 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        connection_fail(connection);
    else
        upgrade_request(&connection->out, connection);
}

/* Send what the script says, up to the next thing that it waits for; `payload` is what may hold it. */
static void advance_script(struct connection *connection, const unsigned char *payload, size_t length) {
    while (connection->next_step < connection->step_count) {
        const struct step *step = &connection->steps[connection->next_step];
        if (step->kind == EXPECT) {
            const unsigned char *found = length ? memmem(payload, length, step->bytes, step->length) : NULL;
            if (!found)
                return;
            length -= (size_t)(found - payload) + step->length;
            payload = found + step->length;
        } else {
            connection_send(connection, step->kind == SEND_TEXT, step->bytes, step->length);
        }
        connection->next_step++;
    }
    connection->state = READY;
    opening--;
    opened(connection);
}

static void handle_frame(struct connection *connection, int opcode, const unsigned char *payload, size_t length,
                         uint64_t now) {
    if (opcode == PING) {
        send_frame(connection, PONG, payload, length);
    } else if (opcode == CLOSE) {
        connection->close_code = length >= 2 ? payload[0] << 8 | payload[1] : 1005;
        connection_fail(connection);
    } else if (opcode <= BINARY) {
        if (connection->state == READY) {
            scan_payload(connection, payload, length, now);
            return;
        }
        connection->last_length = length < sizeof connection->last ? length : sizeof connection->last;
        memcpy(connection->last, payload, connection->last_length);
        advance_script(connection, payload, length);
    }
}

/* Return how many bytes the answer to the upgrade has; 0: it is not whole. */
static size_t handle_upgrade(struct connection *connection, const unsigned char *bytes, size_t length) {
    const unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);
    connection->last_length = length < sizeof connection->last ? length : sizeof connection->last;
    memcpy(connection->last, bytes, connection->last_length);
    if (!end)
        return 0;
    if (length < 12 || memcmp(bytes + 8, " 101", 4) != 0) {
        connection_fail(connection);
        return 0;
    }
    connection->state = SCRIPT;
    advance_script(connection, NULL, 0);
    return (size_t)(end - bytes) + 4;
}

/* Take all that is whole from the bytes that came; return how many that were. */
static size_t take(struct connection *connection, const unsigned char *bytes, size_t length, uint64_t now) {
    size_t used = connection->state == UPGRADING ? handle_upgrade(connection, bytes, length) : 0;
    while (connection->state == SCRIPT || connection->state == READY) {
        int opcode;
        const unsigned char *payload;
        size_t payload_length;
        long size = frame_parse(bytes + used, length - used, &opcode, &payload, &payload_length);
        if (size < 0)
            connection_fail(connection);
        if (size <= 0)
            break;
        used += (size_t)size;
        handle_frame(connection, opcode, payload, payload_length, now);
    }
    return used;
}

static void receive(struct connection *connection, bool ends) {
    static unsigned char shared[READ_BYTES];
    while (connection->state > CONNECTING && connection->state != CLOSED) {
        ssize_t got = recv(connection->fd, shared, sizeof shared, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            connection_fail(connection);
            return;
        }
        uint64_t now = now_ns();
        if (connection->in.length) {
            buffer_append(&connection->in, shared, (size_t)got);
            buffer_drop(&connection->in, take(connection, connection->in.bytes, connection->in.length, now));
        } else {
            size_t used = take(connection, shared, (size_t)got, now);
            if (used < (size_t)got)
                buffer_append(&connection->in, shared + used, (size_t)got - used);
        }
        /* A short read has emptied the socket; what comes later is a new event, unless the end is there already. */
        if ((size_t)got < sizeof shared && !ends)
            return;
    }
}

void connection_events(struct connection *connection, uint32_t events) {
    if (connection->state == CLOSED)
        return;
    if (connection->state == CONNECTING && (events & (EPOLLERR | EPOLLHUP))) {
        connection_fail(connection);
        return;
    }
    if (events & EPOLLOUT) {
        if (connection->state == CONNECTING)
            connection->state = UPGRADING;
        flush(connection);
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        receive(connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}
