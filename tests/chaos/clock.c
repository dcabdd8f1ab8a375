/* A clock that is off: what CLOCK_REALTIME says is moved by the seconds in the file $LITRAJ_CLOCK, read at each call.

Durations (CLOCK_MONOTONIC) stay true, as they do on a machine whose clock is set: libfaketime cannot do that together
with sleeping. Built and preloaded by bench.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long seconds_off(void) {
  const char *path = getenv("LITRAJ_CLOCK");
  char text[32] = {0};
  int handle = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (handle < 0) return 0;
  if (read(handle, text, sizeof text - 1) < 0) text[0] = 0;
  close(handle);
  return atol(text);
}

int clock_gettime(clockid_t which, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int code = real(which, now);
  if (code == 0 && which == CLOCK_REALTIME) now->tv_sec += seconds_off();
  return code;
}

time_t time(time_t *where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where) *where = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}
