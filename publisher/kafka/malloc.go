package kafka

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#define ONE_ARENA() mallopt(M_ARENA_MAX, 1)
#define TRIM() malloc_trim(0)
#else
#define ONE_ARENA() 1
#define TRIM() 0
#endif
static int one_arena(void) { return ONE_ARENA(); }
static int trim(void) { return TRIM(); }
*/
import "C"

import "os"

// OneArena makes glibc's malloc use one arena in this process, unless MALLOC_ARENA_MAX is set. Call it before the first producer.
//
// Threads get arenas of their own, 16 on two cores. A lane's goroutine hands records to librdkafka from whatever thread it runs on at the moment, so in the
// course of a backlog each arena gets its turn to hold a full queue, and what is freed in one is of no use to the others: a queue of 16 MiB was seen to
// keep 250 MB. One arena keeps 80 MB. The lock on it costs nothing that can be measured, since small blocks come from each thread's own cache.
func OneArena() {
	if os.Getenv("MALLOC_ARENA_MAX") == "" {
		C.one_arena()
	}
}

// trimMalloc gives the pages that a closed producer has freed back to the system; by itself glibc returns only what lies at the end.
func trimMalloc() { C.trim() }
