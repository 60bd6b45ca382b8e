/* Closed-loop load generator: keeps a number of requests outstanding, and verifies every reply.
 *
 *   loadgen --mode sensornet|echo|coap|snmp|modbus --first ADDRESS [--devices N] [--port P]
 *           [--outstanding 64] [--requests N] [--seconds S] [--order sequential|random]
 *           [--timeout-ms 1000] [--hold S] [--path TEXT] [--output FILE]
 *   loadgen --mode sink --port P --seconds S [--output FILE]
 *
 * One UDP socket asks device after device (FIRST, FIRST+1, ...). A slot is a request that is
 * outstanding; its sequence number carries the slot (modulo the number of slots) and how often the
 * slot was used, so that a reply finds its slot without a search and a late one is known as such.
 * Each reply must come from the address and port that were asked, carry the request's sequence
 * number and device id, and be right in checksum and value; else it is counted as bad, by reason. A
 * request without a reply is sent again after the timeout, five times, and then counted as lost.
 *
 * Each datagram is a system call, as in most gateways: the rate is that of one ordinary process.
 * The result is one JSON object on stdout or in --output. Status 0: every request was answered and
 * no reply was bad. 1: otherwise. 2: wrong use. Ends after --seconds (default 60) in any case.
 * With --mode sink it sends nothing, and counts the SensorNet reports that devices send.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_SLOTS 4096
#define MAX_MESSAGE 1500
#define TRIES 6

enum { SUB = 64, BUCKETS = 40 * SUB };      /* latency: 64 buckets for each power of two, 1.6 % */

struct slot {
	uint32_t sequence;
	uint32_t device;        /* index from FIRST */
	uint64_t sent_ns;       /* the first try's time */
	uint64_t retry_ns;
	int tries;
	int busy;
};

/* Why a reply was bad. */
enum bad { GOOD, BAD_SOURCE, BAD_LENGTH, BAD_FORMAT, BAD_CHECKSUM, BAD_DEVICE, BAD_VALUE, BAD_COUNT };
static const char *const bad_names[] = { "", "source", "length", "format", "checksum", "device", "value" };

struct mode {
	const char *name;
	int port;
	int sequence_bits;
	size_t (*build)(uint8_t *out, const struct slot *slot);
	/* The sequence number of a reply, or -1 when it is too short to have one. */
	int64_t (*sequence)(const uint8_t *in, size_t length);
	enum bad (*check)(const uint8_t *in, size_t length, const struct slot *slot);
};

static const char *path = "x";

static void put16(uint8_t *p, uint32_t v) { p[0] = v >> 8; p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }
static uint32_t get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* ---------------------------------------------------------------- SensorNet */

static uint16_t crc_table[256];

static void crc_init(void)
{
	for (int i = 0; i < 256; i++) {
		uint16_t crc = i << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
		crc_table[i] = crc;
	}
}

/* CRC-16/CCITT-FALSE. */
static uint16_t crc16(const uint8_t *data, size_t length)
{
	uint16_t crc = 0xffff;
	while (length--)
		crc = crc << 8 ^ crc_table[(crc >> 8 ^ *data++) & 0xff];
	return crc;
}

/* magic "SN" | version | kind | length (2) | device (4) | seq (2) | body | crc (2), big endian */
enum { SN_READ = 1, SN_REPORT = 2, SN_READ_SIZE = 15, SN_REPORT_SIZE = 21, SN_BEFORE_LENGTH_ENDS = 6 };

static size_t sensornet_build(uint8_t *out, const struct slot *slot)
{
	memcpy(out, "SN\x01", 3);
	out[3] = SN_READ;
	put16(out + 4, SN_READ_SIZE - SN_BEFORE_LENGTH_ENDS);   /* the bytes that follow */
	put32(out + 6, slot->device);
	put16(out + 10, slot->sequence);
	out[12] = 0;                            /* the point that is read */
	put16(out + 13, crc16(out, 13));
	return SN_READ_SIZE;
}

static int64_t sensornet_sequence(const uint8_t *in, size_t length)
{
	return length < 12 ? -1 : (int64_t)get16(in + 10);
}

/* A REPORT's body: point, unit, status, and a float. */
static enum bad sensornet_report(const uint8_t *in, size_t length)
{
	if (length != SN_REPORT_SIZE)
		return BAD_LENGTH;
	if (memcmp(in, "SN\x01", 3) || in[3] != SN_REPORT
	    || get16(in + 4) != SN_REPORT_SIZE - SN_BEFORE_LENGTH_ENDS)
		return BAD_FORMAT;
	return crc16(in, 19) == get16(in + 19) ? GOOD : BAD_CHECKSUM;
}

/* The scenarios say value = device.index + 0.5, which a float holds exactly up to 2^23. */
static enum bad sensornet_check(const uint8_t *in, size_t length, const struct slot *slot)
{
	enum bad reason = sensornet_report(in, length);
	if (reason != GOOD)
		return reason;
	uint32_t bits = get32(in + 15);
	float value;
	memcpy(&value, &bits, sizeof value);
	if (get32(in + 6) != slot->device)
		return BAD_DEVICE;
	return value == slot->device + 0.5f ? GOOD : BAD_VALUE;
}

/* ---------------------------------------------------------------- raw echo of a SensorNet READ */

static enum bad echo_check(const uint8_t *in, size_t length, const struct slot *slot)
{
	uint8_t sent[MAX_MESSAGE];
	size_t expected = sensornet_build(sent, slot);
	if (length != expected)
		return BAD_LENGTH;
	return memcmp(in, sent, length) ? BAD_VALUE : GOOD;
}

/* ---------------------------------------------------------------- CoAP: GET, 2.05 (RFC 7252) */

static size_t coap_build(uint8_t *out, const struct slot *slot)
{
	size_t n = strlen(path);
	out[0] = 0x44;                          /* version 1, confirmable, token of 4 bytes */
	out[1] = 0x01;                          /* GET */
	put16(out + 2, slot->sequence & 0xffff);
	put32(out + 4, slot->device * 2654435761u ^ slot->sequence);
	if (!n)
		return 8;
	out[8] = 0xb0 | n;                      /* Uri-Path; at most 12 bytes */
	memcpy(out + 9, path, n);
	return 9 + n;
}

static int64_t coap_sequence(const uint8_t *in, size_t length)
{
	return length < 4 ? -1 : (int64_t)get16(in + 2);
}

static enum bad coap_check(const uint8_t *in, size_t length, const struct slot *slot)
{
	if (length < 8)
		return BAD_LENGTH;
	if (in[0] != 0x64 || in[1] != 0x45)     /* acknowledgement with 2.05 Content */
		return BAD_FORMAT;
	if (get32(in + 4) != (slot->device * 2654435761u ^ slot->sequence))
		return BAD_DEVICE;
	for (size_t at = 8; at < length; at++)  /* a payload is there, behind its marker */
		if (in[at] == 0xff && at + 1 < length)
			return GOOD;
	return BAD_VALUE;
}

/* ---------------------------------------------------------------- SNMPv2c: GET sysDescr.0 (RFC 3416) */

static const uint8_t snmp_get[] = {
	0x30, 0x29, 0x02, 0x01, 0x01, 0x04, 0x06, 'p', 'u', 'b', 'l', 'i', 'c', 0xa0, 0x1c,
	0x02, 0x04, 0, 0, 0, 0,                 /* request id, at 17 */
	0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30, 0x0e, 0x30, 0x0c,
	0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x01, 0x00, 0x05, 0x00,
};

static size_t snmp_build(uint8_t *out, const struct slot *slot)
{
	memcpy(out, snmp_get, sizeof snmp_get);
	/* A fixed top bit pattern keeps the integer positive and four bytes long. */
	put32(out + 17, 0x40000000u | slot->sequence);
	return sizeof snmp_get;
}

/* The offset of the request id: lengths in the reply may take one, two or three bytes. */
static size_t snmp_id_at(const uint8_t *in, size_t length)
{
	static const uint8_t community[] = { 0x02, 0x01, 0x01, 0x04, 0x06, 'p', 'u', 'b', 'l', 'i', 'c', 0xa2 };
	size_t at = 1;
	if (length < 30 || in[0] != 0x30)
		return 0;
	at += in[at] & 0x80 ? 1 + (in[at] & 0x7f) : 1;
	if (at + sizeof community + 8 > length || memcmp(in + at, community, sizeof community))
		return 0;
	at += sizeof community;
	at += in[at] & 0x80 ? 1 + (in[at] & 0x7f) : 1;
	if (at + 6 + 3 > length || in[at] != 0x02 || in[at + 1] != 0x04)
		return 0;
	return at + 2;
}

static int64_t snmp_sequence(const uint8_t *in, size_t length)
{
	size_t at = snmp_id_at(in, length);
	return at ? (int64_t)(get32(in + at) & 0x3fffffff) : -1;
}

static enum bad snmp_check(const uint8_t *in, size_t length, const struct slot *slot)
{
	(void)slot;
	size_t at = snmp_id_at(in, length);
	return in[at + 4] == 0x02 && in[at + 6] == 0 ? GOOD : BAD_VALUE;    /* error-status 0 */
}

/* ---------------------------------------------------------------- Modbus: read two holding registers */

static size_t modbus_build(uint8_t *out, const struct slot *slot)
{
	put16(out, slot->sequence);
	put16(out + 2, 0);                      /* protocol */
	put16(out + 4, 6);                      /* length */
	out[6] = 1;                             /* unit */
	out[7] = 3;                             /* read holding registers */
	put16(out + 8, 0);
	put16(out + 10, 2);
	return 12;
}

static int64_t modbus_sequence(const uint8_t *in, size_t length)
{
	return length < 8 ? -1 : (int64_t)get16(in);
}

static enum bad modbus_check(const uint8_t *in, size_t length, const struct slot *slot)
{
	(void)slot;
	if (length != 13)
		return BAD_LENGTH;
	if (get16(in + 4) != 7 || in[6] != 1 || in[7] != 3 || in[8] != 4)
		return BAD_FORMAT;
	return get16(in + 9) == 17 && get16(in + 11) == 42 ? GOOD : BAD_VALUE;
}

static const struct mode modes[] = {
	{ "sensornet", 5600, 16, sensornet_build, sensornet_sequence, sensornet_check },
	{ "echo", 5600, 16, sensornet_build, sensornet_sequence, echo_check },
	{ "coap", 5683, 16, coap_build, coap_sequence, coap_check },
	{ "snmp", 161, 24, snmp_build, snmp_sequence, snmp_check },
	{ "modbus", 502, 16, modbus_build, modbus_sequence, modbus_check },
	{ "sink", 5600, 0, NULL, NULL, NULL },
};

/* ---------------------------------------------------------------- the loop */

static const struct mode *mode;
static uint32_t first, devices = 1;
static int port, outstanding = 64, random_order;
static uint64_t requests = UINT64_MAX, timeout_ns = 1000000000u;
static double seconds = 60, hold;
static FILE *output;

static struct slot slots[MAX_SLOTS];
static uint32_t slot_count;                 /* a power of two, at least `outstanding` */
static uint8_t in_data[65536];
static uint64_t histogram[BUCKETS], max_ns;
static uint64_t started, sent, replies, retransmits, lost, late, unsent, bad[BAD_COUNT];
static volatile sig_atomic_t interrupted;

static void on_signal(int number) { (void)number; interrupted = 1; }

static void record(uint64_t ns)
{
	int shift = ns < SUB ? 0 : 63 - __builtin_clzll(ns) - 5;   /* keeps 6 significant bits */
	uint64_t bucket = (uint64_t)shift * (SUB / 2) + (ns >> shift);
	histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	if (ns > max_ns)
		max_ns = ns;
}

static double percentile_us(double share)
{
	uint64_t want = (uint64_t)(share * replies), seen = 0;
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
		seen += histogram[bucket];
		if (seen > want) {
			int shift = bucket < SUB ? 0 : bucket / (SUB / 2) - 1;
			uint64_t low = (bucket - (uint64_t)shift * (SUB / 2)) << shift;
			return (low + (((uint64_t)1 << shift) >> 1)) / 1e3;
		}
	}
	return max_ns / 1e3;
}

static uint32_t next_device(void)
{
	static uint32_t turn;
	static uint64_t state = 0x9e3779b97f4a7c15u;
	if (!random_order) {
		uint32_t device = turn;
		turn = turn + 1 == devices ? 0 : turn + 1;
		return device;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint64_t)(uint32_t)(state >> 32) * devices >> 32;
}

static void transmit(int fd, struct slot *slot, uint64_t now)
{
	uint8_t data[MAX_MESSAGE];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	to.sin_addr.s_addr = htonl(first + slot->device);
	slot->tries++;
	slot->retry_ns = now + timeout_ns;
	sent++;
	if (sendto(fd, data, mode->build(data, slot), 0, (struct sockaddr *)&to, sizeof to) < 0)
		unsent++;                       /* the retry will come */
}

/* Use a slot for the next request; 0 when there are no more to start. */
static int start(int fd, struct slot *slot, uint64_t now)
{
	slot->busy = 0;
	if (started == requests || interrupted)
		return 0;
	started++;
	slot->sequence = (slot->sequence + slot_count) & ((1u << mode->sequence_bits) - 1);
	slot->device = next_device();
	slot->sent_ns = now;
	slot->tries = 0;
	slot->busy = 1;
	transmit(fd, slot, now);
	return 1;
}

/* One datagram that came; returns the slot that it answered, or NULL. */
static struct slot *take(const uint8_t *data, size_t length, const struct sockaddr_in *from)
{
	int64_t sequence = mode->sequence(data, length);
	if (sequence < 0) {
		bad[BAD_LENGTH]++;
		return NULL;
	}
	struct slot *slot = &slots[sequence & (slot_count - 1)];
	if (!slot->busy || slot->sequence != (uint32_t)sequence) {
		late++;                         /* an answer to a request that was sent twice */
		return NULL;
	}
	if (ntohl(from->sin_addr.s_addr) != first + slot->device || ntohs(from->sin_port) != port) {
		bad[BAD_SOURCE]++;
		return NULL;
	}
	enum bad reason = mode->check(data, length, slot);
	if (reason != GOOD) {
		bad[reason]++;
		return NULL;
	}
	return slot;
}

static ssize_t receive(int fd, struct sockaddr_in *from)
{
	socklen_t size = sizeof *from;
	return recvfrom(fd, in_data, sizeof in_data, 0, (struct sockaddr *)from, &size);
}

static void load(int fd)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), end = now + (uint64_t)(seconds * 1e9);
	uint64_t next_scan = now + timeout_ns / 4;
	int active = 0;
	for (slot_count = 1; (int)slot_count < outstanding;)
		slot_count *= 2;
	for (int i = 0; i < outstanding; i++) {
		slots[i].sequence = i;
		active += start(fd, &slots[i], now);
	}
	while (active && now < end) {
		struct sockaddr_in from;
		ssize_t length = receive(fd, &from);
		now = now_ns(CLOCK_MONOTONIC);
		struct slot *answered = length < 0 ? NULL : take(in_data, length, &from);
		if (answered) {
			replies++;
			record(now - answered->sent_ns);
			active -= !start(fd, answered, now);
		}
		if (now >= next_scan || interrupted) {
			next_scan = now + timeout_ns / 4;
			for (int i = 0; i < outstanding; i++) {
				struct slot *slot = &slots[i];
				if (!slot->busy || slot->retry_ns > now)
					continue;
				if (slot->tries < TRIES && !interrupted) {
					retransmits++;
					transmit(fd, slot, now);
				} else {
					lost++;
					active -= !start(fd, slot, now);
				}
			}
		}
	}
	lost += active;
}

/* Count what devices send on their own. */
static void sink(int fd)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
	while (now_ns(CLOCK_MONOTONIC) < end && !interrupted) {
		struct sockaddr_in from;
		ssize_t length = receive(fd, &from);
		if (length < 0)
			continue;
		enum bad reason = sensornet_report(in_data, length);
		if (reason == GOOD)
			replies++;
		else
			bad[reason]++;
	}
}

static void print_result(double began, double took)
{
	uint64_t wrong = 0;
	fprintf(output, "{\"mode\": \"%s\", \"devices\": %u, \"outstanding\": %d, ", mode->name, devices, outstanding);
	fprintf(output, "\"requests\": %lu, \"sent\": %lu, \"replies\": %lu, ", started, sent, replies);
	fprintf(output, "\"retransmits\": %lu, \"lost\": %lu, \"late\": %lu, \"unsent\": %lu, \"bad\": {",
		retransmits, lost, late, unsent);
	for (int reason = 1; reason < BAD_COUNT; reason++) {
		fprintf(output, "%s\"%s\": %lu", reason > 1 ? ", " : "", bad_names[reason], bad[reason]);
		wrong += bad[reason];
	}
	fprintf(output, "}, \"started_unix\": %.6f, \"seconds\": %.6f, \"rate\": %.1f, ", began, took, replies / took);
	fprintf(output, "\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}}\n",
		percentile_us(.5), percentile_us(.9), percentile_us(.99), percentile_us(.999), max_ns / 1e3);
	fclose(output);
	exit(wrong || lost || (mode->build && replies != started) ? 1 : 0);
}

static void usage(const char *problem)
{
	fprintf(stderr, "loadgen: %s (the usage is at the top of loadgen.c)\n", problem);
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", 1, 0, 'm' }, { "first", 1, 0, 'f' }, { "devices", 1, 0, 'd' }, { "port", 1, 0, 'p' },
		{ "outstanding", 1, 0, 'o' }, { "requests", 1, 0, 'r' }, { "seconds", 1, 0, 's' },
		{ "order", 1, 0, 'O' }, { "timeout-ms", 1, 0, 't' }, { "hold", 1, 0, 'h' }, { "path", 1, 0, 'P' },
		{ "output", 1, 0, 'F' }, { 0 },
	};
	struct in_addr address = { 0 };
	output = stdout;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'm':
			for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
				if (!strcmp(modes[i].name, optarg))
					mode = &modes[i];
			break;
		case 'f':
			if (inet_pton(AF_INET, optarg, &address) != 1)
				usage("--first is no IPv4 address");
			first = ntohl(address.s_addr);
			break;
		case 'd': devices = strtoul(optarg, NULL, 10); break;
		case 'p': port = atoi(optarg); break;
		case 'o': outstanding = atoi(optarg); break;
		case 'r': requests = strtoull(optarg, NULL, 10); break;
		case 's': seconds = atof(optarg); break;
		case 'O': random_order = !strcmp(optarg, "random"); break;
		case 't': timeout_ns = strtoull(optarg, NULL, 10) * 1000000u; break;
		case 'h': hold = atof(optarg); break;
		case 'P': path = optarg; break;
		case 'F':
			output = fopen(optarg, "w");
			if (!output)
				usage("--output cannot be written");
			break;
		default: usage("unknown option");
		}
	}
	if (!mode)
		usage("--mode is missing or unknown");
	if (outstanding < 1 || outstanding > MAX_SLOTS || !devices || seconds <= 0 || strlen(path) > 12)
		usage("a value is out of range");
	if (mode->build && !first)
		usage("--first is missing");
	if (!port)
		port = mode->port;
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 4 << 20;
	struct timeval slice = { .tv_usec = 20000 };
	struct sockaddr_in local = { .sin_family = AF_INET };
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice);
	if (!mode->build)
		local.sin_port = htons(port);
	if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) {
		perror("bind");
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	crc_init();
	int fd = open_socket();
	puts("ready");
	fflush(stdout);
	usleep((useconds_t)(hold * 1e6));
	double began = now_ns(CLOCK_REALTIME) / 1e9;
	uint64_t start_ns = now_ns(CLOCK_MONOTONIC);
	if (mode->build)
		load(fd);
	else
		sink(fd);
	print_result(began, (now_ns(CLOCK_MONOTONIC) - start_ns) / 1e9);
}
