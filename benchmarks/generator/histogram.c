/* Buffers and histograms: what the rest keeps its bytes and times in. */
#include "generator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *claim(void *old, size_t size) {
    void *memory = realloc(old, size ? size : 1);
    if (!memory) {
        fprintf(stderr, "generator: out of memory\n");
        exit(1);
    }
    return memory;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
    if (buffer->length + length > buffer->capacity) {
        buffer->capacity = 2 * buffer->capacity + length;
        buffer->bytes = claim(buffer->bytes, buffer->capacity);
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

void buffer_drop(struct buffer *buffer, size_t length) {
    buffer->length -= length;
    memmove(buffer->bytes, buffer->bytes + length, buffer->length);
}

/* The bucket of a value: the position of its highest bit, and the five bits behind it. */
static size_t bucket_of(uint64_t value) {
    if (value < (1u << SUBBUCKET_BITS))
        return value;
    int shift = 63 - __builtin_clzll(value) - SUBBUCKET_BITS;
    return ((size_t)(shift + 1) << SUBBUCKET_BITS) + ((value >> shift) & ((1u << SUBBUCKET_BITS) - 1));
}

/* The largest value of a bucket, so that a quantile never looks better than it was. */
static uint64_t top_of(size_t bucket) {
    size_t group = bucket >> SUBBUCKET_BITS, within = bucket & ((1u << SUBBUCKET_BITS) - 1);
    if (group == 0)
        return within;
    return ((((uint64_t)1 << SUBBUCKET_BITS) + within + 1) << (group - 1)) - 1;
}

void histogram_clear(struct histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

void histogram_add(struct histogram *histogram, uint64_t nanoseconds) {
    histogram->counts[bucket_of(nanoseconds)]++;
    histogram->total++;
    if (nanoseconds > histogram->largest)
        histogram->largest = nanoseconds;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile) {
    uint64_t wanted = (uint64_t)(quantile * (double)histogram->total + 0.999999), seen = 0;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= wanted && seen > 0)
            return top_of(bucket) < histogram->largest ? top_of(bucket) : histogram->largest;
    }
    return 0;
}

void histogram_print(const struct histogram *histogram) {
    static const struct { const char *name; double quantile; } shown[] = {
        {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999},
    };
    printf("{\"count\":%" PRIu64, histogram->total);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        printf(",\"%s\":%.1f", shown[i].name, (double)histogram_quantile(histogram, shown[i].quantile) / 1e3);
    printf(",\"largest\":%.1f,\"buckets\":[", (double)histogram->largest / 1e3);
    const char *comma = "";
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        if (!histogram->counts[bucket])
            continue;
        printf("%s[%.1f,%" PRIu64 "]", comma, (double)top_of(bucket) / 1e3, histogram->counts[bucket]);
        comma = ",";
    }
    printf("]}");
}
