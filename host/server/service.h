/* service.h — what a service manager is told, by systemd's protocol of one datagram (sd_notify(3)). */
#ifndef F5_SERVER_SERVICE_H
#define F5_SERVER_SERVICE_H

void service_tell(const char *state); /* "READY=1"; nothing where NOTIFY_SOCKET is not set */

#endif
