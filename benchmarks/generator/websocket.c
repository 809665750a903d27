/* The client's side of RFC 6455 without extensions: the upgrade request, and frames as bytes. */
#include "generator.h"

#include <stdio.h>
#include <string.h>

enum { FIN = 0x80, RESERVED_BITS = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f };

void upgrade_request(struct buffer *out, const struct connection *connection) {
    char text[2048];
    bool has_protocol = strcmp(connection->protocol, "-") != 0;
    /* The key is the example of the RFC: the server is our own, nothing is to be proved by it. */
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                          connection->path, connection->host, connection->port,
                          has_protocol ? "Sec-WebSocket-Protocol: " : "", has_protocol ? connection->protocol : "",
                          has_protocol ? "\r\n" : "");
    buffer_append(out, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

size_t frame_header(unsigned char *header, int opcode, size_t length, uint32_t mask) {
    size_t used = 2;
    header[0] = (unsigned char)(FIN | opcode);
    if (length < 126) {
        header[1] = (unsigned char)(MASKED | length);
    } else if (length < 65536) {
        header[1] = MASKED | 126;
        header[2] = (unsigned char)(length >> 8);
        header[3] = (unsigned char)length;
        used = 4;
    } else {
        header[1] = MASKED | 127;
        for (int i = 0; i < 8; i++)
            header[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
        used = 10;
    }
    memcpy(header + used, &mask, sizeof mask);
    return used + sizeof mask;
}

void frame_mask(unsigned char *bytes, size_t length, uint32_t mask) {
    unsigned char key[4];
    memcpy(key, &mask, sizeof key);
    for (size_t i = 0; i < length; i++)
        bytes[i] ^= key[i & 3];
}

long frame_parse(const unsigned char *bytes, size_t length, int *opcode, const unsigned char **payload,
                 size_t *payload_length) {
    if (length < 2)
        return 0;
    if ((bytes[0] & RESERVED_BITS) || (bytes[1] & MASKED))
        return -1; /* an extension that nobody asked for, or a server that masks */
    size_t used = 2;
    uint64_t size = bytes[1] & LENGTH;
    if (size == 126) {
        if (length < 4)
            return 0;
        size = (uint64_t)bytes[2] << 8 | bytes[3];
        used = 4;
    } else if (size == 127) {
        if (length < 10)
            return 0;
        size = 0;
        for (int i = 0; i < 8; i++)
            size = size << 8 | bytes[2 + i];
        used = 10;
    }
    if (size > (1u << 26))
        return -1;
    if (length - used < size)
        return 0;
    *opcode = bytes[0] & OPCODE;
    *payload = bytes + used;
    *payload_length = size;
    return (long)(used + size);
}
