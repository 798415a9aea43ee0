#define _GNU_SOURCE
#include "shim.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <malloc.h>
#endif

enum { V_RKT = 2, V_PARTITION = 3, V_VALUE = 4, V_KEY = 5, V_MSGFLAGS = 7, V_TIMESTAMP = 8, V_HEADERS = 10, F_COPY = 0x2 };

// headers is what rd_kafka_headers_t is in librdkafka 2.15.0 (rdkafka_header.h, rdlist.h).
//
// A copy of Debezium's four headers is six allocations, freed by another thread: a quarter of what a record costs. They are the same for each record, so a record
// gets a list of its own, which librdkafka frees with it, over the headers of the set, which it leaves alone because the list has no free_element.
struct headers {
	int size, count;
	void **elements;
	void (*free_element)(void *);
	int flags, element_size;
	void *p;
	size_t serialized;
};

// layout_version is the only one that struct headers is known of.
enum { layout_version = 0x020f00ff };

int rowmesh_can_share(rd_kafka_headers_t *set, int count) {
#ifdef __linux__
	const struct headers *h = (const struct headers *)set;
	if (rd_kafka_version() != layout_version || malloc_usable_size(set) < sizeof *h || h->count != count || h->size < count || !h->elements || !h->free_element || h->flags)
		return 0;
	const char *name;
	const void *value;
	size_t size;
	for (int i = 0; i < count; i++) { // a header is one piece of memory with its name in it
		const char *element = h->elements[i];
		if (rd_kafka_header_get_all(set, (size_t)i, &name, &value, &size) || name < element || name + strlen(name) >= element + malloc_usable_size(h->elements[i]))
			return 0;
	}
	return 1;
#else
	return 0;
#endif
}

static rd_kafka_headers_t *shared(rd_kafka_headers_t *set) {
	const struct headers *from = (const struct headers *)set;
	size_t bytes = sizeof(void *) * (size_t)from->count;
	struct headers *h = malloc(sizeof *h);
	*h = *from;
	h->size = from->count;
	h->free_element = NULL;
	h->elements = malloc(bytes);
	memcpy(h->elements, from->elements, bytes);
	return (rd_kafka_headers_t *)h;
}

// produce_with_headers is for records with headers, which may be NULL, or a timestamp.
static int produce_with_headers(rd_kafka_t *rk, rd_kafka_topic_t *rkt, int32_t partition, void *val, size_t val_len, void *key, size_t key_len,
                                int64_t timestamp, rd_kafka_headers_t *h) {
	rd_kafka_vu_t vu[7] = {{V_RKT}, {V_PARTITION}, {V_MSGFLAGS}, {V_VALUE}, {V_KEY}, {V_TIMESTAMP}, {V_HEADERS}};
	vu[0].u.rkt = rkt;
	vu[1].u.i32 = partition;
	vu[2].u.i = F_COPY;
	vu[3].u.mem.ptr = val;
	vu[3].u.mem.size = val_len;
	vu[4].u.mem.ptr = key;
	vu[4].u.mem.size = key_len;
	vu[5].u.i64 = timestamp;
	vu[6].u.headers = h;
	rd_kafka_error_t *e = rd_kafka_produceva(rk, vu, h ? 7 : 6);
	if (!e)
		return 0; // the message owns h now
	int code = rd_kafka_error_code(e);
	rd_kafka_error_destroy(e);
	if (h)
		rd_kafka_headers_destroy(h);
	return code;
}

// with_extra returns a new header set: one header, then those of a set that may be NULL.
static rd_kafka_headers_t *with_extra(const char *name, const char *value, size_t len, const rd_kafka_headers_t *set) {
	rd_kafka_headers_t *h = rd_kafka_headers_new(8);
	rd_kafka_header_add(h, name, -1, value, (ssize_t)len);
	const char *n;
	const void *v;
	size_t size;
	for (size_t i = 0; set && !rd_kafka_header_get_all(set, i, &n, &v, &size); i++)
		rd_kafka_header_add(h, n, -1, v, (ssize_t)size);
	return h;
}

// own_headers returns a record's own header set.
static rd_kafka_headers_t *own_headers(void **names, const struct rowmesh_header *own, int count, char *arena) {
	rd_kafka_headers_t *h = rd_kafka_headers_new((size_t)count);
	for (int i = 0; i < count; i++)
		rd_kafka_header_add(h, names[own[i].name], -1, own[i].len < 0 ? NULL : arena + own[i].off, own[i].len < 0 ? 0 : (ssize_t)own[i].len);
	return h;
}

int rowmesh_produce(rd_kafka_t *rk, void **topics, void **headers, void **names, int share, const struct rowmesh_record *r, int n,
                    const struct rowmesh_header *own, char *arena, int *err) {
	static char empty; // a key or value of no bytes is not a null one
	*err = 0;
	for (int i = 0; i < n; i++, r++) {
		char *key = r->key_len < 0 ? NULL : r->key_len == 0 ? &empty : arena + r->key_off;
		char *val = r->val_len < 0 ? NULL : r->val_len == 0 ? &empty : arena + r->val_off;
		size_t key_len = r->key_len < 0 ? 0 : (size_t)r->key_len, val_len = r->val_len < 0 ? 0 : (size_t)r->val_len;
		rd_kafka_topic_t *rkt = topics[r->topic];
		int code = 0;
		rd_kafka_headers_t *set = r->headers < 0 ? NULL : headers[r->headers];
		if (r->own_count > 0)
			code = produce_with_headers(rk, rkt, r->partition, val, val_len, key, key_len, r->timestamp, own_headers(names, own + r->own_from, r->own_count, arena));
		else if (r->extra >= 0)
			code = produce_with_headers(rk, rkt, r->partition, val, val_len, key, key_len, r->timestamp,
			                            with_extra(names[r->extra], arena + r->extra_off, (size_t)r->extra_len, set));
		else if (set)
			code = produce_with_headers(rk, rkt, r->partition, val, val_len, key, key_len, r->timestamp, share ? shared(set) : rd_kafka_headers_copy(set));
		else if (r->timestamp)
			code = produce_with_headers(rk, rkt, r->partition, val, val_len, key, key_len, r->timestamp, NULL);
		else if (rd_kafka_produce(rkt, r->partition, F_COPY, val, val_len, key, key_len, NULL) == -1)
			code = rd_kafka_last_error();
		if (code) {
			*err = code;
			return i;
		}
	}
	return n;
}

#ifdef __linux__
// poll stands before the C library's for librdkafka, the only code in the process that calls it: Go's runtime uses epoll.
//
// A thread of librdkafka that has records in its queue polls its sockets without waiting, also while the five requests that an idempotent producer may have under
// way are unanswered and nothing can be sent: under load it turned twenty times between two answers, which was a sixth of the CPU of a record, taken from the
// broker on a machine that both share. The third such poll in a row waits a millisecond, or until one of the sockets has something: an answer, or word of the
// producer, both of which end the wait at once.
int poll(struct pollfd *fds, nfds_t n, int timeout) {
	static __thread int idle; // polls in a row that were not to wait and found nothing
	struct timespec t = {timeout / 1000, timeout % 1000 * 1000000L};
	if (timeout == 0 && idle >= 2)
		t.tv_nsec = 1000000;
	int ready = ppoll(fds, n, timeout < 0 ? NULL : &t, NULL);
	idle = timeout == 0 && ready == 0 ? idle + 1 : 0;
	return ready;
}
#endif
