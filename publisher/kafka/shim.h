#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The few prototypes of librdkafka 2.15 that are used here; the library itself comes with confluent-kafka-go.
typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;
typedef struct rd_kafka_error_s rd_kafka_error_t;
typedef struct {
	int vtype;
	union {
		rd_kafka_topic_t *rkt;
		int i;
		int32_t i32;
		int64_t i64;
		struct { void *ptr; size_t size; } mem;
		rd_kafka_headers_t *headers;
		char pad[64];
	} u;
} rd_kafka_vu_t;
int rd_kafka_version(void);
rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *rk, const char *topic, void *conf);
void rd_kafka_topic_destroy(rd_kafka_topic_t *rkt);
rd_kafka_headers_t *rd_kafka_headers_new(size_t initial_count);
rd_kafka_headers_t *rd_kafka_headers_copy(const rd_kafka_headers_t *src);
int rd_kafka_header_get_all(const rd_kafka_headers_t *hdrs, size_t idx, const char **namep, const void **valuep, size_t *sizep);
void rd_kafka_headers_destroy(rd_kafka_headers_t *hdrs);
int rd_kafka_header_add(rd_kafka_headers_t *hdrs, const char *name, ssize_t name_size, const void *value, ssize_t value_size);
int rd_kafka_produce(rd_kafka_topic_t *rkt, int32_t partition, int msgflags, void *payload, size_t len, const void *key, size_t keylen, void *opaque);
int rd_kafka_last_error(void);
rd_kafka_error_t *rd_kafka_produceva(rd_kafka_t *rk, const rd_kafka_vu_t *vus, size_t cnt);
int rd_kafka_error_code(const rd_kafka_error_t *error);
void rd_kafka_error_destroy(rd_kafka_error_t *error);
int rd_kafka_flush(rd_kafka_t *rk, int timeout_ms);

// rowmesh_record is Record in batch.go.
struct rowmesh_record {
	int32_t topic, partition, headers, key_off, key_len, val_off, val_len, extra, extra_off, extra_len, own_from, own_count;
	int64_t timestamp;
};

// rowmesh_header is OwnHeader in batch.go.
struct rowmesh_header { int32_t name, off, len; };

// rowmesh_produce hands over records until one is refused; it returns how many were taken, and why it stopped in *err. share: see rowmesh_can_share; then the
// header sets must outlive the records.
int rowmesh_produce(rd_kafka_t *rk, void **topics, void **headers, void **names, int share, const struct rowmesh_record *r, int n, const struct rowmesh_header *own,
                    char *arena, int *err);

// rowmesh_can_share says whether records may share the headers of a set instead of copying them.
int rowmesh_can_share(rd_kafka_headers_t *set, int count);
