package kafka

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>

// Two arenas for all threads, unless the user of the program says otherwise. It must be set before the Go runtime makes its threads: each takes an
// arena as it starts and keeps it.
static __attribute__((constructor)) void two_arenas(void) {
	if (!getenv("MALLOC_ARENA_MAX"))
		mallopt(M_ARENA_MAX, 2);
}

static void trim(void) { malloc_trim(0); }
#else
static void trim(void) {}
#endif
*/
import "C"

// glibc gives threads arenas of their own, 16 on two cores. A lane's goroutine hands records to librdkafka from whatever thread it runs on at the moment, so
// in the course of a backlog each arena gets its turn to hold a full queue, and what is freed in one is of no use to the others: a queue of 16 MiB was seen to
// keep 250 MB. With one arena it keeps 80 MB, with two 100 MB; two cost an eighth less CPU, because the goroutine that allocates records and headers and the
// thread of librdkafka that frees them do not wait for each other.

// trimMalloc gives the pages that a closed producer has freed back to the system; by itself glibc returns only what lies at the end.
func trimMalloc() { C.trim() }
