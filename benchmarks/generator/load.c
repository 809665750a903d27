/* Numbered messages: who sends which when, who has got which, and what is wrong with it.
 *
 * A latency is counted from the time a message was due, not from when it was sent: a server (or a generator) that is late
 * with one message does not hide what the next ones waited. */
#define _GNU_SOURCE
#include "generator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_WRONG = 20 };

struct totals totals;
struct histogram latency, confirmation_latency, lateness;

static struct stream *streams;
static size_t stream_count, first_stream; /* numbers go on from run to run, so that nothing late is taken for new */
static uint32_t *ready;
static size_t ready_count;
static uint64_t complete_messages, wanted_messages;
static uint64_t **due; /* by stream and number modulo its length: when a message was due, for confirmations */

static uint64_t parse_hex(const unsigned char *digits, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = digits[i];
        value = value << 4 | ((digit & 15) + (digit > '9' ? 9 : 0));
    }
    return value;
}

static void write_hex(unsigned char *digits, size_t count, uint64_t value) {
    for (size_t i = count; i-- > 0; value >>= 4)
        digits[i] = (unsigned char)"0123456789abcdef"[value & 15];
}

void stream_add(uint32_t connection, bool confirmed, uint32_t window, double rate, uint32_t count, bool text,
                unsigned char *template, size_t length) {
    streams = claim(streams, (stream_count + 1) * sizeof *streams);
    streams[stream_count++] = (struct stream){
        .connection = connection, .confirmed = confirmed, .window = window, .rate = rate,
        .count = count, .text = text, .template = template, .length = length,
    };
}

void member_add(uint32_t connection, uint32_t stream) {
    struct connection *member = &connections[connection];
    member->receipts = claim(member->receipts, (member->receipt_count + 1) * sizeof *member->receipts);
    member->receipts[member->receipt_count++] = (struct receipt){
        .stream = stream, .seen = memset(claim(NULL, streams[stream].count / 8 + 1), 0, streams[stream].count / 8 + 1)};
    streams[stream].members++;
}

static void make_ready(uint32_t index) {
    if (streams[index].ready || streams[index].rate > 0)
        return;
    streams[index].ready = true;
    ready[ready_count++] = index;
}

void load_begin(uint64_t now) {
    memset(&totals, 0, sizeof totals);
    histogram_clear(&latency);
    histogram_clear(&confirmation_latency);
    histogram_clear(&lateness);
    ready = claim(ready, stream_count * sizeof *ready);
    due = claim(due, stream_count * sizeof *due);
    ready_count = 0;
    complete_messages = wanted_messages = 0;
    for (uint32_t i = 0; i < stream_count; i++) {
        struct stream *stream = &streams[i];
        stream->left = claim(NULL, stream->count * sizeof *stream->left);
        for (uint32_t number = 0; number < stream->count; number++)
            stream->left[number] = stream->members + stream->confirmed;
        stream->confirmed_numbers = memset(claim(NULL, stream->count), 0, stream->count);
        due[i] = claim(NULL, stream->count * sizeof **due);
        /* Streams of one rate take turns instead of sending all at once. */
        stream->first_due_ns = stream->rate > 0 ? now + (uint64_t)(1e9 / stream->rate * i / (double)stream_count) : now;
        wanted_messages += stream->count;
        make_ready(i);
    }
}

static void send_message(uint32_t index, uint64_t due_ns) {
    struct stream *stream = &streams[index];
    unsigned char *place = stream->template, *end = stream->template + stream->length;
    uint64_t name = first_stream + index;
    while ((place = memchr(place, '@', (size_t)(end - place))) != NULL && end - place >= MARKER_BYTES + CONFIRMATION_TAIL) {
        bool message = memcmp(place, "@tw@", MARKER_BYTES) == 0;
        if (message || memcmp(place, "@id@", MARKER_BYTES) == 0) {
            write_hex(place + MARKER_BYTES, STREAM_DIGITS, name);
            write_hex(place + MARKER_BYTES + STREAM_DIGITS, NUMBER_DIGITS, stream->sent);
        }
        if (message && end - place >= LONGEST_MARKER)
            write_hex(place + MARKER_BYTES + CONFIRMATION_TAIL, TIME_DIGITS, due_ns);
        place++;
    }
    due[index][stream->sent] = due_ns;
    stream->sent++;
    totals.sent++;
    if (connections[stream->connection].state == READY)
        connection_send(&connections[stream->connection], stream->text, stream->template, stream->length);
}

static uint64_t due_of(const struct stream *stream) {
    return stream->first_due_ns + (uint64_t)(1e9 / stream->rate * stream->sent);
}

uint64_t load_send(uint64_t now) {
    for (size_t i = 0; i < ready_count; i++) {
        struct stream *stream = &streams[ready[i]];
        stream->ready = false;
        while (stream->sent < stream->count && stream->sent - stream->complete < stream->window)
            send_message(ready[i], now);
    }
    ready_count = 0;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < stream_count; i++) {
        struct stream *stream = &streams[i];
        if (stream->rate <= 0)
            continue;
        while (stream->sent < stream->count && due_of(stream) <= now) {
            histogram_add(&lateness, now - due_of(stream));
            send_message(i, due_of(stream));
        }
        if (stream->sent < stream->count && due_of(stream) < next)
            next = due_of(stream);
    }
    return next;
}

static void count_down(uint32_t index, uint32_t number) {
    if (--streams[index].left[number] > 0)
        return;
    streams[index].complete++;
    complete_messages++;
    make_ready(index);
}

static void take_message(struct connection *connection, const unsigned char *tail, uint64_t now) {
    uint64_t name = parse_hex(tail, STREAM_DIGITS);
    uint32_t number = (uint32_t)parse_hex(tail + STREAM_DIGITS, NUMBER_DIGITS);
    struct receipt *receipt = NULL;
    for (size_t i = 0; i < connection->receipt_count; i++)
        if (connection->receipts[i].stream + first_stream == name)
            receipt = &connection->receipts[i];
    if (!receipt || number >= streams[receipt->stream].sent) {
        totals.foreign++;
        return;
    }
    if (receipt->seen[number / 8] & (1 << number % 8)) {
        receipt->duplicated++;
        totals.duplicated++;
        return;
    }
    receipt->seen[number / 8] |= (unsigned char)(1 << number % 8);
    receipt->received++;
    totals.received++;
    if (number < receipt->highest) {
        receipt->reordered++;
        totals.reordered++;
    } else {
        receipt->highest = number + 1;
    }
    uint64_t due_ns = parse_hex(tail + CONFIRMATION_TAIL, TIME_DIGITS);
    histogram_add(&latency, now > due_ns ? now - due_ns : 0);
    count_down(receipt->stream, number);
}

static void take_confirmation(struct connection *connection, const unsigned char *tail, uint64_t now) {
    uint64_t name = parse_hex(tail, STREAM_DIGITS);
    uint32_t number = (uint32_t)parse_hex(tail + STREAM_DIGITS, NUMBER_DIGITS);
    if (name < first_stream || name - first_stream >= stream_count)
        return;
    uint32_t index = (uint32_t)(name - first_stream);
    struct stream *stream = &streams[index];
    if (!stream->confirmed || &connections[stream->connection] != connection || number >= stream->sent)
        return;
    if (stream->confirmed_numbers[number]) {
        totals.confirmations_twice++;
        return;
    }
    stream->confirmed_numbers[number] = 1;
    totals.confirmations++;
    histogram_add(&confirmation_latency, now - due[index][number]);
    count_down(index, number);
}

/* Find the markers that begin in the first `starts` bytes; return where the last whole one ends.
 * In a framed connection a frame with a message is that message: the confirmation's marker in it is the message's id. */
static size_t scan(struct connection *connection, const unsigned char *bytes, size_t length, size_t starts, uint64_t now) {
    const unsigned char *place = bytes, *end = bytes + length, *confirmation = NULL;
    size_t after = 0;
    bool messages = false;
    while (place < bytes + starts && (place = memchr(place, '@', (size_t)(bytes + starts - place))) != NULL) {
        size_t rest = (size_t)(end - place), tail = 0;
        if (rest >= MARKER_BYTES && memcmp(place, "@tw@", MARKER_BYTES) == 0)
            tail = MESSAGE_TAIL;
        else if (rest >= MARKER_BYTES && memcmp(place, "@id@", MARKER_BYTES) == 0)
            tail = CONFIRMATION_TAIL;
        if (tail == 0 || rest < MARKER_BYTES + tail) {
            place++;
            continue;
        }
        if (tail == MESSAGE_TAIL) {
            messages = true;
            take_message(connection, place + MARKER_BYTES, now);
        } else if (connection->joined) {
            take_confirmation(connection, place + MARKER_BYTES, now);
        } else if (!confirmation) {
            confirmation = place + MARKER_BYTES;
        }
        place += MARKER_BYTES + tail;
        after = (size_t)(place - bytes);
    }
    if (confirmation && !messages)
        take_confirmation(connection, confirmation, now);
    return after;
}

void scan_payload(struct connection *connection, const unsigned char *payload, size_t length, uint64_t now) {
    if (!connection->joined) {
        scan(connection, payload, length, length, now);
        return;
    }
    /* A marker that began at the end of the last frame: look at that end together with the beginning of this one. */
    unsigned char seam[2 * LONGEST_MARKER];
    size_t begin = length < LONGEST_MARKER ? length : LONGEST_MARKER, skip = 0;
    memcpy(seam, connection->carry, connection->carried);
    memcpy(seam + connection->carried, payload, begin);
    size_t after = scan(connection, seam, connection->carried + begin, connection->carried, now);
    if (after > connection->carried)
        skip = after - connection->carried;
    after = skip + scan(connection, payload + skip, length - skip, length - skip, now);
    size_t kept = length - after;
    if (kept >= LONGEST_MARKER - 1) {
        connection->carried = LONGEST_MARKER - 1;
        memcpy(connection->carry, payload + length - connection->carried, connection->carried);
        return;
    }
    size_t old = after ? 0 : connection->carried;
    if (old + kept > LONGEST_MARKER - 1)
        old = LONGEST_MARKER - 1 - kept;
    memmove(connection->carry, connection->carry + connection->carried - old, old);
    memcpy(connection->carry + old, payload + length - kept, kept);
    connection->carried = old + kept;
}

bool load_complete(void) { return complete_messages == wanted_messages; }

uint64_t load_expected(void) {
    uint64_t expected = 0;
    for (size_t i = 0; i < stream_count; i++)
        expected += (uint64_t)streams[i].members * streams[i].count;
    return expected;
}

void load_print_wrong(void) {
    uint64_t wrong = 0;
    printf(",\"wrong\":[");
    for (size_t i = 0; i < connection_count; i++) {
        for (size_t r = 0; r < connections[i].receipt_count; r++) {
            const struct receipt *receipt = &connections[i].receipts[r];
            uint32_t count = streams[receipt->stream].count;
            if (receipt->received == count && !receipt->duplicated && !receipt->reordered)
                continue;
            if (wrong++ < SHOWN_WRONG)
                printf("%s{\"connection\":%zu,\"stream\":%u,\"lost\":%u,\"duplicated\":%u,\"reordered\":%u}",
                       wrong > 1 ? "," : "", i, receipt->stream, count - receipt->received, receipt->duplicated,
                       receipt->reordered);
        }
    }
    printf("],\"wrong_count\":%" PRIu64, wrong);
}

void load_clear(void) {
    for (size_t i = 0; i < connection_count; i++) {
        for (size_t r = 0; r < connections[i].receipt_count; r++)
            free(connections[i].receipts[r].seen);
        free(connections[i].receipts);
        connections[i].receipts = NULL;
        connections[i].receipt_count = 0;
    }
    for (size_t i = 0; i < stream_count; i++) {
        free(streams[i].left);
        free(streams[i].confirmed_numbers);
        free(streams[i].template);
        free(due[i]);
    }
    first_stream = (first_stream + stream_count) % MAX_STREAMS;
    stream_count = 0;
}
