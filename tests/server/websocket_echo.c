/* websocket_echo.c — the WebSocket machine behind a plain socket: sends back every message. For
 * tests/server/autobahn.py, which runs Autobahn's cases at it. Prints its port, and serves one client after another
 * until its input ends. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/server/websocket.h"

#define MAX_MESSAGE (20 << 20) /* Autobahn's longest has 16 MB */

typedef struct {
    websocket *machine;
    int socket;
} client;

static void send_all(void *user, const uint8_t *data, size_t bytes) {
    client *c = user;
    while (bytes > 0) {
        ssize_t n = send(c->socket, data, bytes, MSG_NOSIGNAL);
        if (n <= 0) return;
        data += n;
        bytes -= (size_t)n;
    }
}

static void on_text(void *user, const char *text, size_t bytes) {
    client *c = user;
    websocket_send_text(c->machine, text, bytes);
}

static void on_binary(void *user, const uint8_t *data, size_t bytes) {
    client *c = user;
    websocket_send_binary(c->machine, data, bytes);
}

/* Reads the request and answers it. */
static bool shake_hands(int socket) {
    char request[4096], accept[WEBSOCKET_ACCEPT_BYTES], answer[256];
    size_t n = 0;
    while (n < sizeof request - 1) {
        ssize_t got = recv(socket, request + n, 1, 0);
        if (got <= 0) return false;
        n += (size_t)got;
        request[n] = 0;
        if (n >= 4 && memcmp(request + n - 4, "\r\n\r\n", 4) == 0) break;
    }
    char *key = strstr(request, "Sec-WebSocket-Key: ");
    if (!key || strlen(key) < 19 + 24) return false;
    key += 19;
    key[24] = 0;
    if (!websocket_accept(key, accept)) return false;
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    return send(socket, answer, (size_t)length, MSG_NOSIGNAL) == length;
}

static void serve(int socket) {
    static const websocket_events events = {.text = on_text, .binary = on_binary, .output = send_all};
    static char data[65536];
    client c = {.socket = socket};
    c.machine = websocket_open(&events, &c, MAX_MESSAGE);
    ssize_t n;
    while (!websocket_finished(c.machine) && (n = recv(socket, data, sizeof data, 0)) > 0)
        websocket_feed(c.machine, data, (size_t)n);
    shutdown(socket, SHUT_WR);
    while (recv(socket, data, sizeof data, 0) > 0) {
    }
    websocket_free(c.machine);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int door = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(door, (struct sockaddr *)&address, bytes) != 0 || listen(door, 8) != 0) return 1;
    getsockname(door, (struct sockaddr *)&address, &bytes);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct pollfd wait[2] = {{.fd = door, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    while (poll(wait, 2, -1) > 0 && !wait[1].revents) {
        int socket = accept(door, NULL, NULL);
        struct timeval patience = {.tv_sec = 20};
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (socket >= 0 && shake_hands(socket)) serve(socket);
        close(socket);
    }
    return 0;
}
