// Included before each C file of the interpreters, which were written for systems with more to them.

// QuickJS does not look at the height of the stack where it is compiled for WASI: there a script that calls
// itself without end would end the instance instead of being thrown a RangeError.
#include <wasi/api.h>
#undef __wasi__

// Lua finds plain C: no processes, no locks of files and no temporary files.
#undef LUA_USE_POSIX
#define l_system(command) ((command) == NULL ? 0 : -1)
#define LUA_TMPNAMBUFSIZE 1
#define lua_tmpnam(b, e) ((void)(b), (e) = 1)
#include <stdio.h>
#include <time.h>
#define tmpfile() ((FILE *)0)
static inline clock_t reef_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * (clock_t)1000000000 + now.tv_nsec;
}
#undef CLOCKS_PER_SEC
#define CLOCKS_PER_SEC ((clock_t)1000000000)
#define clock reef_clock
