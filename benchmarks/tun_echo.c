/* The physical limit of one TUN queue: echoes UDP packets, and does nothing else.
 *
 *   tun_echo NAME ADDRESS PREFIX_LENGTH
 *
 * Opens a TUN interface in its own namespace with the same header and checksum offload as iotsim
 * does, gives it ADDRESS/PREFIX_LENGTH, prints "ready", and answers each IPv4 UDP packet with
 * addresses and ports swapped, until SIGTERM. Swapping changes neither the IP checksum nor the
 * pseudo header's sum, so there is nothing to compute: a partial checksum is completed by the
 * kernel on the way back, exactly as for iotsim.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define VNET (sizeof(struct virtio_net_hdr))

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static int open_tun(const char *name)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die("/dev/net/tun");
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		die("TUNSETIFF");
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM) < 0)
		die("TUNSETOFFLOAD");
	return fd;
}

static void configure(const char *name, const char *address, int prefix)
{
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	in->sin_family = AF_INET;
	if (inet_pton(AF_INET, address, &in->sin_addr) != 1)
		die("address");
	if (ioctl(control, SIOCSIFADDR, &request) < 0)
		die("SIOCSIFADDR");
	in->sin_addr.s_addr = htonl(prefix ? ~0u << (32 - prefix) : 0);
	if (ioctl(control, SIOCSIFNETMASK, &request) < 0)
		die("SIOCSIFNETMASK");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(control, SIOCSIFFLAGS, &request) < 0)
		die("SIOCSIFFLAGS");
	close(control);
}

/* Swap source and destination in place; 0 when the frame is no IPv4 UDP packet. */
static int turn(uint8_t *frame, ssize_t length)
{
	uint8_t *ip = frame + VNET;
	if (length < (ssize_t)VNET + 28 || ip[0] != 0x45 || ip[9] != IPPROTO_UDP)
		return 0;
	uint32_t address;
	memcpy(&address, ip + 12, 4);
	memmove(ip + 12, ip + 16, 4);
	memcpy(ip + 16, &address, 4);
	uint16_t port;
	memcpy(&port, ip + 20, 2);
	memmove(ip + 20, ip + 22, 2);
	memcpy(ip + 22, &port, 2);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: tun_echo NAME ADDRESS PREFIX_LENGTH\n");
		return 2;
	}
	int fd = open_tun(argv[1]);
	configure(argv[1], argv[2], atoi(argv[3]));
	puts("ready");
	fflush(stdout);
	static uint8_t frame[65536 + VNET];
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	for (;;) {
		ssize_t length = read(fd, frame, sizeof frame);
		if (length < 0) {
			if (errno != EAGAIN && errno != EINTR)
				die("read");
			poll(&wait, 1, -1);
			continue;
		}
		if (turn(frame, length) && write(fd, frame, length) < 0 && errno != EAGAIN)
			die("write");
	}
}
