/* What the files of the load generator share. docs/benchmarks-message-path.md says what it counts and why.
 *
 * The invariant: a message is recognised by its marker wherever it stands in what a server sends, so that the same code
 * counts JSON, NATS lines and MQTT packets. "@tw@" begins the marker of a message, "@id@" that of its confirmation. */
#ifndef GENERATOR_H
#define GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STREAM_DIGITS = 4,
    NUMBER_DIGITS = 8,
    TIME_DIGITS = 16,
    MARKER_BYTES = 4,
    MESSAGE_TAIL = STREAM_DIGITS + NUMBER_DIGITS + TIME_DIGITS,
    CONFIRMATION_TAIL = STREAM_DIGITS + NUMBER_DIGITS,
    LONGEST_MARKER = MARKER_BYTES + MESSAGE_TAIL,
    MAX_STREAMS = 1 << 16,
    SUBBUCKET_BITS = 5,
    BUCKETS = 64 << SUBBUCKET_BITS,
};

/* Bytes that grow. */
struct buffer {
    unsigned char *bytes;
    size_t length, capacity;
};
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_drop(struct buffer *buffer, size_t length);
void *claim(void *old, size_t size); /* realloc that ends the program when memory is out */

/* Times in nanoseconds, in buckets that are at most 1/32 wide. */
struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total, largest;
};
void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t nanoseconds);
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);
void histogram_print(const struct histogram *histogram); /* as a JSON object, times in microseconds */

/* One step of a connection's handshake: text or bytes that are sent, or bytes that are waited for. */
enum step_kind { SEND_TEXT, SEND_BINARY, EXPECT };
struct step {
    enum step_kind kind;
    unsigned char *bytes;
    size_t length;
};

/* What one connection has got of one stream. */
struct receipt {
    uint32_t stream;
    uint32_t received, duplicated, reordered;
    uint32_t highest; /* number of the newest message, plus one */
    unsigned char *seen;
};

enum state { UNOPENED, CONNECTING, UPGRADING, SCRIPT, READY, CLOSED };
struct connection {
    char *host, *path, *protocol;
    uint16_t port;
    bool joined; /* whether messages may be split over frames */
    enum state state;
    int fd;
    struct step *steps;
    size_t step_count, next_step;
    uint64_t began_ns;
    struct buffer in, out; /* a part of a frame that came; what the socket has not taken yet */
    bool dirty;
    unsigned char carry[LONGEST_MARKER];
    size_t carried; /* the end of the last frame, where a marker may have begun */
    unsigned char last[160];
    size_t last_length; /* the beginning of the newest frame, for reports of failure */
    int close_code;     /* of the server's close frame; 0: none came */
    struct receipt *receipts;
    size_t receipt_count;
};
extern struct connection *connections;
extern size_t connection_count;

/* Numbered messages of one publisher. */
struct stream {
    uint32_t connection;
    bool confirmed, text;
    uint32_t window, count;
    double rate; /* messages a second; 0: as the window allows */
    unsigned char *template;
    size_t length;
    uint32_t sent, complete;
    uint32_t members;
    uint32_t *left;           /* by number: receipts and confirmations that are still to come */
    unsigned char *confirmed_numbers;
    uint64_t first_due_ns;
    bool ready; /* in the list of those that may send */
};

/* connection.c */
void connection_open(struct connection *connection);
void connection_events(struct connection *connection, uint32_t events);
void connection_send(struct connection *connection, bool text, const unsigned char *bytes, size_t length);
void connection_fail(struct connection *connection);
void flush_dirty(void);

/* websocket.c */
size_t frame_header(unsigned char *header, int opcode, size_t length, uint32_t mask);
void frame_mask(unsigned char *bytes, size_t length, uint32_t mask);
/* Return the bytes of the frame that begins there, 0 if it is not whole, -1 if it is none. */
long frame_parse(const unsigned char *bytes, size_t length, int *opcode, const unsigned char **payload, size_t *payload_length);
void upgrade_request(struct buffer *out, const struct connection *connection);

/* load.c */
struct totals {
    uint64_t sent, received, duplicated, reordered, foreign, confirmations, confirmations_twice;
};
extern struct totals totals;
extern struct histogram latency, confirmation_latency, lateness;
void stream_add(uint32_t connection, bool confirmed, uint32_t window, double rate, uint32_t count, bool text,
                unsigned char *template, size_t length);
void member_add(uint32_t connection, uint32_t stream);
void load_begin(uint64_t now_ns);
uint64_t load_send(uint64_t now_ns); /* sends what may be sent; returns when the next message is due, or UINT64_MAX */
bool load_complete(void);
uint64_t load_expected(void);
void load_print_wrong(void);
void load_clear(void);
void scan_payload(struct connection *connection, const unsigned char *payload, size_t length, uint64_t now_ns);

/* main.c */
extern int epoll_fd;
extern size_t opening, closed_unasked;
uint64_t now_ns(void);
void opened(struct connection *connection);

#endif
